"""What a picture without sound, and one that nobody can tell from the stream, excuse, and what not.

The seeds are of ``keeper sim run --faults all``; a name of a fleet is said with them.
"""

from dataclasses import replace

import pytest

from keeper.sim.evidence import Caps
from keeper.sim.excuses import is_to_be_left, waits_for_a_person
from keeper.sim.promises_sound import a_silent_host_is_ended_last
from keeper.sim.promises_stream import darkness_ends
from keeper.sim.symptoms import unheard
from tests.sim.ledgers import BEGAN, SLOT, Run

WRONG = "sim_person_wrong person wrong 0 asked replace"


def dark_and_wrong(*, key_at: float | None, shows: str = "wrong") -> Run:
    """A host whose workload shows another picture for six hours, and says so."""
    run = Run()
    if key_at is not None:
        run.host(100, key_at, "struck", "host_key_changed")
    run.host(100, 5000.0, "ails", WRONG.replace(" wrong ", f" {shows} "))
    run.picture(100, 5000.0, live=False)
    run.host(100, 26_600.0, "ails no more", "sim_person_wrong")
    run.picture(100, 26_600.0)
    return run


@pytest.mark.parametrize(
    ("key_at", "shows", "is_blamed"),
    [
        pytest.param(4000.0, "wrong", False, id="nobody enters a host with another key"),
        pytest.param(5600.0, "wrong", False, id="nor one that has got it meanwhile"),
        pytest.param(None, "wrong", True, id="its own key: keeper hears what it says"),
        pytest.param(4000.0, "black", True, id="black is seen from outside"),
        pytest.param(26_000.0, "wrong", True, id="it was heard for hours before"),
    ],
)
def test_a_picture_that_only_its_host_could_disown_is_no_darkness_that_keeper_knows(
    *, key_at: float | None, shows: str, is_blamed: bool
) -> None:
    """Seeds 10, and 30027 and 30050 of any fleet: it moves, and nobody may ask what it is (I23)."""
    seen = dark_and_wrong(key_at=key_at, shows=shows).evidence()
    assert [broken.invariant for broken in darkness_ends(seen)] == ["I18"] * is_blamed


def test_it_is_unheard_from_the_new_key_on() -> None:
    seen = dark_and_wrong(key_at=6000.0).evidence()
    assert unheard(seen, 100) == ((BEGAN + 6000.0, BEGAN + 26_600.0),)
    assert unheard(seen, 101) == ()


def silent(*, since: float, until: float) -> Run:
    run = Run()
    run.picture(100, since, live=False)
    run.silence(100, since)
    run.silence(100, until, begins=False)
    return run


@pytest.mark.parametrize(
    ("ended_at", "is_blamed"),
    [
        pytest.param(5100.0, True, id="silent for long enough to be known as that"),
        pytest.param(5040.0, False, id="nobody may have seen yet that there is a picture"),
        pytest.param(5500.0, False, id="it had lost its picture as well"),
    ],
)
def test_what_shows_a_picture_is_not_ended_first(*, ended_at: float, is_blamed: bool) -> None:
    run = silent(since=5000.0, until=5400.0)
    run.destroy(100, ended_at)
    found = a_silent_host_is_ended_last(run.evidence())
    assert [broken.invariant for broken in found] == ["I11"] * is_blamed


@pytest.mark.parametrize(("is_silent", "is_blamed"), [(False, False), (True, False), (None, True)])
def test_it_may_go_once_another_host_shows_as_much(
    *, is_silent: bool | None, is_blamed: bool
) -> None:
    """A next host that is as silent may go, too: the old one is there with its picture."""
    run = silent(since=5000.0, until=7000.0)
    run.rent(101, "k:duel/0:2", at=5200.0)
    if is_silent is not None:
        (run.silence if is_silent else run.picture)(101, 5400.0)
    run.destroy(100, 5600.0)
    found = a_silent_host_is_ended_last(run.evidence())
    assert [broken.invariant for broken in found] == ["I11"] * is_blamed


def test_money_ends_a_silent_host_like_any_other() -> None:
    run = silent(since=5000.0, until=7000.0)
    run.destroy(100, 5600.0)
    seen = run.evidence()
    capped = replace(seen, bounds=replace(seen.bounds, caps={"duel": Caps(per_day=0.01)}))
    assert list(a_silent_host_is_ended_last(capped)) == []


def test_another_host_may_be_rented_beside_a_silent_one() -> None:
    seen = silent(since=5000.0, until=7000.0).evidence()
    rental = seen.ledger.rentals[100]
    told = [is_to_be_left(seen, SLOT, rental, BEGAN + at) for at in (5030.0, 5100.0, 7100.0)]
    assert told == [False, True, False]


def test_nobody_waits_for_a_person_where_nobody_was_asked() -> None:
    assert waits_for_a_person(silent(since=5000.0, until=7000.0).evidence(), SLOT) == ()
