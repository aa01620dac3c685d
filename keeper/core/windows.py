"""Maintenance windows: spans of time in which keeper may do less than it otherwise would.

The core knows intervals and what they allow; who made them of a cron expression is the shell's
business. Where several hold at once, the strictest counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from keeper.core.model import StreamName


class Allowance(StrEnum):
    """What may be done within a window, the strictest first."""

    OBSERVE = "observe"  # nothing
    REPAIR = "repair"  # what keeps the rental: a restart, a deploy, a reboot, another bid
    REPLACE = "replace"  # everything; and the time for what can wait, such as a recycle


# For people: what goes on within a window.
ALLOWS = {
    Allowance.OBSERVE: "nothing is done",
    Allowance.REPAIR: "hosts are repaired, and none is rented or given up",
    Allowance.REPLACE: "everything may be done",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One opening of a window, of one stream or of the whole fleet."""

    name: str
    since: datetime
    until: datetime
    allow: Allowance
    stream: StreamName | None = None  # None: the fleet


_ORDER = tuple(Allowance)


def strictest(windows: Iterable[Window], stream: StreamName | None, now: datetime) -> Window | None:
    """Return the open window that allows a stream least; of equals the one that lasts longest."""
    held = [
        each for each in windows if each.since <= now < each.until and each.stream in (None, stream)
    ]
    return min(
        held, key=lambda each: (_ORDER.index(each.allow), -each.until.timestamp()), default=None
    )
