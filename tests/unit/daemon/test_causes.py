"""A bad driver and a bad deploy, played through the whole daemon and counted in the ledger."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from keeper.core.events import CauseNamed
from keeper.core.model import SlotId, Stream
from keeper.core.reasons import Reason
from keeper.daemon.declared import Declared
from keeper.sim.contract import Contract
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import run
from keeper.sim.market import MarketShape
from keeper.sim.universe import Universe
from tests.stage import SLOT, Stage

PLENTY = MarketShape(machines=80, display_share=0.9, renters_every_s=0.0, price_drift_every_s=0.0)
SLOTS = 8


def with_streams(declared: Declared, change: Callable[[Stream], Stream]) -> Declared:
    """Change every stream, and give the fleet money enough."""
    desired = declared.desired
    fleet = replace(desired.fleet, spend_max_dollars_per_hour=90.0)
    streams = tuple(
        change(replace(each, spend_max_dollars_per_hour=90.0)) for each in desired.streams
    )
    return replace(declared, desired=replace(desired, streams=streams, fleet=fleet))


def creates(stage: Stage, since: float) -> list[Contract]:
    contracts = stage.universe.market.contracts.values()
    return [each for each in contracts if each.created_at >= since]


def hosts(stage: Stage) -> list[Contract]:
    """The contracts that fill the slots now."""
    contracts = stage.universe.market.contracts
    return [
        contracts[record.tenure.instance_id]
        for record in stage.disk.records.values()
        if record.tenure is not None
        and record.tenure.instance_id is not None
        and record.tenure.first_live_at is not None
    ]


def test_a_bad_driver_is_named_within_three_failures_and_then_avoided() -> None:
    """Hosts with one driver lose their GPU, one every quarter of an hour; the others are well."""

    async def play() -> None:
        async with Stage(
            streams={"duel": SLOTS},
            universe=Universe(3, shape=PLENTY),
            change=lambda declared: with_streams(declared, lambda each: each),
        ) as stage:
            await stage.until(lambda: len(hosts(stage)) == SLOTS, within_s=7200.0, look_s=5.0)
            counts = Counter(each.machine.driver for each in hosts(stage))
            bad = min(counts, key=lambda driver: (abs(counts[driver] - 3), driver))
            struck, since = 0, 0.0
            while not stage.facts.named("cause.named"):
                since = stage.universe.time_s()
                victim = next(each for each in hosts(stage) if each.machine.driver == bad)
                assert stage.universe.market.strike(victim, Fault(kind=FaultKind.GPU_LOST))
                struck += 1
                assert struck <= 3, counts
                await asyncio.sleep(900.0)
            (named,) = (e for e in stage.facts.events if isinstance(e, CauseNamed))
            assert (named.trait, bad in named.detail) == ("driver", True), named
            assert {row.alert for row in stage.disk.outbox.values()} >= {"KeeperCommonCause:driver"}
            chosen = {each.machine.driver for each in creates(stage, since)}
            assert chosen, "the third host was not replaced"
            assert bad not in chosen

    run(play())


def test_a_bad_deploy_costs_at_most_one_replacement() -> None:
    """A revision that cannot be installed: without memory it took five hosts in six hours."""
    wanted = ["r1"]

    def declare(declared: Declared) -> Declared:
        return with_streams(declared, lambda each: replace(each, revision=wanted[0]))

    async def play() -> None:
        first: list[Declared] = []

        def remember(declared: Declared) -> Declared:
            first.append(declared)
            return declare(declared)

        async with Stage(
            streams={"duel": 3},
            change=remember,
            reload=lambda: declare(first[0]),
        ) as stage:
            market = stage.universe.market
            await stage.until(lambda: len(hosts(stage)) == 3, within_s=3600.0)
            await asyncio.sleep(2400.0)  # on air for long enough to be relied on
            assert {r.proven_revision for r in stage.disk.records.values()} == {"r1"}
            wanted[0] = "r2"
            await stage.daemon.reload()
            since = stage.universe.time_s()
            (lost,) = (
                each for each in hosts(stage) if each.label and each.label.endswith("duel/0:1")
            )
            market.strike(lost, Fault(kind=FaultKind.HOST_VANISHES))
            for _ in range(4 * 720):
                for each in creates(stage, since):  # on none of them can it be installed
                    market.strike(each, Fault(kind=FaultKind.DEPLOY_FAILS))
                await asyncio.sleep(5.0)
            assert len(creates(stage, since)) == 2  # for the lost one, and one more
            held = {d.slot: d.reason for d in stage.snapshot.plan.decisions}
            assert held[SLOT] is Reason.BAD_DEPLOY
            on_air = {SlotId("duel/1"), SlotId("duel/2")}
            assert all(stage.disk.records[each].dark_since is None for each in on_air)
            told = {row.alert for row in stage.disk.outbox.values()}
            assert any(key.startswith(("KeeperStreamDark", "KeeperSlotHeld")) for key in told)
            live = [r for r in market.ledger.rentals.values() if r.is_live]
            assert len(live) == 2  # what is of no use to anybody is not kept

            wanted[0] = "r1"
            await stage.daemon.reload()
            await stage.until(lambda: len(hosts(stage)) == 3, within_s=3600.0)

    run(play())
