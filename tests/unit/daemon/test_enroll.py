"""Keeper's SSH key and the account: asked once, where keeper acts; a no is a fact and nothing else."""

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from keeper.core.events import KeyNotRegistered, KeyRegistered
from keeper.core.model import Instance, Mode
from keeper.core.world import OrderKind, Pause
from keeper.daemon.declared import Declared
from keeper.ports import Invalid, Malformed, PortError, Transient, Unauthorized
from keeper.sim.loop import run
from tests.stage import SLOT, Stage, without_acting

TEAM = Unauthorized("HTTP 400: team SSH keys are not supported", cure="use a personal account's")


def wanted(declared: Declared) -> Declared:
    return replace(declared, register_ssh_key=True)


class Account:
    """Answers a registration as told: an error, whether it was new, or never."""

    def __init__(self, stage: Stage, *answers: PortError | bool) -> None:
        self.answers = list(answers)
        self.asked_s: list[float] = []
        stage.marketplace.register_key = self.register_key  # type: ignore[method-assign]

    async def register_key(self, public_key: str) -> bool:
        assert public_key
        self.asked_s.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, PortError):
            raise answer
        return answer


def test_the_key_is_registered_once() -> None:
    async def play() -> None:
        async with Stage(change=wanted) as stage:
            account = Account(stage, True)
            await stage.until_on_air()
            await asyncio.sleep(7_200.0)
            assert len(account.asked_s) == 1
            assert account.asked_s[0] < 5.0, "before a host could need it"
            assert stage.facts.named("key.registered") == [KeyRegistered()]

    run(play())


def test_a_key_that_is_there_is_no_news() -> None:
    async def play() -> None:
        async with Stage(change=wanted) as stage:
            Account(stage, False)
            await stage.until_on_air()
            assert not stage.facts.named("key.registered")
            assert not stage.facts.named("key.not_registered")

    run(play())


@pytest.mark.parametrize("error", [TEAM, Invalid("no key"), Malformed("no list")])
def test_a_refusal_is_told_once_and_stops_nothing(error: PortError) -> None:
    async def play() -> None:
        async with Stage(change=wanted) as stage:
            account = Account(stage, error)
            await stage.until_on_air()
            await asyncio.sleep(7_200.0)
            assert len(account.asked_s) == 1
            (fact,) = stage.facts.named("key.not_registered")
            assert str(error) in cast("KeyNotRegistered", fact).error
            if error is TEAM:
                assert "use a personal account's" in cast("KeyNotRegistered", fact).error
            assert {e.event for e in stage.disk.chronicle} >= {"key.not_registered"}

    run(play())


def test_what_may_pass_is_tried_again_ever_more_slowly() -> None:
    async def play() -> None:
        async with Stage(change=wanted) as stage:
            account = Account(stage, *[Transient("502")] * 9, True)
            await stage.until(lambda: stage.facts.named("key.registered"), within_s=40_000.0)
            assert len(account.asked_s) == 10
            apart = [b - a for a, b in zip(account.asked_s, account.asked_s[1:], strict=False)]
            assert apart == sorted(apart)
            assert apart[0] < 60.0
            assert apart[-1] <= 3700.0
            assert not stage.facts.named("key.not_registered")

    run(play())


def test_nothing_is_registered_while_the_fleet_must_keep_its_hands_still() -> None:
    """I12: a fuse holds for the account as it does for rentals."""

    async def play() -> None:
        async with Stage(change=wanted) as stage:
            account = Account(stage, Transient("502"))
            await stage.until_on_air()
            reads = stage.marketplace.list_instances

            async def unreadable() -> tuple[Instance, ...]:
                raise Transient("502")

            stage.marketplace.list_instances = unreadable  # type: ignore[method-assign]
            await stage.until(lambda: stage.snapshot.plan.fuses)
            await asyncio.sleep(60.0)
            before = len(account.asked_s)
            await asyncio.sleep(7_200.0)
            assert len(account.asked_s) == before
            stage.marketplace.list_instances = reads  # type: ignore[method-assign]
            await asyncio.sleep(7_200.0)
            assert len(account.asked_s) > before

    run(play())


@pytest.mark.parametrize("why", ["not wanted", "observes", "paused"])
def test_the_account_is_left_alone_where_keeper_may_not_act(why: str) -> None:
    def change(declared: Declared) -> Declared:
        if why == "observes":
            return without_acting(wanted(declared), Mode.OBSERVE)
        return declared if why == "not wanted" else wanted(declared)

    async def play() -> None:
        stage = Stage(change=change)
        account = Account(stage, True)
        if why == "paused":
            order = stage.order(OrderKind.PAUSE, None)
            stage.disk.pause = Pause(since=order.at, until=None, actor="ada", reason="?")
        async with stage:
            await asyncio.sleep(3600.0)
            assert account.asked_s == []
            if why == "paused":
                await stage.daemon.order(stage.order(OrderKind.RESUME, None))
                await asyncio.sleep(60.0)
                assert len(account.asked_s) == 1

    run(play())


def test_a_reload_asks_again() -> None:
    """The right that was missing may have been given to the key meanwhile."""

    async def play() -> None:
        stage = Stage(change=wanted, reload=lambda: stage.declared)
        account = Account(stage, TEAM, True)
        async with stage:
            await stage.until(lambda: stage.facts.named("key.not_registered"))
            await stage.daemon.reload()
            await stage.until(lambda: stage.facts.named("key.registered"))
            assert len(account.asked_s) == 2

    run(play())


def test_the_simulated_account_takes_the_key() -> None:
    """Over the real adapter: it is listed first, then registered, then found."""

    async def play() -> None:
        async with Stage(change=wanted) as stage:
            await stage.until_on_air()
            keys = stage.universe.market.account_keys
            assert len(keys) == 1
            assert not await stage.marketplace.register_key(stage.daemon._ports.hosts.public_key)
            assert len(keys) == 1
            assert SLOT in stage.snapshot.records
            assert stage.declared.desired.streams[0].mode is Mode.ACT

    run(play())
