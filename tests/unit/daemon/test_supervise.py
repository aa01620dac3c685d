"""The daemon's nerves: orders, commits that fail or take long, starts, stops and reloads."""

import asyncio
from dataclasses import replace

import pytest

from keeper.core.drift import Burn
from keeper.core.model import Instance, Mode, OrphanPolicy
from keeper.core.world import OrderKind
from keeper.daemon.declared import Declared
from keeper.daemon.purse import Purse
from keeper.ports import ConfigError, PortError, TimedOut, Uncertain, Unreachable
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import run
from tests.stage import SLOT, Stage, without_acting

# --- orders ---------------------------------------------------------------------------------------


def test_an_order_is_on_disk_when_it_is_answered() -> None:
    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            await stage.daemon.order(stage.order(OrderKind.PAUSE, None))
            assert stage.disk.pause is not None

    run(play())


def test_an_order_that_cannot_be_written_is_withdrawn_without_a_trace() -> None:
    """The page and the journal once said "paused" after the operator had been told otherwise."""

    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            stage.store.is_full = True
            with pytest.raises(TimedOut):
                await stage.daemon.order(stage.order(OrderKind.PAUSE, None))
            stage.store.is_full = False
            await asyncio.sleep(60.0)
            assert stage.disk.pause is None
            told = {entry.event for entry in stage.disk.chronicle}
            assert not told & {"order.accepted", "keeper.pause_changed"}

    run(play())


def test_an_order_that_is_being_written_is_not_called_undone() -> None:
    """The disk may still take it: "nothing was done" would be a lie, and the pause would hold."""

    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            stage.store.may_write.clear()
            giving = asyncio.create_task(
                stage.daemon.order(stage.order(OrderKind.DESTROY)), name="order"
            )
            with pytest.raises(Uncertain):
                await giving
            stage.store.may_write.set()
            await stage.until(lambda: SLOT in stage.disk.slot_pauses, within_s=5.0)

    run(play())


def test_an_order_given_while_another_is_written_is_not_lost() -> None:
    """It was answered with yes and forgotten when the one before had been withdrawn meanwhile."""

    async def play() -> None:
        async with Stage(streams={"duel": 1, "turbo": 1}) as stage:
            await stage.until_on_air()
            stage.store.may_write.clear()
            first = asyncio.create_task(stage.daemon.order(stage.order(OrderKind.RESTART)))
            await asyncio.sleep(9.0)
            pause = stage.order(OrderKind.PAUSE, None, order_id="2")
            second = asyncio.create_task(stage.daemon.order(pause))
            with pytest.raises(PortError):
                await first
            stage.store.may_write.set()
            await second
            assert stage.disk.pause is not None

    run(play())


# --- commits --------------------------------------------------------------------------------------


def test_an_hour_without_a_store_loses_no_outcome_and_acts_on_nothing_new() -> None:
    async def play() -> None:
        async with Stage() as stage:
            stage.marketplace.may_create.clear()
            await stage.until(lambda: "create" in stage.marketplace.mutations)
            stage.store.is_full = True
            stage.marketplace.may_create.set()
            await asyncio.sleep(3600.0)
            assert stage.marketplace.mutations.count("create") == 1
            assert not stage.daemon.is_healthy()
            assert stage.facts.named("tick.failed")
            assert stage.daemon.not_ready_because() == ""
            stage.store.is_full = False
            await stage.until_on_air()
            assert stage.marketplace.mutations.count("create") == 1

    run(play())


def test_ready_is_told_after_the_first_tick_that_could_be_committed() -> None:
    """A first commit that failed left the unit "activating" until systemd killed it."""

    async def play() -> None:
        def full(stage: Stage) -> None:
            stage.store.is_full = True

        async with Stage(setup=full) as stage:
            await stage.until(lambda: stage.facts.named("tick.failed"))
            assert stage.heartbeat.told == []
            stage.store.is_full = False
            await stage.until(lambda: "alive" in stage.heartbeat.told, within_s=60.0)
            assert stage.heartbeat.told[0] == "ready"

    run(play())


def test_why_keeper_is_not_ready_is_told_without_secrets() -> None:
    """I22: anybody may ask that."""

    async def play() -> None:
        async def list_instances() -> tuple[Instance, ...]:
            raise Unreachable("no way to https://ada:hush@proxy")

        def deaf(stage: Stage) -> None:
            stage.marketplace.list_instances = list_instances  # type: ignore[method-assign]

        def hidden(declared: Declared) -> Declared:
            return replace(declared, redact=lambda said: said.replace("hush", "[hidden]"))

        async with Stage(change=hidden, setup=deaf) as stage:
            await stage.until(lambda: stage.facts.named("market.unreadable"))
            assert "ada:[hidden]@" in stage.daemon.not_ready_because()

    run(play())


def test_an_old_listing_says_nothing_of_what_the_account_pays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It went on being compared with the credit, and whatever had ended meanwhile was "drift"."""
    paid: list[Burn] = []
    pays = Purse.pays

    def told(purse: Purse, burn: Burn) -> None:
        paid.append(burn)
        pays(purse, burn)

    monkeypatch.setattr(Purse, "pays", told)

    async def play() -> None:
        async def list_instances() -> tuple[Instance, ...]:
            raise Unreachable("no way")

        async with Stage() as stage:
            await stage.until_on_air()
            readable = stage.marketplace.list_instances
            stage.marketplace.list_instances = list_instances  # type: ignore[method-assign]
            await stage.until(lambda: stage.facts.named("market.unreadable"))
            before = len(paid)
            assert before
            await stage.daemon.order(stage.order(OrderKind.RESTART))
            await asyncio.sleep(600.0)
            assert len(paid) == before
            stage.marketplace.list_instances = readable  # type: ignore[method-assign]
            await stage.until(lambda: stage.facts.named("market.readable"))
            await asyncio.sleep(60.0)
            assert len(paid) > before

    run(play())


# --- time -----------------------------------------------------------------------------------------


def test_a_host_that_boots_while_the_clock_steps_ahead_is_not_given_up() -> None:
    """An hour had passed by the clock, so the boot was "stuck" and the host destroyed."""

    async def play() -> None:
        async with Stage() as stage:
            await stage.until(lambda: stage.facts.named("instance.rented"))
            stage.clock.step(3600.0)
            await stage.until_on_air()
            assert stage.marketplace.mutations.count("create") == 1
            assert "destroy" not in stage.marketplace.mutations
            assert stage.facts.named("clock.stepped")

    run(play())


def test_a_clock_that_steps_back_holds_up_no_remedy() -> None:
    """What had been heard lay in the future for an hour, so no witness was ever silent."""

    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            stage.clock.step(-3600.0)
            await asyncio.sleep(60.0)
            stage.universe.market.arm(Fault(kind=FaultKind.PROCESS_KILLED, at=0.0))
            stage.universe.wind()
            await stage.until(lambda: stage.facts.named("workload.restarted"), within_s=120.0)

    run(play())


def test_a_clock_that_steps_back_holds_up_no_search() -> None:
    """Offers of before looked fresh for an hour."""

    async def play() -> None:
        async with Stage() as stage:
            await stage.until(lambda: stage.facts.named("instance.renting"))
            stage.clock.step(-3600.0)
            await asyncio.sleep(30.0)
            assert not stage.daemon.crew.survey.offers

    run(play())


# --- the marketplace ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(OrphanPolicy.ALERT, True), (OrphanPolicy.DESTROY, False)],
    ids=["left alone", "ended"],
)
def test_orphans_are_treated_as_declared(policy: OrphanPolicy, expected: bool) -> None:
    """The shell never told when an orphan was first seen, so none was ever ended."""

    async def play() -> None:
        def declare(declared: Declared) -> Declared:
            fleet = replace(declared.desired.fleet, orphans=policy)
            return replace(declared, desired=replace(declared.desired, fleet=fleet))

        def populate(stage: Stage) -> None:
            market = stage.universe.market
            ask = next(ask for ask in market.asks() if not ask.machine.has_display)
            body = {"image": "foreign:1", "disk": 16.0, "label": "keeper:00000001:gone/0:7"}
            market.create(ask.offer_id, body)
            stage.universe.wind()

        async with Stage(change=declare, setup=populate) as stage:
            await stage.until_on_air()
            await asyncio.sleep(300.0)
            rentals = stage.universe.market.ledger.rentals.values()
            (orphan,) = (r for r in rentals if r.label == "keeper:00000001:gone/0:7")
            assert (orphan.ended_at is None) is expected

    run(play())


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.SUGGEST])
def test_nothing_is_changed_for_a_stream_that_is_only_observed(mode: Mode) -> None:
    """A host that refuses our key made keeper attach it, whatever the stream's mode (I12)."""

    async def play() -> None:
        first = Stage()
        async with first:
            await first.until_on_air()
        contracts = first.universe.market.contracts
        for contract in contracts.values():
            contract.keys.clear()

        async with Stage(
            universe=first.universe,
            disk=first.disk,
            change=lambda declared: without_acting(declared, mode),
        ) as stage:
            await asyncio.sleep(300.0)
            assert stage.marketplace.mutations == []

    run(play())


# --- reloads --------------------------------------------------------------------------------------


def test_a_reload_that_ends_in_a_bug_keeps_the_old_configuration() -> None:
    """It ended the daemon: the task that reloads belongs to the group that keeper lives in."""

    async def play() -> None:
        def reload() -> Declared:
            raise OSError(5, "Input/output error")

        async with Stage(reload=reload) as stage:
            await stage.until_on_air()
            report = await stage.daemon.reload()
            assert "Input/output error" in report.problems[0]
            assert stage.heartbeat.told[-1] in {"ready", "alive"}
            assert not stage.daemon.config_ok
            await asyncio.sleep(1.0)
            assert stage.facts.named("config.rejected")

    run(play())


def test_a_reload_without_a_file_does_not_leave_the_service_manager_waiting() -> None:
    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            report = await stage.daemon.reload()
            assert report.problems
            assert "reloading" not in stage.heartbeat.told

    run(play())


def test_a_rejected_configuration_is_told_and_ends_the_reload() -> None:
    async def play() -> None:
        def reload() -> Declared:
            raise ConfigError(["keeper.yaml:1:1: no"])

        async with Stage(reload=reload) as stage:
            await stage.until_on_air()
            report = await stage.daemon.reload()
            assert report.problems == ("keeper.yaml:1:1: no",)
            assert stage.heartbeat.told[-2:] == ["reloading", "ready"]

    run(play())


def test_a_stream_that_is_removed_while_its_host_is_rented_leaves_nothing_behind() -> None:
    async def play() -> None:
        bare = Stage()
        nothing = replace(bare.declared, desired=replace(bare.declared.desired, streams=()))
        async with Stage(reload=lambda: nothing) as stage:
            stage.marketplace.may_create.clear()
            await stage.until(lambda: "create" in stage.marketplace.mutations)
            await stage.daemon.reload()
            stage.marketplace.may_create.set()
            await stage.until(lambda: stage.facts.named("instance.ended"))
            await asyncio.sleep(60.0)
            assert stage.disk.records == {}
            rentals = stage.universe.market.ledger.rentals.values()
            assert all(rental.ended_at is not None for rental in rentals)

    run(play())


# --- the calendar ---------------------------------------------------------------------------------


def test_a_failed_retention_is_told() -> None:
    """It was in the log of the scheduler only, and no metric or alert could know (I21)."""

    async def play() -> None:
        async with Stage() as stage:

            async def fail(_: object) -> int:
                raise OSError(28, "No space left on device")

            stage.store.prune = fail  # type: ignore[method-assign,assignment]
            await stage.until_on_air()
            await asyncio.sleep(4 * 3600.0)
            told = [str(event) for event in stage.facts.named("task.died")]
            assert any("No space left" in each for each in told)

    run(play())


def test_nothing_grows_with_rentals_that_are_over() -> None:
    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            for number in range(4):
                order = stage.order(OrderKind.REPLACE, order_id=str(number))
                await stage.daemon.order(order)
                ended = len(stage.facts.named("instance.ended"))
                await stage.until(
                    lambda ended=ended: len(stage.facts.named("instance.ended")) > ended,  # type: ignore[misc]
                    within_s=3600.0,
                )
            await asyncio.sleep(60.0)
            board = stage.daemon.crew.board
            ids = {key[0] for key in board.latest} | set(board.frames) | set(board.host_keys)
            assert len(ids) == 1

    run(play())
