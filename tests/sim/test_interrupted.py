"""Power cuts: keeper is killed at every single port call of a story, and each run comes right.

The story rents, deploys, restarts by order and by itself, replaces, destroys and rents again. In its
first process every call of a port, and so every moment before and after a commit, is a place where
the power can go. Whatever is half done then, the next process must end with one rental on air,
everything else gone, and an auditor who has nothing to say.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from typing_extensions import override

from keeper.core.model import SlotId
from keeper.core.world import Order, OrderKind
from keeper.daemon.supervise import Daemon
from keeper.ports import PortError
from keeper.sim.audit import audit
from keeper.sim.disk import Disk
from keeper.sim.evidence import Evidence
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import run
from keeper.sim.market import MarketShape
from keeper.sim.opsbox import OpsBox
from keeper.sim.power import Power
from keeper.sim.stage import bounds, declared
from keeper.sim.universe import Universe

SLOT = SlotId("duel/0")
STREAMS = {"duel": 1}
# What the operator does and what befalls the host, which is on air after 200 s.
PLOT: tuple[tuple[float, OrderKind | FaultKind], ...] = (
    (320.0, OrderKind.RESTART),
    (420.0, FaultKind.PROCESS_KILLED),
    (520.0, OrderKind.REPLACE),
    (1150.0, OrderKind.DESTROY),
    (1300.0, OrderKind.RESUME),
)
OVER_S = 1700.0  # without a power cut, everything is done by then
CALM_S = 2400.0  # a doubtful create, two boots and a warm-up fit into it
_KEEPER_ID = "00000001"
_QUIET = MarketShape(machines=20, display_share=0.8, renters_every_s=0.0, price_drift_every_s=0.0)
_CHUNKS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one run ended."""

    calls: tuple[int, ...]  # of ports, by each process, until the story was over
    alive: tuple[str, ...]  # labels of our rentals that still bill
    is_on_air: bool
    broken: tuple[str, ...]
    facts: frozenset[str]  # names of what was journalled
    rentals: int


class _Box(OpsBox):
    """An ops box whose power goes at chosen calls: one for each process, then never again."""

    def __init__(self, universe: Universe, disk: Disk, cuts: tuple[int, ...]) -> None:
        super().__init__(universe, disk, lambda: declared(STREAMS))
        self._cuts = list(cuts)
        self.powers: list[Power] = []

    @override
    def _boot(self, power: Power) -> Daemon:
        self.powers.append(power)
        if self._cuts:
            power.cut_at(self._cuts.pop(0))
        return super()._boot(power)


def _play(*cuts: int) -> Ending:
    return run(_played(cuts))


async def _played(cuts: tuple[int, ...]) -> Ending:
    universe = Universe(1, shape=_QUIET)
    began_at = universe.time_s()
    box = _Box(universe, Disk(keeper_id=_KEEPER_ID), cuts)
    plot = asyncio.create_task(_plot(universe, box), name="plot")
    await asyncio.sleep(0)  # it is there before keeper is, or it would be buried with it
    life = asyncio.create_task(box.run(), name="ops box")
    await asyncio.sleep(OVER_S)
    calls = tuple(power.moments for power in box.powers)
    await asyncio.wait({life}, timeout=CALM_S)
    await plot
    universe.market.advance()
    universe.market.settle()
    evidence = Evidence(
        ledger=universe.market.ledger,
        slot_of=_slot_of,
        desired=STREAMS,
        began_at=began_at,
        calm_at=began_at + OVER_S,
        ended_at=universe.time_s(),
        bounds=bounds(CALM_S / 2),
        labels_written=tuple((universe.at(at), label) for at, label in box.disk.labels_written),
        killed_at=tuple(box.killed_at),
        unhandled=tuple(box.unhandled.entries),
    )
    ours = [rental for rentals in evidence.rentals.values() for rental in rentals]
    spans = evidence.slot_on_air(SLOT)
    ending = Ending(
        calls=calls,
        alive=tuple(rental.label for rental in ours if rental.ended_at is None),
        is_on_air=bool(spans) and spans[-1][1] >= evidence.ended_at,
        broken=tuple(broken.sentence() for broken in audit(evidence)),
        facts=frozenset(entry.event for entry in box.disk.chronicle),
        rentals=len(ours),
    )
    await box.stop()
    await asyncio.wait({life}, timeout=120.0)
    assert life.done(), "keeper does not stop"
    return ending


def _slot_of(label: str) -> str | None:
    head, _, rest = label.partition(f"keeper:{_KEEPER_ID}:")
    return rest.rpartition(":")[0] if rest and not head else None


async def _plot(universe: Universe, box: OpsBox) -> None:
    """Be the operator and the fate. An order that got no answer is given again."""
    passed_s = 0.0
    for at_s, what in PLOT:
        await asyncio.sleep(max(0.0, at_s - passed_s))
        began_s = universe.time_s()
        if isinstance(what, FaultKind):
            universe.market.arm(Fault(kind=what, at=0.0))
            universe.wind()
        else:
            await _order(box, what)
        passed_s = at_s + universe.time_s() - began_s


async def _order(box: OpsBox, kind: OrderKind) -> None:
    while True:
        daemon = box.daemon
        if daemon is not None:
            order = Order(
                order_id=kind.value, kind=kind, slot=SLOT, actor="ada", reason="a story",
                at=box.clock.now(),
            )  # fmt: skip
            try:
                async with asyncio.timeout(40.0):
                    await daemon.loaded()
                    await daemon.order(order)
            except (PortError, TimeoutError):
                pass
            else:
                return
        await asyncio.sleep(5.0)


@pytest.fixture(scope="module")
def undisturbed() -> Ending:
    return _play()


def _wrong(*cuts: int) -> Iterator[str]:
    """Say what is not as it must be after these cuts."""
    ending = _play(*cuts)
    name = f"power cut at call {', then '.join(map(str, cuts))}"
    if len(ending.alive) != 1:
        yield f"{name}: alive are {ending.alive}"
    if not ending.is_on_air:
        yield f"{name}: not on air"
    for broken in ending.broken:
        yield f"{name}: {broken}"


def test_the_story_does_what_it_is_to_be_interrupted_in(undisturbed: Ending) -> None:
    assert undisturbed.broken == ()
    assert len(undisturbed.alive) == 1
    assert undisturbed.is_on_air
    assert undisturbed.rentals == 3
    assert undisturbed.facts >= {
        "instance.rented", "workload.deployed", "workload.restarted", "instance.ended",
        "order.accepted", "stream.on_air",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("chunk", range(_CHUNKS))
def test_a_power_cut_at_any_call_of_a_port_comes_right(chunk: int, undisturbed: Ending) -> None:
    """Each call is gone through before, between and after its effect, commits included."""
    (calls,) = undisturbed.calls
    wrong = [each for cut in range(1 + chunk, calls, _CHUNKS) for each in _wrong(cut)]
    assert wrong == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("again", [2, 5, 9, 14, 22, 35])
def test_a_second_power_cut_while_it_recovers_comes_right_too(
    again: int, undisturbed: Ending
) -> None:
    (calls,) = undisturbed.calls
    wrong = [each for cut in range(7, calls, 23) for each in _wrong(cut, again, again)]
    assert wrong == []
