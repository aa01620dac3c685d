"""One watched host in virtual time: what is pinned to the board about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from keeper.core.model import Instance, Reading, SlotId, Status
from keeper.daemon.board import Board
from keeper.daemon.target import Target
from keeper.daemon.watch import Watch
from keeper.daemon.wheel import Wheel
from keeper.ports import (
    Address,
    Command,
    CommandResult,
    Heard,
    Hosts,
    Parcel,
    SendHeard,
    Unreachable,
    Upload,
)
from keeper.sim.loop import VirtualClock, run
from keeper.sim.memory import MemoryNetwork
from keeper.sim.memory_hosts import MemoryHosts
from keeper.sim.power import Power
from keeper.sim.stage import declared
from keeper.sim.universe import Universe
from keeper.workloads import Workload
from tests.builders import HOST, an_instance

PROBE_INTERVAL_S = 10.0
PROBE_STALE_S = 45.0

SSH_OPEN = replace(an_instance(), ssh_host="ssh1.example", ssh_port=22)


class Deaf:
    """A link that carries nothing out: what a link is beside its sentinel and its ways to ports."""

    host_key = "ssh-ed25519 AAAA"

    async def run(self, command: Command, heard: Heard | None = None) -> CommandResult:
        raise Unreachable(command.name)

    async def send(self, parcel: Parcel, heard: SendHeard) -> bool:
        raise Unreachable(parcel.name)

    async def upload(self, upload: Upload) -> None:
        raise Unreachable(upload.path)

    async def forward(self, remote_port: int) -> Address:
        raise Unreachable(str(remote_port))

    async def close(self) -> None:
        """Nothing is behind it."""


def seen_in(
    for_s: float,
    instance: Instance,
    *,
    hosts: Callable[[Universe, Power], Hosts] = MemoryHosts,
    network: Callable[[Universe, Power], MemoryNetwork] = MemoryNetwork,
    slot: SlotId = SlotId("duel/0"),  # noqa: B008 - a plain string
    is_deployed: bool = False,
    as_told: Callable[[Workload], Workload] = lambda workload: workload,
) -> list[Reading]:
    """Watch one host for so many seconds; returns every reading, oldest first."""

    async def play() -> list[Reading]:
        universe, power, clock = Universe(1), Power(), VirtualClock()
        board, wheel = Board(lambda: None), Wheel(clock)
        async with asyncio.TaskGroup() as group:

            def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
                return group.create_task(work, name=name)

            def keep(job: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
                return group.create_task(job(), name=name)

            watch = Watch(
                hosts=hosts(universe, power), network=network(universe, power), clock=clock,
                board=board, wheel=wheel, spawn=spawn, keep=keep,
                key_refused=lambda _: None, own_network=lambda: Status.UNKNOWN,
            )  # fmt: skip
            turning = group.create_task(wheel.run())
            target = Target(
                slot=slot,
                instance=instance,
                workload=as_told(next(iter(declared({"duel": 1}).workloads.values()))),
                pinned_host_key="",
                is_deployed=is_deployed,
                probe_interval_s=PROBE_INTERVAL_S,
                probe_timeout_s=5.0,
                probe_stale_s=PROBE_STALE_S,
            )
            watch.follow({HOST: target})
            await asyncio.sleep(for_s)
            turning.cancel()
            seen = board.unseen()
            await watch.close()
        return list(seen)

    return run(play())
