"""What a look at the duel brought: its types, and nothing of what they mean.

Whatever does not fit its type is not known, which is not a failure. A form of the bridge's status that
lacks a field leaves it at None.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Sign(msgspec.Struct, frozen=True):
    """Lines of a log that mean something: how many, since when, the newest."""

    n: int = 0
    for_s: float = 0.0
    text: str = ""


class ServerFacts(msgspec.Struct, frozen=True):
    """What ``/health`` says."""

    code: int = 0
    silent_s: float = 0.0
    db: bool | None = None
    maintenance: bool = False
    by_keeper: bool = False  # the maintenance: a deploy was cut off between entering and leaving it


class StateFacts(msgspec.Struct, frozen=True):
    """What ``/api/streaming/state`` says, and for how long it has not moved."""

    code: int = 0
    error: str = ""
    phase: str = ""
    idle_s: float = 0.0
    late_s: float = 0.0
    still_s: float = 0.0
    still_fights: int = 0


class BridgeFacts(msgspec.Struct, frozen=True):
    """What the bridge's status says, in whichever of its forms; None: that form does not tell."""

    seen: str = "unknown"
    alive: bool | None = None
    is_young: bool | None = None
    absent_s: float = 0.0
    flat_s: float | None = None
    ffmpeg: bool | None = None
    outputs: int = 0
    down: tuple[str, ...] = ()
    down_s: float = 0.0
    degraded: str = ""
    degraded_s: float = 0.0
    still_picture_s: float | None = None
    is_old: bool = False


class HlsFacts(msgspec.Struct, frozen=True):
    """Whether the playlist is there and moves."""

    seen: bool = False
    flat_s: float = 0.0


class Facts(msgspec.Struct, frozen=True):
    """One look."""

    process: str = "unknown"
    is_deployed: bool | None = None
    is_young: bool | None = None
    rotating: bool = False
    server: ServerFacts = ServerFacts()
    commit: str = ""
    state: StateFacts = StateFacts()
    bridge: BridgeFacts = BridgeFacts()
    hls: HlsFacts | None = None
    has_display: bool | None = None
    has_sound: bool | None = None
    has_old_environment: bool | None = None
    memory_mb: int = 0
    log: Mapping[str, Sign] = {}


_DECODER = msgspec.json.Decoder(Facts)


def read_facts(raw: bytes) -> Facts | None:
    """Decode one look; None: it is no such thing."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None
