"""What everything of ours costs at this moment, by stream, and which slots cost it in the dark.

A rental counts from the intent to rent until its end is confirmed: GPU, disk and expected traffic, or
the disk alone while it stands still (Vast.ai docs, billing, read 2026-08). What keeper itself stops
stands still from the listing that confirms it to the intent to start it. A boot counts in full,
though loading is free, so the ledger is rather above the bill than below it.

What that comes to over time, meter.py counts. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import fsum
from typing import NamedTuple

from keeper.core.conditions import status_of
from keeper.core.model import (
    Condemned,
    ConditionKind,
    Instance,
    InstanceId,
    MarketState,
    SlotId,
    SlotRecord,
    Status,
    StreamName,
    Tenure,
    is_spare,
    stream_of,
)
from keeper.core.moments import elapsed_s

# So long a picture must have been good to end what was spent in the dark.
GOOD_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What one stream costs now, and how many of its slots are on air, dark or coming up."""

    dollars_per_hour: float = 0.0
    on_air: int = 0
    dark: int = 0  # viewers should see them, and do not (darkness.py)
    silent: int = 0  # of these, those that lack nothing but their sound
    starting: int = 0  # declared not long ago, and not seen yet
    spare_dollars_per_hour: float = 0.0  # the part of it that spares cost


class Bill(NamedTuple):
    """What one slot costs, or a rental that must end (of no slot, maybe), and what is had for it."""

    slot: SlotId | None
    costs: tuple[float, ...]  # dollars per hour of each rental
    is_lit: bool  # the slot shows its picture
    is_paused: bool
    is_spare: bool  # nobody watches it: neither good nor dark


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What is paid for now, by stream, and by slot as far as it shows no picture."""

    rates: Mapping[StreamName, Rate]
    dark: Mapping[SlotId, float]
    good: frozenset[SlotId]  # on air for a good minute


def flow_of(
    records: Iterable[SlotRecord],
    condemned: Iterable[Condemned],
    listed: Mapping[InstanceId, Instance],
    now: datetime,
    paused: frozenset[SlotId] = frozenset(),
) -> Flow:
    """Read off what everything of ours costs at this moment.

    A paused slot is in a person's hands: what it costs in the dark is theirs to judge.
    """
    records = tuple(records)
    bills = tuple(bill for each in records if (bill := bill_of(each, listed, paused)))
    return total_of(
        bills,
        bills_of_condemned(condemned, listed, paused),
        frozenset(each.slot for each in records if is_good(each, now)),
    )


def bill_of(
    record: SlotRecord, listed: Mapping[InstanceId, Instance], paused: frozenset[SlotId]
) -> Bill | None:
    """Read off what one slot costs; None when nothing is rented for it."""
    tenure, incoming = record.tenure, record.incoming
    if tenure is None and incoming is None:
        return None
    return Bill(
        slot=record.slot,
        costs=tuple(
            tenure_dollars_per_hour(each, listed) for each in (tenure, incoming) if each is not None
        ),
        is_lit=is_on_air(record),
        is_paused=record.slot in paused,
        is_spare=is_spare(record.slot),
    )


def bills_of_condemned(
    condemned: Iterable[Condemned],
    listed: Mapping[InstanceId, Instance],
    paused: frozenset[SlotId],
) -> tuple[Bill, ...]:
    """Read off what each rental costs that must end."""
    return tuple(
        Bill(
            slot=gone.slot,
            costs=(condemned_dollars_per_hour(gone, listed),),
            is_lit=False,
            is_paused=gone.slot in paused,
            is_spare=gone.slot is not None and is_spare(gone.slot),
        )
        for gone in condemned
    )


def total_of(bills: tuple[Bill, ...], gone: tuple[Bill, ...], good: frozenset[SlotId]) -> Flow:
    """Add bills up: those of slots, and those of rentals that must end."""
    dollars: dict[StreamName, list[float]] = {}
    spare: dict[StreamName, list[float]] = {}
    on_air: dict[StreamName, int] = {}
    dark: dict[SlotId, list[float]] = {}
    lit: set[SlotId | None] = set()
    for bill in (*bills, *gone):
        stream = StreamName("") if bill.slot is None else stream_of(bill.slot)
        dollars.setdefault(stream, []).extend(bill.costs)
        if bill.is_spare:
            spare.setdefault(stream, []).extend(bill.costs)
        elif bill.is_lit:
            lit.add(bill.slot)
            on_air[stream] = on_air.get(stream, 0) + 1
    for bill in bills:
        if bill.slot is not None and not bill.is_lit and not bill.is_spare:
            dark[bill.slot] = [] if bill.is_paused else [*bill.costs]
    for bill in gone:
        if bill.slot is not None and not (bill.is_spare or bill.is_paused or bill.slot in lit):
            dark.setdefault(bill.slot, []).extend(bill.costs)
    # Summed exactly, so that the order in which rentals are told does not matter.
    rates = {
        stream: Rate(
            dollars_per_hour=fsum(each),
            on_air=on_air.get(stream, 0),
            spare_dollars_per_hour=fsum(spare.get(stream, ())),
        )
        for stream, each in dollars.items()
    }
    return Flow(rates=rates, dark={slot: fsum(each) for slot, each in dark.items()}, good=good)


def is_good(record: SlotRecord, now: datetime) -> bool:
    """Whether a slot has been on air for a good minute."""
    return (
        record.healthy_since is not None
        and is_on_air(record)
        and not is_spare(record.slot)
        and elapsed_s(record.healthy_since, now) >= GOOD_S
    )


def is_on_air(record: SlotRecord) -> bool:
    """Whether the viewer sees the slot's picture. Not knowing for a moment is not dark."""
    tenure = record.tenure
    return tenure is not None and tenure.first_live_at is not None and record.dark_since is None


def tenure_dollars_per_hour(tenure: Tenure, listed: Mapping[InstanceId, Instance]) -> float:
    """Return what a rental of a slot costs now, asked for or listed."""
    if tenure.stop_asked_at is not None:
        return owed_dollars_per_hour(tenure)
    instance = None if tenure.instance_id is None else listed.get(tenure.instance_id)
    if instance is not None and instance.state is MarketState.STOPPED and not _is_up(tenure):
        disk = instance.disk_dollars_per_hour or tenure.disk_dollars_per_hour
        return disk or tenure.dollars_per_hour  # what nobody tells counts in full
    return tenure.dollars_per_hour + tenure.traffic_dollars_per_hour


def _is_up(tenure: Tenure) -> bool:
    """Whether a link is up: some run on for hours as "exited" (field reports, read 2026-08)."""
    return status_of(tenure, ConditionKind.REACHABLE) is Status.TRUE


def owed_dollars_per_hour(tenure: Tenure) -> float:
    """Return what a rental may cost from now on, if nothing is ordered: in full unless keeper stopped it.

    A bid that others have stopped may win again at any moment; an order to start may be answered.
    """
    if tenure.stopped_at is not None and tenure.start_asked_at is None:
        return tenure.disk_dollars_per_hour or tenure.dollars_per_hour
    return tenure.dollars_per_hour + tenure.traffic_dollars_per_hour


def condemned_dollars_per_hour(each: Condemned, listed: Mapping[InstanceId, Instance]) -> float:
    """Return what a rental costs that must end and is not confirmed gone."""
    instance = listed.get(each.instance_id)
    if instance is None:
        return each.dollars_per_hour
    if instance.state is MarketState.STOPPED and instance.disk_dollars_per_hour:
        return instance.disk_dollars_per_hour
    return max(each.dollars_per_hour, instance.dollars_per_hour)
