"""An audition through the whole daemon: what a host shows decides whether it gets the workload."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest

from keeper.core.events import (
    AuditionEnded,
    InstanceCondemned,
    InstanceRebooting,
    MachineQuarantined,
    WorkloadDeployed,
)
from keeper.core.model import Meaning, Status
from keeper.core.reasons import Reason
from keeper.daemon.declared import Declared
from keeper.ports import Command, CommandResult
from keeper.sim.loop import run
from keeper.sim.memory_hosts import MemoryLink
from keeper.workloads import Workload
from keeper.workloads.audition import Check, CheckName, Finding
from tests.stage import SLOT, Stage

LOOK = Command(name="audition.gpu", script="true")


class Choosy:
    """A workload that holds an audition, whose outcomes are given in order, the last for ever."""

    def __init__(self, workload: Workload, meanings: list[Meaning | None]) -> None:
        self._workload = workload
        self._meanings = meanings

    def __getattr__(self, name: str) -> object:
        return getattr(self._workload, name)

    def remembering(self, keepsake: str) -> Choosy:
        return self

    def audition(self) -> tuple[Check, ...]:
        return (Check(name=CheckName.GPU, expected="a GPU", look=LOOK, judge=self._judge),)

    def _judge(self, result: CommandResult, now: datetime) -> Finding:
        meaning = self._meanings.pop(0) if len(self._meanings) > 1 else self._meanings[0]
        return Finding(
            check=CheckName.GPU,
            status=Status.TRUE if meaning is None else Status.FALSE,
            saw="as expected" if meaning is None else "no devices were found",
            expected="a GPU",
            meaning=meaning,
        )


def choosy(*meanings: Meaning | None) -> Callable[[Declared], Declared]:
    left = list(meanings)

    def change(declared: Declared) -> Declared:
        made = {
            name: cast("Workload", Choosy(each, left)) for name, each in declared.workloads.items()
        }
        return replace(declared, workloads=made)

    return change


def told(stage: Stage, kind: type) -> list[object]:
    return [event for event in stage.facts.events if isinstance(event, kind)]


def test_a_host_that_passes_goes_on_air_and_its_audition_is_told() -> None:
    async def play() -> None:
        async with Stage(change=choosy(None)) as stage:
            await stage.until_on_air()
            (ended,) = cast("list[AuditionEnded]", told(stage, AuditionEnded))
            assert ended.meaning is None

    run(play())


def test_an_audition_is_told_when_it_ends_and_not_after_minutes_of_a_deploy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A deploy takes half an hour at times; whoever looks on asks what the host has shown."""
    answers = MemoryLink.run

    async def run_slowly(link: MemoryLink, command: Command, *more: Any) -> CommandResult:
        if command.name == "verify.process":
            await asyncio.sleep(30.0)
        return await answers(link, command, *more)

    monkeypatch.setattr(MemoryLink, "run", run_slowly)

    async def play() -> None:
        async with Stage(change=choosy(None)) as stage:
            await stage.until(lambda: told(stage, AuditionEnded))
            assert told(stage, WorkloadDeployed) == []
            (ended,) = cast("list[AuditionEnded]", told(stage, AuditionEnded))
            assert ended.passed == "gpu: as expected"
            await stage.until(lambda: told(stage, WorkloadDeployed))
            record = stage.snapshot.records[SLOT]
            assert record.tenure is not None
            assert record.tenure.audition is not None
            assert record.tenure.audition.passed == ended.passed
            assert len(told(stage, AuditionEnded)) == 1

    run(play())


def test_a_host_that_fails_is_ended_before_it_gets_anything_and_its_machine_is_avoided() -> None:
    async def play() -> None:
        async with Stage(change=choosy(Meaning.REPLACE, None)) as stage:
            await stage.until_on_air()
            (condemned,) = cast("list[InstanceCondemned]", told(stage, InstanceCondemned))
            assert condemned.reason is Reason.AUDITION_FAILED
            (deployed,) = cast("list[WorkloadDeployed]", told(stage, WorkloadDeployed))
            assert deployed.instance_id != condemned.instance_id
            assert len(told(stage, MachineQuarantined)) == 1
            assert stage.marketplace.mutations.count("create") == 2

    run(play())


@pytest.mark.parametrize("meaning", [Meaning.WAIT, Meaning.REBOOT])
def test_a_host_that_comes_right_in_time_is_kept(meaning: Meaning) -> None:
    async def play() -> None:
        async with Stage(change=choosy(meaning, None)) as stage:
            await stage.until_on_air()
            assert stage.marketplace.mutations.count("create") == 1
            assert len(told(stage, InstanceRebooting)) == (meaning is Meaning.REBOOT)

    run(play())


def test_a_host_that_never_comes_right_costs_no_more_than_was_allowed() -> None:
    """Half a dollar, or ten minutes of failing, whichever comes first; then the next host's turn."""

    async def play() -> None:
        async with Stage(change=choosy(*[Meaning.WAIT] * 60, None)) as stage:
            await stage.until(lambda: told(stage, InstanceCondemned), within_s=3600.0)
            record = stage.snapshot.records[SLOT]
            auditions = cast("list[AuditionEnded]", told(stage, AuditionEnded))
            (condemned,) = cast("list[InstanceCondemned]", told(stage, InstanceCondemned))
            assert condemned.reason is Reason.AUDITION_FAILED
            assert 2 <= len(auditions) <= 600 / 30 + 1
            assert record.tenure is None or record.tenure.instance_id != condemned.instance_id

    run(play())


def test_what_no_host_would_pass_rents_no_second_host() -> None:
    async def play() -> None:
        async with Stage(change=choosy(Meaning.PERSON)) as stage:
            await stage.until(lambda: told(stage, AuditionEnded))
            await asyncio.sleep(3600.0)
            assert stage.marketplace.mutations.count("create") == 1
            assert told(stage, InstanceCondemned) == []
            (held,) = [each for each in stage.snapshot.plan.decisions if each.slot == SLOT]
            assert held.reason is Reason.NEEDS_PERSON

    run(play())
