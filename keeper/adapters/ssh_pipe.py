"""One TCP connection to a port of a host, through its link.

It tells what a forwarded port cannot: whether the host itself refused the connection, because nobody
listens there, or the link was lost. Whatever asyncssh raises becomes an error of ours here.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncssh
from asyncssh.constants import OPEN_CONNECT_FAILED

from keeper.adapters.ssh_channel import HOSTILE, error_text
from keeper.ports import TimedOut, Unreachable
from keeper.ports.errors import NobodyListens, PortError

_OPEN_S = 10.0
_READ_BYTES = 65_536


class SshPipe:
    """Bytes both ways. One task may read while another writes."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        reader: asyncssh.SSHReader[bytes],
        writer: asyncssh.SSHWriter[bytes],
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """Return what has come; b"" at its end. Raises Unreachable when the link is lost."""
        try:
            data = await self._reader.read(_READ_BYTES)
        except HOSTILE as error:
            raise Unreachable(error_text(error)) from error
        if not data and self._connection.is_closed():
            raise Unreachable("the SSH link is lost")
        return data

    async def write(self, data: bytes) -> None:
        """Send, and wait until there is room for more. Raises Unreachable."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except HOSTILE as error:
            raise Unreachable(error_text(error)) from error

    def write_eof(self) -> None:
        """Say that no more is sent."""
        with suppress(*HOSTILE):
            self._writer.write_eof()

    def close(self) -> None:
        """End it both ways, at once. May be repeated."""
        with suppress(*HOSTILE):
            self._writer.channel.abort()


async def open_pipe(connection: asyncssh.SSHClientConnection, remote_port: int) -> SshPipe:
    """Connect to a port of the host. Raises NobodyListens, Unreachable, TimedOut."""
    try:
        async with asyncio.timeout(_OPEN_S):
            reader, writer = await connection.open_connection("localhost", remote_port)
    except TimeoutError as error:
        raise TimedOut(f"port {remote_port} of the host did not answer") from error
    except asyncssh.ChannelOpenError as error:
        raise _refusal(remote_port, error, is_lost=connection.is_closed()) from error
    except HOSTILE as error:
        raise Unreachable(f"port {remote_port}: {error_text(error)}") from error
    return SshPipe(connection, reader, writer)


def _refusal(remote_port: int, error: asyncssh.ChannelOpenError, *, is_lost: bool) -> PortError:
    """Tell a port where nobody listens from a host that lets nothing through, or is gone."""
    said = error_text(error)
    if not is_lost and error.code == OPEN_CONNECT_FAILED:
        return NobodyListens(f"nobody listens on port {remote_port} of the host: {said}")
    return Unreachable(f"port {remote_port}: {said}")
