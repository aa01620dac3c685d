"""A swap ends the one host's workload before it starts the other's, and touches nothing it cannot finish."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from keeper.core.decisions import Swap
from keeper.core.model import InstanceId, IntentId, IntentKind, SlotId
from keeper.core.reasons import Reason
from keeper.core.world import Outcome, OutcomeKind
from keeper.daemon.execute import Executor
from keeper.ports import Command, CommandResult, Heard, Unreachable
from keeper.sim.loop import VirtualClock, run

OLD, NEW = InstanceId(7), InstanceId(8)
SWAP = Swap(
    slot=SlotId("duel/0"), reason=Reason.HANDOVER, intent_id=IntentId("1"), instance_id=NEW,
    revision="b", leaving_id=OLD, leaving_revision="a", within_s=120.0,
)  # fmt: skip


@dataclass
class _Hosts:
    """Two hosts, the watch that has their links, and the workloads of both revisions."""

    calls: list[str] = field(default_factory=list)
    fails: str = ""
    hangs: str = ""
    unreachable: InstanceId | None = None
    has_stop: bool = True

    async def link(self, instance_id: InstanceId, timeout_s: float) -> _Link:
        if instance_id == self.unreachable:
            message = "the link is lost"
            raise Unreachable(message)
        return _Link(self, instance_id)

    def workload(self, slot: SlotId, revision: str) -> _Workload:
        return _Workload(revision, self.has_stop)


@dataclass
class _Link:
    hosts: _Hosts
    instance_id: InstanceId

    async def run(self, command: Command, heard: Heard | None = None) -> CommandResult:
        await asyncio.sleep(2.0)
        self.hosts.calls.append(f"{command.name} on {self.instance_id}")
        if command.name == self.hosts.hangs:
            await asyncio.get_running_loop().create_future()
        code = 1 if command.name == self.hosts.fails else 0
        return CommandResult(exit_code=code, stdout="", stderr="no")


@dataclass
class _Workload:
    revision: str
    has_stop: bool

    def stop(self) -> tuple[Command, ...]:
        return (Command(name=f"stop {self.revision}", script=""),) if self.has_stop else ()

    def start(self) -> tuple[Command, ...]:
        return (Command(name=f"start {self.revision}", script="", timeout_s=1000.0),)


def swapped(**changes: Any) -> tuple[Outcome, list[str]]:
    hosts = _Hosts(**changes)
    outcomes: list[Outcome] = []

    async def play() -> None:
        spawn: Callable[..., asyncio.Task[None]] = lambda work, name: asyncio.create_task(work)  # noqa: E731
        executor = Executor(
            marketplace=hosts,  # type: ignore[arg-type]
            hosts=hosts,  # type: ignore[arg-type]
            network=hosts,  # type: ignore[arg-type]
            watch=hosts,  # type: ignore[arg-type]
            clock=VirtualClock(),
            workload_of=hosts.workload,  # type: ignore[arg-type]
            spawn=spawn,
            finished=outcomes.append,
            bug=lambda bug: pytest.fail(str(bug)),
            redact=str,
        )
        executor.start((SWAP,))
        assert executor.slots_in_flight == {SWAP.slot}
        assert await executor.drain(3600.0)

    run(play())
    (outcome,) = outcomes
    assert (outcome.intent, outcome.instance_id) == (IntentKind.SWAP, NEW)
    return outcome, hosts.calls


def test_the_old_host_ends_first_with_what_is_on_it_and_the_moment_is_told() -> None:
    outcome, calls = swapped()
    assert calls == ["stop a on 7", "start b on 8"]
    assert outcome.kind is OutcomeKind.DONE
    assert outcome.ended_at is not None
    assert (outcome.at - outcome.ended_at).total_seconds() == pytest.approx(2.0)


@pytest.mark.parametrize("instance_id", [OLD, NEW])
def test_nothing_is_touched_where_either_host_cannot_be_told(instance_id: InstanceId) -> None:
    outcome, calls = swapped(unreachable=instance_id)
    assert (outcome.kind, outcome.ended_at, calls) == (OutcomeKind.FAILED, None, [])


def test_nothing_is_started_beside_what_would_not_end() -> None:
    outcome, calls = swapped(fails="stop a")
    assert (outcome.kind, outcome.ended_at) == (OutcomeKind.FAILED, None)
    assert calls == ["stop a on 7"]


def test_what_nobody_can_end_is_not_swapped() -> None:
    outcome, calls = swapped(has_stop=False)
    assert (outcome.kind, calls) == (OutcomeKind.FAILED, [])
    assert "manager" in outcome.error


def test_a_start_that_hangs_is_in_doubt_when_its_time_is_over() -> None:
    outcome, _ = swapped(hangs="start b")
    assert outcome.kind is OutcomeKind.UNCERTAIN
    assert outcome.ended_at is not None  # the one has ended, whatever became of the other
    assert outcome.duration_s == pytest.approx(122.0)
