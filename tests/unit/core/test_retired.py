"""A host is given up: what is written down of its rental, and what its slot remembers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from keeper.core.draft import Draft, Seat
from keeper.core.events import DecisionMade
from keeper.core.model import Failure, MachineId, SlotRecord
from keeper.core.reasons import Reason
from keeper.core.retire import retire
from tests.builders import (
    HOST,
    NOW,
    SLOT,
    a_desire,
    a_quarantine,
    a_record,
    a_tenure,
    a_world,
    ago,
)

FAILED = Failure(
    label=a_tenure().label, machine_id=MachineId(201), at=ago(300), reason=Reason.FROZEN
)


def given_up(reason: Reason, record: SlotRecord | None = None) -> Draft:
    world = a_world(record or a_record(a_tenure()))
    draft = Draft(world, a_desire(), NOW)
    retire(draft, SLOT, Seat.TENURE, reason)
    return draft


def test_the_bill_is_followed_from_when_it_was_rented_and_last_seen() -> None:
    tenure = a_tenure()
    condemned = given_up(Reason.LADDER_SPENT).condemned[HOST]
    assert (condemned.rented_at, condemned.listed_at) == (tenure.rented_at, tenure.listed_at)
    assert (condemned.slot, condemned.label, condemned.reason) == (
        SLOT, tenure.label, Reason.LADDER_SPENT,
    )  # fmt: skip


def test_that_it_was_given_up_is_a_decision_with_its_reason() -> None:
    draft = given_up(Reason.LADDER_SPENT)
    (made,) = [each for each in draft.events if isinstance(each, DecisionMade)]
    assert (made.slot, made.decision, made.reason) == (SLOT, "destroy", Reason.LADDER_SPENT)


@pytest.mark.parametrize(
    ("reason", "outbid_at"), [(Reason.OUTBID, NOW), (Reason.LADDER_SPENT, ago(9000))]
)
def test_when_others_bid_more_is_remembered(reason: Reason, outbid_at: object) -> None:
    """What comes next is rented on demand for a while, where the stream lets it."""
    draft = given_up(reason, a_record(a_tenure(), outbid_at=ago(9000)))
    assert draft.records[SLOT].outbid_at == outbid_at


@pytest.mark.parametrize(
    ("reason", "is_kept"),
    [
        (Reason.OUTBID, False),
        (Reason.MARKET_STOPPED_IT, False),
        (Reason.DEAD_MAN_STOPPED, False),
        (Reason.CONTRACT_ENDING, False),
        (Reason.OPERATOR_ASKED, True),
        (Reason.BUDGET, True),
    ],
)
def test_what_was_taken_away_has_not_failed_whatever_it_looked_like(
    reason: Reason, *, is_kept: bool
) -> None:
    """A person, or money, ends a host that may have failed all the same."""
    draft = given_up(reason, a_record(a_tenure(), failures=(FAILED,)))
    assert draft.records[SLOT].failures == ((FAILED,) if is_kept else ())


@pytest.mark.parametrize(
    ("known", "is_struck"),
    [
        pytest.param({"first_live_at": None}, True, id="it was of no use yet: its offer lied"),
        pytest.param({"first_live_at": ago(86_400)}, False, id="its owner raised the price later"),
        pytest.param(
            {"first_live_at": None, "ready_at": ago(86_400)}, False,
            id="a spare that stood ready, and whose owner raised the price",
        ),
    ],
)  # fmt: skip
def test_a_machine_whose_offer_lied_about_its_price_is_avoided(
    known: dict[str, Any], *, is_struck: bool
) -> None:
    """Its next offer tells the same lie, and a day's replacements went to it (seed 7943)."""
    tenure = a_tenure(dear_since=ago(36), **known)
    draft = given_up(Reason.PRICE_DRIFT, a_record(tenure))
    assert list(draft.struck) == ([tenure.machine_id] if is_struck else [])


@pytest.mark.parametrize(("dear_since", "is_struck"), [(ago(1), True), (None, False)])
def test_so_is_one_that_a_cap_has_no_room_for_because_of_it(
    dear_since: datetime | None, *, is_struck: bool
) -> None:
    """A spare goes as soon as it costs more than spares may, before two lists agree on its price."""
    tenure = a_tenure(first_live_at=None, dear_since=dear_since)
    draft = given_up(Reason.BUDGET, a_record(tenure))
    assert list(draft.struck) == ([tenure.machine_id] if is_struck else [])


@pytest.mark.parametrize(("strikes", "after"), [(None, 1), (1, 1), (2, 2)])
def test_a_price_is_no_defect_and_its_machine_is_avoided_as_for_once(
    strikes: int | None, after: int
) -> None:
    """The price may also have changed between search and create; nor is the host one that failed."""
    tenure = a_tenure(first_live_at=None, dear_since=ago(36))
    known = {} if strikes is None else {
        tenure.machine_id: a_quarantine(int(tenure.machine_id), strikes=strikes, until=ago(60))
    }  # fmt: skip
    draft = Draft(a_world(a_record(tenure), quarantine=known), a_desire(), NOW)
    retire(draft, SLOT, Seat.TENURE, Reason.PRICE_DRIFT)
    (struck,) = draft.struck.values()
    assert (struck.strikes, struck.until, struck.reason) == (
        after,
        ago(-21_600),
        Reason.PRICE_DRIFT,
    )
    assert draft.records[SLOT].failures == ()
