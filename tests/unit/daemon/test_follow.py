"""Which readings are worth a decision: those that still count, and the first after something else."""

from datetime import datetime

import pytest

from keeper.core.model import ConditionKind, Policy, Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.daemon.declared import Declared
from keeper.daemon.follow import is_news, silence_at, targets
from tests.builders import (
    HOST,
    SLOT,
    a_condition,
    a_desire,
    a_listing,
    a_reading,
    a_record,
    a_stream,
    a_tenure,
    ago,
    ahead,
    all_heard,
    an_instance,
    conditions,
    with_policy,
)
from tests.unit.core.spares import PLACE, SPARE_HOST, a_place, a_spare, a_wish
from tests.unit.core.standing_spares import stopped_kind

POLICY = Policy()
FULL = POLICY.failures_to_fail
RUNS = a_condition(ConditionKind.RUNNING, Status.TRUE, Reason.PROCESS_UP, for_s=100, bad=0)
BLACK = a_reading(Subject.PICTURE, Status.FALSE, Reason.BLACK)
NOBODY = a_reading(Subject.PICTURE, Status.FALSE, Reason.UNREACHABLE)
REFUSED = a_reading(Subject.LINK, Status.FALSE, Reason.DIAL_REFUSED)
BLIND = a_reading(Subject.PICTURE, Status.UNKNOWN, Reason.PROBE_FAILED)


def _is_news(
    reading: Reading, bad: int, *, heard_s: float = 5.0, listed_s: float = 60.0, **said: object
) -> bool:
    dark = a_condition(
        ConditionKind.STREAMING,
        Status.FALSE if bad >= FULL else Status.TRUE,
        reading.reason,
        for_s=100,
        bad=bad,
    )
    link = a_condition(
        ConditionKind.REACHABLE,
        Status.FALSE if reading.subject is Subject.LINK else Status.TRUE,
        reading.reason,
        for_s=100,
        bad=bad,
    )
    believed = conditions(**{"streaming": dark, "reachable": link, **said})  # type: ignore[arg-type]
    record = a_record(a_tenure(conditions=believed, good_in_a_row=0))
    listing = a_listing(an_instance(), age_s=listed_s)
    return is_news(reading, ago(heard_s), record, POLICY, ago(3600), listing)


@pytest.mark.parametrize("reading", [BLACK, REFUSED], ids=["picture", "link"])
def test_a_bad_answer_is_news_until_enough_have_been_counted(reading: Reading) -> None:
    assert _is_news(reading, FULL - 1)
    assert not _is_news(reading, FULL)


def test_not_knowing_once_more_is_no_news() -> None:
    assert not _is_news(BLIND, 0)
    assert not _is_news(BLIND, FULL)


def test_the_first_answer_that_this_process_hears_is_news() -> None:
    assert _is_news(BLACK, FULL, heard_s=4000)


def test_that_nobody_answers_is_news_again_once_the_address_was_read_anew() -> None:
    assert not _is_news(NOBODY, FULL, heard_s=5, listed_s=60)
    assert _is_news(NOBODY, FULL, heard_s=60, listed_s=5)
    assert not _is_news(BLACK, FULL, heard_s=60, listed_s=5)


def test_the_first_look_since_the_link_is_back_is_news() -> None:
    """What was seen before says nothing of a host that was cut off, however new the list is."""
    link = a_condition(ConditionKind.REACHABLE, Status.TRUE, Reason.LINK_UP, for_s=8)
    assert _is_news(NOBODY, FULL, heard_s=9, reachable=link)
    assert not _is_news(NOBODY, FULL, heard_s=7, reachable=link)


def test_a_host_that_was_connected_all_the_time_has_not_moved() -> None:
    link = a_condition(ConditionKind.REACHABLE, Status.TRUE, Reason.LINK_UP, for_s=161, bad=0)
    assert not _is_news(NOBODY, FULL, heard_s=60, listed_s=5, reachable=link, running=RUNS)
    link = a_condition(ConditionKind.REACHABLE, Status.TRUE, Reason.LINK_UP, for_s=159, bad=0)
    assert _is_news(NOBODY, FULL, heard_s=60, listed_s=5, reachable=link, running=RUNS)


def test_the_first_look_at_a_rental_that_was_stopped_is_news() -> None:
    stopped = a_condition(
        ConditionKind.RENTED, Status.FALSE, Reason.MARKET_STOPPED_IT, for_s=30, bad=0
    )
    assert _is_news(BLACK, FULL, heard_s=60, rented=stopped)
    assert not _is_news(BLACK, FULL, heard_s=5, rented=stopped)


def test_what_is_said_of_a_rental_that_no_slot_has_is_news() -> None:
    assert is_news(BLACK, ago(5), None, POLICY, ago(3600), None)
    assert is_news(BLACK, ago(5), a_record(), POLICY, ago(3600), None)


def test_silence_counts_from_the_last_word_of_whoever_spoke_longest_ago() -> None:
    stream = a_stream()
    record = a_record(a_tenure())
    stale_s = stream.policy.probe_stale_s
    heard = all_heard(age_s=3.0)
    records = {record.slot: record}
    assert silence_at(records, [stream], heard, ago(3600)) == ahead(stale_s - 3)
    later = heard | {(HOST, Subject.LINK): ago(9)}
    assert silence_at(records, [stream], later, ago(3600)) == ahead(stale_s - 9)
    assert silence_at(records, [], heard, ago(3600)) is None
    assert silence_at({}, [stream], heard, ago(3600)) is None


def test_nobody_is_waited_for_who_has_not_spoken_of_a_rental_yet() -> None:
    record = a_record(a_tenure(conditions=conditions(streaming=(Status.UNKNOWN, Reason.SILENT))))
    stream = a_stream()
    heard = all_heard(age_s=3.0) | {(HOST, Subject.PICTURE): ago(900)}
    found = silence_at({record.slot: record}, [stream], heard, ago(3600))
    assert found == ahead(stream.policy.probe_stale_s - 3)


@pytest.mark.parametrize(("failures", "is_looked_at"), [(0, False), (1, True)])
def test_what_a_deploy_in_doubt_has_started_is_looked_at(failures: int, is_looked_at: bool) -> None:
    """It was on air, its link was gone, and nobody looked: a good host was given up."""
    tenure = a_tenure(deployed_at=None, deploy_failures=failures)
    record = a_record(tenure)
    streams = Declared(desired=a_desire(), workloads={})
    found = targets(
        {record.slot: record},
        a_listing(an_instance()),
        streams,
        {},
        lambda *_: object(),  # type: ignore[arg-type]
    )
    assert [each.is_deployed for each in found.values()] == [is_looked_at]


@pytest.mark.parametrize(
    ("moments", "is_looked_at"),
    [
        ({"stop_asked_at": ago(9)}, False),
        ({"stop_asked_at": ago(90), "stopped_at": ago(80)}, False),
        ({"stop_asked_at": ago(90), "stopped_at": ago(80), "start_asked_at": ago(9)}, True),
    ],
    ids=["told to stop", "stands still", "told to start, and listed as running"],
)
def test_nobody_knocks_where_nothing_is_to_run(
    moments: dict[str, datetime], *, is_looked_at: bool
) -> None:
    """Its link would be dialled for days, and its silence be taken for a loss."""
    record = a_record(a_tenure(**moments))
    streams = Declared(desired=a_desire(), workloads={})
    listing = a_listing(an_instance())
    found = targets({record.slot: record}, listing, streams, {}, lambda *_: object())  # type: ignore[arg-type]
    assert (HOST in found) is is_looked_at


def test_a_spare_that_is_to_stand_still_has_no_dead_man() -> None:
    """It counts from when it was last fed, days ago: it stopped a spare that had just been started."""
    stream = with_policy(stopped_kind(), dead_man_after_s=1800.0)
    records = {PLACE: a_place(a_spare()), SLOT: a_record(a_tenure())}
    listing = a_listing(an_instance(), an_instance(SPARE_HOST))
    streams = Declared(desired=a_wish(stream), workloads={}, api_url="https://market.example")
    found = targets(records, listing, streams, {}, lambda *_: object())  # type: ignore[arg-type]
    assert found[HOST].dead_man_after_s == 1800.0
    assert found[SPARE_HOST].dead_man_after_s is None
