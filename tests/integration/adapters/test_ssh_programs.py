"""What is sent to a host's shell, run by real shells here."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest

from keeper.adapters.ssh_channel import bounded_shell, command_program, watch_program
from tests.waiting import eventually, is_running

NONCE = "keeper-nonce"
LIMIT_S = 3.0  # a busy machine must have come to the program's first line before it


async def run(
    *arguments: str, stdin: bytes, path: str = "", cwd: Path | None = None
) -> tuple[int, bytes]:
    env = {**os.environ, "PATH": path} if path else None
    process = await asyncio.create_subprocess_exec(
        *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, env=env, cwd=cwd,
    )  # fmt: skip
    out, _ = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, out


@pytest.mark.parametrize("shell", ["sh", "bash"])
async def test_program_that_was_cut_short_does_nothing_by_halves(
    shell: str, tmp_path: Path
) -> None:
    """A link lost in the middle of a deploy must not leave the first half of it running."""
    program = command_program("touch first\ntouch second", {"A": "it's"}, NONCE)
    whole_from = program.index(b"}")
    for cut in range(0, whole_from + 1, 3):
        await run(shell, "-s", stdin=program[:cut], cwd=tmp_path)
        assert list(tmp_path.iterdir()) == []
    await run(shell, "-s", stdin=program, cwd=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second"}


@pytest.mark.parametrize("shell", ["sh", "bash"])
async def test_nonce_comes_first_and_the_exit_code_last(shell: str) -> None:
    program = command_program('cat; echo "$A"; exit 7 # a comment', {"A": "$(id) `id` 'x'"}, NONCE)
    code, out = await run(shell, "-s", stdin=program)
    assert (code, out.decode()) == (7, f"{NONCE}\n$(id) `id` 'x'\n")


@pytest.mark.parametrize("shell", ["sh", "bash"])
async def test_watched_program_ends_with_its_stdin(shell: str) -> None:
    process = await asyncio.create_subprocess_exec(
        shell, "-s", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(watch_program("echo up; sleep 1000; echo down", NONCE))
    assert await process.stdout.readline() == f"{NONCE}\n".encode()
    assert await process.stdout.readline() == b"up\n"
    process.stdin.close()
    async with asyncio.timeout(20):
        assert await process.stdout.read() == b""  # nobody holds the other end any more
        assert await process.wait() != 0


async def test_time_limit_holds_without_a_timeout_command(tmp_path: Path) -> None:
    """What the program started lives on, as is said of it; it holds nothing that we wait for."""
    for tool in ("sh", "sleep"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    program = command_program("sh -c 'echo $$; exec sleep 1000 >/dev/null'; echo late", {}, NONCE)
    code, out = await run("sh", "-c", bounded_shell(LIMIT_S), stdin=program, path=str(tmp_path))
    nonce, child = out.decode().split()
    os.kill(int(child), signal.SIGKILL)
    assert (code, nonce) == (143, NONCE)
    program = command_program("echo quick; exit 3", {}, NONCE)
    code, out = await run("sh", "-c", bounded_shell(30), stdin=program, path=str(tmp_path))
    assert (code, out.decode()) == (3, f"{NONCE}\nquick\n")


async def test_time_limit_takes_the_whole_group_with_it() -> None:
    program = command_program("sleep 1000 & echo $!; wait", {}, NONCE)
    code, out = await run("sh", "-c", bounded_shell(LIMIT_S), stdin=program)
    assert code == 124
    child = int(out.split()[1])
    # The signal is sent before we read on; a busy machine may deliver it a moment later.
    await eventually(lambda: not is_running(child))
