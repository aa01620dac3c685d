"""A fleet on air, of any size, made of the same pieces as the tests' worlds."""

from __future__ import annotations

from keeper.core.labels import label_for
from keeper.core.model import (
    Desired,
    FleetPolicy,
    HostId,
    InstanceId,
    MachineId,
    Reading,
    SlotId,
    SlotRecord,
    Status,
    Subject,
)
from keeper.core.reasons import Reason
from keeper.core.reconcile import reconcile
from keeper.core.world import Snapshot, World
from tests.builders import KEEPER_ID, NOW, a_record, a_stream, a_tenure, a_world, applied

_REPLICAS = 10


def desire(slots: int) -> Desired:
    """Declare so many slots in streams of ten, with money for all of them."""
    replicas = min(slots, _REPLICAS)
    dollars = 10.0 * slots
    streams = tuple(
        a_stream(f"stream-{at}", replicas=replicas, spend_max_dollars_per_hour=dollars)
        for at in range(slots // replicas)
    )
    return Desired(streams=streams, fleet=FleetPolicy(spend_max_dollars_per_hour=dollars))


def settled(desired: Desired) -> World:
    """Return a world in which every slot is on air and the last tick had nothing to write."""
    slots = [slot for stream in desired.streams for slot in stream.slots]
    world = a_world(*(_on_air(slot, at) for at, slot in enumerate(slots)))
    for _ in range(3):
        plan = reconcile(world, desired, NOW)
        world = applied(world, plan)
    plan = reconcile(world, desired, NOW)
    assert not plan.records, plan.records[0]
    assert not plan.acts, plan.acts
    return world


def pictures(world: World) -> tuple[Reading, ...]:
    """Return one good picture for each rental: what the probes bring every ten seconds."""
    return tuple(
        Reading(
            instance_id=record.tenure.instance_id,
            subject=Subject.PICTURE,
            status=Status.TRUE,
            reason=Reason.LIVE,
            at=NOW,
            numbers={"unique_frames_per_s": 24.9, "mean_luma": 112.0},
        )
        for record in world.records.values()
        if record.tenure is not None and record.tenure.instance_id is not None
    )


def snapshot(desired: Desired, world: World, tick: int = 1) -> Snapshot:
    """Return what the sinks see of this world."""
    return Snapshot(
        desired=desired,
        world=world,
        plan=reconcile(world, desired, NOW),
        records=world.records,
        at=NOW,
        tick=tick,
        latest={(reading.instance_id, reading.subject): reading for reading in pictures(world)},
    )


def _on_air(slot: SlotId, at: int) -> SlotRecord:
    tenure = a_tenure(
        label=label_for(KEEPER_ID, slot, 1),
        instance_id=InstanceId(7_000_000 + at),
        machine_id=MachineId(40_000 + at),
        host_id=HostId(90_000 + at // 4),
    )
    return a_record(tenure, slot)
