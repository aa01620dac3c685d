"""One kept SSH connection to one host: commands, files, the sentinel, tunnels.

Implements ports.Link. Whatever asyncssh raises becomes an error of ours here; whatever a host sends
was bounded by ssh_channel.py already. Dialling and keys are ssh.py's affair.
"""

from __future__ import annotations

import asyncio
import hashlib
import posixpath
import secrets
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import asyncssh

from keeper.adapters.local_file import LocalFiles
from keeper.adapters.ssh_channel import (
    HOSTILE,
    WINDOW_BYTES,
    CommandSession,
    RawResult,
    WatchSession,
    bounded_shell,
    command_program,
    error_text,
    watch_program,
)
from keeper.adapters.ssh_pipe import SshPipe, open_pipe
from keeper.adapters.ssh_send import Sending
from keeper.ports import (
    Address,
    Command,
    CommandFailed,
    CommandResult,
    Heard,
    Malformed,
    Parcel,
    PortError,
    SendHeard,
    TimedOut,
    Uncertain,
    Unreachable,
    Upload,
)

# OpenSSH grants ten sessions a connection; the sentinel takes one and a person may want some.
_CHANNELS_MAX = 4
# The remote side kills 5 s after its own limit; the rest is for the way there and back.
ANSWER_SLACK_S = 8.0
_CLOSE_S = 3.0
_UPLOAD_S = 120.0
_WATCH_START_S = 20.0
_FORWARD_S = 10.0
_HEARD_EVERY_S = 0.5
_TEXT_MAX = 300
# A sentinel says a line every 2 s. More than this many are taken up only as time goes by; meanwhile
# SSH's flow control holds the host back, and the loop is free for the others.
_LINES_AT_ONCE = 64
_LINES_PAUSE_S = 0.2


class SshLink:
    """One kept connection. Commands share it a few at a time; the sentinel has its own channel."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        host_key: str,
        *,
        answer_slack_s: float = ANSWER_SLACK_S,
        why_lost: Callable[[], PortError | None] = lambda: None,
        files: LocalFiles | None = None,
    ) -> None:
        self._connection = connection
        self._why_lost = why_lost
        self._files = files or LocalFiles()
        self._host_key = host_key
        self._answer_slack_s = answer_slack_s
        self._channels = asyncio.Semaphore(_CHANNELS_MAX)
        self._forwards: dict[int, asyncssh.SSHListener] = {}
        self._forwarding = asyncio.Lock()

    @property
    def host_key(self) -> str:
        """What to pin from now on: the pins given, and the key shown where none was given."""
        return self._host_key

    async def run(self, command: Command, heard: Heard | None = None) -> CommandResult:
        """Run a command to its end; the whole wait is ``timeout_s`` and some seconds of slack.

        Ended remotely for lack of time it has exit code 124 or 137. Malformed: the login shell ran
        something else than our program (Vast.ai's automatic tmux does that).
        """
        nonce = f"keeper-{secrets.token_hex(8)}"
        program = command_program(command.script, command.env, nonce)
        raw = await self._exchange(
            command.name,
            bounded_shell(command.timeout_s),
            program,
            nonce=nonce,
            output_max_bytes=command.output_max_bytes,
            timeout_s=command.timeout_s + self._answer_slack_s,
            heard=heard,
        )
        if not raw.is_proven:
            said = (raw.stdout + raw.stderr).decode("utf-8", "replace")
            raise Malformed(
                f"{command.name}: the login shell did not run our program, it ended with "
                f"{raw.exit_code} and said {said[:_TEXT_MAX]!r}"
            )
        return CommandResult(
            exit_code=raw.exit_code,
            stdout=raw.stdout.decode("utf-8", "replace"),
            stderr=raw.stderr.decode("utf-8", "replace"),
            is_truncated=raw.is_truncated,
        )

    async def _exchange(
        self,
        name: str,
        command_line: str,
        program: bytes,
        *,
        nonce: str,
        output_max_bytes: int,
        timeout_s: float,
        heard: Heard | None = None,
    ) -> RawResult:
        """Run one channel to its end. Whatever goes wrong after the program was sent is Uncertain."""
        session = CommandSession(program, nonce.encode(), output_max_bytes)
        channel: asyncssh.SSHClientChannel[bytes] | None = None
        try:
            async with asyncio.timeout(timeout_s), self._channels:
                self._check_up()
                channel, _ = await self._connection.create_session(
                    lambda: session, command_line, encoding=None, window=WINDOW_BYTES
                )
                if heard is not None:
                    await _hand_on(session, heard)
                result = await session.ended
        except TimeoutError as error:
            if session.is_sent:
                raise Uncertain(f"{name}: no answer in {timeout_s:.0f} s") from error
            raise TimedOut(f"{name}: no channel in {timeout_s:.0f} s") from error
        except asyncssh.ChannelOpenError as error:
            raise self._not_opened(name, session, error) from error
        except HOSTILE as error:
            if session.is_sent:
                raise Uncertain(f"{name}: {error_text(error)}") from error
            raise Unreachable(f"{name}: {error_text(error)}") from error
        finally:
            if channel is not None:
                channel.abort()
        if result is None:
            cause = (
                "the host would not stop sending" if session.has_flooded else "the link was lost"
            )
            raise Uncertain(f"{name}: {cause} before the command's exit code came")
        return result

    def _not_opened(
        self, name: str, session: CommandSession, error: asyncssh.ChannelOpenError
    ) -> PortError:
        """Tell a refused channel (nothing ran) from one that was lost while its command started."""
        if session.is_sent and self._connection.is_closed():
            return Uncertain(f"{name}: {error_text(error)}")
        return Unreachable(f"{name}: the host opens no channel: {error_text(error)}")

    async def upload(self, upload: Upload) -> None:
        """Put a file there: temporary name beside it, compare, rename. Its folder is made.

        By SFTP, or by ``cat`` where the host has no SFTP. CommandFailed: the host cannot write it.
        """
        part = f"{upload.path}.{secrets.token_hex(6)}.part"
        try:
            async with asyncio.timeout(_UPLOAD_S):
                try:
                    await self._send_by_sftp(upload, part)
                except (asyncssh.ChannelOpenError, asyncssh.SFTPConnectionLost):
                    self._check_up()
                    await self._send_by_cat(upload, part)
                await self._compare_and_rename(upload, part)
        except TimeoutError as error:
            raise TimedOut(f"upload of {upload.path}: not done in {_UPLOAD_S:.0f} s") from error
        except asyncssh.SFTPError as error:
            raise CommandFailed(f"cannot write {upload.path}: {error_text(error)}") from error
        except HOSTILE as error:
            raise Unreachable(f"upload of {upload.path}: {error_text(error)}") from error
        except Uncertain as error:
            # An upload may be repeated, so not knowing is no worse than not having done it.
            raise Unreachable(str(error)) from error

    async def _send_by_sftp(self, upload: Upload, part: str) -> None:
        async with self._channels:
            self._check_up()
            sftp = await self._connection.start_sftp_client()
            # No `async with`: at its end asyncssh waits for the host once more, and no deadline ends
            # that, because ours has been spent on what came before.
            try:
                folder = posixpath.dirname(upload.path)
                if folder:
                    await sftp.makedirs(folder, exist_ok=True)
                attributes = asyncssh.SFTPAttrs(permissions=upload.mode)
                file = await sftp.open(part, "wb", attributes)
                await file.write(upload.content)
                await file.close()
                await sftp.chmod(part, upload.mode)
            finally:
                sftp.exit()

    async def _send_by_cat(self, upload: Upload, part: str) -> None:
        folder = shlex.quote(posixpath.dirname(upload.path) or ".")
        script = (
            f"mkdir -p -- {folder} && umask 077 && cat > {shlex.quote(part)} "
            f"&& chmod {upload.mode:o} -- {shlex.quote(part)}"
        )
        raw = await self._exchange(
            f"upload of {upload.path}",
            f"exec sh -c {shlex.quote(script)}",
            upload.content,
            nonce="",
            output_max_bytes=4096,
            timeout_s=_UPLOAD_S,
        )
        if raw.exit_code != 0:
            raise CommandFailed(
                f"cannot write {upload.path}: {raw.stderr.decode('utf-8', 'replace')[:_TEXT_MAX]}"
            )

    async def _compare_and_rename(self, upload: Upload, part: str) -> None:
        """Believe the file only when the host gives back its digest, or else the file itself."""
        name, quoted = f"upload of {upload.path}", shlex.quote(part)
        digest = hashlib.sha256(upload.content).hexdigest()
        script = f"sha256sum < {quoted} 2>/dev/null || {{ echo absent; cat {quoted}; }}"
        raw = await self._exchange(
            name,
            f"exec sh -c {shlex.quote(script)}",
            b"",
            nonce="",
            output_max_bytes=len(upload.content) + 128,
            timeout_s=_UPLOAD_S,
        )
        is_whole = raw.stdout.startswith(digest.encode()) or raw.stdout.endswith(
            b"absent\n" + upload.content
        )
        after = f"mv -f -- {quoted} {shlex.quote(upload.path)}" if is_whole else f"rm -f {quoted}"
        moved = await self.run(Command(name=name, script=after))
        if not is_whole:
            raise CommandFailed(f"{upload.path} did not arrive as it was sent; is the disk full?")
        if moved.exit_code != 0:
            raise CommandFailed(f"cannot write {upload.path}: {moved.stderr[:_TEXT_MAX]}")

    async def send(self, parcel: Parcel, heard: SendHeard) -> bool:
        """Put a big file of this box there, in pieces; goes on where an earlier try was cut."""
        return await Sending(self, self._files, parcel, heard).through()

    async def feed(self, name: str, script: str, data: bytes, *, timeout_s: float) -> RawResult:
        """Run a script that reads so many bytes. Raises as ``run`` does."""
        command_line = f"exec sh -c {shlex.quote(script)}"
        return await self._exchange(
            name, command_line, data, nonce="", output_max_bytes=4096, timeout_s=timeout_s
        )

    async def start_sftp(self) -> asyncssh.SFTPClient:
        """Open the host's way for files. Raises what asyncssh raises."""
        self._check_up()
        return await self._connection.start_sftp_client()

    async def watch(self, script: str) -> AsyncIterator[str]:
        """Run a sentinel and yield its lines until it or the link ends.

        Closing the generator closes the program's stdin, which ends the program.
        """
        nonce = f"keeper-{secrets.token_hex(8)}"
        session = WatchSession(watch_program(script, nonce), nonce.encode())
        channel: asyncssh.SSHClientChannel[bytes] | None = None
        try:
            async with asyncio.timeout(_WATCH_START_S):
                self._check_up()
                channel, _ = await self._connection.create_session(
                    lambda: session, "exec sh -s", encoding=None, window=WINDOW_BYTES
                )
                while not session.is_proven and not session.has_ended:
                    session.news.clear()
                    await session.news.wait()
            if not session.is_proven:
                raise self._why_lost() or Malformed("the login shell did not run the sentinel")
            taken = 0
            while True:
                while session.lines:
                    yield session.pop()
                    taken += 1
                    if taken >= _LINES_AT_ONCE:
                        taken = 0
                        await asyncio.sleep(_LINES_PAUSE_S)
                if session.has_flooded:
                    raise Malformed("the sentinel would not stop sending what it must not send")
                if session.has_ended:
                    break
                session.news.clear()
                await session.news.wait()
            if why := self._why_lost():
                raise why
        except TimeoutError as error:
            raise TimedOut(f"the sentinel did not start in {_WATCH_START_S:.0f} s") from error
        except HOSTILE as error:
            raise self._why_lost() or Unreachable(f"sentinel: {error_text(error)}") from error
        finally:
            if channel is not None:
                channel.abort()

    async def forward(self, remote_port: int) -> Address:
        """Open a loopback port that leads to a port of the host; asking again gives the same one."""
        async with self._forwarding:
            self._check_up()
            listener = self._forwards.get(remote_port)
            if listener is None:
                try:
                    async with asyncio.timeout(_FORWARD_S):
                        listener = await self._connection.forward_local_port(
                            "127.0.0.1", 0, "localhost", remote_port
                        )
                except TimeoutError as error:
                    raise TimedOut(f"no forward to port {remote_port}") from error
                except HOSTILE as error:
                    raise Unreachable(
                        f"forward to port {remote_port}: {error_text(error)}"
                    ) from error
                self._forwards[remote_port] = listener
        return Address(host="127.0.0.1", port=listener.get_port())

    async def pipe(self, remote_port: int) -> SshPipe:
        """Connect to a port of the host. Raises NobodyListens, Unreachable, TimedOut."""
        self._check_up()
        return await open_pipe(self._connection, remote_port)

    async def lost(self) -> PortError:
        """Wait until the link is lost or closed, and say why."""
        await self._connection.wait_closed()
        return self._why_lost() or Unreachable("the SSH link is lost")

    async def close(self) -> None:
        """End the link; a host that does not say goodbye is not waited for."""
        for listener in self._forwards.values():
            listener.close()
        self._forwards.clear()
        self._connection.close()
        with suppress(TimeoutError, *HOSTILE):
            async with asyncio.timeout(_CLOSE_S):
                await self._connection.wait_closed()
                return
        self._connection.abort()

    def _check_up(self) -> None:
        if self._connection.is_closed():
            raise Unreachable("the SSH link is lost")


async def _hand_on(session: CommandSession, heard: Heard) -> None:
    """Hand on what a command prints until it has ended, a few times a second at most."""
    is_over = False
    while not is_over:
        await asyncio.wait((session.ended,), timeout=_HEARD_EVERY_S)
        is_over = session.ended.done()
        if text := session.news():
            await heard(text)
