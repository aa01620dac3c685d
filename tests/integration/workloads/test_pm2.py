"""Real PM2, seen through the sentinel and restarted by keeper's commands."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from keeper.core.model import Status
from keeper.core.reasons import Reason
from keeper.ports import Command, Link
from keeper.workloads import Workload, managers
from keeper.workloads.managers.pm2 import FIELDS, Pm2
from tests.components import require
from tests.integration.workloads.conftest import build, carry_out, watching
from tests.waiting import is_running

pytestmark = [pytest.mark.real("sshd", "pm2", "node"), pytest.mark.timeout(180)]

ECOSYSTEM = """module.exports = { apps: [
  { name: "good", script: "./good.js" },
  { name: "dies", script: "./dies.js", max_restarts: 2, min_uptime: 5000, restart_delay: 200 },
  { name: "hasty", script: "./hasty.js", max_restarts: 1000, restart_delay: 50 },
] };
"""


@pytest.fixture
async def folder(short_path: Path) -> AsyncIterator[Path]:
    """Give two apps; end the PM2 daemon that the test's commands started, and what it ran."""
    (short_path / "good.js").write_text("setInterval(() => {}, 1000);\n")
    (short_path / "dies.js").write_text("setTimeout(() => process.exit(1), 100);\n")
    (short_path / "hasty.js").write_text("process.exit(1);\n")
    (short_path / "ecosystem.config.cjs").write_text(ECOSYSTEM)
    yield short_path
    await _kill_daemon(short_path)


async def _kill_daemon(folder: Path) -> None:
    """Ask it to go, and see it gone."""
    pid_file = folder / "home" / "pm2.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    if is_running(pid):
        process = await asyncio.create_subprocess_exec(
            require("pm2"), "kill", "-s",
            env={**os.environ, "PM2_HOME": str(folder / "home")},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await process.wait()
    if is_running(pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def app(folder: Path, name: str, **settings: object) -> Workload:
    pm2 = f"{require('node')} {require('pm2').resolve()}"
    return build(
        "command",
        image="any",
        workdir=str(folder),
        view={"kind": "tcp", "port": 1},
        start=f"{pm2} start ecosystem.config.cjs --only {name} -s",
        manager={
            "kind": "pm2",
            "name": name,
            "command": pm2,
            "node": str(require("node")),
            "home": str(folder / "home"),
        },
        **settings,
    )


async def test_probe_of_a_dead_daemon_does_not_start_one(link: Link, folder: Path) -> None:
    """Every call of PM2 starts its daemon; an empty list would then look like an answer."""
    # Of the disk, which others write to, one look is enough.
    async with watching(link, app(folder, "good"), "keeper_disk_looks=1000000\n") as sentinel:
        down = await sentinel.until(Reason.MANAGER_DOWN)
        assert down.status is Status.FALSE
        async for line in sentinel.lines:
            assert line.startswith('{"hb"')
            break
    assert not (folder / "home" / "pm2.pid").exists()


async def test_daemon_that_does_not_listen_gets_no_second_one_beside_it(
    link: Link, folder: Path
) -> None:
    """It may be on its way, or about to end, in a deploy: two daemons know half of the apps each."""
    home = folder / "home"
    home.mkdir()
    deaf = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        'exec -a "PM2 v7.0.4: God Daemon" sleep 600',
        stdout=asyncio.subprocess.DEVNULL,
    )
    node = str(require("node"))
    pm2 = Pm2(
        kind="pm2", name="good", node=node, home=str(home),
        command=f"{node} {require('pm2').resolve()}",
    )  # fmt: skip
    try:
        (home / "pm2.pid").write_text(str(deaf.pid))
        async with watching(link, app(folder, "good")) as sentinel:
            async for line in sentinel.lines:
                if '"why":"PM2 gave no readable answer"' in line:
                    break
        for asked in (
            *managers.stop(pm2, name="stop", workdir=str(folder)),
            *managers.evidence(pm2, workdir=str(folder)),
            *managers.verify(pm2, workdir=str(folder)),
        ):
            await link.run(asked)
        assert (home / "pm2.pid").read_text() == str(deaf.pid)
        assert not (home / "rpc.sock").exists()
    finally:
        deaf.kill()
        await deaf.wait()


async def test_app_is_up_respawned_and_restarted(link: Link, folder: Path) -> None:
    workload = app(folder, "good", env={"TOKEN": "s3cret-value"})
    await carry_out(link, workload.deploy())
    async with watching(link, workload) as sentinel:
        first = await sentinel.until_up()
        os.kill(int(first.identity.partition(":")[0]), signal.SIGKILL)
        second = await sentinel.until_up(after=first.identity)
        assert second.restarts == first.restarts + 1
        await carry_out(link, workload.restart_process())
        third = await sentinel.until_up(after=second.identity)
        await carry_out(link, workload.restart_workload())
        await sentinel.until_up(after=third.identity)
    assert "s3cret" not in "".join(sentinel.seen)


async def test_endless_waiting_restart_is_seen_as_given_up(link: Link, folder: Path) -> None:
    """With a restart delay PM2 shows "waiting restart" for ever after it has given up."""
    workload = app(folder, "dies")
    *steps, _ = workload.deploy()
    await carry_out(link, tuple(steps))
    # Looks are 0.1 s apart here, and PM2's own last attempt comes within some seconds.
    async with watching(link, workload, "keeper_stuck_looks=60\n") as sentinel:
        reading = await sentinel.until(Reason.MANAGER_GAVE_UP)
    assert reading.is_certain
    assert reading.restarts >= 1


async def test_app_that_dies_as_soon_as_it_starts_is_left_to_pm2(link: Link, folder: Path) -> None:
    """PM2 says "online" with the pid of what has died already; keeper took that for gone, and fought."""
    *steps, _ = app(folder, "hasty").deploy()
    await carry_out(link, tuple(steps))
    async with watching(link, app(folder, "hasty"), "keeper_stuck_looks=100000\n") as sentinel:
        restarts = [await sentinel.until(Reason.MANAGER_RETRYING) for _ in range(3)][-1].restarts
    assert restarts >= 1
    assert '"state":"gone"' not in "".join(sentinel.seen)


async def test_app_that_pm2_does_not_know_cannot_be_restarted(link: Link, folder: Path) -> None:
    await carry_out(link, app(folder, "good").deploy())
    stranger = app(folder, "stranger")
    async with watching(link, stranger) as sentinel:
        assert (await sentinel.until(Reason.PROCESS_GONE)).detail == "PM2 does not know it"
    restart, *_ = stranger.restart_process()
    assert (await link.run(restart)).exit_code != 0


async def test_app_stopped_by_hand_is_told_apart(link: Link, folder: Path) -> None:
    workload = app(folder, "good")
    await carry_out(link, workload.deploy())
    stop = f"{require('node')} {require('pm2').resolve()} stop good -s"
    process = await asyncio.create_subprocess_shell(
        stop, env={**os.environ, "PM2_HOME": str(folder / "home")}
    )
    await process.wait()
    async with watching(link, workload) as sentinel:
        await sentinel.until(Reason.PROCESS_STOPPED_ON_PURPOSE)


async def test_two_apps_are_judged_by_the_worse_and_restarted_together(
    link: Link, folder: Path
) -> None:
    """A seed shows the bridge as an app of its own; one that is missing is not made good by the other."""
    await carry_out(link, app(folder, "good").deploy())
    both = app(folder, "good twin")
    async with watching(link, both) as sentinel:
        assert (await sentinel.until(Reason.PROCESS_GONE)).detail == "PM2 does not know it"
    twin = (folder / "ecosystem.config.cjs").read_text().replace('"good"', '"twin"')
    (folder / "twin.config.cjs").write_text(twin)
    pm2 = f"{require('node')} {require('pm2').resolve()}"
    start = f"cd {folder} && PM2_HOME={folder}/home {pm2} start twin.config.cjs --only twin -s"
    assert (await link.run(Command(name="twin", script=start))).exit_code == 0
    async with watching(link, both) as sentinel:
        first = await sentinel.until_up()
        await carry_out(link, both.restart_process())
        second = await sentinel.until_up(after=first.identity)
        assert second.restarts == first.restarts + 2


async def test_evidence_has_eight_fields_of_each_app_and_no_environment(
    link: Link, folder: Path
) -> None:
    """PM2's own list holds every secret twice."""
    workload = app(folder, "good", env={"TOKEN": "s3cret-value"})
    await carry_out(link, workload.deploy())
    shown = [(await link.run(look)).stdout for look in workload.evidence()]
    assert "s3cret" not in "".join(shown)
    line = next(line for text in shown for line in text.splitlines() if line.startswith("{"))
    assert tuple(json.loads(line)) == FIELDS
    assert json.loads(line)["status"] == "online"


async def test_app_that_is_to_publish_no_more_is_ended_for_certain_and_can_be_started_again(
    link: Link, folder: Path
) -> None:
    workload = app(folder, "good")
    async with watching(link, workload) as sentinel:
        await carry_out(link, workload.stop())  # nothing is there: a success
        await carry_out(link, workload.start())
        first = await sentinel.until_up()
        await carry_out(link, workload.stop())
        await carry_out(link, workload.stop())
        assert not is_running(int(first.identity.partition(":")[0]))
        await sentinel.until(Reason.PROCESS_GONE)
        await carry_out(link, workload.start())
        await sentinel.until_up(after=first.identity)
        await carry_out(link, workload.stop())
    # What PM2 did not end is no end: its pid file stays.
    left = await asyncio.create_subprocess_exec("sleep", "600")
    (folder / "home" / "pids" / "good-7.pid").write_text(str(left.pid))
    result = await link.run(workload.stop()[-1])
    left.kill()
    await left.wait()
    assert (result.exit_code, result.stderr.strip()) == (
        1,
        f"still running: good (pid {left.pid})",
    )
