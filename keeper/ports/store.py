"""What must survive a crash: records, intents, the journal, and the messages that are due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from keeper.core.meter import Meter
from keeper.core.model import (
    Condemned,
    Intent,
    IntentId,
    MachineId,
    Quarantine,
    Revision,
    SlotId,
    SlotRecord,
    StreamName,
)
from keeper.core.silences import Silence
from keeper.core.world import Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One fact, as written."""

    at: datetime
    tick: int
    event: str
    slot: SlotId | None
    facts: Mapping[str, Any]
    seq: int = 0  # given by the store


class NoticeKind(StrEnum):
    """Where in its life an alert is when a message goes out."""

    FIRING = "firing"
    UPDATE = "update"
    REPEAT = "repeat"
    RESOLVED = "resolved"
    DIGEST = "digest"  # the week in numbers; of no alert


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A message on its way to one channel. ``notice_id`` stays the same over retries."""

    notice_id: str
    channel: str
    alert: str
    kind: NoticeKind
    payload: Mapping[str, Any]  # alerts.Notice as plain values
    created_at: datetime
    attempts: int = 0
    next_try_at: datetime | None = None
    delivered_at: datetime | None = None
    given_up: bool = False
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a channel said of the message that opened an incident, for the messages that follow."""

    incident_id: str
    channel: str
    receipt: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOff:
    """A channel that wants no more messages; until it is declared otherwise, or tested with success."""

    channel: str
    since: datetime
    why: str  # bounded, redacted
    declared: str  # a mark of how it was declared then: declared otherwise, it is tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Everything the store holds that a starting keeper needs."""

    keeper_id: str
    records: tuple[SlotRecord, ...] = ()
    condemned: tuple[Condemned, ...] = ()
    intents: tuple[Intent, ...] = ()
    quarantine: tuple[Quarantine, ...] = ()
    pause: Pause | None = None
    slot_pauses: Mapping[SlotId, Pause] = field(default_factory=dict)
    alert_state: Mapping[str, Any] = field(default_factory=dict)
    outbox: tuple[OutboxRow, ...] = ()  # undelivered
    clean_stop: bool = True
    meter: Meter = field(default_factory=Meter)
    revisions: Mapping[StreamName, tuple[Revision, ...]] = field(default_factory=dict)
    silences: tuple[Silence, ...] = ()
    receipts: tuple[Receipt, ...] = ()  # of incidents that are not pruned yet
    channels_off: tuple[ChannelOff, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one commit writes, all or nothing."""

    records: tuple[SlotRecord, ...] = ()
    records_deleted: tuple[SlotId, ...] = ()
    condemned: tuple[Condemned, ...] | None = None  # the whole new list; None: unchanged
    intents_opened: tuple[Intent, ...] = ()
    intents_closed: tuple[IntentId, ...] = ()
    quarantine: tuple[Quarantine, ...] = ()
    quarantine_deleted: tuple[MachineId, ...] = ()
    pause: Pause | bool | None = False  # False: unchanged; None: resumed
    slot_pauses: Mapping[SlotId, Pause] | None = None  # the whole new mapping; None: unchanged
    alert_state: Mapping[str, Any] | None = None
    outbox: tuple[OutboxRow, ...] = ()  # inserted or updated by notice_id
    journal: tuple[JournalEntry, ...] = ()
    meter: Meter | None = None  # with those tallies that have changed; None: unchanged
    meter_periods_deleted: tuple[str, ...] = ()
    # The whole new list of each stream in it, oldest first.
    revisions: Mapping[StreamName, tuple[Revision, ...]] = field(default_factory=dict)
    silences: tuple[Silence, ...] | None = None  # the whole new list; None: unchanged
    receipts: tuple[Receipt, ...] = ()  # inserted or updated by incident and channel
    channels_off: tuple[ChannelOff, ...] | None = None  # the whole new list; None: unchanged

    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return self == Batch()


class Store(Protocol):
    """Durable memory behind one writer. A decision is acted on only after its commit."""

    async def load(self) -> Saved:
        """Read everything; makes the schema and the keeper id at first use. Raises StoreError."""
        ...

    async def commit(self, batch: Batch) -> None:
        """Write all of it or none. Returns when it is durable. Raises StoreError."""
        ...

    async def journal(
        self,
        *,
        slot: SlotId | None = None,
        limit: int = 200,
        after_seq: int = 0,
        events: frozenset[str] | None = None,
        since: datetime | None = None,
    ) -> tuple[JournalEntry, ...]:
        """Read the newest facts (after a number, of some names, since a moment), oldest first."""
        ...

    async def prune(self, before: datetime) -> int:
        """Forget facts, settled messages and receipts older than this; returns how many."""
        ...

    async def close(self) -> None:
        """Write what is queued and close. May be repeated."""
        ...
