"""One SSH entrance to a simulated host: a server with a key of its own, and who may come in.

A host has two, as on Vast.ai: the container's own sshd behind a published port, and the
marketplace's proxy. They differ in the host key that they show and in the keys that they know.
What a session does is ``ssh_session``'s affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, Protocol

import asyncssh
from typing_extensions import override

# Sent before the login, so OpenSSH prints it on stderr (docs, SSH connection, read 2026-08).
BANNER = (
    "Welcome to vast.ai. If authentication fails, try again after a few seconds, and double check "
    "your ssh key.\r\nHave fun!\r\n"
)
VERSION = "OpenSSH_9.2p1"
Session = Callable[[asyncssh.SSHServerProcess[bytes]], Awaitable[None]]


class Sshd(StrEnum):
    """What serves SSH on a simulated host."""

    BUILT_IN = "built-in"  # asyncssh in the simulator's process; its hosts have a /workspace
    OPENSSH = "openssh"  # a real sshd for each entrance, ``ssh_openssh``


class Door(Protocol):
    """A way into a host, whatever serves it."""

    inside: str
    host_key: asyncssh.SSHKey

    async def open(self, is_wanted: Callable[[], bool]) -> bool:
        """Listen. False: the address cannot be had, or by now nobody wants it any more."""
        ...

    def close(self) -> None:
        """Stop listening and cut whoever is in. May be repeated."""
        ...

    def refresh(self) -> None:
        """Learn who may come in: somebody is about to."""
        ...


class Entrance:
    """An SSH server that can be opened and closed many times. Nothing waits but ``open``."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        host_key: asyncssh.SSHKey,
        refusal: Callable[[str, str], str],
        session: Session,
        sftp: Callable[[asyncssh.SSHServerChannel[bytes]], asyncssh.SFTPServer],
    ) -> None:
        self.host_key = host_key
        self.inside, self._port = address
        self.refusal = refusal  # user, key -> why not; "" is yes
        self._session = session
        self._sftp = sftp
        self._server: asyncssh.SSHAcceptor | None = None
        self._clients: set[asyncssh.SSHServerConnection] = set()

    async def open(self, is_wanted: Callable[[], bool]) -> bool:
        """Listen. False: the address cannot be had, or by now nobody wants it any more."""
        options = {
            "server_host_keys": [self.host_key],
            "server_version": VERSION,
            "process_factory": self._session,
            "encoding": None,
            "sftp_factory": self._sftp,
            "allow_scp": True,
            "agent_forwarding": False,
            "x11_forwarding": False,
            "line_editor": False,
            "keepalive_interval": 0,
            "login_timeout": 20,
        }
        for _ in range(100):
            try:
                server = await asyncssh.create_server(
                    lambda: _Door(self), self.inside, self._port, reuse_address=True, **options
                )
                break
            except OSError:  # the server before this one has not let go yet
                await asyncio.sleep(0.02)
        else:
            return False
        if not is_wanted():
            server.close()
            return False
        self._server = server
        return True

    def close(self) -> None:
        """Stop listening and cut whoever is in. May be repeated."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for client in tuple(self._clients):
            client.abort()
        self._clients.clear()

    def refresh(self) -> None:
        """Do nothing: it asks at each login."""

    def admit(self, client: asyncssh.SSHServerConnection) -> None:
        """Remember a connection, to be cut with the entrance."""
        self._clients.add(client)

    def dismiss(self, client: asyncssh.SSHServerConnection) -> None:
        """Forget a connection."""
        self._clients.discard(client)


class _Door(asyncssh.SSHServer):
    """Greets one connection, asks for its key, and leads its forwards to the inside."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self._client: asyncssh.SSHServerConnection | None = None

    @override
    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._client = conn
        self._entrance.admit(conn)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._client is not None:
            self._entrance.dismiss(self._client)

    @override
    def begin_auth(self, username: str) -> bool:
        assert self._client is not None
        self._client.send_auth_banner(BANNER)
        return True

    @override
    def public_key_auth_supported(self) -> bool:
        return True

    @override
    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        shown = " ".join(key.export_public_key().decode().split()[:2])
        return not self._entrance.refusal(username, shown)

    @override
    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Any:
        if dest_host not in {"localhost", "127.0.0.1", "::1", "0.0.0.0"}:  # noqa: S104
            return False
        assert self._client is not None
        return self._client.forward_connection(self._entrance.inside, dest_port)
