"""What becomes of time between two ticks: a clock that is set, a keeper that did not listen."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from keeper.core.model import HostId, MachineId, Policy, Quarantine, RemedyUse, Rung
from keeper.core.reasons import Reason
from keeper.daemon.clocks import Clocks, Looked
from keeper.sim.disk import Disk
from keeper.sim.loop import EPOCH, run
from tests.stage import SLOT, Stage

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


def test_a_keeper_that_is_killed_after_its_clock_was_set_leaves_all_as_it_moved() -> None:
    """Seed 3004 of any fleet: the store still held a machine in quarantine an hour too long."""

    async def play() -> None:
        machine_id, until = MachineId(999), EPOCH + timedelta(hours=6)
        disk = Disk(keeper_id="00000001")
        disk.quarantine[machine_id] = Quarantine(
            machine_id=machine_id, host_id=HostId(9), strikes=1, until=until, reason=Reason.GONE
        )
        async with Stage(disk=disk) as stage:
            await asyncio.sleep(600.0)
            used = RemedyUse(rung=Rung.REBOOT, at=EPOCH)
            memory = stage.daemon.ground.memory
            memory.records[SLOT] = replace(memory.records[SLOT], remedies=(used,))
            stage.clock.step(-3600.0)
            await asyncio.sleep(60.0)
            assert disk.quarantine[machine_id].until == until - timedelta(hours=1)
            assert disk.records[SLOT].remedies == (replace(used, at=EPOCH - timedelta(hours=1)),)
            assert disk.meter.clock_off_s == -3600.0
            commits = disk.commits
            await asyncio.sleep(300.0)
            assert disk.commits < commits + 5, "it is written once"

    run(play())
