"""What a scrape of a thousand slots costs, and for how long it keeps everything else waiting.

The peer shows the same numbers as labelled gauges of prometheus_client: set when a tick is over,
written out inside of the loop when somebody asks.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Handle
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.aiohttp import make_aiohttp_handler

from bench.fleet import desire, settled, snapshot
from bench.measure import Cpu, Row, Side, against, in_turn
from keeper.adapters.clock import SystemClock
from keeper.core.world import Snapshot
from keeper.ports import Control
from keeper.telemetry.metrics import METRICS
from keeper.telemetry.sinks import MetricsSink
from keeper.telemetry.state import gauges
from keeper.web.app import make_app

_SLOTS = 1_000
_ROUNDS = 3

Handler = Callable[[web.Request], Awaitable[Any]]


async def measure() -> list[Row]:
    desired = desire(_SLOTS)
    world = settled(desired)
    first = snapshot(desired, world)
    snapshots = [replace(first, tick=at, at=first.at + timedelta(seconds=at)) for at in range(2)]
    ours = await _keeper(snapshots)
    theirs = await _gauges(snapshots)
    cpu = await in_turn(_cpu(*ours), _cpu(*theirs))
    held = await in_turn(_held(*ours), _held(*theirs))
    series = len((await _scraped(ours[1])).splitlines())
    note = f"peer: prometheus_client gauges, {_SLOTS} slots, {series} lines"
    return [
        against(
            "scrape.cpu",
            *cpu,
            goal=1 / 6,
            unit="ms CPU a tick and a scrape",
            note=note,
            is_peer=True,
        ),
        against(
            "scrape.held",
            *held,
            goal=1 / 20,
            unit="ms CPU the loop is held at the longest",
            note=note,
            is_peer=True,
        ),
    ]


Update = Callable[[Snapshot], None]


async def _keeper(snapshots: list[Snapshot]) -> tuple[Update, Handler, list[Snapshot]]:
    registry = CollectorRegistry()
    sink = MetricsSink(registry, version="bench")
    app = make_app(
        control=cast("Control", None),
        metrics=registry,
        clock=SystemClock(),
        token=None,
        is_local=False,
    )
    found = await app.router.resolve(make_mocked_request("GET", "/metrics"))
    return sink.render, cast("Handler", found.handler), snapshots


async def _gauges(snapshots: list[Snapshot]) -> tuple[Update, Handler, list[Snapshot]]:
    registry = CollectorRegistry()
    families = {
        metric.name: Gauge(metric.name, metric.help, metric.labels, registry=registry)
        for metric in METRICS
        if metric.is_state
    }

    def update(seen: Snapshot) -> None:
        for name, samples in gauges(seen).items():
            family = families[name]
            for labels, number in samples:
                (family.labels(*labels) if labels else family).set(number)

    return update, cast("Handler", make_aiohttp_handler(registry)), snapshots


def _cpu(update: Update, handler: Handler, snapshots: list[Snapshot]) -> Side:
    async def side() -> float:
        with Cpu() as cpu:
            for at in range(_ROUNDS):
                update(snapshots[at % 2])
                await _scraped(handler)
        return cpu.us_each(_ROUNDS) / 1e3

    return side


def _held(update: Update, handler: Handler, snapshots: list[Snapshot]) -> Side:
    """Measure a scrape alone: how long its longest step is, in the loop's own thread."""

    async def side() -> float:
        longest = []
        for at in range(_ROUNDS):
            update(snapshots[at % 2])
            with _steps() as steps:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_scraped(handler))
            longest.append(max(steps))
        return sorted(longest)[_ROUNDS // 2] * 1e3

    return side


@contextmanager
def _steps() -> Iterator[list[float]]:
    """Note the CPU time of every step that the loop takes meanwhile."""
    seconds: list[float] = []
    run = Handle._run  # noqa: SLF001 - the one place through which every step goes

    def timed(handle: Handle) -> None:
        began = time.thread_time()
        run(handle)
        seconds.append(time.thread_time() - began)

    Handle._run = timed  # type: ignore[method-assign, assignment] # noqa: SLF001
    try:
        yield seconds
    finally:
        Handle._run = run  # type: ignore[method-assign] # noqa: SLF001


async def _scraped(handler: Handler) -> bytes:
    answer = await handler(make_mocked_request("GET", "/metrics"))
    body: bytes = answer.body
    return body
