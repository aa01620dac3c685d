"""Virtual time: weeks in milliseconds, the same twice, and no silent hang."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from keeper.sim.cron import next_match
from keeper.sim.loop import EPOCH, Deadlock, VirtualCadence, VirtualClock, VirtualLoop, run

DAY_S = 86_400.0


def test_thirty_days_pass_without_waiting() -> None:
    async def month() -> tuple[float, int]:
        beats = 0
        async with asyncio.timeout(31 * DAY_S):
            for _ in range(30 * 24):
                await asyncio.sleep(3600)
                beats += 1
        return asyncio.get_running_loop().time(), beats

    passed_s, beats = run(month())
    assert passed_s == pytest.approx(30 * DAY_S)
    assert beats == 720


def test_the_same_program_runs_the_same_way_twice() -> None:
    async def program() -> list[tuple[float, str]]:
        seen: list[tuple[float, str]] = []

        async def ticker(name: str, every_s: float) -> None:
            while True:
                await asyncio.sleep(every_s)
                seen.append((asyncio.get_running_loop().time(), name))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ticker(n, s)) for n, s in (("a", 0.7), ("b", 1.1))]
            await asyncio.sleep(1000)
            for task in tasks:
                task.cancel()
        return seen

    first = run(program())
    assert first == run(program())
    assert all(earlier[0] <= later[0] for earlier, later in pairwise(first))


def test_waiting_for_nothing_is_an_error_at_once_and_names_who_waits() -> None:
    async def wait_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock, match="wait_for_ever"):
        run(wait_for_ever())


def test_threads_are_refused() -> None:
    async def program() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(RuntimeError, match="threads live in real time"):
        run(program())


def test_a_stall_lets_time_pass_without_running_anything() -> None:
    async def program() -> list[float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        woken: list[float] = []

        async def sleeper() -> None:
            for _ in range(3):
                await asyncio.sleep(10)
                woken.append(loop.time())

        async with asyncio.TaskGroup() as group:
            group.create_task(sleeper())
            await asyncio.sleep(5)
            loop.stall(60)
        return woken

    assert run(program()) == pytest.approx([65, 75, 85])


def test_a_finite_rate_still_ends() -> None:
    async def program() -> float:
        await asyncio.sleep(20)
        return asyncio.get_running_loop().time()

    assert run(program(), rate=1000) == pytest.approx(20)


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        run(asyncio.sleep(1), rate=0)


def test_the_wall_clock_steps_and_monotonic_time_does_not() -> None:
    async def program() -> None:
        clock = VirtualClock()
        await asyncio.sleep(60)
        clock.step(-3600)
        assert clock.now() == EPOCH + timedelta(seconds=60 - 3600)
        assert clock.monotonic() == pytest.approx(60)

    run(program())


def test_a_drifting_clock_gains_by_its_ratio() -> None:
    async def program() -> None:
        clock = VirtualClock(drift_ratio=0.001)
        await asyncio.sleep(1000)
        assert clock.now() - EPOCH == timedelta(seconds=1001)

    run(program())


def test_calendar_jobs_come_on_time_and_stop() -> None:
    async def program() -> list[str]:
        clock = VirtualClock()
        cadence = VirtualCadence(clock)
        ran: list[str] = []

        async def hourly() -> None:
            ran.append(f"every {clock.now():%H:%M}")

        async def nightly() -> None:
            ran.append(f"cron {clock.now():%a %H:%M}")

        cadence.every("hourly", 3600, hourly)
        cadence.cron("nightly", "30 1 * * *", nightly)
        cadence.start()
        await asyncio.sleep(3 * 3600 + 1)
        await cadence.stop()
        await asyncio.sleep(10 * 3600)
        return ran

    assert run(program()) == ["every 01:00", "cron Mon 01:30", "every 02:00", "every 03:00"]


def test_a_failing_calendar_job_is_heard_and_comes_again() -> None:
    async def program() -> list[str]:
        heard: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: heard.append(context["message"])
        )
        cadence = VirtualCadence(VirtualClock())

        async def fails() -> None:
            raise ValueError("no")

        cadence.every("report", 60, fails)
        cadence.start()
        await asyncio.sleep(121)
        await cadence.stop()
        return heard

    assert run(program()) == ["calendar job report failed"] * 2


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("* * * * *", "2026-01-05 00:00", "2026-01-05 00:01"),
        ("*/15 * * * *", "2026-01-05 00:15", "2026-01-05 00:30"),
        ("0 9 * * 1-5", "2026-01-09 09:00", "2026-01-12 09:00"),
        ("0 0 * * 7", "2026-01-05 00:00", "2026-01-11 00:00"),
        ("0 0 29 2 *", "2026-01-05 00:00", "2028-02-29 00:00"),
        ("0 0 1 * 3", "2026-01-05 00:00", "2026-01-07 00:00"),
        ("5,10 2/6 * * *", "2026-01-05 02:10", "2026-01-05 08:05"),
    ],
)
def test_cron_names_the_next_minute(expression: str, after: str, expected: str) -> None:
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert next_match(expression, moment) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("expression", ["* * * *", "60 * * * *", "0 0 31 2 *", "5-1 * * * *"])
def test_an_impossible_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"fields|outside|never"):
        next_match(expression, EPOCH)
