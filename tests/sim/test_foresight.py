"""A world that tells when nothing will change is seen as one that has to be asked again and again.

Left out are the faults that count what keeper does, for with foresight it does less: the N-th port
call at which it is killed, the N-th commit that is refused, and SIGSTOP, which falls into a look that
is under way or not. What is under way when something changes can differ by a beat in other seeds.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from keeper.sim.faultplan import preset
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.fleets import DEFAULT_BIDDERS
from keeper.sim.story import Played, Story

_HOURS = 30.0
_CALM_HOURS = 9.0
_COUNTING = (FaultKind.STORE_WRITE_FAILS, FaultKind.KEEPER_STOPPED)


def _plan(seed: int) -> Iterator[Fault]:
    for fault in preset("all", seed=seed, until_s=(_HOURS - _CALM_HOURS) * 3600.0):
        if fault.kind is FaultKind.KEEPER_KILLED:
            yield replace(fault, params={**fault.params, "calls": 0})
        elif fault.kind not in _COUNTING:
            yield fault


def _played(seed: int, *, has_foresight: bool) -> Played:
    return Story(
        seed=seed,
        duration_s=_HOURS * 3600.0,
        plan=tuple(_plan(seed)),
        bidders=DEFAULT_BIDDERS,
        has_foresight=has_foresight,
    ).run()


def _told(played: Played) -> list[tuple[int, dict[str, Any]]]:
    """Return what was written down, and when in hundredths of a second."""
    lines = [json.loads(line) for line in played.result.journal.splitlines()]
    began = datetime.fromisoformat(lines[0]["at"])
    return [
        (round((datetime.fromisoformat(line["at"]) - began).total_seconds() * 50), _bare(line))
        for line in lines
        # What is owed is compared with the account at each tick; nothing calls for one.
        if "KeeperSpend" not in line["facts"].get("alert", "")
    ]


def _bare(line: dict[str, Any]) -> dict[str, Any]:
    facts = {k: v for k, v in line["facts"].items() if isinstance(v, str | int) and "_at" not in k}
    return {"event": line["event"], "slot": line["slot"], **facts}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [1, 2, 5])
def test_what_is_foreseen_is_decided_as_what_is_looked_at(seed: int) -> None:
    foreseen, looked = (_played(seed, has_foresight=each) for each in (True, False))
    assert foreseen.result.counts["tick.finished"] < looked.result.counts["tick.finished"] / 2
    assert [told for _, told in _told(foreseen)] == [told for _, told in _told(looked)]
    for (ours, told), (theirs, _) in zip(_told(foreseen), _told(looked), strict=True):
        assert abs(ours - theirs) <= 1, told
    assert foreseen.result.dollars == pytest.approx(looked.result.dollars, rel=1e-3)
    assert len(foreseen.result.faults) > 10


def test_promises_end_with_the_process_that_holds_them() -> None:
    """A dead keeper must not be told anything: it would act."""
    story = Story(
        seed=3,
        duration_s=4 * 3600.0,
        plan=(
            Fault(kind=FaultKind.KEEPER_KILLED, at=7200.0, params={"down_s": 600.0}),
            Fault(kind=FaultKind.PROCESS_KILLED, at=7300.0),
        ),
    )
    played = story.run()
    assert played.result.broken == ()
    assert played.evidence.unhandled == ()
