"""Hints: the marketplace is looked at sooner, at most as often as the busy beat, and nothing else follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from keeper.core.events import HintRefused, HintTaken
from keeper.core.model import ConditionKind, Status
from keeper.daemon.hints import Hints
from keeper.ports import Hint
from keeper.sim.loop import VirtualClock, run
from tests.stage import SLOT, Stage

BUSY_S, QUIET_S = 5.0, 30.0  # as simulated streams declare them, and as is the default


def hint(stage: Stage, number: int = 1, *, is_about_money: bool = False) -> Hint:
    return Hint(
        source="vast",
        hint_id=f"event-{number}",
        said_at=stage.clock.now(),
        about="outbid",
        is_about_money=is_about_money,
    )


def listings(stage: Stage) -> list[float]:
    requests = stage.universe.market.ledger.requests
    return [e.at for e in requests if (e.method, e.endpoint) == ("GET", "/instances/")]


def mutations(stage: Stage) -> list[str]:
    """Every call that changes something, as the marketplace itself has written it down."""
    requests = stage.universe.market.ledger.requests
    return [f"{each.method} {each.path}" for each in requests if each.is_mutating]


async def until_quiet(stage: Stage) -> None:
    """Wait until lists are read on the quiet beat, and one has just been read."""
    await stage.until_on_air()

    def is_quiet() -> bool:
        read = listings(stage)[-3:]
        apart = [b - a for a, b in pairwise(read)]
        is_just_read = bool(read) and stage.universe.market.now() - read[-1] <= 1.0
        return is_just_read and len(apart) == 2 and min(apart) >= QUIET_S - 1.0

    await stage.until(is_quiet, within_s=3600.0)


def test_a_true_hint_is_noticed_sooner_than_polling_would() -> None:
    async def noticed_s(say: Callable[[Stage], None]) -> float:
        async with Stage() as stage:
            await until_quiet(stage)
            market = stage.universe.market
            tenure = stage.snapshot.records[SLOT].tenure
            assert tenure is not None
            assert tenure.instance_id is not None
            market.set_state(tenure.instance_id, "stopped")  # by somebody else
            began_s, told = stage.clock.monotonic(), len(stage.facts.events)
            say(stage)

            def is_noticed() -> bool:
                return any(
                    getattr(each, "condition", None) is ConditionKind.RENTED
                    and getattr(each, "status", None) is not Status.TRUE
                    for each in stage.facts.events[told:]
                )

            await stage.until(is_noticed, within_s=300.0)
            return stage.clock.monotonic() - began_s

    polled_s = run(noticed_s(lambda _: None))
    hinted_s = run(noticed_s(_hint_once))
    assert hinted_s < polled_s - BUSY_S


def _hint_once(stage: Stage) -> None:
    assert stage.daemon.hint(hint(stage))


def test_a_hint_about_money_looks_at_the_account_and_a_storm_of_them_does_not() -> None:
    async def play() -> None:
        async with Stage() as stage:
            await until_quiet(stage)
            requests = stage.universe.market.ledger.requests

            def looks() -> int:
                return sum(each.endpoint == "/users/current/" for each in requests)

            before = looks()
            for number in range(20):
                assert stage.daemon.hint(hint(stage, number, is_about_money=True))
                await asyncio.sleep(1.0)
            assert looks() == before + 1
            await asyncio.sleep(15.0)
            stage.daemon.hint(hint(stage, 99, is_about_money=True))
            await asyncio.sleep(1.0)
            assert looks() == before + 2

    run(play())


def test_a_storm_of_hints_true_doubled_and_forged_costs_listings_and_nothing_else() -> None:
    """Whatever comes: lists no closer than the busy beat, not one mutating call, a bounded journal."""

    async def play(*, is_storm: bool) -> tuple[list[str], list[float], Stage]:
        async with Stage() as stage:
            await until_quiet(stage)
            began = len(listings(stage))
            for number in range(600):
                if is_storm:
                    first = stage.daemon.hint(hint(stage, number))
                    again = stage.daemon.hint(hint(stage, number))
                    assert (first, again) == (True, False)
                    for why in ("forged", "late", "malformed"):
                        stage.daemon.hint_refused("vast", why)
                await asyncio.sleep(1.0)
            return mutations(stage), listings(stage)[began:], stage

    calm, calm_lists, _ = run(play(is_storm=False))
    stormy, stormy_lists, stage = run(play(is_storm=True))
    assert stormy == calm
    assert len(calm_lists) < len(stormy_lists)
    apart = [b - a for a, b in pairwise(stormy_lists)]
    assert min(apart) >= BUSY_S - 0.001
    taken = stage.facts.named("hint.taken")
    assert 1 < len(taken) <= 61, "one line in ten seconds"
    refused = [each for each in stage.facts.events if isinstance(each, HintRefused)]
    assert {each.why for each in refused} == {"forged", "late", "malformed", "known"}
    assert len(refused) <= 3 * 4, "one line in five minutes for each kind"
    assert any(each.refused > 100 for each in refused), "and it says how many"


def test_a_refused_hint_wakes_nobody() -> None:
    async def play() -> None:
        async with Stage() as stage:
            await until_quiet(stage)
            before = len(listings(stage))
            stage.daemon.hint_refused("vast", "forged")
            await asyncio.sleep(QUIET_S / 2)
            assert len(listings(stage)) == before

    run(play())


def test_a_hint_during_a_listing_makes_another_one() -> None:
    """What it is about may be missing in the list that is on its way."""

    async def play() -> None:
        async with Stage() as stage:
            await until_quiet(stage)
            before = len(listings(stage))
            await stage.until(lambda: len(listings(stage)) == before + 1, look_s=0.01)
            stage.daemon.hint(hint(stage))
            await asyncio.sleep(BUSY_S + 1.0)
            assert len(listings(stage)) == before + 2

    run(play())


@pytest.mark.parametrize("number", [1024, 5000])
def test_what_is_remembered_of_hints_is_bounded_in_number(number: int) -> None:
    async def play() -> None:
        taken, _ = _taker()
        assert all(taken(index) for index in range(number))
        assert not taken(number - 1), "the newest are known"
        assert taken(0) is (number > 1024), "the oldest are forgotten first"

    run(play())


def test_what_is_remembered_of_hints_is_forgotten_in_time() -> None:
    async def play() -> None:
        taken, hints = _taker()
        assert taken(1)
        await asyncio.sleep(601.0)
        assert not taken(1), "for longer than a signature counts, to both sides"
        await asyncio.sleep(300.0)
        assert taken(2)
        assert len(hints._known) == 1

    run(play())


def _taker() -> tuple[Callable[[int], bool], Hints]:
    clock = VirtualClock()
    told: list[HintTaken | HintRefused] = []
    hints = Hints(
        clock,
        look=lambda: None,
        look_at_account=lambda: None,
        note=told.append,
        add=told.append,
    )

    def take(number: int) -> bool:
        said = Hint(
            source="vast",
            hint_id=str(number),
            said_at=clock.now() - timedelta(seconds=1),
            about="outbid",
        )
        return hints.take(said)

    return take, hints
