"""Turns declared windows into those that are open now, and says when that changes and what comes.

The calendar is asked only when something can have changed: at a boundary, after a reload, and when
the clock was stepped back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from keeper.core.events import Event, WindowClosed, WindowOpened
from keeper.core.model import StreamName
from keeper.core.windows import Allowance, Window


class Openings(Protocol):
    """When a window opens: a calendar's answer, in UTC."""

    def latest(self, now: datetime, within_s: float) -> datetime | None:
        """Return the latest opening that is not in the future and at most so long ago."""
        ...

    def next(self, now: datetime) -> datetime | None:
        """Return the first opening after now; None: there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredWindow:
    """A window as configured: when it opens, for how long, and what it allows."""

    name: str
    openings: Openings
    for_s: float
    allow: Allowance
    stream: StreamName | None = None


class Windows:
    """The windows that are open now, and those that open next."""

    def __init__(
        self,
        declared: Callable[[], tuple[DeclaredWindow, ...]],
        note: Callable[[Event], None],
    ) -> None:
        self._declared = declared
        self._note = note
        self._basis: tuple[DeclaredWindow, ...] = ()
        self._looked_at: datetime | None = None
        self.open: tuple[Window, ...] = ()
        self.ahead: tuple[Window, ...] = ()  # the next opening of each, also of one that is open
        self.changes_at: datetime | None = None

    def look(self, now: datetime) -> None:
        """Bring ``open``, ``ahead`` and ``changes_at`` up to date, and state what opened or closed."""
        declared = self._declared()
        is_same = declared is self._basis and self._looked_at is not None
        is_before = self.changes_at is None or now < self.changes_at
        if is_same and is_before and self._looked_at is not None and now >= self._looked_at:
            return
        before, self._basis, self._looked_at = self.open, declared, now
        self.open = tuple(opened for each in declared if (opened := _opened(each, now)) is not None)
        self.ahead = tuple(
            _opening(each, at) for each in declared if (at := each.openings.next(now)) is not None
        )
        moments = [each.until for each in self.open] + [each.since for each in self.ahead]
        self.changes_at = min(moments, default=None)
        for each in before:
            if each not in self.open:
                self._note(WindowClosed(window=each.name, stream=each.stream))
        for each in self.open:
            if each not in before:
                self._note(
                    WindowOpened(
                        window=each.name, stream=each.stream, allow=each.allow, until=each.until
                    )
                )


def _opened(declared: DeclaredWindow, now: datetime) -> Window | None:
    since = declared.openings.latest(now, declared.for_s)
    if since is None:
        return None
    opened = _opening(declared, since)
    return None if opened.until <= now else opened


def _opening(declared: DeclaredWindow, since: datetime) -> Window:
    return Window(
        name=declared.name,
        since=since,
        # Elapsed time, not the wall's: a window that lasts six hours does so when clocks are changed.
        until=since + timedelta(seconds=declared.for_s),
        allow=declared.allow,
        stream=declared.stream,
    )
