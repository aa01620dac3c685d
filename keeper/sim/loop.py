"""Virtual time: an asyncio event loop that moves its own clock instead of waiting.

A week passes in seconds, and twice in the same way: with nothing to do, the loop jumps to its next
timer. At a finite rate it plays the same program to a human. A program with nothing left to wait
for ends with ``Deadlock`` at once instead of hanging. It knows nothing of keeper but the ports
``Clock`` and ``Cadence``; threads are refused on it, because a thread lives in real time.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any, NoReturn, TypeVar

from typing_extensions import override

from keeper.sim.cron import next_match

T = TypeVar("T")

# Simulated fleets begin on a Monday at midnight, so that weeks and cron expressions read easily.
EPOCH = datetime(2026, 1, 5, tzinfo=UTC)


class Deadlock(RuntimeError):
    """Nothing is left to wait for: every task waits for another one."""


class _Handle(asyncio.Handle):
    """A planned call without the questions about debugging that asyncio asks at each one.

    A simulated week makes two million; these few lines are a tenth of its time.
    """

    __slots__ = ()

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class _Timer(asyncio.TimerHandle):
    """The same for a planned moment; a cancelled one is passed over when its time comes."""

    __slots__ = ()

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self._when = when
        self._scheduled = False

    @override
    def cancel(self) -> None:
        self._cancelled = True
        self._callback = _nothing
        self._args = ()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose ``time()`` is simulated seconds since the start of the run.

    Timers that are due at the same moment ring in the order in which they were set, which a real
    loop does not promise. At a finite rate it waits for timers, and serves sockets meanwhile.
    """

    # What the base class calls its own; stable from 3.11 to 3.14, and tests would tell.
    _ready: deque[asyncio.Handle]
    _stopping: bool
    _selector: selectors.BaseSelector
    _process_events: Callable[[object], None]

    def __init__(self, rate: float = math.inf) -> None:
        super().__init__()
        self._rate = rate
        self._now_s = 0.0
        self._timers: list[tuple[float, int, _Timer]] = []
        self._numbers = count()

    @override
    def time(self) -> float:
        return self._now_s

    def stall(self, duration_s: float) -> None:
        """Let time pass without running anything, as SIGSTOP does to a process."""
        self._now_s += duration_s

    @override
    def call_soon(  # type: ignore[override] # typeshed spells the arguments with a type variable
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    @override
    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    @override
    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = _Timer(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def _run_once(self) -> None:
        """Run what is ready, and whenever nothing is, move the clock to the next timer.

        It replaces the method of the same name, so it looks inside handles as that one does; and it
        goes on until the loop is to stop, because its caller would only call it again.
        """
        # ruff: noqa: SLF001
        ready, timers = self._ready, self._timers
        while True:
            if not ready and not self._stopping:
                while timers and timers[0][2]._cancelled:
                    heappop(timers)
                self._pass_time(timers[0][0] if timers else None)
            now_s = self._now_s
            while timers and timers[0][0] <= now_s:
                timer = heappop(timers)[2]
                if not timer._cancelled:
                    ready.append(timer)
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()
            if self._stopping:
                return

    def _pass_time(self, until_s: float | None) -> None:
        """Jump to a moment, or at a finite rate wait for it, serving sockets meanwhile."""
        if self._rate == math.inf:
            if until_s is None:
                raise Deadlock(_who_waits())
            self._now_s = max(self._now_s, until_s)
            return
        if until_s is None and len(self._selector.get_map()) <= 1:  # the loop's own wake-up pipe
            raise Deadlock(_who_waits())
        wait_s = None if until_s is None else max(0.0, until_s - self._now_s) / self._rate
        before_s = time.monotonic()
        events = self._selector.select(wait_s)
        self._process_events(events)
        if events:
            self._now_s += (time.monotonic() - before_s) * self._rate
        elif until_s is not None:
            self._now_s = max(self._now_s, until_s)

    @override
    def run_in_executor(self, *_: object) -> NoReturn:
        raise RuntimeError("threads live in real time; nothing on the simulated path may use one")


def _nothing() -> None:
    """Stand where the callback of a cancelled timer was."""


def run(main: Coroutine[Any, Any, T], *, rate: float = math.inf) -> T:
    """Run ``main`` to its end in virtual time; ``rate`` is simulated seconds per real second."""
    if not rate > 0:
        main.close()
        raise ValueError(f"the rate of time must be above zero, not {rate}")
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(rate)) as runner:
        return runner.run(main)


class VirtualClock:
    """The Clock port over the running loop, with the faults that wall clocks have."""

    def __init__(self, epoch: datetime = EPOCH, *, drift_ratio: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoch = epoch
        self._drift_ratio = drift_ratio
        self._stepped_s = 0.0

    def now(self) -> datetime:
        """Return the simulated wall clock; it steps when it is told to."""
        elapsed_s = self._loop.time() * (1.0 + self._drift_ratio) + self._stepped_s
        return self._epoch + timedelta(seconds=elapsed_s)

    def monotonic(self) -> float:
        """Return simulated seconds since the start of the run."""
        return self._loop.time()

    def step(self, by_s: float) -> None:
        """Make the wall clock jump; monotonic time does not notice."""
        self._stepped_s += by_s


class VirtualCadence:
    """The Cadence port with one plain task a job. A job's error ends the run: see ``died``."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._jobs: list[tuple[str, Callable[[], float], Callable[[], Awaitable[None]]]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def every(self, name: str, interval_s: float, job: Callable[[], Awaitable[None]]) -> None:
        """Run ``job`` each ``interval_s``, the first time after one interval."""
        self._jobs.append((name, lambda: interval_s, job))

    def cron(self, name: str, expression: str, job: Callable[[], Awaitable[None]]) -> None:
        """Run ``job`` by a five-field cron expression in UTC."""

        def until_next() -> float:
            now = self._clock.now()
            return (next_match(expression, now) - now).total_seconds()

        self._jobs.append((name, until_next, job))

    def start(self) -> None:
        """Begin; jobs that are added later never run."""
        for name, until_next, job in self._jobs:
            self._tasks.append(asyncio.create_task(_repeat(name, until_next, job), name=name))

    async def stop(self) -> None:
        """Stop; running jobs are cancelled and awaited."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(
    name: str, until_next: Callable[[], float], job: Callable[[], Awaitable[None]]
) -> None:
    """Run a job for ever; its error is reported to the loop, so that no job dies quietly."""
    while True:
        await asyncio.sleep(until_next())
        try:
            await job()
        except Exception as error:  # noqa: BLE001 - told to the loop's handler, which the auditor reads
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"calendar job {name} failed", "exception": error}
            )


def _who_waits() -> str:
    """Name the tasks that wait for one another, in an order that repeats."""
    names = sorted(
        f"{task.get_name()} in {getattr(task.get_coro(), '__qualname__', '?')}"
        for task in asyncio.all_tasks(asyncio.get_running_loop())
    )
    return "nothing is left to wait for, yet these tasks wait: " + (", ".join(names) or "none")
