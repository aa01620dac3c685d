"""Beats go on in arithmetic while a loop rests, and a broken promise ends the rest at once."""

import asyncio
from collections.abc import Callable

import pytest

from keeper.daemon.rest import Rest, last_beat_s, next_beat_s
from keeper.daemon.wheel import Wheel
from keeper.sim.loop import VirtualClock, run
from keeper.sim.outlook import Given, Outlook


@pytest.mark.parametrize(
    ("now_s", "last_s", "next_s"),
    [(5.0, 10.0, 10.0), (10.0, 10.0, 10.0), (10.1, 10.0, 40.0), (40.0, 40.0, 40.0), (99, 70, 100)],
)
def test_beats_go_on_in_arithmetic(now_s: float, last_s: float, next_s: float) -> None:
    assert last_beat_s(10.0, 30.0, now_s) == pytest.approx(last_s)
    assert next_beat_s(10.0, 30.0, now_s) == pytest.approx(next_s)


def test_a_rest_lasts_until_the_promise_is_broken() -> None:
    async def play() -> None:
        outlook, rest, ended = Outlook(), Rest(), list[float]()
        is_true = True

        def ask(broken: Callable[[], None]) -> Given:
            return outlook.promise(lambda: is_true, broken)

        loop = asyncio.get_running_loop()
        assert rest.begin(ask, lambda: ended.append(loop.time()))
        loop.call_later(3.0, outlook.look)
        await asyncio.sleep(5.0)
        assert rest.is_on
        is_true = False
        loop.call_later(2.0, outlook.look)
        assert await rest.over() == pytest.approx(7.0)
        assert ended == [pytest.approx(7.0)]
        assert not rest.is_on
        assert not outlook.standing

    run(play())


def test_no_promise_is_no_rest_and_who_ends_a_rest_gives_the_promise_back() -> None:
    async def play() -> None:
        outlook, rest = Outlook(), Rest()
        assert not rest.begin(lambda _: None)
        assert rest.begin(lambda broken: outlook.promise(lambda: True, broken))
        rest.end()
        assert not outlook.standing
        await asyncio.sleep(2.0)
        assert await rest.over() == pytest.approx(2.0)

    run(play())


def test_a_key_that_was_paused_goes_on_with_its_own_beat() -> None:
    async def play() -> list[float]:
        clock = VirtualClock()
        wheel, fired = Wheel(clock), list[float]()

        def beat() -> None:
            fired.append(round(clock.monotonic(), 1))
            wheel.beat("probe", 10.0, beat)

        turning = asyncio.create_task(wheel.run())
        wheel.schedule("probe", 3.0, beat)
        await asyncio.sleep(15.0)
        due_s = wheel.pause("probe")
        assert due_s is not None
        assert wheel.pause("probe") is None
        await asyncio.sleep(40.0)
        wheel.resume("probe", due_s, 10.0, beat)
        await asyncio.sleep(20.0)
        turning.cancel()
        return fired

    fired = run(play())
    assert fired == [pytest.approx(t, abs=0.11) for t in (3.0, 13.0, 63.0, 73.0)]
    assert fired[2] - fired[1] == pytest.approx(50.0)  # exactly on the beat, though it was away
