"""Real supervisord, seen through the sentinel and restarted by keeper's commands."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.core.model import Status
from keeper.core.reasons import Reason
from keeper.ports import Link
from keeper.workloads import Workload
from tests.components import require
from tests.integration.workloads.conftest import build, carry_out, watching
from tests.waiting import eventually

pytestmark = [pytest.mark.real("sshd", "supervisord"), pytest.mark.timeout(120)]

CONFIG = """
[unix_http_server]
file={folder}/sock
[supervisord]
logfile={folder}/log
pidfile={folder}/pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/sock
[program:good]
command=sleep 1000
startsecs=0
[program:dies]
command=sh -c "sleep 0.1; exit 1"
startsecs=1
startretries=1
[program:ends]
command=sh -c "sleep 0.2"
startsecs=0
autorestart=unexpected
exitcodes=0
"""


@pytest.fixture
async def folder(short_path: Path) -> AsyncIterator[Path]:
    """Run supervisord in the foreground; its programs end with it."""
    (short_path / "conf").write_text(CONFIG.format(folder=short_path))
    process = await asyncio.create_subprocess_exec(
        require("supervisord"), "-n", "-c", short_path / "conf",
        stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    await eventually((short_path / "sock").exists)
    yield short_path
    if process.returncode is None:
        process.terminate()
    await process.wait()


def program(folder: Path, name: str, command: str = "") -> Workload:
    real = f"{require('supervisord').with_name('supervisorctl')} -c {folder}/conf"
    return build(
        "command",
        image="any",
        workdir=str(folder / "work"),
        view={"kind": "tcp", "port": 1},
        manager={
            "kind": "supervisor",
            "name": name,
            "command": command or real,
        },
    )


async def test_running_program_is_up_and_a_respawn_is_another_incarnation(
    link: Link, folder: Path
) -> None:
    """With startsecs=0 supervisord calls a program RUNNING however often it has to start it."""
    workload = program(folder, "good")
    async with watching(link, workload) as sentinel:
        first = await sentinel.until_up()
        os.kill(int(first.identity.partition(":")[0]), signal.SIGKILL)
        await sentinel.until_up(after=first.identity)


async def test_restart_makes_a_new_process(link: Link, folder: Path) -> None:
    workload = program(folder, "good")
    async with watching(link, workload) as sentinel:
        first = await sentinel.until_up()
        await carry_out(link, workload.restart_process())
        second = await sentinel.until_up(after=first.identity)
        await carry_out(link, workload.restart_workload())
        await sentinel.until_up(after=second.identity)


async def test_program_given_up_on_is_certain_and_restart_of_it_fails(
    link: Link, folder: Path
) -> None:
    workload = program(folder, "dies")
    async with watching(link, workload) as sentinel:
        reading = await sentinel.until(Reason.MANAGER_GAVE_UP)
    assert reading.status is Status.FALSE
    assert reading.is_certain
    assert "Exited too quickly" in reading.detail


async def test_program_that_ended_well_is_gone_all_the_same(link: Link, folder: Path) -> None:
    async with watching(link, program(folder, "ends")) as sentinel:
        reading = await sentinel.until(Reason.PROCESS_GONE)
    assert reading.detail.startswith("exited")


async def test_program_stopped_by_hand_is_told_apart(link: Link, folder: Path) -> None:
    workload = program(folder, "good")
    async with watching(link, workload) as sentinel:
        await sentinel.until_up()
        stop, *_ = workload.restart_workload()
        await carry_out(link, (stop,))
        reading = await sentinel.until(Reason.PROCESS_STOPPED_ON_PURPOSE)
    assert reading.is_certain


async def test_unknown_program_and_dead_supervisord(link: Link, folder: Path) -> None:
    workload = program(folder, "nosuch")
    async with watching(link, workload) as sentinel:
        reading = await sentinel.until(Reason.PROCESS_GONE)
        assert reading.detail == "supervisord does not know it"
        os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
        down = await sentinel.until(Reason.MANAGER_DOWN)
    assert down.status is Status.FALSE
    restart, *_ = workload.restart_process()
    assert (await link.run(restart)).exit_code == 1


async def test_program_seen_between_its_end_and_its_next_start_is_left_to_supervisord(
    link: Link, folder: Path
) -> None:
    """supervisord says EXITED for up to a second before it starts a program again."""
    said = folder / "said"
    ctl = folder / "ctl"
    ctl.write_text(f"#!/bin/sh\ncat {said}\n")
    ctl.chmod(0o755)
    said.write_text("good EXITED Nov 22 06:46 AM\n")
    async with watching(
        link, program(folder, "good", str(ctl)), "keeper_ask_looks=20\n"
    ) as sentinel:
        await sentinel.until(Reason.MANAGER_RETRYING)
        said.write_text(f"good RUNNING pid {os.getpid()}, uptime 0:00:01\n")
        await sentinel.until_up()
        assert '"state":"gone"' not in "".join(sentinel.seen)
        said.write_text("good EXITED Nov 22 06:46 AM\n")
        await sentinel.until(Reason.PROCESS_GONE)


async def test_program_that_is_to_publish_no_more_stays_ended_until_it_is_started(
    link: Link, folder: Path
) -> None:
    workload = program(folder, "good")
    async with watching(link, workload) as sentinel:
        first = await sentinel.until_up()
        await carry_out(link, workload.stop())
        await carry_out(link, workload.stop())
        await sentinel.until(Reason.PROCESS_STOPPED_ON_PURPOSE)
        await carry_out(link, workload.start())
        await sentinel.until_up(after=first.identity)


async def test_supervisord_that_does_not_answer_is_no_proof_that_a_program_has_ended(
    link: Link, folder: Path
) -> None:
    workload = program(folder, "good", command="supervisorctl -c /nowhere")
    result = [await link.run(command) for command in workload.stop()][-1]
    assert result.exit_code == 1
