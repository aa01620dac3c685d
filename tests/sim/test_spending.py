"""Tight caps under every fault, and under a keeper that dies every few seconds: by the market's own books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from keeper.sim.bills import billed, days, stream_of
from keeper.sim.evidence import Evidence
from keeper.sim.faultplan import plan_for
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.fleets import Habits
from keeper.sim.story import Story, storm_s

_DAYS = 3.0
_DAY_S = 86_400.0
_HOUR_S = 3600.0
_CAP = 3.0  # about ten hours of a host
# Loading is free and is counted, and a host that is offline is not billed. What is missing can only be
# what a keeper that was killed had not written down yet: its rates are on disk, so nothing.
_MORE_RATIO, _MORE_DOLLARS = 1.03, 0.1
_LESS_RATIO = 0.995


def by_day(seen: Evidence, stream: str = "") -> list[float]:
    """What each of keeper's days has cost."""
    rentals = [each for each in seen.ours if not stream or stream_of(seen, each) == stream]
    return [billed(rentals, spans) for spans in days(seen)]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [2])
def test_a_tight_cap_holds_by_the_marketplace_s_own_books(seed: int) -> None:
    plan = plan_for("all", seed=seed, until_s=storm_s(_DAYS))
    story = Story(seed=seed, duration_s=_DAYS * _DAY_S, plan=plan, day_caps={"duel": _CAP})
    played = story.run()
    seen, counts = played.evidence, played.result.counts
    assert [each.sentence() for each in played.result.broken] == []
    assert counts["budget.stopped"] >= 2, "the cap was never reached"
    assert counts["budget.warned"] >= 6
    assert max(by_day(seen, "duel")) <= _CAP
    assert max(by_day(seen, "duel")) >= _CAP * 0.8  # and it is used
    true, counted = sum(by_day(seen)), played.counted["total"]
    assert true * _LESS_RATIO <= counted <= true * _MORE_RATIO + _MORE_DOLLARS, (true, counted)


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A keeper that dies over and over, for hours, under caps."""

    streams: Mapping[str, int]
    day_caps: Mapping[str, float]
    hour_cap: float
    every_s: float
    hours: float
    machines: int = 56


LOOPS = {
    # It dies before it has rented, while it does, while it deploys, and where hosts are ended.
    "two slots, every quarter of a minute": Loop(
        streams={"duel": 1, "turbo": 1}, day_caps={"": 0.3}, hour_cap=0.6, every_s=15.0, hours=2.5
    ),
    "two slots, every minute": Loop(
        streams={"duel": 1, "turbo": 1}, day_caps={"": 0.7}, hour_cap=0.9, every_s=55.0, hours=3.5
    ),
    "twenty slots, every minute": Loop(
        streams={"duel": 10, "turbo": 10}, day_caps={"": 1.6, "duel": 0.8}, hour_cap=3.5,
        every_s=55.0, hours=2.2, machines=90,
    ),
}  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", LOOPS)
def test_no_cent_is_spent_above_a_cap_by_a_keeper_that_dies_over_and_over(name: str) -> None:
    """I6: what was counted, agreed to and stopped survives each death."""
    loop = LOOPS[name]
    loops_s = loop.hours * _HOUR_S * 0.75
    deaths = tuple(
        Fault(
            kind=FaultKind.KEEPER_KILLED,
            at=round(number * (loop.every_s + 5.0), 3),
            params={"calls": number % 9, "down_s": 5.0},
        )
        for number in range(1, int(loops_s / (loop.every_s + 5.0)))
    )
    lost = tuple(
        Fault(kind=kind, at=at * loops_s, count=1)
        for at, kind in (
            (0.01, FaultKind.CREATE_REPLY_LOST),
            (0.02, FaultKind.CREATE_ERROR_BUT_MADE),
            (0.4, FaultKind.DESTROYED_BY_OTHERS),
            (0.5, FaultKind.GPU_LOST),
        )
    )
    played = Story(
        seed=4,
        duration_s=loop.hours * _HOUR_S,
        plan=tuple(sorted((*deaths, *lost), key=lambda fault: fault.at)),
        streams=loop.streams,
        bidders=frozenset({"turbo"}),
        day_caps=loop.day_caps,
        habits=Habits(hour_caps={"": loop.hour_cap}),
        machines=loop.machines,
    ).run()
    seen = played.evidence
    money = [each for each in played.result.broken if each.invariant in {"I1", "I4", "I5", "I6"}]
    assert [each.sentence() for each in money] == []
    assert len(seen.killed_at) > len(deaths) * 0.6
    for stream, cap in loop.day_caps.items():
        assert max(by_day(seen, stream)) <= cap
    assert played.result.counts["budget.stopped"] >= 1, "no cap was reached"
    assert sum(by_day(seen)) >= 0.7 * max(loop.day_caps.values())  # and it is used
