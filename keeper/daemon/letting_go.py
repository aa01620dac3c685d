"""Who waits for what goes on without keeper: nobody, once keeper stops.

A job runs on its host, and what has come of a big file stays there. The next start finds the open
intent, as after a crash, and takes both up again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class LettingGo:
    """The acts that may be let go of where they are."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Task[object], None] = {}  # in the order in which they came
        self.is_asked = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let the task at hand be cancelled in here when keeper stops, also if it does already."""
        task = asyncio.current_task()
        assert task is not None, "only acts wait"
        self._waiting[task] = None
        if self.is_asked:
            task.cancel()
        try:
            yield
        finally:
            self._waiting.pop(task, None)

    def ask(self) -> None:
        """Let go of all that is waited for so, now and from now on."""
        self.is_asked = True
        for task in list(self._waiting):
            task.cancel()
