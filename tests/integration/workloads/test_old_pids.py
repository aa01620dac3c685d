"""Pid files outlive their processes, and after a reboot their numbers are soon somebody else's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.ports import Command
from keeper.workloads import managers, registered
from keeper.workloads.hyperscape_duel.settings import HyperscapeDuelSettings, Pm2Settings
from keeper.workloads.managers import Pm2
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def stranger(tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program that has PM2's old pid, and note every call of PM2."""
    program = tmp_path / "bin" / "pm2"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho called >>{tmp_path}/calls\n")
    program.chmod(0o755)
    process = await asyncio.create_subprocess_exec("sleep", "600")
    home = tmp_path / ".pm2"
    home.mkdir()
    (home / "pm2.pid").write_text(str(process.pid))
    yield process
    process.kill()
    await process.wait()


async def ends(command: Command, folder: Path) -> tuple[int, str]:
    """Run a command as a host does, that has this home."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command.script,
        env={"PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder), **command.env},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_a_stack_is_stopped_whoever_has_its_old_pid(
    tmp_path: Path, stranger: asyncio.subprocess.Process
) -> None:
    """Else no restart of the workload helps any more, after a reboot, when it is the thing that does."""
    settings = HyperscapeDuelSettings(
        kind="hyperscape-duel", path="", pm2=Pm2Settings(apps=("duel",), command="pm2")
    )
    duel = registered()["hyperscape-duel"].build(settings, {})
    stop = next(each for each in duel.restart_workload() if isinstance(each, Command))
    assert await ends(stop, tmp_path) == (0, "")
    assert not (tmp_path / "calls").exists()
    assert stranger.returncode is None


async def test_nobody_starts_a_pm2_to_ask_it_or_to_stop_it(
    tmp_path: Path, stranger: asyncio.subprocess.Process
) -> None:
    pm2 = Pm2(kind="pm2", name="duel")
    (stop,) = managers.stop(pm2, name="stop", workdir=str(tmp_path))
    looks = managers.evidence(pm2, workdir=str(tmp_path))
    word = next(each for each in looks if each.name == "evidence.manager")
    assert await ends(stop, tmp_path) == (0, "")
    assert await ends(word, tmp_path) == (0, "no PM2 daemon\n")
    assert not (tmp_path / "calls").exists()
    assert stranger.returncode is None


async def test_a_display_is_started_whoever_has_the_old_ones_pid(
    tmp_path: Path, stranger: asyncio.subprocess.Process
) -> None:
    """An X server of before the reboot has left its lock, and a picture needs the next one."""
    lock = Path("/tmp/.X947-lock")
    settings = HyperscapeDuelSettings(
        kind="hyperscape-duel",
        path="",
        workdir=str(tmp_path / "checkout"),
        secrets_file="secrets.env",
        display=":947",
        start_display=f"echo started >>{tmp_path}/display",
        start_sound="",
        pm2=Pm2Settings(apps=("duel",), command="pm2"),
    )
    (tmp_path / "checkout").mkdir()
    (tmp_path / "secrets.env").write_text("DISPLAY=:947\n")
    duel = registered()["hyperscape-duel"].build(settings, {})
    *_, start = (each for each in duel.restart_workload() if isinstance(each, Command))
    try:
        lock.write_text(f"{stranger.pid:>10}\n")
        await ends(start, tmp_path)  # no app runs here, and so it fails in the end
        await eventually((tmp_path / "display").exists)
        assert not lock.exists()
        # PM2 saves there what its apps were started with, secrets too.
        assert (tmp_path / ".pm2").stat().st_mode & 0o777 == 0o700
    finally:
        lock.unlink(missing_ok=True)
