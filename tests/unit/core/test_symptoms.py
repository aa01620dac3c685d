"""What a workload says of itself: since when it ails, when that is over, and what the next host is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core.belief import confirms
from keeper.core.draft import Draft, Seat
from keeper.core.model import (
    Condition,
    ConditionKind,
    Policy,
    Reading,
    Remedy,
    Status,
    Subject,
    Symptom,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.retire import retire
from tests.builders import (
    NOW,
    SLOT,
    a_condition,
    a_desire,
    a_reading,
    a_record,
    a_tenure,
    a_world,
    ago,
    all_heard,
    conditions,
    decide,
    record_after,
)

FLICKER = Symptom(code="flicker", sentence="it flickers", remedy=Remedy.RESTART_PROCESS)
DEAF = Symptom(code="deaf", sentence="no sound", remedy=Remedy.PERSON)


def says(symptom: Symptom | None, **more: object) -> Reading:
    if symptom is None:
        return a_reading(Subject.WORKLOAD, Status.TRUE, Reason.WORKLOAD_WELL, **more)  # type: ignore[arg-type]
    return a_reading(Subject.WORKLOAD, Status.FALSE, Reason.SYMPTOM, symptom=symptom, **more)  # type: ignore[arg-type]


def ailing(symptom: Symptom, for_s: float = 100.0) -> Tenure:
    said = a_condition(ConditionKind.WORKING, Status.FALSE, Reason.SYMPTOM, for_s=for_s)
    return a_tenure(conditions=conditions(working=replace(said, symptom=symptom)))


def working_of(tenure: Tenure | None) -> Condition:
    assert tenure is not None
    return tenure.conditions[-1]


def after(tenure: Tenure, *readings: Reading, heard_s: float = 0.0) -> Tenure:
    world = a_world(a_record(tenure), readings=readings, heard_at=all_heard(heard_s))
    found = record_after(world, decide(world)).tenure
    assert found is not None
    return found


def test_a_symptom_counts_since_it_was_first_said() -> None:
    told = working_of(after(a_tenure(), says(FLICKER, age_s=3)))
    assert (told.status, told.symptom, told.since) == (Status.FALSE, FLICKER, ago(3))
    again = working_of(after(ailing(FLICKER), says(replace(FLICKER, sentence="still"))))
    assert (again.symptom, again.since) == (FLICKER, ago(100))


def test_another_symptom_counts_anew() -> None:
    told = working_of(after(ailing(FLICKER), says(DEAF, age_s=2)))
    assert (told.symptom, told.since) == (DEAF, ago(2))


@pytest.mark.parametrize("silence", [True, False], ids=["silence", "a good word"])
def test_a_symptom_ends(silence: bool) -> None:
    tenure = after(ailing(FLICKER), heard_s=46) if silence else after(ailing(FLICKER), says(None))
    told = working_of(tenure)
    assert told.symptom is None
    assert told.status is (Status.UNKNOWN if silence else Status.TRUE)


def test_what_the_next_host_must_be_told_is_kept() -> None:
    tenure = after(a_tenure(), says(None, keepsake="a red fox"))
    assert tenure.keepsake == "a red fox"
    assert after(tenure, says(None)).keepsake == "a red fox"
    assert after(tenure, says(None, keepsake="x" * 9000)).keepsake == "x" * 1000


@pytest.mark.parametrize(
    ("kept", "before", "expected"), [("new", "old", "new"), ("", "old", "old"), ("", "", "")]
)
def test_it_outlives_its_host(kept: str, before: str, expected: str) -> None:
    record = a_record(a_tenure(keepsake=kept), keepsake=before)
    draft = Draft(a_world(record), a_desire(), NOW)
    retire(draft, SLOT, Seat.TENURE, Reason.LADDER_SPENT)
    assert draft.records[SLOT].keepsake == expected


def test_a_word_that_changes_only_what_is_kept_is_news() -> None:
    tenure = after(a_tenure(), says(None, keepsake="a red fox"))
    assert confirms(tenure, says(None), Policy())
    assert confirms(tenure, says(None, keepsake="a red fox"), Policy())
    assert not confirms(tenure, says(None, keepsake="a grey fox"), Policy())


def test_a_stranger_to_this_vocabulary_is_still_readable() -> None:
    """Conditions that an older keeper wrote down know nothing of it."""
    tenure = a_tenure(conditions=conditions()[:-1])
    assert working_of(after(tenure, says(FLICKER))).symptom == FLICKER
