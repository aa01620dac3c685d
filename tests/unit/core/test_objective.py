"""The error budget: what an objective allows, what was used of it, and how fast."""

from __future__ import annotations

from datetime import timedelta
from math import isclose

import pytest

from keeper.core.flow import Rate
from keeper.core.meter import Meter, Tally, day_of
from keeper.core.model import Objective, Stream
from keeper.core.objective import Budget, budget_of, budgets_of
from tests.builders import DUEL, NOW, a_stream, ago

DAY_S = 86_400.0


def a_ledger(*days: Tally, **more: object) -> Meter:
    """What was counted of the duel: today, yesterday, the day before, …"""
    tallies = {day_of(NOW - timedelta(days=back)): {DUEL: day} for back, day in enumerate(days)}
    return Meter(metered_at=NOW, tallies=tallies, **more)  # type: ignore[arg-type]


def a_promise(ratio: float = 0.99, window_days: int = 10, replicas: int = 1) -> Stream:
    return a_stream(objective=Objective(ratio=ratio, window_days=window_days), replicas=replicas)


def test_what_may_be_dark_is_what_the_objective_leaves_of_the_window() -> None:
    budget = budget_of(a_ledger(), a_promise(replicas=2), NOW)
    assert isclose(budget.allowed_s, 0.01 * 10 * DAY_S * 2)
    assert (budget.ratio, budget.window_s) == (0.99, 10 * DAY_S)
    assert (budget.availability_ratio, budget.remaining_ratio) == (None, 1.0)
    assert (budget.burn_ratio, budget.is_spent) == (None, False)


def test_dark_time_of_the_window_s_days_uses_it_up() -> None:
    days = [Tally(good_s=0.9 * DAY_S, dark_s=864.0, silent_s=64.0, starting_s=9.0)] * 11
    budget = budget_of(a_ledger(*days), a_promise(), NOW)
    assert isclose(budget.dark_s, 8640.0)
    assert isclose(budget.silent_s, 640.0)
    assert isclose(budget.starting_s, 90.0)
    assert budget.remaining_ratio == pytest.approx(0.0)
    assert budget.remaining_s == pytest.approx(0.0, abs=1e-6)
    assert budget.availability_ratio == pytest.approx(0.9 / 0.91)


def test_more_than_all_of_it_is_below_nothing() -> None:
    spent = budget_of(a_ledger(Tally(dark_s=17_280.0)), a_promise(), NOW)
    assert spent.remaining_ratio == pytest.approx(-1.0)
    assert spent.is_spent
    assert spent.availability_ratio == 0.0
    left = budget_of(a_ledger(Tally(dark_s=8639.0)), a_promise(), NOW)
    assert not left.is_spent


def test_it_burns_by_the_share_of_the_last_two_days_that_was_dark() -> None:
    days = (
        Tally(good_s=9_900.0, dark_s=100.0),
        Tally(good_s=9_700.0, dark_s=300.0),
        Tally(dark_s=9e9),
    )
    assert budget_of(a_ledger(*days), a_promise(), NOW).burn_ratio == pytest.approx(2.0)


def test_what_is_declared_with_no_slot_or_promises_everything_has_no_budget() -> None:
    none = budget_of(a_ledger(Tally(good_s=1.0, dark_s=1.0)), a_promise(replicas=0), NOW)
    assert (none.remaining_ratio, none.is_spent) == (None, False)
    all_of_it = budget_of(a_ledger(Tally(good_s=1.0, dark_s=1.0)), a_promise(ratio=1.0), NOW)
    assert (all_of_it.remaining_ratio, all_of_it.burn_ratio) == (None, None)


def test_what_has_been_counted_since_the_ledger_was_written_is_in_it() -> None:
    ledger = Meter(metered_at=ago(60), rates={DUEL: Rate(dark=1)})
    assert budget_of(ledger, a_promise(), NOW).dark_s == 60.0


def test_several_streams_have_each_their_own() -> None:
    turbo = a_stream("turbo")
    found = budgets_of(a_ledger(Tally(dark_s=5.0)), (a_promise(), turbo), NOW)
    assert [found[DUEL].dark_s, found[turbo.name].dark_s] == [5.0, 0.0]
    assert isinstance(found[turbo.name], Budget)
