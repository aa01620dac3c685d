"""The Store port in memory, with the one property that matters of a disk: what it holds survives.

``Disk`` is what is left when the process is killed; ``MemoryStore`` is one process's open handle on
it. A commit happens whole or not at all, at one instant; a fault can refuse it. The disk also keeps
a plain list of when each label became durable, for the auditor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from keeper.core.meter import Meter, Tally
from keeper.core.model import (
    Condemned,
    Intent,
    IntentId,
    IntentKind,
    MachineId,
    Quarantine,
    Revision,
    SlotId,
    SlotRecord,
    StreamName,
)
from keeper.core.silences import Silence
from keeper.core.world import Pause
from keeper.ports import (
    Batch,
    ChannelOff,
    JournalEntry,
    OutboxRow,
    Receipt,
    Saved,
    StoreError,
    StoreFull,
    StoreLocked,
)
from keeper.sim.evidence import Move
from keeper.sim.power import Power

_COMMIT_S = 0.002  # a disk that is neither new nor broken


@dataclass(slots=True)
class Disk:
    """Everything durable of one simulated keeper."""

    keeper_id: str
    records: dict[SlotId, SlotRecord] = field(default_factory=dict)
    condemned: tuple[Condemned, ...] = ()
    intents: dict[IntentId, Intent] = field(default_factory=dict)
    quarantine: dict[MachineId, Quarantine] = field(default_factory=dict)
    pause: Pause | None = None
    slot_pauses: Mapping[SlotId, Pause] = field(default_factory=dict)
    alert_state: Mapping[str, Any] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)  # without its tallies
    tallies: dict[str, dict[StreamName, Tally]] = field(default_factory=dict)
    revisions: dict[StreamName, tuple[Revision, ...]] = field(default_factory=dict)
    outbox: dict[tuple[str, str], OutboxRow] = field(default_factory=dict)
    silences: tuple[Silence, ...] = ()
    receipts: dict[tuple[str, str], Receipt] = field(default_factory=dict)
    channels_off: tuple[ChannelOff, ...] = ()
    journal: list[JournalEntry] = field(default_factory=list)
    chronicle: list[JournalEntry] = field(default_factory=list)  # the same, never forgotten
    next_seq: int = 1
    clean_stop: bool = True
    labels_written: list[tuple[float, str]] = field(default_factory=list)  # loop time, label
    labels_closed: list[tuple[float, str]] = field(default_factory=list)  # of creates; the same
    moves: list[Move] = field(default_factory=list)  # loop time
    commits: int = 0
    commits_to_refuse: int = 0  # fault: so many of the next commits find the disk full
    owner: Power | None = None  # the process that has it open: the kernel's lock on the real file

    def write(self, batch: Batch, now_s: float) -> None:
        """Take a whole batch at once."""
        self.commits += 1
        self.records.update((record.slot, record) for record in batch.records)
        self._note_moves(batch.records, now_s)
        _forget(self.records, batch.records_deleted)
        opened = [each for each in batch.intents_opened if each.intent_id not in self.intents]
        self.labels_written += [(now_s, intent.label) for intent in opened]
        self.intents.update((intent.intent_id, intent) for intent in batch.intents_opened)
        self._note_closed(batch.intents_closed, now_s)
        _forget(self.intents, batch.intents_closed)
        self.quarantine.update((each.machine_id, each) for each in batch.quarantine)
        _forget(self.quarantine, batch.quarantine_deleted)
        self.outbox.update(((row.channel, row.notice_id), row) for row in batch.outbox)
        self.receipts.update(((each.incident_id, each.channel), each) for each in batch.receipts)
        if batch.silences is not None:
            self.silences = batch.silences
        if batch.channels_off is not None:
            self.channels_off = batch.channels_off
        if batch.condemned is not None:
            self.condemned = batch.condemned
        if not isinstance(batch.pause, bool):
            self.pause = batch.pause
        if batch.slot_pauses is not None:
            self.slot_pauses = dict(batch.slot_pauses)
        if batch.alert_state is not None:
            self.alert_state = dict(batch.alert_state)
        if batch.meter is not None:
            self.meter = replace(batch.meter, tallies={})
            for period, tallies in batch.meter.tallies.items():
                self.tallies.setdefault(period, {}).update(tallies)
        _forget(self.tallies, batch.meter_periods_deleted)
        self.revisions.update(batch.revisions)
        _forget(self.revisions, [name for name, kept in batch.revisions.items() if not kept])
        for entry in batch.journal:
            numbered = replace(entry, seq=self.next_seq)
            self.journal.append(numbered)
            self.chronicle.append(numbered)
            self.next_seq += 1

    def _note_closed(self, closed: Iterable[IntentId], now_s: float) -> None:
        """Write down which creates are in doubt no more."""
        known = (self.intents[each] for each in closed if each in self.intents)
        creates = (intent for intent in known if intent.kind is IntentKind.RENT)
        self.labels_closed += [(now_s, intent.label) for intent in creates]

    def _note_moves(self, written: Iterable[SlotRecord], now_s: float) -> None:
        """Write down which rental a slot took that was rented for another place, and who has it now."""
        known = {move.label for move in self.moves}
        for record in written:
            for label in _labels(record):
                if f":{record.slot}:" in label or label in known:
                    continue
                owners = sum(label in _labels(each) for each in self.records.values())
                self.moves.append(Move(at=now_s, label=label, slot=record.slot, owners=owners))


def _labels(record: SlotRecord) -> tuple[str, ...]:
    return tuple(each.label for each in (record.tenure, record.incoming) if each is not None)


K = TypeVar("K")


def _forget(held: dict[K, Any], keys: Iterable[K]) -> None:
    for key in keys:
        held.pop(key, None)


class MemoryStore:
    """One process's handle on a ``Disk``."""

    def __init__(self, disk: Disk, power: Power) -> None:
        self._disk = disk
        self._power = power
        self._is_open = True

    async def load(self) -> Saved:
        """Read everything; from here on a stop counts as unclean until ``close``.

        Raises StoreLocked while another process that lives has it open.
        """
        await self._power.gate()
        disk = self._disk
        if disk.owner is not None and disk.owner.is_on and disk.owner is not self._power:
            raise StoreLocked("the store is in use by another keeper")
        disk.owner = self._power
        saved = Saved(
            keeper_id=disk.keeper_id,
            records=tuple(disk.records.values()),
            condemned=disk.condemned,
            intents=tuple(disk.intents.values()),
            quarantine=tuple(disk.quarantine.values()),
            pause=disk.pause,
            slot_pauses=dict(disk.slot_pauses),
            alert_state=dict(disk.alert_state),
            outbox=tuple(
                row for row in disk.outbox.values() if row.delivered_at is None and not row.given_up
            ),
            clean_stop=disk.clean_stop,
            revisions=dict(disk.revisions),
            meter=replace(disk.meter, tallies={p: dict(t) for p, t in disk.tallies.items()}),
            silences=tuple(sorted(disk.silences, key=lambda each: each.silence_id)),
            receipts=tuple(receipt for _, receipt in sorted(disk.receipts.items())),
            channels_off=tuple(sorted(disk.channels_off, key=lambda each: each.channel)),
        )
        disk.clean_stop = False
        return saved

    async def commit(self, batch: Batch) -> None:
        """Write all of it or none; the power may go just before or just after."""
        if not self._is_open:
            raise StoreError("the store is closed")
        await self._power.gate()
        await asyncio.sleep(_COMMIT_S)
        await self._power.gate()
        if self._disk.commits_to_refuse > 0:
            self._disk.commits_to_refuse -= 1
            raise StoreFull
        self._disk.write(batch, asyncio.get_running_loop().time())
        await self._power.gate()

    async def journal(
        self,
        *,
        slot: SlotId | None = None,
        limit: int = 200,
        after_seq: int = 0,
        events: frozenset[str] | None = None,
        since: datetime | None = None,
    ) -> tuple[JournalEntry, ...]:
        """Read the newest facts, oldest first."""
        await self._power.gate()
        found = [
            entry
            for entry in self._disk.journal
            if entry.seq > after_seq
            and slot in {None, entry.slot}
            and (events is None or entry.event in events)
            and (since is None or entry.at >= since)
        ]
        return tuple(found[-limit:]) if limit > 0 else ()

    async def prune(self, before: datetime) -> int:
        """Forget facts, settled messages and receipts older than this; returns how many."""
        await self._power.gate()
        disk = self._disk
        kept = [entry for entry in disk.journal if entry.at >= before]
        done = [
            key
            for key, row in disk.outbox.items()
            if (row.delivered_at is not None or row.given_up) and row.created_at < before
        ]
        old = [key for key, receipt in disk.receipts.items() if receipt.at < before]
        forgotten = len(disk.journal) - len(kept) + len(done) + len(old)
        disk.journal = kept
        _forget(disk.outbox, done)
        _forget(disk.receipts, old)
        return forgotten

    async def close(self) -> None:
        """Close cleanly. May be repeated."""
        await self._power.gate()
        self._is_open = False
        self._disk.clean_stop = True
        self._disk.owner = None
