"""A host is given up: what is written down of its rental, and what its slot remembers."""

from __future__ import annotations

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
