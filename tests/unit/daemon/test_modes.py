"""How far each mode goes, read off the marketplace's own ledger and the hosts' own records."""

import asyncio
from dataclasses import replace

import pytest

from keeper.core.decisions import Hold
from keeper.core.events import DecisionMade, HostRecycling
from keeper.core.model import InstanceId, Mode
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance
from keeper.core.world import OrderKind
from keeper.daemon.cadence import CronOpenings
from keeper.daemon.declared import Declared
from keeper.daemon.windows import DeclaredWindow
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import run
from tests.stage import SLOT, Stage, without_acting


def mutations(stage: Stage, since: float) -> list[str]:
    """What was changed on the marketplace since a moment, as the marketplace wrote it down."""
    requests = stage.universe.market.ledger.requests
    return [f"{r.method} {r.endpoint}" for r in requests if r.is_mutating and r.at >= since]


def remedies(stage: Stage, since: float) -> list[str]:
    """Commands on a host that repair something, as the host wrote them down."""
    words = ("deploy.", "restart.")
    hosts = stage.universe.market.ledger.hosts
    return [e.detail for e in hosts if e.at >= since and e.detail.startswith(words)]


@pytest.mark.parametrize("kind", [FaultKind.PROCESS_KILLED, FaultKind.HOST_VANISHES])
@pytest.mark.parametrize("mode", list(Mode))
def test_only_one_of_three_modes_touches_anything(mode: Mode, kind: FaultKind) -> None:
    async def play() -> None:
        first = Stage()
        async with first:
            await first.until_on_air()
        async with Stage(
            universe=first.universe,
            disk=first.disk,
            change=lambda declared: without_acting(declared, mode),
        ) as stage:
            await asyncio.sleep(60.0)
            since = stage.universe.time_s()
            stage.universe.market.arm(Fault(kind=kind))
            await asyncio.sleep(1800.0)
            did = [*mutations(stage, since), *remedies(stage, since)]
            assert bool(did) is (mode is Mode.ACT), did
            said = [
                (each.decision, each.reason)
                for each in stage.facts.events
                if isinstance(each, DecisionMade) and each.decision == "hold"
            ]
            held = [d for d in stage.snapshot.plan.decisions if isinstance(d, Hold)]
            if mode is Mode.ACT:
                assert held == []
                return
            reason = Reason.SUGGEST_ONLY if mode is Mode.SUGGEST else Reason.OBSERVE_ONLY
            assert [each.reason for each in held] == [reason]
            assert held[0].wanted in {"restart", "forget", "replace", "rent"}
            assert ("hold", reason) in said
            outbox = {row.alert.partition(":")[0] for row in stage.disk.outbox.values()}
            assert ("KeeperSuggestion" in outbox) is (mode is Mode.SUGGEST)

    run(play())


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.SUGGEST])
def test_what_was_condemned_before_is_confirmed_in_every_mode(mode: Mode) -> None:
    async def play() -> None:
        first = Stage()
        async with first:
            await first.until_on_air()
            first.universe.market.arm(Fault(kind=FaultKind.DESTROY_REFUSED, for_s=600.0))
            await first.daemon.order(first.order(OrderKind.DESTROY))
            await asyncio.sleep(1.0)
        async with Stage(
            universe=first.universe,
            disk=first.disk,
            change=lambda declared: without_acting(declared, mode),
        ) as stage:
            since = stage.universe.time_s()
            await stage.until(lambda: not stage.disk.condemned, within_s=1800.0)
            assert set(mutations(stage, since)) == {"DELETE /instances/{id}/"}
            assert all(not each.is_live for each in stage.universe.market.ledger.rentals.values())

    run(play())


def test_an_ordered_replacement_is_carried_out_by_a_stream_that_suggests() -> None:
    async def play() -> None:
        first = Stage()
        async with first:
            await first.until_on_air()
        async with Stage(
            universe=first.universe,
            disk=first.disk,
            change=lambda declared: without_acting(declared, Mode.SUGGEST),
        ) as stage:
            await asyncio.sleep(60.0)
            before = stage.disk.records[SLOT].tenure
            await stage.daemon.order(stage.order(OrderKind.REPLACE))
            await stage.until(
                lambda: (
                    (now := stage.disk.records[SLOT]).tenure is not None
                    and before is not None
                    and now.tenure.label != before.label
                    and now.replace_asked_at is None
                    and not stage.disk.condemned
                ),
                within_s=3600.0,
            )
            live = [r for r in stage.universe.market.ledger.rentals.values() if r.is_live]
            assert len(live) == 1
            since = stage.universe.time_s()
            stage.universe.market.arm(Fault(kind=FaultKind.PROCESS_KILLED))
            await asyncio.sleep(900.0)
            assert mutations(stage, since) == []  # the order was for once

    run(play())


@pytest.mark.parametrize(
    ("allow", "kind", "is_touched", "is_rented"),
    [
        (Allowance.OBSERVE, FaultKind.PROCESS_KILLED, False, False),
        (Allowance.REPAIR, FaultKind.PROCESS_KILLED, True, False),
        (Allowance.REPAIR, FaultKind.HOST_VANISHES, False, False),
        (Allowance.REPLACE, FaultKind.HOST_VANISHES, True, True),
    ],
)
def test_a_window_holds_the_whole_daemon(
    allow: Allowance, kind: FaultKind, is_touched: bool, is_rented: bool
) -> None:
    """From five minutes past midnight on, for three hours; the simulation begins at midnight."""
    always = DeclaredWindow(
        name="night", openings=CronOpenings("5 0 * * *", "UTC"), for_s=10_800.0, allow=allow
    )

    async def play() -> None:
        async with Stage(change=lambda declared: replace(declared, windows=(always,))) as stage:
            await stage.until_on_air()
            await stage.until(lambda: stage.facts.named("window.opened"))
            since = stage.universe.time_s()
            stage.universe.market.arm(Fault(kind=kind))
            await asyncio.sleep(1500.0)
            changed = mutations(stage, since)
            assert bool([*changed, *remedies(stage, since)]) is is_touched
            assert ("PUT /asks/{id}/" in changed) is is_rented
            if not is_touched:
                (decision,) = stage.snapshot.plan.decisions
                assert decision.reason is Reason.MAINTENANCE_WINDOW
            await asyncio.sleep(12_000.0)
            assert stage.facts.named("window.closed")
            assert stage.disk.records[SLOT].dark_since is None  # it was only put off

    run(play())


def test_a_recycle_is_never_seen_by_a_viewer() -> None:
    """Two slots, each replaced once in three hours, one after the other and without a dark second."""

    async def play() -> None:
        def aging(declared: Declared) -> Declared:
            streams = tuple(
                replace(each, recycle_after_s=7200.0) for each in declared.desired.streams
            )
            return replace(declared, desired=replace(declared.desired, streams=streams))

        async with Stage(streams={"duel": 2}, change=aging) as stage:
            await stage.until(
                lambda: len(stage.facts.named("host.recycling")) == 2,
                within_s=20_000.0,
            )
            await stage.until(lambda: not any(r.incoming for r in stage.disk.records.values()))
            assert stage.facts.named("stream.dark") == []
            told = [e for e in stage.facts.events if isinstance(e, HostRecycling)]
            assert {each.slot for each in told} == {"duel/0", "duel/1"}

    run(play())


STRAY = "keeper:00000009:gone/0:7"
STRANGE = "training"


def populate(stage: Stage) -> None:
    """Let another keeper's lost rental and a stranger's stand on the account."""
    market = stage.universe.market
    for label in (STRAY, STRANGE):
        ask = next(each for each in market.asks() if not each.machine.has_display)
        market.create(ask.offer_id, {"image": "foreign:1", "disk": 16.0, "label": label})
    stage.universe.wind()


@pytest.mark.parametrize("kind", [OrderKind.END, OrderKind.ADOPT, None])
def test_a_stray_is_touched_by_order_and_a_stranger_by_nothing(kind: OrderKind | None) -> None:
    async def play() -> None:
        async with Stage(streams={"duel": 2}, setup=populate) as stage:
            await stage.until(lambda: len(stage.facts.named("stream.on_air")) == 2)
            market = stage.universe.market
            ids = {each.label: each.instance_id for each in market.ledger.rentals.values()}
            since = stage.universe.time_s()
            if kind is not None:
                if kind is OrderKind.ADOPT:  # a slot must be empty for it
                    await stage.daemon.order(stage.order(OrderKind.DESTROY))
                    await stage.until(
                        lambda: not stage.disk.condemned and SLOT in stage.disk.slot_pauses
                    )
                order = stage.order(kind, SLOT if kind is OrderKind.ADOPT else None, order_id="2")
                await stage.daemon.order(replace(order, instance_id=InstanceId(ids[STRAY])))
            await asyncio.sleep(600.0)
            touched = {
                request.instance_id
                for request in market.ledger.requests
                if request.is_mutating and request.at >= since
            }
            assert ids[STRANGE] not in touched
            assert (ids[STRAY] in touched) is (kind is OrderKind.END)
            live = {each.label for each in market.ledger.rentals.values() if each.is_live}
            assert STRANGE in live
            assert (STRAY in live) is (kind is not OrderKind.END)
            tenure = stage.disk.records[SLOT].tenure
            if kind is OrderKind.ADOPT:
                assert tenure is not None
                assert tenure.label == STRAY
            assert not stage.disk.condemned

    run(play())


def test_a_recycle_that_would_stand_still_in_a_window_waits_for_its_end() -> None:
    """Both hosts would bill until it closes: the new one proven, the old one not to be ended (I5)."""
    works = DeclaredWindow(
        name="works", openings=CronOpenings("30 2 * * *", "UTC"), for_s=7200.0,
        allow=Allowance.OBSERVE,
    )  # fmt: skip

    async def play() -> None:
        def aging(declared: Declared) -> Declared:
            streams = tuple(
                replace(each, recycle_after_s=7200.0) for each in declared.desired.streams
            )
            desired = replace(declared.desired, streams=streams)
            return replace(declared, desired=desired, windows=(works,))

        async with Stage(change=aging) as stage:
            await stage.until(lambda: stage.facts.named("host.recycling"), within_s=20_000.0)
            assert len(stage.facts.named("window.closed")) == 1

    run(play())
