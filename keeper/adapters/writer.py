"""One thread that does all database work, in the order in which it was asked for.

Jobs that may share a transaction are done together, all that have queued up while the last commit
was on its way to the disk: 200 waiting callers cost one flush. It knows nothing of SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from keeper.ports import StoreError

_C = TypeVar("_C")  # what a job works on
_T = TypeVar("_T")

# Callers in one commit. Bounded, so that the first of them does not wait for ever for the last.
GROUP_MAX = 1_000


class NotStorable(StoreError):
    """One job's content is at fault, not the store: those who shared its transaction try again."""


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[Any], Any]
    done: asyncio.Future[Any]
    is_sharing: bool


@dataclass(frozen=True, slots=True)
class _Stop:
    last: Callable[[], None]
    done: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class _Answer:
    done: asyncio.Future[Any]
    value: Any = None
    error: Exception | None = None

    def deliver(self) -> None:
        """Tell the caller, unless it has stopped waiting."""
        if self.done.done():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.value)


class Writer(Generic[_C]):
    """Runs jobs in a thread of its own. Made and used from one event loop."""

    def __init__(self, transaction: Callable[[Callable[[_C], Any]], Any], *, name: str) -> None:
        """Start the thread. ``transaction`` does a piece of work whole or not at all."""
        self.transactions = 0  # how often work was handed over: fewer than jobs when they share
        self._transaction = transaction
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Job | _Stop] = queue.SimpleQueue()
        # A daemon thread: a process that dies without `stop` must not wait for it. Nothing is lost
        # by that, since nobody was told yet that their work is done.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def submit(self, work: Callable[[_C], _T], *, is_sharing: bool = False) -> _T:
        """Do the work and wait until its transaction is over.

        A caller that is cancelled meanwhile stops waiting; its work is done all the same.
        """
        done: asyncio.Future[_T] = self._loop.create_future()
        self._queue.put(_Job(work=work, done=done, is_sharing=is_sharing))
        return await done

    async def stop(self, last: Callable[[], None]) -> None:
        """Do what has queued, then ``last``, and end the thread: also when cancelled meanwhile."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.put(_Stop(last=last, done=done))
        try:
            await done
        finally:
            self._thread.join()

    def _run(self) -> None:
        """Take what has queued, do it, tell those who wait; until told to stop."""
        while True:
            for portion in _portions(self._taken()):
                if isinstance(portion, _Stop):
                    self._tell([_last(portion)])
                    return
                self._tell(self._do(portion))

    def _taken(self) -> Iterator[_Job | _Stop]:
        """Wait for a first job and take those that are there already."""
        yield self._queue.get()
        with contextlib.suppress(queue.Empty):
            for _ in range(GROUP_MAX - 1):
                yield self._queue.get_nowait()

    def _do(self, jobs: Sequence[_Job]) -> list[_Answer]:
        self.transactions += 1
        try:
            values = self._transaction(lambda on: [job.work(on) for job in jobs])
        except Exception as error:  # noqa: BLE001 - it is handed to those who asked, not swallowed
            is_shared_fate = isinstance(error, StoreError) and not isinstance(error, NotStorable)
            if len(jobs) == 1 or is_shared_fate:
                return [_Answer(job.done, error=error) for job in jobs]
            return [answer for job in jobs for answer in self._do([job])]
        return [_Answer(job.done, value) for job, value in zip(jobs, values, strict=True)]

    def _tell(self, answers: Sequence[_Answer]) -> None:
        """Wake the callers, all in one step of their loop."""
        # A closed loop has nobody left who could be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_deliver, answers)


def _deliver(answers: Sequence[_Answer]) -> None:
    for answer in answers:
        answer.deliver()


def _last(stop: _Stop) -> _Answer:
    try:
        stop.last()
    except Exception as error:  # noqa: BLE001 - handed to who asked, who would wait for ever otherwise
        return _Answer(stop.done, error=error)
    return _Answer(stop.done)


def _portions(taken: Iterator[_Job | _Stop]) -> Iterator[list[_Job] | _Stop]:
    """Put neighbours that may share a transaction together; the order stays."""
    sharing: list[_Job] = []
    for item in taken:
        if isinstance(item, _Job) and item.is_sharing:
            sharing.append(item)
            continue
        if sharing:
            yield sharing
            sharing = []
        yield item if isinstance(item, _Stop) else [item]
    if sharing:
        yield sharing
