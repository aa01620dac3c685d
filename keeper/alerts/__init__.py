"""Told once, told well: which alerts fire, which messages are due, how a channel words them. Pure.

``rules`` looks at a Snapshot and says what fires; ``dispatch`` groups, inhibits, repeats and resolves
into notices; a channel composes a request from a notice and classifies the reply. The shell sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel

from keeper.core.digest import Digest
from keeper.core.model import SlotId, StreamName
from keeper.core.reasons import Reason
from keeper.ports import HttpReply, HttpRequest, NoticeKind, Relayed


class Severity(StrEnum):
    """Who has to care."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"  # a person must act


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that holds now and that a person may need to know. ``key`` identifies it over time."""

    name: str  # PascalCase, the runbook's name: KeeperStreamDark
    key: str  # name plus what it is about: "KeeperStreamDark:duel/0"
    severity: Severity
    slot: SlotId | None
    stream: StreamName | None
    summary: str  # one line: what is wrong
    why: str  # the reason's sentence
    did: str  # what keeper did or will do
    needs_human: str  # what a person should do; "" when nothing
    since: datetime
    dollars: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    reason: Reason | None = None
    dark_since: datetime | None = None  # None: the viewer sees a picture, or never saw one
    acts: int = 0  # remedies tried in this incident
    over: str = ""  # the summary once it no longer holds: "duel/0 is no longer dark"
    is_once: bool = False  # news, not a reminder: not repeated while it holds
    # The newest look was good, and one is not believed: whoever was not told yet is not told now.
    is_passing: bool = False
    stage: int = 0  # how far it has come; each further one is told, once
    case: str = ""  # which one of several in a row it is about; another one is told


class LineStatus(StrEnum):
    """What a message says of one alert of its incident."""

    NEW = "new"  # told for the first time
    WORSE = "worse"  # told before; its severity has risen, or it has come a stage further
    HOLDS = "holds"  # told before, and still so
    OVER = "over"  # no longer so, told with this message


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One alert of an incident, as a message shows it."""

    alert: Alert
    status: LineStatus
    dark_s: float = 0.0  # how long its viewers have seen nothing
    why_now: str = ""
    cost_dollars: float = 0.0  # what that dark time has cost so far, where it is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message that is due. The id is the same over every retry and channel restart.

    All messages with one ``incident_id`` are one story: FIRING opens it, in full; UPDATE and REPEAT are
    short follow-ups; RESOLVED closes it. A DIGEST belongs to none.
    """

    notice_id: str
    kind: NoticeKind
    alert: Alert  # the one that leads the incident: what the first line is about
    at: datetime
    dark_s: float = 0.0  # how long viewers have seen nothing: of the slot that was dark longest
    acts: int = 0
    reason: str = ""  # why this message now: first, new severity, repeat after 4 h, resolved
    incident_id: str = ""
    lines: tuple[Line, ...] = ()  # every alert of the incident, the leading one first
    is_page: bool = False  # from this message on the incident needs a person: once for each
    cost_dollars: float = (
        0.0  # what the dark time of all its slots has cost so far, where it is known
    )
    digest: Digest | None = None


class DeliveryKind(StrEnum):
    """How a channel took a message."""

    DELIVERED = "delivered"
    RETRY = "retry"
    DROP = "drop"  # refused for good
    DISABLE = "disable"  # 410: the endpoint wants no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A classified reply."""

    kind: DeliveryKind
    retry_after_s: float | None = None
    error: str = ""
    # What later messages of the incident must name, such as the thread they belong to. Kept on disk,
    # by channel and incident; "": nothing.
    receipt: str = ""


class Channel(Protocol):
    """One place to tell people. Asked in the order in which messages are due."""

    name: str
    apart_s: float  # from one message to the next, at least; 0: as they come

    def wants(self, notice: Notice) -> bool:
        """Whether this channel is to get a notice at all; asked once, when it is due."""
        ...

    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest | Relayed:
        """Word a notice for this channel. Remote text in it is escaped here.

        ``receipt``: what the channel itself said of the message that opened the incident.
        """
        ...

    def amend(self, notice: Notice, *, now: datetime, receipt: str) -> HttpRequest | None:
        """Write anew the message that opened the incident, once ``notice`` was delivered; None: not here.

        Tried once: what it would say has been said.
        """
        ...

    def classify(self, reply: HttpReply) -> Delivery:
        """Say what a reply means."""
        ...


class Feed(Protocol):
    """One place that is shown, again and again, which alerts hold, and makes messages of them itself.

    Nothing of it is kept: the next showing says it all. What is shown no more ends there by itself.
    """

    name: str
    interval_s: float  # between two showings, while anything holds; sooner when something changes

    def compose(
        self, holding: tuple[Alert, ...], ended: tuple[Alert, ...], *, now: datetime
    ) -> HttpRequest:
        """Word what holds, and what has ended since the last showing that was taken."""
        ...

    def classify(self, reply: HttpReply) -> Delivery:
        """Say what a reply means."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredChannel:
    """One channel kind: its settings model and how to build it."""

    kind: str
    settings: type[BaseModel]
    build: Callable[[Any, Mapping[str, str]], Channel] | None  # settings, secrets by name
    build_feed: Callable[[Any, Mapping[str, str]], Feed] | None = None  # one of the two


_CHANNELS: dict[str, RegisteredChannel] = {}


def register_channel(
    kind: str,
    settings: type[BaseModel],
    build: Callable[[Any, Mapping[str, str]], Channel] | None,
    *,
    build_feed: Callable[[Any, Mapping[str, str]], Feed] | None = None,
) -> None:
    """Make a channel kind known. The settings model has ``kind: Literal[kind]`` and ``name``.

    A field of it that ends in ``_secret`` holds the *name* of a secret ("" for none); the values come
    to ``build`` by these names and are never in the settings.
    """
    if kind in _CHANNELS:
        message = f"channel kind {kind!r} is registered twice"
        raise ValueError(message)
    _CHANNELS[kind] = RegisteredChannel(
        kind=kind, settings=settings, build=build, build_feed=build_feed
    )


def registered_channels() -> Mapping[str, RegisteredChannel]:
    """All channel kinds, after loading every module of ``channels`` once."""
    import importlib  # noqa: PLC0415 - plug-ins are loaded when first asked for
    import pkgutil  # noqa: PLC0415

    package = importlib.import_module(f"{__name__}.channels")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(_CHANNELS)
