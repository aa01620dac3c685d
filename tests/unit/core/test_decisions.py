"""The decision table: a sentence, a world, and what keeper must decide in it, why, and until when."""

from __future__ import annotations

import re

import pytest

from keeper.core.reasons import Reason
from tests.builders import (
    ago,
    ahead,
    bad_pictures,
    decide,
    decision_for,
    healthy_world,
    record_after,
)
from tests.unit.core.decision_rows_audition import AUDITION
from tests.unit.core.decision_rows_bounds import BOUNDS
from tests.unit.core.decision_rows_coming import COMING
from tests.unit.core.decision_rows_market import MARKET
from tests.unit.core.decision_rows_serving import SERVING
from tests.unit.core.decision_rows_sound import SOUND
from tests.unit.core.decision_rows_symptoms import SYMPTOMS
from tests.unit.core.decision_worlds import Row, listed_as, with_terms

ROWS = (*COMING, *AUDITION, *SERVING, *SOUND, *SYMPTOMS, *MARKET, *BOUNDS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_decides(row: Row) -> None:
    plan = decide(row.world, row.desired)
    decision = decision_for(plan)
    told = (decision.name, decision.reason)
    assert told == (row.decision, row.reason), plan.sentence()
    assert getattr(decision, "wanted", "") == row.wanted
    assert getattr(decision, "rung", None) == row.rung
    if row.until is not None:
        assert getattr(decision, "until", None) == row.until
        assert plan.next_check_at is not None
        assert plan.next_check_at <= max(row.until, ahead(1))
    if plan.next_check_at is not None:
        assert plan.next_check_at >= ahead(1)


# Given to readings and conditions, stated in facts, or said of rentals that no slot has any more;
# never the reason of a slot's decision. Each has its own test elsewhere in this folder.
NEVER_DECIDED = {
    Reason.LIVE, Reason.ANSWERS, Reason.STATIC_BY_DESIGN, Reason.STUTTERING, Reason.LINK_UP, Reason.PROCESS_UP,
    Reason.NOT_ASKED, Reason.SILENT, Reason.LINK_LOST, Reason.DIAL_REFUSED, Reason.KEY_REFUSED,
    Reason.PROBE_FAILED, Reason.PROCESS_STARTING, Reason.MANAGER_RETRYING, Reason.DISK_FULL, Reason.DISK_LOW,
    Reason.PENDING, Reason.RUNNING, Reason.DEPLOYED, Reason.OFFER_GONE, Reason.GONE,
    Reason.STRAY_RENTAL, Reason.DUPLICATE_RENTAL, Reason.START_QUEUED, Reason.WORKLOAD_WELL,
}  # fmt: skip
# A bad picture's reason is passed on by the ladder as it is; one of them stands for all.
LIKE_FROZEN = {
    Reason.BLACK, Reason.NO_BYTES, Reason.CORRUPT, Reason.UNREACHABLE, Reason.HTTP_ERROR,
    Reason.MANAGER_DOWN,
}  # fmt: skip


# These have their own table in test_spares.py.
ABOUT_SPARES = {reason for reason in Reason if reason.value.startswith("spare_")}
# And these in test_swap.py.
ABOUT_SWAPS = {Reason.SWAPPED, Reason.SWAP_FAILED, Reason.SWAP_UNABLE}


def test_every_reason_that_can_be_decided_has_a_row() -> None:
    decided = {row.reason for row in ROWS}
    elsewhere = ABOUT_SPARES | ABOUT_SWAPS
    assert sorted(set(Reason) - decided - NEVER_DECIDED - LIKE_FROZEN - elsewhere) == []
    assert sorted(decided & NEVER_DECIDED) == []


@pytest.mark.parametrize("reason", sorted(LIKE_FROZEN - {Reason.MANAGER_DOWN}))
def test_a_bad_picture_gives_the_restart_its_reason(reason: Reason) -> None:
    plan = decide(healthy_world(readings=bad_pictures(3, reason)))
    assert decision_for(plan).reason is reason


def test_a_host_that_is_given_up_for_its_price_is_not_said_to_have_been_rented() -> None:
    world = with_terms(listed_as(healthy_world(), dollars_per_hour=4.8), dear_since=ago(906))
    record = record_after(world, decide(world))
    assert record.tenure is None
    assert (record.last_act, record.last_act_reason) == ("destroy", Reason.PRICE_DRIFT)


def test_every_rule_says_why_in_a_sentence() -> None:
    from keeper.core.remedy import INCOMING_RULES, TENURE_RULES

    for rules in (TENURE_RULES, INCOMING_RULES):
        names = [rule.name for rule in rules]
        assert len(names) == len(set(names))
        for rule in rules:
            assert re.fullmatch(r"[A-Z].*\.", rule.why), rule.name
