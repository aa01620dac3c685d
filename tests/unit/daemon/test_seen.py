"""What viewers of a slot saw, through the whole daemon in virtual time: its hosts come and go."""

import asyncio
from datetime import timedelta

from keeper.core.model import InstanceId
from keeper.core.strip import Run, shown
from keeper.core.world import OrderKind
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import run
from tests.stage import SLOT, Stage


def host(stage: Stage) -> InstanceId | None:
    record = stage.snapshot.records.get(SLOT)
    return None if record is None or record.tenure is None else record.tenure.instance_id


def seen(stage: Stage) -> tuple[Run, ...]:
    return shown(stage.daemon.strip(SLOT), host(stage), stage.clock.now())


def verdicts(stage: Stage) -> list[str | None]:
    return [run.verdict for run in seen(stage)]


def test_viewers_of_a_slot_do_not_notice_that_its_host_is_another_one() -> None:
    """The host to come shows its first pictures to nobody; there is no gap when it takes over."""

    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            await asyncio.sleep(120.0)
            before = host(stage)
            since = seen(stage)[-1].since
            await stage.daemon.order(stage.order(OrderKind.REPLACE))
            await stage.until(lambda: host(stage) not in {None, before}, within_s=3600.0)
            await stage.until(lambda: bool(stage.facts.named("instance.ended")), within_s=3600.0)
            await asyncio.sleep(120.0)
            assert verdicts(stage)[-1] == "live"
            assert seen(stage)[-1].since == since
            latest = stage.daemon.strip(SLOT).latest
            assert latest is not None
            assert latest.instance_id == host(stage)

    run(play())


def test_without_a_host_there_is_nothing_to_see_and_later_it_is_told() -> None:
    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            await asyncio.sleep(60.0)
            await stage.daemon.order(stage.order(OrderKind.DESTROY))
            await stage.until(lambda: bool(stage.facts.named("instance.ended")))
            await asyncio.sleep(60.0)
            assert host(stage) is None
            assert verdicts(stage)[-2:] == ["live", None]
            assert stage.daemon.thumbnail(SLOT) is None
            await stage.daemon.order(stage.order(OrderKind.RESUME))
            await stage.until(lambda: verdicts(stage)[-1] == "live", within_s=3600.0)
            assert None in verdicts(stage)

    run(play())


def test_a_picture_that_freezes_is_seen_before_it_is_believed() -> None:
    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            await asyncio.sleep(60.0)
            (rented,) = stage.universe.market.contracts.values()
            began_at = stage.clock.now()
            assert stage.universe.market.strike(rented, Fault(kind=FaultKind.PICTURE_FROZEN))
            await stage.until(lambda: verdicts(stage)[-1] == "frozen", look_s=0.5)
            assert stage.snapshot.records[SLOT].dark_since is None
            assert seen(stage)[-1].since - began_at <= timedelta(seconds=25)

    run(play())
