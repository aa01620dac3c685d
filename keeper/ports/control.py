"""The running daemon as the local API sees it, and whoever is told of each tick."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from keeper.core.events import Event
from keeper.core.model import SlotId
from keeper.core.strip import Strip
from keeper.core.world import Order, Snapshot
from keeper.ports.store import JournalEntry, OutboxRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadReport:
    """What a reload did. ``problems`` is empty when the new configuration is in force."""

    changed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """The newest picture of a slot, and when it was seen first."""

    at: datetime
    jpeg: bytes  # as it came: whether it is one, nobody has looked


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertNow:
    """An alert that holds now, and what became of it."""

    name: str
    key: str
    severity: str
    slot: SlotId | None
    stream: str
    summary: str
    why: str
    did: str
    needs_human: str
    since: datetime
    told_at: datetime | None  # of the latest message about it; None: nobody was told
    incident_id: str
    muted_by: str = ""  # the key of the louder alert that says it already
    silenced_by: str = ""  # the id of the silence
    dollars: float = 0.0
    repeat_at: datetime | None = None  # if it still holds then; None: it will not be repeated
    repeat_to: tuple[str, ...] = ()  # the channels that want it, and are not off


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelNow:
    """One channel: whether it takes messages, and what waits for it."""

    name: str
    kind: str
    pending: int
    last_error: str = ""  # bounded, redacted; of what waits
    off_since: datetime | None = None
    off_why: str = ""
    is_taking: bool | None = None  # of a feed: whether it took the latest showing; None: no feed
    dropped: int = 0  # messages that were lost for good since it took one; of this process
    last_dropped_at: datetime | None = None
    dropped_why: str = ""  # of the last one; bounded, redacted


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelTest:
    """What became of a test message."""

    channel: str
    is_delivered: bool
    duration_s: float
    error: str = ""  # bounded, redacted


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Something said from outside that something may have changed. It wakes, and proves nothing."""

    source: str  # vast, alertmanager
    hint_id: str  # the same when it comes again
    said_at: datetime
    about: str  # bounded, plain: for the journal alone
    is_about_money: bool = False  # then the account is looked at, too


class Looks(Protocol):
    """What viewers of each slot saw."""

    def thumbnail(self, slot: SlotId) -> Thumbnail | None:
        """Return the newest picture that viewers of a slot saw; None when there is none."""
        ...

    def strip(self, slot: SlotId) -> Strip:
        """Return what viewers of a slot saw in the last half hour; empty when nobody has looked."""
        ...


class Telling(Protocol):
    """What people were told, are told, and will be told."""

    def alerts(self) -> tuple[AlertNow, ...]:
        """Return every alert that holds, the most severe first."""
        ...

    def channels(self) -> tuple[ChannelNow, ...]:
        """Return every declared channel, feeds too."""
        ...

    def outbox(self) -> tuple[OutboxRow, ...]:
        """Return the messages that no channel has taken yet, the oldest first."""
        ...

    async def test_channel(self, name: str) -> ChannelTest:
        """Send a test message now, past the outbox. Raises Missing: there is no such channel."""
        ...

    def hint(self, hint: Hint) -> bool:
        """Look at the marketplace again soon. False: it was known already; nothing follows."""
        ...

    def hint_refused(self, source: str, why: str) -> None:
        """Note that something that came as a hint was none. ``why``: one of few words."""
        ...


class Control(Looks, Telling, Protocol):
    """What the web layer may ask of the daemon."""

    def snapshot(self) -> Snapshot | None:
        """Return the last tick's snapshot; None before the first."""
        ...

    def is_healthy(self) -> bool:
        """Whether ticks finish."""
        ...

    def not_ready_because(self) -> str:
        """Return "" when ready: store open, first complete listing seen."""
        ...

    async def order(self, order: Order) -> None:
        """Take an operator's order; journalled, then acted on by the next tick."""
        ...

    async def reload(self) -> ReloadReport:
        """Read the configuration again; a bad one keeps the old."""
        ...

    async def journal(
        self,
        *,
        slot: SlotId | None = None,
        limit: int = 200,
        after_seq: int = 0,
        events: frozenset[str] | None = None,
    ) -> tuple[JournalEntry, ...]:
        """Read the newest facts (after a number, of some names), oldest first."""
        ...

    async def changed(self) -> None:
        """Wait for the next snapshot."""
        ...


class Sink(Protocol):
    """Takes facts as they happen (log lines, counters). Must not block or raise."""

    def publish(self, event: Event, *, at: datetime, tick: int) -> None:
        """Take one fact."""
        ...

    def observe_call(self, port: str, method: str, outcome: str, duration_s: float) -> None:
        """Take one finished call of a port; outcome is "ok" or the error class in snake case."""
        ...
