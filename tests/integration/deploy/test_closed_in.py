"""Everything that keeper does goes on behind the walls of its unit.

systemd is not the first process of a machine that builds, so a stand-in (``sandbox.py``) puts up the same walls
by the unit's own lines. It found a slate that never rendered, because its process lowers its own priority, and
a WebRTC player that could not ask for this box's addresses.
"""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo
from tests.components import REPOSITORY
from tests.e2e.conftest import API_KEY, KEEPER, Box

pytestmark = [pytest.mark.real("systemd-analyze"), pytest.mark.timeout(300)]

FOLDER = Path(__file__).parent
UNIT = REPOSITORY / "deploy" / "systemd" / "keeper.service"


def closed_in(scratch: Path, writable: Path, *command: str) -> list[str]:
    """Return the words that run a command behind the unit's walls."""
    sandbox = [sys.executable, str(FOLDER / "sandbox.py"), str(UNIT), str(scratch), str(writable)]
    return [*sandbox, *command]


def may_mount() -> bool:
    """Whether file systems can be closed here: root can, but not in every container."""
    return (
        subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode
        == 0
    )


def test_the_walls_stand(short_path: Path) -> None:
    """What a stand-in lets through would prove nothing."""
    inside = short_path / "state"
    inside.mkdir()
    tries = f"""
import ctypes, mmap, os, socket
def refused(what):
    try: what()
    except OSError as error: return error.errno
libc = ctypes.CDLL(None, use_errno=True)
def unshare():
    if libc.unshare(0x10000000): raise OSError(ctypes.get_errno(), "unshare")
def outside(): open({str(short_path / "out")!r}, "w")
print([
    refused(lambda: mmap.mmap(-1, 4096, prot=7)), refused(lambda: socket.socket(17, socket.SOCK_RAW)),
    refused(unshare), refused(lambda: os.nice(1)), refused(lambda: os.chmod({str(inside)!r}, 0o4700)),
    refused(lambda: os.chroot("/")), refused(outside),
    refused(lambda: open({str(inside / "in")!r}, "w")),
])
"""
    words = closed_in(short_path, inside, sys.executable, "-c", tries)
    told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    denied, no_family, read_only = 1, 97, 30
    kept_out = read_only if may_mount() else None
    assert json.loads(told.replace("None", "null")) == [
        denied, no_family, denied, denied, denied, denied, kept_out, None
    ]  # fmt: skip


def test_pictures_slates_and_players_work_behind_them(short_path: Path) -> None:
    state = short_path / "state"
    state.mkdir()
    words = closed_in(
        short_path, state, sys.executable, "-m", "tests.integration.deploy.parts", str(state)
    )
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=250, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told.pop("adapters") > 0
    assert told == {"frames": 20, "decoding": "", "slates": [True], "addresses": "gathered"}


def test_a_picture_is_decoded_without_a_thread() -> None:
    """Every look of a keeper that is not root failed: its thumbnail was scaled by threads."""
    command = [sys.executable, "-m", "tests.integration.deploy.threadless"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=100, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"frames": 20, "has_jpeg": True}


@pytest.fixture
async def box(short_path: Path) -> AsyncIterator[Box]:
    shape = MarketShape(
        tempo=quick_tempo(1.0), renters_every_s=0, price_drift_every_s=0, bids_move_every_s=0
    )
    folder = short_path / "box"
    folder.mkdir()
    async with SimServer(state_dir=short_path / "sim", api_key=API_KEY, shape=shape) as server:
        made = Box(folder, server)
        yield made
        await made.close()


async def test_the_daemon_puts_a_stream_on_air_behind_them(short_path: Path, box: Box) -> None:
    words = closed_in(short_path, box.folder, KEEPER, "run", "--log-format", "json")
    running = await box._spawn(*words)
    await running.says(r'"event":"stream.on_air"')
    running.kill(signal.SIGHUP)
    await running.says(r'"event":"config.reloaded"')
    told = await box.keeper("status", "--exit-code", "--socket", str(box.socket))
    assert told.code == 0, told.out
    running.kill(signal.SIGTERM)
    assert await running.ended() == 0
