"""The links: what one of them knew is not believed of the next."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import ClassVar

from typing_extensions import override

from keeper.ports import (
    Address,
    Link,
    PictureLimits,
    PictureSample,
    Unreachable,
)
from keeper.sim.memory import MemoryNetwork
from keeper.sim.memory_hosts import MemoryHosts
from tests.unit.daemon.watching import SSH_OPEN, Deaf, seen_in


class Forwarding(Deaf):
    """A link that opens a way to a port, however long that takes, and is lost when it is told."""

    def __init__(self, *, way: int, takes_s: float) -> None:
        self._way = way
        self._takes_s = takes_s
        self._is_lost = asyncio.Event()

    async def watch(self, script: str) -> AsyncIterator[str]:
        yield '{"hb":1}'
        await self._is_lost.wait()
        raise Unreachable(f"lost, {len(script)} bytes of sentinel with it")

    @override
    async def forward(self, remote_port: int) -> Address:
        if self._takes_s:
            self._is_lost.set()
            await asyncio.sleep(self._takes_s)
        return Address(host=f"to-{remote_port}", port=self._way)


class LostMeanwhile(MemoryHosts):
    """The first link is lost while it opens a way, and the next one is up before that is done."""

    ways = 0

    @override
    async def connect(
        self, addresses: Sequence[Address], *, pinned_host_key: str, timeout_s: float
    ) -> Link:
        LostMeanwhile.ways += 1
        first = LostMeanwhile.ways == 1
        return Forwarding(way=LostMeanwhile.ways, takes_s=5.0 if first else 0.0)


class Asked(MemoryNetwork):
    """Notes where it was sent."""

    urls: ClassVar[list[str]] = []

    @override
    async def sample_mjpeg(
        self, url: str, limits: PictureLimits, *, is_declared: bool = False
    ) -> PictureSample:
        self.urls.append(url)
        raise Unreachable("nobody listens")


def test_a_way_that_a_lost_link_opened_is_not_the_way_of_the_next_one() -> None:
    """It leads nowhere: a stream that is well would be refused there until that link is lost, too."""
    LostMeanwhile.ways = 0
    Asked.urls.clear()
    seen_in(45.0, SSH_OPEN, hosts=LostMeanwhile, network=Asked, is_deployed=True)
    assert LostMeanwhile.ways == 2
    assert [url.split("/")[2] for url in Asked.urls[1:]] == ["to-8000:2"] * 3
