"""How far a slot is, in words for a person who waits for it. Pure; nothing is decided upon these."""

from __future__ import annotations

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.core.decisions import Decision, Hold
from keeper.core.model import Condemned, ConditionKind, SlotId, SlotRecord, Status, Stream, Tenure
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.world import Snapshot

# With nothing rented, waiting does not help against these; a person has to change something first.
_HOPELESS: dict[Reason, tuple[ExitCode, str]] = {
    Reason.UNAUTHORIZED: (ExitCode.UNAUTHORIZED, "give a valid key in VAST_API_KEY"),
    Reason.OUT_OF_CREDIT: (ExitCode.FAILED, "add credit at https://cloud.vast.ai/billing/"),
    Reason.BUDGET: (ExitCode.REFUSED, "raise spend_max_dollars_per_hour, or end something else"),
    Reason.REPLACEMENTS_SPENT: (ExitCode.REFUSED, "find out why hosts fail: keeper events"),
    Reason.PAUSED: (ExitCode.REFUSED, "keeper resume"),
    Reason.OBSERVE_ONLY: (ExitCode.REFUSED, "set the stream's mode to act"),
    Reason.NO_SUITABLE_OFFER: (ExitCode.NOT_FOUND, "see what was filtered out: keeper search"),
}


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
    return f"{slot}: {_stage_of(tenure, record)}"


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
    return Stopped(known[0], f"{wanted}{SENTENCE[decision.reason]}; nothing is rented", known[1])


def stage_of_stream(snapshot: Snapshot, stream: Stream) -> str:
    """Say what a person who waits for the stream is waiting for."""
    waiting = unfilled(snapshot, stream)
    left = ending(snapshot, stream)
    if left and (not waiting or hopeless(snapshot, waiting[0])):
        named = ", ".join(str(int(each.instance_id)) for each in left)
        return f"{stream.name}: confirming that instance {named} is gone"
    return stage(snapshot, (*waiting, *stream.slots)[0])


def is_settled(snapshot: Snapshot, stream: Stream) -> bool:
    """Whether every slot is on air, and every host that failed on the way is confirmed gone."""
    return not unfilled(snapshot, stream) and not ending(snapshot, stream)


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


def _stage_of(tenure: Tenure, record: SlotRecord | None) -> str:
    what = f"{tenure.gpu_name}, {tenure.dollars_per_hour:.3f} $/h"
    if tenure.instance_id is None:
        return f"renting offer {int(tenure.offer_id)} ({what})"
    named = f"instance {int(tenure.instance_id)}"
    if tenure.running_at is None:
        return f"{named} is booting ({what})"
    if _status(tenure, ConditionKind.REACHABLE) is not Status.TRUE and tenure.deployed_at is None:
        return f"{named} runs; waiting for SSH"
    if tenure.deployed_at is None:
        return f"{named}: putting the workload on it"
    if tenure.first_live_at is None:
        return f"{named}: the workload warms up"
    if _status(tenure, ConditionKind.STREAMING) is Status.TRUE:
        return f"{named} is on air"
    reason = record.incident.reason if record and record.incident else None
    return f"{named} is dark" + (f": {SENTENCE[reason]}" if reason else "")


def _status(tenure: Tenure, kind: ConditionKind) -> Status:
    return next((c.status for c in tenure.conditions if c.kind is kind), Status.UNKNOWN)
