"""What keeper has committed to pay per hour. Pure sums, for the budget, the page and the metrics.

A rental counts from the intent to rent until its end is confirmed: a condemned one still bills.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf

from keeper.core.flow import owed_dollars_per_hour
from keeper.core.model import (
    Condemned,
    Instance,
    InstanceId,
    MarketState,
    SlotId,
    SlotRecord,
    StreamName,
    stream_of,
)
from keeper.core.world import AccountSeen, World

# What stands still pays for its disk alone (Vast.ai docs, billing, read 2026-08).
_STANDING = (MarketState.STOPPED,)


def record_dollars_per_hour(record: SlotRecord) -> float:
    """Return what a slot's rentals cost, asked for or running, with the viewers' traffic.

    What keeper has stopped costs its disk alone until it is to be started.
    """
    return sum(
        owed_dollars_per_hour(tenure)
        for tenure in (record.tenure, record.incoming)
        if tenure is not None
    )


def committed_by_stream(
    records: Iterable[SlotRecord], condemned: Iterable[Condemned]
) -> dict[StreamName | None, float]:
    """Return dollars per hour by stream; None collects condemned rentals of no known slot."""
    totals: dict[StreamName | None, float] = {}
    for record in records:
        stream = stream_of(record.slot)
        totals[stream] = totals.get(stream, 0.0) + record_dollars_per_hour(record)
    for each in condemned:
        owner = None if each.slot is None else stream_of(each.slot)
        totals[owner] = totals.get(owner, 0.0) + each.dollars_per_hour
    return totals


def committed_dollars_per_hour(
    records: Mapping[SlotId, SlotRecord],
    condemned: Iterable[Condemned],
    stream: StreamName | None = None,
) -> float:
    """Return dollars per hour of one stream, or of the whole fleet when none is named."""
    totals = committed_by_stream(records.values(), condemned)
    return sum(totals.values()) if stream is None else totals.get(stream, 0.0)


def burn_dollars_per_hour(world: World, records: Mapping[SlotId, SlotRecord]) -> float | None:
    """Return what the whole account pays now, other people's rentals and strays included.

    The listing says it, with the viewers' traffic of ours added; None before the first listing.
    """
    if world.listing is None:
        return None
    traffic = traffic_by_instance(records)
    return sum(
        _billed_dollars_per_hour(instance, traffic.get(instance.instance_id, 0.0))
        for instance in world.listing.instances
    )


def runway_s(account: AccountSeen | None, dollars_per_hour: float | None) -> float | None:
    """Return how long the account lasts at this burn; inf when nothing burns, None: not known."""
    if account is None or dollars_per_hour is None:
        return None
    if account.spendable_dollars <= 0:
        return 0.0
    if dollars_per_hour <= 0:
        return inf
    return account.spendable_dollars / dollars_per_hour * 3600.0


def _billed_dollars_per_hour(instance: Instance, traffic_dollars_per_hour: float) -> float:
    if instance.state in _STANDING:
        return instance.disk_dollars_per_hour
    return instance.dollars_per_hour + traffic_dollars_per_hour


def traffic_by_instance(records: Mapping[SlotId, SlotRecord]) -> dict[InstanceId, float]:
    """Return what viewers' traffic is expected to cost per hour, by rental of ours."""
    return {
        tenure.instance_id: tenure.traffic_dollars_per_hour
        for record in records.values()
        for tenure in (record.tenure, record.incoming)
        if tenure is not None and tenure.instance_id is not None
    }
