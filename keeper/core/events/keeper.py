"""Facts about keeper itself: its life, its ticks, its configuration, orders, messages and bugs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from keeper.core.events.level import Level
from keeper.core.model import SlotId, StreamName


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperStarted:
    """The daemon is up, with what it found in its store."""

    name: ClassVar[str] = "keeper.started"
    level: ClassVar[Level] = Level.INFO
    version: str
    slots: int
    tenures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperStopping:
    """The daemon was asked to stop and is draining."""

    name: ClassVar[str] = "keeper.stopping"
    level: ClassVar[Level] = Level.INFO
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigReloaded:
    """A new configuration is in force."""

    name: ClassVar[str] = "config.reloaded"
    level: ClassVar[Level] = Level.INFO
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRejected:
    """A new configuration was bad; the old one stays."""

    name: ClassVar[str] = "config.rejected"
    level: ClassVar[Level] = Level.ERROR
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TickFinished:
    """One reconcile is done. The canonical line of the log; not journalled when nothing changed."""

    name: ClassVar[str] = "tick.finished"
    level: ClassVar[Level] = Level.DEBUG
    tick: int
    acts: int
    duration_s: float
    detail: str  # Plan.sentence()


@dataclass(frozen=True, slots=True, kw_only=True)
class TickFailed:
    """A tick met a bug or a store that cannot write; nothing was executed by it."""

    name: ClassVar[str] = "tick.failed"
    level: ClassVar[Level] = Level.ERROR
    tick: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TickOverran:
    """A tick took longer than the interval."""

    name: ClassVar[str] = "tick.overran"
    level: ClassVar[Level] = Level.WARNING
    tick: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStepped:
    """The wall clock jumped; elapsed times below zero count as zero."""

    name: ClassVar[str] = "clock.stepped"
    level: ClassVar[Level] = Level.WARNING
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOpened:
    """A maintenance window holds from now on: keeper may do what it allows and no more."""

    name: ClassVar[str] = "window.opened"
    level: ClassVar[Level] = Level.INFO
    window: str
    stream: StreamName | None  # None: the whole fleet
    allow: str
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowClosed:
    """A maintenance window is over, or was taken out of the configuration."""

    name: ClassVar[str] = "window.closed"
    level: ClassVar[Level] = Level.INFO
    window: str
    stream: StreamName | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAccepted:
    """An operator's order was taken."""

    name: ClassVar[str] = "order.accepted"
    level: ClassVar[Level] = Level.INFO
    order: str
    slot: SlotId | None
    actor: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseChanged:
    """Keeper was paused or resumed."""

    name: ClassVar[str] = "keeper.pause_changed"
    level: ClassVar[Level] = Level.WARNING
    paused: bool
    slot: SlotId | None  # None: the whole fleet
    until: datetime | None
    actor: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotBug:
    """Keeper failed with a bug while handling one slot; the slot is held, the others are spared."""

    name: ClassVar[str] = "slot.bug"
    level: ClassVar[Level] = Level.ERROR
    slot: SlotId
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeSent:
    """A message reached its channel."""

    name: ClassVar[str] = "notice.sent"
    level: ClassVar[Level] = Level.DEBUG
    channel: str
    alert: str
    kind: str
    attempt: int
    is_page: bool = False  # from it on its incident needed a person


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeFailed:
    """A channel did not take a message; it stays in the outbox unless it was refused for good."""

    name: ClassVar[str] = "notice.failed"
    level: ClassVar[Level] = Level.WARNING
    channel: str
    alert: str
    kind: str
    attempt: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSwitched:
    """A channel wants no more messages, or takes them again."""

    name: ClassVar[str] = "channel.switched"
    level: ClassVar[Level] = Level.WARNING
    channel: str
    is_on: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedChanged:
    """A place that is shown what holds took it, or took it no more. Told on edges only."""

    name: ClassVar[str] = "feed.changed"
    level: ClassVar[Level] = Level.WARNING
    channel: str
    is_taking: bool
    alerts: int  # shown
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatChanged:
    """The address that is to hear that this box lives heard it, or heard it no more. Told on edges only."""

    name: ClassVar[str] = "heartbeat.changed"
    level: ClassVar[Level] = Level.WARNING
    is_heard: bool
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceChanged:
    """Alerts are told to nobody for a while, or are told again."""

    name: ClassVar[str] = "alerts.silence_changed"
    level: ClassVar[Level] = Level.WARNING
    silence: str
    begun: bool
    matchers: str
    until: datetime
    actor: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HintTaken:
    """Somebody outside said that something may have changed; the marketplace is looked at sooner."""

    name: ClassVar[str] = "hint.taken"
    level: ClassVar[Level] = Level.INFO
    source: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HintRefused:
    """A hint was forged, late, known already, or one of too many; nothing follows from it."""

    name: ClassVar[str] = "hint.refused"
    level: ClassVar[Level] = Level.WARNING
    source: str
    why: str  # one of few words
    refused: int  # so many of this kind since the last time it was told


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestMade:
    """The week was summed up for people."""

    name: ClassVar[str] = "digest.made"
    level: ClassVar[Level] = Level.INFO
    since: datetime
    until: datetime
    streams: int
    dollars: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDied:
    """A background task ended with an error and is started again (I21: no task dies quietly)."""

    name: ClassVar[str] = "task.died"
    level: ClassVar[Level] = Level.ERROR
    task: str
    error: str
