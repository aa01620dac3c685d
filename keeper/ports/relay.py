"""Messages that go by somebody else's library, because no request of our own reaches the receiver."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """One message in plain text. The address holds the receiver's secrets: it is never logged."""

    url: str = field(repr=False)
    title: str
    body: str
    severity: str  # info, warning, critical; "ok" for the end of something
    timeout_s: float = 20.0


class Relay(Protocol):
    """Hands messages on. A repeat may arrive twice."""

    async def send(self, message: Relayed) -> None:
        """Hand one on. Raises Unreachable, TimedOut (it may come again later), Refused (it may not)."""
        ...
