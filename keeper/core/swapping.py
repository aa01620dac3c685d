"""Two hosts of a slot change places where the ingest takes one publisher: the order, its answer, the looks.

One act has both halves, always in this order: the one host's workload is ended for certain, then the
other's is started. Both may be repeated. When it is decided, the two change seats: who is to publish is
the slot's tenure from then on, the other one is its incoming host. Both count as prepared and not
started, so whatever becomes of the one, the ordinary rules start the other; and where a crash cut the act
short, it is done again. When to do it, swap.py says.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from keeper.core import incident
from keeper.core.case import Proposal
from keeper.core.conditions import STREAMING, complete, unstarted
from keeper.core.decisions import Swap
from keeper.core.draft import Draft, Seat
from keeper.core.events import (
    HandoverSwapFailed,
    HandoverSwapped,
    HandoverSwapping,
    HandoverUndone,
)
from keeper.core.model import (
    InstanceId,
    Intent,
    IntentKind,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    Subject,
    Swapping,
    Tenure,
)
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason
from keeper.core.retire import retire
from keeper.core.world import Outcome, OutcomeKind

# Looks at one host while an act is under way: more than an act lasts.
_LOOKS_MAX = 32


# --- the order --------------------------------------------------------------------------------------


def order(draft: Draft, slot: SlotId, stream: Stream, proposal: Proposal) -> None:
    """Order one host of a slot to end and the other to start; the same order once more is a try more."""
    record = draft.records[slot]
    swap = record.swap
    if swap is None:
        swap = _begin(draft, slot, stream, proposal.reason)
    elif proposal.is_back and not swap.is_back:
        swap = _turn_back(draft, slot, proposal.reason)
    else:
        swap = replace(swap, tries=swap.tries + 1)
    coming, instance_id = draft.host(slot, Seat.TENURE)
    leaving, leaving_id = draft.host(slot, Seat.INCOMING)
    intent_id = draft.open_intent(IntentKind.SWAP, slot, coming.label, instance_id, proposal.reason)
    record = replace(draft.records[slot], swap=swap)
    draft.records[slot] = replace(record, tenure=replace(coming, acted_at=draft.now))
    incident.note_act(draft, slot, "swap", proposal.reason)
    draft.tell(
        HandoverSwapping(
            slot=slot,
            instance_id=instance_id,
            leaving_id=leaving_id,
            reason=proposal.reason,
            is_back=swap.is_back,
            attempt=swap.tries,
        )
    )
    draft.decide(
        slot,
        Swap(
            slot=slot,
            reason=proposal.reason,
            intent_id=intent_id,
            instance_id=instance_id,
            revision=coming.revision,
            leaving_id=leaving_id,
            leaving_revision=leaving.revision,
            within_s=swap.bound_s,
        ),
        detail="back" if swap.is_back else "",
    )


def _begin(draft: Draft, slot: SlotId, stream: Stream, reason: Reason) -> Swapping:
    record = draft.records[slot]
    old, new = record.tenure, record.incoming
    assert old is not None, "two hosts change places"
    assert new is not None, "two hosts change places"
    bound_s = max(stream.policy.swap_max_s, 2.0 * (old.warmup_s or 0.0))
    swap = Swapping(
        since=draft.now,
        reason=reason,
        bound_s=min(bound_s, max(stream.policy.swap_max_s, stream.policy.warmup_max_s)),
        last_good_at=_last_good_at(draft, record, old),
    )
    _change_seats(draft, slot)
    # It has no picture yet, whatever was seen where viewers look.
    coming, _ = draft.host(slot, Seat.TENURE)
    draft.put(slot, Seat.TENURE, replace(coming, first_live_at=None))
    return swap


def _turn_back(draft: Draft, slot: SlotId, reason: Reason) -> Swapping:
    record = draft.records[slot]
    swap = record.swap
    assert swap is not None, "what has begun is turned back"
    failed, instance_id = draft.host(slot, Seat.TENURE)
    _, leaving_id = draft.host(slot, Seat.INCOMING)
    if complete(failed, draft.now)[STREAMING].status is not Status.TRUE:
        _go_dark(draft, slot, swap, reason)
    draft.tell(
        HandoverUndone(
            slot=slot,
            instance_id=instance_id,
            leaving_id=leaving_id,
            reason=reason,
            duration_s=elapsed_s(swap.since, draft.now),
        )
    )
    _change_seats(draft, slot)
    draft.records[slot] = replace(draft.records[slot], undone_at=draft.now, undone_for=reason)
    return replace(swap, since=draft.now, reason=reason, is_back=True, tries=1, done_at=None)


def _go_dark(draft: Draft, slot: SlotId, swap: Swapping, reason: Reason) -> None:
    """Tell at last of a darkness that was expected to be short, since when it was one."""
    failed, _ = draft.host(slot, Seat.TENURE)
    is_seen = failed.first_live_at is not None
    incident.go_dark(draft, slot, reason)
    record = draft.records[slot]
    if record.dark_since is not None and not is_seen:
        since = min(swap.last_good_at or swap.since, record.dark_since)
        draft.records[slot] = replace(record, dark_since=since)


def _change_seats(draft: Draft, slot: SlotId) -> None:
    """Let who is to publish be the slot's host; neither is taken to run until the act is done."""
    record = draft.records[slot]
    assert record.tenure is not None, "two hosts change places"
    assert record.incoming is not None, "two hosts change places"
    draft.records[slot] = replace(
        record,
        tenure=unstarted(record.incoming, draft.now),
        incoming=unstarted(record.tenure, draft.now),
        healthy_since=None,  # begins anew with the first good look
    )


def _last_good_at(draft: Draft, record: SlotRecord, old: Tenure) -> datetime:
    """Return when viewers last saw the old host's picture, as far as anybody looked."""
    if record.dark_since is not None:
        return record.dark_since
    streaming = complete(old, draft.now)[STREAMING]
    if streaming.status is Status.FALSE:
        return streaming.since
    assert old.instance_id is not None, "a host without an id is not swapped"
    looked_at = draft.world.heard_at.get((old.instance_id, Subject.PICTURE), draft.now)
    bad_s = streaming.bad_streak * draft.policy(record.slot).probe_interval_s
    return min(later(looked_at, -bad_s), draft.now)


# --- the answer -------------------------------------------------------------------------------------


def answered(draft: Draft, intent: Intent, outcome: Outcome) -> None:
    """Take in what became of an act. What is in doubt is done again, within its bound."""
    draft.closed.add(intent.intent_id)
    found = _of_intent(draft, intent)
    if found is None:
        return
    slot, swap, instance_id = found
    if outcome.kind is not OutcomeKind.DONE:
        _failed(draft, slot, swap, instance_id, outcome.at, outcome.error)
        return
    done(draft, slot, outcome.at, outcome.ended_at)


def cut_short(draft: Draft, intent: Intent) -> None:
    """Doubt an act that nobody works on any more: either half of it may have been done."""
    found = _of_intent(draft, intent)
    if found is not None:
        slot, swap, instance_id = found
        _failed(draft, slot, swap, instance_id, draft.now, "keeper stopped before it was done")


def done(draft: Draft, slot: SlotId, at: datetime, ended_at: datetime | None = None) -> None:
    """Note that the one has ended and the other was started."""
    record = draft.records[slot]
    swap = record.swap
    assert swap is not None, "what is done was begun"
    coming, _ = draft.host(slot, Seat.TENURE)
    ended_at = ended_at or swap.since
    # Where both feed what is looked at, what was seen until then was the old one's picture, whichever was
    # asked about; and what was seen of the old one later was the new one's.
    seen = [each for each in swap.good_at if each <= ended_at]
    if swap.last_good_at is not None:
        seen.append(min(swap.last_good_at, ended_at))
    draft.records[slot] = replace(
        record,
        tenure=replace(
            coming, deployed_at=at, acted_at=at, deploy_failures=0, is_left_stopped=False
        ),
        swap=replace(
            swap,
            done_at=at,
            ended_at=ended_at,
            last_good_at=max(seen, default=None),
        ),
    )


def _failed(
    draft: Draft, slot: SlotId, swap: Swapping, instance_id: InstanceId, at: datetime, error: str
) -> None:
    coming, _ = draft.host(slot, Seat.TENURE)
    draft.put(slot, Seat.TENURE, replace(coming, acted_at=at))
    draft.tell(
        HandoverSwapFailed(slot=slot, instance_id=instance_id, is_back=swap.is_back, error=error)
    )


def _of_intent(draft: Draft, intent: Intent) -> tuple[SlotId, Swapping, InstanceId] | None:
    """Find the swap that an intent is of; None: the slot has gone on without."""
    record = None if intent.slot is None else draft.records.get(intent.slot)
    if record is None or record.swap is None or record.swap.done_at is not None:
        return None
    tenure = record.tenure
    if tenure is None or tenure.instance_id is None or tenure.instance_id != intent.instance_id:
        return None
    return record.slot, record.swap, tenure.instance_id


# --- what viewers see -------------------------------------------------------------------------------


def is_patient(draft: Draft, slot: SlotId) -> bool:
    """Whether the dark moment between two hosts is one that was decided on, and not too long yet."""
    record = draft.records[slot]
    swap = record.swap
    is_seen = record.tenure is not None and record.tenure.first_live_at is not None
    if swap is None or swap.is_back or is_seen:
        return False
    return swap.done_at is None or draft.now < later(swap.done_at, swap.bound_s)


def watch(draft: Draft, slot: SlotId) -> None:
    """Note what was seen of the two hosts, and tell what viewers missed once it is known."""
    record = draft.records[slot]
    swap, coming, leaving = record.swap, record.tenure, record.incoming
    if swap is None or coming is None or leaving is None or swap.first_good_at is not None:
        return
    good_at = (*swap.good_at, *_good_looks(draft, coming))[-_LOOKS_MAX:]
    if swap.done_at is None:
        last = max((*_good_looks(draft, leaving), swap.last_good_at or swap.since))
        after = replace(swap, good_at=good_at, last_good_at=last)
    else:
        first = min((at for at in good_at if at > (swap.ended_at or swap.since)), default=None)
        after = replace(swap, good_at=() if first else good_at, first_good_at=first)
        if first is not None and not swap.is_back:
            _tell_gap(draft, slot, coming, leaving, elapsed_s(swap.last_good_at or first, first))
    if after != swap:
        draft.records[slot] = replace(record, swap=after)


def _good_looks(draft: Draft, tenure: Tenure) -> tuple[datetime, ...]:
    assert tenure.instance_id is not None, "a host without an id is not swapped"
    return tuple(
        reading.at
        for reading in draft.readings.get(tenure.instance_id, ())
        if reading.subject is Subject.PICTURE and reading.status is Status.TRUE
    )


def _tell_gap(draft: Draft, slot: SlotId, new: Tenure, old: Tenure, gap_s: float) -> None:
    stream = draft.declared(slot)
    assert new.instance_id is not None, "a host without an id has no picture"
    if stream is None or old.instance_id is None:
        return
    draft.tell(
        HandoverSwapped(
            slot=slot,
            instance_id=new.instance_id,
            leaving_id=old.instance_id,
            publishers=stream.publishers,
            gap_s=max(0.0, gap_s),
        )
    )


# --- the end ----------------------------------------------------------------------------------------


def conclude(draft: Draft, slot: SlotId) -> None:
    """Let the new host stay, and end the old one: viewers have seen enough of the new one (I11)."""
    record = draft.records[slot]
    old, new = record.tenure, record.incoming
    if record.swap is None:
        if old is not None and new is not None and new.first_live_at is not None:
            seen_until = _last_good_at(draft, record, old)
            _tell_gap(draft, slot, new, old, elapsed_s(seen_until, new.first_live_at))
        retire(draft, slot, Seat.TENURE, Reason.SUPERSEDED)
        return
    left = record.incoming
    draft.records[slot] = replace(
        record,
        swap=None,
        keepsake=(left.keepsake if left is not None else "") or record.keepsake,
        remedies=(),  # they were of the host that goes
        forgiven_at=(),
        restart_asked_at=None,
        replace_asked_at=None,
        next_rent_at=None,
        offer_misses=0,
    )
    retire(draft, slot, Seat.INCOMING, Reason.SUPERSEDED)
