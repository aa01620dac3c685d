"""What it costs that something recurs for each slot: keeper's wheel, a bare one, and a scheduler.

In all of them a key falls due every 10 s, at its own phase, and starts a task. Real time passes: most
of what a fire costs is the wake-up of the process, which virtual time would hide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bench.measure import Cpu, Row, Side, against, in_turn
from keeper.adapters.clock import SystemClock
from keeper.daemon.wheel import Wheel

_INTERVAL_S = 10.0
_WINDOW_S = 1.5
_BUCKET_S = 0.1


class _Fires:
    """Counts what fell due, in a task of its own as a probe would be."""

    def __init__(self) -> None:
        self.count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        task = asyncio.get_running_loop().create_task(self.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        self.count += 1


async def measure() -> list[Row]:
    rows = []
    for keys in (1_000, 10_000):
        ours, floor, peer = await in_turn(_wheel(keys), _bare(keys), _scheduler(keys))
        unit = "us CPU a fire"
        rows += [
            against(
                f"wheel.floor.{keys}",
                ours,
                floor,
                goal=2.0,
                unit=unit,
                note=f"floor: a bare 100 ms wheel, {keys} keys",
            ),
            against(
                f"wheel.apscheduler.{keys}",
                ours,
                peer,
                goal=1 / 6,
                unit=unit,
                note=f"peer: an APScheduler job a slot, {keys} slots",
                is_peer=True,
            ),
        ]
    return rows


async def _window(fires: _Fires) -> float:
    """Let it run in, then count CPU and fires."""
    await asyncio.sleep(3 * _BUCKET_S)
    before = fires.count
    with Cpu() as cpu:
        await asyncio.sleep(_WINDOW_S)
    assert fires.count > before
    return cpu.us_each(fires.count - before)


def _wheel(keys: int) -> Side:
    async def side() -> float:
        fires = _Fires()
        wheel = Wheel(SystemClock())

        def again(key: int) -> Callable[[], None]:
            def fire() -> None:
                wheel.schedule(key, _INTERVAL_S, fire)
                fires.start()

            return fire

        for key in range(keys):
            wheel.schedule(key, _INTERVAL_S * key / keys, again(key))
        async with asyncio.TaskGroup() as group:
            turning = group.create_task(wheel.run())
            cost = await _window(fires)
            turning.cancel()
        return cost

    return side


def _bare(keys: int) -> Side:
    async def turn(ring: list[list[Callable[[], None]]]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        at = 0
        while True:
            at += 1
            await asyncio.sleep(began + at * _BUCKET_S - loop.time())
            for call in ring[at % len(ring)]:
                call()

    async def side() -> float:
        fires = _Fires()
        ring: list[list[Callable[[], None]]] = [[] for _ in range(int(_INTERVAL_S / _BUCKET_S))]
        for key in range(keys):
            ring[key % len(ring)].append(fires.start)
        async with asyncio.TaskGroup() as group:
            turning = group.create_task(turn(ring))
            cost = await _window(fires)
            turning.cancel()
        return cost

    return side


def _scheduler(keys: int) -> Side:
    async def side() -> float:
        fires = _Fires()
        scheduler = AsyncIOScheduler(timezone="UTC")
        scheduler.start(paused=True)
        # Adding takes a while; whatever is spread from then on is in phase with nobody.
        first = datetime.now(UTC) + timedelta(seconds=keys / 4_000)
        for key in range(keys):
            scheduler.add_job(
                fires.run,
                "interval",
                seconds=_INTERVAL_S,
                next_run_time=first + timedelta(seconds=_INTERVAL_S * key / keys),
                misfire_grace_time=None,
            )
        scheduler.resume()
        await asyncio.sleep(max(0.0, (first - datetime.now(UTC)).total_seconds()))
        cost = await _window(fires)
        scheduler.pause()
        await asyncio.sleep(_BUCKET_S)  # for those that have just begun
        scheduler.shutdown(wait=False)
        return cost

    return side
