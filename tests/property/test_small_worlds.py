"""Every small world through ``reconcile``: no fuse crossed, every decision with a reason, no flapping.

``make test`` goes through all worlds with up to one host and through a chosen part of those with two to
four. ``make worlds`` leaves nothing out (``small_campaign.py``). docs/reliability.md has the numbers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.core.decisions import Adopt, Destroy
from keeper.core.reasons import Reason
from keeper.core.reconcile import reconcile
from tests.builders import NOW, applied
from tests.property.small_campaign import campaign, digest
from tests.property.small_market import Fate, Tale, tell
from tests.property.small_rest import restless
from tests.property.small_tiers import Tier, judged, second_thoughts
from tests.property.small_worlds import (
    PLAIN,
    Budget,
    Good,
    Health,
    Place,
    Small,
    Weather,
    build,
    layouts,
)

_SHOWN_MAX = 5  # broken worlds that a failure tells of
ONE_OF_EACH = ((Good.CHEAP, Good.DEAR, Good.UNSUITABLE),)
FEW: tuple[tuple[Good, ...], ...] = ((), *((good,) for good in Good), *ONE_OF_EACH)
TIERS = (
    Tier("one host", (0, 1), slots=4, pieces=2),
    Tier("two hosts", (2,), slots=3, pieces=6, markets=FEW, markets_with_a_first=ONE_OF_EACH),
    Tier(
        "three hosts", (3,), slots=2, pieces=4, markets=ONE_OF_EACH,
        weathers=(Weather.CALM, Weather.PAUSED),
    ),
    Tier(
        "four hosts", (4,), slots=4, pieces=4, alphabet=PLAIN, markets=ONE_OF_EACH,
        weathers=(Weather.CALM, Weather.PAUSED),
    ),
)  # fmt: skip
PIECES = [(tier, piece) for tier in TIERS for piece in range(tier.pieces)]


def wrong_with(tier: Tier, piece: int) -> list[str]:
    found: list[str] = []
    for small in tier.worlds(piece):
        found.extend(judged(small))
        if len(found) >= _SHOWN_MAX:
            return found
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("tier", "piece"), PIECES, ids=lambda each: getattr(each, "name", each))
def test_no_promise_is_broken_in_any_small_world(tier: Tier, piece: int) -> None:
    found = wrong_with(tier, piece)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("weather", Weather)
def test_a_small_world_gets_the_same_plan_twice_and_rests_while_it_is_carried_out(
    weather: Weather,
) -> None:
    wrong: list[str] = []
    for hosts in (0, 1):
        for places, loose in layouts(hosts):
            small = Small(places, loose, weather, market=ONE_OF_EACH[0])
            world, desired = build(small)
            plan = reconcile(world, desired, NOW)
            if reconcile(*build(small), NOW) != plan:
                wrong.append(f"another plan: {small}")
            again = reconcile(applied(world, plan), desired, NOW)
            # An adoption is its slot's decision of the tick; the act comes with the next.
            is_excused = any(isinstance(act, Adopt) for act in plan.acts)
            if not is_excused and any(not isinstance(act, Destroy) for act in again.acts):
                wrong.append(f"another act: {small}\n    {again.acts}")
    assert not wrong, "\n".join(wrong[:_SHOWN_MAX])


def test_small_worlds_are_not_dull() -> None:
    """Every kind of act and every fuse comes up in them, or the promises would hold of nothing."""
    said = set()
    for hosts in (0, 1, 2):
        for places, loose in layouts(hosts, 3, PLAIN):
            for weather in Weather:
                for budget in (Budget.AMPLE, Budget.NONE):
                    small = Small(places, loose, weather, budget, ONE_OF_EACH[0])
                    plan = reconcile(*build(small), NOW)
                    said |= {(each.name, each.reason) for each in plan.decisions}
    assert {
        ("rent", Reason.VACANT), ("rent", Reason.HANDOVER), ("adopt", Reason.FOUND_BY_LABEL),
        ("destroy", Reason.LADDER_SPENT), ("destroy", Reason.SUPERSEDED),
        ("destroy", Reason.STRAY_RENTAL), ("destroy", Reason.OPERATOR_ASKED),
        ("destroy", Reason.STREAM_REMOVED),
        ("wait", Reason.HEALTHY), ("wait", Reason.CONDEMNED), ("wait", Reason.CREATE_UNSETTLED),
        ("wait", Reason.UNKNOWN_IS_NOT_UNHEALTHY), ("wait", Reason.MISSING_FROM_LIST),
        ("hold", Reason.BUDGET), ("hold", Reason.PAUSED), ("hold", Reason.MASS_FAILURE),
        ("hold", Reason.MARKET_UNREADABLE), ("hold", Reason.STARTING_UP),
        ("hold", Reason.OWN_NETWORK_DOWN), ("hold", Reason.NOT_LEADER), ("hold", Reason.STOPPING),
        ("hold", Reason.OUT_OF_CREDIT), ("hold", Reason.OBSERVE_ONLY),
    } <= said  # fmt: skip


# Where no rental ever comes to be, what a later host would be like does not matter.
FATES = [
    (fate, health)
    for fate in Fate
    for health in Health
    if fate in (Fate.DONE, Fate.UNHEARD) or health is Health.GOOD
]


@pytest.mark.parametrize(("fate", "next_health"), FATES)
def test_a_small_world_comes_to_rest(fate: Fate, next_health: Health) -> None:
    """Seven hours of the same evidence, every act with the same fate, every later host alike."""
    wrong: list[str] = []
    for hosts in (0, 1):
        for places, loose in layouts(hosts, 1):
            for market in ((), (Good.CHEAP,) * 3):
                start = Small(places, loose, Weather.CALM, Budget.AMPLE, market)
                tale = Tale(start, fate, next_health)
                ledger, desired = tell(tale)
                wrong.extend(f"{name}: {tale}" for name in restless(tale, desired, ledger))
    assert not wrong, "\n".join(wrong[:_SHOWN_MAX])


# --- the campaign that leaves nothing out ---------------------------------------------------------


def test_the_pieces_of_a_tier_are_all_its_worlds_and_each_once() -> None:
    def worlds(pieces: int) -> list[str]:
        tier = Tier("few", (0, 1), slots=2, pieces=pieces, alphabet=PLAIN)
        return sorted(str(each) for piece in range(pieces) for each in tier.worlds(piece))

    assert worlds(1) == worlds(7)
    assert len(worlds(1)) == len(set(worlds(1))) > 1000


def test_a_campaign_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """Also after a line that was cut off; and it says what it has seen of each tier."""
    few = Tier("few", (0,), slots=2, pieces=2, is_carried_out=True)
    state, record = tmp_path / "state.jsonl", tmp_path / "record.json"
    assert campaign((few,), jobs=1, limit_s=1e-9, state=state, record=record) == 0
    assert json.loads(record.read_text())["tiers"][0]["done"] == 0
    assert campaign((few,), jobs=1, limit_s=0, state=state, record=record) == 0
    whole = json.loads(record.read_text())
    assert whole["core"] == digest()
    assert (whole["tiers"][0]["done"], whole["tiers"][0]["wrong"]) == (2, [])
    lines = state.read_text().splitlines(keepends=True)
    state.write_text(lines[0] + lines[1][:20])
    assert campaign((few,), jobs=1, limit_s=0, state=state, record=record) == 0
    assert json.loads(record.read_text())["tiers"][0]["worlds"] == whole["tiers"][0]["worlds"]
    assert state.read_text().startswith(lines[0])


def test_a_campaign_sees_second_thoughts() -> None:
    """A plan whose rental was never written down is made again: that is what flapping is."""
    small = Small((Place(),), (), Weather.CALM, Budget.AMPLE, ONE_OF_EACH[0])
    world, desired = build(small)
    plan = reconcile(world, desired, NOW)
    assert second_thoughts(world, desired, plan) == []
    forgotten = replace(plan, records=(), intents_opened=())
    assert [act.name for act in second_thoughts(world, desired, forgotten)] == ["rent"]
