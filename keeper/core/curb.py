"""The hard stop: hosts end while what is left of a cap still pays for their end (I4, I11).

One by one, the least useful first, so that the rest gets as much out of the money as there is: first
spares, then replacements that do not serve yet, then hosts that show no picture, then the dearest of
those on air, whose end buys the others the most time. What was stopped stays so until its period is
over or its cap is raised; where only a host goes that costs more than its stream allows, nothing is stopped.
A pause, a mode, a mass failure and a stop of keeper keep even this from happening (I12); then a person is
told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from math import fsum

from keeper.core.caps import (
    Cap,
    committed_to,
    every_cap,
    hours_ahead,
    is_stopped,
    key_of,
    used_dollars,
)
from keeper.core.case import Proposal, Wish
from keeper.core.draft import Draft, Seat
from keeper.core.events import BudgetFreed, BudgetStopped, BudgetWarned
from keeper.core.flow import is_on_air, owed_dollars_per_hour
from keeper.core.fuses import refuse
from keeper.core.meter import Stop, Warned
from keeper.core.model import Condemned, SlotId, StreamName, Tenure, is_spare, stream_of
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.retire import retire
from keeper.core.spend import committed_by_stream

_HOUR_S = 3600.0
# A destroy is given so long to be heard before its rental counts again as one that costs on.
_HEARD_S = 60.0
# An act under way, or a create whose answer is not known: look again soon.
_AGAIN_S = 5.0
_SOON_OVER = frozenset({Reason.ACT_IN_FLIGHT, Reason.CREATE_UNSETTLED})
# A pause, a mode, a mass failure: each tells when it is over, and may go on for days.
_HELD_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Host:
    """One rental of a slot that could be ended."""

    slot: SlotId
    seat: Seat
    tenure: Tenure
    dollars_per_hour: float
    usefulness: int  # -1: a spare; 0: does not serve yet; 1: shows no picture; 2: on air

    @property
    def order(self) -> tuple[int, float, SlotId]:
        """The least useful first, and among equals the dearest."""
        return self.usefulness, -self.dollars_per_hour, self.slot


def curb(draft: Draft) -> None:
    """Warn of caps that are nearly used, and end hosts before one is crossed."""
    caps = draft.standing.answer(every_cap, draft.fleet, draft.streams)
    if draft.world.meter.stops or draft.world.meter.warned:
        _forget_past(draft, caps)
    if not caps:
        return
    committed = committed_by_stream(draft.records.values(), draft.condemned.values())
    for cap in caps:
        used = used_dollars(draft.ledger, cap, draft.now)
        # Without what went for another cap.
        rented = committed_by_stream(draft.records.values(), ())
        _warn(draft, cap, used, committed_to(cap, committed))
        if (rate := committed_to(cap, rented)) > 0:
            _stop(draft, cap, used, rate)


def _forget_past(draft: Draft, caps: tuple[Cap, ...]) -> None:
    """Forget what was said and stopped in periods that are over, and for caps that were raised."""
    ledger = draft.ledger
    live = {key_of(cap, draft.now): cap for cap in caps}
    stops = {
        key: stop
        for key, stop in ledger.stops.items()
        if key in live and is_stopped(ledger, live[key], draft.now)
    }
    warned = {key: each for key, each in ledger.warned.items() if key.rpartition(":")[0] in live}
    if len(stops) == len(ledger.stops) and len(warned) == len(ledger.warned):
        return
    for key in sorted(ledger.stops.keys() - stops.keys()):
        stream, _, span = key.partition("@")[0].rpartition("/")
        draft.tell(BudgetFreed(stream=StreamName(stream) if stream else None, period=span))
    draft.note(replace(ledger, stops=stops, warned=warned))


# --- warnings ---------------------------------------------------------------------------------------


def _warn(draft: Draft, cap: Cap, used: float, rate: float) -> None:
    """Say once per period that so much of a cap is used, and when all of it will be."""
    coming = [ratio for ratio in draft.fleet.spend_warn_ratios if used < ratio * cap.dollars]
    if coming:
        share = replace(cap, dollars=min(coming) * cap.dollars)
        draft.wake(reached_at(share, used, rate, draft.now))
    reached = [ratio for ratio in draft.fleet.spend_warn_ratios if used >= ratio * cap.dollars]
    if not reached:
        return
    key = warned_key(cap, draft.now)
    before = draft.ledger.warned.get(key)
    if before is not None and before.ratio >= max(reached):
        return
    warned = Warned(
        ratio=max(reached),
        at=draft.now,
        dollars=used,
        reached_at=reached_at(cap, used, rate, draft.now),
    )
    draft.note(replace(draft.ledger, warned={**draft.ledger.warned, key: warned}))
    draft.tell(
        BudgetWarned(
            stream=cap.stream,
            period=cap.span.value,
            ratio=warned.ratio,
            dollars=used,
            cap_dollars=cap.dollars,
            reached_at=warned.reached_at,
        )
    )


def warned_key(cap: Cap, now: datetime) -> str:
    """Name a cap of so many dollars in its present period: another cap is warned of anew."""
    return f"{key_of(cap, now)}:{cap.dollars:g}"


def reached_at(cap: Cap, used: float, rate: float, now: datetime) -> datetime | None:
    """Return when a cap is used up at this rate; None: not in its period."""
    if used >= cap.dollars:
        return now
    if rate <= 0:
        return None
    hours = (cap.dollars - used) / rate
    if hours > hours_ahead(cap, now, _FOREVER_S):
        return None
    return later(now, hours * _HOUR_S)


# Beyond this a forecast is no date.
_FOREVER_S = 10 * 365 * 86_400.0


# --- the stop ---------------------------------------------------------------------------------------


def _stop(draft: Draft, cap: Cap, used: float, rented: float) -> None:
    hours = hours_ahead(cap, draft.now, draft.fleet.spend_end_s)
    rate = rented + fsum(each.dollars_per_hour for each in _unheard(draft, cap))
    if used + rate * hours < cap.dollars:
        _wake_at_the_edge(draft, cap, used, rate, hours)
        return
    hosts = sorted(_hosts(draft, cap), key=lambda host: host.order)
    ended: list[SlotId] = []
    kept: dict[Reason, SlotId] = {}
    soon = 0.0
    for host in hosts:
        if used + rate * hours < cap.dollars:
            break
        why_not = _end(draft, host)
        if why_not is None:
            rate -= host.dollars_per_hour
            ended.append(host.slot)
        else:
            kept.setdefault(why_not, host.slot)
            soon += host.dollars_per_hour if why_not in _SOON_OVER else 0.0
    if kept:
        is_soon = not kept.keys().isdisjoint(_SOON_OVER)
        draft.wake(later(draft.now, _AGAIN_S if is_soon else _HELD_AGAIN_S))
    # With room for one more host at the stream's limit the cap is not used up: what went had become too dear.
    # (A price that was raised thirtyfold darkened two slots for the rest of a day.)
    has_room = used + (rate - soon + _dearest_allowed(draft, cap)) * hours < cap.dollars
    is_in_hand = kept.keys() <= _SOON_OVER
    if not (has_room and is_in_hand) and not is_stopped(draft.ledger, cap, draft.now):
        _note_stop(draft, cap, used, ended, kept)


def _dearest_allowed(draft: Draft, cap: Cap) -> float:
    """Return the most that one host may cost an hour, of those that a cap pays for."""
    whose = (each for each in draft.streams if cap.stream in {None, each.name})
    return max((each.needs.price_max_dollars_per_hour for each in whose), default=0.0)


def _hosts(draft: Draft, cap: Cap) -> Iterator[_Host]:
    for slot, record in draft.records.items():
        if cap.stream is not None and stream_of(slot) != cap.stream:
            continue
        for seat, tenure in ((Seat.INCOMING, record.incoming), (Seat.TENURE, record.tenure)):
            if tenure is None:
                continue
            is_lit = is_on_air(record)
            yield _Host(
                slot=slot,
                seat=seat,
                tenure=tenure,
                dollars_per_hour=owed_dollars_per_hour(tenure),
                usefulness=-1
                if is_spare(slot)
                else 0
                if seat is Seat.INCOMING and is_lit
                else 2
                if is_lit
                else 1,
            )


def _unheard(draft: Draft, cap: Cap) -> Iterator[Condemned]:
    """Yield what must end and has not said so: it may cost for as long as any other."""
    for each in draft.condemned.values():
        owner = None if each.slot is None else stream_of(each.slot)
        if cap.stream is not None and owner != cap.stream:
            continue
        if each.accepted_at is None and elapsed_s(each.condemned_at, draft.now) >= _HEARD_S:
            yield each


def _wake_at_the_edge(draft: Draft, cap: Cap, used: float, rate: float, hours: float) -> None:
    left_s = ((cap.dollars - used) / rate - hours) * _HOUR_S
    if left_s < _FOREVER_S:
        draft.wake(later(draft.now, left_s))


def _end(draft: Draft, host: _Host) -> Reason | None:
    """End one host; returns why not, if it cannot be."""
    if host.slot in draft.world.held_slots:
        return Reason.SLOT_HELD_BY_BUG
    if host.slot in draft.world.in_flight or host.slot in draft.decided:
        return Reason.ACT_IN_FLIGHT
    if host.tenure.instance_id is None:
        return Reason.CREATE_UNSETTLED
    proposal = Proposal(wish=Wish.REPLACE, reason=Reason.BUDGET, is_incoming=True)
    refusal = refuse(draft, host.slot, proposal)
    if refusal is not None:
        if refusal.until is not None and refusal.until > draft.now:
            draft.wake(refusal.until)
        return refusal.reason
    retire(draft, host.slot, host.seat, Reason.BUDGET)
    if host.seat is Seat.TENURE or draft.records[host.slot].tenure is None:
        draft.decided.add(host.slot)
    return None


def _note_stop(
    draft: Draft, cap: Cap, used: float, ended: list[SlotId], kept: dict[Reason, SlotId]
) -> None:
    stop = Stop(at=draft.now, cap_dollars=cap.dollars)
    stops = {**draft.ledger.stops, key_of(cap, draft.now): stop}
    draft.note(replace(draft.ledger, stops=stops))
    said = [f"ends {', '.join(ended)}"] if ended else []
    said += [f"cannot end {slot}: {SENTENCE[reason]}" for reason, slot in kept.items()]
    draft.tell(
        BudgetStopped(
            stream=cap.stream,
            period=cap.span.value,
            dollars=used,
            cap_dollars=cap.dollars,
            detail="; ".join(said)[:300],
        )
    )
