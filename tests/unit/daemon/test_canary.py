"""The ops box's own network: one address that answers is enough, and one miss is believed by nobody."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from keeper.core.model import Status
from keeper.daemon.canary import Canary
from keeper.ports import Address, Unreachable
from keeper.sim.loop import VirtualClock, run

ONE, OTHER = Address(host="192.0.2.1", port=443), Address(host="192.0.2.2", port=53)


@dataclass
class Declared:
    canary_addresses: tuple[Address, ...] = (ONE, OTHER)
    canary_interval_s: float = 30.0


@dataclass
class Wires:
    """A network on which some addresses answer."""

    answers: set[Address] = field(default_factory=set)
    dialled: list[Address] = field(default_factory=list)

    async def dial(self, address: Address, timeout_s: float) -> None:
        await asyncio.sleep(0)
        assert timeout_s < 10
        self.dialled.append(address)
        if address not in self.answers:
            message = "no route"
            raise Unreachable(message)


def canary(wires: Wires, declared: Declared, nudges: list[Status] | None = None) -> Canary:
    made = Canary(
        wires,  # type: ignore[arg-type]
        VirtualClock(),
        lambda: declared,
        lambda: None if nudges is None else nudges.append(made.status),
    )
    return made


@pytest.mark.parametrize("answers", [{ONE}, {OTHER}, {ONE, OTHER}])
def test_one_address_that_answers_is_enough(answers: set[Address]) -> None:
    async def play() -> Status:
        made = canary(Wires(answers), Declared())
        await made.look()
        return made.status

    assert run(play()) is Status.TRUE


def test_two_misses_in_a_row_of_all_addresses_are_believed_and_told_at_once() -> None:
    """The second is; a hiccup of the box's network must not stop the repair of a fleet."""

    async def play() -> list[Status]:
        wires, said = Wires(), list[Status]()
        made = canary(wires, Declared(), nudges)
        for answers in ({ONE}, set(), {OTHER}, set(), set(), set(), {OTHER}):
            wires.answers = set(answers)
            await made.look()
            said.append(made.status)
        return said

    nudges: list[Status] = []
    good, bad = Status.TRUE, Status.FALSE
    assert run(play()) == [good, good, good, good, bad, bad, good]
    assert nudges == [good, bad, good]


def test_without_addresses_nothing_is_known_and_nobody_is_asked() -> None:
    async def play() -> None:
        wires, declared = Wires(), Declared()
        made = canary(wires, declared)
        await made.look()
        await made.look()
        declared.canary_addresses = ()
        await made.look()
        assert (made.status, len(wires.dialled)) == (Status.UNKNOWN, 4)

    run(play())


def test_looks_at_the_declared_interval() -> None:
    async def play() -> None:
        wires = Wires({ONE})
        made = canary(wires, Declared())
        task = asyncio.create_task(made.run())
        await asyncio.sleep(95.0)
        task.cancel()
        assert len(wires.dialled) == 4

    run(play())


def test_that_the_network_is_back_is_told_once_each_time() -> None:
    async def play() -> list[int]:
        wires, told, after = Wires(), list[int](), list[int]()
        made = Canary(
            wires,  # type: ignore[arg-type]
            VirtualClock(),
            Declared,
            lambda: None,
            is_back=lambda: told.append(1),
        )
        for answers in ({ONE}, {ONE}, set(), {OTHER}, set(), set(), set(), {OTHER}, {OTHER}):
            wires.answers = set(answers)
            await made.look()
            after.append(len(told))
        return after

    assert run(play()) == [1, 1, 1, 1, 1, 1, 1, 2, 2]
