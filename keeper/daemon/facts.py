"""The shell's own facts on their way to the journal, cleared of secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from keeper.core.events import Event
from keeper.daemon.error_line import shortened

_BACKLOG_MAX = 1000  # the store may fail for very long; then the newest are kept


class Facts:
    """What has happened beside the plans; each is journalled with the next tick's commit."""

    def __init__(self, hide: Callable[[str], str], nudge: Callable[[], None]) -> None:
        self._hide = hide
        self._nudge = nudge
        self._told: list[Event] = []

    def note(self, event: Event) -> None:
        """Take a fact, and call for a tick that writes it down."""
        self.add(self._without_secrets(event))
        self._nudge()

    def add(self, event: Event) -> None:
        """Take a fact of the tick that is under way."""
        self._told.append(event)
        del self._told[:-_BACKLOG_MAX]

    def take(self) -> tuple[Event, ...]:
        """Hand over what is to be written down."""
        told, self._told = tuple(self._told), []
        return told

    def give_back(self, told: tuple[Event, ...]) -> None:
        """Keep what could not be written down."""
        self._told = [*told, *self._told][-_BACKLOG_MAX:]

    def redact(self, text: str) -> str:
        """Hide the secrets in a text of somebody else's, then bound it."""
        return shortened(self._hide(text))

    def _without_secrets(self, event: Event) -> Event:
        for name in ("error", "detail"):
            said = getattr(event, name, "")
            if said and (shown := self.redact(said)) != said:
                changed: Any = {name: shown}
                event = replace(event, **changed)
        return event
