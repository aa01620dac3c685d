"""One session of a simulated host's SSH server, with the manners of OpenSSH's.

It lasts as long as somebody holds its output, not only as long as its command: that is why a
carelessly started background job hangs a login. It knows nothing of hosts but how to start a process.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import asyncssh
from typing_extensions import override

CHUNK_BYTES = 65_536
# The container's own paths, where they stand as the beginning of an absolute path.
_OWN = re.compile(rb"(?<![\w.$}~/-])/(?:workspace(?![\w-])|(?:etc/environment|proc/1/environ)\b)")
# What an automatic tmux has been seen to answer instead of running the command (field reports).
TRAPPED = b"no sessions\r\n"


class Mount:
    """Stands in for the container's own paths: /workspace, which this box lacks, /etc/environment,
    which is not to be written here, and process 1, which is another's.

    Without root there is no mount namespace, so the path is rewritten in what a session is told to
    run, a whole line at a time because a path may come in two pieces.
    """

    def __init__(self, home: str) -> None:
        self._home = home.encode()
        self._line = b""

    def command(self, text: str) -> str:
        """Rewrite a whole command."""
        return self._rewritten(os.fsencode(text)).decode(errors="surrogateescape")

    def feed(self, data: bytes) -> bytes:
        """Rewrite what has come so far of an input; the last, unfinished line waits for its end."""
        whole, newline, self._line = (self._line + data).rpartition(b"\n")
        return self._rewritten(whole + newline)

    def rest(self) -> bytes:
        """Give up the unfinished line: the input has ended."""
        line, self._line = self._line, b""
        return self._rewritten(line)

    def _rewritten(self, text: bytes) -> bytes:
        return _OWN.sub(lambda found: self._home + found[0], text)


class Spawn(Protocol):
    """Starts a process of the host in a session and a group of its own."""

    async def __call__(
        self,
        *command: str,
        stdin: int,
        stdout: int,
        stderr: int,
        extra: dict[str, str] | None = None,
    ) -> asyncio.subprocess.Process:
        """Start it with these file descriptors and, beside the host's own, this environment."""
        ...


async def run_session(
    process: asyncssh.SSHServerProcess[bytes],
    spawn: Spawn,
    mount: Mount,
    *,
    is_trapped: bool = False,
    acted: Callable[[], bool] = lambda: True,
) -> None:
    """Run one command or shell to its end, or until nobody listens any more.

    ``is_trapped``: login shells and terminals end in Vast.ai's automatic tmux and run nothing of
    what they were told; a command without a terminal runs as it should.
    """
    if is_trapped and (process.term_type or not process.command):
        with suppress(OSError, asyncssh.Error):
            process.stdout.write(TRAPPED)
            process.exit(1)
        await process.wait_closed()
        return
    if process.term_type:
        child, feeding = await _on_terminal(process, spawn, mount), None
        process.set_redirect_pid(-child.pid)  # a signal goes to the whole group
    else:
        child, feeding = await _on_pipes(process, spawn, mount)
    code = await child.wait()
    acted()
    await _flushed_or_gone(process)
    if feeding is not None:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
    with suppress(OSError, asyncssh.Error):
        if code < 0:
            process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
        else:
            process.exit(code)
    await process.wait_closed()


async def _on_pipes(
    process: asyncssh.SSHServerProcess[bytes], spawn: Spawn, mount: Mount
) -> tuple[asyncio.subprocess.Process, asyncio.Task[None]]:
    command = ("sh", "-c", mount.command(process.command)) if process.command else ("sh",)
    (stdin, feed), (out, stdout), (err, stderr) = (os.pipe() for _ in range(3))
    try:
        child = await spawn(*command, stdin=stdin, stdout=stdout, stderr=stderr)
    finally:
        for end in (stdin, stdout, stderr):
            os.close(end)
    # The two outputs share one channel, which must not end with the first of them.
    await process.redirect(stdout=out, stderr=err, send_eof=False)
    feeding = asyncio.get_running_loop().create_task(_feed(process, feed, child.pid, mount))
    return child, feeding


class _Valve(asyncio.BaseProtocol):
    """Knows whether a pipe has room, and whether its reader is still there."""

    def __init__(self) -> None:
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.is_lost = False

    @override
    def pause_writing(self) -> None:
        self.has_room.clear()

    @override
    def resume_writing(self) -> None:
        self.has_room.set()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self.has_room.set()


async def _feed(
    process: asyncssh.SSHServerProcess[bytes], pipe: int, group: int, mount: Mount
) -> None:
    """Carry what the client sends into the process, and its signals to the whole group.

    asyncssh's own redirection lost the end of a long input: it may write and end a pipe from within
    asyncio's "you may write again", which then closes the pipe with that write still waiting.
    """
    transport, valve = await asyncio.get_running_loop().connect_write_pipe(
        _Valve, os.fdopen(pipe, "wb", 0)
    )
    try:
        while not valve.is_lost:
            try:
                data = await process.stdin.read(CHUNK_BYTES)
            except asyncssh.SignalReceived as received:
                number = getattr(signal, f"SIG{received.signal}", None)
                if number is not None:
                    with suppress(ProcessLookupError):
                        os.killpg(group, number)
                continue
            except (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged):
                continue
            if not data:
                transport.write(mount.rest())
                return
            transport.write(mount.feed(data))
            await valve.has_room.wait()
    except (OSError, asyncssh.Error):
        return  # the client is gone, which the process sees as the end of its input
    finally:
        transport.close()


async def _on_terminal(
    process: asyncssh.SSHServerProcess[bytes], spawn: Spawn, mount: Mount
) -> asyncio.subprocess.Process:
    command = mount.command(process.command) if process.command else ""
    shell = ("sh", "-c", command) if command else ("sh", "-i")
    master, slave = os.openpty()
    try:
        # The outer setsid gives the shell this terminal as its own.
        child = await spawn(
            *("setsid", "--ctty", "--wait", *shell),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            extra={"TERM": process.term_type or "dumb"},
        )
    finally:
        os.close(slave)
    await process.redirect(stdin=os.dup(master), stdout=master, send_eof=False)
    return child


async def _flushed_or_gone(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Wait until nobody holds the output any more, or nobody listens.

    asyncssh's own drain is not woken when the connection ends under it.
    """
    drains = [
        asyncio.ensure_future(each)
        for each in (process.stdout.drain(), process.stderr.drain(), process.channel.wait_closed())
    ]
    *flushed, gone = drains
    while not gone.done() and not all(each.done() for each in flushed):
        waiting = [each for each in drains if not each.done()]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in drains:
        each.cancel()
    await asyncio.gather(*drains, return_exceptions=True)
