"""One-shot verbs: whatever ends them, what is under way is drained and written down."""

import pytest

from keeper.core.world import OrderKind
from keeper.daemon.once import run_until
from keeper.ports import TimedOut
from keeper.sim.loop import run
from tests.stage import Stage


def test_an_order_that_cannot_be_written_ends_it_in_order() -> None:
    """It cancelled the daemon in the middle of its acts, and the error came wrapped in a group."""

    async def play() -> None:
        stage = Stage()
        stage.store.is_full = True
        with pytest.raises(TimedOut):
            await run_until(
                stage.daemon, lambda _: True,
                orders=(stage.order(OrderKind.DESTROY),), timeout_s=600.0,
            )  # fmt: skip
        assert "stopping" in stage.heartbeat.told
        assert stage.disk.clean_stop

    run(play())


def test_it_ends_when_the_time_is_up_and_what_was_rented_is_recorded() -> None:
    async def play() -> None:
        stage = Stage()
        assert not await run_until(stage.daemon, lambda _: False, timeout_s=30.0)
        (record,) = stage.disk.records.values()
        assert record.tenure is not None
        assert stage.disk.clean_stop

    run(play())


def test_it_ends_when_what_was_wanted_holds() -> None:
    async def play() -> None:
        stage = Stage()
        assert await run_until(
            stage.daemon, lambda snapshot: any(r.ever_on_air for r in snapshot.records.values()),
            timeout_s=900.0,
        )  # fmt: skip

    run(play())
