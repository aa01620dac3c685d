"""A host on air is touched, or ends, when its viewers lose least: through the whole daemon in virtual time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from keeper.core.events import DrainOverdue, WorkloadDraining
from keeper.core.model import DrainThen
from keeper.core.world import OrderKind
from keeper.daemon.declared import Declared
from keeper.ports import Command, CommandResult, Unreachable
from keeper.sim.deploys import Deploy, with_deploys
from keeper.sim.disk import Disk
from keeper.sim.loop import run
from keeper.sim.memory_hosts import MemoryLink
from keeper.sim.universe import Universe
from keeper.workloads import Drain, Workload
from tests.stage import QUIET, SLOT, Stage

BOUND_S = 240.0
LOOK = "lull.look"
NOT_YET, THERE, UNTOLD = 1, 0, 2


@dataclass(frozen=True)
class WithLull:
    """A workload whose viewers can be asked after."""

    inner: Workload

    def drain(self) -> Drain:
        return Drain(begin=(), look=Command(name=LOOK, script="look"), bound_s=BOUND_S)

    def remembering(self, keepsake: str) -> "WithLull":
        return replace(self, inner=self.inner.remembering(keepsake))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Viewers:
    """What a host answers that is asked after its viewers."""

    def __init__(self) -> None:
        self.code = NOT_YET
        self.asked = 0
        self.is_out_of_reach = False


@pytest.fixture
def viewers(monkeypatch: pytest.MonkeyPatch) -> Viewers:
    made, run_it = Viewers(), MemoryLink.run

    async def answer(link: MemoryLink, command: Command, *heard: Any) -> CommandResult:
        result = await run_it(link, command, *heard)
        if command.name != LOOK:
            return result
        made.asked += 1
        if made.is_out_of_reach:
            raise Unreachable("no SSH link")
        return CommandResult(exit_code=made.code, stdout="FIGHTING\n", stderr="")

    monkeypatch.setattr(MemoryLink, "run", answer)
    return made


def with_lull(**policy: Any) -> Callable[[Declared], Declared]:
    def change(declared: Declared) -> Declared:
        streams = tuple(
            replace(each, lull_max_s=BOUND_S, policy=replace(each.policy, **policy))
            for each in declared.desired.streams
        )
        workloads = {name: WithLull(each) for name, each in declared.workloads.items()}
        desired = replace(declared.desired, streams=streams)
        return replace(declared, desired=desired, workloads=workloads)

    return change


class Changing:
    """A stream whose workload is changed in the file."""

    def __init__(self, **policy: Any) -> None:
        self.prompt = "first"
        self._policy = policy
        self._first: Declared | None = None

    def declare(self, declared: Declared | None = None) -> Declared:
        self._first = declared or self._first
        assert self._first is not None
        named = with_deploys(self._first, {"duel": Deploy(prompt=self.prompt)})
        return with_lull(**self._policy)(named)


async def until_waiting(stage: Stage, times: int = 1) -> WorkloadDraining:
    def begun() -> list[WorkloadDraining]:
        return [each for each in stage.facts.events if isinstance(each, WorkloadDraining)]

    await stage.until(lambda: len(begun()) >= times, within_s=3600.0)
    return begun()[-1]


def never_dark(stage: Stage) -> bool:
    return not stage.facts.named("stream.dark")


def test_an_ordered_replacement_lets_viewers_see_the_end(viewers: Viewers) -> None:
    async def play() -> None:
        async with Stage(change=with_lull()) as stage:
            await stage.until_on_air()
            await stage.daemon.order(stage.order(OrderKind.REPLACE))
            begun = await until_waiting(stage)
            await asyncio.sleep(BOUND_S / 2)
            assert "destroy" not in stage.marketplace.mutations
            assert stage.snapshot.deploys[SLOT].line == "FIGHTING"
            viewers.code = THERE
            await stage.until(lambda: "destroy" in stage.marketplace.mutations, within_s=15.0)
            assert begun.bound_s == BOUND_S
            assert stage.facts.named("workload.drained")
            assert SLOT not in stage.snapshot.deploys
            asked = viewers.asked
            await asyncio.sleep(120.0)
            assert viewers.asked == asked, "nobody is asked any more"
            assert never_dark(stage)

    run(play())


def test_viewers_who_stay_are_not_waited_for_for_ever(viewers: Viewers) -> None:
    async def play() -> None:
        async with Stage(change=with_lull(drain_then=DrainThen.LEAVE)) as stage:
            await stage.until_on_air()
            await stage.daemon.order(stage.order(OrderKind.REPLACE))
            await until_waiting(stage)
            await asyncio.sleep(BOUND_S - 10.0)
            assert "destroy" not in stage.marketplace.mutations
            await stage.until(lambda: "destroy" in stage.marketplace.mutations, within_s=20.0)
            (overdue,) = (e for e in stage.facts.events if isinstance(e, DrainOverdue))
            assert (overdue.then, "FIGHTING" in overdue.detail) == ("promote", True)

    run(play())


@pytest.mark.parametrize("how", ["it cannot be told", "the host is out of reach"])
def test_who_cannot_be_asked_after_is_waited_for_as_policy_says(viewers: Viewers, how: str) -> None:
    viewers.is_out_of_reach, viewers.code = how == "the host is out of reach", UNTOLD

    async def play() -> None:
        async with Stage(change=with_lull()) as stage:
            await stage.until_on_air()
            await stage.daemon.order(stage.order(OrderKind.REPLACE))
            await until_waiting(stage)
            patience_s = BOUND_S + 20.0 if viewers.is_out_of_reach else 60.0
            await stage.until(lambda: "destroy" in stage.marketplace.mutations, within_s=patience_s)
            assert stage.facts.named("workload.drain_overdue")

    run(play())


def test_a_changed_workload_comes_when_viewers_lose_least(viewers: Viewers) -> None:
    async def play() -> None:
        file = Changing()
        async with Stage(change=file.declare, reload=file.declare) as stage:
            await stage.until_on_air()
            await asyncio.sleep(1200.0)  # on air for long enough to be relied on
            file.prompt = "second"
            await stage.daemon.reload()
            await until_waiting(stage)
            await asyncio.sleep(BOUND_S / 2)
            assert len(stage.facts.named("workload.deploying")) == 1, "only the first one"
            viewers.code = THERE
            await stage.until(
                lambda: len(stage.facts.named("workload.deployed")) == 2, within_s=120.0
            )

    run(play())


def test_policy_may_leave_viewers_with_what_they_have(viewers: Viewers) -> None:
    async def play() -> None:
        file = Changing(drain_then=DrainThen.LEAVE)
        async with Stage(change=file.declare, reload=file.declare) as stage:
            await stage.until_on_air()
            await asyncio.sleep(1200.0)
            file.prompt = "second"
            await stage.daemon.reload()
            await until_waiting(stage, times=3)
            overdue = [e for e in stage.facts.events if isinstance(e, DrainOverdue)]
            assert {each.then for each in overdue} == {"leave"}
            assert len(stage.facts.named("workload.deploying")) == 1
            viewers.code = THERE
            await stage.until(
                lambda: len(stage.facts.named("workload.deployed")) == 2, within_s=120.0
            )
            assert never_dark(stage)

    run(play())


def test_a_keeper_that_dies_while_it_waits_is_followed_by_one_that_goes_on(
    viewers: Viewers,
) -> None:
    """The next one takes up the same wait; viewers cost two hosts no longer than one bound."""

    async def play() -> None:
        universe, disk = Universe(1, shape=QUIET), Disk(keeper_id="00000001")
        before = Stage(change=with_lull(), universe=universe, disk=disk)
        await before.__aenter__()
        await before.until_on_air()
        await before.daemon.order(before.order(OrderKind.REPLACE))
        await until_waiting(before)
        began_s = universe.time_s()
        await asyncio.sleep(BOUND_S / 2)
        before.power.cut()
        assert before.life is not None
        before.life.cancel()
        await asyncio.gather(before.life, return_exceptions=True)
        assert before.marketplace.mutations.count("destroy") == 0
        async with Stage(change=with_lull(), universe=universe, disk=disk) as stage:
            asked = viewers.asked
            await stage.until(lambda: viewers.asked > asked, within_s=60.0)
            await stage.until(lambda: "destroy" in stage.marketplace.mutations, within_s=900.0)
            assert BOUND_S - 5.0 <= universe.time_s() - began_s <= BOUND_S + 60.0
            assert not stage.facts.named("workload.draining"), "it was begun already"
            assert stage.facts.named("workload.drain_overdue")
            assert never_dark(stage)

    run(play())


def test_an_order_for_now_waits_for_nobody(viewers: Viewers) -> None:
    async def play() -> None:
        async with Stage(change=with_lull()) as stage:
            await stage.until_on_air()
            await stage.daemon.order(replace(stage.order(OrderKind.REPLACE), is_now=True))
            await stage.until(lambda: "destroy" in stage.marketplace.mutations, within_s=1800.0)
            assert not stage.facts.named("workload.draining")
            assert viewers.asked == 0

    run(play())


def test_whoever_destroys_a_slot_that_waits_is_not_kept_waiting(viewers: Viewers) -> None:
    async def play() -> None:
        async with Stage(change=with_lull()) as stage:
            await stage.until_on_air()
            await stage.daemon.order(stage.order(OrderKind.REPLACE))
            await until_waiting(stage)
            await stage.daemon.order(stage.order(OrderKind.DESTROY, order_id="2"))
            await stage.until(lambda: "destroy" in stage.marketplace.mutations, within_s=15.0)
            assert viewers.code == NOT_YET

    run(play())
