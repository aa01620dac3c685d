"""What a maintenance window lets through: a table of what is wanted and what is allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.case import Proposal, Wish
from keeper.core.draft import Draft
from keeper.core.events import StreamDark
from keeper.core.fuses import refuse
from keeper.core.model import ConditionKind, MarketState, Status, StreamName
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance, Window
from keeper.core.world import OrderKind
from tests.builders import (
    DUEL,
    NOW,
    SLOT,
    a_book,
    a_condition,
    a_desire,
    a_listing,
    a_pause,
    a_record,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_offer,
    an_order,
    conditions,
    decide,
    decision_for,
    events_of,
    healthy_world,
    record_after,
)

NEVER = frozenset({Wish.WAIT, Wish.HOLD})
KEEPS = frozenset(
    {
        Wish.DEPLOY, Wish.PREPARE, Wish.RESTART, Wish.REBOOT, Wish.REBID, Wish.FORGET, Wish.PROMOTE,
        Wish.STOP, Wish.SWAP,
    }
)  # fmt: skip
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


@pytest.mark.parametrize(
    ("is_paused", "does"), [(True, ("hold", Reason.PAUSED)), (False, ("rebid", Reason.OUTBID))]
)
def test_an_outbid_host_that_nobody_sees_is_dark_whether_it_may_be_bid_for_again_or_not(
    is_paused: bool, does: tuple[str, Reason]
) -> None:
    """In a pause it was dark for three quarters of an hour, and only the pause was told.

    After a freeze no look had said so: bid for again it counted as on air while it booted from nothing.
    """
    silent = (Status.UNKNOWN, Reason.SILENT)
    refused = (Status.FALSE, Reason.DIAL_REFUSED)
    outbid = a_tenure(
        is_bid=True,
        bid_dollars_per_hour=0.35,
        dead_since=ago(40),
        outbid_since=ago(40),
        conditions=conditions(streaming=silent, running=silent, reachable=refused),
    )
    pause = a_pause(until_s=600) if is_paused else None
    world = a_world(a_record(outbid, ever_on_air=True), pause=pause)
    assert world.listing is not None
    stopped = replace(
        world.listing.instances[0],
        is_bid=True,
        state=MarketState.STOPPED,
        is_meant_to_run=False,
        min_bid_dollars_per_hour=0.45,
        disk_dollars_per_hour=0.06,
    )
    world = replace(world, listing=a_listing(stopped))
    plan = decide(world)
    decided = decision_for(plan)
    assert (decided.name, decided.reason) == does
    assert getattr(decided, "wanted", "rebid") == "rebid"
    assert [each.reason for each in events_of(plan, StreamDark)] == [Reason.OUTBID]


@pytest.mark.parametrize(
    ("held", "is_told"),
    [
        ({"windows": (a_window(Allowance.REPAIR),)}, True),
        ({"pause": a_pause(until_s=600)}, True),
        ({"is_leader": False}, False),
        ({"unreadable_since": ago(20)}, False),
    ],
    ids=["a window", "a pause", "another keeper", "nobody answers"],
)
def test_a_host_that_may_not_be_given_up_is_told_of(held: dict[str, Any], *, is_told: bool) -> None:
    """A host was offline in a window, no viewer could look, and nobody was told for a quarter of an hour."""
    lost = a_tenure(
        conditions=conditions(
            rented=(Status.FALSE, Reason.MARKET_SAYS_DEAD),
            reachable=a_condition(
                ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED, for_s=600, bad=3
            ),
            running=(Status.UNKNOWN, Reason.SILENT),
            streaming=(Status.UNKNOWN, Reason.SILENT),
        ),
        dead_since=ago(600),
    )
    world = a_world(a_record(lost, ever_on_air=True), **held)
    assert world.listing is not None
    offline = replace(world.listing.instances[0], state=MarketState.OFFLINE)
    world = replace(world, listing=a_listing(offline))
    plan = decide(world)
    assert decision_for(plan).name == "hold"
    assert [each.reason for each in events_of(plan, StreamDark)] == (
        [Reason.MARKET_SAYS_DEAD] if is_told else []
    )
    assert (record_after(world, plan).dark_since is not None) is is_told
