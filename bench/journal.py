"""What it costs to have a decision on the disk, with 200 callers waiting for theirs.

The floor is a bare group-commit writer: one thread, one sqlite3 connection, and a transaction of
whatever has queued. The peer is aiosqlite with a commit for each event. All of them flush fully.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import aiosqlite
import orjson

from bench.measure import Cpu, Row, against, in_turn
from keeper.adapters.clock import SystemClock
from keeper.adapters.sql import SqlStore
from keeper.core.model import SlotId
from keeper.ports import Batch, JournalEntry

_WAITING = 200
_EACH = 20
_EACH_SLOW = 4  # aiosqlite: a flush for each
_AT = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
_FACTS = {
    "event": "condition.changed",
    "slot": "duel/0",
    "instance_id": 7_001_234,
    "condition": "streaming",
    "status": "false",
    "reason": "frozen",
    "detail": "0.0 unique frames per second for 30 s",
    "because": "The picture does not change.",
}
_TABLE = (
    """CREATE TABLE journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL,
    tick BIGINT NOT NULL, event TEXT NOT NULL, slot TEXT, facts TEXT NOT NULL)""",
    "CREATE INDEX ix_slot ON journal (slot, seq)",
    "CREATE INDEX ix_at ON journal (at)",
)
_INSERT = "INSERT INTO journal (at, tick, event, slot, facts) VALUES (?, ?, ?, ?, ?)"


async def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return await _measure(Path(folder))


async def _measure(folder: Path) -> list[Row]:
    store = SqlStore(folder / "keeper.sqlite3", clock=SystemClock())
    await store.load()
    bare = _Bare(folder / "bare.sqlite3")
    other = await aiosqlite.connect(folder / "other.sqlite3", isolation_level=None)
    await _prepare(other)
    ticks = count()

    async def keeper() -> None:
        entry = JournalEntry(
            at=_AT, tick=next(ticks), event="condition.changed", slot=SlotId("duel/0"), facts=_FACTS
        )
        await store.commit(Batch(journal=(entry,)))

    async def floor() -> None:
        await bare.submit(_row(next(ticks)))

    async def peer() -> None:
        await other.execute(_INSERT, _row(next(ticks)))

    async def cpu_of(commit: Callable[[], Awaitable[None]]) -> float:
        with Cpu() as cpu:
            await _all_waiting(commit, _EACH)
        return cpu.us_each(_WAITING * _EACH)

    async def rate_of(commit: Callable[[], Awaitable[None]], each: int) -> float:
        began = time.perf_counter()
        await _all_waiting(commit, each)
        return _WAITING * each / (time.perf_counter() - began)

    try:
        ours, least = await in_turn(lambda: cpu_of(keeper), lambda: cpu_of(floor))
        fast, slow = await in_turn(
            lambda: rate_of(keeper, _EACH), lambda: rate_of(peer, _EACH_SLOW)
        )
    finally:
        await store.close()
        await other.close()
        bare.stop()
    return [
        against(
            "journal.floor",
            ours,
            least,
            goal=2.0,
            unit="us CPU a decision",
            note=f"floor: bare group-commit writer on sqlite3, {_WAITING} waiting",
        ),
        against(
            "journal.aiosqlite",
            fast,
            slow,
            goal=5.0,
            unit="decisions a second",
            note=f"peer: aiosqlite, a commit an event, {_WAITING} waiting",
            is_peer=True,
            at_least=True,
        ),
    ]


async def _all_waiting(commit: Callable[[], Awaitable[None]], each: int) -> None:
    async def caller() -> None:
        for _ in range(each):
            await commit()

    async with asyncio.TaskGroup() as callers:
        for _ in range(_WAITING):
            callers.create_task(caller())


def _row(tick: int) -> tuple[Any, ...]:
    facts = orjson.dumps(_FACTS).decode()
    return (_AT.timestamp(), tick, "condition.changed", "duel/0", facts)


async def _prepare(connection: aiosqlite.Connection) -> None:
    await connection.execute("PRAGMA journal_mode = WAL")
    await connection.execute("PRAGMA synchronous = FULL")
    for statement in _TABLE:
        await connection.execute(statement)


class _Bare:
    """The least that can be called a group-commit writer."""

    def __init__(self, path: Path) -> None:
        self._queue: queue.SimpleQueue[tuple[tuple[Any, ...], asyncio.Future[None]] | None] = (
            queue.SimpleQueue()
        )
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(path,), daemon=True)
        self._thread.start()

    async def submit(self, row: tuple[Any, ...]) -> None:
        done = self._loop.create_future()
        self._queue.put((row, done))
        await done

    def stop(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _run(self, path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        for statement in _TABLE:
            connection.execute(statement)
        while (first := self._queue.get()) is not None:
            jobs = [first]
            while not self._queue.empty() and (job := self._queue.get()) is not None:
                jobs.append(job)
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, [row for row, _ in jobs])
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_wake, [done for _, done in jobs])
        connection.close()


def _wake(waiting: list[asyncio.Future[None]]) -> None:
    for done in waiting:
        done.set_result(None)
