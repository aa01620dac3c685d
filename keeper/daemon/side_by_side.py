"""Tasks of one part of the daemon that must not hold up one another, each known by a name.

One that dies is told about and begun again; the others do not notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from keeper.core.events import TaskDied
from keeper.daemon.error_line import describe

_AGAIN_AFTER_S = 5.0

Work = Callable[[], Coroutine[Any, Any, None]]


class SideBySide:
    """At most one task for each name. Each may come to its end; then it may be begun again."""

    def __init__(
        self, died: Callable[[TaskDied], None], *, ended: Callable[[], None] = lambda: None
    ) -> None:
        """``ended``: called whenever a task has come to its end."""
        self._died = died
        self._ended = ended
        self._alive: dict[str, asyncio.Task[None]] = {}

    @property
    def alive(self) -> frozenset[str]:
        """The names of the tasks that run."""
        return frozenset(self._alive)

    def begin(self, group: asyncio.TaskGroup, name: str, work: Work) -> None:
        """Begin some work unless work of this name is under way."""
        if name in self._alive:
            return
        task = group.create_task(self._again(name, work), name=name)
        self._alive[name] = task
        task.add_done_callback(lambda _: self._over(name))

    def end(self, name: str) -> None:
        """Cut off the work of a name, if there is any."""
        if (task := self._alive.get(name)) is not None:
            task.cancel()

    def _over(self, name: str) -> None:
        del self._alive[name]
        self._ended()

    async def _again(self, name: str, work: Work) -> None:
        while True:
            try:
                await work()
            except Exception as bug:  # noqa: BLE001 - told and journalled; nothing dies quietly (I21)
                self._died(TaskDied(task=name, error=describe(bug)))
            else:
                return
            await asyncio.sleep(_AGAIN_AFTER_S)
