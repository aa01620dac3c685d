"""Labels, delays, moments, sums and phases: the small functions that others rest on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.core.backoff import doubling_s, longest_s, spread, stepped_s
from keeper.core.decisions import Destroy, Hold, Plan, Rent, Wait
from keeper.core.labels import Label, is_keepers, label_for, parse
from keeper.core.model import (
    InstanceId,
    IntentId,
    MachineId,
    OfferId,
    RentalSpec,
    SlotId,
    SlotRecord,
    Status,
    StreamName,
    slot_id,
    stream_of,
)
from keeper.core.moments import elapsed_s, is_due, later
from keeper.core.phase import PHASES, phase
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.spend import committed_by_stream, committed_dollars_per_hour
from tests.builders import (
    DUEL,
    HOST,
    NOW,
    SLOT,
    a_condemned,
    a_fresh_tenure,
    a_record,
    a_tenure,
    ago,
    ahead,
    an_asked_tenure,
    conditions,
)

NAMES = st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), min_size=1)

# --- labels -----------------------------------------------------------------------------------------


@given(NAMES, NAMES, st.integers(0, 99), st.integers(0, 10**9))
def test_a_label_reads_back_as_what_it_was_made_from(
    keeper_id: str, stream: str, replica: int, attempt: int
) -> None:
    slot = slot_id(StreamName(stream), replica)
    label = label_for(keeper_id, slot, attempt)
    assert parse(label) == Label(keeper_id=keeper_id, slot=slot, attempt=attempt)
    assert stream_of(slot) == stream


@given(st.text())
def test_no_text_breaks_the_reading_of_labels(text: str) -> None:
    for label in (text, f"keeper:{text}"):
        parsed = parse(label)
        assert parsed is None or is_keepers(label)


@pytest.mark.parametrize(
    "label",
    [
        "keeper:",
        "keeper:k1",
        "keeper:k1:duel/0",
        "keeper:k1::1",
        "keeper::duel/0:1",
        "",
        f"keeper:k1:duel/0:{10**10}",
        "keeper:k1:duel/0:٣",  # a digit to Python, not to us
        "keeper:k1:duel/0:²",
        "keeper:k1:duel/0:+1",
        "keeper:k1:duel/0: 1",
        " keeper:k1:duel/0:1",
        "Keeper:k1:duel/0:1",
    ],
)
def test_what_comes_close_to_a_label_is_none(label: str) -> None:
    assert parse(label) is None


# --- delays -----------------------------------------------------------------------------------------


@given(st.integers(-5, 10_000), NAMES)
def test_delays_double_within_their_bounds_and_a_quarter(attempt: int, key: str) -> None:
    plain = min(300.0, 10.0 * 2.0 ** min(max(attempt, 0), 30))
    delay = doubling_s(attempt, 10.0, 300.0, key)
    assert 0.75 * plain <= delay <= 1.25 * plain
    assert delay == doubling_s(attempt, 10.0, 300.0, key)


def test_those_who_failed_together_do_not_come_back_together() -> None:
    delays = {round(spread(100.0, f"duel/{n}"), 3) for n in range(50)}
    assert len(delays) == 50


@pytest.mark.parametrize(("attempt", "plain"), [(-1, 15), (0, 15), (1, 30), (2, 60), (99, 60)])
def test_the_last_step_of_a_table_repeats(attempt: int, plain: float) -> None:
    steps = (15.0, 30.0, 60.0)
    assert 0.75 * plain <= stepped_s(attempt, steps, "duel/0") <= 1.25 * plain
    assert stepped_s(attempt, steps, "duel/0") <= longest_s(steps) == 75.0


# --- moments ----------------------------------------------------------------------------------------


def test_time_never_runs_backwards() -> None:
    assert elapsed_s(ago(5), NOW) == 5
    assert elapsed_s(ahead(5), NOW) == 0
    assert later(NOW, 5) == ahead(5)


@pytest.mark.parametrize(
    ("at", "is_it"),
    [(None, True), (ago(1), True), (NOW, True), (ahead(9), False), (ahead(11), True)],
)
def test_a_deadline_beyond_any_delay_was_written_by_another_clock(at: object, is_it: bool) -> None:
    assert is_due(at, NOW, 10.0) is is_it  # type: ignore[arg-type]


# --- sums -------------------------------------------------------------------------------------------


def test_a_rental_counts_from_the_intent_until_its_end_is_confirmed() -> None:
    both = a_record(a_tenure(dollars_per_hour=0.4), incoming=an_asked_tenure(dollars_per_hour=0.5))
    other = a_record(a_tenure(dollars_per_hour=1.0), slot=SlotId("turbo/0"))
    empty = SlotRecord(slot=SlotId("duel/1"))
    condemned = [
        a_condemned(dollars_per_hour=0.25),
        a_condemned(HOST + 1, dollars_per_hour=0.125, slot=None),
    ]
    records = {record.slot: record for record in (both, other, empty)}
    assert committed_by_stream(records.values(), condemned) == {
        "duel": pytest.approx(1.15), "turbo": 1.0, None: 0.125,
    }  # fmt: skip
    assert committed_dollars_per_hour(records, condemned) == pytest.approx(2.275)
    assert committed_dollars_per_hour(records, condemned, DUEL) == pytest.approx(1.15)
    assert committed_dollars_per_hour(records, condemned, StreamName("none")) == 0.0


# --- phases -----------------------------------------------------------------------------------------

DARK = conditions(streaming=(Status.FALSE, Reason.FROZEN))


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (a_record(), "vacant"),
        (a_record(last_act="destroy", last_act_at=ago(10)), "retiring"),
        (a_record(last_act="destroy", last_act_at=ago(500)), "vacant"),
        (a_record(last_act="rent", last_act_at=ago(10)), "vacant"),
        (a_record(an_asked_tenure()), "renting"),
        (a_record(a_fresh_tenure()), "booting"),
        (a_record(a_fresh_tenure(booted_at=ago(5))), "deploying"),
        (a_record(a_fresh_tenure(booted_at=ago(5), deployed_at=ago(1))), "deploying"),
        (a_record(a_tenure()), "serving"),
        (a_record(a_tenure(conditions=DARK), dark_since=ago(5)), "degraded"),
        (a_record(a_tenure(), destroy_asked_at=ago(1)), "retiring"),
        (a_record(a_tenure(), last_reason=Reason.STREAM_REMOVED), "retiring"),
    ],
)
def test_a_slot_has_a_phase_for_people(record: SlotRecord, word: str) -> None:
    assert phase(record, NOW) == word
    assert word in PHASES


# --- sentences --------------------------------------------------------------------------------------


def test_every_reason_has_a_sentence_of_its_own() -> None:
    assert sorted(SENTENCE) == sorted(Reason)
    assert len(set(SENTENCE.values())) == len(SENTENCE)


def test_a_plan_says_in_a_sentence_what_it_does() -> None:
    wait = Wait(slot=SLOT, reason=Reason.HEALTHY)
    booting = Wait(slot=SLOT, reason=Reason.BOOTING)
    hold = Hold(slot=SLOT, reason=Reason.PAUSED, wanted="rent", wanted_reason=Reason.VACANT)
    rent = Rent(
        slot=SLOT, reason=Reason.VACANT, intent_id=IntentId("i"), label="l", offer_id=OfferId(1),
        machine_id=MachineId(1), dollars_per_hour=0.4, spec=RentalSpec(image="i", disk_gb=1.0),
    )  # fmt: skip
    end = Destroy(
        slot=None, reason=Reason.STRAY_RENTAL, intent_id=IntentId("j"), label="keeper:k1:x/0:1",
        instance_id=InstanceId(5),
    )  # fmt: skip
    assert Plan(decisions=(wait,)).sentence() == "all is well"
    assert Plan(decisions=(wait, booting)).sentence() == "waiting on duel/0: the host is booting"
    assert Plan(decisions=(booting, hold)).sentence() == (
        "would rent duel/0, but an operator has paused keeper"
    )
    assert Plan(decisions=(rent, end)).sentence() == (
        "rent duel/0 because no host is rented for this slot;"
        " destroy keeper:k1:x/0:1 because a rental of ours is bound to no slot"
    )
    assert timedelta(0) == NOW - NOW
