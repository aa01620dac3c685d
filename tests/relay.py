"""A TCP relay that a test can freeze or cut: the network between keeper and somebody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from keeper.ports import Address


class Relay:
    """Passes bytes both ways until told otherwise."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._carried: set[asyncio.Task[None] | None] = set()
        self.forth_bytes = 0  # what went to the target
        self.address = Address(host="127.0.0.1", port=0)

    def freeze(self) -> None:
        """Let nothing through any more, and say nothing: a black hole."""
        self._flows.clear()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        task = asyncio.current_task()
        self._carried.add(task)
        try:
            await self._carry(reader, writer)
        finally:
            self._carried.discard(task)

    async def end(self) -> None:
        """Cut everything, and wait until the last of it has let go."""
        self._flows.set()
        async with asyncio.timeout(60):
            while self._carried:
                self.cut()  # again: one may have been on its way to the target
                await asyncio.sleep(0.01)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._target.host, self._target.port)
        self._writers |= {writer, back}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, back, is_forth=True))
                group.create_task(self._pump(there, writer, is_forth=False))
        finally:
            self._writers -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_forth: bool
    ) -> None:
        try:
            while data := await reader.read(65_536):
                await self._flows.wait()
                writer.write(data)
                if is_forth:
                    self.forth_bytes += len(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            else:  # TLS knows no half of an end
                writer.close()
        except OSError:
            writer.transport.abort()


@asynccontextmanager
async def relayed(target: Address) -> AsyncIterator[Relay]:
    """Open a relay to a target; everything through it is cut at the end."""
    relay = Relay(target)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.address = Address(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    try:
        yield relay
    finally:
        server.close()
        await relay.end()
        await server.wait_closed()
