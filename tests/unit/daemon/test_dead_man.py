"""The daemon's side of a dead man: what holds its hands holds the putting, never the feeding."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from keeper.core.events import DeadManUnable
from keeper.core.world import OrderKind
from keeper.daemon.declared import Declared
from keeper.ports import Command, CommandResult, Heard
from keeper.sim.loop import run
from keeper.sim.memory_hosts import MemoryLink
from tests.stage import Stage


def guarded(declared: Declared, after_s: float | None = 1800.0) -> Declared:
    (stream,) = declared.desired.streams
    stream = replace(stream, policy=replace(stream.policy, dead_man_after_s=after_s))
    desired = replace(declared.desired, streams=(stream,))
    return replace(declared, desired=desired, api_url="https://market.example")


def unguarded(declared: Declared) -> Declared:
    return replace(guarded(declared, None), api_url="https://market.example")


class Told:
    """Every command about guards that reached a host, and when."""

    def __init__(self) -> None:
        self.at_s: dict[str, list[float]] = {}
        self.answer = ""  # instead of the host's own, to a feed

    def times(self, what: str) -> int:
        return len(self.at_s.get(what, ()))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    made, real = Told(), MemoryLink.run

    async def run_told(
        link: MemoryLink, command: Command, heard: Heard | None = None
    ) -> CommandResult:
        if command.name.startswith("dead_man."):
            now_s = asyncio.get_running_loop().time()
            made.at_s.setdefault(command.name.removeprefix("dead_man."), []).append(now_s)
            if made.answer and command.name == "dead_man.feed":
                return CommandResult(exit_code=0, stdout=made.answer, stderr="")
        return await real(link, command, heard)

    monkeypatch.setattr(MemoryLink, "run", run_told)
    return made


async def declare(stage: Stage, declared: Declared) -> None:
    """Take a new configuration, as a reload does."""
    stage.daemon.ground.declared = declared
    stage.daemon.nudge()
    await asyncio.sleep(5.0)


def test_it_is_armed_once_and_fed_every_minute(told: Told) -> None:
    async def play() -> None:
        async with Stage(change=guarded) as stage:
            await stage.until_on_air()
            await asyncio.sleep(3600.0)
            assert (told.times("start"), len(stage.facts.named("dead_man.armed"))) == (1, 1)
            fed = told.at_s["feed"]
            assert 55 <= len(fed) <= 64
            assert max(after - before for before, after in pairwise(fed)) <= 62.0

    run(play())


def test_it_is_written_down_before_it_is_put_there(told: Told) -> None:
    async def play() -> None:
        async with Stage(change=guarded) as stage:
            await stage.until(lambda: bool(stage.marketplace.mutations))
            await stage.until(lambda: told.times("feed") > 0)
            (record,) = stage.disk.records.values()
            assert record.tenure is not None
            assert record.tenure.is_guarded

    run(play())


def test_a_pause_holds_the_putting_and_not_the_feeding(told: Told) -> None:
    async def play() -> None:
        async with Stage(change=unguarded) as stage:
            await stage.until_on_air()
            await stage.daemon.order(stage.order(OrderKind.PAUSE, None, order_id="1"))
            await declare(stage, guarded(stage.declared))
            await asyncio.sleep(600.0)
            assert told.at_s == {}
            await stage.daemon.order(stage.order(OrderKind.RESUME, None, order_id="2"))
            await stage.until(lambda: told.times("start") == 1)
            await stage.daemon.order(stage.order(OrderKind.PAUSE, None, order_id="3"))
            fed = told.times("feed")
            await asyncio.sleep(600.0)
            assert told.times("feed") >= fed + 9

    run(play())


def test_it_is_taken_away_with_the_setting_and_not_asked_after_again(told: Told) -> None:
    async def play() -> None:
        async with Stage(change=guarded) as stage:
            await stage.until_on_air()
            await declare(stage, unguarded(stage.declared))
            assert len(stage.facts.named("dead_man.removed")) == 1
            fed = told.times("feed")
            await asyncio.sleep(3600.0)
            assert (told.times("feed"), told.times("remove")) == (fed, 1)

    run(play())


def test_a_host_that_cannot_is_told_once_and_asked_again(told: Told) -> None:
    async def play() -> None:
        async with Stage(change=guarded) as stage:
            await stage.until_on_air()
            told.answer = "unable neither curl nor python3 is there"
            await asyncio.sleep(600.0)
            (fact,) = stage.facts.named("dead_man.unable")
            assert isinstance(fact, DeadManUnable)
            assert fact.error == "neither curl nor python3 is there"
            assert told.times("feed") > 9

    run(play())


def test_without_the_setting_no_host_hears_of_it(told: Told) -> None:
    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            await asyncio.sleep(3600.0)
            assert told.at_s == {}

    run(play())
