"""keeper's own ledger of dollars: by stream, by UTC day, by month, in total; good picture beside them.

What a rental costs at a moment, and which of them count, flow.py says.

Nothing is written while nothing changes. What was spent since ``metered_at`` follows from the rates,
which are durable with it: a tick that was not committed has not happened, and a gap in which keeper
was down costs what was rented when it began. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import fsum
from types import MappingProxyType
from typing import Any

from keeper.core.drift import Drifted
from keeper.core.flow import Flow, Rate
from keeper.core.model import SlotId, StreamName
from keeper.core.moments import elapsed_s

TOTAL = "total"
# A clock that is wrong by years must not invent a fortune: one gap counts for at most this long. It
# covers a weekend in which keeper was down.
GAP_MAX_S = 3 * 86_400.0
# A crash loses no dollars, only the good seconds since the last write; so this need not be short.
WRITE_APART_S = 900.0
_DAYS_KEPT = 62
_MONTHS_KEPT = 36
_HOUR_S = 3600.0
_NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one stream has cost in one period, and for how long its slots showed a picture."""

    dollars: float = 0.0
    good_s: float = 0.0
    dark_s: float = 0.0
    silent_s: float = 0.0  # the part of dark_s in which nothing but the sound was missing
    starting_s: float = 0.0  # before its first picture, as long as that may take
    spare_dollars: float = 0.0  # the part of the dollars that went into spares


@dataclass(frozen=True, slots=True, kw_only=True)
class Dark:
    """What one slot has cost since its last good minute of picture."""

    dollars: float = 0.0
    dollars_per_hour: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """The highest share of a cap that was told of, when, and when the cap is reached at that rate."""

    ratio: float
    at: datetime
    dollars: float
    reached_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A hard stop: nothing is rented again before the period is over or the cap is raised."""

    at: datetime
    cap_dollars: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """Everything that has been counted, and the rates since then. Durable."""

    metered_at: datetime | None = None
    clock_off_s: float = 0.0  # the sum of the clock's jumps, so that one that is undone is known
    jumped_on: str = ""  # the UTC day of these jumps; "" when it was not one day
    rates: Mapping[StreamName, Rate] = field(default_factory=dict)
    dark: Mapping[SlotId, Dark] = field(default_factory=dict)
    warned: Mapping[str, Warned] = field(default_factory=dict)  # by cap and period
    stops: Mapping[str, Stop] = field(default_factory=dict)  # by cap and period
    drift: Drifted | None = (
        None  # between this ledger's prices and the account, as long as it stands
    )
    # The last time that the account was seen without credit: what went down until then is not sick.
    empty_at: datetime | None = None
    tallies: Mapping[str, Mapping[StreamName, Tally]] = field(default_factory=dict)


# --- periods ----------------------------------------------------------------------------------------


def day_of(at: datetime) -> str:
    """Name the UTC day of a moment: "2026-11-21"."""
    return at.astimezone(UTC).date().isoformat()


def month_of(at: datetime) -> str:
    """Name the UTC month of a moment: "2026-11"."""
    return day_of(at)[:-3]


def day_ends_at(at: datetime) -> datetime:
    """Return the next UTC midnight."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=1)


def month_ends_at(at: datetime) -> datetime:
    """Return the first moment of the next UTC month."""
    first = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


# --- counting ---------------------------------------------------------------------------------------


def caught_up(meter: Meter, now: datetime, watched_from: datetime | None = None) -> Meter:
    """Add what was spent since ``metered_at``.

    ``watched_from`` says since when this process has looked: nobody knows whether a picture was good
    before. One that was bad stays so until somebody sees it good. What lies ahead of now was counted already, when the clock had leapt there (``shifted``).
    """
    since = meter.metered_at
    if since is not None and 0 <= (since - now).total_seconds() <= GAP_MAX_S:
        return meter
    if since is None or since > now or not meter.rates:
        return replace(meter, metered_at=now)
    since = max(since, now - timedelta(seconds=GAP_MAX_S))
    watched_from = since if watched_from is None else max(since, watched_from)
    tallies = dict(meter.tallies)
    for begin, end in _days_between(since, now):
        hours = (end - begin).total_seconds() / _HOUR_S
        good_s = elapsed_s(max(begin, watched_from), end)
        for period in (day_of(begin), month_of(begin), TOTAL):
            before = tallies.get(period, _NOTHING)
            tallies[period] = _added(before, meter.rates, hours, good_s)
    watched_hours = elapsed_s(watched_from, now) / _HOUR_S
    dark = {
        slot: replace(each, dollars=each.dollars + each.dollars_per_hour * watched_hours)
        if each.dollars_per_hour
        else each
        for slot, each in meter.dark.items()
    }
    if day_of(since) != day_of(now):
        tallies = _without_old(tallies, now)
    return replace(meter, metered_at=now, tallies=tallies, dark=dark)


def charged(
    meter: Meter, stream: StreamName, dollars: float, now: datetime, *, is_for_spare: bool
) -> Meter:
    """Add what was spent beside the rates, to the day and the month of now."""
    tallies = dict(meter.tallies)
    for period in (day_of(now), month_of(now), TOTAL):
        tally = tallies.get(period, _NOTHING).get(stream) or Tally()
        spare = tally.spare_dollars + dollars * is_for_spare
        more = replace(tally, dollars=tally.dollars + dollars, spare_dollars=spare)
        tallies[period] = {**tallies.get(period, _NOTHING), stream: more}
    return replace(meter, tallies=tallies)


def seen_since(
    meter: Meter,
    stream: StreamName,
    since: datetime,
    now: datetime,
    *,
    good: int = 0,
    dark: int = 0,
    silent: int = 0,
) -> Meter:
    """Count once more, of so many slots, a moment that was seen otherwise before it was believed."""
    tallies = dict(meter.tallies)
    for begin, end in _days_between(max(since, now - timedelta(seconds=GAP_MAX_S)), now):
        seconds = (end - begin).total_seconds()
        for period in (day_of(begin), month_of(begin), TOTAL):
            tally = tallies.get(period, _NOTHING).get(stream) or Tally()
            counted = replace(
                tally,
                good_s=max(0.0, tally.good_s + good * seconds),
                dark_s=tally.dark_s + dark * seconds,
                silent_s=tally.silent_s + silent * seconds,
            )
            tallies[period] = {**tallies.get(period, _NOTHING), stream: counted}
    return replace(meter, tallies=tallies)


def _days_between(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        end = min(day_ends_at(since), until)
        yield since, end
        since = end


def _added(
    before: Mapping[StreamName, Tally],
    rates: Mapping[StreamName, Rate],
    hours: float,
    good_s: float,
) -> Mapping[StreamName, Tally]:
    after = dict(before)
    all_s = hours * _HOUR_S
    for stream, rate in rates.items():
        tally = before.get(stream) or Tally()
        after[stream] = Tally(
            dollars=tally.dollars + rate.dollars_per_hour * hours,
            good_s=tally.good_s + rate.on_air * good_s,
            dark_s=tally.dark_s + rate.dark * all_s,
            silent_s=tally.silent_s + rate.silent * all_s,
            starting_s=tally.starting_s + rate.starting * all_s,
            spare_dollars=tally.spare_dollars + rate.spare_dollars_per_hour * hours,
        )
    return after


def _without_old(
    tallies: dict[str, Mapping[StreamName, Tally]], now: datetime
) -> dict[str, Mapping[StreamName, Tally]]:
    oldest_day = day_of(now - timedelta(days=_DAYS_KEPT))
    oldest_month = month_of(now - timedelta(days=31 * _MONTHS_KEPT))
    day_length = len(oldest_day)
    return {
        period: each
        for period, each in tallies.items()
        if period == TOTAL or period >= (oldest_day if len(period) == day_length else oldest_month)
    }


def shifted(meter: Meter, step_s: float) -> Meter:
    """Follow a wall clock that was seen to jump against the monotonic one.

    Back: what was not counted yet must not be lost, so the mark moves with the clock. Forward: the
    box may have slept while its rentals ran, so it counts as time, up to ``GAP_MAX_S``. A jump that
    undoes an earlier one the other way is neither: no hour is counted twice. But the hour that is left
    out must be of the day to which it was added, else a day's cap would take what another has paid:
    across a midnight it counts twice rather than not at all (I4).
    """
    at, off_s = meter.metered_at, meter.clock_off_s
    day = _day_of_jump(at, step_s)
    is_undoing = step_s * off_s < 0 and (at is None or day == meter.jumped_on != "")
    undone_s = min(abs(step_s), abs(off_s)) if is_undoing else 0.0
    moved_s = step_s + undone_s if step_s < 0 else undone_s
    jumped_on = day if day == meter.jumped_on or not off_s else ""
    off_s = max(-GAP_MAX_S, min(GAP_MAX_S, off_s + step_s))
    metered_at = None if at is None else at + timedelta(seconds=moved_s)
    return replace(
        meter,
        metered_at=metered_at,
        clock_off_s=off_s,
        jumped_on=jumped_on if off_s else "",
    )


def _day_of_jump(at: datetime | None, step_s: float) -> str:
    """Name the UTC day that a jump begins and ends in; "" when it crosses a midnight."""
    if at is None:
        return ""
    day = day_of(at)
    return day if day_of(at + timedelta(seconds=step_s)) == day else ""


def reopened(meter: Meter, now: datetime) -> Meter:
    """Take up a stored ledger. One from the future counts from now on: rather twice than not at all."""
    if meter.metered_at is None or meter.metered_at <= now:
        return meter if not meter.clock_off_s else replace(meter, clock_off_s=0.0, jumped_on="")
    return replace(meter, metered_at=now, clock_off_s=0.0, jumped_on="")


def is_due(meter: Meter, flow: Flow, now: datetime) -> bool:
    """Say whether the ledger must be written: something costs otherwise, or it is long ago."""
    if meter.rates is not flow.rates and meter.rates != flow.rates:
        return True
    if (meter.dark or flow.dark) and meter.dark.keys() != _dark_after(meter, flow).keys():
        return True
    if any(each.dollars_per_hour != flow.dark.get(slot, 0.0) for slot, each in meter.dark.items()):
        return True
    at = meter.metered_at
    if at is None or not meter.rates:
        return False
    if elapsed_s(at, now) >= WRITE_APART_S:
        return True
    return at < now and day_of(at) != day_of(now)


def flowing(meter: Meter, flow: Flow) -> Meter:
    """Go on counting at other rates. The meter has been caught up."""
    return replace(meter, rates=flow.rates, dark=_dark_after(meter, flow))


def _dark_after(meter: Meter, flow: Flow) -> dict[SlotId, Dark]:
    """Keep what slots spent without a picture until a good minute; a vacant one remembers it."""
    after = {
        slot: replace(each, dollars_per_hour=flow.dark.get(slot, 0.0))
        if each.dollars_per_hour != flow.dark.get(slot, 0.0)
        else each
        for slot, each in meter.dark.items()
        if slot not in flow.good and (each.dollars or slot in flow.dark)
    }
    for slot, dollars_per_hour in flow.dark.items():
        if slot not in after:
            after[slot] = Dark(dollars_per_hour=dollars_per_hour)
    return after


# --- reading ----------------------------------------------------------------------------------------


def spent(meter: Meter, period: str, stream: StreamName | None = None) -> Tally:
    """Return what a stream has cost in a period, or the whole fleet when none is named."""
    tallies = meter.tallies.get(period, _NOTHING)
    if stream is not None:
        return tallies.get(stream) or Tally()
    return Tally(
        dollars=fsum(each.dollars for each in tallies.values()),
        good_s=fsum(each.good_s for each in tallies.values()),
        dark_s=fsum(each.dark_s for each in tallies.values()),
        silent_s=fsum(each.silent_s for each in tallies.values()),
        starting_s=fsum(each.starting_s for each in tallies.values()),
        spare_dollars=fsum(each.spare_dollars for each in tallies.values()),
    )


def newer(before: Meter, after: Meter) -> Meter:
    """Return the meter with only those tallies that differ from before: what a commit writes."""
    tallies: dict[str, Mapping[StreamName, Tally]] = {}
    for period, streams in after.tallies.items():
        old = before.tallies.get(period, _NOTHING)
        if streams is old:
            continue
        new = {stream: each for stream, each in streams.items() if old.get(stream) != each}
        if new:
            tallies[period] = new
    return replace(after, tallies=tallies)
