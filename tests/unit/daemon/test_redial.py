"""A host that refuses us is heard to refuse for as long as it does, however seldom it is dialled."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from typing_extensions import override

from keeper.core.model import Policy, SlotId, Status, Subject
from keeper.core.reasons import Reason
from keeper.daemon.redial import DIAL_TIMEOUT_S, pause_s
from keeper.ports import Address, Link, TimedOut
from keeper.sim.memory_hosts import MemoryHosts
from tests.unit.daemon.watching import SSH_OPEN, seen_in

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


@pytest.mark.parametrize("slot", SLOTS[:4])
def test_a_host_that_swallows_every_dial_is_never_silent(slot: SlotId) -> None:
    """Dialled each 47 s it was unknown each other minute, and never out of reach for five."""
    seen = seen_in(1200.0, SSH_OPEN, hosts=Mute, slot=slot)
    readings = [each for each in seen if each.subject is Subject.LINK]
    assert {(each.status, each.reason) for each in readings} == {
        (Status.FALSE, Reason.DIAL_REFUSED)
    }
    apart = [(later.at - earlier.at).total_seconds() for earlier, later in pairwise(readings)]
    assert max(apart) < STALE_S
    assert 1200.0 / STALE_S < len(readings) < 60
