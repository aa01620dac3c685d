"""What is said again changes nothing, and is known to without deciding anew; and silence has its hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from keeper.core.belief import confirms, is_moved_by
from keeper.core.model import (
    Condition,
    ConditionKind,
    InstanceId,
    Policy,
    Reading,
    Status,
    Subject,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.silence import silent_at, witnesses_of
from tests.builders import HOST, a_condition, a_reading, a_tenure, ago, ahead, conditions

T, F, U = Status.TRUE, Status.FALSE, Status.UNKNOWN
KIND = {
    Subject.LINK: ConditionKind.REACHABLE,
    Subject.PROCESS: ConditionKind.RUNNING,
    Subject.PICTURE: ConditionKind.STREAMING,
    Subject.GPU: ConditionKind.HAS_GPU,
    Subject.DISK: ConditionKind.HAS_ROOM,
}
SAID = {
    Subject.LINK: Reason.LINK_UP,
    Subject.PROCESS: Reason.PROCESS_UP,
    Subject.PICTURE: Reason.LIVE,
    Subject.GPU: Reason.RUNNING,
    Subject.DISK: Reason.RUNNING,
}
LONG_AGO = ago(7200)


def well(**changes: Any) -> Tenure:
    """Everything is known, good, and as sure as it can become."""
    said = {
        kind.value: a_condition(kind, T, SAID[subject], for_s=3000, good=2)
        for subject, kind in KIND.items()
    }
    said |= {name: changes.pop(name) for name in tuple(changes) if name in said}
    return a_tenure(conditions=conditions(**said), **changes)


def again(subject: Subject, status: Status = T, **changes: Any) -> Reading:
    """The same word as before, of the same process."""
    told = {"reason": SAID[subject], **changes}
    if subject is Subject.PROCESS:
        told = {"identity": "41:1", "restarts": 0, **told}
    return a_reading(subject, status, told.pop("reason"), **told)


def sure(subject: Subject, **changes: Any) -> Condition:
    kind = KIND[subject]
    return replace(a_condition(kind, T, SAID[subject], for_s=3000, good=2), **changes)


@pytest.mark.parametrize("subject", list(SAID))
def test_what_is_said_again_changes_nothing(subject: Subject) -> None:
    assert confirms(well(), again(subject), Policy())
    assert not is_moved_by(well(), again(subject), Policy(), LONG_AGO)


def test_what_was_counted_of_a_process_is_not_counted_again() -> None:
    died = well(process_changed_at=(ago(900), ago(800)))
    assert not is_moved_by(died, again(Subject.PROCESS), Policy(), LONG_AGO)


CHANGES = [
    ("a good word more makes a link surer",
     well(reachable=sure(Subject.LINK, good_streak=1)), again(Subject.LINK)),
    ("and a picture", well(streaming=sure(Subject.PICTURE, good_streak=1)), again(Subject.PICTURE)),
    ("it takes a bad one back",
     well(streaming=sure(Subject.PICTURE, bad_streak=1)), again(Subject.PICTURE)),
    ("good pictures in a row are counted up to a handover",
     well(good_in_a_row=5), again(Subject.PICTURE)),
    ("another process runs", well(acted_at=ago(5)), again(Subject.PROCESS, identity="42:1")),
    ("its manager has restarted it", well(acted_at=ago(5)), again(Subject.PROCESS, restarts=1)),
    ("a process that was left stopped runs", well(is_left_stopped=True), again(Subject.PROCESS)),
    ("nothing was known of it", well(streaming=sure(Subject.PICTURE, status=U)),
     again(Subject.PICTURE)),
    ("it has another reason", well(), again(Subject.DISK, reason=Reason.LINK_UP)),
    ("the card is lost", well(), again(Subject.GPU, F, reason=Reason.GPU_LOST)),
    ("the disk is full", well(), again(Subject.DISK, F, reason=Reason.DISK_FULL)),
    ("one bad picture", well(), again(Subject.PICTURE, F, reason=Reason.FROZEN)),
    ("one refused dial", well(), again(Subject.LINK, F, reason=Reason.DIAL_REFUSED)),
    ("the process is gone", well(), again(Subject.PROCESS, F, reason=Reason.PROCESS_GONE)),
    ("nobody has judged it yet", replace(well(), conditions=()), again(Subject.PICTURE)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("tenure", "reading"), [r[1:] for r in CHANGES], ids=[r[0] for r in CHANGES]
)
def test_what_changes_anything_is_news(tenure: Tenure, reading: Reading) -> None:
    assert not confirms(tenure, reading, Policy())
    assert is_moved_by(tenure, reading, Policy(), LONG_AGO)


def test_a_process_that_does_not_say_which_it_is_is_the_one_before() -> None:
    assert confirms(well(), again(Subject.PROCESS, identity=""), Policy())


@pytest.mark.parametrize(("started_at", "is_news"), [(LONG_AGO, True), (ago(5), False)])
def test_a_bad_picture_right_after_a_restart_is_none_whatever_a_clock_says(
    started_at: datetime, *, is_news: bool
) -> None:
    """How long ago an act was that an earlier process has done, nobody knows."""
    bad = again(Subject.PICTURE, F, reason=Reason.FROZEN)
    assert is_moved_by(well(acted_at=ago(100)), bad, Policy(), started_at) is is_news


# --- silence ----------------------------------------------------------------------------------------


def heard(**at: datetime) -> dict[tuple[InstanceId, Subject], datetime]:
    """All a second ago, but for those that are said."""
    return {(HOST, subject): at.get(subject.value, ago(1)) for subject in Subject}


def test_a_witness_is_one_of_whom_something_is_believed_from_when_it_is() -> None:
    tenure = well(
        streaming=sure(Subject.PICTURE, status=U), has_gpu=sure(Subject.GPU, since=ago(10))
    )
    assert dict(witnesses_of(tenure)) == {
        (HOST, Subject.LINK): ago(3000),
        (HOST, Subject.PROCESS): ago(3000),
        (HOST, Subject.GPU): ago(10),
        (HOST, Subject.DISK): ago(3000),
    }


@pytest.mark.parametrize(
    ("tenure", "heard_at", "expected"),
    [
        pytest.param(well(), heard(), ahead(44), id="all are heard of"),
        pytest.param(well(), heard(picture=ago(20)), ahead(25), id="the quietest comes first"),
        pytest.param(
            well(streaming=sure(Subject.PICTURE, status=U)), heard(picture=ago(20)), ahead(44),
            id="of what is unknown nothing is lost",
        ),
        pytest.param(
            well(streaming=sure(Subject.PICTURE, since=ago(10))), heard(picture=ago(20)), ahead(35),
            id="from when it is believed",
        ),
        pytest.param(well(), {}, ago(255), id="nobody was heard by this process"),
        pytest.param(replace(well(), conditions=()), heard(), None, id="nobody has judged it yet"),
        pytest.param(replace(well(), instance_id=None), heard(), None, id="it has no id yet"),
        pytest.param(
            replace(
                well(), conditions=tuple(replace(each, status=U) for each in well().conditions)
            ),
            heard(), None, id="nothing is known",
        ),
    ],
)  # fmt: skip
def test_the_next_silence_is_that_of_the_quietest_witness(
    tenure: Tenure, heard_at: dict[tuple[InstanceId, Subject], datetime], expected: datetime | None
) -> None:
    """Forty-five seconds after it was last heard; this process began five minutes ago."""
    assert silent_at(tenure, heard_at, ago(300), 45.0) == expected
