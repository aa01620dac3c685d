"""What a tick would do now, asked without a daemon: the calendar counts there too."""

from dataclasses import replace

import pytest

from keeper.core.model import Revision
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance
from keeper.daemon.cadence import CronOpenings
from keeper.daemon.preview import preview
from keeper.daemon.windows import DeclaredWindow
from keeper.ports import Saved
from keeper.sim.deploys import Deploy, with_deploys
from keeper.sim.loop import VirtualClock, run
from keeper.sim.memory import MemoryMarketplace
from keeper.sim.power import Power
from keeper.sim.stage import declared
from keeper.sim.universe import Universe
from keeper.web.status import plan_of
from tests.builders import NOW, a_record, a_tenure
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


def test_a_plan_without_a_daemon_says_what_a_reload_would_roll_out() -> None:
    """Of the hosts nothing is known, so no deploy is decided; that it would come is said."""
    good = with_deploys(declared({"duel": 2}), {"duel": Deploy(prompt="good")})
    better = with_deploys(declared({"duel": 2}), {"duel": Deploy(prompt="better")})
    (stream,) = good.desired.streams
    kept = Revision(
        stream=stream.name, name=stream.revision, declared_at=NOW, recipe=stream.recipe,
        parts=stream.parts, rental_mark=stream.rental_mark, proven_at=NOW,
    )  # fmt: skip
    records = tuple(a_record(a_tenure(revision=kept.name), slot=slot) for slot in stream.slots)
    saved = Saved(keeper_id="00000001", records=records, revisions={stream.name: (kept,)})

    async def play() -> None:
        clock = VirtualClock()
        marketplace = MemoryMarketplace(Universe(1, shape=QUIET), Power(), clock=clock)
        for wanted, expected in ((good, (0, "")), (better, (2, "prompt"))):
            (deploy,) = plan_of(await preview(marketplace, saved, wanted, clock)).deploys
            assert (deploy.hosts_to_come, deploy.changed) == expected

    run(play())
