"""Spares in virtual time, and the auditor's view of them: what took over is the slot's from then on."""

from __future__ import annotations

import pytest

from keeper.sim.audit import audit
from keeper.sim.bills import price_due
from keeper.sim.fleets import fleet_for
from keeper.sim.ledger import Change
from keeper.sim.story import run_seed
from tests.sim.doctored_spares import seen, spare, stands_still, takes_over
from tests.sim.ledgers import BEGAN, SLOT, Run


def test_a_spare_that_takes_over_is_not_blamed() -> None:
    evidence = takes_over(Run())
    assert audit(evidence) == ()


def test_its_picture_is_the_slots_from_the_moment_it_took_over() -> None:
    evidence = takes_over(Run())
    (first, second) = evidence.slot_on_air(SLOT)
    assert first == (BEGAN + 300.0, BEGAN + 9000.0)
    assert second[0] == BEGAN + 9201.0
    assert evidence.dark_s(SLOT) == pytest.approx(201.0)


def test_a_spare_that_serves_nobody_lights_no_slot() -> None:
    run = Run()
    spare(run)
    run.picture(100, 9000.0, live=False)
    run.destroy(101, 20_000.0)
    evidence = seen(run)
    assert evidence.slot_on_air(SLOT) == ((BEGAN + 300.0, BEGAN + 9000.0),)
    assert {broken.invariant for broken in audit(evidence)} >= {"I18"}


def test_what_stands_still_counts_its_disk_alone_until_it_is_told_to_start() -> None:
    assert audit(stands_still(Run(), starts=False)) == ()
    (broken,) = audit(stands_still(Run(), starts=True))
    assert (broken.invariant, broken.at) == ("I4", BEGAN + 9010.0)


@pytest.mark.parametrize(("at", "due"), [(9120.5, 0.05), (9241.0, 0.5)])
def test_what_others_have_started_counts_in_full_once_a_list_has_told(
    at: float, due: float
) -> None:
    """Lists were read at 9000, 9120 and 9240 s, and it runs from 9110 s on: a list lags behind."""
    evidence = stands_still(Run(), starts=False)
    rental = evidence.ledger.rentals[101]
    change = Change(at=BEGAN + 9110.0, what="running", by="host", dollars=0.0, dollars_per_hour=0.5)
    rental.changes.insert(2, change)
    assert price_due(evidence, rental, BEGAN + at) == due


def test_it_is_billed_once_whatever_it_served() -> None:
    evidence = takes_over(Run())
    assert [each.instance_id for each in evidence.ours] == [100, 101]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [2, 4, 13])
def test_a_week_with_spares_breaks_no_promise_whatever_goes_wrong(seed: int) -> None:
    result = run_seed(seed, days=7.0, faults="all", fleet="spared")
    again = f"keeper sim run --seed {seed} --days 7 --faults all --fleet spared"
    assert [broken.sentence() for broken in result.broken] == [], f"see it again: {again}"
    assert result.counts["spare.promoted"] >= 3
    assert result.counts["spare.ready"] > result.counts["spare.promoted"]
    if fleet_for("spared", seed=seed).habits.spares["duel"].stands_still:  # of these weeks one
        assert result.counts["instance.start_queued"] >= 1
        assert result.counts["instance.started"] >= result.counts["spare.promoted"]
