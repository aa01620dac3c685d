"""Connections through a link to a port of the host, over a real OpenSSH server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from keeper.ports import Unreachable
from keeper.ports.errors import NobodyListens
from tests.real_sshd import RealSshd, running_sshd
from tests.relay import relayed
from tests.waiting import eventually

pytestmark = pytest.mark.real("sshd")


@pytest.fixture
async def sshd(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[RealSshd]:
    async with running_sshd(tmp_path / "sshd", free_port()) as server:
        yield server
        await eventually(lambda: not SERVED)  # sshd lets go after its client has


SERVED: set[asyncio.StreamWriter] = set()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    SERVED.add(writer)
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    SERVED.discard(writer)


async def test_carries_bytes_both_ways_and_each_end_by_itself(sshd: RealSshd) -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    link = await sshd.hosts().connect([sshd.address], pinned_host_key="", timeout_s=20)
    pipe = await link.pipe(server.sockets[0].getsockname()[1])
    sent = bytes(range(256)) * 8192
    await asyncio.gather(pipe.write(sent), received(pipe.read, len(sent), sent))
    pipe.write_eof()
    assert await pipe.read() == b""
    pipe.close()
    pipe.close()
    await link.close()
    server.close()


async def received(read: Callable, length: int, wanted: bytes) -> None:
    got = b""
    while len(got) < length:
        got += await read()
    assert got == wanted


async def test_tells_a_port_where_nobody_listens_from_a_lost_link(
    sshd: RealSshd, free_port: Callable[[], int]
) -> None:
    """A forwarded local port shows the same for both: it accepts, and closes without a byte."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with relayed(sshd.address) as relay:
        link = await sshd.hosts().connect([relay.address], pinned_host_key="", timeout_s=20)
        with pytest.raises(NobodyListens, match="nobody listens on port"):
            await link.pipe(free_port())
        pipe = await link.pipe(server.sockets[0].getsockname()[1])
        relay.cut()
        with pytest.raises(Unreachable) as lost:
            await pipe.read()
        assert not isinstance(lost.value, NobodyListens)
        assert isinstance(await link.lost(), Unreachable)
        with pytest.raises(Unreachable, match="link is lost"):
            await link.pipe(1)
    server.close()


async def test_a_host_that_falls_silent_is_given_up_by_keepalives(sshd: RealSshd) -> None:
    async with relayed(sshd.address) as relay:
        hosts = sshd.hosts(keepalive_s=0.2)
        link = await hosts.connect([relay.address], pinned_host_key="", timeout_s=20)
        relay.freeze()
        async with asyncio.timeout(20):
            assert "lost" in str(await link.lost())


async def test_a_tunnel_may_use_more_time_than_a_watched_host(sshd: RealSshd) -> None:
    """A video that a person looks at is no flood: with the whole share nothing is slowed down."""

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(128):
            writer.write(bytes(262_144))
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    hosts = sshd.hosts(time_share=1.0)
    link = await hosts.connect([sshd.address], pinned_host_key="", timeout_s=20)
    pipe = await link.pipe(server.sockets[0].getsockname()[1])
    got = 0
    while data := await pipe.read():
        got += len(data)
    assert got == 128 * 262_144
    await link.close()
    server.close()
