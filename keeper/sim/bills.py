"""What the marketplace has billed, and when a cap left no more room. It shares no code with keeper's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from keeper.sim.evidence import Evidence, Span
from keeper.sim.ledger import Change, Rental

_STEP_S = 300.0
# Before a cap is reached room must be left for an hour's use and a quarter of an hour's end.
_ROOM_S = 4500.0


def price_at(rental: Rental, at: float) -> float:
    """Return what a rental cost an hour while running, at a time."""
    known = [c.dollars_per_hour for c in rental.changes if c.at <= at and c.dollars_per_hour]
    return known[-1] if known else rental.dollars_per_hour


def dollars_between(rental: Rental, since: float, until: float) -> float:
    """Return what a rental was billed in a stretch; between two changes it costs evenly."""
    return _dollars_at(rental, until) - _dollars_at(rental, since)


def _dollars_at(rental: Rental, at: float) -> float:
    """Return the bill at a time, from the changes around it."""
    before = Change(at=rental.created_at, what="", by="", dollars=0.0)
    for change in rental.changes:
        if change.at > at:
            passed = (at - before.at) / max(change.at - before.at, 1e-9)
            return before.dollars + max(0.0, passed) * (change.dollars - before.dollars)
        before = change
    if rental.ended_at is not None:
        return before.dollars
    # Alive and unchanged since: what is billed by now came evenly, if it came by then at all.
    return before.dollars + max(0.0, at - before.at) / 3600.0 * _burns(rental, before)


def _burns(rental: Rental, latest: Change) -> float:
    """Return dollars an hour since the latest change; what stands still pays for its disk alone."""
    return 0.0 if latest.what in {"stopped", "offline"} else price_at(rental, latest.at)


def days(seen: Evidence) -> Iterator[Span]:
    """Yield the days of UTC that a run touches."""
    day = datetime.fromtimestamp(seen.began_at, UTC).replace(hour=0, minute=0, second=0)
    while day.timestamp() < seen.ended_at:
        yield day.timestamp(), min((day + timedelta(days=1)).timestamp(), seen.ended_at)
        day += timedelta(days=1)


def months(seen: Evidence) -> Iterator[Span]:
    """Yield the months of UTC that a run touches."""
    first = datetime.fromtimestamp(seen.began_at, UTC).replace(day=1, hour=0, minute=0, second=0)
    while first.timestamp() < seen.ended_at:
        following = (first + timedelta(days=32)).replace(day=1)
        yield first.timestamp(), min(following.timestamp(), seen.ended_at)
        first = following


def stream_of(seen: Evidence, rental: Rental) -> str:
    """Return the stream that a rental was made for."""
    return (seen.slot_of(rental.label) or "").rpartition("/")[0]


def curbed(seen: Evidence) -> tuple[Span, ...]:
    """Return when the caps of a day, a month or the whole run left no room for another host."""
    return seen.remembered("curbed", lambda each: tuple(_curbed(each)))


def _curbed(seen: Evidence) -> Iterator[Span]:
    limits = seen.bounds.price_max_dollars_per_hour
    for name, caps in seen.bounds.caps.items():
        rentals = [r for r in seen.ours if not name or stream_of(seen, r) == name]
        room = (limits.get(name, 0.0) if name else sum(limits.values())) * _ROOM_S / 3600.0
        for dollars, spans in (
            (caps.per_day, days(seen)),
            (caps.per_month, months(seen)),
            (caps.total, iter([(seen.began_at, seen.ended_at)])),
        ):
            for since, until in spans if dollars is not None else ():
                at = since
                while at < until:
                    billed = sum(dollars_between(rental, since, at) for rental in rentals)
                    if dollars is not None and billed + room > dollars:
                        yield at, until
                        break
                    at += _STEP_S
