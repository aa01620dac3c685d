"""Real sources spoiled in every way that a viewer can see, under the whole daemon.

The source is a program of an operator's own: ffmpeg behind a playlist, with sound. Each row ends with the
right remedy and nothing dearer, and keeper's own record says how long viewers were without a good frame.
"""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from keeper.core.model import Remedy
from keeper.core.reasons import Reason
from tests.components import REPOSITORY
from tests.e2e.real_hosts import Fleet, Row, play_row

pytestmark = [
    pytest.mark.real("sshd", "ffmpeg"),
    pytest.mark.xdist_group("viewer-truth"),
    pytest.mark.timeout(600),
]

WORKDIR = "source"
PROGRAM = REPOSITORY / "tests" / "standins" / "source" / "source.py"


def declared() -> dict[str, Any]:
    return {
        "kind": "command",
        "image": "debian:12",
        "workdir": WORKDIR,
        "files": [{"path": "source.py", "content": PROGRAM.read_text()}],
        "start": "exec python3 source.py $SERVER_HOST 8000",
        "view": {
            "kind": "hls",
            "port": 8000,
            "path": "/live/stream.m3u8",
            "target_frames_per_s": 10,
            "expects_sound": True,
        },
        "audition": {"gpu": False},
    }


def shown(mode: str) -> Callable[[Fleet], Awaitable[None]]:
    """Spoil what is shown, while every process goes on."""

    async def spoil(fleet: Fleet) -> None:
        Path(fleet.host.home, WORKDIR, "mode").write_text(mode)

    return spoil


async def killed(fleet: Fleet) -> None:
    await fleet.host.kill("source.py")


async def stopped(fleet: Fleet) -> None:
    """As a debugger or a full disk would: every process is there, and none goes on."""
    await fleet.host.kill("ffmpeg", signal.SIGSTOP)
    await fleet.host.kill("source.py", signal.SIGSTOP)


async def encoder_stopped(fleet: Fleet) -> None:
    await fleet.host.kill("ffmpeg", signal.SIGSTOP)


PROCESS = Remedy.RESTART_PROCESS
STANDS = frozenset({Reason.FROZEN, Reason.NO_BYTES})
ROWS = [
    Row(id="killed", fault=killed, remedy=PROCESS, causes=frozenset({Reason.PROCESS_GONE})),
    Row(id="stopped", fault=stopped, remedy=PROCESS, causes=STANDS | {Reason.UNREACHABLE}),
    Row(id="encoder stopped", fault=encoder_stopped, remedy=PROCESS, causes=STANDS),
    Row(id="frozen", fault=shown("frozen"), remedy=PROCESS, reason=Reason.FROZEN),
    Row(id="black", fault=shown("black"), remedy=PROCESS, reason=Reason.BLACK),
    Row(id="mute", fault=shown("mute"), remedy=PROCESS, reason=Reason.NO_SOUND),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[Fleet]:
    async with Fleet(declared()) as made:
        await made.on_air()
        yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
async def test_what_the_picture_says_leads_to_the_right_remedy(fleet: Fleet, row: Row) -> None:
    since, spoiled_at = fleet.mark(), datetime.max.replace(tzinfo=UTC)

    async def spoil(fleet: Fleet) -> None:
        nonlocal spoiled_at
        spoiled_at = datetime.now(UTC)
        await row.fault(fleet)

    await play_row(fleet, replace(row, fault=spoil))
    back = await fleet.fact("stream.on_air", since=since)
    # From the first look that saw it bad to the first that saw it good again: within what was spoiled.
    dark_s = float(back["facts"]["duration_s"])
    assert dark_s > 0
    assert datetime.fromisoformat(back["at"]) - timedelta(seconds=dark_s) >= spoiled_at
    print(f"{row.id}: {dark_s:.1f} s from the first bad frame to the first good one")
