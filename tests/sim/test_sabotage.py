"""The auditor against keepers that are really bad: each row undoes one function of the real daemon."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from keeper.ports import StoreLocked
from keeper.sim import stage, story
from keeper.sim.audit import audit
from keeper.sim.disk import Disk
from keeper.sim.evidence import Broken, Caps
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import run
from keeper.sim.opsbox import OpsBox
from keeper.sim.power import Power
from keeper.sim.story import Played, Story
from keeper.sim.universe import Universe
from keeper.sim.virtual_hosts import VirtualHost, VirtualHosts
from tests.sim.sabotage import (
    HOUR_S,
    PLOTS,
    SABOTAGES,
    Plot,
    Sabotage,
    leaves_the_store_unlocked,
    minds_no_cap,
    writes_what_no_run_repeats,
)


def play(plot: Plot, patch: pytest.MonkeyPatch) -> Played:
    patch.setattr(story, "_SHAPE", replace(story._SHAPE, **plot.shape))
    if plot.fails_once:
        _fail_once(plot.fails_once, patch)
    return Story(
        seed=1,
        duration_s=plot.hours * HOUR_S,
        plan=plot.faults,
        streams=plot.streams,
        strangers=plot.strangers,
        habits=plot.habits,
    ).run()


def _fail_once(name: str, patch: pytest.MonkeyPatch) -> None:
    carries_out, failed = VirtualHosts.carry_out, list[str]()

    def carry_out(
        self: VirtualHosts, host: VirtualHost, done: str, env: Mapping[str, str]
    ) -> tuple[int, str]:
        if done != name or failed:
            return carries_out(self, host, done, env)
        failed.append(done)
        return 1, "cannot"

    patch.setattr(VirtualHosts, "carry_out", carry_out)


def _named(broken: tuple[Broken, ...]) -> set[str]:
    return {each.invariant for each in broken}


def test_every_promise_has_a_keeper_that_breaks_it() -> None:
    """I15 and I25 take two keepers and two runs: see below."""
    promises = {name for sabotage in SABOTAGES for name in sabotage.promises.split()}
    assert promises == {f"I{number}" for number in range(1, 26)} - {"I15", "I25"}


@pytest.mark.parametrize("name", PLOTS)
def test_a_good_keeper_comes_through(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what is found in a bad one's run would say nothing."""
    broken = play(PLOTS[name], monkeypatch).result.broken
    assert [each.sentence() for each in broken] == []


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda each: each.undo.__name__.strip("_"))
def test_a_bad_keeper_is_told_by_what_it_breaks(
    sabotage: Sabotage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage.undo(monkeypatch)
    broken = play(PLOTS[sabotage.plot], monkeypatch).result.broken
    assert _named(broken) == set(sabotage.promises.split()), [each.sentence() for each in broken]


# --- what takes more than one run, one keeper, or the usual numbers -------------------------------


def _two_keepers() -> tuple[Played, str]:
    """Start a second keeper, on another machine, on the store of one that runs."""
    return run(_play_two())


async def _play_two() -> tuple[Played, str]:
    told = Story(seed=1, duration_s=2 * HOUR_S, streams={"duel": 1}, strangers=0)
    universe = Universe(1, shape=story._SHAPE)
    began_at = universe.time_s()
    disk = Disk(keeper_id="00000001")
    first, second = (OpsBox(universe, disk, lambda: stage.declared({"duel": 1})) for _ in range(2))
    life = asyncio.create_task(first.run())
    await asyncio.sleep(0.5 * HOUR_S)
    refused = ""
    power = Power("192.0.2.2")
    other = asyncio.create_task(second._boot(power).run())
    universe.market.arm(Fault(kind=FaultKind.GPU_LOST, at=600.0))
    universe.wind()
    await asyncio.sleep(1.5 * HOUR_S)
    if other.done():
        error = other.exception()
        refused = type(error).__name__
    evidence = told._evidence(universe, first, began_at, began_at + HOUR_S)
    power.cut()
    other.cancel()
    await first.stop()
    await asyncio.wait({life}, timeout=120.0)
    life.cancel()
    broken = audit(evidence)
    result = story.SeedResult(
        seed=1, slot_hours=2.0, dollars=0.0, dark_seconds=0.0, broken=broken, journal=b""
    )
    return Played(result=result, evidence=evidence, messages=()), refused


def test_a_second_keeper_on_one_store_exits_and_never_acts() -> None:
    played, refused = _two_keepers()
    assert refused == StoreLocked.__name__
    assert [each.sentence() for each in played.result.broken] == []
    assert len({request.identity for request in played.evidence.ledger.requests}) == 1


def test_two_keepers_on_one_store_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    leaves_the_store_unlocked(monkeypatch)
    played, refused = _two_keepers()
    assert refused == ""
    assert _named(played.result.broken) >= {"I15"}


def test_a_journal_that_does_not_repeat_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    plot = replace(PLOTS["the process dies"], hours=1.5)
    for promises in (set(), {"I25"}):
        if promises:
            writes_what_no_run_repeats(monkeypatch)
        first, second = play(plot, monkeypatch), play(plot, monkeypatch)
        journals = (first.result.journal, second.result.journal)
        assert _named(audit(replace(first.evidence, journals=journals))) == promises


def _cap(patch: pytest.MonkeyPatch, dollars: float) -> None:
    def declared(*args: object) -> object:
        told = stage.declared(*args)  # type: ignore[arg-type]
        fleet = replace(told.desired.fleet, spend_max_dollars_per_day=dollars)
        return replace(told, desired=replace(told.desired, fleet=fleet))

    def bounds(*args: object) -> object:
        told = stage.bounds(*args)  # type: ignore[arg-type]
        return replace(told, caps={**told.caps, "": Caps(per_hour=10.0, per_day=dollars)})

    patch.setattr(story, "declared", declared)
    patch.setattr(story, "bounds", bounds)


@pytest.mark.parametrize("promises", ["", "I4"])
def test_a_day_costs_no_more_than_its_cap(promises: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dollar and a half lasts for some seven hours of the cheapest host."""
    _cap(monkeypatch, 1.5)
    if promises:
        minds_no_cap(monkeypatch)
    played = play(Plot(hours=12.0), monkeypatch)
    spent = sum(rental.dollars for rental in played.evidence.ours)
    assert (spent < 1.5) is not bool(promises)
    assert spent > 0.5
    assert _named(played.result.broken) == set(promises.split())
