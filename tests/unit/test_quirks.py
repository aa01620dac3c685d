"""Forty quirks of Vast.ai: for each a test that names it, or a line in the book that says why not.

The quirks are numbered as in docs/vast-assumptions.md, where each has its line. A test carries a quirk
when "Q7" or "quirk 7" stands in it; a row of a table is named by its own words, in brackets.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from keeper.adapters.vastai_rows import instance_of
from keeper.adapters.vastai_spacing import Endpoint
from keeper.adapters.vastai_wire import InstanceRow
from keeper.core.decisions import Destroy, Wait
from keeper.core.model import MarketState
from keeper.core.reasons import Reason
from tests.builders import (
    HOST,
    a_fresh_tenure,
    a_listing,
    a_record,
    a_world,
    ago,
    an_instance,
    decide,
    decision_for,
)

ROOT: Final = Path(__file__).parents[2]
BOOK: Final = ROOT / "docs" / "vast-assumptions.md"
WHY_NOT: Final = "cannot matter: "  # how a line of the book begins that no test stands behind

CHANGES = "integration/adapters/test_vastai_changes.py"
READS = "integration/adapters/test_vastai_reads.py"
SEARCH = "integration/adapters/test_vastai_search.py"
BIDS = "integration/adapters/test_vastai_bids.py"
PACE = "integration/adapters/test_vastai_pace.py"
BODY = "integration/adapters/test_vastai_errors.py::test_a_body_is_one_error_to_each_call"
ROWS = "unit/adapters/test_vastai_rows.py"
OFFERS = "unit/adapters/test_vastai_offers.py"
DECIDES = "unit/core/test_decisions.py::test_decides"
SETTLE = "unit/core/test_settle.py"
CREDIT = "unit/core/test_credit.py"
ENTRANCES = "integration/sim/test_ssh_entrances.py"
CLIENT = "e2e/test_official_client_life.py"
CLIENT_SEARCH = "e2e/test_official_client_search.py"
HERE = "unit/test_quirks.py"

TESTS: Final[Mapping[int, tuple[str, ...]]] = {
    1: (
        f"{CHANGES}::test_a_refused_create_has_rented_nothing",
        f"{BODY}[the lost race as it is live (field; Q1)]",
        f"{DECIDES}[a lost race takes the next offer at once]",
        f"{SETTLE}::test_a_lost_race_avoids_the_offer_but_not_for_ever",
    ),
    2: (
        f"{CHANGES}::test_a_create_without_a_clear_answer_is_uncertain",
        f"{BIDS}::test_a_lost_answer_to_a_bid_is_uncertain_and_not_asked_again",
        f"{DECIDES}[a rental that carries the label of a lost answer is adopted]",
        f"{SETTLE}::test_a_crash_between_intent_and_answer_is_a_doubt_not_a_second_create",
        f"{CLIENT}::test_a_502_after_a_create_makes_the_official_client_send_it_again",
    ),
    3: (
        f"{DECIDES}[a create with an id that never appears is destroyed all the same]",
        f"{DECIDES}[a create that no listing shows over the settle time is voided and rented anew]",
    ),
    4: (
        f"{CHANGES}::test_an_error_that_names_a_contract_keeps_its_id",
        f"{BIDS}::test_a_bid_too_low_that_left_a_contract_names_it",
        f"{SETTLE}::test_an_error_that_made_a_contract_condemns_it_at_once",
    ),
    5: (f"{BIDS}::test_a_bid_is_the_price_of_the_order",),
    6: (f"{READS}::test_a_list_that_is_not_whole_is_malformed",),
    7: (
        f"{READS}::test_a_failed_page_fails_the_whole_list",
        "unit/core/test_bind.py::test_a_row_that_a_listing_skipped_is_found_by_its_id",
        f"{DECIDES}[two absences and nothing by id free the slot]",
    ),
    8: (
        f"{DECIDES}[a host that was good may be offline for a while]",
        f"{DECIDES}[exited while SSH works is repaired over SSH]",
    ),
    9: (
        f"{ROWS}::test_state_folds_the_markets_words",
        f"{DECIDES}[a booting host is waited for until its deadline]",
    ),
    10: (
        f"{ROWS}::test_intent_is_what_the_contract_says",
        f"{HERE}::test_a_boot_that_the_marketplace_gave_up_on_is_given_up_and_its_machine_avoided",
    ),
    11: (
        f"{ROWS}::test_daemon_errors_are_known_by_their_texts",
        f"{DECIDES}[a container that cannot start is given up after some agreement]",
    ),
    12: (
        f"{HERE}::test_a_pull_that_says_the_same_for_minutes_has_until_its_deadline",
        f"{DECIDES}[a boot that never ends is given up]",
    ),
    13: (
        "integration/adapters/test_vastai_changes.py::test_a_start_on_a_gpu_that_is_let_is_queued",
        f"{BODY}[queued (field; Q13)]",
        f"{CLIENT}::test_a_start_on_a_taken_gpu_is_said_and_exits_as_success",
    ),
    14: (f"{CHANGES}::test_a_stop_or_a_start_without_an_answer_is_uncertain_and_sent_once",),
    15: (
        f"{CHANGES}::test_a_destroy_that_is_not_done_says_why",
        "unit/core/test_bind.py::test_an_end_takes_two_listings_and_the_answer_by_id",
    ),
    16: (
        f"{CHANGES}::test_a_destroy_that_is_not_done_says_why",
        f"{SETTLE}::test_a_refused_destroy_is_tried_quickly_at_first_and_then_for_ever",
    ),
    17: (
        f"{PACE}::test_a_429_without_a_hint_backs_off_all_the_same",
        "unit/adapters/test_vastai_spacing.py::test_a_printed_threshold_is_learned",
        f"{BODY}[a hint in the body (field)]",
        f"{BODY}[a hint in the header (cli)]",
        f"{BODY}[nothing at all]",
    ),
    18: (
        f"{SEARCH}::test_spent_quota_stops_searching_until_its_reset",
        f"{SEARCH}::test_a_quota_that_is_spent_by_looking_around_stops_the_search_too",
        "unit/daemon/test_survey.py::test_a_spent_quota_is_waited_for_and_no_longer",
        f"{DECIDES}[a quota that is spent is waited for, and said]",
    ),
    19: (
        f"{SEARCH}::test_a_look_around_goes_up_the_prices_page_by_page",
        f"{SEARCH}::test_another_offer_than_the_one_asked_for_is_not_it",
        f"{OFFERS}::test_one_offer_is_looked_up_by_the_name_that_is_a_filter",
        f"{OFFERS}::test_the_next_page_goes_on_from_the_dearest_row",
        f"{CLIENT_SEARCH}::test_the_dead_filter_by_id_finds_nothing",
    ),
    20: (
        f"{OFFERS}::test_the_price_is_never_below_its_parts",
        f"{DECIDES}[a contract that costs more than the limit is given back before its first picture]",
        f"{DECIDES}[a contract that costs much more than its own offer is given back too]",
    ),
    21: (f"{OFFERS}::test_a_search_sends_all_needs_as_filters",),
    22: (
        f"{READS}::test_numbers_may_come_as_text",
        f"{READS}::test_dirty_text_of_one_host_does_not_blind_the_list",
        f"{ROWS}::test_ports_come_in_four_shapes",
    ),
    23: (
        f"{CREDIT}::test_hosts_that_were_stopped_for_lack_of_credit_are_neither_ended_nor_blamed",
        f"{BODY}[no credit (field; Q23)]",
        f"{DECIDES}[an empty account rents nothing]",
    ),
    24: (
        f"{DECIDES}[hosts that fail one after the other end in a call for a person]",
        f"{DECIDES}[failed boots do not follow each other too fast]",
        f"{DECIDES}[two sick slots of two suspect the observer]",
    ),
    25: (
        "unit/core/test_corners.py::test_a_machine_that_fails_again_is_avoided_for_longer",
        "property/test_plan.py::test_nothing_lands_on_a_quarantined_machine",
    ),
    26: (
        f"{DECIDES}[a GPU without a display is given back before its first picture]",
        f"{DECIDES}[a dead GPU is not restarted]",
        f"{DECIDES}[a full disk is not cured by another start]",
    ),
    27: (
        f"{DECIDES}[a host that never shows a picture climbs the ladder]",
        f"{DECIDES}[a host on which the workload will not go is given up]",
        f"{DECIDES}[the last rung is the host itself]",
    ),
    28: (
        f"{DECIDES}[a machine that started late gets time to answer]",
        f"{DECIDES}[a host that refuses us while nobody sees the picture is waited for]",
        f"{DECIDES}[a host that refuses us for too long is replaced]",
        f"{ENTRANCES}::test_after_running_the_keys_come_later_than_the_server",
    ),
    29: (f"{HERE}::test_keeper_commands_nothing_and_nobody_else_s_by_the_api",),
    30: (
        f"{CLIENT_SEARCH}::test_what_is_not_understood_is_said_and_still_exits_as_success",
        f"{HERE}::test_keeper_asks_no_official_client",
    ),
    31: (
        f"{OFFERS}::test_a_search_sends_all_needs_as_filters",
        f"{DECIDES}[a contract that ends in two hours is handed over while it serves]",
    ),
    32: (
        "unit/core/test_terms.py::test_both_pictures_of_an_outbid_are_understood",
        f"{DECIDES}[both pictures of an outbid are understood]",
        f"{SEARCH}::test_a_bid_is_offered_at_its_floor",
        f"{OFFERS}::test_a_price_on_another_basis_than_was_asked_for_is_not_rentable",
    ),
    33: (
        f"{DECIDES}[a serving host whose price rises above the stream's limit hands over]",
        f"{DECIDES}[one listing with a price above the limit is only noted]",
    ),
    34: (
        f"{BODY}[no session of two factors (cli, plugin)]",
        f"{BODY}[a session that is over (cli)]",
        f"{DECIDES}[a refused key is not tried again at once]",
    ),
    35: (f"{READS}::test_wrong_key_is_unauthorized_everywhere",),
    36: (f"{CHANGES}::test_a_key_that_is_attached_already_is_attached",),
    37: (
        "property/test_plan.py::test_only_ours_is_ended",
        "unit/core/test_bind.py::test_what_does_not_carry_our_label_does_not_exist",
        f"{HERE}::test_keeper_commands_nothing_and_nobody_else_s_by_the_api",
    ),
    38: (
        f"{HERE}::test_a_row_may_lack_what_the_official_client_needs",
        f"{CLIENT}::test_more_than_a_page_is_shown_whole",
    ),
    39: (f"{READS}::test_the_servers_clock_is_the_date_of_its_answers",),
    40: (),
}


# --- the table is true -----------------------------------------------------------------------------


@cache
def _source(path: str) -> tuple[str, Mapping[str, str]]:
    """Return a test file's text, and that of each of its tests with decorators."""
    text = (ROOT / "tests" / path).read_text()
    lines = text.splitlines()
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return text, found


def _rows_beside(path: str) -> list[Path]:
    """The files that the rows of the table of decisions are in."""
    found = (ROOT / "tests" / path).parent.glob("decision_rows_*.py")
    return sorted(found) if f"{path}::test_decides" == DECIDES else []


@cache
def _lines_of_the_book() -> Mapping[int, str]:
    rows = re.findall(r"^\| Q(\d+) \|(.+)\|$", BOOK.read_text(), re.MULTILINE)
    assert len({number for number, _ in rows}) == len(rows), "a quirk has two lines"
    return {int(number): text for number, text in rows}


def _named() -> list[tuple[int, str]]:
    return [(number, test) for number, tests in TESTS.items() for test in tests]


def test_all_forty_are_there() -> None:
    assert list(TESTS) == list(range(1, 41))
    assert sorted(_lines_of_the_book()) == list(range(1, 41))


@pytest.mark.parametrize(("number", "test"), _named())
def test_what_is_said_to_hold_a_quirk_exists_and_names_it(number: int, test: str) -> None:
    path, _, name = test.partition("::")
    name, _, row = name.partition("[")
    text, tests = _source(path)
    assert name in tests, f"{path} has no {name}"
    if row:
        text += "".join(each.read_text() for each in _rows_beside(path))
        assert f'"{row.removesuffix("]")}"' in text, f"{path} has no row {row.removesuffix(']')!r}"
    else:
        assert re.search(rf"\b(Q|[Qq]uirk ){number}\b", tests[name]), (
            f"{name} does not say Q{number}"
        )


@pytest.mark.parametrize("number", TESTS)
def test_what_no_test_holds_is_explained(number: int) -> None:
    line = _lines_of_the_book()[number]
    assert (WHY_NOT in line) == (not TESTS[number])


# --- quirks that no other test holds ---------------------------------------------------------------


def test_a_boot_that_the_marketplace_gave_up_on_is_given_up_and_its_machine_avoided() -> None:
    """Q10: loading, meant to be stopped, is a failed launch, whatever it says of itself."""
    tenure = a_fresh_tenure(listed_at=ago(90), dead_since=ago(36))
    instance = an_instance(HOST, tenure.label, state=MarketState.PENDING, is_meant_to_run=False)
    world = replace(a_world(a_record(tenure)), listing=a_listing(instance), heard_at={})
    plan = decide(world)
    decision = decision_for(plan)
    assert isinstance(decision, Destroy)
    assert decision.reason is Reason.BOOT_FAILED
    assert [each.machine_id for each in plan.quarantine] == [tenure.machine_id]


@pytest.mark.parametrize("minutes", [1, 5, 10])
def test_a_pull_that_says_the_same_for_minutes_has_until_its_deadline(minutes: int) -> None:
    """Q12: the line does not move for ten minutes on a healthy slow host."""
    asked = ago(60 * minutes)
    tenure = a_fresh_tenure(
        requested_at=asked, rented_at=asked, booting_since=asked, listed_at=asked
    )
    instance = an_instance(
        HOST, tenure.label, state=MarketState.PENDING, status_text="Pulling fs layer"
    )
    world = replace(a_world(a_record(tenure)), listing=a_listing(instance), heard_at={})
    decision = decision_for(decide(world))
    assert isinstance(decision, Wait)
    assert decision.reason is Reason.BOOTING


def test_keeper_commands_nothing_and_nobody_else_s_by_the_api() -> None:
    """Q29, Q37: what is never called cannot run a command, or touch all.

    A bulk call ends in ``/instances/`` without an id; commands go over SSH.
    """
    assert {str(each) for each in Endpoint} == {
        "GET /api/v1/instances/",
        "GET /api/v0/instances/{id}/",
        "POST /api/v0/bundles/",
        "PUT /api/v0/asks/{id}/",
        "DELETE /api/v0/instances/{id}/",
        "PUT /api/v0/instances/{id}/",
        "PUT /api/v0/instances/reboot/{id}/",
        "PUT /api/v0/instances/bid_price/{id}/",
        "GET /api/v0/ssh/",
        "POST /api/v0/ssh/",
        "POST /api/v0/instances/{id}/ssh/",
        "GET /api/v0/users/current",
    }


def test_keeper_asks_no_official_client() -> None:
    """Q30: it exits with 0 after an error, so it is not what keeper stands on."""
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "keeper").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names]
        )
    }
    assert "aiohttp" in imported
    assert not imported & {"vastai", "vastai_sdk", "vast_sdk"}


def test_a_row_may_lack_what_the_official_client_needs() -> None:
    """Q38: it crashes on a row without ``start_date`` or ``extra_env``."""
    instance = instance_of(InstanceRow(id=1, actual_status="running", start_date=None))
    assert (instance.state, instance.started_at) == (MarketState.RUNNING, None)
