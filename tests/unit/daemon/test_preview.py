"""What a tick would do now, asked without a daemon: the calendar counts there too."""

from dataclasses import replace

import pytest

from keeper.core.reasons import Reason
from keeper.core.windows import Allowance
from keeper.daemon.cadence import CronOpenings
from keeper.daemon.preview import preview
from keeper.daemon.windows import DeclaredWindow
from keeper.ports import Saved
from keeper.sim.loop import VirtualClock, run
from keeper.sim.memory import MemoryMarketplace
from keeper.sim.power import Power
from keeper.sim.stage import declared
from keeper.sim.universe import Universe
from tests.stage import QUIET


@pytest.mark.parametrize(
    ("cron", "reason"),
    [("0 0 * * *", Reason.MAINTENANCE_WINDOW), ("0 12 * * *", Reason.VACANT)],
    ids=["within a window", "outside of it"],
)
def test_a_plan_without_a_daemon_knows_the_windows(cron: str, reason: Reason) -> None:
    """The simulation begins at midnight."""
    window = DeclaredWindow(
        name="night", openings=CronOpenings(cron, "UTC"), for_s=3600.0, allow=Allowance.REPAIR
    )

    async def play() -> None:
        clock = VirtualClock()
        marketplace = MemoryMarketplace(Universe(1, shape=QUIET), Power(), clock=clock)
        wanted = replace(declared({"duel": 1}), windows=(window,))
        snapshot = await preview(marketplace, Saved(keeper_id="00000001"), wanted, clock)
        (decision,) = snapshot.plan.decisions
        assert decision.reason is reason

    run(play())
