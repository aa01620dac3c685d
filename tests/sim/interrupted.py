"""Stories that are interrupted: what an operator orders and fate sends, and how it must all end.

Each runs in virtual time on the simulated ops box, with the daemon's awaits marked. A run can be cut
off at any moment of its first process, and at any of the processes that follow; an undisturbed run
tells which moments there are.
"""

import asyncio
import math
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from typing_extensions import override

from keeper.core.model import OfferId, SlotId
from keeper.core.world import Order, OrderKind, Snapshot
from keeper.daemon.declared import Declared
from keeper.daemon.once import run_until
from keeper.daemon.supervise import Daemon
from keeper.ports import PortError
from keeper.sim.audit import audit
from keeper.sim.disk import Disk
from keeper.sim.evidence import Bounds, Evidence
from keeper.sim.faults import Fault
from keeper.sim.fleets import Habits, Spared
from keeper.sim.loop import VirtualClock, VirtualLoop, run
from keeper.sim.market import MarketShape
from keeper.sim.memory import MemoryMarketplace
from keeper.sim.opsbox import OpsBox
from keeper.sim.power import Power
from keeper.sim.stage import bounds, declared
from keeper.sim.story import journal_bytes
from keeper.sim.universe import Universe
from tests.archives import MemoryArchive
from tests.sim.awaits import Edge, Marked

Deed = Callable[[Universe, OpsBox], Awaitable[None]]
Change = Callable[[Declared], Declared]

SLOT = SlotId("duel/0")
_KEEPER_ID = "00000001"
_QUIET = MarketShape(machines=20, display_share=0.8, renters_every_s=0.0, price_drift_every_s=0.0)
_LOOK_EVERY_S = 60.0
_SETTLED_FOR_S = 240.0  # longer than anything that keeper puts off for a while
_ALONE_S = 900.0
_FREEZE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happens, and when all of it must have come right."""

    name: str
    acts: tuple[tuple[float, OrderKind | Fault | Deed], ...] = ()
    over_s: float  # without a power cut, everything is done by then
    calm_s: float = 2400.0  # a doubtful create, two boots and a warm-up fit into it
    thorough_from_s: float | None = None  # from here on it is cut off around each effect
    thorough_until_s: float = math.inf  # what comes then, another story is cut off in
    replicas: int = 1
    spares: int = 0  # prepared, so not on air
    is_dark: bool = False  # nothing is to be rented
    bidders: frozenset[str] = frozenset()
    change: Change = lambda each: each
    is_alone: bool = (
        False  # a verb without a running keeper, begun again until it has done its work
    )
    has_one_publisher: bool = False
    has_releases: bool = False  # what the stream runs has a name, and deeds change it
    rentals_max: int = 0  # in all, whenever keeper is cut off; 0: nobody counts
    has_archive: bool = False  # deploys leave logs, and hosts that end leave a bundle
    meets_bugs: bool = False  # of which the box is told, as it must

    def declared(self) -> Declared:
        """Return what the operator declares."""
        return self.change(declared({"duel": self.replicas}, self.bidders))

    @property
    def one_publisher(self) -> frozenset[str]:
        """The streams of which the ingest takes one publisher."""
        return frozenset({"duel"}) if self.has_one_publisher else frozenset()

    @property
    def alive(self) -> int:
        """How many rentals there are to be at the end."""
        return sum(self.desired.values()) + self.spares

    @property
    def desired(self) -> Mapping[str, int]:
        """How many are to be on air."""
        return {} if self.is_dark else {"duel": self.replicas}


@dataclass(frozen=True, slots=True)
class Pass:
    """One mark that the first process passed."""

    at_s: float
    site: int
    edge: Edge
    epoch: tuple[int, ...]  # grows with each effect on the world or the disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one run ended."""

    moments: tuple[int, ...]  # passed by each process until the story was over
    passes: Mapping[int, Pass] = field(
        repr=False
    )  # of the first process, by moment: all, or the cut
    alive: tuple[str, ...]  # labels of our rentals that still bill
    is_on_air: bool
    broken: tuple[str, ...]
    facts: Mapping[str, int]  # what was journalled, by name
    rentals: int
    journal: bytes = field(repr=False)


@dataclass(slots=True, kw_only=True)
class _Tape:
    """Hears every mark, and gives each a moment of the running process."""

    universe: Universe
    disk: Disk
    powers: list[Power] = field(default_factory=list)
    only: int | None  # the moment of interest; None: all of them
    stall_at: int | None = None  # a moment at which the process is frozen for a minute
    passes: dict[int, Pass] = field(default_factory=dict)

    def passed(self, site: int, edge: Edge) -> bool:
        """Take a mark; says whether there is still power after it."""
        power = self.powers[-1]
        if not power.is_on:
            return False
        if len(self.powers) == 1 and self.only in (None, power.moments + 1):
            at_s = asyncio.get_running_loop().time()
            self.passes[power.moments + 1] = Pass(at_s, site, edge, self._epoch())
        is_on = power.moment()
        if power.moments == self.stall_at and len(self.powers) == 1:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            loop.stall(_FREEZE_S)
        return is_on

    def _epoch(self) -> tuple[int, ...]:
        ledger = self.universe.market.ledger
        return (self.disk.commits, len(ledger.rentals), len(ledger.hosts), self.universe.links_made)


class _Box(OpsBox):
    """An ops box whose power goes at chosen moments: one for each process, then never again."""

    def __init__(
        self, story: Story, universe: Universe, tape: _Tape, marked: Marked, cuts: tuple[int, ...]
    ) -> None:
        self.archive = MemoryArchive(VirtualClock())
        super().__init__(
            universe,
            tape.disk,
            story.declared,
            has_foresight=False,
            has_releases=story.has_releases,
            archive=self.archive if story.has_archive else None,
        )
        self._story = story
        self._tape = tape
        self._marked = marked
        self._cuts = list(cuts)

    @override
    def _boot(self, power: Power) -> Daemon:
        self._tape.powers.append(power)
        if self._cuts:
            power.cut_at(self._cuts.pop(0))
        elif len(self._tape.powers) > 1:
            self._marked.hush()  # its moments are nobody's
        return super()._boot(power)

    @override
    async def _life(self, daemon: Daemon) -> None:
        if self._story.is_alone:
            await daemon.open()
            await daemon.journal(limit=100)
            with suppress(PortError):  # it ends with the error's code, and is begun again
                self._is_over = await run_until(
                    daemon, _is_on_air, orders=(rent(self),), timeout_s=_ALONE_S
                )
        else:
            await daemon.run()
        assert isinstance(self.marketplace, MemoryMarketplace)
        await self.marketplace.aclose()


def rent(box: OpsBox) -> Order:
    """Return the order to fill the slot."""
    return Order(
        order_id="rent", kind=OrderKind.RENT, slot=SLOT, actor="ada", reason="a story",
        at=box.clock.now(),
    )  # fmt: skip


def _is_on_air(snapshot: Snapshot) -> bool:
    record = snapshot.records.get(SLOT)
    return (
        record is not None and record.tenure is not None and record.tenure.first_live_at is not None
    )


def play(story: Story, marked: Marked, *cuts: int, stall_at: int | None = None) -> Ending:
    """Play a story, its processes cut off at these moments: the first at the first, and so on.

    ``stall_at``: instead of that, the first process is frozen for a minute.
    """
    with warnings.catch_warnings():
        # A call that a dead process had prepared and never made.
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
        return run(_played(story, marked, cuts, stall_at))


async def _played(
    story: Story, marked: Marked, cuts: tuple[int, ...], stall_at: int | None
) -> Ending:
    universe = Universe(1, shape=_QUIET)
    universe.hosts.ingest.streams = story.one_publisher
    disk = Disk(keeper_id=_KEEPER_ID)
    tape = _Tape(
        universe=universe, disk=disk, only=cuts[0] if cuts else stall_at, stall_at=stall_at
    )
    box = _Box(story, universe, tape, marked, cuts)
    with marked.telling(tape):
        return await _until_it_is_right(story, universe, box, tape)


async def _until_it_is_right(story: Story, universe: Universe, box: _Box, tape: _Tape) -> Ending:
    began_at = universe.time_s()
    plot = asyncio.create_task(_plot(story, universe, box), name="plot")
    await asyncio.sleep(0)  # it is there before keeper is, or it would be buried with it
    life = asyncio.create_task(box.run(), name="ops box")
    await asyncio.sleep(story.over_s)
    moments = tuple(power.moments for power in tape.powers)
    await _settle(story, universe, box)
    await plot
    universe.market.advance()
    universe.market.settle()
    evidence = Evidence(
        ledger=universe.market.ledger,
        slot_of=_slot_of,
        desired=story.desired,
        began_at=began_at,
        calm_at=began_at + story.over_s,
        ended_at=universe.time_s(),
        bounds=_bounds(story),
        labels_written=tuple((universe.at(at), label) for at, label in box.disk.labels_written),
        labels_closed=tuple((universe.at(at), label) for at, label in box.disk.labels_closed),
        moves=tuple(replace(each, at=universe.at(each.at)) for each in box.disk.moves),
        killed_at=tuple(box.killed_at),
        ordered=None if story.is_alone else tuple(box.ordered),
        unhandled=() if story.meets_bugs else tuple(box.unhandled.entries),
        deploys=() if box.releases is None else tuple(box.releases.told),
    )
    ours = evidence.ours
    ending = Ending(
        moments=moments,
        passes=tape.passes,
        alive=tuple(rental.label for rental in ours if rental.ended_at is None),
        is_on_air=all(_has_picture(evidence, slot) for slot in evidence.slots),
        broken=tuple(broken.sentence() for broken in audit(evidence)),
        facts=Counter(entry.event for entry in box.disk.chronicle),
        rentals=len(ours),
        journal=journal_bytes(box.disk.chronicle),
    )
    await box.stop()
    await asyncio.wait({life}, timeout=120.0)
    assert life.done(), "keeper does not stop"
    return ending


def _bounds(story: Story) -> Bounds:
    habits = Habits(
        spares={"duel": Spared(count=story.spares)} if story.spares else {},
        one_publisher=story.one_publisher,
    )
    found = bounds(story.calm_s / 2, ("duel",), story.bidders, habits=habits)
    # A verb that has done its work ends, and nobody looks any more.
    return replace(found, silence_s=math.inf) if story.is_alone else found


async def _settle(story: Story, universe: Universe, box: OpsBox) -> None:
    """Wait until all is well and has been for a while, at most as long as it may take."""
    well_s = 0.0
    for _ in range(round(story.calm_s / _LOOK_EVERY_S)):
        await asyncio.sleep(_LOOK_EVERY_S)
        live = [rental.instance_id for rental in universe.market.ledger.live()]
        hosts = universe.hosts.by_instance
        is_well = (
            len(live) == story.alive
            and not (box.disk.intents or box.disk.condemned)
            and sum(each in hosts and hosts[each].was_on_air for each in live)
            == len(live) - story.spares
        )
        well_s = well_s + _LOOK_EVERY_S if is_well else 0.0
        if well_s >= _SETTLED_FOR_S:
            return


def _has_picture(evidence: Evidence, slot: str) -> bool:
    spans = evidence.slot_on_air(slot)
    return bool(spans) and spans[-1][1] >= evidence.ended_at


def _slot_of(label: str) -> str | None:
    head, _, rest = label.partition(f"keeper:{_KEEPER_ID}:")
    return rest.rpartition(":")[0] if rest and not head else None


async def _plot(story: Story, universe: Universe, box: OpsBox) -> None:
    """Be the operator and the fate. An order that got no answer is given again."""
    passed_s = 0.0
    for at_s, what in story.acts:
        await asyncio.sleep(max(0.0, at_s - passed_s))
        began_s = universe.time_s()
        if isinstance(what, Fault):
            universe.market.arm(what)
            universe.wind()
        elif isinstance(what, OrderKind):
            await give(box, what)
        else:
            await what(universe, box)
        passed_s = at_s + universe.time_s() - began_s


async def give(box: OpsBox, kind: OrderKind, offer_id: OfferId | None = None) -> None:
    """Be the operator: give an order until a keeper has taken it."""
    while True:
        daemon = box.daemon
        if daemon is not None:
            box.note_order(SLOT)
            order = Order(
                order_id=kind.value, kind=kind, slot=SLOT, actor="ada", reason="a story",
                at=box.clock.now(), offer_id=offer_id,
            )  # fmt: skip
            # A task of the keeper's: what asked for it ends with the process.
            asked = asyncio.create_task(_ask(daemon, order), name="order")
            await asyncio.wait({asked}, timeout=40.0)
            if asked.done() and not asked.cancelled() and asked.result():
                return
        await asyncio.sleep(5.0)


async def _ask(daemon: Daemon, order: Order) -> bool:
    try:
        await daemon.loaded()
        await daemon.order(order)
    except PortError:
        return False
    return True


def wrong(
    story: Story, marked: Marked, *cuts: int, stall_at: int | None = None
) -> tuple[Ending, list[str]]:
    """Say what is not as it must be after these cuts, or this standstill, and how it ended."""
    ending = play(story, marked, *cuts, stall_at=stall_at)
    befell = f"power cut at moment {', then '.join(map(str, cuts)) or 'none'}"
    if stall_at is not None:
        befell = f"frozen at moment {stall_at}"
    return ending, list(_complaints(story, ending, befell))


def _complaints(story: Story, ending: Ending, befell: str) -> Iterator[str]:
    name = f"{story.name}, {befell}"
    if len(ending.alive) != story.alive:
        yield f"{name}: alive are {ending.alive}"
    if not ending.is_on_air:
        yield f"{name}: not on air"
    if story.rentals_max and ending.rentals > story.rentals_max:
        yield f"{name}: {ending.rentals} rentals"
    for broken in ending.broken:
        yield f"{name}: {broken}"
