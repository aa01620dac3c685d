"""Which host has served long enough, and may go now: one at a time, and only while all is well.

A recycle is never urgent. Whatever stands in its way puts it off without a word; only what is done is
told.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from keeper.core.conditions import status_of
from keeper.core.decisions import Wait
from keeper.core.draft import Draft
from keeper.core.model import ConditionKind, Mode, SlotId, SlotRecord, Status, Stream
from keeper.core.moments import elapsed_s, is_due, later
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance, strictest

# One that came to nothing (no offer, no money, a host that does not come up) is tried again after this.
RETRY_S = 21_600.0


def is_recycle_due(draft: Draft, slot: SlotId, stream: Stream) -> bool:
    """Say whether a healthy slot's host has served its time and may be replaced now."""
    record = draft.records[slot]
    if not is_ever_recycled(record, stream):
        return False
    serves_until = stays_until(record, stream, draft.now)
    if serves_until is not None:
        draft.wake(serves_until)
        return False
    return (
        _is_time(draft, stream)
        and has_time_to_hand_over(draft, stream)
        and _all_is_well(draft, slot)
    )


def is_ever_recycled(record: SlotRecord, stream: Stream) -> bool:
    """Say whether a slot's host is to be replaced once it has served its time."""
    return (
        stream.recycle_after_s is not None
        and stream.mode is not Mode.OBSERVE
        and record.tenure is not None
        and record.tenure.first_live_at is not None
        and record.incoming is None
    )


def stays_until(record: SlotRecord, stream: Stream, now: datetime) -> datetime | None:
    """Return until when a host that will be recycled stays for sure; None: its time has come."""
    tenure, after_s = record.tenure, stream.recycle_after_s
    if after_s is None or tenure is None or tenure.first_live_at is None:
        return None
    if elapsed_s(tenure.first_live_at, now) < after_s:
        return later(tenure.first_live_at, after_s)
    return None if is_due(record.recycle_at, now, RETRY_S) else record.recycle_at


def put_off(draft: Draft, slot: SlotId) -> None:
    """Leave a healthy host where it is for now."""
    wait_for_next(draft, slot)
    draft.decide(slot, Wait(slot=slot, reason=Reason.HEALTHY))


def wait_for_next(draft: Draft, slot: SlotId) -> None:
    """Try the next recycle of a slot only after a while, whatever becomes of this one."""
    at = later(draft.now, RETRY_S)
    if draft.troubled is not None:
        draft.troubled.add(slot)  # no other one in this tick
    draft.records[slot] = replace(draft.records[slot], recycle_at=at)


def _is_time(draft: Draft, stream: Stream) -> bool:
    """Whether the calendar lets it: in a window for it where there is one, else outside of all."""
    window = strictest(draft.world.windows, stream.name, draft.now)
    if window is None:
        return not stream.has_replace_windows
    return window.allow is Allowance.REPLACE


def has_time_to_hand_over(draft: Draft, stream: Stream) -> bool:
    """Whether a hand-over that begins now is over before a window in which nothing may be done.

    It would stand still there, with two hosts that bill (I5): the old one may not be ended.
    """
    over_at = later(draft.now, stream.policy.coming_up_max_s)
    return not any(
        each.since < over_at
        for each in draft.world.windows_ahead
        if each.allow is Allowance.OBSERVE and each.stream in (None, stream.name)
    )


def _all_is_well(draft: Draft, slot: SlotId) -> bool:
    if draft.troubled is None:  # once a tick: a thousand old hosts need not look a thousand times
        draft.troubled = {each for each, r in draft.records.items() if _is_in_trouble(r)}
    return draft.troubled <= {slot}


def _is_in_trouble(record: SlotRecord) -> bool:
    """Whether a slot that was on air is sick, without a host, or between two."""
    if record.incident is not None or record.dark_since is not None or record.incoming is not None:
        return True
    if not record.ever_on_air:
        return False
    return status_of(record.tenure, ConditionKind.STREAMING) is not Status.TRUE
