"""A feed is shown what holds, soon after it changes, and what has ended, until it has taken that."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from keeper.alerts.dispatch import Numbers
from keeper.core.events import FeedChanged
from keeper.core.world import OrderKind
from keeper.daemon.declared import Declared
from keeper.ports import Missing
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import run
from keeper.sim.memory import MAILBOX_URL
from tests.sim.listeners import Board
from tests.stage import Stage

UNREADABLE = "KeeperMarketUnreadable"
_NUMBERS = Numbers(group_wait_s=20.0, resolved_after_s=30.0)


def _with(*boards: Board) -> Callable[[Declared], Declared]:
    return lambda given: replace(given, channels=(), feeds=boards, alert_numbers=_NUMBERS)


def _shown(stage: Stage, name: str = "board") -> list[tuple[list[str], list[str]]]:
    url = f"{MAILBOX_URL}{name}"
    told = [json.loads(m.body)["data"] for m in stage.universe.mailbox.messages if m.url == url]
    return [(each["holding"], each["ended"]) for each in told]


def _break_market(stage: Stage, for_s: float) -> None:
    stage.universe.market.arm(Fault(kind=FaultKind.HTTP_500, for_s=for_s))
    stage.universe.wind()


def _changes(stage: Stage) -> list[bool]:
    found = [event for event in stage.facts.events if isinstance(event, FeedChanged)]
    return [event.is_taking for event in found]


def _play(test: Callable[[Stage], Coroutine[Any, Any, None]], *boards: Board) -> None:
    async def play() -> None:
        async with Stage(streams={}, change=_with(*boards)) as stage:
            await stage.until(stage.daemon.snapshot)
            await test(stage)

    run(play())


def test_what_holds_is_shown_at_once_again_and_again_and_its_end_once() -> None:
    async def test(stage: Stage) -> None:
        _break_market(stage, 300.0)
        await stage.until(lambda: _shown(stage), within_s=240.0)
        began_s = stage.universe.time_s()
        await stage.until(lambda: len(_shown(stage)) == 3, within_s=130.0)
        assert stage.universe.time_s() - began_s > 115.0  # two intervals, no more showings
        await stage.until(lambda: _shown(stage)[-1] == ([], [UNREADABLE]), within_s=400.0)
        said = len(_shown(stage))
        await asyncio.sleep(600.0)
        assert len(_shown(stage)) == said
        assert _changes(stage) == []

    _play(test, Board())


def test_an_end_that_was_not_taken_is_shown_until_it_is() -> None:
    async def test(stage: Stage) -> None:
        _break_market(stage, 240.0)
        await stage.until(lambda: _shown(stage), within_s=240.0)
        mailbox = stage.universe.mailbox
        mailbox.refuse_until = stage.universe.time_s() + 300.0
        await asyncio.sleep(290.0)
        assert all(holding for holding, _ in _shown(stage))
        await stage.until(lambda: _shown(stage)[-1] == ([], [UNREADABLE]), within_s=40.0)
        assert _changes(stage) == [False, True]  # told on the edges only

    _play(test, Board())


def test_a_feed_that_hangs_delays_no_other() -> None:
    class Stuck(Board):
        def __init__(self) -> None:
            super().__init__(name="stuck")

    async def test(stage: Stage) -> None:
        fetch = stage.network.fetch

        async def hang(request: Any) -> Any:
            if request.url.endswith("stuck"):
                await asyncio.sleep(3600.0)
            return await fetch(request)

        stage.network.fetch = hang  # type: ignore[method-assign]
        _break_market(stage, 300.0)
        await stage.until(lambda: len(_shown(stage)) >= 3, within_s=400.0)
        assert _changes(stage) == [False]
        now = {each.name: each.last_error for each in stage.daemon.channels()}
        assert "Timeout" in now["stuck"]
        assert now["board"] == ""

    _play(test, Stuck(), Board())


def test_a_paused_keeper_shows_on_and_one_that_stops_says_nothing_more() -> None:
    async def play() -> None:
        async with Stage(streams={}, change=_with(Board())) as stage:
            await stage.daemon.order(stage.order(OrderKind.PAUSE, None))
            _break_market(stage, 3600.0)
            await stage.until(lambda: len(_shown(stage)) > 1, within_s=300.0)
            said = _shown(stage)
        assert _shown(stage) == said
        assert all(ended == [] for _, ended in said)  # it goes on without keeper

    run(play())


def test_a_feed_that_is_declared_later_is_shown_what_holds_then() -> None:
    async def play() -> None:
        reloaded = _with(Board(), Board(name="late"))
        stage = Stage(
            streams={}, change=_with(Board()), reload=lambda: reloaded(stage.declared)
        )  # fmt: skip
        async with stage:
            _break_market(stage, 900.0)
            await stage.until(lambda: _shown(stage), within_s=240.0)
            assert _shown(stage, "late") == []
            await stage.daemon.reload()
            await stage.until(lambda: _shown(stage, "late") == [([UNREADABLE], [])], within_s=5.0)

    run(play())


def test_a_feed_can_be_tested() -> None:
    async def test(stage: Stage) -> None:
        tested = await stage.daemon.test_channel("board")
        assert tested.is_delivered
        assert _shown(stage) == [(["KeeperTest"], []), ([], ["KeeperTest"])]
        stage.universe.mailbox.refuse_until = stage.universe.time_s() + 60.0
        tested = await stage.daemon.test_channel("board")
        assert (tested.is_delivered, tested.error) == (False, "refused")
        with pytest.raises(Missing, match="nobody"):
            await stage.daemon.test_channel("nobody")

    _play(test, Board())
