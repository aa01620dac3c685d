"""What a maintenance window lets through: a table of what is wanted and what is allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core.case import Proposal, Wish
from keeper.core.draft import Draft
from keeper.core.fuses import refuse
from keeper.core.model import StreamName
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance, Window
from keeper.core.world import OrderKind
from tests.builders import (
    DUEL,
    NOW,
    SLOT,
    a_book,
    a_desire,
    a_record,
    a_world,
    ago,
    ahead,
    an_offer,
    an_order,
    decide,
    decision_for,
    healthy_world,
)

NEVER = frozenset({Wish.WAIT, Wish.HOLD})
KEEPS = frozenset({Wish.DEPLOY, Wish.RESTART, Wish.REBOOT, Wish.REBID, Wish.FORGET, Wish.PROMOTE})
LETS = {
    Allowance.OBSERVE: frozenset[Wish](),
    Allowance.REPAIR: KEEPS,
    Allowance.REPLACE: KEEPS | {Wish.RENT, Wish.REPLACE},
}


def a_window(allow: Allowance, stream: str | None = None) -> Window:
    name = None if stream is None else StreamName(stream)
    return Window(name="works", since=ago(60), until=ahead(3600), allow=allow, stream=name)


@pytest.mark.parametrize("wish", sorted(set(Wish) - NEVER))
@pytest.mark.parametrize("allow", Allowance)
def test_a_window_lets_through_what_it_allows(allow: Allowance, wish: Wish) -> None:
    world = healthy_world(windows=(a_window(allow),))
    draft = Draft(world, a_desire(), NOW)
    refusal = refuse(draft, SLOT, Proposal(wish=wish, reason=Reason.FROZEN))
    assert (refusal is None) is (wish in LETS[allow])
    if refusal is not None:
        assert (refusal.reason, refusal.until) == (Reason.MAINTENANCE_WINDOW, ahead(3600))


@pytest.mark.parametrize(
    "proposal",
    [
        Proposal(wish=Wish.REPLACE, reason=Reason.BUDGET),
        Proposal(wish=Wish.RESTART, reason=Reason.OPERATOR_ASKED, is_ordered=True),
    ],
    ids=["a hard stop of the money", "a person's order"],
)
def test_some_things_stand_above_every_window(proposal: Proposal) -> None:
    world = healthy_world(windows=(a_window(Allowance.OBSERVE),))
    assert refuse(Draft(world, a_desire(), NOW), SLOT, proposal) is None


def test_an_ordered_replacement_goes_on_in_a_window() -> None:
    world = healthy_world(
        windows=(a_window(Allowance.OBSERVE),), orders=(an_order(OrderKind.REPLACE),),
        offers={DUEL: a_book(an_offer(1, machine_id=7))},
    )  # fmt: skip
    assert decision_for(decide(world)).name == "rent"


def test_a_replacement_that_does_not_come_up_is_ended_in_a_repair_window() -> None:
    world = healthy_world(windows=(a_window(Allowance.REPAIR),))
    proposal = Proposal(wish=Wish.REPLACE, reason=Reason.NO_PICTURE_EVER, is_incoming=True)
    assert refuse(Draft(world, a_desire(), NOW), SLOT, proposal) is None


def test_the_window_of_another_stream_holds_nobody_else() -> None:
    vacant = a_world(a_record(), offers={DUEL: a_book(an_offer(1))})
    other = replace(vacant, windows=(a_window(Allowance.OBSERVE, "paint"),))
    assert decision_for(decide(other)).name == "rent"
    mine = replace(vacant, windows=(a_window(Allowance.OBSERVE, "duel"),))
    assert decision_for(decide(mine)).reason is Reason.MAINTENANCE_WINDOW


def test_keeper_wakes_when_a_window_closes() -> None:
    world = healthy_world(windows=(a_window(Allowance.REPAIR),), windows_change_at=ahead(7))
    assert decide(world).next_check_at == ahead(7)
