"""Three days with every fault under a tight cap: the marketplace's own dollars, the cap, the ledger."""

from __future__ import annotations

import pytest

from keeper.sim.bills import days, dollars_between
from keeper.sim.evidence import Evidence
from keeper.sim.faultplan import plan_for
from keeper.sim.faults import FaultKind
from keeper.sim.story import Story, storm_s

_DAYS = 3.0
_DAY_S = 86_400.0
_CAP = 3.0  # about ten hours of a host
# Loading is free and is counted, and a host that is offline is not billed. What is missing can only be
# what a keeper that was killed had not written down yet: its rates are on disk, so nothing.
_MORE_RATIO, _MORE_DOLLARS = 1.03, 0.1
_LESS_RATIO = 0.995


def billed(seen: Evidence, since: float, until: float, stream: str = "") -> float:
    return sum(
        dollars_between(rental, since, until)
        for slot, rentals in seen.rentals.items()
        if slot.startswith(stream)
        for rental in rentals
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [2])
def test_a_tight_cap_holds_by_the_marketplace_s_own_books(seed: int) -> None:
    plan = plan_for("all", seed=seed, until_s=storm_s(_DAYS))
    story = Story(
        seed=seed,
        duration_s=_DAYS * _DAY_S,
        # A day is one of keeper's own clock: an hour of error moves an hour's price over midnight.
        plan=tuple(fault for fault in plan if fault.kind is not FaultKind.CLOCK_STEP),
        day_caps={"duel": _CAP},
    )
    played = story.run()
    seen, counts = played.evidence, played.result.counts
    # The run may end while the stream is stopped, and then it is not on air.
    broken = [each for each in played.result.broken if each.invariant != "I18"]
    assert [each.sentence() for each in broken] == []
    assert counts["budget.stopped"] >= 2, "the cap was never reached"
    assert counts["budget.warned"] >= 6
    by_day = [billed(seen, since, until, "duel/") for since, until in days(seen)]
    assert max(by_day) <= _CAP
    assert max(by_day) >= _CAP * 0.8  # and it is used
    true, counted = billed(seen, seen.began_at, seen.ended_at), played.counted["total"]
    assert true * _LESS_RATIO <= counted <= true * _MORE_RATIO + _MORE_DOLLARS, (true, counted)
