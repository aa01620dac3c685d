"""The durable state between two ticks is what the store holds, changed by committed plans alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keeper.core.decisions import Plan
from keeper.core.flow import Rate
from keeper.core.meter import Meter, caught_up, day_of, spent
from keeper.core.model import (
    ConditionKind,
    Failure,
    IntentId,
    IntentKind,
    MachineId,
    RemedyUse,
    Revision,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    StreamName,
)
from keeper.core.reasons import Reason
from keeper.daemon.memory import Memory
from keeper.ports import Batch, Saved
from tests.builders import (
    DUEL,
    KEEPER_ID,
    NOW,
    SLOT,
    a_condemned,
    a_condition,
    a_pause,
    a_quarantine,
    a_record,
    a_tenure,
    ago,
    ahead,
    an_intent,
)

OTHER = SlotId("duel/1")
RENT, DEPLOY = an_intent(), an_intent(IntentKind.DEPLOY, intent_id=IntentId("duel/0#4"))
SAVED = Saved(
    keeper_id=KEEPER_ID,
    clean_stop=True,
    records=(a_record(a_tenure()), a_record(slot=OTHER)),
    condemned=(a_condemned(),),
    intents=(RENT,),
    quarantine=(a_quarantine(201),),
    pause=a_pause(60),
    slot_pauses={SLOT: a_pause()},
    alert_state={"slot_dark": {"since": "then"}},
    outbox=(),
    meter=Meter(metered_at=ago(60)),
)


def remembered() -> Memory:
    return Memory.of(SAVED, NOW)


def test_takes_up_all_that_the_store_holds() -> None:
    memory = remembered()
    assert memory.keeper_id == KEEPER_ID
    assert memory.records == {record.slot: record for record in SAVED.records}
    assert memory.condemned == SAVED.condemned
    assert memory.intents == {RENT.intent_id: RENT}
    assert memory.quarantine == {MachineId(201): a_quarantine(201)}
    assert memory.pause == SAVED.pause
    assert memory.slot_pauses == {SLOT: a_pause()}
    assert memory.alert_state == SAVED.alert_state
    assert memory.started_at == NOW
    assert memory.meter == SAVED.meter
    assert memory.outcomes == []
    declared = {DUEL: (Revision(name="a1", stream=DUEL, declared_at=NOW),)}
    assert Memory.of(replace(SAVED, revisions=declared), NOW).revisions == declared
    assert memory.fuses_known == frozenset()


def test_a_ledger_of_the_future_counts_from_now_on() -> None:
    """The clock was set back while keeper was down."""
    saved = replace(SAVED, meter=Meter(metered_at=ahead(60), clock_off_s=7.0))
    memory = Memory.of(saved, NOW)
    assert memory.meter == Meter(metered_at=NOW)


def test_takes_over_what_a_plan_changed_and_nothing_else() -> None:
    memory = remembered()
    before = memory.records
    changed = a_record(slot=OTHER, attempt=3)
    memory.absorb(Plan(decisions=(), records=(changed,), condemned=SAVED.condemned))
    assert memory.records == {SLOT: SAVED.records[0], OTHER: changed}
    assert before[OTHER] == SAVED.records[1]  # a snapshot of an earlier tick holds it
    assert memory.condemned == SAVED.condemned
    assert memory.intents == {RENT.intent_id: RENT}
    assert memory.quarantine == {MachineId(201): a_quarantine(201)}
    assert memory.meter == SAVED.meter


def test_forgets_the_slots_that_a_plan_forgot_even_when_no_other_changed() -> None:
    memory = remembered()
    memory.absorb(Plan(decisions=(), slots_forgotten=(OTHER, SlotId("duel/9"))))
    assert list(memory.records) == [SLOT]
    assert memory.condemned == ()


def test_keeps_intents_open_until_they_are_closed() -> None:
    memory = remembered()
    memory.absorb(Plan(decisions=(), intents_opened=(DEPLOY,)))
    assert list(memory.intents.values()) == [RENT, DEPLOY]
    memory.absorb(Plan(decisions=(), intents_closed=(RENT.intent_id,)))
    assert list(memory.intents.values()) == [DEPLOY]
    memory.absorb(Plan(decisions=()))
    assert list(memory.intents.values()) == [DEPLOY]


def test_keeps_machines_in_quarantine_until_they_are_pardoned() -> None:
    memory = remembered()
    memory.absorb(Plan(decisions=(), quarantine=(a_quarantine(202),)))
    assert set(memory.quarantine) == {201, 202}
    memory.absorb(Plan(decisions=(), quarantine_forgotten=(MachineId(201),)))
    assert set(memory.quarantine) == {202}


def test_takes_over_the_fuses_and_the_ledger() -> None:
    memory = remembered()
    memory.absorb(Plan(decisions=(), fuses=(Reason.PAUSED,), meter=Meter(metered_at=NOW)))
    assert memory.fuses_known == {Reason.PAUSED}
    assert memory.meter == Meter(metered_at=NOW)
    memory.absorb(Plan(decisions=()))
    assert memory.fuses_known == frozenset()
    assert memory.meter == Meter(metered_at=NOW)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_step_of_the_clock_moves_all_that_is_counted_or_waited_for(step_s: float) -> None:
    """What was half an hour ago still is, and what is due in a minute too."""
    counting = a_record(
        a_tenure(conditions=()),
        remedies=(RemedyUse(rung=Rung.REBOOT, at=ago(1800)),),
        replaced_at=(ago(900), ago(600)),
        next_rent_at=ahead(60),
        outbid_at=ago(30),
    )
    memory = Memory.of(replace(SAVED, records=(counting, a_record(slot=OTHER))), NOW)
    memory.clock_stepped(step_s, ahead(step_s))
    assert memory.records == {
        SLOT: replace(
            counting,
            remedies=(RemedyUse(rung=Rung.REBOOT, at=ahead(step_s - 1800)),),
            replaced_at=(ahead(step_s - 900), ahead(step_s - 600)),
            next_rent_at=ahead(step_s + 60),
            outbid_at=ahead(step_s - 30),
        ),
        OTHER: a_record(slot=OTHER),  # nothing is counted there
    }
    assert memory.intents == {RENT.intent_id: replace(RENT, opened_at=ahead(step_s - 10))}
    before = a_quarantine(201)
    assert memory.quarantine == {
        MachineId(201): replace(before, until=before.until + timedelta(seconds=step_s))
    }
    # A jump ahead may be a box that slept while its rentals ran: it counts as time.
    assert memory.meter == Meter(
        metered_at=ahead(min(step_s, 0)), clock_off_s=step_s, jumped_on=day_of(NOW)
    )


@pytest.mark.parametrize(("step_s", "moved_s"), [(3600.0, 3600.0), (-3600.0, 0.0)])
def test_a_sickness_has_lasted_no_longer_because_the_clock_leapt_ahead(
    step_s: float, moved_s: float
) -> None:
    """Seeds 8309 and 8710 of any fleet: a mass failure of minutes seemed one of an hour, and was acted on.

    What a clock that was set back leaves in the future begins anew where it is judged.
    """

    def since(seconds: float, by_s: float = 0.0) -> SlotRecord:
        gone = a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.LINK_LOST)
        at = ahead(by_s - seconds)
        tenure = a_tenure(dead_since=at, missing_since=at, conditions=(replace(gone, since=at),))
        fault = Failure(
            label=tenure.label, machine_id=tenure.machine_id, at=at, reason=Reason.BLACK
        )
        return a_record(tenure, incoming=tenure, dark_since=at, failures=(fault,))

    declared = Revision(name="a1", stream=DUEL, declared_at=ago(100))
    saved = replace(SAVED, records=(since(120.0),), revisions={DUEL: (declared,)})
    memory = Memory.of(saved, NOW)
    memory.clock_stepped(step_s, ahead(step_s))
    assert memory.records == {SLOT: since(120.0, moved_s)}
    # Still dark before the change.
    moved = replace(declared, declared_at=ahead(moved_s - 100))
    assert memory.revisions == {DUEL: (moved,)}
    assert memory.in_full(Batch(), memory.meter).revisions == {DUEL: (moved,)}
    told = {DUEL: (declared,)}  # by the tick that notices, which has seen it moved
    assert memory.in_full(Batch(revisions=told), memory.meter).revisions == told


def test_what_was_spent_until_the_clock_was_set_is_of_the_day_that_it_showed() -> None:
    """Seed 4689 of any fleet: set back over midnight, it gave the new day's first dollars to the old one,
    and the new day was billed above its cap.
    """
    midnight = datetime(2026, 11, 22, tzinfo=UTC)
    rates = {StreamName("duel"): Rate(dollars_per_hour=1.0, on_air=1)}
    memory = Memory.of(replace(SAVED, meter=Meter(metered_at=midnight, rates=rates)), midnight)
    memory.clock_stepped(-3600.0, midnight - timedelta(minutes=15))  # a quarter to one before
    meter = caught_up(memory.meter, midnight)
    assert spent(meter, day_of(midnight)).dollars == pytest.approx(0.75)
    assert spent(meter, day_of(midnight - timedelta(days=1))).dollars == pytest.approx(0.25)
