"""The running daemon as the local API sees it, and whoever is told of each tick."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from keeper.core.events import Event
from keeper.core.model import SlotId
from keeper.core.strip import Strip
from keeper.core.world import Order, Snapshot
from keeper.ports.store import JournalEntry


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


class Looks(Protocol):
    """What viewers of each slot saw."""

    def thumbnail(self, slot: SlotId) -> Thumbnail | None:
        """Return the newest picture that viewers of a slot saw; None when there is none."""
        ...

    def strip(self, slot: SlotId) -> Strip:
        """Return what viewers of a slot saw in the last half hour; empty when nobody has looked."""
        ...


class Control(Looks, Protocol):
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
        self, *, slot: SlotId | None = None, limit: int = 200, after_seq: int = 0
    ) -> tuple[JournalEntry, ...]:
        """Read the newest facts."""
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
