"""What viewers saw in the last half hour: run by run, through gaps, other hosts and clocks that step."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keeper.core.model import InstanceId, Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.core.strip import (
    GRAVITY,
    MEASURED_MAX,
    NOTHING_SEEN,
    RUNS_MAX,
    Run,
    Strip,
    by_minute,
    finite,
    gravest,
    looked,
    moved,
    shown,
)
from keeper.core.viewing import Verdict

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
HOST, OTHER = InstanceId(7), InstanceId(8)
LIVE, FROZEN, BLACK = Reason.LIVE, Reason.FROZEN, Reason.BLACK
STALE_S = 45.0


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


def look(second: float, reason: Reason = LIVE, host: InstanceId = HOST) -> Reading:
    return Reading(
        instance_id=host,
        subject=Subject.PICTURE,
        status=Status.TRUE if reason is LIVE else Status.FALSE,
        reason=reason,
        at=at(second),
        numbers={"mean_luma": 20.0},
    )


def strip(*looks: Reading) -> Strip:
    seen = NOTHING_SEEN
    for each in looks:
        seen = looked(seen, each, STALE_S)
    return seen


def told(runs: tuple[Run, ...]) -> list[tuple[str | None, float]]:
    return [(run.verdict, (run.since - NOW).total_seconds()) for run in runs]


def test_looks_that_see_the_same_are_one_run_and_one_bad_look_is_a_mark_of_its_own() -> None:
    seen = strip(look(0), look(10), look(20, FROZEN), look(30), look(40))
    assert told(seen.runs) == [("live", 0), ("frozen", 20), ("live", 30)]
    assert told(shown(seen, HOST, at(41))) == told(seen.runs)


def test_a_run_keeps_what_was_measured_when_it_began() -> None:
    first = replace(look(20, BLACK), detail="mean luma 3.0", numbers={"mean_luma": 3.0})
    seen = strip(look(0), first, replace(look(30, BLACK), numbers={"mean_luma": 2.0}))
    assert (seen.runs[-1].detail, seen.runs[-1].numbers) == ("mean luma 3.0", {"mean_luma": 3.0})
    assert seen.latest is not None
    assert seen.latest.numbers == {"mean_luma": 2.0}


def test_while_nobody_looked_the_picture_was_unknown() -> None:
    seen = strip(look(0), look(10), look(200))
    assert told(seen.runs) == [("live", 0), ("unknown", 10 + STALE_S), ("live", 200)]
    failed = replace(look(10), status=Status.UNKNOWN, reason=Reason.PROBE_FAILED)
    assert told(strip(look(0), failed, look(200)).runs) == [
        ("live", 0), ("unknown", 10), ("live", 200),
    ]  # fmt: skip


def test_when_the_latest_look_is_old_nothing_is_known_of_now() -> None:
    seen = strip(look(0))
    assert told(shown(seen, HOST, at(45))) == [("live", 0)]
    assert told(shown(seen, HOST, at(46))) == [("live", 0), ("unknown", 45)]


def test_a_strip_goes_on_with_the_next_host_and_shows_that_there_was_none() -> None:
    seen = strip(look(0), look(10), look(300, host=OTHER))
    assert told(seen.runs) == [("live", 0), (None, 20), ("live", 300)]
    at_once = strip(look(0), look(10, host=OTHER))
    assert told(at_once.runs) == [("live", 0)]


@pytest.mark.parametrize("host", [None, OTHER])
def test_without_its_host_a_slot_shows_nothing(host: InstanceId | None) -> None:
    assert told(shown(strip(look(0)), host, at(60))) == [("live", 0), (None, 10)]


def test_what_nobody_could_see_is_no_run() -> None:
    own_fault = replace(look(10), status=Status.UNKNOWN, reason=Reason.PROBE_FAILED)
    assert told(strip(look(0), own_fault, look(20)).runs) == [
        ("live", 0), ("unknown", 10), ("live", 20),
    ]  # fmt: skip


def test_only_half_an_hour_is_kept_and_the_first_run_with_its_whole_length() -> None:
    looks = [look(10 * n, FROZEN if n in {3, 100} else LIVE) for n in range(400)]
    seen = strip(*looks)
    assert told(seen.runs) == [("live", 1010)]
    before = strip(*looks[:250])
    assert told(before.runs) == [("live", 40), ("frozen", 1000), ("live", 1010)]
    assert told(shown(before, HOST, at(2490 + 1000))) == [
        ("live", 1010),
        ("unknown", 2490 + STALE_S),
    ]


def test_the_number_of_runs_is_bounded() -> None:
    seen = strip(*(look(n, FROZEN if n % 2 else LIVE) for n in range(3 * RUNS_MAX)))
    assert len(seen.runs) == RUNS_MAX
    assert seen.runs[-1].since == at(3 * RUNS_MAX - 1)
    assert [bool(run.numbers) for run in seen.runs[-MEASURED_MAX - 1 :]] == [
        False, *([True] * MEASURED_MAX),
    ]  # fmt: skip
    assert not any(run.numbers for run in seen.runs[:-MEASURED_MAX])


@pytest.mark.parametrize("step_s", [600, 3600, -600, -3600])
def test_a_clock_that_steps_moves_what_was_seen(step_s: int) -> None:
    """A look made after the step, before anybody noticed it, stays where it is."""
    step = timedelta(seconds=step_s)
    before = strip(look(0), look(10, FROZEN), look(20, FROZEN))
    after = moved(before, step, at(25 + step_s))
    assert told(after.runs) == [("live", step_s), ("frozen", 10 + step_s)]
    assert after.stands_until == at(20 + step_s + STALE_S)
    late = moved(looked(before, look(30 + step_s), STALE_S), step, at(35 + step_s))
    if step_s == 600:  # ten minutes that never were are no gap
        assert told(late.runs) == [("live", 600), ("frozen", 610), ("live", 630)]
    assert late.runs[-1].since == at(30 + step_s)
    assert late.runs[-1].verdict is Verdict.LIVE
    assert list(late.runs) == sorted(late.runs, key=lambda run: run.since)
    assert told(looked(late, look(40 + step_s), STALE_S).runs) == told(late.runs)


def test_a_clock_that_was_set_back_leaves_no_run_in_the_future() -> None:
    """The first look after the step comes before anybody has noticed it."""
    seen = looked(strip(look(0), look(30, FROZEN), look(60)), look(20, BLACK), STALE_S)
    assert told(seen.runs) == [("live", 0), ("black", 20)]


def test_nothing_seen_stays_nothing() -> None:
    assert moved(NOTHING_SEEN, timedelta(hours=1), NOW) == NOTHING_SEEN
    assert shown(NOTHING_SEEN, HOST, NOW) == ()
    assert gravest([(), ()]) == ()
    assert by_minute((), NOW) == ((),) * 30


def test_every_verdict_has_its_gravity() -> None:
    assert set(GRAVITY) == {*Verdict, None}


def test_strips_upon_each_other_show_the_gravest_at_each_moment() -> None:
    one = strip(look(0), look(20, FROZEN), look(40), look(50)).runs
    two = strip(look(0), look(30, BLACK), look(60)).runs
    assert told(gravest([one, two])) == [
        ("live", 0), ("frozen", 20), ("black", 40), ("live", 60),
    ]  # fmt: skip
    assert told(gravest([one])) == told(one)
    assert told(gravest([one, (Run(verdict=None, since=at(45)),)]))[-1] == (None, 45)


def test_a_minute_tells_all_that_was_seen_in_it_the_gravest_first() -> None:
    runs = strip(look(0), look(40), look(70, FROZEN), look(80), look(110)).runs
    minutes = by_minute(runs, at(180))
    assert len(minutes) == 30
    assert minutes[:26] == ((),) * 26
    assert [tuple(minute) for minute in minutes[26:]] == [
        (), ("live",), ("frozen", "live"), ("live",),
    ]  # fmt: skip


def test_what_no_json_can_say_is_left_out() -> None:
    assert finite({"a": 1.0, "b": float("nan"), "c": float("-inf")}) == {"a": 1.0}
