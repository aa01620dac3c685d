"""When a mass failure may have begun, as far as keeper could know: each excuse beside its sin."""

from dataclasses import replace

import pytest

from keeper.sim.promises_nerve import common_causes_stop_everything
from tests.sim.ledgers import Run


@pytest.mark.parametrize(
    ("lit_s", "treated_at", "is_blamed"),
    [
        pytest.param(7.0, 6050.0, False, id="nobody can have seen it twice"),
        pytest.param(7.0, 5900.0, True, id="but too many were sick for less than the trial takes"),
        pytest.param(21.0, 6050.0, True, id="who has seen it begins to count anew"),
        pytest.param(21.0, 6650.0, False, id="and has"),
    ],
)
def test_a_picture_of_a_moment_may_not_have_been_seen(
    *, lit_s: float, treated_at: float, is_blamed: bool
) -> None:
    """Seed 6451: one of two hosts was back, and its process was killed seven seconds later."""
    run = Run()
    run.rent(201, "k:turbo/0:1", at=15.0)
    run.picture(201, 300.0)
    run.picture(100, 5000.0, live=False)
    run.picture(201, 5100.0, live=False)
    run.picture(201, 5700.0)
    run.picture(201, 5700.0 + lit_s, live=False)
    run.command(201, treated_at, "restart.process.start")
    run.picture(201, 7000.0)
    run.picture(100, 7000.0)
    seen = replace(run.evidence(), desired={"duel": 1, "turbo": 1})
    found = [broken.invariant for broken in common_causes_stop_everything(seen)]
    assert found == ["I12"] * is_blamed
