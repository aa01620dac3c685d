"""What becomes of time between two ticks: a clock that is set, a keeper that did not listen."""

from datetime import timedelta

import pytest

from keeper.core.model import Policy
from keeper.daemon.clocks import Clocks, Looked
from keeper.sim.loop import EPOCH

INTERVAL_S = 30.0
# The sentinel speaks each ten seconds, so a witness may have been heard this long before a freeze.
HEARD_BEFORE_S = 10.0


def looked_after(mono_s: float, *, step_s: float = 0.0, interval_s: float = INTERVAL_S) -> Looked:
    clocks = Clocks(0.0)
    clocks.look(EPOCH, 0.0, interval_s)
    clocks.ticked(0.0)
    return clocks.look(EPOCH + timedelta(seconds=mono_s + step_s), mono_s, interval_s)


@pytest.mark.parametrize(("mono_s", "was_away"), [(31.0, False), (45.0, False), (45.1, True)])
def test_who_decided_nothing_for_long_was_away(mono_s: float, was_away: bool) -> None:
    assert looked_after(mono_s).was_away is was_away


def test_a_long_interval_is_no_absence() -> None:
    assert not looked_after(85.0, interval_s=60.0).was_away
    assert looked_after(95.0, interval_s=60.0).was_away


def test_nobody_is_called_silent_by_a_keeper_that_was_frozen_for_a_minute() -> None:
    """A host on air was given up: the marketplace called it dead, and every witness seemed silent."""
    frozen_s = 60.0
    assert frozen_s + HEARD_BEFORE_S > Policy().probe_stale_s
    assert looked_after(frozen_s).was_away


@pytest.mark.parametrize(("step_s", "told_s"), [(4.0, 0.0), (3600.0, 3600.0), (-3600.0, -3600.0)])
def test_a_clock_that_steps_is_noticed(step_s: float, told_s: float) -> None:
    assert looked_after(10.0, step_s=step_s).step_s == pytest.approx(told_s)
