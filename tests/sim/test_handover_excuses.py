"""What campaigns taught the auditor about hand-overs: each excuse beside the sin it must not cover.

The seeds are of ``keeper sim run --faults all``; a name of a fleet is said with them.
"""

from dataclasses import replace
from typing import Any

import pytest

from keeper.sim.evidence import Bounds, Caps
from keeper.sim.promises_ends import no_rental_is_abandoned
from keeper.sim.promises_money import rentals_within_the_declared
from keeper.sim.promises_nerve import make_before_break
from tests.sim.doctored_hosts import ended_for_money_that_was_there
from tests.sim.ledgers import BEGAN, DAY, SLOT, Run

# Two hours in which nothing may be done, from four minutes after the second host was rented.
SHUT = {"duel": ((BEGAN + 50_240.0, BEGAN + 57_500.0),)}
LATE_SHUT = {"duel": ((BEGAN + 53_950.0, BEGAN + 57_500.0),)}


@pytest.mark.parametrize(
    ("why", "changes", "is_blamed"),
    [
        pytest.param("ends", {"observed": SHUT}, False, id="its contract ends, and a window opens"),
        pytest.param("served", {"observed": SHUT}, True, id="it could have waited for the window"),
        pytest.param(
            "served", {"observed": SHUT, "watched": SHUT}, False, id="nobody sees a mode coming"
        ),
        pytest.param(
            "served", {"paused": SHUT["duel"]}, False, id="nor a pause"
        ),
        pytest.param(
            "served", {"observed": SHUT, "clock_steps": ((BEGAN + 50_100.0, 3600.0),)}, False,
            id="nor that the clock leaps to its opening",
        ),
        pytest.param(
            "served", {"observed": SHUT, "clock_steps": ((BEGAN + 49_900.0, 3600.0),)}, True,
            id="it had leapt before",
        ),
        pytest.param(
            "served", {"observed": LATE_SHUT}, True, id="the window opened when all was to be over"
        ),
        pytest.param("ends", {"observed": {"turbo": SHUT["duel"]}}, True, id="another's window"),
        pytest.param("ends", {}, True, id="nothing was in the way"),
        pytest.param(
            "ends", {"observed": {"duel": ((BEGAN + 50_200.0, BEGAN + 52_000.0),)}}, True,
            id="there was time enough besides",
        ),
    ],
)  # fmt: skip
def test_a_hand_over_stands_still_in_a_window_that_it_could_not_wait_for(
    why: str, changes: dict[str, Any], is_blamed: bool
) -> None:
    """Seed 1313 of any fleet: a host was recycled four minutes before nothing might be done."""
    run = Run()
    run.rent(101, "k:duel/0:2", at=50_000.0)
    run.picture(101, 50_250.0)
    run.destroy(100, 57_600.0)
    if why == "ends":
        run.ledger.rentals[100].ends_at = BEGAN + 58_000.0
    seen = run.evidence()
    recycle_after_s = 43_200.0 if why == "served" else None
    bounds = replace(seen.bounds, recycle_after_s=recycle_after_s)
    found = rentals_within_the_declared(replace(seen, bounds=bounds, **changes))
    assert [broken.invariant for broken in found] == ["I5"] * is_blamed


@pytest.mark.parametrize(
    ("before_end_s", "changes", "is_blamed"),
    [
        pytest.param(150.0, {}, False, id="a hand-over is under way"),
        pytest.param(
            150.0, {"bounds": Bounds(), "ordered": ((BEGAN + DAY - 160.0, SLOT),)}, False,
            id="an ordered one",
        ),
        pytest.param(150.0, {"bounds": Bounds()}, True, id="the old host was not to be left"),
        pytest.param(4000.0, {}, True, id="it should be over"),
        pytest.param(
            4000.0, {"paused": ((BEGAN + DAY - 3000.0, BEGAN + DAY - 2000.0),)}, False,
            id="for a while it could not go on",
        ),
        pytest.param(30_000.0, {}, True, id="they have stood side by side for hours"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("destroyed_before_end_s", [None, 140.0])
def test_a_run_may_end_amid_a_hand_over(
    before_end_s: float,
    changes: dict[str, Any],
    destroyed_before_end_s: float | None,
    *,
    is_blamed: bool,
) -> None:
    """Seed 1837 of any fleet: a host was recycled two and a half minutes before the end."""
    run = Run()
    run.rent(101, "k:duel/0:2", at=DAY - before_end_s)
    if destroyed_before_end_s is not None:  # asked to end, and not gone
        run.destroy(100, DAY - destroyed_before_end_s, ends=False)
    seen = run.evidence()
    bounds = replace(seen.bounds, recycle_after_s=43_200.0)
    found = no_rental_is_abandoned(replace(seen, **({"bounds": bounds} | changes)))
    assert [broken.invariant for broken in found] == ["I7"] * is_blamed


def test_a_third_host_is_of_no_hand_over() -> None:
    """Nor is one whose stream is declared no more."""
    run = Run()
    run.rent(101, "k:duel/0:2", at=DAY - 150.0)
    run.rent(102, "k:duel/0:3", at=DAY - 100.0)
    seen = run.evidence()
    seen = replace(seen, bounds=replace(seen.bounds, recycle_after_s=43_200.0))
    assert [broken.invariant for broken in no_rental_is_abandoned(seen)] == ["I7"]
    run.end(102, DAY - 90.0)
    assert not list(no_rental_is_abandoned(seen))
    gone = replace(seen, desired={})
    assert [broken.invariant for broken in no_rental_is_abandoned(gone)] == ["I7"]


@pytest.mark.parametrize(
    ("first_at", "lost_at", "is_blamed"),
    [
        pytest.param(5300.0, 5359.5, False, id="it went black in the last look, which had begun"),
        pytest.param(5300.0, None, False, id="it did not"),
        pytest.param(5300.0, 5355.0, True, id="it went black before the last look began"),
        pytest.param(5312.0, None, True, id="one look fewer"),
        pytest.param(5312.0, 5359.5, True, id="one look fewer, and black in the last"),
    ],
)
def test_a_successor_may_go_black_behind_the_last_of_its_good_looks(
    *, first_at: float, lost_at: float | None, is_blamed: bool
) -> None:
    """Seed 6097 of any fleet: 56 s after its first picture, half a second before the sixth look was over."""
    run = Run()
    run.ledger.rentals[100].ends_at = BEGAN + 9000.0
    run.rent(101, "k:duel/0:2", at=5000.0)
    run.picture(101, first_at)
    if lost_at is not None:
        run.picture(101, lost_at, live=False)
    run.destroy(100, 5360.0)
    found = make_before_break(run.evidence())
    assert [broken.invariant for broken in found] == ["I11"] * is_blamed


@pytest.mark.parametrize(
    ("billed", "changes", "cap", "is_blamed"),
    [
        pytest.param(0.1, (), 5.2, False, id="they loaded: the disk is billed, and all is counted"),
        pytest.param(4.0, (), 5.5, True, id="they ran, and all was billed"),
        pytest.param(
            0.1, ("stopped",), 5.2, True, id="they stood still: the disk is counted alone"
        ),
        pytest.param(0.1, ("stopped", "end moved"), 5.2, True, id="and went on standing still"),
        pytest.param(0.1, (), 5.4, True, id="the cap was far from used up by both"),
    ],
)
def test_hosts_that_load_for_long_cost_a_disk_and_are_counted_in_full(
    *, billed: float, changes: tuple[str, ...], cap: float, is_blamed: bool
) -> None:
    """Seed 9090 of any fleet: two that never came up were counted at 21 cents, and billed three."""
    run = Run()
    run.rent(200, "k:duel/1:1", at=1000.0, dollars=0.5)
    run.ledger.rentals[200].disk_dollars_per_hour = 0.02
    for at, what in zip((1000.2, 1000.4), changes, strict=False):
        run.change(200, at, what, "host")
    run.end(200, 1000.0 + 8 * 3600.0, dollars=billed)
    seen = ended_for_money_that_was_there(run)
    caps = {"duel": Caps(per_day=cap)}
    found = make_before_break(replace(seen, bounds=replace(seen.bounds, caps=caps)))
    assert [broken.invariant for broken in found] == ["I11"] * is_blamed
