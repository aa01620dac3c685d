"""What the account paid against what its rentals are said to cost."""

from __future__ import annotations

import pytest

from keeper.core.drift import Burn, Compared, Watched, burn_of, looked, paying
from keeper.core.model import InstanceId, MarketState
from tests.builders import HOST, an_instance

STEADY = Burn(least=2.0, most=2.0)


def over(seconds: float, fell: float, burn: Burn = STEADY) -> Compared | None:
    """A reading of a hundred dollars, and one that is lower some time later."""
    watched, _ = looked(None, 100.0, burn, 0.0)
    return looked(watched, 100.0 - fell, burn, seconds)[1]


@pytest.mark.parametrize(
    ("fell", "is_drift"),
    [(2.0, False), (2.5, False), (2.51, True), (1.5, False), (1.49, True), (0.0, True)],
)
def test_half_a_dollar_more_or_less_than_said_is_drift(fell: float, is_drift: bool) -> None:
    compared = over(3600.0, fell)
    assert compared is not None
    assert compared.is_drift is is_drift


def test_of_large_sums_a_tenth_is() -> None:
    large = Burn(least=50.0, most=50.0)
    for fell, is_drift in ((54.9, False), (55.1, True), (45.1, False), (44.9, True)):
        compared = over(3600.0, fell, large)
        assert compared is not None
        assert compared.is_drift is is_drift


def test_nothing_is_said_before_an_hour() -> None:
    assert over(3599.0, 50.0) is None


def test_credit_that_was_bought_is_no_drift_and_begins_anew() -> None:
    watched, _ = looked(None, 10.0, STEADY, 0.0)
    watched, compared = looked(watched, 60.0, STEADY, 1800.0)
    assert compared is None
    watched, compared = looked(watched, 59.0, STEADY, 3600.0)
    assert compared is None  # half an hour since
    _, compared = looked(watched, 58.0, STEADY, 5400.0)
    assert compared is not None
    assert not compared.is_drift


def test_rates_that_change_on_the_way_are_added_up() -> None:
    watched, _ = looked(None, 100.0, STEADY, 0.0)
    watched = paying(watched, Burn(least=0.0, most=8.0), 1800.0)
    _, compared = looked(watched, 97.0, STEADY, 3600.0)
    assert compared is not None
    assert (compared.least_dollars, compared.most_dollars) == (1.0, 5.0)
    assert not compared.is_drift


@pytest.mark.parametrize(
    ("state", "least", "most"),
    [
        (MarketState.RUNNING, 0.5, 0.6),
        (MarketState.STOPPED, 0.1, 0.2),
        (MarketState.PENDING, 0.1, 0.6),  # loading is free
        (MarketState.OFFLINE, 0.0, 0.6),
        (MarketState.UNKNOWN, 0.0, 0.6),
    ],
)
def test_what_nobody_can_know_widens_what_is_expected(
    state: MarketState, least: float, most: float
) -> None:
    ours = an_instance(state=state, dollars_per_hour=0.5, disk_dollars_per_hour=0.1)
    burn = burn_of([ours], {HOST: 0.1, InstanceId(1): 9.0})
    assert (burn.least, round(burn.most, 9)) == (least, most)


def test_a_clock_that_stands_still_adds_nothing() -> None:
    watched = looked(None, 100.0, STEADY, 10.0)[0]
    assert isinstance(watched, Watched)
    assert paying(watched, STEADY, 5.0).most_dollars == 0.0
