"""Too many are sick at once, for long: who is tried, whom nobody waits for, and who is sick longest."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from keeper.core.draft import Draft
from keeper.core.model import (
    Audition,
    ConditionKind,
    Failure,
    InstanceId,
    MachineId,
    Meaning,
    Remedy,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    Symptom,
)
from keeper.core.reasons import Reason
from keeper.core.reconcile import reconcile
from keeper.core.sickness import burst_trial_at, mass_trial_at, sick_max, sick_slots, unseen_slots
from tests.builders import (
    NOW,
    SLOT,
    a_condition,
    a_desire,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    conditions,
    with_policy,
)

F, U = Status.FALSE, Status.UNKNOWN
OTHER, THIRD, FOURTH = SlotId("duel/1"), SlotId("duel/2"), SlotId("duel/3")


def sick(slot: SlotId = SLOT, for_s: float = 2000.0, **changes: Any) -> SlotRecord:
    """Dark for so long on a host that served."""
    bad = a_condition(ConditionKind.STREAMING, F, Reason.FROZEN, for_s=for_s, bad=3)
    return replace(on(slot, conditions=conditions(streaming=bad)), dark_since=ago(for_s), **changes)


def on(slot: SlotId, **changes: Any) -> SlotRecord:
    number = int(slot[-1])
    tenure = a_tenure(label=f"keeper:k1:{slot}:1", instance_id=InstanceId(7001 + number), **changes)
    return a_record(tenure, slot)


def a_draft(*records: SlotRecord, known: frozenset[Reason] = frozenset()) -> Draft:
    stream = with_policy(a_stream(replicas=len(records)), replacements_max=3)
    return Draft(replace(a_world(*records), fuses_known=known), a_desire(stream), NOW)


def whose_turn(draft: Draft) -> list[SlotId]:
    return [slot for slot in draft.slots if mass_trial_at(draft, slot) is not None]


# used up of three replacements, its host is gone, whose turn it is
ALLOWANCES = [
    ("what has one replacement left is tried", 2, False, SLOT),
    ("what has none left comes last", 3, False, OTHER),
    ("what was given up once is waited for", 1, True, SLOT),
    ("the last one that was allowed is owed still", 3, True, SLOT),
    ("one more than was allowed is not", 4, True, OTHER),
]


@pytest.mark.parametrize(
    ("used", "is_vacant", "turn"), [row[1:] for row in ALLOWANCES], ids=[r[0] for r in ALLOWANCES]
)
def test_whose_allowance_is_used_up_keeps_no_other_one_waiting(
    used: int, turn: SlotId, *, is_vacant: bool
) -> None:
    first = sick(SLOT, 2000.0, replaced_at=tuple(ago(9000.0 - n) for n in range(used)))
    first = replace(first, tenure=None) if is_vacant else first
    assert whose_turn(a_draft(first, sick(OTHER, 1500.0), sick(THIRD, 1400.0))) == [turn]


@pytest.mark.parametrize("over_s", [0.0, -1.0])
def test_what_is_over_keeps_no_slot_from_its_turn(over_s: float) -> None:
    """Its pause, or one of three replacements in six hours; a second before, either does."""
    others = (sick(OTHER, 1500.0), sick(THIRD, 1400.0))
    turn = [SLOT if over_s == 0.0 else OTHER]
    paused = a_draft(sick(SLOT, 2000.0), *others)
    paused.world = replace(paused.world, slot_pauses={SLOT: a_pause(-over_s)})
    assert whose_turn(paused) == turn
    used = (ago(21_600.0 + over_s), ago(9001.0), ago(9000.0))
    assert whose_turn(a_draft(sick(SLOT, 2000.0, replaced_at=used), *others)) == turn


@pytest.mark.parametrize(
    ("reason", "turn"),
    [(Reason.PROCESS_STOPPED_ON_PURPOSE, OTHER), (Reason.PROCESS_GONE, SLOT)],
)
def test_nobody_waits_for_a_host_on_which_somebody_is_at_work(reason: Reason, turn: SlotId) -> None:
    """Seed 3404 of any fleet: it had the turn for days, and nothing is ever done there."""
    dark = a_condition(ConditionKind.STREAMING, F, Reason.UNREACHABLE, for_s=2000.0, bad=3)
    down = a_condition(ConditionKind.RUNNING, F, reason)
    first = replace(
        on(SLOT, conditions=conditions(streaming=dark, running=down)), dark_since=ago(2000.0)
    )
    assert whose_turn(a_draft(first, sick(OTHER, 1500.0), sick(THIRD, 1400.0))) == [turn]


@pytest.mark.parametrize(
    ("acted_s", "is_acting", "turn"),
    [(None, True, SLOT), (14.0, False, SLOT), (15.0, False, OTHER), (None, False, OTHER)],
)
def test_the_turn_does_not_pass_on_while_the_trials_own_restart_stops_the_process(
    acted_s: float | None, turn: SlotId, *, is_acting: bool
) -> None:
    """Seed 8309 of any fleet: seen in the middle of it, a person seemed at work, and another host was given up."""
    dark = a_condition(ConditionKind.STREAMING, F, Reason.FROZEN, for_s=2000.0, bad=3)
    down = a_condition(ConditionKind.RUNNING, F, Reason.PROCESS_STOPPED_ON_PURPOSE, for_s=1.0)
    first = on(
        SLOT,
        conditions=conditions(streaming=dark, running=down),
        acted_at=None if acted_s is None else ago(acted_s),
    )
    world = a_world(replace(first, dark_since=ago(2000.0)), sick(OTHER, 1500.0))
    world = replace(world, in_flight=frozenset({SLOT} if is_acting else ()))
    assert whose_turn(Draft(world, a_desire(a_stream(replicas=2)), NOW)) == [turn]


WRONG_KEY = Symptom(code="key_refused", sentence="the key is refused", remedy=Remedy.PERSON)
LEAK = replace(WRONG_KEY, remedy=Remedy.RESTART_PROCESS)


@pytest.mark.parametrize(("symptom", "turn"), [(WRONG_KEY, OTHER), (LEAK, SLOT)])
def test_nobody_waits_for_what_only_a_person_can_put_right(symptom: Symptom, turn: SlotId) -> None:
    """Seed 4: a refused key had the one trial for three hours, and a restart was all that the other needed."""
    dark = a_condition(ConditionKind.STREAMING, F, Reason.NO_BYTES, for_s=2000.0, bad=3)
    ails = replace(a_condition(ConditionKind.WORKING, F, Reason.SYMPTOM), symptom=symptom)
    first = on(SLOT, conditions=conditions(streaming=dark, working=ails))
    first = replace(first, dark_since=ago(2000.0))
    assert whose_turn(a_draft(first, sick(OTHER, 1500.0), sick(THIRD, 1400.0))) == [turn]


@pytest.mark.parametrize(
    ("held_for", "turn"), [(Reason.NEEDS_PERSON, OTHER), (Reason.MASS_FAILURE, SLOT)]
)
def test_nor_for_what_keeper_has_tried_all_that_it_may_against(
    held_for: Reason, turn: SlotId
) -> None:
    """Seed 22: a tunnel that no other host would have had the trial for an hour and a half."""
    ails = a_condition(ConditionKind.WORKING, F, Reason.SYMPTOM)
    ails = replace(ails, symptom=replace(LEAK, dearest=Rung.RESTART_PROCESS))
    dark = a_condition(ConditionKind.STREAMING, F, Reason.WRONG_PICTURE, for_s=2000.0, bad=3)
    first = on(SLOT, conditions=conditions(streaming=dark, working=ails))
    first = replace(first, dark_since=ago(2000.0), last_reason=held_for)
    assert whose_turn(a_draft(first, sick(OTHER, 1500.0), sick(THIRD, 1400.0))) == [turn]


@pytest.mark.parametrize(("meaning", "turn"), [(Meaning.PERSON, OTHER), (Meaning.WAIT, SLOT)])
def test_nobody_waits_for_a_next_host_that_a_person_must_let_pass(
    meaning: Meaning, turn: SlotId
) -> None:
    audition = Audition(meaning=meaning, at=ago(100.0), since=ago(1000.0))
    first = on(SLOT, first_live_at=None, deployed_at=None, audition=audition)
    first = replace(first, ever_on_air=True, dark_since=ago(2000.0))
    assert whose_turn(a_draft(first, sick(OTHER, 1500.0), sick(THIRD, 1400.0))) == [turn]
    assert whose_turn(a_draft(replace(first, ever_on_air=False), sick(OTHER))) == [OTHER]


def outbid(slot: SlotId) -> SlotRecord:
    """Others bid more for its host: it is dark, and no sign of anything common."""
    return replace(on(slot, outbid_since=ago(900.0)), dark_since=ago(900.0))


FRESH = SlotRecord(slot=THIRD)
BOOTING = replace(on(THIRD, first_live_at=None), ever_on_air=False)
NOBODYS = SlotRecord(slot=THIRD, offer_misses=2)


@pytest.mark.parametrize(
    ("others", "turn"),
    [
        ((outbid(THIRD),), [THIRD]),
        ((FRESH,), [THIRD]),
        ((BOOTING,), [THIRD]),
        ((NOBODYS,), [SLOT]),  # nothing on the market suits it, so there is nothing to wait for
        ((on(THIRD),), [SLOT]),
        ((FRESH, outbid(FOURTH)), [FOURTH]),  # who was on air comes first
    ],
)
def test_where_nobody_sick_may_be_treated_another_that_waits_has_its_turn(
    others: tuple[SlotRecord, ...], turn: list[SlotId]
) -> None:
    """A bid was not raised for four hours, because two slots of a stream that was only watched were sick."""
    worn = {"replaced_at": tuple(ago(9000.0 - n) for n in range(3))}
    records = [sick(SLOT, 2000.0, **worn), sick(OTHER, 1500.0, **worn), *others]
    assert whose_turn(a_draft(*records)) == turn
    able = [replace(records[0], replaced_at=()), *records[1:]]
    assert whose_turn(a_draft(*able)) == [SLOT]


def silent(**changes: Any) -> SlotRecord:
    """A host that served, of whose picture nobody knows anything."""
    unseen = a_condition(ConditionKind.STREAMING, U, Reason.NOT_ASKED)
    said = {"streaming": unseen, **changes.pop("said", {})}
    return on(SLOT, conditions=conditions(**said), **changes)


def unreachable(for_s: float) -> dict[str, Any]:
    gone = a_condition(ConditionKind.REACHABLE, F, Reason.LINK_LOST, for_s=for_s)
    return {"reachable": gone}


# The other one is dark for 1500 s; both were rented an hour ago.
SINCE = [
    ("its picture went away before", sick(SLOT, 1600.0), SLOT),
    ("its picture went away after", sick(SLOT, 1400.0), OTHER),
    ("its link broke before", silent(said=unreachable(1600.0)), SLOT),
    ("its link broke after", silent(said=unreachable(1400.0)), OTHER),
    ("it was called dead before", silent(dead_since=ago(1600.0)), SLOT),
    ("it was called dead after", silent(dead_since=ago(1400.0)), OTHER),
    ("it was missed before", silent(missing_since=ago(1600.0)), SLOT),
    ("it was missed after", silent(missing_since=ago(1400.0)), OTHER),
]


@pytest.mark.parametrize(
    ("record", "turn"), [row[1:] for row in SINCE], ids=[row[0] for row in SINCE]
)
def test_the_one_that_is_sick_longest_is_tried(record: SlotRecord, turn: SlotId) -> None:
    draft = a_draft(record, sick(OTHER, 1500.0))
    assert sick_slots(draft) == [SLOT, OTHER]
    assert whose_turn(draft) == [turn]


def test_a_share_that_is_a_whole_number_of_slots_is_not_rounded_up() -> None:
    """In binary 0.07 times 100 is a little more than seven."""
    draft = Draft(a_world(), a_desire(a_stream(replicas=100), mass_failure_ratio=0.07), NOW)
    assert sick_max(draft) == 7


def test_one_that_waits_for_money_may_ask_when_the_others_are_treated_already() -> None:
    """Of two sick ones the first was given up in this very tick: fewer are sick than it takes."""
    waiting = a_record(slot=THIRD, ever_on_air=True, last_reason=Reason.BUDGET)
    draft = a_draft(sick(SLOT, 2000.0), sick(OTHER, 1500.0), waiting)
    draft.records[SLOT] = replace(draft.records[SLOT], tenure=None)
    assert sick_slots(draft) == [OTHER]
    assert mass_trial_at(draft, THIRD) == ahead(900.0 - 1500.0)


def test_of_those_that_failed_alike_one_is_tried_and_who_waits_for_money_asks_for_itself() -> None:
    alike = tuple(
        Failure(label=f"keeper:k1:{slot}:1", machine_id=MachineId(n), at=ago(2000.0 - n),
                reason=Reason.FROZEN)
        for n, slot in enumerate((SLOT, OTHER, THIRD))
    )  # fmt: skip
    draft = a_draft(
        sick(SLOT, 2000.0, failures=alike[:1]),
        sick(OTHER, 1999.0, failures=alike[1:2]),
        a_record(slot=THIRD, ever_on_air=True, last_reason=Reason.BUDGET, failures=alike[2:]),
    )
    draft.bursts = {SLOT: alike, OTHER: alike}
    at = {slot: burst_trial_at(draft, slot) for slot in (SLOT, OTHER, THIRD)}
    at_second = ago(1999.0 - 900.0)  # one was dark before it: two are a burst
    assert at == {SLOT: at_second, OTHER: None, THIRD: at_second}


def test_a_host_that_this_tick_has_given_up_was_sick_as_it_was_before() -> None:
    """What is gone is forgotten, and its slot rents in the same tick; that was taken for a bug of ours."""
    alike = tuple(
        Failure(label=f"keeper:k1:{slot}:1", machine_id=MachineId(n), at=ago(2000.0 - n),
                reason=Reason.GONE)
        for n, slot in enumerate((SLOT, OTHER))
    )  # fmt: skip
    for first_s, others_turn in ((2000.0, None), (1500.0, ago(1999.0 - 900.0))):
        draft = a_draft(
            sick(SLOT, first_s, failures=alike[:1], ever_on_air=False),
            sick(OTHER, 1999.0, failures=alike[1:]),
        )
        draft.bursts = {SLOT: alike, OTHER: alike}
        draft.records[SLOT] = replace(draft.records[SLOT], tenure=None)
        assert burst_trial_at(draft, OTHER) == others_turn


# --- of whom nobody knows ---------------------------------------------------------------------------

KNOWN = frozenset({Reason.MASS_FAILURE})


def unseen(slot: SlotId = SLOT, for_s: float = 100.0, **changes: Any) -> SlotRecord:
    """A host that served, of which nobody knows anything, for so long."""
    said = a_condition(ConditionKind.STREAMING, U, Reason.SILENT, for_s=for_s)
    return on(slot, conditions=conditions(streaming=said, **changes.pop("said", {})), **changes)


LOST = a_condition(ConditionKind.REACHABLE, U, Reason.LINK_LOST)


@pytest.mark.parametrize(
    ("first", "counts"),
    [
        (unseen(), True),
        (unseen(said={"reachable": LOST}), True),
        (on(SLOT), False),  # viewers see it
        (unseen(dead_since=ago(9)), False),  # it is sick by evidence, and counts as that
        (unseen(outbid_since=ago(9)), False),  # others bid more
        (unseen(first_live_at=None), False),  # it has never served
        (replace(unseen(), ever_on_air=False), False),
        (a_record(slot=SLOT, ever_on_air=True, attempt=1), False),  # given up: under repair
    ],
)
def test_who_counts_while_too_many_are_sick_though_nobody_knows(
    first: SlotRecord, *, counts: bool
) -> None:
    assert unseen_slots(a_draft(first, known=KNOWN)) == [SLOT] * counts
    assert unseen_slots(a_draft(first, known=frozenset({Reason.COMMON_CAUSE}))) == []


@pytest.mark.parametrize(
    ("first", "known", "stands"),
    [
        (unseen(), KNOWN, True),
        (unseen(), frozenset(), False),
        (on(SLOT), KNOWN, False),
    ],
)
def test_not_knowing_ends_no_mass_failure_and_begins_none(
    first: SlotRecord, known: frozenset[Reason], *, stands: bool
) -> None:
    """A host that was down was coming up, and another one was given up before anybody had looked."""
    world = replace(a_world(first, sick(OTHER, 400.0)), fuses_known=known)
    plan = reconcile(world, a_desire(a_stream(replicas=2)), NOW)
    assert (Reason.MASS_FAILURE in plan.fuses) is stands


@pytest.mark.parametrize(
    ("records", "turn"),
    [
        ((unseen(SLOT, 3000.0), sick(OTHER, 1500.0)), [OTHER]),  # something can be done for it
        ((unseen(SLOT, 3000.0), unseen(OTHER, 1500.0)), [SLOT]),
        ((unseen(SLOT, 3000.0), unseen(OTHER, 1500.0), FRESH), [THIRD]),
    ],
)
def test_one_of_which_nobody_knows_has_the_last_turn(
    records: tuple[SlotRecord, ...], turn: list[SlotId]
) -> None:
    assert whose_turn(a_draft(*records, known=KNOWN)) == turn


@pytest.mark.parametrize(
    ("first", "at"),
    [
        (unseen(SLOT, 1000.0), ago(1000.0 - 900.0)),  # the second of two that are too many
        (unseen(SLOT, 1600.0), ago(1500.0 - 900.0)),
        # Whether a link refuses us is a witness's word; that there is one, or none yet, is not.
        (unseen(SLOT, 1000.0, said={"reachable": LOST}), ago(1000.0 - 900.0)),
    ],
)
def test_a_mass_failure_began_when_the_last_of_too_many_was_last_known_of(
    first: SlotRecord, at: datetime
) -> None:
    assert mass_trial_at(a_draft(first, sick(OTHER, 1500.0), known=KNOWN), OTHER) == at
