"""A bad week, as the people on call heard of it: several hundred faults, few messages, no call in vain.

``keeper sim run --seed 7 --fleet five --storm 2 --messages`` prints it.
"""

from collections import Counter
from dataclasses import replace

import pytest

from keeper.sim.notices import FIRING
from keeper.sim.story import Played, play_seed
from keeper.sim.telling import lines_of, numbers, sentence
from keeper.sim.told import RATIO_MAX, Tally, tally

SEED = 7

pytestmark = pytest.mark.xdist_group("bad week")  # one worker plays it, once


@pytest.fixture(scope="module")
def week() -> Played:
    return play_seed(SEED, 7.0, "all", "five", storm=2)


@pytest.fixture(scope="module")
def told(week: Played) -> Tally:
    return tally(week.evidence)


def test_people_get_one_message_for_each_incident_and_can_read_it(
    week: Played, told: Tally
) -> None:
    assert len(week.result.faults) > 300
    assert [each.sentence() for each in week.result.broken] == []
    assert told.incidents > 50, "the week was not bad enough to say anything"
    assert told.ratio <= RATIO_MAX, sentence(told)
    lines = tuple(lines_of(week.messages))
    assert max(map(len, lines)) <= 80
    assert len(lines) > told.messages + told.follow_ups / 2


def test_nothing_is_told_that_was_cured_within_the_group_wait(told: Tally) -> None:
    assert told.hasty == ()


def test_every_incident_that_needed_a_person_paged_one_once(week: Played, told: Tally) -> None:
    assert told.pages > 5
    assert told.unpaged == ()
    assert told.paged_again == ()
    pages = Counter(m.incident_id for m in week.evidence.told_messages if m.is_page)
    assert set(pages.values()) == {1}


def test_a_key_that_changed_pages_once_though_keeper_was_blind_meanwhile() -> None:
    """Its own network was down for five minutes: the case was told to be over, and paged anew."""
    told = tally(play_seed(23, 7.0, "all", "five", storm=2).evidence)
    assert (told.unpaged, told.paged_again) == ((), ())
    assert told.ratio <= RATIO_MAX


def test_a_keeper_that_tells_everything_twice_is_found_out(week: Played, told: Tally) -> None:
    """Else the share would say nothing."""
    seen = week.evidence
    assert seen.messages is not None
    again = tuple(
        (at + 60.0, body.replace(b'"inc_', b'"inc_again_').replace(b'"msg_', b'"msg_again_'))
        for at, body in seen.messages
    )
    twice = tally(replace(seen, messages=tuple(sorted((*seen.messages, *again)))))
    assert twice.ratio > RATIO_MAX
    assert len(twice.twice) >= told.messages * 0.8
    assert twice.paged_again


def test_a_keeper_that_cries_wolf_is_found_out(week: Played) -> None:
    """The same messages of another week are about nothing that happened in this one."""
    seen = week.evidence
    assert seen.messages is not None
    elsewhere = tuple(
        (at, body.replace(b"duel", b"doom").replace(b"turbo", b"torpor"))
        for at, body in seen.messages
    )
    wolf = tally(replace(seen, messages=elsewhere))
    streams = [m for m in wolf.unfounded if m.kind == FIRING and m.notices[0].slot]
    assert len(streams) > 30
    assert wolf.ratio > RATIO_MAX


def test_the_numbers_are_for_machines_too(told: Tally) -> None:
    assert numbers(told)["ratio"] == round(told.ratio, 3)
