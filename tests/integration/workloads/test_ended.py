"""A background process that is to publish no more: ended for certain, and started again when asked."""

from pathlib import Path

import pytest

from keeper.core.reasons import Reason
from keeper.ports import Link
from tests.integration.workloads.conftest import build, carry_out, sd_turbo, watching
from tests.waiting import is_running

pytestmark = [pytest.mark.real("sshd"), pytest.mark.timeout(120)]


async def test_a_process_that_takes_no_hint_is_ended_and_started_again(
    link: Link, workdir: Path
) -> None:
    workload = build(
        "command",
        image="any",
        workdir=str(workdir),
        start='trap "" TERM; sleep 1000 & wait; sleep 1000',
        manager={"kind": "background", "stop_s": 1},
        view={"kind": "tcp", "port": 1},
    )
    await carry_out(link, workload.prepare())
    await carry_out(link, workload.stop())  # nothing is there: a success
    async with watching(link, workload) as sentinel:
        await carry_out(link, workload.start())
        first = await sentinel.until_up()
        await carry_out(link, workload.stop())
        assert not is_running(int(first.identity.partition(":")[0]))
        await carry_out(link, workload.stop())
        await sentinel.until(Reason.PROCESS_GONE)
        await carry_out(link, workload.start())
        await sentinel.until_up(after=first.identity)
        await carry_out(link, workload.stop())


async def test_sd_turbo_is_prepared_started_ended_and_started_again(
    link: Link, workdir: Path, free_port: object
) -> None:
    assert callable(free_port)
    workload = sd_turbo(workdir, free_port())
    await carry_out(link, workload.prepare())
    async with watching(link, workload) as sentinel:
        await carry_out(link, workload.start())
        first = await sentinel.until_up()
        await carry_out(link, workload.stop())
        assert not is_running(int(first.identity.partition(":")[0]))
        await carry_out(link, workload.start())
        await sentinel.until_up(after=first.identity)
        await carry_out(link, workload.stop())
