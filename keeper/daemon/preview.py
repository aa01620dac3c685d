"""Decides what a tick would do now, from one look at everything, and does none of it."""

from __future__ import annotations

from dataclasses import replace

from keeper.core.model import Stream
from keeper.core.pauses import at_start
from keeper.core.reconcile import reconcile
from keeper.core.world import Listing, OfferBook, Snapshot, World
from keeper.daemon.declared import Declared
from keeper.daemon.revisions import Revisions
from keeper.daemon.windows import Windows
from keeper.ports import Clock, Marketplace, Saved


async def preview(
    marketplace: Marketplace, saved: Saved, declared: Declared, clock: Clock
) -> Snapshot:
    """Read the listing and the offers once, then decide. Raises what the marketplace raises.

    Nobody has looked at the hosts, so every rental of ours is judged as Unknown: the plan shows what
    keeper would rent, adopt or end, not which process it would restart.
    """
    now = clock.now()
    instances = await marketplace.list_instances()
    windows = Windows(lambda: declared.windows, lambda _: None)
    windows.look(now)
    world = World(
        keeper_id=saved.keeper_id,
        records={record.slot: record for record in saved.records},
        listing=Listing(instances=instances, at=now),
        condemned=saved.condemned,
        intents=saved.intents,
        quarantine={each.machine_id: each for each in saved.quarantine},
        pause=saved.pause,
        slot_pauses=at_start(saved.slot_pauses, declared.desired.streams, saved.records),
        meter=saved.meter,
        started_at=now,
        windows=windows.open,
        windows_ahead=windows.ahead,
        windows_change_at=windows.changes_at,
        revisions=saved.revisions,
        makeable=Revisions(declared).at_hand(saved.revisions),
    )
    desired = declared.desired
    plan = reconcile(world, desired, now)
    wanted: tuple[Stream, ...] = tuple(
        stream for stream in desired.streams if stream.name in plan.wants.offers_for
    )
    if wanted:
        books = {
            stream.name: OfferBook(offers=await marketplace.search_offers(stream.needs), at=now)
            for stream in wanted
        }
        world = replace(world, offers=books)
        plan = reconcile(world, desired, now)
    records = {**world.records, **{record.slot: record for record in plan.records}}
    return Snapshot(desired=desired, world=world, plan=plan, records=records, at=now, tick=0)
