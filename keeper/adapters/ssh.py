"""Hosts over SSH: dials limited, keys pinned at first contact, one kept connection each.

Implements ports.Hosts on asyncssh. Nothing is read from the operator's own SSH configuration, agent
or known_hosts: what counts is given. What runs over a connection is ssh_link.py's affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import asyncssh
from typing_extensions import override

from keeper.adapters.local_file import LocalFiles
from keeper.adapters.ssh_channel import HOSTILE, error_text
from keeper.adapters.ssh_gate import TIME_SHARE, Gate
from keeper.adapters.ssh_link import ANSWER_SLACK_S, SshLink
from keeper.ports import (
    Address,
    ConfigError,
    HostKeyChanged,
    Malformed,
    PortError,
    TimedOut,
    Unauthorized,
    Unreachable,
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
_BANNERS_MAX = 64
# Three keepalives without an answer and the link is given up: 60 s at the default interval.
_KEEPALIVES_MISSED_MAX = 3


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
        answer_slack_s: float = ANSWER_SLACK_S,
        time_share: float = TIME_SHARE,
    ) -> None:
        self._key = _load_key(private_key_file, private_key, passphrase)
        self._public_key = _one_line(self._key)
        self._dials = asyncio.Semaphore(dials_max)
        self._username = username
        self._keepalive_s = keepalive_s
        self._answer_slack_s = answer_slack_s
        self._time_share = time_share
        self._files = LocalFiles()  # of all links: what goes to many hosts is read once

    @property
    def public_key(self) -> str:
        """Our public key, one line of OpenSSH form."""
        return self._public_key

    async def connect(
        self, addresses: Sequence[Address], *, pinned_host_key: str, timeout_s: float
    ) -> SshLink:
        """Dial the addresses in order until one answers; the time is shared out among them.

        Waiting for a free dial is not counted. A changed host key ends it at once: the next address
        may be all right, but somebody has to look. If all fail, a refused key tells more than
        silence. The marketplace's relay has a key of its own, pinned beside the host's.
        """
        if not addresses:
            raise Unreachable("the host has no SSH address yet")
        errors: list[PortError] = []
        async with self._dials:
            for address in addresses:
                share_s = timeout_s / len(addresses)
                try:
                    return await self._dial(address, pinned_host_key, share_s)
                except HostKeyChanged:
                    raise
                except PortError as error:
                    errors.append(error)
        raise min(errors, key=_telling)

    async def _dial(self, address: Address, pinned_host_key: str, timeout_s: float) -> SshLink:
        relay = address.host if address.is_relay else ""
        pinned = _pin_of(pinned_host_key, relay)
        client = _Client(pinned, self._time_share)
        where = f"{address.host}:{address.port}"
        try:
            async with asyncio.timeout(timeout_s):
                connection, _ = await asyncssh.create_connection(
                    lambda: client,
                    address.host,
                    address.port,
                    # Here too: asyncssh takes options without a configuration for options that
                    # have yet to read one, and would read the operator's.
                    config=None,
                    options=self._options(pinned, timeout_s),
                )
        except TimeoutError as error:
            raise TimedOut(f"{where} did not complete an SSH login in {timeout_s:.0f} s") from error
        except asyncssh.HostKeyNotVerifiable as error:
            raise HostKeyChanged(
                f"{where} shows {_fingerprint(client.shown_host_key)}, "
                f"pinned is {_fingerprint(pinned)}"
            ) from error
        except asyncssh.PermissionDenied as error:
            raise Unauthorized(f"{where} refuses our SSH key {self._fingerprint}") from error
        except HOSTILE as error:
            raise Unreachable(f"{where}: {error_text(error)}") from error
        pins = (
            pinned_host_key if pinned else _with_pin(pinned_host_key, client.shown_host_key, relay)
        )
        return SshLink(
            connection,
            pins,
            answer_slack_s=self._answer_slack_s,
            why_lost=client.why_lost,
            files=self._files,
        )

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
    """Trusts the first key a host shows, then only that one, as often as it is shown."""

    def __init__(self, pinned: str, time_share: float) -> None:
        self._pinned = pinned
        self._time_share = time_share
        self._banners = 0
        self._gate: Gate | None = None
        self._lost_by: Exception | None = None
        self.shown_host_key = ""

    @override
    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._gate = Gate(conn, self._time_share)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._lost_by = exc

    def why_lost(self) -> PortError | None:
        """Say why the connection went, where that is worth more than that it went."""
        if isinstance(self._lost_by, asyncssh.HostKeyNotVerifiable):
            return HostKeyChanged(
                f"the host shows {_fingerprint(self.shown_host_key)} in the middle of a connection, "
                f"pinned is {_fingerprint(self._pinned)}"
            )
        if self._gate is not None and self._gate.complaint:
            return Malformed(self._gate.complaint)
        return None

    @override
    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        if self._gate is not None:
            self._gate.key_exchanged()
        self.shown_host_key = _one_line(key)
        # Keys are exchanged again in the middle of a connection: a first contact is trusted once.
        self._pinned = self._pinned or self.shown_host_key
        return self.shown_host_key == self._pinned

    @override
    def auth_banner_received(self, msg: str, lang: str) -> None:
        """Drop banners, but not for ever: each one restarts asyncssh's patience."""
        self._banners += 1
        if self._banners > _BANNERS_MAX:
            raise asyncssh.ProtocolError("too many banners")


def _telling(error: PortError) -> int:
    """Rank errors of several addresses: the one that explains most is raised."""
    match error:
        case Unauthorized():
            return 0
        case TimedOut():
            return 1
        case _:
            return 2


# Pins are lines "<algorithm> <base64> [relay]", the third word in OpenSSH's place for a comment. The
# container's own key has no third word, whatever address it is met at; the marketplace's relay ends
# the SSH session itself and shows its own (vast-api: direct and proxy endpoints, read 2026-10).


def _pin_of(pins: str, relay: str) -> str:
    """Return the key that must be shown there; "" at first contact."""
    for line in pins.splitlines():
        match line.split():
            case [algorithm, key, *whose]:
                if "".join(whose) == relay:
                    return f"{algorithm} {key}"
            case _:
                pass
    return ""


def _with_pin(pins: str, shown: str, relay: str) -> str:
    return "\n".join([*pins.splitlines(), f"{shown} {relay}".rstrip()])


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
            [f"{where} is not a usable private key ({error_text(error)}); {cure}"]
        ) from error
