"""Tasks: whatever ends one that must not end is told, and it is begun again (I21)."""

import asyncio
import contextlib
import gc
import inspect
import warnings
from collections.abc import Coroutine
from itertools import pairwise

import pytest

from keeper.core.events import TaskDied
from keeper.daemon.tasks import Tasks
from keeper.sim.loop import run


def _lived(*endings: BaseException | float, for_s: float = 1000.0) -> tuple[list[str], list[float]]:
    """Run a job that ends like this (or lives so long first); return what was told, and its starts."""
    died: list[TaskDied] = []
    starts: list[float] = []
    plan = list(endings)

    async def job() -> None:
        starts.append(round(asyncio.get_running_loop().time(), 3))
        while plan:
            ending = plan.pop(0)
            if isinstance(ending, BaseException):
                raise ending
            await asyncio.sleep(ending)
        await asyncio.sleep(for_s)

    async def play() -> None:
        tasks = Tasks(died.append)
        async with asyncio.TaskGroup() as group:
            tasks.own(group)
            tasks.for_ever(job, "job")
            await asyncio.sleep(for_s)
            tasks.cancel_all()

    run(play())
    return [each.error for each in died], starts


def test_a_task_that_must_not_end_is_begun_again_and_told() -> None:
    told, starts = _lived(ValueError("a bug"))
    assert told == ["ValueError: a bug"]
    assert starts == [0.0, 1.0]


def test_a_cancellation_that_nobody_asked_for_is_a_death_like_any_other() -> None:
    """A library that cancels its own futures ended the reading of listings, and nobody was told."""
    told, starts = _lived(asyncio.CancelledError())
    assert told == ["CancelledError"]
    assert starts == [0.0, 1.0]


def test_a_task_that_ends_is_told_too_if_it_must_not() -> None:
    died: list[TaskDied] = []

    async def play() -> None:
        tasks = Tasks(died.append)

        async def job() -> None:
            await asyncio.sleep(5.0)

        async with asyncio.TaskGroup() as group:
            tasks.own(group)
            tasks.for_ever(job, "job")
            await asyncio.sleep(5.5)
            tasks.cancel_all()

    run(play())
    assert [each.task for each in died] == ["job"]


def test_it_comes_back_more_slowly_each_time_but_forgives_a_long_life() -> None:
    _, starts = _lived(
        ValueError(), ValueError(), ValueError(), 500.0, ValueError(), ValueError(), for_s=2000.0
    )
    gaps = [after - before for before, after in pairwise(starts)]
    assert gaps[:3] == [1.0, 2.0, 4.0]
    assert gaps[3:] == [501.0, 2.0]


def test_cancelling_all_ends_all_without_a_word() -> None:
    told, _ = _lived()
    assert told == []


def test_what_a_group_that_is_ending_refuses_is_not_left_lying_about() -> None:
    """A probe that was due while keeper died was never awaited, and Python said so."""
    kept: list[Coroutine[object, object, None]] = []

    async def work() -> None:
        """Never begun."""

    async def die() -> None:
        raise ValueError

    async def play() -> None:
        tasks = Tasks(lambda _: None)
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                tasks.own(group)
                group.create_task(die())
                try:
                    await asyncio.sleep(10.0)
                finally:
                    kept.append(work())
                    with pytest.raises(RuntimeError, match="shutting down"):
                        tasks.once(kept[0], "probe:duel/0")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(play())
        assert inspect.getcoroutinestate(kept[0]) == inspect.CORO_CLOSED
        kept.clear()
        gc.collect()
