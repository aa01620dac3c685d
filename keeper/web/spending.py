"""What was spent, what runs, where the caps are, and where it leads: the ledger for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from keeper.core.caps import Cap, caps_of, committed_to, ends_at, is_stopped, used_dollars
from keeper.core.curb import reached_at
from keeper.core.dark import dark_dollars
from keeper.core.meter import (
    TOTAL,
    Meter,
    Tally,
    caught_up,
    day_ends_at,
    day_of,
    month_ends_at,
    month_of,
    spent,
)
from keeper.core.model import FleetPolicy, Stream, StreamName
from keeper.core.moments import elapsed_s
from keeper.core.spend import committed_by_stream
from keeper.core.world import Snapshot
from keeper.web.money import account_of
from keeper.web.shapes import AccountStatus

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentStatus:
    """What was spent in a period (UTC), and for how long there was a good picture."""

    dollars: float
    good_hours: float
    dollars_per_good_hour: float | None  # None: there was no good picture


@dataclass(frozen=True, slots=True, kw_only=True)
class CapStatus:
    """One cap. Per hour, what is used is what is committed."""

    period: str  # hour, day, month or total
    dollars: float
    used_dollars: float
    used_ratio: float
    ends_at: datetime | None  # when the period is over; None: never, or it has none
    reached_at: datetime | None  # at the present rate; None: not in this period
    is_stopped: bool  # hosts were ended for it, and nothing is rented until it is free


@dataclass(frozen=True, slots=True, kw_only=True)
class SpareSpendStatus:
    """The part of a stream's dollars that went into spares."""

    today_dollars: float
    month_dollars: float
    total_dollars: float
    dollars_per_hour: float
    max_dollars_per_hour: float | None  # None: no spares are declared any more
    forecast_today_dollars: float
    forecast_month_dollars: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpendStatus:
    """What one stream has cost, or the fleet."""

    stream: str  # "" for the fleet, and for rentals of no stream
    is_declared: bool
    today: SpentStatus
    month: SpentStatus
    total: SpentStatus
    dollars_per_hour: float  # as counted now
    committed_dollars_per_hour: float  # at worst
    forecast_today_dollars: float  # by the end of the day, at the present rate
    forecast_month_dollars: float
    caps: tuple[CapStatus, ...]
    dark_dollars: float  # without a picture, since its last good minute
    dark_spend_max_dollars: float | None
    spares: SpareSpendStatus | None = None  # None: it has none and never had


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendStatus:
    """keeper's own ledger. Dollars are by listed prices; the marketplace's bill is the truth."""

    at: datetime
    now: datetime
    metered_at: datetime | None  # since when; None: nothing was ever counted
    fleet: StreamSpendStatus
    streams: tuple[StreamSpendStatus, ...]
    account: AccountStatus | None
    is_account_drifting: bool | None  # None: not compared yet


def spending_of(snapshot: Snapshot, now: datetime) -> SpendStatus:
    """Read the ledger as of now."""
    ledger = caught_up(snapshot.plan.meter or snapshot.world.meter, now)
    declared = {stream.name: stream for stream in snapshot.desired.streams}
    known = {name for tallies in ledger.tallies.values() for name in tallies}
    names = [*declared, *sorted((known | ledger.rates.keys()) - declared.keys())]
    streams = tuple(
        _of(snapshot, ledger, name, declared.get(name), now)
        for name in names
        if name in declared or spent(ledger, TOTAL, name).dollars or name in ledger.rates
    )
    account = snapshot.world.account
    compared = None if account is None else account.compared
    is_drifting = (snapshot.plan.meter or snapshot.world.meter).drift is not None
    return SpendStatus(
        at=snapshot.at,
        now=now,
        metered_at=(snapshot.plan.meter or snapshot.world.meter).metered_at,
        fleet=_of(snapshot, ledger, None, snapshot.desired.fleet, now),
        streams=streams,
        account=account_of(snapshot, now),
        is_account_drifting=is_drifting or (None if compared is None else False),
    )


def _of(
    snapshot: Snapshot,
    ledger: Meter,
    name: StreamName | None,
    declared: Stream | FleetPolicy | None,
    now: datetime,
) -> StreamSpendStatus:
    rate = sum(
        each.dollars_per_hour for stream, each in ledger.rates.items() if name in {None, stream}
    )
    committed = committed_by_stream(snapshot.records.values(), snapshot.plan.condemned)
    today, month = spent(ledger, day_of(now), name), spent(ledger, month_of(now), name)
    worst = sum(committed.values()) if name is None else committed.get(name, 0.0)
    limit = declared.policy.dark_spend_max_dollars if isinstance(declared, Stream) else None
    return StreamSpendStatus(
        stream=name or "",
        is_declared=declared is not None,
        today=_spent(today),
        month=_spent(month),
        total=_spent(spent(ledger, TOTAL, name)),
        dollars_per_hour=rate,
        committed_dollars_per_hour=worst,
        forecast_today_dollars=today.dollars + rate * elapsed_s(now, day_ends_at(now)) / _HOUR_S,
        forecast_month_dollars=month.dollars + rate * elapsed_s(now, month_ends_at(now)) / _HOUR_S,
        caps=() if declared is None else tuple(_caps(ledger, declared, committed, worst, now)),
        dark_dollars=0.0 if name is None else dark_dollars(ledger, name),
        dark_spend_max_dollars=limit,
        spares=_spares(ledger, name, declared, now),
    )


def _spares(
    ledger: Meter, name: StreamName | None, declared: Stream | FleetPolicy | None, now: datetime
) -> SpareSpendStatus | None:
    cap = None
    if isinstance(declared, Stream) and declared.spares.count:
        cap = declared.spares.max_dollars_per_hour
    total = spent(ledger, TOTAL, name).spare_dollars
    rate = sum(
        each.spare_dollars_per_hour
        for stream, each in ledger.rates.items()
        if name in {None, stream}
    )
    if cap is None and not total and not rate:
        return None
    today = spent(ledger, day_of(now), name).spare_dollars
    month = spent(ledger, month_of(now), name).spare_dollars
    return SpareSpendStatus(
        today_dollars=today,
        month_dollars=month,
        total_dollars=total,
        dollars_per_hour=rate,
        max_dollars_per_hour=cap,
        forecast_today_dollars=today + rate * elapsed_s(now, day_ends_at(now)) / _HOUR_S,
        forecast_month_dollars=month + rate * elapsed_s(now, month_ends_at(now)) / _HOUR_S,
    )


def _spent(tally: Tally) -> SpentStatus:
    good_hours = tally.good_s / _HOUR_S
    return SpentStatus(
        dollars=tally.dollars,
        good_hours=good_hours,
        dollars_per_good_hour=tally.dollars / good_hours if good_hours > 0 else None,
    )


def _caps(
    ledger: Meter,
    declared: Stream | FleetPolicy,
    committed: dict[StreamName | None, float],
    worst: float,
    now: datetime,
) -> Iterator[CapStatus]:
    per_hour = declared.spend_max_dollars_per_hour
    yield CapStatus(
        period="hour",
        dollars=per_hour,
        used_dollars=worst,
        used_ratio=worst / per_hour if per_hour else 0.0,
        ends_at=None,
        reached_at=None,
        is_stopped=False,
    )
    for cap in caps_of(declared):
        yield _cap(ledger, cap, committed, now)


def _cap(
    ledger: Meter, cap: Cap, committed: dict[StreamName | None, float], now: datetime
) -> CapStatus:
    used = used_dollars(ledger, cap, now)
    return CapStatus(
        period=cap.span.value,
        dollars=cap.dollars,
        used_dollars=used,
        used_ratio=used / cap.dollars,
        ends_at=ends_at(cap.span, now),
        reached_at=reached_at(cap, used, committed_to(cap, committed), now),
        is_stopped=is_stopped(ledger, cap, now),
    )
