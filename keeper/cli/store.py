"""What the last keeper remembered, for reading verbs while none runs. Reads only, and owns nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from keeper.adapters.clock import SystemClock
from keeper.adapters.peek import peek, peek_journal
from keeper.core.decisions import Plan
from keeper.core.model import SlotId, SlotRecord
from keeper.core.pauses import at_start
from keeper.core.world import Snapshot, World
from keeper.ports import JournalEntry, Saved
from keeper.settings import Settings, to_desired


async def remembered(settings: Settings) -> Saved:
    """Read the store. One that was never used remembers nothing. Raises StoreError."""
    return await asyncio.to_thread(peek, settings.state_dir / "keeper.db")


async def journal(
    settings: Settings, *, slot: SlotId | None = None, limit: int = 1000, after_seq: int = 0
) -> tuple[JournalEntry, ...]:
    """Read the newest facts after a number, oldest first. Raises StoreError."""
    path = settings.state_dir / "keeper.db"
    return await asyncio.to_thread(
        lambda: peek_journal(path, slot=slot, limit=limit, after_seq=after_seq)
    )


async def last_seq(settings: Settings) -> int:
    """Return the number of the newest fact; 0 when there is none."""
    newest = await journal(settings, limit=1)
    return newest[-1].seq if newest else 0


def written_at(settings: Settings) -> datetime:
    """Return when the store was last written; the beginning of time when it never was."""
    path = settings.state_dir / "keeper.db"
    files = (path, path.with_name("keeper.db-wal"))
    written = max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
    return datetime.fromtimestamp(written, UTC)


async def remembered_snapshot(settings: Settings) -> tuple[Snapshot, datetime]:
    """Describe what is remembered as a snapshot without a decision, and say when it was written."""
    saved = await remembered(settings)
    now = SystemClock().now()
    written = written_at(settings)
    desired = to_desired(settings)
    records = {slot: SlotRecord(slot=slot) for stream in desired.streams for slot in stream.slots}
    records |= {record.slot: record for record in saved.records}
    world = World(
        keeper_id=saved.keeper_id,
        records=records,
        condemned=saved.condemned,
        intents=saved.intents,
        quarantine={each.machine_id: each for each in saved.quarantine},
        pause=saved.pause,
        slot_pauses=at_start(saved.slot_pauses, desired.streams, saved.records),
        meter=saved.meter,
    )
    snapshot = Snapshot(
        desired=desired,
        world=world,
        plan=Plan(decisions=(), condemned=saved.condemned),
        records=records,
        at=now,
        tick=0,
    )
    return snapshot, written
