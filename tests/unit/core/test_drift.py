"""What the account paid against what its rentals are said to cost."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from keeper.core.drift import (
    KEPT_S,
    LONGEST_S,
    Burn,
    Compared,
    Drifted,
    Watched,
    burn_of,
    looked,
    paying,
    standing,
)
from keeper.core.model import InstanceId, MarketState
from keeper.core.world import AccountSeen
from tests.builders import HOST, NOW, ago, ahead, an_instance, decide, healthy_world

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


def drift_ends_after_hours(*, look_s: float, loss: float, leak: float, is_stepped: bool) -> float:
    """Burn 2 $/h, lose so much at once or every hour from hour 4 on; return how long it stood."""
    watched, before, since_s, at_s = None, None, None, 0.0
    while at_s < 30 * 3600.0:
        lost_hours = max(0.0, at_s / 3600.0 - 4.0)
        hours = math.floor(at_s / 3600.0) if is_stepped else at_s / 3600.0
        credit = 1000.0 - 2.0 * hours - leak * lost_hours - (loss if lost_hours else 0.0)
        watched, compared = looked(watched, credit, STEADY, at_s, before)
        before = compared or before
        if compared is not None and compared.is_drift and since_s is None:
            since_s = at_s
        if since_s is not None and compared is not None and not compared.is_drift:
            return (at_s - since_s) / 3600.0
        at_s += look_s
    assert since_s is not None, "never found"
    return math.inf


@pytest.mark.parametrize("loss", [4.0, 9.0, 60.0])
@pytest.mark.parametrize("is_stepped", [True, False])
@pytest.mark.parametrize("look_s", [300.0, 700.0])
def test_a_loss_that_happened_once_is_over_an_hour_or_two_later(
    *, look_s: float, loss: float, is_stepped: bool
) -> None:
    assert drift_ends_after_hours(
        look_s=look_s, loss=loss, leak=0.0, is_stepped=is_stepped
    ) <= (2.5 if is_stepped else 1.5)  # fmt: skip


@pytest.mark.parametrize("leak", [1.5, 3.0, 20.0])
@pytest.mark.parametrize("is_stepped", [True, False])
def test_one_that_goes_on_stands(*, leak: float, is_stepped: bool) -> None:
    ended = drift_ends_after_hours(look_s=300.0, loss=0.0, leak=leak, is_stepped=is_stepped)
    assert ended == math.inf


def test_a_drift_stands_from_its_first_sight_until_a_comparison_shows_none() -> None:
    found, same, none = over(3600.0, 9.0), over(7200.0, 19.0), over(LONGEST_S, 6.0)
    assert found is not None
    first = standing(None, found, ago(7200))
    assert first == Drifted(compared=found, since=ago(7200), at=ago(7200))
    assert standing(first, found, NOW) is first, "nothing new is nothing to write"
    again = standing(first, same, NOW)
    assert again == Drifted(compared=same, since=ago(7200), at=NOW)  # type: ignore[arg-type]
    assert standing(again, none, NOW) is None
    assert standing(None, none, NOW) is None
    # A new process has not compared anything yet: what is known stands, but not for ever.
    assert standing(again, None, ahead(KEPT_S - 1)) is again
    assert standing(again, None, ahead(KEPT_S)) is None


def test_a_drift_is_on_disk_with_the_ledger() -> None:
    found = over(3600.0, 9.0)
    account = AccountSeen(spendable_dollars=50.0, at=ago(1), compared=found)
    plan = decide(healthy_world(account=account))
    assert plan.meter is not None
    assert plan.meter.drift == Drifted(compared=found, since=NOW, at=NOW)  # type: ignore[arg-type]
    restarted = healthy_world(meter=plan.meter, account=replace(account, compared=None))
    after = decide(restarted)
    assert (after.meter or plan.meter).drift == plan.meter.drift
    over_now = healthy_world(
        meter=plan.meter, account=replace(account, compared=over(LONGEST_S, 6.0))
    )
    cleared = decide(over_now).meter
    assert cleared is not None
    assert cleared.drift is None


def test_nothing_is_said_before_an_hour() -> None:
    assert over(3599.0, 50.0) is None


def test_when_the_account_was_last_seen_empty_is_on_disk_with_the_ledger() -> None:
    """Else the next process would take hosts that had been stopped for sick ones."""
    account = AccountSeen(spendable_dollars=50.0, at=ago(1), empty_at=ago(60))
    written = decide(healthy_world(account=account)).meter
    assert written is not None
    assert written.empty_at == ago(60)
    seldom = replace(account, empty_at=None)  # a process that has not seen it
    for known in (account, seldom):
        again = decide(healthy_world(meter=written, account=known)).meter
        assert again is None


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


def test_what_every_rental_costs_is_added_up_whatever_is_known_of_it() -> None:
    told = [
        an_instance(number, state=state, dollars_per_hour=0.5, disk_dollars_per_hour=0.1)
        for number, state in enumerate((MarketState.RUNNING, *MarketState), 1)
    ]
    burn = burn_of(told, {})
    assert (round(burn.least, 9), round(burn.most, 9)) == (1.2, 0.5 * len(told))


def test_the_last_step_of_what_was_ended_since_is_still_expected() -> None:
    """The dearest time counts, be it the first look: its last hour may be billed only now."""
    watched, _ = looked(None, 100.0, Burn(least=20.0, most=20.0), 0.0)
    assert watched.highest_before == 0.0
    watched, compared = looked(watched, 100.0, Burn(least=0.0, most=0.0), 60.0)
    assert compared is None
    watched, compared = looked(watched, 79.5, Burn(least=0.0, most=0.0), 3600.0)
    assert compared is None
    assert (watched.highest, watched.since_s) == (20.0, 0.0)


def test_credit_that_was_bought_in_between_is_no_less_bought_for_being_little() -> None:
    """What counts is the reading before, not the first one."""
    watched, _ = looked(None, 100.0, STEADY, 0.0)
    watched, _ = looked(watched, 90.0, STEADY, 60.0)
    watched, compared = looked(watched, 95.0, STEADY, 120.0)
    assert compared is None
    assert (watched.since_s, watched.credit_at_first_dollars) == (120.0, 95.0)


def test_a_clock_that_stands_still_adds_nothing() -> None:
    watched = looked(None, 100.0, STEADY, 10.0)[0]
    assert isinstance(watched, Watched)
    assert paying(watched, STEADY, 5.0).most_dollars == 0.0
