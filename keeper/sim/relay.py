"""A published port: a small TCP relay like docker-proxy, with the ways in which a network fails.

It carries bytes and knows nothing of SSH, HTTP or rentals. Opening and closing do not wait, so that
the market may do them in one step.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

from keeper.sim.tap import Edge

# Below the range from which kernels take ports for outgoing connections, so that a port can be
# given up while a host is away and taken again when it is back.
PORTS = range(12_000, 20_000)
CHUNK_BYTES = 65_536
BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"


class Way(StrEnum):
    """What becomes of a connection."""

    OPEN = "open"
    REFUSED = "refused"  # nothing listens
    DARK = "dark"  # nothing listens, and old connections hang without a word
    CUT = "cut"  # accepted and closed at once
    STALLED = "stalled"  # accepted, and not a byte moves, on old connections as well
    BANNER = "banner"  # an SSH banner and nothing more


class Relay:
    """Listens on 127.0.0.1 and leads inside."""

    def __init__(
        self,
        target: tuple[str, int],
        *,
        luck: random.Random,
        is_ready: Callable[[], bool] = lambda: True,
        tap: Callable[[Edge], bool] = lambda _: True,
    ) -> None:
        self._tap = tap
        self.target = target
        self.way = Way.REFUSED
        self._is_ready = is_ready
        self._listener: socket.socket | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = self._claim(luck)

    def set_way(self, way: Way) -> None:
        """Change what happens to connections; those that are open feel it too."""
        self.way = way
        if way in {Way.REFUSED, Way.DARK}:
            self._unlisten()
        elif self._listener is None:
            self._listen(_bound(self.port))
        if way in {Way.REFUSED, Way.CUT, Way.BANNER}:
            self._drop()
        if way in {Way.STALLED, Way.BANNER, Way.DARK}:
            self._flowing.clear()
        else:
            self._flowing.set()

    def cut(self) -> None:
        """End the connections that are open; new ones are welcome."""
        self._drop()

    async def close(self) -> None:
        """Stop listening and end every connection. May be repeated."""
        self.set_way(Way.REFUSED)
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _claim(self, luck: random.Random) -> int:
        """Take a port and listen on it."""
        for port in luck.sample(PORTS, 400):
            try:
                bound = _bound(port)
            except OSError:
                continue
            self.way = Way.OPEN
            self._listen(bound)
            return port
        raise OSError("no free port for a relay")

    def _listen(self, bound: socket.socket) -> None:
        bound.listen(128)
        self._listener = bound
        asyncio.get_running_loop().add_reader(bound.fileno(), self._accept, bound)

    def _unlisten(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _drop(self) -> None:
        for connection in self._connections:
            connection.cancel()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionError):
            accepted, _ = listener.accept()
            accepted.settimeout(0)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.get_running_loop().create_task(self._serve(accepted))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        """Carry one connection to its end."""
        reader, writer = await asyncio.open_connection(sock=accepted)
        writers = [writer]
        try:
            if self.way is Way.CUT or not self._is_ready() or not self._tap(Edge.ARRIVED):
                return
            if self.way is Way.BANNER:
                writer.write(BANNER)
            await self._flowing.wait()
            inside_reader, inside_writer = await asyncio.open_connection(*self.target)
            writers.append(inside_writer)
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(self._pump(reader, inside_writer))
                both_ways.create_task(self._pump(inside_reader, writer))
            self._tap(Edge.ANSWERED)
            for each in writers:
                each.close()
                await each.wait_closed()
        except* (OSError, asyncio.CancelledError):
            pass  # either end left, or the way was closed: both are what a network does
        finally:
            for each in writers:
                # What is still in flight is lost, as when a cable is pulled.
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.settimeout(0)
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made
