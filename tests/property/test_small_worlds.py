"""Every small world through ``reconcile``: no fuse crossed, every decision with a reason, no flapping.

``make test`` goes through all worlds with up to two hosts and through a chosen part of those with three
and four. SMALL_WORLDS=3, as the soak sets it, or 4 (hours) is the number of hosts up to which nothing is
left out. docs/reliability.md has the numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import pytest

from keeper.core.decisions import Adopt, Destroy
from keeper.core.reasons import Reason
from keeper.core.reconcile import reconcile
from tests.builders import NOW, applied
from tests.property.small_market import Fate, Tale, tell
from tests.property.small_promises import broken
from tests.property.small_rest import restless
from tests.property.small_worlds import (
    MARKETS,
    PLAIN,
    WHOLE,
    WITH_A_FIRST,
    Alphabet,
    Budget,
    Good,
    Health,
    Small,
    Watched,
    Weather,
    build,
    layouts,
    turned,
)

_SHOWN_MAX = 5  # broken worlds that a failure tells of
ONE_OF_EACH = ((Good.CHEAP, Good.DEAR, Good.UNSUITABLE),)
LEVELS = (Budget.AMPLE, Budget.TIGHT, Budget.NONE)
EXHAUSTIVE_HOSTS = int(os.environ.get("SMALL_WORLDS", "0"))


@dataclass(frozen=True, slots=True)
class Tier:
    """A part of all small worlds, cut into pieces that run side by side."""

    name: str
    hosts: tuple[int, ...]
    slots: int
    pieces: int
    alphabet: Alphabet = WHOLE
    weathers: tuple[Weather, ...] = tuple(Weather)
    markets: tuple[tuple[Good, ...], ...] = MARKETS
    markets_with_a_first: tuple[tuple[Good, ...], ...] = MARKETS

    def worlds(self, piece: int) -> Iterator[Small]:
        """Yield the worlds of a piece, with nothing on the market and every limit far away."""
        for hosts in self.hosts:
            every = layouts(hosts, self.slots, self.alphabet)
            for places, loose in islice(every, piece, None, self.pieces):
                for weather in self.weathers:
                    for slots in turned(places) if weather in WITH_A_FIRST else (places,):
                        yield Small(slots, loose, weather)


TIERS = (
    Tier("one host", (0, 1), slots=4, pieces=2),
    Tier("two hosts", (2,), slots=3, pieces=8, markets_with_a_first=ONE_OF_EACH),
    Tier(
        "three hosts", (3,), slots=2, pieces=4, markets=ONE_OF_EACH,
        weathers=(Weather.CALM, Weather.PAUSED),
    ),
    Tier(
        "four hosts", (4,), slots=4, pieces=4, alphabet=PLAIN, markets=ONE_OF_EACH,
        weathers=(Weather.CALM, Weather.PAUSED),
    ),
)  # fmt: skip
SOAKED = (
    Tier("all of two hosts", (2,), slots=4, pieces=8),
    Tier("all of three hosts", (3,), slots=4, pieces=64),
    Tier("all of four hosts", (4,), slots=4, pieces=640),
)[: max(0, EXHAUSTIVE_HOSTS - 1)]
PIECES = [(tier, piece) for tier in TIERS for piece in range(tier.pieces)]
SOAKED_PIECES = [(tier, piece) for tier in SOAKED for piece in range(tier.pieces)]


def judged(small: Small) -> Iterator[str]:
    """Yield what is wrong with the plan of a world."""
    world, desired = build(small)
    plan = reconcile(world, desired, NOW)
    for name in broken(small, world, desired, plan):
        yield f"{name}: {small}\n    {plan.decisions}"


def swept(base: Small, markets: tuple[tuple[Good, ...], ...]) -> Iterator[Small]:
    """Yield a world under every market and every budget.

    Where the plan never looked at the market, one market stands for all; the budget still varies in
    calm weather, where something other than a rental could come to depend on it.
    """
    world, desired = build(base)
    reconcile(world, desired, NOW)
    assert isinstance(world.offers, Watched)
    if not world.offers.was_asked:
        markets = ()
    budgets = LEVELS if markets or base.weather is Weather.CALM else (base.budget,)
    yield replace(base, budget=Budget.SPENT)
    for budget in budgets:
        for market in markets or (base.market,):
            yield replace(base, budget=budget, market=market)


def wrong_with(tier: Tier, piece: int) -> list[str]:
    found: list[str] = []
    for base in tier.worlds(piece):
        has_first = base.weather in WITH_A_FIRST
        for small in swept(base, tier.markets_with_a_first if has_first else tier.markets):
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


if SOAKED:

    @pytest.mark.timeout(3600)
    @pytest.mark.parametrize(
        ("tier", "piece"), SOAKED_PIECES, ids=lambda each: getattr(each, "name", each)
    )
    def test_no_promise_is_broken_in_the_rest_of_all_small_worlds(tier: Tier, piece: int) -> None:
        found = wrong_with(tier, piece)
        assert not found, "\n".join(found)
