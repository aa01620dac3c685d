"""Deploys with a long step, through the whole daemon in virtual time: tries, hosts, lost links."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from keeper.core.events import DeployFailed
from keeper.daemon.declared import Declared
from keeper.ports import Job
from keeper.sim.disk import Disk
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import run
from keeper.sim.universe import Universe
from keeper.sim.virtual_hosts import VirtualHost
from keeper.workloads import Step, Workload
from tests.stage import QUIET, Stage

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
            workloads={
                name: WithJob(each, job)
                for name, each in declared.workloads.items()
            },
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
