"""A host that refuses us is heard to refuse for as long as it does, however seldom it is dialled."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from typing_extensions import override

from keeper.core.model import Policy, Reading, SlotId, Status, Subject
from keeper.core.reasons import Reason
from keeper.daemon.board import Board
from keeper.daemon.redial import DIAL_TIMEOUT_S, pause_s
from keeper.daemon.watch import Target, Watch
from keeper.daemon.wheel import Wheel
from keeper.ports import Address, Link, TimedOut
from keeper.sim.loop import VirtualClock, run
from keeper.sim.memory import MemoryNetwork
from keeper.sim.memory_hosts import MemoryHosts
from keeper.sim.power import Power
from keeper.sim.stage import declared
from keeper.sim.universe import Universe
from tests.builders import HOST, an_instance

STALE_S = Policy().probe_stale_s
SLOTS = [SlotId(f"duel/{replica}") for replica in range(40)]


@pytest.mark.parametrize("stale_s", [STALE_S, 30.0, 90.0])
def test_the_next_answer_comes_before_the_last_one_is_silence(stale_s: float) -> None:
    longest_s = max(pause_s(slot, failures, stale_s) for slot in SLOTS for failures in range(40))
    assert longest_s + DIAL_TIMEOUT_S < stale_s
    assert longest_s <= 1.25 * 30.0


def test_it_is_dialled_ever_less_often_and_not_by_all_at_once() -> None:
    firsts = [pause_s(SLOTS[0], failures, STALE_S) for failures in range(6)]
    assert firsts == sorted(firsts)
    assert 0.75 <= firsts[0] <= 1.25
    lasts = [pause_s(slot, 9, STALE_S) for slot in SLOTS]
    assert max(lasts) - min(lasts) > 10.0
    assert min(lasts) > 20.0


def test_where_silence_is_short_a_host_is_dialled_at_once_and_not_without_a_pause() -> None:
    assert 0.75 <= pause_s(SLOTS[0], 9, 11.0) <= 1.25


class Mute(MemoryHosts):
    """Hosts that take a connection and say nothing on it."""

    @override
    async def connect(
        self, addresses: Sequence[Address], *, pinned_host_key: str, timeout_s: float
    ) -> Link:
        await asyncio.sleep(timeout_s)
        raise TimedOut("it did not finish the handshake")


def _refusals(slot: SlotId, for_s: float) -> list[Reading]:
    async def play() -> list[Reading]:
        universe, power, clock = Universe(1), Power(), VirtualClock()
        board, wheel = Board(lambda: None), Wheel(clock)
        async with asyncio.TaskGroup() as group:

            def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
                return group.create_task(work, name=name)

            def keep(job: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
                return group.create_task(job(), name=name)

            watch = Watch(
                hosts=Mute(universe, power),
                network=MemoryNetwork(universe, power),
                clock=clock,
                board=board,
                wheel=wheel,
                spawn=spawn,
                keep=keep,
                key_refused=lambda _: None,
                own_network=lambda: Status.UNKNOWN,
            )
            target = Target(
                slot=slot,
                instance=replace(an_instance(), ssh_host="ssh1.example", ssh_port=22),
                workload=next(iter(declared({"duel": 1}).workloads.values())),
                pinned_host_key="",
                is_deployed=False,
                probe_interval_s=10.0,
                probe_timeout_s=5.0,
                probe_stale_s=STALE_S,
            )
            watch.follow({HOST: target})
            await asyncio.sleep(for_s)
            seen = board.unseen()
            await watch.close()
        return [reading for reading in seen if reading.subject is Subject.LINK]

    return run(play())


@pytest.mark.parametrize("slot", SLOTS[:4])
def test_a_host_that_swallows_every_dial_is_never_silent(slot: SlotId) -> None:
    """Dialled each 47 s it was unknown each other minute, and never out of reach for five."""
    readings = _refusals(slot, 1200.0)
    assert {(each.status, each.reason) for each in readings} == {
        (Status.FALSE, Reason.DIAL_REFUSED)
    }
    apart = [(later.at - earlier.at).total_seconds() for earlier, later in pairwise(readings)]
    assert max(apart) < STALE_S
    assert 1200.0 / STALE_S < len(readings) < 60
