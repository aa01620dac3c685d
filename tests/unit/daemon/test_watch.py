"""The watch: what a broken witness costs, and what it does not."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from typing_extensions import override

from keeper.core.model import Reading, SlotId, Status, Subject
from keeper.daemon.board import Board
from keeper.daemon.watch import Target, Watch
from keeper.daemon.wheel import Wheel
from keeper.ports import PictureLimits, PictureSample
from keeper.sim.loop import VirtualClock, run
from keeper.sim.memory import MemoryNetwork
from keeper.sim.memory_hosts import MemoryHosts
from keeper.sim.power import Power
from keeper.sim.stage import declared
from keeper.sim.universe import Universe
from tests.builders import HOST, an_instance

PROBE_INTERVAL_S = 10.0


class Endless(MemoryNetwork):
    """A network that breaks its word: its first sample never ends."""

    asked = 0

    @override
    async def sample_mjpeg(self, url: str, limits: PictureLimits) -> PictureSample:
        self.asked += 1
        if self.asked == 1:
            await asyncio.get_running_loop().create_future()
        return await super().sample_mjpeg(url, limits)


def test_a_probe_that_never_ends_is_given_up_at_the_next_beat() -> None:
    async def play() -> list[Reading]:
        universe, power, clock = Universe(1), Power(), VirtualClock()
        board, wheel = Board(lambda: None), Wheel(clock)
        network = Endless(universe, power)
        async with asyncio.TaskGroup() as group:

            def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
                return group.create_task(work, name=name)

            def keep(job: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
                return group.create_task(job(), name=name)

            watch = Watch(
                hosts=MemoryHosts(universe, power),
                network=network,
                clock=clock,
                board=board,
                wheel=wheel,
                spawn=spawn,
                keep=keep,
                key_refused=lambda _: None,
                own_network=lambda: Status.UNKNOWN,
            )
            turning = group.create_task(wheel.run())
            instance = an_instance(ports={"8000/tcp": 40_000}, public_ip="198.51.100.7")
            target = Target(
                slot=SlotId("duel/0"),
                instance=instance,
                workload=next(iter(declared({"duel": 1}).workloads.values())),
                pinned_host_key="",
                is_deployed=True,
                probe_interval_s=PROBE_INTERVAL_S,
                probe_timeout_s=5.0,
                probe_stale_s=45.0,
            )
            watch.follow({HOST: target})
            await asyncio.sleep(3 * PROBE_INTERVAL_S)
            turning.cancel()
            seen = board.unseen()
            await watch.close()
        return [reading for reading in seen if reading.subject is Subject.PICTURE]

    late, *after = run(play())
    assert late.status is Status.UNKNOWN
    assert late.detail == "the probe ran out of time"
    assert after
    assert all(reading.status is Status.FALSE for reading in after)  # nobody listens there
