"""Which rentals carry keeper's label and belong to no slot, and how sure that is. Pure.

A stray is a stray when one listing says so; what is ordered or configured for it waits for a second.
"""

from __future__ import annotations

from datetime import datetime

from keeper.core.events import OrphanCleared, OrphanSeen
from keeper.core.model import Instance, InstanceId
from keeper.core.moments import elapsed_s
from keeper.core.world import Snapshot, World

_HOUR_S = 3600.0


def strays(snapshot: Snapshot) -> tuple[InstanceId, ...]:
    """Return the strays that are known after the plan."""
    events = snapshot.plan.events
    seen = {each.instance_id for each in events if isinstance(each, OrphanSeen)}
    cleared = {each.instance_id for each in events if isinstance(each, OrphanCleared)}
    gone = {each.instance_id for each in snapshot.plan.condemned}
    return tuple(sorted((snapshot.world.orphans_known | seen) - cleared - gone))


def is_confirmed(world: World, instance_id: InstanceId) -> bool:
    """Say whether a later listing has shown a stray again: one alone could be a slip."""
    first = world.orphans_seen_at.get(instance_id)
    return (
        instance_id in world.orphans_known
        and first is not None
        and world.listing is not None
        and world.listing.at > first
    )


def spent_dollars(instance: Instance, now: datetime) -> float:
    """Estimate what a stray has cost since it began."""
    if instance.started_at is None:
        return 0.0
    return instance.dollars_per_hour * elapsed_s(instance.started_at, now) / _HOUR_S


def order_to_end(instance_id: InstanceId) -> str:
    """Name the command that ends a stray."""
    return f"keeper destroy --orphan {instance_id}"


def order_to_adopt(instance_id: InstanceId, slot: str = "SLOT") -> str:
    """Name the command that takes a stray over."""
    return f"keeper adopt {instance_id} --as {slot}"
