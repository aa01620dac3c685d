"""What is left of a stream's error budget, in words that do not flatter."""

from dataclasses import replace
from datetime import timedelta

import pytest

from keeper.core.meter import Meter, Tally, day_of
from keeper.core.model import StreamName
from keeper.core.world import Snapshot
from keeper.web.objective import in_words, objectives_of, tone_of
from keeper.web.page import render
from keeper.web.status import status_of
from keeper.web.view_shapes import ObjectiveStatus
from tests.snapshots import NOW, record, snapshot

DAY_S = 86_400.0
DUEL = StreamName("duel")


def kept(*days: Tally) -> Snapshot:
    """Have counted so: today, yesterday, the day before, …"""
    tallies = {day_of(NOW - timedelta(days=back)): {DUEL: day} for back, day in enumerate(days)}
    built = snapshot(record())
    return replace(built, world=replace(built.world, meter=Meter(metered_at=NOW, tallies=tallies)))


def objective(**given: float | None) -> ObjectiveStatus:
    found = objectives_of(kept(Tally(good_s=9000.0, dark_s=100.0)), NOW)[DUEL]
    return replace(found, **given)  # type: ignore[arg-type]


def test_a_stream_of_which_nothing_is_known_promises_nothing_yet() -> None:
    assert objectives_of(kept(), NOW) == {}
    assert status_of(kept(), NOW).streams[0].objective is None


@pytest.mark.parametrize(
    ("dark_s", "said", "tone"),
    [
        (0.0, "100 % of 20 h 58 min (objective 99.5 % of 30 days); 100 % of the error budget left, 3 h 36 min", "good"),
        (1.0, "99.99 % of 20 h 58 min (objective 99.5 % of 30 days); 99 % of the error budget left, 3 h 35 min", "good"),
        (11_000.0, "87.28 % of 1 d (objective 99.5 % of 30 days); 15 % of the error budget left, 32 min", "warn"),
        (13_560.0, "84.77 % of 1 d (objective 99.5 % of 30 days); the error budget is used up, 10 min over it", "bad"),
    ],
)  # fmt: skip
def test_what_is_left_is_said_and_never_more_than_that(dark_s: float, said: str, tone: str) -> None:
    good_s = 75_500.0
    (stream,) = status_of(kept(Tally(good_s=good_s, dark_s=dark_s)), NOW).streams
    assert stream.objective is not None
    assert in_words(stream.objective).startswith(said)
    assert tone_of(stream.objective) == tone


def test_a_whole_window_is_said_as_such() -> None:
    whole = objective(good_s=29.5 * DAY_S, dark_s=DAY_S / 10, availability_ratio=0.9966)
    assert in_words(whole).startswith("99.66 % of 30 days (objective 99.5 %); ")


def test_an_objective_that_allows_nothing_says_how_long_it_was_dark() -> None:
    strict = objective(ratio=1.0, allowed_s=0.0, remaining_ratio=None, burn_ratio=None)
    assert in_words(strict).endswith(
        "(objective 100 % of 30 days); no dark time is allowed, and there were 1 min 40 s"
    )
    assert tone_of(strict) == "bad"
    assert tone_of(replace(strict, dark_s=0.0)) == "good"


def test_the_page_says_it_above_the_hosts_of_the_stream() -> None:
    page = render(status_of(kept(Tally(good_s=75_500.0, dark_s=11_000.0)), NOW), ())
    assert '<p class="kept tone-warn">' in page
    assert page.index("of the error budget left") < page.index('class="card')
