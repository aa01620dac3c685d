"""Weeks with one stream key: a second publisher is refused, and is never there for longer than a moment."""

from __future__ import annotations

import pytest

from keeper.sim.audit import audit
from keeper.sim.fleets import fleet_for
from keeper.sim.promises_handover import one_publisher_at_a_time
from keeper.sim.story import run_seed
from tests.sim.doctored_handovers import changes_places, two_publish_at_once
from tests.sim.ledgers import BEGAN, Run


def test_a_swap_is_not_blamed() -> None:
    assert audit(changes_places(Run(), begins_at=5300.0, ends_at=5299.0)) == ()


def test_two_publishers_for_a_moment_are_a_swap_and_for_longer_a_fight() -> None:
    assert audit(changes_places(Run(), begins_at=5300.0, ends_at=5304.0)) == ()
    (broken,) = audit(two_publish_at_once(Run()))
    assert "both published duel for 20 s" in broken.text


def test_what_is_given_up_may_publish_until_the_marketplace_has_ended_it() -> None:
    """A host that nobody can reach is replaced, and may come back before it has ended."""
    fights = changes_places(Run(), begins_at=5400.0, ends_at=6000.0)
    assert [each.at for each in one_publisher_at_a_time(fights)] == [BEGAN + 5400.0]
    ends = changes_places(Run(), begins_at=5501.0, ends_at=6000.0)  # given up at 5500 s
    assert list(one_publisher_at_a_time(ends)) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [3, 9])
def test_days_with_one_publisher_breaks_no_promise_whatever_goes_wrong(seed: int) -> None:
    result = run_seed(seed, days=3.0, faults="all", fleet="keyed")
    again = f"keeper sim run --seed {seed} --days 3 --faults all --fleet keyed"
    assert [broken.sentence() for broken in result.broken] == [], f"see it again: {again}"
    assert result.counts["handover.swapping"] >= 5
    assert result.counts["handover.swapped"] >= 5
    assert fleet_for("keyed", seed=seed).habits.one_publisher
