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
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar

from typing_extensions import override

from keeper.sim.cron import next_match

T = TypeVar("T")

# Simulated fleets begin on a Monday at midnight, so that weeks and cron expressions read easily.
EPOCH = datetime(2026, 1, 5, tzinfo=UTC)


class Deadlock(RuntimeError):
    """Nothing is left to wait for: every task waits for another one."""


class _VirtualSelector(selectors.DefaultSelector):
    """Moves the clock to the next timer where a real selector would sleep."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.now_s = 0.0
        self.rate = rate

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None and len(self.get_map()) <= 1:  # the loop's own wake-up pipe
            raise Deadlock(_who_waits())
        if self.rate == math.inf:
            self.now_s += timeout or 0.0
            return []
        ready = super().select(None if timeout is None else timeout / self.rate)
        if not ready:
            self.now_s += timeout or 0.0
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose ``time()`` is simulated seconds since the start of the run."""

    def __init__(self, rate: float = math.inf) -> None:
        self._virtual = _VirtualSelector(rate)
        super().__init__(self._virtual)
        # A sum of floats may miss its timer by a hair; asyncio forgives one resolution.
        self._clock_resolution = 1e-6

    @override
    def time(self) -> float:
        return self._virtual.now_s

    def stall(self, duration_s: float) -> None:
        """Let time pass without running anything, as SIGSTOP does to a process."""
        self._virtual.now_s += duration_s

    @override
    def run_in_executor(self, *_: object) -> NoReturn:
        raise RuntimeError("threads live in real time; nothing on the simulated path may use one")


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
