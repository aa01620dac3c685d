"""How far a slot is, in words for a person who waits for it. Pure; nothing is decided upon these."""

from __future__ import annotations

from enum import StrEnum

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.core.decisions import Decision, Hold
from keeper.core.model import (
    Condemned,
    ConditionKind,
    OfferId,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    Subject,
    Tenure,
)
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.text import plain
from keeper.core.under_way import DeployProgress
from keeper.core.world import Snapshot
from keeper.web.shapes import ProgressStatus, SlotStatus


class Step(StrEnum):
    """Where on its way to the air a slot is."""

    LOOKING = "looking"
    RENTING = "renting"
    BOOTING = "booting"
    REACHING = "reaching"
    DEPLOYING = "deploying"
    WARMING = "warming"
    ON_AIR = "on air"
    OUTBID = "outbid"
    DARK = "dark"
    ENDING = "ending"


# With nothing rented, waiting does not help against these; a person has to change something first.
_HOPELESS: dict[Reason, tuple[ExitCode, str]] = {
    Reason.UNAUTHORIZED: (
        ExitCode.UNAUTHORIZED,
        "give a valid key with every right that keeper uses in VAST_API_KEY",
    ),
    Reason.SEARCH_QUOTA_SPENT: (ExitCode.TRY_AGAIN, "run the same command after midnight UTC"),
    Reason.OUT_OF_CREDIT: (ExitCode.FAILED, "add credit at https://cloud.vast.ai/billing/"),
    Reason.BUDGET: (ExitCode.REFUSED, "raise spend_max_dollars_per_hour, or end something else"),
    Reason.REPLACEMENTS_SPENT: (ExitCode.REFUSED, "find out why hosts fail: keeper events"),
    Reason.PAUSED: (ExitCode.REFUSED, "keeper resume"),
    Reason.OBSERVE_ONLY: (ExitCode.REFUSED, "set the stream's mode to act"),
    Reason.SUGGEST_ONLY: (ExitCode.REFUSED, "set the stream's mode to act"),
    Reason.MAINTENANCE_WINDOW: (ExitCode.REFUSED, "run it again when the window has closed"),
    Reason.BAD_DEPLOY: (ExitCode.REFUSED, "put the workload back to what worked, or mend it"),
    Reason.NO_SUITABLE_OFFER: (ExitCode.NOT_FOUND, "see what was filtered out: keeper search"),
}

# Of these the marketplace itself says more than keeper can.
_REFUSALS = frozenset({Reason.UNAUTHORIZED, Reason.OUT_OF_CREDIT})
_REFUSAL_MAX = 600


def is_on_air(snapshot: Snapshot, slot: SlotId) -> bool:
    """Whether the viewer sees the slot's picture now."""
    record = snapshot.records.get(slot)
    tenure = record.tenure if record else None
    if tenure is None or tenure.first_live_at is None:
        return False
    return _status(tenure, ConditionKind.STREAMING) is Status.TRUE


def stage(snapshot: Snapshot, slot: SlotId) -> str:
    """Say what is going on for a slot."""
    record = snapshot.records.get(slot)
    tenure = record.tenure if record else None
    if tenure is None:
        decision = decision_of(snapshot, slot)
        return f"{slot}: {SENTENCE[decision.reason] if decision else 'looking for a host'}"
    assert record is not None
    said = _stage_of(snapshot, slot, tenure, record)
    return f"{slot}: {said}{_step_of(snapshot.deploys.get(slot))}"


def hopeless(snapshot: Snapshot, slot: SlotId) -> Stopped | None:
    """Say why a vacant slot will not be filled by waiting, if that is so."""
    record = snapshot.records.get(slot)
    decision = decision_of(snapshot, slot)
    if decision is None or (record is not None and record.tenure is not None):
        return None
    known = _HOPELESS.get(decision.reason)
    if known is None:
        return None
    wanted = f"keeper would {decision.wanted} {slot}, but " if isinstance(decision, Hold) else ""
    said = _refusal(snapshot, record, decision.reason)
    why = f"{SENTENCE[decision.reason]} ({said})" if said else SENTENCE[decision.reason]
    return Stopped(known[0], f"{wanted}{why}; nothing is rented", known[1])


def _refusal(snapshot: Snapshot, record: SlotRecord | None, reason: Reason) -> str:
    """Return the marketplace's own words: they name the right that a key lacks, and the cure."""
    refused = snapshot.world.search_refused
    if refused is not None and refused.reason is reason:
        return plain(refused.error, _REFUSAL_MAX)
    if record is not None and record.rent_reason is reason and reason in _REFUSALS:
        return plain(record.rent_detail, _REFUSAL_MAX)
    return ""


def stage_of_stream(snapshot: Snapshot, stream: Stream) -> str:
    """Say what a person who waits for the stream is waiting for."""
    waiting = unfilled(snapshot, stream)
    left = ending(snapshot, stream)
    if left and (not waiting or hopeless(snapshot, waiting[0])):
        named = ", ".join(str(int(each.instance_id)) for each in left)
        return f"{stream.name}: confirming that instance {named} is gone"
    if not waiting and not is_seen(snapshot, stream):
        return f"{stream.name}: every slot was on air; looking again"
    return stage(snapshot, (*waiting, *stream.slots)[0])


def is_settled(snapshot: Snapshot, stream: Stream) -> bool:
    """Whether every slot is on air, and every host that failed on the way is confirmed gone."""
    return not unfilled(snapshot, stream) and not ending(snapshot, stream)


def is_seen(snapshot: Snapshot, stream: Stream) -> bool:
    """Whether every slot's host was listed, and its picture seen, since this keeper began.

    What is remembered of a host is how it was when the last keeper looked.
    """
    listing = snapshot.world.listing
    listed = {each.instance_id for each in listing.instances} if listing is not None else set()
    records = [snapshot.records.get(slot) for slot in stream.slots]
    ids = {r.tenure.instance_id for r in records if r is not None and r.tenure is not None}
    pictures = {
        each for (each, subject), reading in snapshot.latest.items()
        if subject is Subject.PICTURE and reading.status is Status.TRUE
    }  # fmt: skip
    return all(each in listed and each in pictures for each in ids if each is not None)


def hopeless_stream(snapshot: Snapshot, stream: Stream) -> Stopped | None:
    """Say why waiting is of no use; not before what failed on the way is confirmed gone."""
    if ending(snapshot, stream):
        return None
    return next((no for slot in stream.slots if (no := hopeless(snapshot, slot))), None)


def decision_of(snapshot: Snapshot, slot: SlotId) -> Decision | None:
    """Return what the last tick decided for a slot."""
    return next((d for d in snapshot.plan.decisions if d.slot == slot), None)


def ending(snapshot: Snapshot, stream: Stream) -> tuple[Condemned, ...]:
    """Return the rentals of a stream that must end and are not confirmed gone."""
    return tuple(each for each in snapshot.plan.condemned if each.slot in stream.slots)


def unfilled(snapshot: Snapshot, stream: Stream) -> tuple[SlotId, ...]:
    """Return the slots of a stream that are not on air."""
    return tuple(slot for slot in stream.slots if not is_on_air(snapshot, slot))


def step(snapshot: Snapshot, slot: SlotId) -> Step:
    """Say where a slot is, from a snapshot of our own."""
    record = snapshot.records.get(slot)
    tenure = record.tenure if record else None
    if tenure is None:
        return Step.LOOKING
    return _step(
        is_rented=tenure.instance_id is not None,
        is_running=tenure.running_at is not None,
        is_reachable=_status(tenure, ConditionKind.REACHABLE) is Status.TRUE,
        is_deployed=tenure.deployed_at is not None,
        was_live=tenure.first_live_at is not None,
        is_outbid=tenure.outbid_since is not None,
        is_live=_status(tenure, ConditionKind.STREAMING) is Status.TRUE,
    )


def step_of_stream(snapshot: Snapshot, stream: Stream) -> Step:
    """Say where the slot is that a person waits for."""
    waiting = unfilled(snapshot, stream)
    if ending(snapshot, stream) and (not waiting or hopeless(snapshot, waiting[0])):
        return Step.ENDING
    return step(snapshot, (*waiting, *stream.slots)[0])


def step_shown(slot: SlotStatus) -> Step:
    """Say where a slot is, as a running keeper shows it."""
    host = slot.host
    if host is None:
        return Step.LOOKING
    holds = {each.condition for each in slot.conditions if each.status is Status.TRUE}
    return _step(
        is_rented=host.instance_id is not None,
        is_running=host.running_at is not None,
        is_reachable=ConditionKind.REACHABLE in holds,
        is_deployed=host.deployed_at is not None,
        was_live=host.first_live_at is not None,
        is_outbid=host.outbid_since is not None,
        is_live=ConditionKind.STREAMING in holds,
    )


def stage_shown(slot: SlotStatus) -> str:
    """Say what is going on for a slot, as a running keeper shows it."""
    at = step_shown(slot)
    host = slot.host
    if host is None:
        return f"{slot.slot}: {slot.why or slot.state.lower()}"
    why = slot.incident.because if slot.incident is not None else ""
    what = f"{host.gpu_name}, {host.dollars_per_hour:.3f} $/h"
    said = _said(at, host.instance_id, host.offer_id or 0, what, why)
    return f"{slot.slot}: {said}{_step_of(slot.progress)}"


def wish_refused(snapshot: Snapshot, slot: SlotId, wish: OfferId) -> Stopped | None:
    """Say why the offer that was asked for did not become this slot's rental, if that is so.

    Not to be asked before the order is on the disk: until then nobody has wished for anything.
    """
    record = snapshot.records.get(slot)
    tenure = record.tenure if record is not None else None
    if tenure is None:
        if record is None or record.offer_asked == wish:
            return None
        return _wish_dropped(record.rent_reason, record.rent_detail, slot, wish)
    listing = snapshot.world.listing
    listed = next(
        (each for each in (listing.instances if listing else ())
         if each.instance_id == tenure.instance_id),
        None,
    )  # fmt: skip
    machine_id = listed.machine_id if listed is not None else None
    return _is_another(
        slot, wish, tenure.offer_id, int(tenure.instance_id or 0), tenure.machine_id, machine_id
    )


def wish_refused_shown(slot: SlotStatus, wish: OfferId) -> Stopped | None:
    """Say the same of a slot that a running keeper shows."""
    host = slot.host
    if host is None:
        if slot.offer_asked == wish:
            return None
        decision = slot.decision
        reason = Reason(decision.reason) if decision is not None else Reason.NO_SUITABLE_OFFER
        return _wish_dropped(reason, slot.rent_detail, SlotId(slot.slot), wish)
    return _is_another(
        SlotId(slot.slot), wish, host.offer_id or 0, host.instance_id or 0, host.machine_id, None
    )


def _wish_dropped(reason: Reason, detail: str, slot: SlotId, wish: OfferId) -> Stopped:
    code = ExitCode.TRY_AGAIN
    if reason is Reason.NO_SUITABLE_OFFER:
        code = ExitCode.REFUSED if "does not suit" in detail else ExitCode.NOT_FOUND
    elif reason in _HOPELESS:
        code = _HOPELESS[reason][0]
    return Stopped(
        code,
        detail or f"offer {wish} was not rented for {slot}",
        "choose another: keeper search; or let keeper choose: keeper provision without --offer",
    )


def _is_another(
    slot: SlotId, wish: int, offer_id: int, instance_id: int, machine_id: int, listed: int | None
) -> Stopped | None:
    if offer_id == wish and listed in (None, machine_id):
        return None
    what = f"offer {offer_id}" if offer_id != wish else f"machine {listed}, not {machine_id}"
    return Stopped(
        ExitCode.FAILED,
        f"{slot} has instance {instance_id} of {what}: that is not offer {wish}",
        f"keep it: keeper provision without --offer; or end it: keeper destroy {slot}",
    )


def _step(
    *,
    is_rented: bool,
    is_running: bool,
    is_reachable: bool,
    is_deployed: bool,
    was_live: bool,
    is_outbid: bool,
    is_live: bool,
) -> Step:
    if is_live and was_live:
        return Step.ON_AIR
    rules = (
        (not is_rented, Step.RENTING),
        (is_outbid, Step.OUTBID),
        (not is_running, Step.BOOTING),
        (not is_reachable and not is_deployed, Step.REACHING),
        (not is_deployed, Step.DEPLOYING),
        (not was_live, Step.WARMING),
    )
    return next((at for holds, at in rules if holds), Step.DARK)


def _stage_of(snapshot: Snapshot, slot: SlotId, tenure: Tenure, record: SlotRecord) -> str:
    why = SENTENCE[record.incident.reason] if record.incident else ""
    what = f"{tenure.gpu_name}, {tenure.dollars_per_hour:.3f} $/h"
    return _said(step(snapshot, slot), tenure.instance_id, tenure.offer_id, what, why)


def _said(at: Step, instance_id: int | None, offer_id: int, what: str, why: str) -> str:
    named = f"instance {int(instance_id or 0)}"
    words = {
        Step.RENTING: f"renting offer {int(offer_id)} ({what})",
        Step.BOOTING: f"{named} is booting ({what})",
        Step.REACHING: f"{named} runs; waiting for SSH",
        Step.DEPLOYING: f"{named}: putting the workload on it",
        Step.WARMING: f"{named}: the workload warms up",
        Step.ON_AIR: f"{named} is on air",
        Step.OUTBID: f"{named} was stopped: somebody bids more",
    }
    return words.get(at) or f"{named} is dark" + (f": {why}" if why else "")


def _step_of(progress: DeployProgress | ProgressStatus | None) -> str:
    if progress is None or not progress.number:
        return ""
    return f", step {progress.number} of {progress.of}: {plain(progress.step, 60)}"


def _status(tenure: Tenure, kind: ConditionKind) -> Status:
    return next((c.status for c in tenure.conditions if c.kind is kind), Status.UNKNOWN)
