"""What was lost for channels: messages that were given up though their channel is on. In memory alone.

A restart forgets it; the store has each lost message with its error, and the journal a line of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

_ERROR_MAX = 300
_KEPT_MAX = 100  # names that are declared no more are remembered, but not for ever more of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """What a channel has lost."""

    count: int = 0  # messages since it took one
    last_at: datetime | None = None  # None: it has lost nothing since the start
    why: str = ""  # of the last one; bounded, redacted


_NOTHING = Drop()


class Drops:
    """The losses of every channel."""

    def __init__(self) -> None:
        self._of: dict[str, Drop] = {}

    def of(self, channel: str) -> Drop:
        """Return what a channel has lost."""
        return self._of.get(channel, _NOTHING)

    def dropped(self, channel: str, at: datetime, why: str) -> None:
        """A message is lost."""
        lost = self._of.pop(channel, _NOTHING).count + 1
        self._of[channel] = Drop(count=lost, last_at=at, why=why[:_ERROR_MAX])
        while len(self._of) > _KEPT_MAX:
            del self._of[next(iter(self._of))]

    def taken(self, channel: str) -> None:
        """The channel took a message. What it lost before is not told as its state any more, only when."""
        if (lost := self._of.get(channel)) is not None and lost.count:
            self._of[channel] = Drop(last_at=lost.last_at, why=lost.why)
