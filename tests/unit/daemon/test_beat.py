"""The beat: from one tick to the next, and what is passed over where the world vouches for it."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from keeper.daemon.beat import Beat, Due
from keeper.daemon.clocks import Clocks
from keeper.sim.loop import EPOCH, VirtualClock, run

INTERVAL_S = 30.0


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def _slept_s(
    due: Due,
    *,
    may_rest: Callable[[], bool] = lambda: False,
    silence_at: Callable[[], datetime | None] = lambda: None,
    nudge_s: float | None = None,
    stir_s: float | None = None,
    has_failed: bool = False,
) -> float:
    """Return how long it is from a tick to the next one."""

    async def play() -> float:
        clock, loop = VirtualClock(), asyncio.get_running_loop()
        clocks = Clocks(clock.monotonic())
        beat = Beat(clock, clocks, interval_s=lambda: INTERVAL_S, silence_at=silence_at)
        for moment_s, happen in ((nudge_s, beat.nudge), (stir_s, beat.stir)):
            if moment_s is not None:
                loop.call_later(moment_s, happen)
        beat.begin()
        await beat.until_worth_it(due, has_failed=has_failed, may_rest=may_rest)
        looked = clocks.look(clock.now(), clock.monotonic(), INTERVAL_S)
        assert not looked.was_away, "a rest is no absence"
        return clock.monotonic()

    return run(play())


@pytest.mark.parametrize(
    ("due", "expected_s"),
    [(Due(), 30.0), (Due(at=at(12)), 12.0), (Due(at=at(90)), 30.0), (Due(at=at(-5)), 0.2)],
)
def test_a_tick_comes_when_something_is_due_and_at_least_every_interval(
    due: Due, expected_s: float
) -> None:
    assert _slept_s(due) == pytest.approx(expected_s)


def test_news_and_failures_come_earlier() -> None:
    assert _slept_s(Due(), nudge_s=3.0) == pytest.approx(3.0)
    assert _slept_s(Due(), has_failed=True) == pytest.approx(5.0)


def test_who_rests_passes_over_beats_until_something_is_due_or_said() -> None:
    assert _slept_s(Due(), may_rest=lambda: True) == pytest.approx(900.0)
    due = Due(at=at(100), if_heard_at=at(100))
    assert _slept_s(due, may_rest=lambda: True) == pytest.approx(100.0)
    assert _slept_s(due, may_rest=lambda: True, nudge_s=40.0) == pytest.approx(40.0)


def test_a_broken_promise_brings_back_the_usual_beat() -> None:
    is_promised = [True]

    def may_rest() -> bool:
        return is_promised.pop() if is_promised else False

    assert _slept_s(Due(), may_rest=may_rest, stir_s=70.0) == pytest.approx(90.0)


def test_a_silence_that_was_broken_meanwhile_is_no_reason_for_a_tick() -> None:
    words = [at(60), at(120), at(120)]  # heard again before it counted, then no more
    due = Due(at=at(60), if_heard_at=at(500))
    found = _slept_s(due, may_rest=lambda: True, silence_at=lambda: words.pop(0))
    assert found == pytest.approx(60.0)
    words = [at(120), at(120)]
    found = _slept_s(due, may_rest=lambda: True, silence_at=lambda: words.pop(0))
    assert found == pytest.approx(120.0)


def test_who_may_rest_only_at_the_next_beat_rests_on_from_there() -> None:
    answers = [False, True]
    assert _slept_s(Due(), may_rest=lambda: answers.pop(0)) == pytest.approx(900.0)
    answers = [False, True]
    due = Due(at=at(200), if_heard_at=at(200))
    assert _slept_s(due, may_rest=lambda: answers.pop(0)) == pytest.approx(200.0)
