"""The way to the ingest: a greeting that needs no key, answered by real nginx-rtmp, and by others."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keeper.core.model import Meaning, Status
from keeper.ports import Command, Link
from keeper.workloads.audition import CheckName, Finding, judged
from keeper.workloads.audition_checks import (
    AuditionSettings,
    Demands,
    Ingest,
    Speech,
    audition,
)
from tests.duel import Platform

pytestmark = [pytest.mark.timeout(180), pytest.mark.real("sshd")]

USUAL = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
TOOLS = ("sh", "head", "tail", "dd", "od", "wc", "tr", "timeout", "sleep", "df", "date", "cat")


def without_bash(folder: Path) -> str:
    """Make a PATH of an image that has Python and no bash."""
    folder.mkdir()
    (folder / "python3").symlink_to(Path(sys.executable).resolve())
    for tool in (*TOOLS, "true", "getent"):
        found = shutil.which(tool, path="/usr/bin:/bin")
        assert found is not None
        (folder / tool).symlink_to(found)
    return str(folder)


@pytest.mark.real("nginx-rtmp")
@pytest.mark.parametrize("has_bash", [True, False], ids=["by bash", "by python"])
async def test_the_ingest_is_greeted_and_needs_no_key_for_it(
    link: Link, tmp_path: Path, free_port: Callable[[], int], has_bash: bool
) -> None:
    path = USUAL if has_bash else without_bash(tmp_path / "tools")
    platform = Platform(tmp_path / "platform", free_port())
    platform.start()
    try:
        found = await _greeted(link, platform.port, PATH=path)
    finally:
        platform.stop()
    assert (found.status, found.saw) == (
        Status.TRUE, f"localhost:{platform.port} answers RTMP's greeting",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (b"", Meaning.REPLACE),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Meaning.PERSON),
        (b"\3" + bytes(100), Meaning.REPLACE),
        (None, Meaning.REPLACE),
    ],
    ids=["closes", "is no RTMP", "breaks off", "hangs"],
)
async def test_a_connection_alone_is_no_way_for_a_stream(
    link: Link, answer: bytes | None, meaning: Meaning
) -> None:
    """Networks that let no RTMP through are seen to open the connection, and to cut it off then."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readexactly(1537)
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        found = await _greeted(link, server.sockets[0].getsockname()[1], limit_s=1)
    assert (found.status, found.meaning) == (Status.FALSE, meaning)


async def _greeted(link: Link, number: int, *, limit_s: int = 8, **env: str) -> Finding:
    to = Ingest(host="localhost", port=number, speech=Speech.RTMP)
    checks = audition(Demands(workdir=".", ingest=to), AuditionSettings(control_host="localhost"))
    (check,) = (each for each in checks if each.name is CheckName.INGEST)
    assert isinstance(check.look, Command)
    script = check.look.script.replace("bounded 8", f"bounded {limit_s}")
    look = replace(check.look, script=script, env={**check.look.env, **env})
    return judged(check, await link.run(look), datetime.now(UTC))
