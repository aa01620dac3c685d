"""The story of the demo, unattended: every act on real processes, every promise from outside."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keeper.sim import warden
from tests.waiting import eventually

ACTS = range(1, 10)


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("demo")
def test_every_promise_of_the_story_holds_and_nothing_is_left(short_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(short_path),
        "TMPDIR": str(short_path),
        "LANG": "C.UTF-8",
        # Everything that the demo starts inherits this, wherever it hides.
        warden.MARK: f"demo-test-{os.getpid()}",
    }
    played = subprocess.run(
        [sys.executable, "-m", "keeper", "demo", "--once", "--json", "--port", "0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    lines = [json.loads(line) for line in played.stdout.splitlines()]
    finished = lines[-1]
    assert finished["event"] == "demo.finished", played.stderr
    assert finished["broken"] == []
    assert played.returncode == 0
    assert all(finished["promises"].values())
    assert len(finished["promises"]) >= len(ACTS)
    assert {line["act"] for line in lines} - {None} == set(ACTS)
    for line in lines:
        assert {"at", "act", "event", "stream", "reason"} <= set(line)
    assert list(short_path.glob("keeper-demo-*")) == []
    asyncio.run(eventually(lambda: not _left_in(short_path)))


def _left_in(folder: Path) -> list[str]:
    """Processes that live, or were started, in the demo's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                where = str((entry / "cwd").readlink())
            except OSError:
                continue
            if str(folder) in command or where.startswith(str(folder)):
                found.append(command)
    return found
