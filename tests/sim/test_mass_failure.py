"""Two hosts fall dark: one is tried, and none before its time, whatever comes up again or moves the clock."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from keeper.sim.faults import Fault, FaultKind
from keeper.sim.story import Story

_HOUR_S = 3600.0
_TRIAL_S = 900.0


# Seed, seconds between the two, how long the second is down.
@pytest.mark.parametrize(
    ("seed", "apart_s", "down_s"), [(2, 158.0, 308.0), (6, 158.0, 200.0), (1, 30.0, 200.0)]
)
def test_a_host_that_comes_up_again_ends_no_mass_failure_before_it_is_seen(
    seed: int, apart_s: float, down_s: float
) -> None:
    """Seed 2381 of any fleet: the list called it "loading", and for seconds nobody knew anything bad of it."""
    story = Story(
        seed=seed,
        duration_s=4 * _HOUR_S,
        plan=(
            Fault(kind=FaultKind.HOST_OFFLINE, at=_HOUR_S, for_s=1500.0, count=1),
            Fault(
                kind=FaultKind.HOST_REBOOTS,
                at=_HOUR_S + apart_s,
                count=1,
                params={"down_s": down_s},
            ),
        ),
        streams={"duel": 1, "turbo": 1},
        strangers=0,
    )
    played = story.run()
    assert played.result.broken == ()
    lines = [json.loads(line) for line in played.result.journal.splitlines()]
    fuse = [line["event"] for line in lines if line["event"].startswith("fuse.")]
    assert fuse == ["fuse.tripped", "fuse.reset"]
    given_up = [line for line in lines if line["event"] == "instance.condemned"]
    assert len(given_up) == 1, "the trial: nobody may act on the process before"


# Seed, by how much the clock is set, how long after the first has gone.
@pytest.mark.parametrize(
    ("seed", "step_s", "after_s"), [(1, 3600.0, 400.0), (3, 3600.0, 400.0), (3, -3600.0, 300.0)]
)
def test_a_clock_that_is_set_brings_no_trial_forward_and_a_trial_is_one(
    seed: int, step_s: float, after_s: float
) -> None:
    """Seed 8309 of any fleet: four minutes seemed an hour; and its own restart a person's, so another was tried."""
    story = Story(
        seed=seed,
        duration_s=4 * _HOUR_S,
        plan=(
            Fault(kind=FaultKind.HOST_OFFLINE, at=_HOUR_S, for_s=3000.0, count=1),
            Fault(kind=FaultKind.PROCESS_KILLED, at=_HOUR_S + 158.0, count=1),
            Fault(kind=FaultKind.CLOCK_STEP, at=_HOUR_S + after_s, params={"step_s": step_s}),
        ),
        streams={"duel": 1, "turbo": 1},
        strangers=0,
    )
    played = story.run()
    assert played.result.broken == ()
    lines = [json.loads(line) for line in played.result.journal.splitlines()]
    names = [line["event"] for line in lines]
    held = lines[names.index("fuse.tripped") : _reset(lines)]
    acts = ("instance.condemned", "workload.restarting")
    assert len({line["slot"] for line in held if line["event"] in acts}) == 1


def test_hosts_that_stopped_with_the_credit_are_no_mass_failure_to_the_next_process() -> None:
    """Seed 7663 of any fleet: killed before the credit was back, keeper brought twenty slots back one by one."""
    story = Story(
        seed=1,
        duration_s=2.5 * _HOUR_S,
        plan=(
            Fault(kind=FaultKind.CREDIT_ZERO, at=_HOUR_S, for_s=2179.0),
            Fault(kind=FaultKind.KEEPER_KILLED, at=_HOUR_S + 2106.0, params={"down_s": 113.0}),
        ),
        streams={"duel": 5},
        strangers=0,
    )
    played = story.run()
    assert played.result.broken == ()
    lines = [json.loads(line) for line in played.result.journal.splitlines()]
    started = [n for n, line in enumerate(lines) if line["event"] == "keeper.started"][1]
    after = lines[started:]
    began = datetime.fromisoformat(after[0]["at"])
    lit = [datetime.fromisoformat(e["at"]) for e in after if e["event"] == "stream.on_air"]
    assert len(lit) == 5
    assert max(lit) - began < timedelta(minutes=9), "three at a time"


def _reset(lines: list[dict[str, Any]]) -> int:
    """Return where the mass failure is over, of the facts."""
    return next(
        number
        for number, line in enumerate(lines)
        if line["event"] == "fuse.reset" and line["facts"]["reason"] == "mass_failure"
    )
