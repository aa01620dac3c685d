"""Last of all: what the tick leaves rented costs so much from now on. Written when that has changed."""

from __future__ import annotations

from dataclasses import replace

from keeper.core.darkness import with_unseen
from keeper.core.draft import Draft
from keeper.core.drift import standing
from keeper.core.events import SpendCaughtUp
from keeper.core.flow import Flow, bill_of, bills_of_condemned, is_good, total_of
from keeper.core.fuses import is_paused
from keeper.core.meter import TOTAL, WRITE_APART_S, flowing, is_due, spent
from keeper.core.model import Mode, SlotId, Stream
from keeper.core.moments import elapsed_s
from keeper.core.windows import Allowance, strictest

# A ledger is written as rarely as this while nothing changes; a longer gap is worth a word.
_AWAY_S = 2 * WRITE_APART_S


def keep(draft: Draft) -> None:
    """Bring the ledger up to now where it must be written; else leave it alone."""
    _note_drift(draft)
    _note_empty(draft)
    flow = _flow(draft)
    away_s = _away_s(draft)
    if away_s or is_due(draft.world.meter, flow, draft.now):
        draft.note(flowing(draft.ledger, flow))
    if away_s:
        dollars = spent(draft.ledger, TOTAL).dollars - spent(draft.world.meter, TOTAL).dollars
        draft.tell(SpendCaughtUp(duration_s=away_s, dollars=dollars))


def _note_drift(draft: Draft) -> None:
    """Remember whether the account pays something else than the prices that are counted."""
    account, known = draft.world.account, draft.world.meter.drift
    stands = standing(known, None if account is None else account.compared, draft.now)
    if stands is not known:
        draft.note(replace(draft.ledger, drift=stands))


def _note_empty(draft: Draft) -> None:
    """Remember when the account was last seen empty: the next process must know why hosts went down."""
    account, known = draft.world.account, draft.world.meter.empty_at
    if account is not None and account.empty_at not in (None, known):
        draft.note(replace(draft.ledger, empty_at=account.empty_at))


def _flow(draft: Draft) -> Flow:
    """Return what everything costs now. Of good pictures only those count that end a darkness."""
    paused = _slots_in_a_persons_hands(draft)
    bills = []
    looked_at = {}
    for slot, record in draft.records.items():
        sound = draft.undisturbed.get(slot)
        if sound is not None and sound.record is record:
            bills.append(sound.bill)
            continue
        if slot in draft.slots:
            looked_at[slot] = draft.slots[slot]
        if (bill := bill_of(record, draft.listed, paused)) is not None:
            bills.append(bill)
    good = (slot for slot in draft.world.meter.dark if slot in draft.records)
    flow = draft.standing.answer(
        total_of,
        tuple(bills),
        bills_of_condemned(draft.condemned.values(), draft.listed, paused),
        frozenset(slot for slot in good if is_good(draft.records[slot], draft.now)),
    )
    return with_unseen(flow, looked_at, draft.records, draft.now)


def _away_s(draft: Draft) -> float:
    """Return how long nobody counted, if that was for long and something was rented."""
    since, started_at = draft.world.meter.metered_at, draft.world.started_at
    is_paying = any(each.dollars_per_hour for each in draft.world.meter.rates.values())
    if since is None or started_at is None or not is_paying:
        return 0.0
    away_s = elapsed_s(since, started_at)
    return away_s if away_s >= _AWAY_S else 0.0


def _slots_in_a_persons_hands(draft: Draft) -> frozenset[SlotId]:
    """Return the slots that get no other host by a person's word: paused, watched, or in a window."""
    world = draft.world
    if world.pause is not None and is_paused(world.pause, draft.now):
        return frozenset(draft.records)
    left = [slot for each in draft.streams if _is_left_alone(draft, each) for slot in each.slots]
    if not world.slot_pauses and not left:
        return frozenset()
    paused = (slot for slot, pause in world.slot_pauses.items() if is_paused(pause, draft.now))
    return frozenset((*paused, *left))


def _is_left_alone(draft: Draft, stream: Stream) -> bool:
    """Whether a mode or an open window lets no slot of a stream have another host."""
    if stream.mode is not Mode.ACT or not draft.world.windows:
        return stream.mode is not Mode.ACT
    window = strictest(draft.world.windows, stream.name, draft.now)
    return window is not None and window.allow is not Allowance.REPLACE
