"""Facts about the slate that stands in for a stream without a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.core.events.level import Level
from keeper.core.model import StreamName
from keeper.core.slate import SlateWhy


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateStarted:
    """Viewers see the slate; ``dark_s`` is how long no host had shown a picture."""

    name: ClassVar[str] = "slate.started"
    level: ClassVar[Level] = Level.INFO
    stream: StreamName
    why: SlateWhy
    dark_s: float
    left_s: float  # what its countdown begins with


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateYielded:
    """The slate has made way, and nobody of keeper's publishes any more.

    ``duration_s`` is how long it was on; ``yield_s`` how long that took, from the look that called for it.
    """

    name: ClassVar[str] = "slate.yielded"
    level: ClassVar[Level] = Level.INFO
    stream: StreamName
    why: SlateWhy
    detail: str  # the same in a sentence
    duration_s: float
    yield_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateLost:
    """The slate has ended by itself: the ingest let go of it, say for another publisher."""

    name: ClassVar[str] = "slate.lost"
    level: ClassVar[Level] = Level.WARNING
    stream: StreamName
    error: str
    duration_s: float
    retry_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateRefused:
    """There should be a slate, and it could not be rendered, or the ingest has not taken it."""

    name: ClassVar[str] = "slate.refused"
    level: ClassVar[Level] = Level.WARNING
    stream: StreamName
    error: str
    retry_after_s: float
