"""What the account paid against what its rentals are said to cost."""

from __future__ import annotations

import math

import pytest

from keeper.core.drift import LONGEST_S, Burn, Compared, Watched, burn_of, looked, paying
from keeper.core.model import InstanceId, MarketState
from tests.builders import HOST, an_instance

STEADY = Burn(least=2.0, most=2.0)


def over(seconds: float, fell: float, burn: Burn = STEADY) -> Compared | None:
    """A reading of a hundred dollars, and one that is lower some time later."""
    watched, _ = looked(None, 100.0, burn, 0.0)
    return looked(watched, 100.0 - fell, burn, seconds)[1]


@pytest.mark.parametrize(
    ("fell", "is_drift"),
    [(2.0, False), (4.5, False), (4.51, True), (0.0, False)],
)
def test_half_a_dollar_more_than_said_and_an_hour_at_once_is_drift(
    fell: float, is_drift: bool
) -> None:
    compared = over(3600.0, fell)
    assert (compared is not None) is is_drift  # else it goes on being compared
    assert compared is None or compared.is_drift


@pytest.mark.parametrize(
    ("fell", "is_drift"), [(6.0, False), (8.5, False), (8.7, True), (3.5, False), (3.3, True)]
)
def test_after_some_hours_it_is_decided_either_way(fell: float, is_drift: bool) -> None:
    compared = over(LONGEST_S, fell)
    assert compared is not None
    assert compared.is_drift is is_drift


def test_of_large_sums_a_tenth_is() -> None:
    large = Burn(least=50.0, most=50.0)
    for fell, is_drift in ((214.0, False), (216.0, True), (86.0, False), (84.0, True)):
        compared = over(LONGEST_S, fell, large)
        assert compared is not None
        assert compared.is_drift is is_drift


@pytest.mark.parametrize("dollars_per_hour", [5.0, 20.0, 50.0])
@pytest.mark.parametrize("is_ahead", [True, False])
@pytest.mark.parametrize("look_s", [300.0, 700.0])
def test_credit_that_falls_by_the_hour_at_once_is_no_drift(
    dollars_per_hour: float, is_ahead: bool, look_s: float
) -> None:
    """Whenever the hour is full, and in the hour after everything was ended too."""
    burning, nothing = (
        Burn(least=dollars_per_hour, most=dollars_per_hour),
        Burn(least=0.0, most=0.0),
    )
    ends_s = 30 * 3600.0
    for phase_s in range(0, 3600, 450):
        watched, told, at_s = None, 0, 0.0
        while at_s < 40 * 3600.0:
            hours = (min(at_s, ends_s) - phase_s) / 3600.0
            # Behind, the last bill is of a part of an hour, and comes late.
            is_settled = not is_ahead and at_s >= ends_s + 1800.0
            steps = hours if is_settled else math.floor(hours) + is_ahead
            burn = burning if at_s < ends_s else nothing
            credit = 10_000.0 - steps * dollars_per_hour
            watched, compared = looked(watched, credit, burn, at_s)
            told += compared is not None
            assert compared is None or not compared.is_drift, (phase_s, at_s)
            at_s += look_s
        assert told >= 8


@pytest.mark.parametrize("dollars_per_hour", [5.0, 50.0])
def test_a_leak_as_large_as_the_rest_is_found_within_two_hours_and_again(
    dollars_per_hour: float,
) -> None:
    burn = Burn(least=dollars_per_hour, most=dollars_per_hour)
    watched, found = None, []
    for minutes in range(0, 12 * 60, 5):
        credit = 10_000.0 - 2 * dollars_per_hour * minutes / 60
        watched, compared = looked(watched, credit, burn, minutes * 60.0)
        if compared is not None:
            found.append((minutes, compared.is_drift))
    assert found[0][0] <= 120
    assert all(is_drift for _, is_drift in found)


def test_nothing_is_said_before_an_hour() -> None:
    assert over(3599.0, 50.0) is None


def test_credit_that_was_bought_is_no_drift_and_begins_anew() -> None:
    watched, _ = looked(None, 10.0, STEADY, 0.0)
    watched, compared = looked(watched, 60.0, STEADY, 1800.0)
    assert compared is None
    watched, compared = looked(watched, 59.0, STEADY, 3600.0)
    assert compared is None  # half an hour since
    _, compared = looked(watched, 53.0, STEADY, 5400.0)
    assert compared is not None
    assert compared.over_s == 3600.0
    assert compared.fell_dollars == 7.0


def test_rates_that_change_on_the_way_are_added_up() -> None:
    watched, _ = looked(None, 100.0, STEADY, 0.0)
    watched = paying(watched, Burn(least=0.0, most=8.0), 1800.0)
    _, compared = looked(watched, 86.4, STEADY, 3600.0)
    assert compared is not None
    assert (compared.least_dollars, compared.most_dollars) == (1.0, 5.0)
    assert compared.step_dollars == 8.0
    assert looked(watched, 86.6, STEADY, 3600.0)[1] is None


@pytest.mark.parametrize(
    ("state", "least", "most"),
    [
        (MarketState.RUNNING, 0.5, 0.6),
        (MarketState.STOPPED, 0.1, 0.6),  # "exited", and its container may run all the same
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


def test_a_host_that_was_stopped_on_purpose_is_billed_for_its_disk() -> None:
    ours = an_instance(
        state=MarketState.STOPPED,
        is_meant_to_run=False,
        dollars_per_hour=0.5,
        disk_dollars_per_hour=0.1,
    )
    assert burn_of([ours], {}) == Burn(least=0.1, most=0.1)


def test_a_clock_that_stands_still_adds_nothing() -> None:
    watched = looked(None, 100.0, STEADY, 10.0)[0]
    assert isinstance(watched, Watched)
    assert paying(watched, STEADY, 5.0).most_dollars == 0.0
