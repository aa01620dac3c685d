"""What the marketplace has billed, and when a cap left no more room. It shares no code with keeper's."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from keeper.sim.evidence import SET_STATE, Caps, Evidence, Span, between
from keeper.sim.ledger import Change, Rental
from keeper.sim.stalls import cheapest, dearest

_STEP_S = 300.0
_TOLD_S = 20.0  # lists lag behind the truth, and are read in a moment
# Where a cap leaves no room for what is on the market, that is looked at again within this.
_LOOK_S = 750.0
# Before a cap is reached room must be left for an hour's use and a quarter of an hour's end.
_ROOM_S = 4500.0
# Hosts are ended when what is left pays for a quarter of an hour; and a look takes its time.
_END_S = 1200.0
# keeper cannot know less than the bill, and may count a little more: loading is free, and is counted.
_COUNTED_RATIO, _COUNTED_DOLLARS = 1.03, 0.1
_SAME_DOLLARS = 0.0001
# keeper forgets what was dark after a good minute, which begins with its second good look.
_LIT_S = 120.0
# A rental is counted until its end is confirmed by two lists.
_CONFIRMED_S = 45.0
_OTHER_TERMS = (
    "bid",
    "end moved",
    "price raised",
    "unlisted",
)  # what stands still goes on doing so


def price_at(rental: Rental, at: float) -> float:
    """Return what a rental cost an hour while running, at a time."""
    index = bisect_right(rental.changes, at, key=lambda change: change.at)
    for change in reversed(rental.changes[:index]):
        if change.dollars_per_hour:
            return change.dollars_per_hour
    return rental.dollars_per_hour


def dollars_between(rental: Rental, since: float, until: float) -> float:
    """Return what a rental was billed in a stretch; between two changes it costs evenly."""
    return _dollars_at(rental, until) - _dollars_at(rental, since)


def _dollars_at(rental: Rental, at: float) -> float:
    """Return the bill at a time, from the changes around it."""
    changes = rental.changes
    index = bisect_right(changes, at, key=lambda change: change.at)
    before = (
        changes[index - 1] if index else Change(at=rental.created_at, what="", by="", dollars=0.0)
    )
    if index < len(changes):
        passed = (at - before.at) / max(changes[index].at - before.at, 1e-9)
        return before.dollars + max(0.0, passed) * (changes[index].dollars - before.dollars)
    if rental.ended_at is not None:
        return before.dollars
    # Alive and unchanged since: what is billed by now came evenly, if it came by then at all.
    return before.dollars + max(0.0, at - before.at) / 3600.0 * _burns(rental, before)


def _burns(rental: Rental, latest: Change) -> float:
    """Return dollars an hour since the latest change; what stands still pays for its disk alone."""
    if latest.what == "offline":
        return 0.0
    is_still = latest.what == "stopped"
    return rental.disk_dollars_per_hour if is_still else price_at(rental, latest.at)


def stands_still(seen: Evidence, rental: Rental, at: float) -> bool:
    """Whether a rental stands still by keeper's own order, and was not told to start since.

    As far as anybody can know: what others have started still passes for it until a list tells.
    """
    orders = seen.calls.get(SET_STATE, ())
    if not orders:
        return False
    index = bisect_right(rental.changes, at, key=lambda change: change.at)
    states = [change for change in rental.changes[:index] if change.what in {"stopped", "running"}]
    if states and states[-1].what == "running":
        if between(seen.clean_listings, states[-1].at, at - _TOLD_S):
            return False
        states.pop()
    if not states or states[-1].what != "stopped" or states[-1].by != "account":
        return False
    since = states[-1].at
    return not any(
        request.instance_id == rental.instance_id
        and request.state == "running"
        and since < request.at <= at
        for request in orders
    )


def price_due(seen: Evidence, rental: Rental, at: float) -> float:
    """Return what a rental may cost an hour: its disk alone where keeper has it stand still."""
    if stands_still(seen, rental, at):
        return rental.disk_dollars_per_hour
    return price_at(rental, at)


def rate_at(seen: Evidence, rentals: Iterable[Rental], at: float) -> float:
    """Return what the rentals that live may cost an hour together."""
    return sum(
        price_due(seen, rental, at)
        for rental in rentals
        if rental.created_at <= at and (rental.ended_at is None or rental.ended_at > at)
    )


# --- days and months, by keeper's own clock -----------------------------------------------------------


Spans = tuple[Span, ...]


def days(seen: Evidence) -> Iterator[Spans]:
    """Yield the days of UTC that a run touches; a clock that is stepped may take one up again."""
    return _periods(seen, "%Y-%m-%d")


def months(seen: Evidence) -> Iterator[Spans]:
    """Yield the months of UTC that a run touches."""
    return _periods(seen, "%Y-%m")


def _periods(seen: Evidence, name: str) -> Iterator[Spans]:
    found: dict[str, list[Span]] = {}
    moments = [(seen.began_at, 0.0), *seen.clock_steps]
    ahead_s = 0.0
    ends = [*(at for at, _ in moments[1:]), seen.ended_at]
    for (since, step_s), until in zip(moments, ends, strict=True):
        ahead_s += step_s
        at = since
        while at < until:
            midnight = ((at + ahead_s) // 86_400.0 + 1) * 86_400.0 - ahead_s
            period = datetime.fromtimestamp(at + ahead_s, UTC).strftime(name)
            found.setdefault(period, []).append((at, min(midnight, until)))
            at = midnight
    return (tuple(spans) for spans in found.values())


def billed(rentals: Iterable[Rental], spans: Spans, until: float = float("inf")) -> float:
    """Return what rentals were billed in these stretches, up to a time."""
    return sum(
        dollars_between(rental, since, min(to, until))
        for rental in rentals
        for since, to in spans
        if since < until and rental.created_at < to
    )


def stream_of(seen: Evidence, rental: Rental) -> str:
    """Return the stream that a rental was made for."""
    return (seen.slot_of(rental.label) or "").rpartition("/")[0]


# --- when a cap leaves no room -----------------------------------------------------------------------


def curbed(seen: Evidence, stream: str) -> tuple[Span, ...]:
    """Return when a cap of a stream, or of all, left no room for the cheapest host on the market.

    And until it was time to look at the market again, if what is there may have become cheaper.
    """
    return seen.remembered(f"curbed {stream}", _curbed, stream)


def _curbed(seen: Evidence, stream: str) -> tuple[Span, ...]:
    found: list[Span] = []
    most = dearest(seen, stream)  # where this fits, nobody need look for the cheapest
    for name in ("", stream):
        caps = seen.bounds.caps.get(name)
        if caps is None:
            continue
        rentals = _of(seen, name)
        if caps.per_hour is not None and _may_bind(seen, name, caps.per_hour):
            steps = (
                (at, rate_at(seen, rentals, at)) for at in _steps(seen.began_at, seen.ended_at)
            )
            found += (
                (at, at + _STEP_S + _LOOK_S)
                for at, rate in steps
                if rate + most > caps.per_hour and rate + cheapest(seen, stream, at) > caps.per_hour
            )
        for dollars, spans in _dated(seen, caps):
            found += _shut(seen, stream, rentals, dollars, spans)
    return tuple(sorted(found))


def _shut(
    seen: Evidence, stream: str, rentals: Sequence[Rental], dollars: float, spans: Spans
) -> Iterator[Span]:
    """Yield when so many dollars of a period left no room; once it does not, it does not again."""
    is_shut, most = False, dearest(seen, stream)
    for since, until in spans:
        for at in _steps(since, until):
            if not is_shut:
                used, rate = _counted(seen, rentals, spans, at), rate_at(seen, rentals, at)
                is_shut = used + _needed(rate + most) > dollars and (
                    used + _needed(rate + cheapest(seen, stream, at)) > dollars
                )
            if is_shut:
                yield at, min(at + _STEP_S, until)


def _needed(dollars_per_hour: float) -> float:
    return dollars_per_hour * _ROOM_S / 3600.0


def is_stopping(seen: Evidence, slot: str | None, at: float) -> bool:
    """Whether a cap was so nearly used up that hosts are ended for it."""
    stream = (slot or "").rpartition("/")[0]
    for name in ("", stream):
        rentals, caps = _of(seen, name), seen.bounds.caps.get(name, Caps())
        for dollars, spans in _dated(seen, caps):
            if any(since <= at <= until for since, until in spans):
                counted = _counted(seen, rentals, spans, at) + _unbilled(rentals, spans, at)
                left = dollars - counted
                if left < rate_at(seen, rentals, at - 1.0) * _END_S / 3600.0:
                    return True
    return False


def _counted(seen: Evidence, rentals: Sequence[Rental], spans: Spans, until: float) -> float:
    """Return the most that keeper may have counted in these stretches by a time.

    A clock that leaps ahead looks like a box that slept while its rentals ran: keeper counts the leap.
    """
    leapt = sum(
        rate_at(seen, rentals, at) * step_s / 3600.0
        for at, step_s in seen.clock_steps
        if step_s > 0 and at <= until and any(begins <= at <= ends for begins, ends in spans)
    )
    return billed(rentals, spans, until) * _COUNTED_RATIO + _COUNTED_DOLLARS + leapt


def _unbilled(rentals: Iterable[Rental], spans: Spans, until: float) -> float:
    """Return what rentals would have cost beyond their bill that loaded or were offline: it is counted.

    Loading costs the disk, being offline nothing. Where windows and modes keep such hosts for hours, or
    one after the other comes to nothing, that is more than a few per cent of a day.
    """
    return sum(
        _unbilled_between(rental, since, min(to, until))
        for rental in rentals
        for since, to in spans
        if since < until and rental.created_at < to
    )


def _unbilled_between(rental: Rental, since: float, until: float) -> float:
    until = until if rental.ended_at is None else min(until, rental.ended_at)
    marks = [(rental.created_at, ""), *((c.at, c.what) for c in rental.changes), (until, "")]
    total, is_still = 0.0, False
    for (at, what), (then, _) in pairwise(marks):
        is_still = what == "stopped" or (is_still and what in _OTHER_TERMS)
        begins, ends = max(at, since), min(then, until)
        if begins >= ends or is_still:
            continue
        hours, paid = (ends - begins) / 3600.0, dollars_between(rental, begins, ends)
        if paid < rental.disk_dollars_per_hour * hours + _SAME_DOLLARS:
            total += price_at(rental, begins) * hours - paid
    return total


def dark_dollars(seen: Evidence, stream: str, at: float) -> float:
    """Return the most that keeper may have counted for a stream since the last good minutes of its slots."""
    total = _COUNTED_DOLLARS
    for slot in seen.slots:
        if slot.rpartition("/")[0] != stream:
            continue
        lit = [end for begin, end in seen.slot_on_air(slot) if begin < at and end - begin >= _LIT_S]
        spans = ((min(max(lit, default=seen.began_at), at), at),)
        rentals = seen.rentals.get(slot, ())
        counted = _counted(seen, rentals, spans, at) + _unbilled(rentals, spans, at)
        ends = (each for each in rentals if spans[0][0] < (each.ended_at or at) < at)
        total += counted - _COUNTED_DOLLARS
        total += sum(price_at(each, each.ended_at or at) * _CONFIRMED_S / 3600.0 for each in ends)
    return total


def _of(seen: Evidence, name: str) -> Sequence[Rental]:
    return [r for r in seen.ours if not name or stream_of(seen, r) == name]


def _may_bind(seen: Evidence, name: str, per_hour: float) -> bool:
    """Whether a cap an hour is not far above all that the slots may cost, with one more."""
    limits = seen.bounds.price_max_dollars_per_hour
    counts = {k: v for k, v in seen.desired.items() if not name or k == name}
    most = sum((count + 1) * limits.get(each, 0.0) for each, count in counts.items())
    return per_hour < most * seen.bounds.drift_ratio


def _dated(seen: Evidence, caps: Caps) -> Iterator[tuple[float, Spans]]:
    if caps.per_day is not None:
        yield from ((caps.per_day, spans) for spans in days(seen))
    if caps.per_month is not None:
        yield from ((caps.per_month, spans) for spans in months(seen))
    if caps.total is not None:
        yield caps.total, ((seen.began_at, seen.ended_at),)


def _steps(since: float, until: float) -> Iterator[float]:
    at = since
    while at < until:
        yield at
        at += _STEP_S
