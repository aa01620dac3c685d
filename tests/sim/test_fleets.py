"""The fleets that a seed can draw: each is lived in for a while, and its hours are what was declared."""

from __future__ import annotations

from typing import Any

import pytest

from keeper.cli.sim import FLEETS as OFFERED
from keeper.core.windows import Allowance, strictest
from keeper.daemon.windows import Windows
from keeper.sim.fleets import (
    ANY,
    DAY_S,
    DEFAULT,
    FLEETS,
    OBSERVE,
    REPAIR,
    REPLACE,
    SUGGEST,
    Fleet,
    Habits,
    Opening,
    Spell,
    fleet_for,
    forbidden,
)
from keeper.sim.loop import EPOCH
from keeper.sim.stage import declared
from keeper.sim.story import run_seed

BEGAN = EPOCH.timestamp()
HOUR_S = 3600.0


def test_the_command_line_offers_every_fleet() -> None:
    assert (*FLEETS, ANY) == OFFERED
    assert OFFERED[0] == DEFAULT
    with pytest.raises(ValueError, match="none of the fleets: two, one"):
        fleet_for("three", seed=1)


def test_a_seed_draws_the_same_fleet_again_and_others_draw_others() -> None:
    drawn = [fleet_for(ANY, seed=seed).sentence() for seed in range(200)]
    assert drawn == [fleet_for(ANY, seed=seed).sentence() for seed in range(200)]
    assert len(set(drawn)) > 20
    for word in ("only bids", "$ an hour", "$ in all", "windows", "spells", "recycled", "17"):
        assert any(word in each for each in drawn), word


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [each for each in FLEETS if each != DEFAULT])
def test_no_promise_is_broken_in_a_day_of_any_fleet(name: str) -> None:
    """Whole weeks of them are for the soak."""
    result = run_seed(3, days=0.3 if name == "twenty" else 1.0, fleet=name)
    assert [broken.sentence() for broken in result.broken] == []
    assert result.counts["tick.finished"] < 200 * result.slot_hours


WINDOWS = (
    Opening(at_hour=3, for_s=2 * HOUR_S, allow=REPAIR),
    Opening(at_hour=4, for_s=3 * HOUR_S, allow=OBSERVE, stream="duel"),
    Opening(at_hour=23, for_s=2 * HOUR_S, allow=REPLACE, stream="turbo"),
)
FLEET = Fleet(
    habits=Habits(
        windows=WINDOWS,
        watched={"xr": SUGGEST},
        spells=(Spell(stream="turbo", mode=OBSERVE, since_s=12 * HOUR_S, until_s=13 * HOUR_S),),
    ),
    streams={"duel": 1, "turbo": 1, "xr": 1},
)


def _hours(allows: set[str], **more: Any) -> dict[str, list[tuple[float, float]]]:
    found = forbidden(
        FLEET,
        frozenset(allows),
        began_at=BEGAN,
        ended_at=BEGAN + DAY_S,
        **({"clock_steps": ()} | more),
    )
    return {
        name: [((begins - BEGAN) / HOUR_S, (ends - BEGAN) / HOUR_S) for begins, ends in spans]
        for name, spans in found.items()
    }


def test_what_is_forbidden_and_when() -> None:
    assert _hours({OBSERVE}) == {"duel": [(4.0, 7.0)], "turbo": [(12.0, 13.0)], "xr": [(0.0, 24.0)]}
    assert _hours({REPAIR}) == {name: [(3.0, 5.0)] for name in FLEET.streams}
    assert _hours({REPLACE}) == {"turbo": [(0.0, 1.0), (23.0, 24.0)]}


def test_hours_are_those_of_keepers_own_clock() -> None:
    """An hour ahead from 4 on: the window that opens at 4 has begun an hour ago, and ends at 6."""
    steps = [(BEGAN + 4.0 * HOUR_S, 3600.0)]
    assert _hours({REPAIR}, clock_steps=steps)["turbo"] == [(3.0, 4.0)]
    assert _hours({OBSERVE}, clock_steps=steps)["duel"] == [(4.0, 6.0)]
    back = [(BEGAN + 5.0 * HOUR_S, -3600.0)]
    assert _hours({OBSERVE}, clock_steps=back)["duel"] == [(4.0, 5.0), (5.0, 8.0)]


def test_the_stage_declares_the_same_hours() -> None:
    """The auditor works them out with plain numbers; keeper's own windows must agree, each minute."""
    wanted = declared(FLEET.streams, (), {}, FLEET.habits)
    windows = Windows(lambda: wanted.windows, lambda _: None)
    closed = {allow: _hours({allow.value}) for allow in (Allowance.OBSERVE, Allowance.REPAIR)}
    for minute in range(24 * 60):
        now = EPOCH.fromtimestamp(BEGAN + minute * 60.0, EPOCH.tzinfo)
        windows.look(now)
        strict = strictest(windows.open, wanted.desired.streams[0].name, now)
        ours = next(
            (
                allow
                for allow, hours in closed.items()
                if any(begins <= minute / 60.0 < ends for begins, ends in hours.get("duel", ()))
            ),
            None,
        )
        assert (strict.allow if strict else None) == ours, minute


def test_a_mode_holds_for_a_spell() -> None:
    modes = [
        [
            each.mode.value
            for each in declared(FLEET.streams, (), {}, FLEET.habits, passed_s).desired.streams
        ]
        for passed_s in (0.0, 12.5 * HOUR_S, 13.0 * HOUR_S)
    ]
    assert modes == [
        ["act", "act", "suggest"],
        ["act", "observe", "suggest"],
        ["act", "act", "suggest"],
    ]
