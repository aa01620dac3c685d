"""The promises that a simulated world has given and not yet broken."""

from __future__ import annotations

from collections.abc import Callable


class Given:
    """One promise."""

    __slots__ = ("_broken", "_outlook", "holds")

    def __init__(
        self, outlook: Outlook, holds: Callable[[], bool], broken: Callable[[], None]
    ) -> None:
        self._outlook = outlook
        self._broken = broken
        self.holds = holds

    def release(self) -> None:
        """Take it back without a word."""
        self._outlook.standing.pop(self, None)

    def end(self) -> None:
        """Break it, and say so; nothing when it stands no more."""
        if self in self._outlook.standing:
            del self._outlook.standing[self]
            self._broken()


class Outlook:
    """All that stand, in the order in which they were given."""

    def __init__(self) -> None:
        self.standing: dict[Given, None] = {}

    def promise(self, holds: Callable[[], bool], broken: Callable[[], None]) -> Given:
        """Promise that ``holds`` stays true from now on."""
        given = Given(self, holds, broken)
        self.standing[given] = None
        return given

    def look(self) -> None:
        """Break what no longer holds."""
        for given in tuple(self.standing):
            if not given.holds():
                given.end()

    def break_all(self) -> None:
        """Break all: what follows, nobody has foreseen."""
        for given in tuple(self.standing):
            given.end()

    def forget(self) -> None:
        """Drop all without a word: who held them is dead."""
        self.standing.clear()
