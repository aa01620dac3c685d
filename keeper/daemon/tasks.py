"""Owns every task of the daemon: one that dies is told about, and begun again if it must not end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from keeper.core.events import TaskDied
from keeper.daemon.error_line import describe

_AGAIN_AFTER_S = 1.0
_AGAIN_AFTER_MAX_S = 60.0


class Tasks:
    """The tasks under one TaskGroup."""

    def __init__(self, died: Callable[[TaskDied], None]) -> None:
        self._died = died
        self._group: asyncio.TaskGroup | None = None
        self._alive: dict[asyncio.Task[Any], None] = {}  # in the order in which they began

    def own(self, group: asyncio.TaskGroup | None) -> None:
        """Start (or stop) owning: tasks begun from here on belong to this group."""
        self._group = group

    def once(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[Any]:
        """Run something to its end."""
        if self._group is None:
            work.close()
            message = f"{name} was begun while the daemon is not running"
            raise RuntimeError(message)
        telling = self._telling(work, name)
        try:
            task = self._group.create_task(telling, name=name)
        except RuntimeError:  # the group is ending: what is not begun must not be left lying about
            telling.close()
            work.close()
            raise
        self._alive[task] = None

        def over(ended: asyncio.Task[Any]) -> None:
            del self._alive[ended]
            work.close()  # a task that is cancelled before its first step has not begun it

        task.add_done_callback(over)
        return task

    def for_ever(
        self, job: Callable[[], Coroutine[Any, Any, None]], name: str
    ) -> asyncio.Task[None]:
        """Run something that must not end; when it dies it is begun again, more slowly each time."""

        async def again_and_again() -> None:
            loop = asyncio.get_running_loop()
            wait_s = _AGAIN_AFTER_S
            while True:
                began_s = loop.time()
                if await self._telling(job(), name):
                    self._died(TaskDied(task=name, error="it ended, which it must not"))
                if loop.time() - began_s > _AGAIN_AFTER_MAX_S:
                    wait_s = _AGAIN_AFTER_S  # it was well for a while: this is another trouble
                await asyncio.sleep(wait_s)
                wait_s = min(_AGAIN_AFTER_MAX_S, wait_s * 2)

        return self.once(again_and_again(), name)

    def cancel_all(self) -> None:
        """End everything; the group then waits for it."""
        for task in list(self._alive):
            task.cancel()

    async def _telling(self, work: Coroutine[Any, Any, None], name: str) -> bool:
        """Await some work and tell how it died; returns whether it came to its end."""
        try:
            await work
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody has cancelled us: a library let the end of a future of its own escape, and a
            # TaskGroup takes that for an orderly end.
            self._died(TaskDied(task=name, error=describe(error)))
        except Exception as error:  # noqa: BLE001 - told and journalled; nothing dies quietly (I21)
            self._died(TaskDied(task=name, error=describe(error)))
        else:
            return True
        return False
