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

from keeper.core.model import SlotId, StreamName
from keeper.core.reasons import Reason
from keeper.ports import HttpReply, HttpRequest, NoticeKind


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
    stage: int = 0  # how far it has come; each further one is told, once
    case: str = ""  # which one of several in a row it is about; another one is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message that is due. The id is the same over every retry and channel restart."""

    notice_id: str
    kind: NoticeKind
    alert: Alert
    at: datetime
    dark_s: float = 0.0  # RESOLVED: how long the viewer saw nothing
    acts: int = 0
    reason: str = ""  # why this message now: first, new severity, repeat after 4 h, resolved


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


class Channel(Protocol):
    """One place to tell people."""

    name: str

    def compose(self, notice: Notice, *, now: datetime) -> HttpRequest:
        """Word a notice for this channel. Remote text in it is escaped here."""
        ...

    def classify(self, reply: HttpReply) -> Delivery:
        """Say what a reply means."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredChannel:
    """One channel kind: its settings model and how to build it."""

    kind: str
    settings: type[BaseModel]
    build: Callable[[Any, Mapping[str, str]], Channel]  # settings, secrets by name


_CHANNELS: dict[str, RegisteredChannel] = {}


def register_channel(
    kind: str,
    settings: type[BaseModel],
    build: Callable[[Any, Mapping[str, str]], Channel],
) -> None:
    """Make a channel kind known. The settings model has ``kind: Literal[kind]`` and ``name``.

    A field of it that ends in ``_secret`` holds the *name* of a secret ("" for none); the values come
    to ``build`` by these names and are never in the settings.
    """
    if kind in _CHANNELS:
        message = f"channel kind {kind!r} is registered twice"
        raise ValueError(message)
    _CHANNELS[kind] = RegisteredChannel(kind=kind, settings=settings, build=build)


def registered_channels() -> Mapping[str, RegisteredChannel]:
    """All channel kinds, after loading every module of ``channels`` once."""
    import importlib  # noqa: PLC0415 - plug-ins are loaded when first asked for
    import pkgutil  # noqa: PLC0415

    package = importlib.import_module(f"{__name__}.channels")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(_CHANNELS)
