"""The week in numbers reaches people once, whenever keeper dies and however late it wakes."""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from keeper.daemon.declared import Declared
from keeper.daemon.digest import WeeklyDigest
from keeper.ports import NoticeKind
from keeper.sim.disk import Disk, MemoryStore
from keeper.sim.loop import EPOCH, VirtualClock, run
from keeper.sim.power import Power
from keeper.sim.universe import Universe
from tests.stage import QUIET, Stage

DAY_S = 86_400.0
# A calendar with an opening each day: a real week in every test would be a minute of them.
DUE = EPOCH + timedelta(days=1, hours=8)


@dataclass(frozen=True, slots=True)
class Mornings:
    """Opens at eight, from the second day on."""

    def latest(self, now: datetime, within_s: float) -> datetime | None:
        at = DUE + timedelta(days=(now - DUE) // timedelta(days=1))
        return at if at >= DUE and (now - at).total_seconds() <= within_s else None

    def next(self, now: datetime) -> datetime | None:
        latest = self.latest(now, DAY_S)
        return DUE if latest is None else latest + timedelta(days=1)


def _weekly(declared: Declared) -> Declared:
    return replace(declared, digest=Mornings())


def _digests(stage: Stage) -> list[dict[str, Any]]:
    bodies = [json.loads(each.body)["data"] for each in stage.universe.mailbox.messages]
    return [data for data in bodies if data["kind"] == "digest"]


async def _until(at: datetime, stage: Stage) -> None:
    await asyncio.sleep((at - stage.clock.now()).total_seconds())


def test_a_week_is_told_once_with_what_it_was() -> None:
    async def play() -> None:
        async with Stage(change=_weekly) as stage:
            await _until(DUE - timedelta(minutes=1), stage)
            assert _digests(stage) == []
            await _until(DUE + timedelta(minutes=30), stage)
            (told,) = _digests(stage)
            (stream,) = told["digest"]["streams"]
            assert stream["stream"] == "duel"
            assert stream["good_s"] > 0.9 * DAY_S
            assert stream["dollars"] > 0
            assert 0 < stream["time_to_picture_s"] < 3600
            assert told["digest"]["until"] == (EPOCH + timedelta(days=1)).isoformat()
            assert "% on air" in told["headline"]
            assert stage.facts.named("digest.made")
            await _until(DUE + timedelta(days=1, hours=1), stage)
            assert len({each["notice_id"] for each in _digests(stage)}) == 2

    run(play())


def test_a_box_that_was_off_in_the_morning_tells_when_it_is_back() -> None:
    async def play() -> None:
        universe, disk = Universe(1, shape=QUIET), Disk(keeper_id="00000001")
        async with Stage(change=_weekly, universe=universe, disk=disk) as stage:
            await _until(DUE - timedelta(hours=1), stage)
        await _until(DUE + timedelta(hours=5), stage)
        async with Stage(change=_weekly, universe=universe, disk=disk) as stage:
            await asyncio.sleep(3600.0)
            assert len(_digests(stage)) == 1
        async with Stage(change=_weekly, universe=universe, disk=disk) as stage:
            await asyncio.sleep(3600.0)
            assert len(_digests(stage)) == 1, "a restart told the same week again"

    run(play())


def test_cut_off_at_any_call_a_week_is_told_once() -> None:
    """Killed before and after each reading and the writing, keeper tells it with its next look."""

    async def play() -> None:
        async with Stage(change=_weekly) as stage:
            await _until(DUE - timedelta(minutes=1), stage)
            stage.daemon.ground.declared = replace(stage.declared, digest=None)  # nobody else looks
            await _until(DUE + timedelta(minutes=1), stage)
            ports, ground = stage.daemon._ports, stage.daemon.ground
            ground.declared = replace(stage.declared, digest=Mornings())
            moments = 0
            for cut in range(1, 20):
                disk, power = Disk(keeper_id="00000001"), Power()
                disk.journal, disk.outbox = list(stage.disk.journal), dict(stage.disk.outbox)
                store = MemoryStore(disk, power)
                notifier = stage.daemon.crew.notifier
                weekly = WeeklyDigest(replace(ports, store=store), ground, notifier)
                power.cut_at(cut)
                dying = asyncio.create_task(weekly.look())
                await asyncio.wait({dying}, timeout=1.0)
                is_cut = not dying.done()
                moments += is_cut
                dying.cancel()
                after = WeeklyDigest(
                    replace(ports, store=MemoryStore(disk, Power())), ground, notifier
                )
                await after.look()
                await after.look()
                rows = [row for row in disk.outbox.values() if row.kind is NoticeKind.DIGEST]
                made = [entry for entry in disk.journal if entry.event == "digest.made"]
                assert (len(rows), len(made)) == (1, 1), cut
            assert moments >= 5, "it was cut nowhere"

    run(play())


def test_a_disk_that_is_full_tells_later_and_once() -> None:
    async def play() -> None:
        async with Stage(change=_weekly) as stage:
            await _until(DUE - timedelta(minutes=1), stage)
            stage.store.is_full = True
            await _until(DUE + timedelta(hours=2), stage)
            assert _digests(stage) == []
            stage.store.is_full = False
            await asyncio.sleep(3600.0)
            assert len(_digests(stage)) == 1

    run(play())


def test_who_has_just_begun_is_told_of_no_week() -> None:
    """The first Monday morning of a new keeper is not the end of a week."""

    async def play() -> None:
        started = DUE - timedelta(hours=4)
        universe = Universe(1, shape=QUIET)
        await asyncio.sleep((started - VirtualClock().now()).total_seconds())
        async with Stage(change=_weekly, universe=universe) as stage:
            await _until(DUE + timedelta(hours=2), stage)
            assert stage.facts.named("stream.on_air")
            assert _digests(stage) == []

    run(play())
