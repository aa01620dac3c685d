"""What the newest look shows to be over is told to nobody for the first time, until the next look has come.

A process that was killed was back on air after twelve seconds. Two good looks are believed, the second came
after thirty, and by then the message had gone out.
"""

from dataclasses import replace
from datetime import datetime

import pytest

from keeper.alerts.dispatch import next_due_at
from keeper.alerts.rules import firing
from keeper.core.model import Condition, ConditionKind, Status, Subject
from keeper.core.reasons import Reason
from keeper.ports import NoticeKind
from tests.snapshots import NOW, ago, dark, snapshot
from tests.unit.alerts.test_dispatch import Play, alert

PASSING = replace(alert(), is_passing=True)


def test_who_was_not_told_is_not_told_of_what_looks_good() -> None:
    play = Play()
    play.at(0, alert())
    play.at(25, PASSING)
    assert play.at(30, PASSING) == []
    assert next_due_at(play.state, (PASSING,), play.numbers) is None
    assert play.at(35) == []
    assert play.sent == []


def test_a_picture_that_comes_and_goes_is_told_at_its_next_bad_look() -> None:
    play = Play()
    play.at(0, alert())
    play.at(30, PASSING)
    assert play.at(40, alert()) == [NoticeKind.FIRING]


def test_who_was_told_hears_what_becomes_of_it() -> None:
    play = Play()
    play.at(0, alert())
    play.at(30, alert())
    play.at(40, PASSING)
    assert play.at(400) == []
    assert play.at(700) == [NoticeKind.RESOLVED]


def test_who_was_just_started_looks_before_it_tells_what_the_one_before_it_believed() -> None:
    """A keeper that was killed while a process came back told of it with its first tick."""
    for started_at, is_passing in ((ago(seconds=5), True), (ago(seconds=90), False)):
        seen = snapshot(dark())
        (found,) = firing(replace(seen, world=replace(seen.world, started_at=started_at)), NOW)
        assert found.is_passing is is_passing


@pytest.mark.parametrize(
    ("up_s", "looked_s", "dark_s", "is_passing"),
    [
        (20, 15, 31, True),
        (20, 0, 31, False),
        (40, 15, 31, False),
        (20, 15, 61, False),
    ],
    ids=["up, and not looked at", "seen to be dark", "up all the time", "nobody looks"],
)
def test_a_process_that_came_back_is_looked_at_before_anybody_is_told(
    up_s: int, looked_s: int, dark_s: int, *, is_passing: bool
) -> None:
    """The picture had been back for six seconds, and the look that showed it came a second too late."""
    record = dark(since=ago(seconds=dark_s))
    assert record.tenure is not None
    running = Condition(
        kind=ConditionKind.RUNNING, status=Status.TRUE, reason=Reason.PROCESS_UP,
        since=ago(seconds=up_s),
    )  # fmt: skip
    others = tuple(c for c in record.tenure.conditions if c.kind is not ConditionKind.RUNNING)
    seen = snapshot(replace(record, tenure=replace(record.tenure, conditions=(*others, running))))
    assert record.tenure.instance_id is not None
    heard_at = {(record.tenure.instance_id, Subject.PICTURE): ago(seconds=looked_s)}
    (found,) = firing(replace(seen, world=replace(seen.world, heard_at=heard_at)), NOW)
    assert found.is_passing is is_passing


@pytest.mark.parametrize(
    ("streak", "since", "is_passing"),
    [
        (0, ago(seconds=5), False),
        (1, ago(seconds=5), True),
        (1, ago(seconds=120), False),
        (1, None, False),
    ],
    ids=["seen bad", "seen good once", "and then no more", "nobody knows when"],
)
def test_one_good_look_makes_a_darkness_passing(
    streak: int, since: datetime | None, is_passing: bool
) -> None:
    record = dark()
    assert record.tenure is not None
    picture = Condition(
        kind=ConditionKind.STREAMING, status=Status.FALSE, reason=Reason.FROZEN,
        since=ago(minutes=1), good_streak=streak, streak_since=since,
    )  # fmt: skip
    others = tuple(c for c in record.tenure.conditions if c.kind is not ConditionKind.STREAMING)
    seen = replace(record, tenure=replace(record.tenure, conditions=(*others, picture)))
    (found,) = firing(snapshot(seen), NOW)
    assert found.is_passing is is_passing
