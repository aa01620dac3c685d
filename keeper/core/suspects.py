"""What keeper suspects behind several failures, and what it remembers of each to be able to.

Part of the fourth and fifth steps: failures are written down when a host goes dark or is given up for
a fault of its own, and read when there is a slot to treat or a host to choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from keeper.core import cause, revisions
from keeper.core.blame import may_be_of_the_workload
from keeper.core.cause import AVOIDABLE, Cause, Columns, Trait, columns_of, traits_of
from keeper.core.conditions import complete, status_of
from keeper.core.credit import was_starved
from keeper.core.draft import Draft
from keeper.core.events import CauseCleared, CauseNamed
from keeper.core.model import (
    ConditionKind,
    Failure,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    StreamName,
    Tenure,
    stream_of,
)
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason

# Of one slot; a cause is named within three, and the memory is written with every change of a record.
_FAILURES_MAX = 6
# The deepest condition that fails is the fault; what it takes down with it is not another one.
_DEPTH = (
    ConditionKind.RENTED,
    ConditionKind.REACHABLE,
    ConditionKind.HAS_GPU,
    ConditionKind.HAS_ROOM,
    ConditionKind.RUNNING,
    ConditionKind.STREAMING,
)
# On air for this long, a workload has shown that it works: longer than any warm-up and any first crash.
_PROVEN_S = 1800.0
_DEPLOY = "deploy"  # the word for a bad one, where causes are told


# --- what is remembered -----------------------------------------------------------------------------


def fault_of(tenure: Tenure, otherwise: Reason, now: datetime) -> Reason:
    """Return the reason of the deepest condition that fails: what is at fault, not what follows."""
    known = {condition.kind: condition for condition in complete(tenure, now)}
    for kind in _DEPTH:
        said = known[kind]
        if said.status is Status.FALSE and said.reason is not Reason.PROCESS_STOPPED_ON_PURPOSE:
            return said.reason
    return otherwise


def remember(draft: Draft, slot: SlotId, tenure: Tenure, reason: Reason) -> None:
    """Write down that a host has gone dark; one that does again has failed once, now."""
    _write(draft, slot, tenure, fault_of(tenure, reason, draft.now))


def _write(draft: Draft, slot: SlotId, tenure: Tenure, fault: Reason) -> None:
    if tenure.instance_id is None or was_starved(draft.world.account, tenure):
        return
    record = draft.records[slot]
    if _is_restarted_by_order(draft, record):
        return
    failure = Failure(
        label=tenure.label,
        machine_id=tenure.machine_id,
        at=draft.now,
        reason=fault,
        traits=traits_of(tenure),
    )
    memory_s = draft.fleet.common_cause_memory_s
    kept = (
        each
        for each in record.failures
        if each.label != tenure.label and elapsed_s(each.at, draft.now) < memory_s
    )
    draft.records[slot] = replace(record, failures=(*kept, failure)[-_FAILURES_MAX:])


def absolve(draft: Draft, slot: SlotId, tenure: Tenure) -> None:
    """Take a failure back: the host was taken away, not broken."""
    record = draft.records[slot]
    kept = tuple(each for each in record.failures if each.label != tenure.label)
    if kept != record.failures:
        draft.records[slot] = replace(record, failures=kept)


def convict(draft: Draft, slot: SlotId, tenure: Tenure, reason: Reason) -> None:
    """Write down why a host was given up, unless it is known already how it failed."""
    if any(each.label == tenure.label for each in draft.records[slot].failures):
        return
    # Why it was given up is the fault, and no condition of a host that never served says it better:
    # hosts on which nothing could be installed were put down to a process that did not run.
    is_ladder = reason is Reason.LADDER_SPENT
    _write(draft, slot, tenure, fault_of(tenure, reason, draft.now) if is_ladder else reason)


def prove(draft: Draft, slot: SlotId) -> None:
    """Note that a slot's workload has been on air for long: it can be told from a bad one."""
    record = draft.records[slot]
    tenure, since = record.tenure, record.healthy_since
    if tenure is None or since is None or tenure.revision in ("", record.proven_revision):
        return
    if elapsed_s(since, draft.now) < _PROVEN_S:
        draft.wake(later(since, _PROVEN_S))
        return
    draft.records[slot] = replace(record, proven_revision=tenure.revision)


def pardon(draft: Draft, stream: StreamName) -> None:
    """Forget the failures of a stream: a person has looked at them."""
    for slot, record in draft.records.items():
        if record.failures and stream_of(slot) == stream:
            draft.records[slot] = replace(record, failures=())


# --- what is suspected ------------------------------------------------------------------------------


def suspect(draft: Draft) -> None:
    """Name the causes of this tick and state which changed."""
    memory_s = draft.fleet.common_cause_memory_s
    known = [
        each
        for record in draft.records.values()
        if record.failures
        for each in record.failures
        if not _is_outbid(record.tenure, each.label)
    ]
    if known:
        draft.failures = tuple(cause.recent(known, draft.now, memory_s))
    if draft.failures:
        draft.wake(later(draft.failures[0].at, memory_s))
        if len({each.machine_id for each in draft.failures}) > 1:
            draft.causes = draft.standing.answer(cause.named, draft.failures, healthy(draft))
        draft.bad_deploys = {
            stream.name: bad for stream in draft.streams if (bad := _failed_with(draft, stream))
        }
    if draft.causes or draft.bad_deploys or draft.world.causes_known:
        _tell_changes(draft)


def healthy(draft: Draft) -> Columns:
    """Return the traits of the hosts that viewers see, but for machines that have failed lately."""
    failed = {each.machine_id for each in draft.failures}
    tenures = [record.tenure for record in draft.records.values() if record.tenure is not None]
    good = tuple(
        tenure
        for tenure in tenures
        if tenure.machine_id not in failed
        and status_of(tenure, ConditionKind.STREAMING) is Status.TRUE
    )
    return draft.standing.answer(columns_of, good)


def avoided(causes: Sequence[Cause]) -> tuple[tuple[Trait, str], ...]:
    """Return what the next choice of a host should do without."""
    return tuple((each.trait, each.value) for each in causes if each.trait in AVOIDABLE)[:1]


def burst_of(draft: Draft, slot: SlotId) -> tuple[Failure, ...]:
    """Return the failures that make the fault of a sick slot one of several; empty when it is alone."""
    tenure = draft.records[slot].tenure
    own = next(
        (each for each in draft.failures if tenure is not None and each.label == tenure.label), None
    )
    if own is None or tenure is None:
        return ()
    own = replace(own, reason=fault_of(tenure, own.reason, draft.now))
    found = cause.together(draft.failures, own, draft.fleet.common_cause_window_s)
    machines = {each.machine_id for each in found}
    return found if len(machines) >= draft.fleet.common_cause_hosts else ()


def said_of(draft: Draft, failures: Sequence[Failure]) -> str:
    """Say which hosts failed alike and what they share that the healthy ones lack."""
    by_label = {f.label: slot for slot, r in draft.records.items() for f in r.failures}
    slots = sorted({by_label[each.label] for each in failures if each.label in by_label})
    shares = cause.shared(failures, healthy(draft))
    return f"{', '.join(slots[:10])} failed alike within minutes; they share " + (
        shares or "nothing that the healthy ones lack"
    )


def _failed_with(draft: Draft, stream: Stream) -> tuple[Failure, ...]:
    """Return the failures that convict a stream's revision; empty while it may be good.

    Another one must have worked before: what never worked is not a deploy that broke it. One machine
    is a bad machine.
    """
    # Where an earlier one has proven itself, one slot carries the new one and gives it back
    # (rollout.py). This is for hosts that had none before, and for what is not known to have worked.
    if not stream.revision:
        return ()
    records = [draft.records[slot] for slot in stream.slots]
    proven = {record.proven_revision for record in records if record.proven_revision}
    if not proven or stream.revision in proven:
        return ()
    labels = {each.label for record in records for each in record.failures}
    # Started with what worked, too: then no container failed to start for what is declared.
    is_same_rental = any(
        revisions.has_same_rental(draft, stream, each, stream.revision) for each in proven
    )
    found = tuple(
        each
        for each in draft.failures
        if each.label in labels
        and each.traits.get(Trait.REVISION) == stream.revision
        and may_be_of_the_workload(each, is_same_rental=is_same_rental)
    )
    machines = {each.machine_id for each in found}
    return found if len(machines) >= draft.fleet.common_cause_hosts else ()


def _is_outbid(tenure: Tenure | None, label: str) -> bool:
    return tenure is not None and tenure.label == label and tenure.outbid_since is not None


def _is_restarted_by_order(draft: Draft, record: SlotRecord) -> bool:
    """Whether a slot is dark because a person restarted it."""
    return (
        record.last_act == "restart"
        and record.last_act_reason is Reason.OPERATOR_ASKED
        and record.last_act_at is not None
        and elapsed_s(record.last_act_at, draft.now) < draft.policy(record.slot).warmup_grace_s
    )


def _tell_changes(draft: Draft) -> None:
    told = {(each.trait.value, each.value): each.sentence() for each in draft.causes}
    told |= {
        (_DEPLOY, name): _said_of_deploy(draft, name, bad)
        for name, bad in draft.bad_deploys.items()
    }
    draft.suspected = frozenset(told)
    for (trait, value), sentence in told.items():
        if (trait, value) not in draft.world.causes_known:
            draft.tell(CauseNamed(trait=trait, detail=sentence))
    for trait, value in sorted(draft.world.causes_known - draft.suspected):
        draft.tell(CauseCleared(trait=trait, detail=value))


def _said_of_deploy(draft: Draft, name: StreamName, bad: Sequence[Failure]) -> str:
    records = [record for slot, record in draft.records.items() if stream_of(slot) == name]
    before = next(each.proven_revision for each in records if each.proven_revision)
    revision = bad[-1].traits[Trait.REVISION]
    machines = len({each.machine_id for each in bad})
    return f"revision {revision} of {name} failed on {machines} machines; {before} worked before"
