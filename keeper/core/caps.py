"""Caps on dollars: per UTC day, per month and in total, of each stream and of the fleet (I4, I6).

At every instant what was spent, what is committed and what may still be in flight stays below every
cap. Two rules see to it: a new spend must fit for ``spend_reserve_s`` more (``crossed``), and hosts are
ended while what is left still pays for their end (``curb``). Rates per hour are capped in rent.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import fsum

from keeper.core.meter import TOTAL, Meter, day_ends_at, day_of, month_ends_at, month_of, spent
from keeper.core.model import FleetPolicy, Stream, StreamName
from keeper.core.moments import elapsed_s

_HOUR_S = 3600.0
# Sums of binary fractions: a millionth of a cent is no crossing.
_GRAIN_DOLLARS = 1e-8


class Span(StrEnum):
    """The periods that a cap can be for."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


_WORDS = {Span.DAY: "the day", Span.MONTH: "the month", Span.TOTAL: "all time"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """So many dollars for one stream, or for the fleet (None), in one period."""

    stream: StreamName | None
    span: Span
    dollars: float

    @property
    def whose(self) -> str:
        """Whose money it is, in words."""
        return "the fleet" if self.stream is None else self.stream

    @property
    def words(self) -> str:
        """What it is for, in words: "$5.00 for the day"."""
        return f"${self.dollars:.2f} for {_WORDS[self.span]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed:
    """A no of a limit: which, what is used, and when it is free again, if that is known."""

    sentence: str
    until: datetime | None = None
    stream: StreamName | None = None  # whose limit; None: the fleet's


def caps_of(whose: Stream | FleetPolicy) -> tuple[Cap, ...]:
    """Return the caps that are set, the shortest period first."""
    stream = whose.name if isinstance(whose, Stream) else None
    given = (
        (Span.DAY, whose.spend_max_dollars_per_day),
        (Span.MONTH, whose.spend_max_dollars_per_month),
        (Span.TOTAL, whose.spend_max_dollars_total),
    )
    return tuple(
        Cap(stream=stream, span=span, dollars=dollars)
        for span, dollars in given
        if dollars is not None
    )


def every_cap(fleet: FleetPolicy, streams: tuple[Stream, ...]) -> tuple[Cap, ...]:
    """Return all caps: the streams' own, then the fleet's."""
    of_streams = (cap for stream in streams for cap in caps_of(stream))
    return (*of_streams, *caps_of(fleet))


def period_of(span: Span, now: datetime) -> str:
    """Name the period that a moment lies in, as the ledger does."""
    match span:
        case Span.DAY:
            return day_of(now)
        case Span.MONTH:
            return month_of(now)
        case Span.TOTAL:
            return TOTAL


def ends_at(span: Span, now: datetime) -> datetime | None:
    """Return when the period is over; None: never."""
    match span:
        case Span.DAY:
            return day_ends_at(now)
        case Span.MONTH:
            return month_ends_at(now)
        case Span.TOTAL:
            return None


def key_of(cap: Cap, now: datetime) -> str:
    """Name a cap in its present period; what is remembered of it is over with the period."""
    return f"{cap.stream or ''}/{cap.span.value}@{period_of(cap.span, now)}"


def used_dollars(ledger: Meter, cap: Cap, now: datetime) -> float:
    """Return what has been spent of a cap. The ledger has been caught up."""
    return spent(ledger, period_of(cap.span, now), cap.stream).dollars


def hours_ahead(cap: Cap, now: datetime, horizon_s: float) -> float:
    """Return how far ahead a horizon reaches within the cap's period: what comes after is not its."""
    end = ends_at(cap.span, now)
    return (horizon_s if end is None else min(horizon_s, elapsed_s(now, end))) / _HOUR_S


def committed_to(cap: Cap, committed: Mapping[StreamName | None, float]) -> float:
    """Return the dollars per hour that already run against a cap."""
    return fsum(committed.values()) if cap.stream is None else committed.get(cap.stream, 0.0)


def is_stopped(ledger: Meter, cap: Cap, now: datetime) -> bool:
    """Say whether a hard stop holds: its period is not over, and the cap has not been raised."""
    stop = ledger.stops.get(key_of(cap, now))
    return stop is not None and cap.dollars <= stop.cap_dollars


def crossed(
    ledger: Meter,
    caps: tuple[Cap, ...],
    committed: Mapping[StreamName | None, float],
    more_dollars_per_hour: float,
    now: datetime,
    reserve_s: float,
    once_dollars: float = 0.0,
) -> Crossed | None:
    """Say which cap one more spend would cross, if everything costs on for the reserve's time.

    ``once_dollars`` is what it costs beside its rate, all of it soon.
    """
    for cap in caps:
        used = used_dollars(ledger, cap, now)
        if is_stopped(ledger, cap, now):
            return Crossed(
                sentence=f"{cap.whose} has used ${used:.2f} of its {cap.words}, and was stopped for"
                f" it; {free_again(cap, now)}",
                until=ends_at(cap.span, now),
                stream=cap.stream,
            )
        hours = hours_ahead(cap, now, reserve_s)
        rate = committed_to(cap, committed) + more_dollars_per_hour
        if used + once_dollars + rate * hours > cap.dollars + _GRAIN_DOLLARS:
            return Crossed(
                sentence=f"{cap.whose} has used ${used:.2f} of its {cap.words}, and"
                f" ${rate:.3f}/h for {_hours(hours)} more would cross it; {free_again(cap, now)}",
                until=ends_at(cap.span, now),
                stream=cap.stream,
            )
    return None


def free_again(cap: Cap, now: datetime) -> str:
    """Say when there is room again."""
    end = ends_at(cap.span, now)
    if end is None:
        return "it is free again when the cap is raised"
    return f"it is free again at {end:%Y-%m-%d %H:%M} UTC, or when the cap is raised"


def _hours(hours: float) -> str:
    return f"{hours:.3g} h" if hours >= 1 else f"{hours * 60:.0f} min"
