"""What was declared to be deployed, what came of it, and what should be on hosts now.

A revision that was never on air for long is on trial. While an earlier one has proven itself, only one
slot carries what is on trial; a bad one is marked by its name and not put anywhere until the
configuration changes or a person says so (verdicts.py). What is done with all that is in rollout.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from keeper.core.blame import may_be_of_the_workload
from keeper.core.cause import Trait
from keeper.core.conditions import status_of
from keeper.core.draft import Draft
from keeper.core.events import RevisionDeclared, RevisionProven
from keeper.core.model import (
    ConditionKind,
    DeployWhen,
    Makeable,
    Revision,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    Tenure,
    stream_of,
)
from keeper.core.moments import elapsed_s, later

# Of one stream: those on hosts, the proven ones to go back to, and bad ones that must stay known.
_KEPT_MAX = 12
_CHANGES_TOLD = 8


# --- what is known ----------------------------------------------------------------------------------


def take_stock(draft: Draft) -> None:
    """Note what is declared for the first time and what has proven itself. Once a tick."""
    for stream in draft.streams:
        if stream.revision:
            _note_declared(draft, stream)
            _prove(draft, stream)
    declared = {stream.name for stream in draft.streams}
    for name in draft.world.revisions.keys() - declared:
        if not any(stream_of(slot) == name for slot in draft.records):
            draft.revisions[name] = ()


def known_of(draft: Draft, stream: Stream) -> tuple[Revision, ...]:
    """Return a stream's revisions, as they are by now; the oldest first."""
    known = draft.revisions.get(stream.name)
    return draft.world.revisions.get(stream.name, ()) if known is None else known


def declared_of(draft: Draft, stream: Stream) -> Revision | None:
    """Return what is known of the declared revision; None where deploys have no names."""
    return find(known_of(draft, stream), stream.revision)


def find(known: tuple[Revision, ...], name: str) -> Revision | None:
    """Return the revision of a name."""
    for each in known:  # a loop: each tick asks this several times of each slot
        if each.name == name:
            return each
    return None


def is_bad(revision: Revision | None) -> bool:
    """Whether a revision was found to be bad."""
    return revision is not None and revision.bad_at is not None


def is_on_trial(draft: Draft, stream: Stream) -> bool:
    """Whether the declared revision has yet to prove itself, beside another one that is in use."""
    declared = declared_of(draft, stream)
    if declared is None or declared.proven_at is not None or declared.bad_at is not None:
        return False
    if proven_before(draft, stream) is not None:
        return True
    names = {stream.revision}
    return any(carried(draft.records[slot]) - names for slot in stream.slots)


def proven_before(draft: Draft, stream: Stream) -> Revision | None:
    """Return the revision that proved itself last, but for the declared one."""
    return last_proven(known_of(draft, stream), stream.revision)


def last_proven(known: tuple[Revision, ...], but: str) -> Revision | None:
    """Return the one of these that proved itself last, but for one."""
    proven = [
        each
        for each in known
        if each.proven_at is not None and each.bad_at is None and each.name != but
    ]
    return max(proven, key=lambda each: (each.proven_at, each.name), default=None)


def fallback(draft: Draft, stream: Stream) -> Revision | None:
    """Return the one to go back to: proven, and still to be made as it was."""
    before = proven_before(draft, stream)
    return before if before is not None and can_make(draft, stream, before.name) else None


def can_make(draft: Draft, stream: Stream, name: str) -> bool:
    """Whether a revision's workload is at hand."""
    return name == stream.revision or name in draft.world.makeable.get(stream.name, {})


def rental_mark(draft: Draft, stream: Stream, name: str) -> str:
    """Return the mark of what is rented for a revision; "": not known."""
    if name == stream.revision:
        return stream.rental_mark
    known = find(known_of(draft, stream), name)
    return "" if known is None else known.rental_mark


def needs_another_rental(draft: Draft, stream: Stream, at: str, to: str) -> bool:
    """Whether a host that was rented for one revision cannot take another one."""
    marks = rental_mark(draft, stream, at), rental_mark(draft, stream, to)
    return "" not in marks and marks[0] != marks[1]


def has_same_rental(draft: Draft, stream: Stream, one: str, other: str) -> bool:
    """Whether the same is rented for two revisions, as far as both are known."""
    mark = rental_mark(draft, stream, one)
    return mark != "" and mark == rental_mark(draft, stream, other)


# --- what should be where ---------------------------------------------------------------------------


def target(draft: Draft, stream: Stream) -> str:
    """Return what all of a stream's hosts should have in the end; "": nobody can say.

    That is what is declared, unless it is bad: then what proved itself before it.
    """
    if not is_bad(declared_of(draft, stream)):
        return stream.revision
    back = fallback(draft, stream)
    return "" if back is None else back.name


def for_a_fresh_host(draft: Draft, slot: SlotId, stream: Stream) -> str:
    """Return what a host gets that has nothing yet: what is on trial goes where nobody waits for it."""
    wanted = target(draft, stream)
    back = fallback(draft, stream)
    if wanted != stream.revision or back is None or not is_on_trial(draft, stream):
        return wanted or stream.revision
    is_boundary = stream.policy.deploy_when is DeployWhen.BOUNDARY
    if not may_try(draft, slot, stream):
        return back.name
    is_chosen = is_boundary and stream.name not in draft.bad_deploys
    return wanted if is_chosen or is_spoiled(draft, slot, stream) else back.name


def is_spoiled(draft: Draft, slot: SlotId, stream: Stream) -> bool:
    """Whether what worked before does not work now: then what was changed may be the cure.

    The slot was dark before the change was declared, or two machines have failed since with what
    worked. What has itself failed on as many is no cure for the first.
    """
    declared, back = declared_of(draft, stream), proven_before(draft, stream)
    if declared is None or back is None:
        return True
    record = draft.records[slot]
    was_dark = record.dark_since is not None and record.dark_since < declared.declared_at
    if was_dark and stream.name not in draft.bad_deploys:
        return True
    is_same_rental = has_same_rental(draft, stream, back.name, declared.name)
    machines = {
        each.machine_id
        for each in record.failures
        if each.at >= declared.declared_at
        and may_be_of_the_workload(each, is_same_rental=is_same_rental)
        and each.traits.get(Trait.REVISION) == back.name
    }
    return len(machines) > 1


def to_put(draft: Draft, slot: SlotId, stream: Stream, tenure: Tenure) -> str:
    """Return what a deploy by the rules puts on a host: what it had, or what a fresh one gets.

    What is declared no more and never proved itself is not put back: nobody wants it any more.
    """
    if not stream.revision:
        return ""
    known = find(known_of(draft, stream), tenure.revision)
    is_usable = known is not None and not is_bad(known) and can_make(draft, stream, known.name)
    was_live = is_usable and tenure.first_live_at is not None
    if was_live and not is_left_over(draft, stream, tenure):
        return tenure.revision
    wanted = for_a_fresh_host(draft, slot, stream)
    if was_live and may_cure(draft, slot, stream, tenure):
        wanted = target(draft, stream) or wanted
    if is_usable and needs_another_rental(draft, stream, tenure.revision, wanted):
        return tenure.revision
    return wanted


def is_stuck(draft: Draft, stream: Stream) -> bool:
    """Whether what is declared is bad, and nothing can be put in its place."""
    return bool(stream.revision) and target(draft, stream) == ""


def may_have(draft: Draft, slot: SlotId, stream: Stream) -> bool:
    """Whether a slot may have what is declared, on trial or not."""
    return not is_on_trial(draft, stream) or may_try(draft, slot, stream)


def may_cure(draft: Draft, slot: SlotId, stream: Stream, tenure: Tenure) -> bool:
    """Whether what is declared may be put on a slot's host because it is dark."""
    if not is_on_trial(draft, stream):
        return True
    if not may_try(draft, slot, stream):
        return False
    return is_left_over(draft, stream, tenure) or is_spoiled(draft, slot, stream)


def is_left_over(draft: Draft, stream: Stream, tenure: Tenure) -> bool:
    """Whether a host has what is declared no more and never proved itself: nothing to go back to."""
    known = find(known_of(draft, stream), tenure.revision)
    return known is not None and known.name != stream.revision and known.proven_at is None


def may_try(draft: Draft, slot: SlotId, stream: Stream) -> bool:
    """Whether a slot may be the one that carries what is on trial: only one does."""
    if (
        stream.name not in draft.carriers
    ):  # once a tick: a thousand slots need not look at each other
        draft.carriers[stream.name] = {
            each for each in stream.slots if stream.revision in carried(draft.records[each])
        }
    return draft.carriers[stream.name] <= {slot}


def note_carrier(draft: Draft, slot: SlotId, stream: Stream, name: str) -> None:
    """Remember that a slot is given a revision in this very tick."""
    if name == stream.revision and stream.name in draft.carriers:
        draft.carriers[stream.name].add(slot)


def carried(record: SlotRecord) -> frozenset[str]:
    """Return the revisions that a slot's hosts have or are being given."""
    return frozenset(
        name
        for tenure in (record.tenure, record.incoming)
        if tenure is not None
        for name in (tenure.revision, tenure.putting)
        if name
    )


def as_of(draft: Draft, stream: Stream, name: str) -> Stream:
    """Return a stream as it is with another revision: what is rented for it, and its remedies."""
    made: Mapping[str, Makeable] = draft.world.makeable.get(stream.name, {})
    if name == stream.revision or name not in made:
        return stream
    disk_gb = max(stream.needs.disk_gb, made[name].rental.disk_gb)
    return replace(
        stream,
        rental=made[name].rental,
        rungs=made[name].rungs,
        needs=replace(stream.needs, disk_gb=disk_gb),
    )


def changes(revision: Revision, before: Revision | None) -> str:
    """Name the keys by which a revision differs from another one. Never a value."""
    if before is None:
        return ""
    keys = sorted(revision.parts.keys() | before.parts.keys())
    named = [key for key in keys if revision.parts.get(key) != before.parts.get(key)]
    more = f" and {len(named) - _CHANGES_TOLD} more" if len(named) > _CHANGES_TOLD else ""
    return ", ".join(named[:_CHANGES_TOLD]) + more


# --- what came of it --------------------------------------------------------------------------------


def _note_declared(draft: Draft, stream: Stream) -> None:
    known = known_of(draft, stream)
    before = find(known, stream.revision)
    if before is not None:
        if (before.recipe, before.parts) != (stream.recipe, stream.parts):
            note(draft, stream, replace(before, recipe=stream.recipe, parts=stream.parts))
        return
    revision = Revision(
        stream=stream.name,
        name=stream.revision,
        declared_at=draft.now,
        recipe=stream.recipe,
        parts=stream.parts,
        rental_mark=stream.rental_mark,
    )
    if not known:
        _take_for_declared(draft, stream)
    draft.revisions[stream.name] = _bounded(draft, stream, (*known, revision))
    on_hosts = proven_before(draft, stream) or (known[-1] if known else None)
    draft.tell(
        RevisionDeclared(
            stream=stream.name, revision=revision.name, detail=changes(revision, on_hosts)
        )
    )


def _take_for_declared(draft: Draft, stream: Stream) -> None:
    """Take what is on hosts for what is declared: an earlier keeper gave it no such name."""

    def renamed(tenure: Tenure | None) -> Tenure | None:
        if tenure is None or tenure.revision == stream.revision:
            return tenure
        return replace(tenure, revision=stream.revision)

    for slot in stream.slots:
        record = draft.records[slot]
        tenure, incoming = renamed(record.tenure), renamed(record.incoming)
        if (tenure, incoming) != (record.tenure, record.incoming):
            draft.records[slot] = replace(record, tenure=tenure, incoming=incoming)


def _prove(draft: Draft, stream: Stream) -> None:
    """Note what has been on air for long enough somewhere, also what is declared no more.

    A change may be declared just before what it follows has proven itself; that is what there is to
    go back to.
    """
    for known in known_of(draft, stream):
        if known.proven_at is None and known.bad_at is None:
            _prove_where_it_runs(draft, stream, known)


def _prove_where_it_runs(draft: Draft, stream: Stream, known: Revision) -> None:
    for slot in stream.slots:
        since = _good_since(draft.records[slot], known.name)
        if since is None:
            continue
        since = no_later(draft, since)
        if draft.world.started_at is not None:
            # What nobody has watched, or a clock has made up by a step, proves nothing.
            since = max(since, draft.world.started_at)
        if elapsed_s(since, draft.now) >= stream.policy.deploy_proof_s:
            prove(draft, slot, stream, known)
            return
        draft.wake(later(since, stream.policy.deploy_proof_s))


def no_later(draft: Draft, since: datetime) -> datetime:
    """Return a moment that must not lie ahead; one that does is of before a step of the clock."""
    return since if since <= draft.now else draft.world.started_at or draft.now


def prove(draft: Draft, slot: SlotId, stream: Stream, known: Revision) -> None:
    """Mark a revision as proven."""
    if known.proven_at is None:
        note(draft, stream, replace(known, proven_at=draft.now))
        draft.tell(RevisionProven(slot=slot, stream=stream.name, revision=known.name))


def _good_since(record: SlotRecord, name: str) -> datetime | None:
    """Return since when a slot has been on air with a revision; None: it is not."""
    tenure, since = record.tenure, record.healthy_since
    if tenure is None or since is None or tenure.revision != name or tenure.putting:
        return None
    if status_of(tenure, ConditionKind.STREAMING) is not Status.TRUE:
        return None
    return since if tenure.deployed_at is None else max(since, tenure.deployed_at)


def note(draft: Draft, stream: Stream, revision: Revision) -> None:
    """Write down what is known of a revision by now."""
    draft.revisions[stream.name] = tuple(
        revision if each.name == revision.name else each for each in known_of(draft, stream)
    )


def _bounded(draft: Draft, stream: Stream, known: tuple[Revision, ...]) -> tuple[Revision, ...]:
    """Forget the oldest that nobody needs: not on a host, not declared, not the one to go back to."""
    needed = {stream.revision}
    for slot, record in draft.records.items():
        if stream_of(slot) == stream.name:
            needed |= carried(record)
    proven = [each for each in known if each.proven_at is not None]
    needed |= {
        each.name for each in sorted(proven, key=lambda e: e.proven_at or e.declared_at)[-2:]
    }
    spare = [each.name for each in known if each.name not in needed]
    gone = set(spare[: max(0, len(known) - _KEPT_MAX)])
    return tuple(each for each in known if each.name not in gone)
