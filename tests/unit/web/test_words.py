"""Every fact is a sentence."""

import pytest

from keeper.core.events import EVENT_TYPES, Event, facts
from keeper.web.words import WORDS, words
from tests.facts import every_event


def test_every_event_has_a_row_and_every_row_an_event() -> None:
    assert set(WORDS) == {kind.name for kind in EVENT_TYPES}


@pytest.mark.parametrize("event", every_event(), ids=lambda event: event.name)
def test_says_a_fact_in_words(event: Event) -> None:
    sentence = words(event.name, facts(event))
    assert sentence
    assert "?" not in sentence, "a key that the event does not have"
    assert sentence != event.name.replace(".", " ").replace("_", " ")


@pytest.mark.parametrize("name", sorted(WORDS))
def test_survives_facts_of_another_version(name: str) -> None:
    assert words(name, {})
    assert words(name, dict.fromkeys(("slot", "duration_s", "dollars", "acts"), "nonsense"))


def test_what_says_the_same_twice_is_said_once() -> None:
    told = {"because": "the account has no credit", "detail": "the account has no credit"}
    assert words("fuse.tripped", told) == "fuse tripped: the account has no credit"
    assert words("fuse.tripped", {**told, "detail": "3 of 4"}).endswith("no credit (3 of 4)")


def test_moments_and_windows_are_said_for_people() -> None:
    until = "2026-08-01T05:00:00.815408+02:00"
    pause = {"slot": None, "paused": True, "actor": "ann", "until": until, "detail": ""}
    assert words("keeper.pause_changed", pause) == (
        "everything paused by ann until 2026-08-01 03:00 UTC"
    )
    assert "until" not in words("keeper.pause_changed", {**pause, "until": None})
    assert "until soon" in words("keeper.pause_changed", {**pause, "until": "soon"})
    window = {"window": "night", "stream": None, "allow": "observe", "until": until}
    assert words("window.opened", window) == (
        "window night is open, until 2026-08-01 03:00 UTC: nothing is done"
    )
    assert words("window.opened", {**window, "allow": "magic"}).endswith(": magic")


def test_an_unknown_event_is_said_by_its_name() -> None:
    assert words("moon.landed_softly", {}) == "moon landed softly"


def test_hostile_values_stay_values() -> None:
    sentence = words("tick.failed", {"error": "\x1b[2J\n" + "x" * 9999})
    assert "\x1b" not in sentence
    assert "\n" not in sentence
    assert len(sentence) <= 300


@pytest.mark.parametrize(
    ("condition", "status", "said"),
    [
        ("streaming", "true", "picture good: all is well"),
        ("has_gpu", "false", "GPU bad: all is well"),
        ("reachable", "unknown", "SSH not known: all is well"),
        ("deployed", "true", "set-up good: all is well"),
        ("of another version", "true", "of another version good: all is well"),
    ],
)
def test_a_condition_is_said_as_the_page_calls_it(condition: str, status: str, said: str) -> None:
    told = {"condition": condition, "status": status, "because": "all is well"}
    assert words("condition.changed", told) == said
