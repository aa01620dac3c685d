"""Whatever befalls keeper while it tells of something, people are told: of its beginning and of its end.

Keeper is killed before and after each await from the tick that makes a message to the note that it was
taken, and at each moment in between of a delivery, also when the message has arrived and the answer has
not. Each time the next process must leave every channel with the same story, under the same ids.
"""

from functools import cache

import pytest

from tests.sim.awaits import Edge, Marked
from tests.sim.telling import MODULES, Told, tell, wrong

# Between their two sides an effect takes place: a message leaves, or something is written down.
_EFFECTS = ("self._network.fetch(", "self._relay.send(", ".commit(")
_CHUNKS = 3


@cache
def _undisturbed() -> tuple[Marked, Told]:
    marked = Marked(MODULES)
    return marked, tell(marked)


@cache
def _cuts() -> tuple[int, ...]:
    """Return the first and the last pass of each side of an await, and all of the first effects."""
    marked, told = _undisturbed()
    first = {(site, edge): moment for moment, site, edge in reversed(told.passes)}
    last = {(site, edge): moment for moment, site, edge in told.passes}
    within = set[int]()
    for number, site in enumerate(marked.sites):
        if any(word in site.text for word in _EFFECTS) and (number, Edge.BEFORE) in first:
            begins, ends = first[number, Edge.BEFORE], first[number, Edge.AFTER]
            within |= set(range(begins, min(ends, begins + 8)))
    return tuple(sorted({*first.values(), *last.values(), *within}))


def test_no_await_is_left_out() -> None:
    marked, told = _undisturbed()
    passed = {(site, edge) for _, site, edge in told.passes}
    missed = [
        f"{edge} {site}"
        for number, site in enumerate(marked.sites)
        for edge in Edge
        if (number, edge) not in passed
    ]
    assert missed == []


def test_undisturbed_all_are_told_once_and_what_a_channel_says_is_kept() -> None:
    _, told = _undisturbed()
    assert list(wrong(told, again_max=0)) == []
    # Of three reminders that waited while the mailbox was down, the newest was told.
    assert len(told.said("pigeon")) > len(told.said("mailbox"))
    kinds = [kind for kind, _ in told.said("mailbox")]
    assert kinds == ["firing", "repeat", "repeat", "repeat", "resolved"]
    assert {each["receipt"] for each in told.data("thread")[1:]} == {"receipt 1"}
    # The first message was brought up to date after each further one.
    assert [kind for kind, _ in told.said("amended") if kind == "resolved"] != []
    assert told.facts["channel.switched"] == 2
    assert told.disk.outbox["mailbox", "old"].given_up
    # What was under way when keeper was stopped came to its end.
    assert told.disk.outbox["late", "msg_late"].delivered_at is not None


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(_CHUNKS))
def test_cut_off_at_any_await_keeper_tells_all_the_same(chunk: int) -> None:
    marked, _ = _undisturbed()
    complaints = [
        f"cut at {moment}: {text}"
        for moment in _cuts()[chunk::_CHUNKS]
        for text in wrong(tell(marked, moment), again_max=1)
    ]
    assert complaints == []


def test_cut_off_again_and_again_keeper_tells_all_the_same() -> None:
    marked, _ = _undisturbed()
    complaints = [
        f"cut at {moment}, and again: {text}"
        for moment in _cuts()[::12]
        for text in wrong(tell(marked, moment, 150, 150), again_max=3)
    ]
    assert complaints == []


def test_frozen_for_a_minute_keeper_tells_all_the_same() -> None:
    marked, _ = _undisturbed()
    complaints = [
        f"frozen at {moment}: {text}"
        for moment in _cuts()[::12]
        for text in wrong(tell(marked, stall_at=moment), again_max=0)
    ]
    assert complaints == []
