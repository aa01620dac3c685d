"""The disk of the ops box: full, closed to keeper, damaged. keeper says so, acts on nothing, comes back."""

import asyncio
import hashlib
import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from keeper.cli.exit_codes import ExitCode
from tests.e2e.conftest import KEEPER, Box, Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def limit(running: Running, size: str) -> None:
    """Let no file of a process grow beyond this: what a full disk or a spent quota answers."""
    limited = await asyncio.create_subprocess_exec(
        "prlimit", f"--pid={running.process.pid}", f"--fsize={size}"
    )
    assert await limited.wait() == 0


async def test_on_a_full_disk_nothing_is_rented_and_room_is_cure_enough(box: Box) -> None:
    """I2: the label cannot be written down, so the create does not leave. Then it leaves once."""
    box.configure("    replicas: 0")
    daemon = await box.daemon()
    await daemon.says(r'"event":"keeper.started"')  # told when the first tick is on the disk
    await limit(daemon, "4096:unlimited")
    box.configure("    replicas: 1")
    daemon.kill(signal.SIGHUP)
    line = json.loads(await daemon.says(r'"event":"tick.failed"'))
    assert "keeper.db cannot be written" in line["error"]
    await asyncio.sleep(1.5)
    assert box.creates() == []
    unready = await box.keeper("status", "--socket", str(box.socket))
    assert unready.code in {ExitCode.OK, ExitCode.DEGRADED}  # it still answers
    await limit(daemon, "unlimited:unlimited")
    await daemon.says(r'"event":"instance.rented"')
    assert len(box.live()) == 1
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0


def closed_to_everybody(folder: Path) -> list[str]:
    """Close a folder for writing; returns how a command must be begun for that to bind it, too."""
    folder.chmod(0o555)
    if os.geteuid() != 0:
        return []
    # A superuser without the right to pass over permissions is one like everybody else.
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override"]


async def test_a_state_folder_that_is_closed_is_named_with_the_cure(box: Box) -> None:
    daemon = await box.daemon()
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0
    before = digests(box.state)
    words = closed_to_everybody(box.state)
    try:
        running = await box._spawn(*words, KEEPER, "run", "--log-format", "json")
        assert await running.ended() in {ExitCode.FAILED, ExitCode.TRY_AGAIN}
    finally:
        box.state.chmod(0o700)
    said = running.everything()
    assert str(box.state) in said
    assert "belong" in said
    assert "Traceback" not in said
    assert digests(box.state) == before
    again = await box.daemon(until_on_air=False)
    again.kill(signal.SIGTERM)
    assert await again.ended() == 0


def digests(state: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(state.iterdir())
        if path.suffix == ".db"
    }


async def test_a_damaged_store_ends_keeper_with_the_cure_and_stays_as_it_is(box: Box) -> None:
    daemon = await box.daemon()
    await daemon.says(r'"event":"instance.rented"')
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0
    (rental,) = box.live()
    path = box.state / "keeper.db"
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        for page in (pages - 1, pages // 2):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    before = digests(box.state)
    refused = await box.keeper("run")
    assert refused.code == ExitCode.FAILED
    assert f"mv {path} {path}.damaged" in refused.err
    assert "fleet.orphans" in refused.err
    assert digests(box.state) == before
    assert box.live() == [rental]
    # The cure, as it is said: with `adopt` the earlier rental is taken over, and none is made.
    path.rename(f"{path}.damaged")
    text = box.config.read_text().replace("fleet:\n", "fleet:\n  orphans: adopt\n")
    box.config.write_text(text)
    again = await box.daemon()
    await again.says(r'"event":"instance.adopted"')
    assert box.live() == [rental]
    again.kill(signal.SIGTERM)
    assert await again.ended() == 0


async def test_a_log_with_a_hole_ends_keeper_before_it_forgets_a_rental(box: Box) -> None:
    """SQLite would replay what lies before the hole, and the rental's label lies behind it."""
    daemon = await box.daemon()
    await daemon.says(r'"event":"instance.rented"')
    await asyncio.sleep(1.0)
    daemon.kill(signal.SIGKILL)
    await daemon.ended()
    log = box.state / "keeper.db-wal"
    with log.open("r+b") as file:
        file.seek(32 + 24 + 100)
        file.write(b"\xff" * 64)
    refused = await box.keeper("run")
    assert refused.code == ExitCode.FAILED
    assert "commits behind the damage would be forgotten" in refused.err
    assert len(box.live()) == 1
    assert len(box.creates()) == 1


async def test_a_store_that_breaks_while_keeper_runs_is_told_and_nothing_is_done(box: Box) -> None:
    """Another program holds the file: ticks fail, say why, and go on when it lets go."""
    box.configure("    replicas: 0")
    daemon = await box.daemon()
    with closing(sqlite3.connect(box.state / "keeper.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        box.configure("    replicas: 1")
        daemon.kill(signal.SIGHUP)
        line = json.loads(await daemon.says(r'"event":"tick.failed"'))
        assert "is held by another program" in line["error"]
        assert box.creates() == []
        other.execute("ROLLBACK")
    await daemon.says(r'"event":"instance.rented"')
    assert len(box.live()) == 1
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0
