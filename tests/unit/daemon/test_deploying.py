"""Deploys with a long step, through the whole daemon in virtual time: tries, hosts, lost links."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from keeper.core.events import DeployFailed, DeployStepEnded, DeployStepStarted
from keeper.core.model import StreamName
from keeper.core.under_way import DeployProgress
from keeper.daemon.declared import Declared
from keeper.ports import Command, Job
from keeper.sim.disk import Disk
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import VirtualClock, run
from keeper.sim.stage import secret_of
from keeper.sim.universe import Universe
from keeper.sim.virtual_hosts import VirtualHost
from keeper.web.status import slot_status
from keeper.workloads import Step, Workload
from tests.archives import MemoryArchive
from tests.stage import QUIET, SLOT, Stage

SETUP = Job(name="deploy.model", script="fetch the model", timeout_s=900, mark="model 1")


@dataclass(frozen=True)
class WithJob:
    """A workload whose deploy begins with a long step."""

    inner: Workload
    job: Job

    def deploy(self) -> tuple[Step, ...]:
        return (self.job, *self.inner.deploy())

    def remembering(self, keepsake: str) -> "WithJob":
        return replace(self, inner=self.inner.remembering(keepsake))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def with_job(job: Job = SETUP) -> Callable[[Declared], Declared]:
    def change(declared: Declared) -> Declared:
        return replace(
            declared,
            workloads={name: WithJob(each, job) for name, each in declared.workloads.items()},
        )

    return change


def hosts_of(stage: Stage) -> list[VirtualHost]:
    return list(stage.universe.hosts.by_instance.values())


def test_a_failing_job_is_tried_once_more_on_its_host_and_then_on_another() -> None:
    async def play() -> None:
        async with Stage(change=with_job()) as stage:
            await stage.until(lambda: hosts_of(stage))
            first = hosts_of(stage)[0]
            await stage.until(
                lambda: stage.universe.market.strike(
                    first.contract, Fault(kind=FaultKind.DEPLOY_FAILS)
                )
            )
            await stage.until_on_air()
            failures = [e for e in stage.facts.events if isinstance(e, DeployFailed)]
            assert [int(each.instance_id) for each in failures] == [first.contract.instance_id] * 2
            assert "deploy.model ended with 1: the package index is broken" in failures[0].error
            assert stage.marketplace.mutations.count("create") == 2

    run(play())


def test_a_failed_deploy_leaves_its_log_and_names_it() -> None:
    """Which step, its exit code, the end of its output, and where the rest can be read."""

    async def play() -> None:
        clock = VirtualClock()
        archive = MemoryArchive(clock)
        secret = secret_of("duel")
        job = replace(SETUP, env={"STREAM_KEY": secret})  # a hostile host repeats it
        async with Stage(change=with_job(job), archive=archive) as stage:
            await stage.until(lambda: hosts_of(stage))
            first = hosts_of(stage)[0]
            await stage.until(
                lambda: stage.universe.market.strike(
                    first.contract, Fault(kind=FaultKind.DEPLOY_FAILS)
                )
            )
            await stage.until(lambda: stage.facts.named("workload.deploy_failed"))
            await stage.until(lambda: stage.snapshot.kept.get(SLOT))
            (failure,) = (e for e in stage.facts.events if isinstance(e, DeployFailed))
            (name,) = archive.files
            log = archive.files[name].decode()
            assert name.startswith("deploys/duel.0/")
            assert failure.error.endswith(f"(log: {name})"), failure.error
            assert stage.snapshot.kept[SLOT].deploy_log == name
            assert f"step 1 of {len(steps_of(stage))}: deploy.model" in log
            assert "the package index is broken" in log
            ended = [e for e in stage.facts.events if isinstance(e, DeployStepEnded)]
            assert (ended[0].step, ended[0].number, ended[0].log) == ("deploy.model", 1, name)
            assert secret not in log + failure.error + ended[0].error
            slot = slot_status(stage.snapshot, SLOT, stage.clock.now())
            assert slot is not None
            assert slot.deploy_log == name
            await stage.until_on_air()
            assert not stage.snapshot.deploys

    run(play())


def steps_of(stage: Stage) -> tuple[Step, ...]:
    return stage.declared.workloads[StreamName("duel")].deploy()


@dataclass(frozen=True)
class WithMaintenance:
    """A workload whose deploy begins something that must be taken back, whatever comes between."""

    inner: Workload

    def deploy(self) -> tuple[Step, ...]:
        enter = Command(name="maintenance.enter", script="enter")
        leave = Command(name="maintenance.leave", script="leave", is_closing=True)
        return (enter, SETUP, *self.inner.deploy(), leave)

    def remembering(self, keepsake: str) -> "WithMaintenance":
        return replace(self, inner=self.inner.remembering(keepsake))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def with_maintenance(declared: Declared) -> Declared:
    workloads = {name: WithMaintenance(each) for name, each in declared.workloads.items()}
    return replace(declared, workloads=workloads)


def test_what_a_deploy_has_begun_is_taken_back_when_it_fails() -> None:
    """A deploy that failed at its download left a good server in maintenance for ever."""

    async def play() -> None:
        archive = MemoryArchive(VirtualClock())
        async with Stage(change=with_maintenance, archive=archive) as stage:
            await stage.until(lambda: hosts_of(stage))
            first = hosts_of(stage)[0]
            await stage.until(
                lambda: stage.universe.market.strike(
                    first.contract, Fault(kind=FaultKind.DEPLOY_FAILS)
                )
            )
            await stage.until(lambda: stage.facts.named("workload.deploy_failed"))
            (failure,) = (e for e in stage.facts.events if isinstance(e, DeployFailed))
            assert "deploy.model ended with 1" in failure.error  # and not what came after
            log = next(iter(archive.files.values())).decode()
            begun = [
                line.partition(": ")[2]
                for line in log.splitlines()
                if f" of {len(steps_of(stage))}: " in line
            ]
            assert begun == ["maintenance.enter", "deploy.model", "maintenance.leave"]
            await stage.until_on_air()  # of a deploy that succeeds it is the last step

    run(play())


def test_a_deploy_shows_how_far_it_is() -> None:
    async def play() -> None:
        seen: list[DeployProgress] = []
        async with Stage(change=with_job()) as stage:

            def look() -> bool:
                snapshot = stage.daemon.snapshot()
                told = snapshot.deploys.get(SLOT) if snapshot is not None else None
                if told is not None and (not seen or told != seen[-1]):
                    seen.append(told)
                return bool(stage.facts.named("stream.on_air"))

            await stage.until(look, look_s=0.1)
            first = next(told for told in seen if told.number == 1)
            assert (first.step, first.of) == ("deploy.model", len(steps_of(stage)))
            assert [told.number for told in seen] == sorted(told.number for told in seen)
            assert stage.daemon.snapshot() is stage.snapshot
            begun = [e for e in stage.facts.events if isinstance(e, DeployStepStarted)]
            assert begun[0].step == "deploy.model"

    run(play())


def test_a_full_archive_stops_no_deploy() -> None:
    async def play() -> None:
        archive = MemoryArchive(VirtualClock())
        archive.is_full = True
        async with Stage(change=with_job(), archive=archive) as stage:
            await stage.until_on_air()
            assert len(stage.facts.named("archive.unable")) == 1

    run(play())


def test_a_keeper_killed_during_a_job_finds_it_done() -> None:
    """The step runs on without a keeper; the next one does not run it again."""

    async def play() -> None:
        universe, disk = Universe(1, shape=QUIET), Disk(keeper_id="00000001")
        before = Stage(change=with_job(), universe=universe, disk=disk)
        await before.__aenter__()
        await before.until(lambda: any(host.jobs for host in hosts_of(before)), look_s=0.1)
        (host,) = hosts_of(before)
        job = host.jobs[SETUP.name]
        assert job.exit_code is None
        before.power.cut()
        assert before.life is not None
        before.life.cancel()
        await asyncio.gather(before.life, return_exceptions=True)
        async with Stage(change=with_job(), universe=universe, disk=disk) as stage:
            await stage.until_on_air()
            assert hosts_of(stage) == [host]
            assert host.jobs[SETUP.name] is job

    run(play())
