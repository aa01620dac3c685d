"""One simulated run: a seed, some days, a plan of faults; the same daemon as in production.

Faults first, then a calm stretch in which everything must come right; then the auditor reads what
the marketplace, the hosts and the disk have written down. The same seed gives the same journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import orjson

from keeper.ports import JournalEntry
from keeper.sim.audit import audit
from keeper.sim.disk import Disk
from keeper.sim.evidence import COMMAND, REBOOT, Broken, Evidence, Span
from keeper.sim.faultplan import fitted, plan_for
from keeper.sim.faults import KEEPER_KINDS, Fault, FaultKind
from keeper.sim.fleets import (
    DEFAULT,
    DEFAULT_MACHINES,
    DEFAULT_STREAMS,
    OBSERVE,
    REPAIR,
    Fleet,
    Habits,
    fleet_for,
    forbidden,
    watched,
)
from keeper.sim.ledger import Rental
from keeper.sim.lifecycle import Tempo
from keeper.sim.loop import run
from keeper.sim.market import MarketShape, Refusal
from keeper.sim.onlooker import Onlooker
from keeper.sim.opsbox import OpsBox
from keeper.sim.scenarios import Scenario
from keeper.sim.stage import bounds, declared, secrets
from keeper.sim.universe import Message, Universe

DAY_S = 86_400.0
# The calm holds a whole window of replacements: a stream may have used them up in the last storm.
CALM_S = 32_400.0
CONVERGE_S = 3600.0
_CALM_SHARE_MAX = 0.6  # of a run that is shorter than the calm
_SHAPE = MarketShape(
    machines=DEFAULT_MACHINES,
    display_share=0.85,
    credit_dollars=100_000.0,
    renters_every_s=900.0,
    tempo=Tempo(strike_retry_s=20.0),  # most faults wait for something to strike, some for days
)
_DRAIN_S = 120.0
_STORMS_APART = 1_000_003  # so far are the seeds of a storm's plans from each other
_STRIKES_S = 600.0  # the last fault of a plan gets so long to do its harm
_READ_S = 1200.0  # so long into the calm has the operator gone through the alerts
_HEALED = (FaultKind.HOST_OFFLINE, FaultKind.MACHINE_UNLISTED)  # by the calm


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedResult:
    """What came of one seed."""

    seed: int
    slot_hours: float
    dollars: float
    dark_seconds: float
    broken: tuple[Broken, ...]
    journal: bytes
    faults: tuple[Fault, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)  # facts stated, by name
    fleet: str = ""  # what the operator declared, in short


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A run with everything that others wrote down about it."""

    result: SeedResult
    evidence: Evidence
    messages: tuple[Message, ...]
    counted: Mapping[str, float] = field(default_factory=dict)  # keeper's own dollars, by period


def run_seed(
    seed: int, days: float, faults: str = "all", fleet: str = DEFAULT, *, storm: int = 1
) -> SeedResult:
    """Run one seed to its end and audit it. The arguments are those of ``play_seed``."""
    wanted = fleet_for(fleet, seed=seed)
    return replace(
        play_seed(seed, days, faults, fleet, storm=storm).result, fleet=wanted.sentence()
    )


def play_seed(
    seed: int, days: float, faults: str = "all", fleet: str = DEFAULT, *, storm: int = 1
) -> Played:
    """Run one seed to its end and audit it; returns it with all that others wrote down.

    ``faults``: a preset's name or a file's path. ``fleet``: the name of one, or ``any``. ``storm``: so many
    plans of faults at once, on a market that is as many times as large, or it would run out of hosts.
    """
    wanted = fleet_for(fleet, seed=seed)
    plans = (
        plan_for(faults, seed=seed + _STORMS_APART * number, until_s=storm_s(days))
        for number in range(storm)
    )
    plan = tuple(sorted((fault for plan in plans for fault in plan), key=lambda fault: fault.at))
    story = story_of(
        replace(wanted, machines=wanted.machines * storm),
        seed=seed,
        duration_s=days * DAY_S,
        plan=plan,
    )
    return story.run()


def run_plan(seed: int, days: float, plan: tuple[Fault, ...], fleet: str = DEFAULT) -> SeedResult:
    """Run one seed with these faults, as if they had come from a file."""
    return _run(seed, days, fitted(plan, storm_s(days)), fleet)


def storm_s(days: float) -> float:
    """Return how long faults may strike in a run of so many days; then it is calm."""
    return days * DAY_S - _calm_s(days * DAY_S)


def days_for(plan: tuple[Fault, ...]) -> float:
    """Return how many days a run must have at least, so that all these faults strike in it."""
    last_s = max((fault.at for fault in plan), default=0.0) + _STRIKES_S
    storm_share = 1.0 - _CALM_SHARE_MAX
    is_short = last_s / storm_share < CALM_S / _CALM_SHARE_MAX
    return (last_s / storm_share if is_short else last_s + CALM_S) / DAY_S


def _run(seed: int, days: float, plan: tuple[Fault, ...], fleet: str) -> SeedResult:
    wanted = fleet_for(fleet, seed=seed)
    story = story_of(wanted, seed=seed, duration_s=days * DAY_S, plan=plan)
    return replace(story.run().result, fleet=wanted.sentence())


def story_of(fleet: Fleet, *, seed: int, duration_s: float, plan: tuple[Fault, ...]) -> Story:
    """Return the story of a fleet."""
    return Story(
        seed=seed,
        duration_s=duration_s,
        plan=plan,
        streams=fleet.streams,
        bidders=fleet.bidders,
        day_caps=fleet.day_caps,
        habits=fleet.habits,
        machines=fleet.machines,
        strangers=fleet.strangers,
    )


def run_scenario(scenario: Scenario, seed: int = 1, *, rate: float = float("inf")) -> Played:
    """Play a named story. ``unmet`` says which of its expectations were not met."""
    story = Story(
        seed=seed,
        duration_s=scenario.hours * 3600.0,
        plan=scenario.faults,
        streams=scenario.streams,
        strangers=0,
    )
    return story.run(rate=rate)


def _calm_s(duration_s: float) -> float:
    return min(CALM_S, duration_s * _CALM_SHARE_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is to be run."""

    seed: int
    duration_s: float
    plan: tuple[Fault, ...] = ()
    streams: Mapping[str, int] = field(default_factory=lambda: DEFAULT_STREAMS)
    bidders: frozenset[str] = frozenset()  # streams that bid for interruptible hosts
    day_caps: Mapping[str, float] = field(default_factory=dict)  # dollars, by stream; "": all
    habits: Habits = field(default_factory=Habits)
    machines: int = DEFAULT_MACHINES  # of the market
    strangers: int = 2  # rentals of the account that are not keeper's
    has_foresight: bool = True  # beats at which nothing can have changed are passed over

    @property
    def _wanted(self) -> tuple[Mapping[str, int], frozenset[str], Mapping[str, float], Habits]:
        return self.streams, self.bidders, self.day_caps, self.habits

    @property
    def _fleet(self) -> Fleet:
        return Fleet(streams=self.streams, habits=self.habits)

    @property
    def calm_s(self) -> float:
        """How long it is calm at the end."""
        return _calm_s(self.duration_s)

    def run(self, *, rate: float = float("inf")) -> Played:
        """Run it to its end, in a loop of its own, and audit it."""
        return run(self._play(), rate=rate)

    async def _play(self) -> Played:
        loop = asyncio.get_running_loop()
        universe = Universe(self.seed, shape=replace(_SHAPE, machines=self.machines))
        universe.hosts.ingest.streams = self.habits.one_publisher
        began_at = universe.time_s()
        Onlooker(universe.market, declared(*self._wanted).desired.streams[0].needs)
        disk = Disk(keeper_id=f"{self.seed:08x}")
        if self.strangers:
            _populate(universe, self.strangers, disk.keeper_id, self.duration_s / 5)
        box = OpsBox(
            universe,
            disk,
            lambda: declared(*self._wanted, universe.time_s() - began_at),
            has_foresight=self.has_foresight,
            has_releases=True,
        )
        box.be_on_call()
        for spell in self.habits.spells:
            for at in (spell.since_s, spell.until_s):
                loop.call_later(at, box.reload)
        for fault in self.plan:
            loop.call_later(fault.at, _befall, universe, box, fault)
        calm_at = began_at + self.duration_s - self.calm_s
        calm_in_s = self.duration_s - self.calm_s
        loop.call_later(calm_in_s, _calm, universe, box)
        loop.call_later(calm_in_s + min(_READ_S, self.calm_s / 6), box.look_again)
        life = asyncio.create_task(box.run(), name="ops box")
        await asyncio.wait({life}, timeout=self.duration_s)
        if life.done():
            await life  # a bug of the simulator itself: let it be seen
        universe.market.advance()
        universe.market.settle()
        evidence = self._evidence(universe, box, began_at, calm_at)
        broken = audit(evidence)
        result = SeedResult(
            seed=self.seed,
            slot_hours=len(evidence.slots) * self.duration_s / 3600.0,
            dollars=round(sum(rental.dollars for rental in _ours(evidence)), 4),
            dark_seconds=round(sum(evidence.dark_s(slot) for slot in evidence.slots), 1),
            broken=broken,
            journal=journal_bytes(disk.chronicle),
            faults=self.plan,
            counts=Counter(box.counts),
        )
        await box.stop()
        await asyncio.wait({life}, timeout=_DRAIN_S)
        life.cancel()
        return Played(
            result=result,
            evidence=evidence,
            messages=tuple(universe.mailbox.messages),
            counted={
                period: sum(tally.dollars for tally in tallies.values())
                for period, tallies in disk.tallies.items()
            },
        )

    def _evidence(
        self, universe: Universe, box: OpsBox, began_at: float, calm_at: float
    ) -> Evidence:
        converge_s = min(CONVERGE_S, self.calm_s / 2)
        steps, ended_at = tuple(box.clock_steps), universe.time_s()

        def shut(*allows: str) -> Mapping[str, tuple[Span, ...]]:
            return forbidden(
                self._fleet,
                frozenset(allows),
                began_at=began_at,
                ended_at=ended_at,
                clock_steps=steps,
            )

        return Evidence(
            ledger=universe.market.ledger,
            slot_of=_slots_of(box.disk.keeper_id),
            desired={k: v for k, v in self.streams.items() if k not in self.habits.watched},
            began_at=began_at,
            calm_at=calm_at,
            ended_at=ended_at,
            bounds=bounds(converge_s, *self._wanted),
            observed=shut(OBSERVE),
            unreplaced=shut(OBSERVE, REPAIR),
            watched=watched(self._fleet, began_at=began_at, ended_at=ended_at),
            labels_written=tuple((universe.at(at), label) for at, label in box.disk.labels_written),
            labels_closed=tuple((universe.at(at), label) for at, label in box.disk.labels_closed),
            moves=tuple(replace(each, at=universe.at(each.at)) for each in box.disk.moves),
            paused=tuple(box.paused),
            killed_at=tuple(box.killed_at),
            unhandled=tuple(box.unhandled.entries),
            blind=tuple(box.blind),
            clock_steps=steps,
            vouched=tuple((each.begins_at, each.ends_at) for each in universe.vouched),
            ordered=tuple(box.ordered),
            silenced=tuple(box.silenced),
            deploys=() if box.releases is None else tuple(box.releases.told),
            messages=tuple((each.at, each.body) for each in universe.mailbox.messages),
            refused=tuple((each.at, each.body) for each in universe.mailbox.refused),
            secrets=secrets(self.streams),
            texts={
                "journal": journal_bytes(box.disk.chronicle).decode(),
                "facts": "\n".join(sorted(box.said)),
            },
        )


def unmet(scenario: Scenario, played: Played) -> tuple[str, ...]:
    """Return what a scenario expected and did not get, in words."""
    evidence, expected = played.evidence, scenario.expected
    rentals = _ours(evidence)
    commands = [e.detail for e in evidence.ledger.hosts if e.what == COMMAND]
    reboots = [r for r in evidence.ledger.requests if (r.method, r.endpoint) == REBOOT]
    asked_to_end = [r for r in rentals if r.instance_id in evidence.condemned_at]
    bounds_of = (
        ("rentals", len(rentals), expected.rentals, expected.rentals),
        ("rentals", len(rentals), None, expected.rentals_max),
        ("rentals asked to end", len(asked_to_end), expected.destroys, expected.destroys),
        (
            "process restarts",
            commands.count("restart.process.start"),
            expected.restarts_min,
            expected.restarts_max,
        ),
        (
            "workload restarts",
            commands.count("restart.workload.start"),
            expected.workload_restarts_min,
            None,
        ),
        ("reboots", len(reboots), expected.reboots_min, None),
        ("dark seconds", played.result.dark_seconds, None, expected.dark_max_s),
        ("messages", len(played.messages), expected.messages_min, expected.messages_max),
    )
    return tuple(
        f"{what}: {found:g}, expected {'' if low is None else f'{low:g}'}"
        f"..{'' if high is None else f'{high:g}'}"
        for what, found, low, high in bounds_of
        if (low is not None and found < low) or (high is not None and found > high)
    )


def _populate(universe: Universe, count: int, keeper_id: str, other_leaves_s: float) -> None:
    """Give the account rentals that are not ours: nobody's, and for a while another keeper's.

    Some of their labels look much like ours.
    """
    labels = ("training run", "keeper:another:duel/0:1")
    alike = (f"keeper:{keeper_id}0:duel/0:1", f"Keeper:{keeper_id}:duel/0:1", "duel/0", "")
    for number in range(count):
        label = labels[number] if number < len(labels) else alike[number % len(alike)]
        # What keeper would hardly want, so that its own choice stays as large as it is.
        ask = min(universe.market.asks(), key=lambda each: each.machine.has_display)
        body = {"image": "foreign:1", "disk": 16.0, "label": label}
        made = universe.market.create(ask.offer_id, body)
        if label == labels[1]:
            loop = asyncio.get_running_loop()
            loop.call_later(other_leaves_s, _leave, universe, made["new_contract"])
    universe.wind()


def _leave(universe: Universe, instance_id: int) -> None:
    """Let the other keeper end its rental, if it still has it."""
    with contextlib.suppress(Refusal):
        universe.market.destroy(instance_id)
    universe.wind()


def _befall(universe: Universe, box: OpsBox, fault: Fault) -> None:
    """Let one fault of the plan happen to whom it belongs."""
    if fault.kind in KEEPER_KINDS:
        box.befall(fault)
        return
    universe.market.arm(replace(fault, at=0.0))
    if fault.kind is FaultKind.CREDIT_ZERO:
        loop = asyncio.get_running_loop()
        loop.call_later(fault.for_s or 600.0, _pay_in, universe)
    universe.wind()


def _pay_in(universe: Universe) -> None:
    universe.market.give_credit(_SHAPE.credit_dollars)
    universe.wind()


def _calm(universe: Universe, box: OpsBox) -> None:
    """End everything that is armed or lasts; what is broken stays broken."""
    market = universe.market
    universe.outlook.break_all()
    market.advance()
    market.faults.clear()
    market.auction.rest()
    for contract in tuple(market.contracts.values()):
        for kind in (*sorted(contract.overlays), *_HEALED):
            market.heal(contract, kind)
    universe.own_network_is_down = False
    universe.mailbox.refuse_until = 0.0
    box.disk.commits_to_refuse = 0
    if box.releases is not None:
        box.releases.mend()
        box.reload()
    universe.wind()


def _slots_of(keeper_id: str) -> Callable[[str], str | None]:
    """Return how to read a slot from a label of this keeper's."""
    pattern = re.compile(rf"keeper:{re.escape(keeper_id)}:(?P<slot>.+/(?:spare-)?\d+):\d+")

    def slot_of(label: str) -> str | None:
        found = pattern.fullmatch(label)
        return found["slot"] if found else None

    return slot_of


def _ours(evidence: Evidence) -> list[Rental]:
    return list(evidence.ours)


def journal_bytes(entries: list[JournalEntry]) -> bytes:
    """Return a journal as JSON lines with sorted keys: what is compared byte for byte."""
    lines = [
        orjson.dumps(
            {
                "at": entry.at,
                "tick": entry.tick,
                "event": entry.event,
                "slot": entry.slot,
                "facts": dict(entry.facts),
            },
            default=str,
            option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE,
        )
        for entry in entries
    ]
    return b"".join(lines)
