"""Ordered restarts wait for viewers: through the whole daemon in virtual time."""

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from keeper.cli.stages import is_on_air
from keeper.core.events import DrainEnded, DrainOverdue, RestartFailed
from keeper.core.model import DrainThen
from keeper.core.world import Order, OrderKind
from keeper.daemon.declared import Declared
from keeper.ports import Command, CommandResult, Heard
from keeper.sim.disk import Disk
from keeper.sim.loop import run
from keeper.sim.memory_hosts import MemoryLink
from keeper.sim.universe import Universe
from keeper.workloads import Drain, Workload
from tests.stage import QUIET, SLOT, Stage

BOUND_S = 120.0


@dataclass(frozen=True)
class WithDrain:
    """A workload that can be drained."""

    inner: Workload
    is_restart: bool = False

    def drain(self) -> Drain:
        return Drain(
            begin=(Command(name="drain.begin", script="begin"),),
            look=Command(name="drain.look", script="look"),
            bound_s=BOUND_S,
            is_restart=self.is_restart,
        )

    def remembering(self, keepsake: str) -> "WithDrain":
        return replace(self, inner=self.inner.remembering(keepsake))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def drained(
    *, then: DrainThen = DrainThen.RESTART, is_restart: bool = False
) -> Callable[[Declared], Declared]:
    def change(declared: Declared) -> Declared:
        streams = tuple(
            replace(each, policy=replace(each.policy, drain_then=then))
            for each in declared.desired.streams
        )
        return replace(
            declared,
            desired=replace(declared.desired, streams=streams),
            workloads={
                name: WithDrain(each, is_restart) for name, each in declared.workloads.items()
            },
        )

    return change


class Answers:
    """What the host answers to a drain, and all that it was told."""

    def __init__(self) -> None:
        self.begin = 0
        self.look = 0
        self.told: list[str] = []


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    made, run_it = Answers(), MemoryLink.run

    async def answer(
        link: MemoryLink, command: Command, heard: Heard | None = None
    ) -> CommandResult:
        made.told.append(command.name)
        result = await run_it(link, command, heard)
        if command.name == "drain.begin":
            return CommandResult(exit_code=made.begin, stdout="said at begin", stderr="")
        if command.name == "drain.look":
            return CommandResult(exit_code=made.look, stdout="fighting", stderr="")
        return result

    monkeypatch.setattr(MemoryLink, "run", answer)
    return made


def restart(stage: Stage, order_id: str = "1", *, is_now: bool = False) -> Order:
    return replace(stage.order(OrderKind.RESTART, order_id=order_id), is_now=is_now)


def _is_on_air(stage: Stage) -> bool:
    snapshot = stage.daemon.snapshot()
    return snapshot is not None and is_on_air(snapshot, SLOT)


async def _until_told(stage: Stage, name: str, times: int = 1) -> None:
    await stage.until(lambda: len(stage.facts.named(name)) >= times, within_s=600, look_s=1.0)


def test_a_restart_waits_for_the_end_of_what_is_watched(answers: Answers) -> None:
    async def play() -> None:
        async with Stage(change=drained()) as stage:
            await stage.until_on_air()
            answers.look = 1
            await stage.daemon.order(restart(stage))
            await asyncio.sleep(BOUND_S / 2)
            assert "restart.process.start" not in answers.told
            told = stage.daemon.snapshot()
            assert told is not None
            assert told.deploys[SLOT].line == "fighting"
            answers.look = 0
            await _until_told(stage, "workload.restarted")
            (ended,) = (e for e in stage.facts.events if isinstance(e, DrainEnded))
            assert BOUND_S / 2 <= ended.duration_s < BOUND_S
            assert answers.told.count("drain.begin") == 1
            assert answers.told.index("drain.look") < answers.told.index("restart.process.start")

    run(play())


def test_what_restarts_itself_is_not_restarted_again(answers: Answers) -> None:
    async def play() -> None:
        async with Stage(change=drained(is_restart=True)) as stage:
            await stage.until_on_air()
            await stage.daemon.order(restart(stage))
            await _until_told(stage, "workload.restarted")
            assert "restart.process.start" not in answers.told

    run(play())


@pytest.mark.parametrize("then", DrainThen)
def test_past_the_bound_policy_says_what_follows(answers: Answers, then: DrainThen) -> None:
    async def play() -> None:
        async with Stage(change=drained(then=then)) as stage:
            await stage.until_on_air()
            answers.look = 1
            await stage.daemon.order(restart(stage))
            await _until_told(stage, "workload.drain_overdue")
            (overdue,) = (e for e in stage.facts.events if isinstance(e, DrainOverdue))
            assert overdue.then == then
            assert "not within 120 s: fighting" in overdue.detail
            await asyncio.sleep(120.0)
            was_restarted = "restart.process.start" in answers.told
            assert was_restarted is (then is DrainThen.RESTART)
            if then is DrainThen.LEAVE:
                (failed,) = (e for e in stage.facts.events if isinstance(e, RestartFailed))
                assert "left running" in failed.error
                assert not stage.facts.named("stream.dark")
                assert len(stage.facts.named("workload.restarting")) == 1

    run(play())


def test_a_refusal_is_met_once_by_each_process_and_remembered(answers: Answers) -> None:
    """A wrong code that is sent again and again locks its owner out, too."""

    async def play() -> None:
        async with Stage(change=drained(then=DrainThen.LEAVE)) as stage:
            await stage.until_on_air()
            answers.begin = 3
            for times in (1, 2, 3):
                await stage.daemon.order(restart(stage, str(times)))
                await _until_told(stage, "workload.drain_overdue", times)
                await asyncio.sleep(120.0)
            assert answers.told.count("drain.begin") == 1
            assert len(stage.facts.named("workload.drain_refused")) == 1

    run(play())


def test_another_process_may_have_been_given_the_right_code(answers: Answers) -> None:
    """PM2 had kept the code of before; keeper cured that, and never used the right one again."""

    async def play() -> None:
        async with Stage(change=drained()) as stage:
            await stage.until_on_air()
            answers.begin = 3
            await stage.daemon.order(restart(stage))
            await _until_told(stage, "workload.restarted")
            await asyncio.sleep(120.0)
            answers.begin = 0
            await stage.daemon.order(restart(stage, "2"))
            await _until_told(stage, "workload.drained")
            assert answers.told.count("drain.begin") == 2

    run(play())


def test_the_next_keeper_knows_of_a_refusal(answers: Answers) -> None:
    async def play() -> None:
        universe, disk = Universe(1, shape=QUIET), Disk(keeper_id="00000001")
        answers.begin = 3
        for times in (1, 2):
            change = drained(then=DrainThen.LEAVE)
            async with Stage(change=change, universe=universe, disk=disk) as stage:
                await stage.until(functools.partial(_is_on_air, stage))
                await asyncio.sleep(30.0)
                await stage.daemon.order(restart(stage, str(times)))
                await _until_told(stage, "workload.drain_overdue")
        assert answers.told.count("drain.begin") == 1

    run(play())


def test_a_door_that_is_locked_for_a_while_is_tried_later(answers: Answers) -> None:
    """Strangers had tried five codes; keeper's was the right one."""

    async def play() -> None:
        async with Stage(change=drained()) as stage:
            await stage.until_on_air()
            answers.begin = 1
            await stage.daemon.order(restart(stage))
            await asyncio.sleep(BOUND_S / 2)
            assert answers.told.count("drain.begin") > 1
            assert "drain.look" not in answers.told
            answers.begin = 0
            await _until_told(stage, "workload.drained")
            assert not stage.facts.named("workload.drain_overdue")

    run(play())


def test_now_waits_for_nobody(answers: Answers) -> None:
    async def play() -> None:
        async with Stage(change=drained()) as stage:
            await stage.until_on_air()
            answers.look = 1
            await stage.daemon.order(restart(stage, is_now=True))
            await _until_told(stage, "workload.restarted")
            assert "drain.begin" not in answers.told

    run(play())


def test_a_workload_that_cannot_be_asked_is_restarted_at_once(answers: Answers) -> None:
    async def play() -> None:
        async with Stage(change=drained()) as stage:
            await stage.until_on_air()
            answers.begin = 2
            await stage.daemon.order(restart(stage))
            await _until_told(stage, "workload.restarted")
            assert "drain.look" not in answers.told

    run(play())


def test_a_death_while_draining_leaves_a_slot_that_is_looked_after(answers: Answers) -> None:
    async def play() -> None:
        universe, disk = Universe(1, shape=QUIET), Disk(keeper_id="00000001")
        before = Stage(change=drained(), universe=universe, disk=disk)
        await before.__aenter__()
        await before.until_on_air()
        answers.look = 1
        await before.daemon.order(restart(before))
        await before.until(lambda: "drain.look" in answers.told)
        before.power.cut()
        assert before.life is not None
        before.life.cancel()
        await asyncio.gather(before.life, return_exceptions=True)
        assert [intent.kind for intent in disk.intents.values()] == ["restart"]
        async with Stage(change=drained(), universe=universe, disk=disk) as stage:
            await asyncio.sleep(300.0)
            assert not disk.intents
            assert stage.snapshot.records[SLOT].dark_since is None
            assert stage.marketplace.mutations == []

    run(play())
