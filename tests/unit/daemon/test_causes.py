"""A bad driver and a bad deploy, played through the whole daemon and counted in the ledger."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from keeper.core.events import CauseNamed, RevisionBad
from keeper.core.model import Stream
from keeper.daemon.declared import Declared
from keeper.sim.contract import Contract
from keeper.sim.deploys import Deploy, with_deploys
from keeper.sim.evidence import STARTED
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import run
from keeper.sim.market import MarketShape
from keeper.sim.universe import Universe
from keeper.sim.virtual_hosts import CRASHES, FAILS_TO_START, FREEZES
from tests.stage import Stage

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


def _driver_of(host: Contract) -> str:
    return host.machine.driver


def _owner_of(host: Contract) -> str:
    return str(host.machine.host_id)


@pytest.mark.parametrize(
    ("trait", "told"), [("driver", _driver_of), ("owner", _owner_of)], ids=["driver", "owner"]
)
def test_a_bad_driver_or_owner_is_named_within_three_failures_and_then_avoided(
    trait: str, told: Callable[[Contract], str]
) -> None:
    """Hosts that share one lose their GPU, one every quarter of an hour; the others are well."""

    async def play() -> None:
        async with Stage(
            streams={"duel": SLOTS},
            universe=Universe(3, shape=PLENTY),
            change=lambda declared: with_streams(declared, lambda each: each),
        ) as stage:
            await stage.until(lambda: len(hosts(stage)) == SLOTS, within_s=7200.0, look_s=5.0)
            counts = Counter(map(told, hosts(stage)))
            bad = min(counts, key=lambda value: (abs(counts[value] - 3), value))
            assert counts[bad] >= 2, "one host is a bad machine, not a cause"
            struck, since = 0, 0.0
            while not stage.facts.named("cause.named"):
                since = stage.universe.time_s()
                victim = next(each for each in hosts(stage) if told(each) == bad)
                assert stage.universe.market.strike(victim, Fault(kind=FaultKind.GPU_LOST))
                struck += 1
                assert struck <= 3, counts
                await asyncio.sleep(900.0)
            (named,) = (e for e in stage.facts.events if isinstance(e, CauseNamed))
            assert (named.trait, bad in named.detail) == (trait, True), named
            alerts = {row.alert for row in stage.disk.outbox.values()}
            assert f"KeeperCommonCause:{trait}" in alerts
            chosen = {told(each) for each in creates(stage, since)}
            assert chosen, "the last host was not replaced"
            assert bad not in chosen

    run(play())


GOOD = Deploy(prompt="good")
# how the bad deploy fails, what it is, and how many hosts it costs at most
FLAWS = [
    (FREEZES, Deploy(prompt="bad"), 0),
    (FAILS_TO_START, Deploy(prompt="bad"), 0),
    (CRASHES, Deploy(prompt="good", image="bad:1"), 1),
]


@pytest.mark.parametrize(("flaw", "deploy", "hosts_max"), FLAWS)
def test_a_bad_deploy_costs_at_most_one_replacement(
    flaw: str, deploy: Deploy, hosts_max: int
) -> None:
    """It comes to one slot of three, is taken back there, and the others never hear of it."""
    wanted = {"duel": GOOD}

    async def play() -> None:
        first: list[Declared] = []

        def declare(declared: Declared) -> Declared:
            first.append(declared)
            return with_deploys(with_streams(declared, lambda each: each), wanted)

        async with Stage(
            streams={"duel": 3}, change=declare, reload=lambda: declare(first[0])
        ) as stage:
            word = next(w for w in (deploy.prompt, deploy.image) if w.startswith("bad"))
            stage.universe.hosts.flaws = {"good": "", word: flaw}
            await stage.until(lambda: len(hosts(stage)) == 3, within_s=3600.0)
            await asyncio.sleep(1200.0)  # on air for long enough to be relied on
            wanted["duel"] = deploy
            await stage.daemon.reload()
            since = stage.universe.time_s()
            await asyncio.sleep(2 * 3600.0)
            assert len(creates(stage, since)) <= hosts_max
            started = {
                (entry.instance_id, entry.detail)
                for entry in stage.universe.market.ledger.hosts
                if entry.what == STARTED and word in entry.detail.split("|")
            }
            assert len({instance_id for instance_id, _ in started}) == 1
            assert all(record.dark_since is None for record in stage.disk.records.values())
            (bad,) = (e for e in stage.facts.events if isinstance(e, RevisionBad))
            assert bad.detail.startswith("changed: prompt" if word == "bad" else "changed: image")
            assert {row.alert for row in stage.disk.outbox.values()} >= {"KeeperDeployBad:duel"}

            wanted["duel"] = Deploy(prompt="better")
            stage.universe.hosts.flaws = {"good": "", "better": ""}
            await stage.daemon.reload()
            await asyncio.sleep(3 * 3600.0)
            names = {r.tenure and r.tenure.revision for r in stage.disk.records.values()}
            assert len(names) == 1
            last = {
                e.instance_id: e.detail
                for e in stage.universe.market.ledger.hosts
                if e.what == STARTED
            }
            assert {last[each.instance_id] for each in hosts(stage)} == {"better"}
            assert len(creates(stage, since)) <= hosts_max

    run(play())
