"""How a slot is, in the words and the colour that a person reads at a glance. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from keeper.core.cures import tried
from keeper.core.decisions import Decision, Hold
from keeper.core.model import Condition, ConditionKind, SlotRecord, Status, Tenure
from keeper.core.phase import phase
from keeper.core.reasons import SENTENCE, Reason


class Tone(StrEnum):
    """What a person should feel about it."""

    GOOD = "good"
    WORK = "work"  # on its way, as it should
    WARN = "warn"  # look soon
    BAD = "bad"  # the viewer sees nothing, or money is lost
    IDLE = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A slot in plain words."""

    phase: str
    tone: Tone
    state: str
    why: str
    since: datetime | None
    is_on_air: bool


def tell(
    record: SlotRecord,
    decision: Decision | None,
    now: datetime,
    *,
    is_paused: bool,
    picture_at: datetime | None = None,
) -> Told:
    """Describe one slot. ``picture_at``: when a viewer saw its picture, if the latest look did."""
    streaming = _status(record.tenure, ConditionKind.STREAMING)
    outbid_since = record.tenure.outbid_since if record.tenure is not None else None
    # The marketplace stopped it: what a viewer saw before is past, though nothing says dark yet.
    is_stopped = outbid_since is not None and (
        streaming is not Status.TRUE or picture_at is None or picture_at <= outbid_since
    )
    is_on_air = (
        record.tenure is not None
        and record.tenure.first_live_at is not None
        and record.dark_since is None
        and not is_stopped
    )
    phase_now = phase(record, now)
    doing = _doing(record, phase_now, is_held=isinstance(decision, Hold))
    if record.tenure is None and decision is not None and decision.reason is Reason.SPARE_STARTING:
        doing = "starting a spare"
    why = _why(record, decision)
    if is_on_air and record.tenure is not None:
        since = record.healthy_since or record.tenure.first_live_at
        if record.incoming is not None:
            state, tone = "On air, changing host", Tone.WARN
        elif outbid_since is not None:
            state, tone = "On air, outbid", Tone.WARN
        elif record.tenure.ending_since is not None:
            state, tone = "On air, contract ending", Tone.WARN
        elif streaming is Status.TRUE:
            state, tone = "On air", Tone.GOOD
        else:
            state, tone = "On air, not confirmed", Tone.WARN
        if record.incident is not None and tone is Tone.GOOD:
            state, tone = "On air, in repair", Tone.WARN
    elif record.dark_since is not None:
        since = record.dark_since
        state, tone = f"Dark, {doing}", Tone.BAD
    elif outbid_since is not None:
        since, state = outbid_since, "Outbid"
        tone = Tone.BAD if record.ever_on_air else Tone.WARN
    elif is_paused:
        since, state, tone = None, "Paused", Tone.IDLE
    else:
        since = record.tenure.requested_at if record.tenure is not None else None
        is_stuck = isinstance(decision, Hold) or record.offer_misses > 0
        state, tone = doing[:1].upper() + doing[1:], Tone.WARN if is_stuck else Tone.WORK
    return Told(phase=phase_now, tone=tone, state=state, why=why, since=since, is_on_air=is_on_air)


def _doing(record: SlotRecord, phase_now: str, *, is_held: bool) -> str:
    """Say what goes on in a phase; a bid that was beaten says more than any of them."""
    if record.tenure is not None and record.tenure.outbid_since is not None:
        return "outbid"
    match phase_now:
        case "vacant" if is_held:
            return "may not rent"
        case "vacant":
            return "no suitable offer" if record.offer_misses else "looking for a host"
        case "renting":
            return "renting a host"
        case "booting":
            return "its host is booting"
        case "deploying":
            is_installed = record.tenure is not None and record.tenure.deployed_at is not None
            return "warming up" if is_installed else "installing the workload"
        case "retiring":
            return "being ended"
        case "degraded":
            return "in repair"
        case _:
            return phase_now


def decided_because(decision: Decision, record: SlotRecord | None) -> str:
    """Word a decision's reason; where a person is asked, with what was tried before."""
    said = "" if record is None or decision.reason is not Reason.NEEDS_PERSON else tried(record)
    return f"{SENTENCE[decision.reason]} (tried: {said})" if said else SENTENCE[decision.reason]


def _why(record: SlotRecord, decision: Decision | None) -> str:
    if isinstance(decision, Hold):
        return f"would {decision.wanted.replace('_', ' ')}, but {decided_because(decision, record)}"
    if record.tenure is not None and record.tenure.outbid_since is not None:
        return SENTENCE[Reason.OUTBID]
    if record.dark_since is not None and record.incident is not None:
        return SENTENCE[record.incident.reason]
    if decision is not None and decision.reason is not Reason.HEALTHY:
        return SENTENCE[decision.reason]
    if record.tenure is not None and record.tenure.ending_since is not None:
        return SENTENCE[Reason.CONTRACT_ENDING]
    condition = _condition(record.tenure, ConditionKind.STREAMING)
    if condition is not None:
        return SENTENCE[condition.reason]
    return SENTENCE[decision.reason] if decision is not None else ""


def _condition(tenure: Tenure | None, kind: ConditionKind) -> Condition | None:
    if tenure is None:
        return None
    return next((each for each in tenure.conditions if each.kind is kind), None)


def _status(tenure: Tenure | None, kind: ConditionKind) -> Status:
    condition = _condition(tenure, kind)
    return condition.status if condition is not None else Status.UNKNOWN
