"""All small worlds in pieces, and what is wrong with the plan of each.

A tier is a part of the table in ``docs/reliability.md``; its pieces share nothing, so they run side by
side and in any order. What ``make test`` plays is in ``test_small_worlds.py``; the rest in
``small_campaign.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from keeper.core.decisions import Act, Adopt, Destroy, Plan, Rent
from keeper.core.model import Desired
from keeper.core.reconcile import reconcile
from keeper.core.world import World
from tests.builders import NOW, applied
from tests.property.small_promises import broken
from tests.property.small_worlds import (
    HEALTHS,
    MARKETS,
    WHOLE,
    WITH_A_FIRST,
    Alphabet,
    Budget,
    Good,
    Small,
    Watched,
    Weather,
    build,
    layouts,
    turned,
)

LEVELS = (Budget.AMPLE, Budget.TIGHT, Budget.NONE)


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
    is_carried_out: bool = False  # the plan after is looked at, too

    def bases(self, piece: int) -> Iterator[Small]:
        """Yield the worlds of a piece, with nothing on the market and every limit far away."""
        for hosts in self.hosts:
            every = layouts(hosts, self.slots, self.alphabet)
            for places, loose in islice(every, piece, None, self.pieces):
                for weather in self.weathers:
                    for slots in turned(places) if weather in WITH_A_FIRST else (places,):
                        yield Small(slots, loose, weather)

    def worlds(self, piece: int) -> Iterator[Small]:
        """Yield every world of a piece."""
        for base in self.bases(piece):
            has_first = base.weather in WITH_A_FIRST
            yield from swept(base, self.markets_with_a_first if has_first else self.markets)


# What the promise names, to the last world: hosts of three healths that the marketplace calls running,
# beside everything that may be without a host.
NAMED = Tier(
    "the worlds of the promise", (0, 1, 2, 3, 4), slots=4, pieces=96, alphabet=HEALTHS,
    is_carried_out=True,
)  # fmt: skip
# And whatever the marketplace may say of those hosts.
SHADES = (
    Tier("every shade of up to two hosts", (0, 1, 2), slots=4, pieces=16),
    Tier("every shade of three hosts", (3,), slots=4, pieces=128),
    Tier("every shade of four hosts", (4,), slots=4, pieces=2000),
)


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


def judged(small: Small, *, is_carried_out: bool = False) -> Iterator[str]:
    """Yield what is wrong with the plan of a world, and with the next one while it is carried out."""
    world, desired = build(small)
    plan = reconcile(world, desired, NOW)
    for name in broken(small, world, desired, plan):
        yield f"{name}: {small}\n    {plan.decisions}"
    if is_carried_out:
        for act in second_thoughts(world, desired, plan):
            yield f"second thoughts: {small}\n    {plan.acts}\n    then {act}"


def second_thoughts(world: World, desired: Desired, plan: Plan) -> list[Act]:
    """Return what the next plan begins where this one's own act still runs: a rental, or its slot.

    Ends are asked for again, and an adoption is its slot's decision of the tick: the act comes with
    the next. So does that of a slot, or of another host in it, that has waited for its turn.
    """
    known = {each.instance_id for each in world.condemned}
    begun = [
        act
        for act in plan.acts
        if not isinstance(act, Adopt)
        and not (isinstance(act, Destroy) and act.instance_id in known)
    ]
    if not begun:
        return []
    slots = {act.slot for act in begun}
    rentals = {act.instance_id for act in begun if not isinstance(act, Rent)}
    # What runs is known from the books alone, as after a death in the middle of it.
    after = applied(world, plan, in_flight=frozenset(), in_flight_instances=frozenset())
    again = reconcile(after, desired, NOW)
    return [
        act
        for act in again.acts
        if (act.slot in slots if isinstance(act, Rent) else act.instance_id in rentals)
        and not isinstance(act, Destroy)
    ]
