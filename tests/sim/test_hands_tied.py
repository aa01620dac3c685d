"""When there is nothing that keeper could do for a dark slot: what counts then, and what does not."""

import pytest

from keeper.sim.promises_stream import on_air_after_the_calm
from tests.sim.doctored_hosts import a_stall, searching
from tests.sim.ledgers import DAY, Run

_CALM = DAY - 10_000.0  # of a doctored run


@pytest.mark.parametrize(
    ("emptied_until", "every_s", "again_at", "blamed"),
    [
        pytest.param(DAY, 600.0, DAY, [], id="nothing suits until the end"),
        pytest.param(_CALM + 4000.0, 600.0, _CALM + 7000.0, [], id="an hour from when one does"),
        pytest.param(_CALM + 4000.0, 600.0, DAY, ["I18"], id="and no longer"),
        pytest.param(DAY, 1200.0, DAY, ["I18"], id="who hardly looks is not excused"),
        pytest.param(0.0, 600.0, DAY, ["I18"], id="one stands open"),
    ],
)
def test_an_empty_market_fills_no_slot_in_the_calm_either(
    emptied_until: float, every_s: float, again_at: float, blamed: list[str]
) -> None:
    """Seed 9383 of any fleet: eight hours of it, and the stream was to be on air after one."""
    run = Run()
    run.picture(100, _CALM - 600.0, live=False)
    run.destroy(100, _CALM - 590.0)
    searching(run, _CALM - 560.0, emptied_until, every_s=every_s)
    searching(run, max(emptied_until, _CALM - 560.0), DAY, a_stall(), every_s=every_s)
    if again_at < DAY:
        run.rent(101, "k:duel/0:2", at=again_at - 300.0)
        run.picture(101, again_at)
    assert [broken.invariant for broken in on_air_after_the_calm(run.evidence())] == blamed
