"""Looking from the outside, as a viewer does, and delivering messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from keeper.ports.hosts import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One bounded HTTP exchange."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout_s: float = 5.0
    reply_max_bytes: int = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """What came back, cut at the bound."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLimits:
    """A picture probe stops at whichever comes first."""

    sample_s: float = 2.5
    timeout_s: float = 5.0
    bytes_max: int = 12_000_000
    frames_max: int = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSample:
    """What a viewer received in one sample, in numbers. ``error`` is empty when bytes were asked for
    and the exchange itself worked.
    """

    http_status: int  # 0: no answer
    frames: int
    unique_frames: int
    undecodable_frames: int
    bytes_read: int
    sampled_s: float
    mean_luma: float | None  # 0..255, of the newest decodable frame
    motion: float | None  # mean absolute luma difference of two unique frames, 0..255
    newest_frame: bytes  # JPEG, for the thumbnail; empty when none
    error: str = ""  # "refused", "timeout", "reset", "not mjpeg", …
    is_own_fault: bool = False  # the probe failed for a reason on this box


class Network(Protocol):
    """Looks from the outside, and delivers messages."""

    async def fetch(self, request: HttpRequest) -> HttpReply:
        """Do one exchange. Raises Unreachable, TimedOut, Uncertain (sent, no whole answer)."""
        ...

    async def dial(self, address: Address, timeout_s: float) -> None:
        """Open and close a TCP connection. Raises Unreachable, TimedOut."""
        ...

    async def sample_mjpeg(self, url: str, limits: PictureLimits) -> PictureSample:
        """Watch an MJPEG stream as a viewer would, within the limits. Never raises PortError."""
        ...
