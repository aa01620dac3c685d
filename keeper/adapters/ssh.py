"""Hosts over SSH: one kept connection each, keys pinned at first contact, every wait bounded.

Implements ports.Hosts and ports.Link on asyncssh. Nothing is read from the operator's own SSH
configuration, agent or known_hosts: what counts is given. asyncssh's exceptions stop here.
"""

from __future__ import annotations

import asyncio
import hashlib
import posixpath
import secrets
import shlex
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import asyncssh
from typing_extensions import override

from keeper.adapters.ssh_channel import (
    WINDOW_BYTES,
    CommandSession,
    RawResult,
    WatchSession,
    bounded_shell,
    command_program,
    watch_program,
)
from keeper.ports import (
    Address,
    Command,
    CommandFailed,
    CommandResult,
    ConfigError,
    HostKeyChanged,
    Link,
    Malformed,
    PortError,
    TimedOut,
    Unauthorized,
    Uncertain,
    Unreachable,
    Upload,
)

# AES-GCM costs 0.7 of asyncssh's own first choice, ChaCha20, per check (measured over 1,000 hosts).
_CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes256-ctr",
    "chacha20-poly1305@openssh.com",
)
# Every sshd of the last ten years has the first; the rest is for the odd image.
_KEY_EXCHANGES = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)
_HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
# OpenSSH grants ten sessions a connection; the sentinel takes one and a person may want some.
_CHANNELS_MAX = 4
_BANNERS_MAX = 64
# Three keepalives without an answer and the link is given up: 60 s at the default interval.
_KEEPALIVES_MISSED_MAX = 3
# The remote side kills 5 s after its own limit; the rest is for the way there and back.
_ANSWER_SLACK_S = 8.0
_CLOSE_S = 3.0
_UPLOAD_S = 120.0
_WATCH_START_S = 20.0
_FORWARD_S = 10.0
_TEXT_MAX = 300


class SshHosts:
    """Dials hosts with one key. Dials are limited; what runs over kept connections is not.

    Raises ConfigError at construction when the key cannot be used; the message says what to do.
    """

    def __init__(
        self,
        *,
        private_key_file: Path | None,
        private_key: bytes | None = None,
        passphrase: str | None = None,
        dials_max: int = 16,
        username: str = "root",
        keepalive_s: float = 15.0,
        answer_slack_s: float = _ANSWER_SLACK_S,
    ) -> None:
        self._key = _load_key(private_key_file, private_key, passphrase)
        self._public_key = _one_line(self._key)
        self._dials = asyncio.Semaphore(dials_max)
        self._username = username
        self._keepalive_s = keepalive_s
        self._answer_slack_s = answer_slack_s

    @property
    def public_key(self) -> str:
        """Our public key, one line of OpenSSH form."""
        return self._public_key

    async def connect(
        self, addresses: Sequence[Address], *, pinned_host_key: str, timeout_s: float
    ) -> Link:
        """Dial the addresses in order until one answers; the time is shared out among them.

        Waiting for a free dial is not counted. If all fail, the most telling error is raised: a
        changed host key before a refused key before silence.
        """
        if not addresses:
            raise Unreachable("the host has no SSH address yet")
        errors: list[PortError] = []
        async with self._dials:
            for address in addresses:
                share_s = timeout_s / len(addresses)
                try:
                    return await self._dial(address, pinned_host_key, share_s)
                except PortError as error:
                    errors.append(error)
        raise min(errors, key=_telling)

    async def _dial(self, address: Address, pinned_host_key: str, timeout_s: float) -> SshLink:
        client = _Client(pinned_host_key)
        where = f"{address.host}:{address.port}"
        try:
            async with asyncio.timeout(timeout_s):
                connection, _ = await asyncssh.create_connection(
                    lambda: client,
                    address.host,
                    address.port,
                    options=self._options(pinned_host_key, timeout_s),
                )
        except TimeoutError as error:
            raise TimedOut(f"{where} did not complete an SSH login in {timeout_s:.0f} s") from error
        except asyncssh.HostKeyNotVerifiable as error:
            raise HostKeyChanged(
                f"{where} shows {_fingerprint(client.shown_host_key)}, "
                f"pinned is {_fingerprint(pinned_host_key)}"
            ) from error
        except asyncssh.PermissionDenied as error:
            raise Unauthorized(f"{where} refuses our SSH key {self._fingerprint}") from error
        except (OSError, asyncssh.Error, ValueError) as error:
            # ValueError: a hostile packet that asyncssh could not read.
            raise Unreachable(f"{where}: {_text(error)}") from error
        return SshLink(connection, client.shown_host_key, answer_slack_s=self._answer_slack_s)

    @property
    def _fingerprint(self) -> str:
        return self._key.get_fingerprint()

    def _options(self, pinned: str, timeout_s: float) -> asyncssh.SSHClientConnectionOptions:
        return asyncssh.SSHClientConnectionOptions(
            config=None,
            agent_path=None,
            agent_forwarding=False,
            client_keys=[self._key],
            known_hosts=([], [], []),  # nobody is known: _Client decides
            username=self._username,
            preferred_auth="publickey",
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            x11_forwarding=False,
            kex_algs=_KEY_EXCHANGES,
            encryption_algs=_CIPHERS,
            compression_algs=["none"],
            server_host_key_algs=_host_key_algorithms(pinned),
            login_timeout=timeout_s,
            keepalive_interval=self._keepalive_s,
            keepalive_count_max=_KEEPALIVES_MISSED_MAX,
        )


class _Client(asyncssh.SSHClient):
    """Trusts the first key a host shows, then only that one."""

    def __init__(self, pinned_host_key: str) -> None:
        self._pinned = " ".join(pinned_host_key.split()[:2])
        self._banners = 0
        self.shown_host_key = ""

    @override
    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        self.shown_host_key = _one_line(key)
        return not self._pinned or self.shown_host_key == self._pinned

    @override
    def auth_banner_received(self, msg: str, lang: str) -> None:
        """Drop banners, but not for ever: each one restarts asyncssh's patience."""
        self._banners += 1
        if self._banners > _BANNERS_MAX:
            raise asyncssh.ProtocolError("too many banners")


class SshLink:
    """One kept connection. Commands share it a few at a time; the sentinel has its own channel."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        host_key: str,
        *,
        answer_slack_s: float = _ANSWER_SLACK_S,
    ) -> None:
        self._connection = connection
        self._host_key = host_key
        self._answer_slack_s = answer_slack_s
        self._channels = asyncio.Semaphore(_CHANNELS_MAX)
        self._forwards: dict[int, asyncssh.SSHListener] = {}
        self._forwarding = asyncio.Lock()

    @property
    def host_key(self) -> str:
        """The host's public key in OpenSSH form, algorithm and base64 only."""
        return self._host_key

    async def run(self, command: Command) -> CommandResult:
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
                result = await session.ended
        except TimeoutError as error:
            if session.is_sent:
                raise Uncertain(f"{name}: no answer in {timeout_s:.0f} s") from error
            raise TimedOut(f"{name}: no channel in {timeout_s:.0f} s") from error
        except asyncssh.ChannelOpenError as error:
            raise self._not_opened(name, session, error) from error
        except (OSError, asyncssh.Error) as error:
            if session.is_sent:
                raise Uncertain(f"{name}: {_text(error)}") from error
            raise Unreachable(f"{name}: {_text(error)}") from error
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
            return Uncertain(f"{name}: {_text(error)}")
        return Unreachable(f"{name}: the host opens no channel: {_text(error)}")

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
            raise CommandFailed(f"cannot write {upload.path}: {_text(error)}") from error
        except (OSError, asyncssh.Error) as error:
            raise Unreachable(f"upload of {upload.path}: {_text(error)}") from error
        except Uncertain as error:
            # An upload may be repeated, so not knowing is no worse than not having done it.
            raise Unreachable(str(error)) from error

    async def _send_by_sftp(self, upload: Upload, part: str) -> None:
        async with self._channels:
            self._check_up()
            async with self._connection.start_sftp_client() as sftp:
                folder = posixpath.dirname(upload.path)
                if folder:
                    await sftp.makedirs(folder, exist_ok=True)
                attributes = asyncssh.SFTPAttrs(permissions=upload.mode)
                async with sftp.open(part, "wb", attributes) as file:
                    await file.write(upload.content)
                await sftp.chmod(part, upload.mode)

    async def _send_by_cat(self, upload: Upload, part: str) -> None:
        folder = shlex.quote(posixpath.dirname(upload.path) or ".")
        script = (
            f"umask 077; mkdir -p -- {folder} && cat > {shlex.quote(part)} "
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
                raise Malformed("the login shell did not run the sentinel")
            while True:
                while session.lines:
                    yield session.pop()
                if session.has_ended:
                    return
                session.news.clear()
                await session.news.wait()
        except TimeoutError as error:
            raise TimedOut(f"the sentinel did not start in {_WATCH_START_S:.0f} s") from error
        except (OSError, asyncssh.Error) as error:
            raise Unreachable(f"sentinel: {_text(error)}") from error
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
                except (OSError, asyncssh.Error) as error:
                    raise Unreachable(f"forward to port {remote_port}: {_text(error)}") from error
                self._forwards[remote_port] = listener
        return Address(host="127.0.0.1", port=listener.get_port())

    async def close(self) -> None:
        """End the link; a host that does not say goodbye is not waited for."""
        for listener in self._forwards.values():
            listener.close()
        self._forwards.clear()
        self._connection.close()
        with suppress(TimeoutError, OSError, asyncssh.Error):
            async with asyncio.timeout(_CLOSE_S):
                await self._connection.wait_closed()
                return
        self._connection.abort()

    def _check_up(self) -> None:
        if self._connection.is_closed():
            raise Unreachable("the SSH link is lost")


def _telling(error: PortError) -> int:
    """Rank errors of several addresses: the one that explains most is raised."""
    match error:
        case HostKeyChanged():
            return 0
        case Unauthorized():
            return 1
        case TimedOut():
            return 2
        case _:
            return 3


def _host_key_algorithms(pinned: str) -> list[str]:
    """Ask for the pinned kind first: a host with several keys must show the same one again."""
    kind = pinned.partition(" ")[0]
    first = [name for name in _HOST_KEYS if name == kind or (kind == "ssh-rsa" and "rsa" in name)]
    return [*first, *(name for name in _HOST_KEYS if name not in first)]


def _one_line(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key("openssh").decode("ascii", "replace").split()[:2])


def _fingerprint(host_key: str) -> str:
    try:
        return asyncssh.import_public_key(host_key).get_fingerprint()
    except (asyncssh.KeyImportError, ValueError):
        return "no readable key"


def _text(error: BaseException) -> str:
    """Word a foreign error: bounded, printable, and named when it says nothing."""
    text = "".join(c if c.isprintable() else " " for c in str(error)[:_TEXT_MAX]).strip()
    return text or type(error).__name__


def _load_key(file: Path | None, content: bytes | None, passphrase: str | None) -> asyncssh.SSHKey:
    """Read our private key, or say in one sentence what is wrong and what cures it."""
    where = "ssh.private_key_file"
    if content is None:
        if file is None:
            raise ConfigError(
                [f"{where}: no SSH key is given; keeper needs one to reach its hosts"]
            )
        where = f"{where}: {file}"
        try:
            content = file.read_bytes()
        except FileNotFoundError as error:
            cure = f"make one with: ssh-keygen -t ed25519 -N '' -f {file}"
            raise ConfigError([f"{where} does not exist; {cure}"]) from error
        except OSError as error:
            cure = "let the user that runs keeper read it"
            raise ConfigError([f"{where} cannot be read ({error.strerror}); {cure}"]) from error
    try:
        return asyncssh.import_private_key(content, passphrase)
    except asyncssh.KeyEncryptionError as error:
        cure = f"give the right one as a secret, or remove it with: ssh-keygen -p -f {file}"
        raise ConfigError([f"{where} is protected by a passphrase; {cure}"]) from error
    except (asyncssh.KeyImportError, ValueError) as error:
        if "passphrase" in str(error).lower():
            cure = f"give it as a secret, or remove it with: ssh-keygen -p -f {file}"
            raise ConfigError([f"{where} is protected by a passphrase; {cure}"]) from error
        cure = "keeper wants the private key, in OpenSSH or PEM form"
        raise ConfigError(
            [f"{where} is not a usable private key ({_text(error)}); {cure}"]
        ) from error
