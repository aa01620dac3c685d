"""Orders to stop and to start a spare that the marketplace answers with anything but a yes, for long.

The real adapter, the whole daemon, the simulated marketplace. Whatever comes back: a rental that nobody
needs is never left running unasked, there is never one more than declared, keeper counts no less than is
billed, and once the answers are sound again all is as declared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import fsum
from typing import Any

import pytest

from keeper.core.meter import TOTAL, caught_up
from keeper.sim.ledger import Rental, Request
from keeper.sim.opsbox import OpsBox
from keeper.sim.script import Cue
from keeper.sim.universe import Universe
from tests.sim.awaits import Marked
from tests.sim.interrupted import Deed, Ending, Story, wrong
from tests.sim.stories import _end_the_host, _still

_UNMARKED = Marked(())
_ORDERS = "PUT /instances/{id}/"
_LOST_S = 400.0  # by then the spare stands still, and the slot's host ends
_OVER_S = 2400.0

# What is answered to each order while it lasts; nothing is done but where the name says so.
ANSWERS: Mapping[str, dict[str, Any]] = {
    "a 500": {"answer": "html_500"},
    "a 502, and it is done": {"answer": "html_502_after"},
    "a 429": {"answer": "429_text"},
    "a 429 that asks for ten minutes": {"answer": "429_far_hint"},
    "a 404": {"answer": "no_such_instance"},
    "a 410": {"answer": "race_410"},
    "success: false, with words": {"answer": "success_false_200"},
    "HTML with status 200": {"answer": "html_200"},
    "silence": {"answer": "drop_before", "delay_s": 600},
    "an answer that is lost": {"answer": "drop_after"},
    "queued": {"answer": "queued_400"},
    "a yes to something that was not done": {"status": 200, "body": {"success": True}},
}
_DONE = ("a 502, and it is done", "an answer that is lost")
_PACE = ("a 429", "a 429 that asks for ten minutes")  # says that nothing happened, and nothing more


@dataclass(slots=True)
class _Seen:
    """What a story leaves behind."""

    universe: list[Universe] = field(default_factory=list)
    counted: float = 0.0
    billed: float = 0.0

    async def look(self, universe: Universe, box: OpsBox) -> None:
        self.universe.append(universe)

    @property
    def rentals(self) -> list[Rental]:
        return list(self.universe[0].market.ledger.rentals.values())

    def spares(self) -> list[Rental]:
        return [each for each in self.rentals if "/spare-" in each.label]

    def orders(self, state: str) -> list[Request]:
        return [each for each in self.universe[0].market.ledger.requests if each.state == state]

    async def count(self, universe: Universe, box: OpsBox) -> None:
        """Compare what keeper has written down, up to now, with the marketplace's own books."""
        universe.market.advance()
        universe.market.settle()
        disk = box.disk
        meter = caught_up(replace(disk.meter, tallies=disk.tallies), box.clock.now())
        self.counted = fsum(each.dollars for each in meter.tallies[TOTAL].values())
        self.billed = fsum(each.dollars for each in self.rentals)


def _says(cue: Mapping[str, Any]) -> Deed:
    async def deed(universe: Universe, box: OpsBox) -> None:
        universe.api.script.add(Cue.parse({"endpoint": _ORDERS, "count": 0, **cue}))

    return deed


async def _is_sound_again(universe: Universe, box: OpsBox) -> None:
    universe.api.script.clear()


def _once_ordered(state: str, deed: Callable[[Universe, OpsBox], None]) -> Deed:
    """Do something in the moment in which an order has reached the marketplace."""

    async def wait(universe: Universe, box: OpsBox) -> None:
        for _ in range(100_000):
            if any(each.state == state for each in universe.market.ledger.requests):
                deed(universe, box)
                return
            await asyncio.sleep(0.01)
        pytest.fail("no such order was given")

    return wait


def _played(name: str, *acts: tuple[float, Deed]) -> tuple[Ending, list[str], _Seen]:
    seen = _Seen()
    acts = ((0.0, seen.look), *acts, (_OVER_S - 1.0, seen.count))
    story = Story(name=name, acts=acts, over_s=_OVER_S, spares=1, change=_still)
    ending, wrongs = wrong(story, _UNMARKED)
    assert seen.counted >= seen.billed - 0.0005, "less was counted than is billed"
    return ending, wrongs, seen


def _runs_at_the_end(rental: Rental) -> bool:
    return rental.is_live and rental.changes[-1].what == "running"


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stop_that_is_not_granted_is_asked_for_in_measure_and_then_the_spare_is_ended(
    name: str,
) -> None:
    acts = ((0.0, _says(ANSWERS[name])), (1500.0, _is_sound_again))
    _, wrongs, seen = _played(name, *acts)
    assert wrongs == []
    ours = seen.spares()
    for before, after in pairwise(ours):
        assert before.ended_at is not None
        assert before.ended_at <= after.created_at, "two spares at once"
    for rental in ours:
        asked = [o.at for o in seen.orders("stopped") if o.instance_id == rental.instance_id]
        assert len(asked) <= 3
        assert all(later - at >= 180.0 for at, later in pairwise(asked))
    assert not _runs_at_the_end(ours[-1]), "the spare stands still"
    assert len(ours) == (1 if name in _DONE else 3), "one in ten minutes, and the last one stops"


@pytest.mark.parametrize("name", ANSWERS)
def test_a_start_that_is_not_granted_costs_its_slot_two_minutes_and_leaves_nothing_to_start_later(
    name: str,
) -> None:
    acts = (
        (_LOST_S - 10.0, _says(ANSWERS[name])),
        (_LOST_S, _end_the_host),
        (_LOST_S + 240.0, _is_sound_again),
    )
    ending, wrongs, seen = _played(name, *acts)
    assert wrongs == []
    assert len(seen.orders("running")) == 1
    (ordered_at,) = [each.at for each in seen.orders("running")]
    first = seen.spares()[0]
    hosts = [each for each in seen.rentals if "/spare-" not in each.label and each.is_live]
    if name in _DONE:
        assert (ending.facts["spare.promoted"], hosts) == (1, [])
        return
    (host,) = hosts
    assert host.created_at - ordered_at <= 150.0, "its slot waits no longer"
    assert not _runs_at_the_end(first)
    if name in _PACE:
        assert first.is_live, "nothing is known against it"
    else:
        assert first.ended_at is not None
        assert first.ended_at <= host.created_at + 1.0, "two on their way at once"


# --- the state folder, the process and the list ------------------------------------------------------


def _disk_is_read_only(universe: Universe, box: OpsBox) -> None:
    box.disk.commits_to_refuse = 1_000_000

    def mend() -> None:
        box.disk.commits_to_refuse = 0

    asyncio.get_running_loop().call_later(900.0, mend)


def _killed(universe: Universe, box: OpsBox) -> None:
    box.kill(down_s=120.0)


def _list_hides_it(universe: Universe, box: OpsBox) -> None:
    """Let lists lack the spare for an hour; by its id it is shown."""
    reads, market = universe.market._reads, universe.market
    rows, fingerprint = reads._rows, market.fingerprint
    (hidden,) = {each.instance_id for each in market.ledger.requests if each.state}

    def without(now: float) -> list[dict[str, Any]]:
        return [row for row in rows(now) if row["id"] != hidden]

    def show() -> None:
        reads._rows, market.fingerprint = rows, fingerprint  # type: ignore[method-assign]

    reads._rows = without  # type: ignore[method-assign]
    market.fingerprint = lambda: None  # type: ignore[method-assign]
    asyncio.get_running_loop().call_later(3600.0, show)


_MISHAPS = {
    "the disk is read-only": _disk_is_read_only,
    "keeper is killed": _killed,
    "lists lack it for an hour": _list_hides_it,
}


@pytest.mark.parametrize("mishap", _MISHAPS)
def test_a_stop_is_settled_whatever_happens_right_after_it_has_left(mishap: str) -> None:
    ending, wrongs, seen = _played(mishap, (300.0, _once_ordered("stopped", _MISHAPS[mishap])))
    assert wrongs == []
    assert len(seen.orders("stopped")) == 1
    (spare,) = seen.spares()
    assert [each.what for each in spare.changes] == ["created", "running", "stopped"]
    assert ending.facts["instance.stopped"] == 1


@pytest.mark.parametrize("mishap", _MISHAPS)
def test_a_start_is_settled_whatever_happens_right_after_it_has_left(mishap: str) -> None:
    acts = ((_LOST_S, _end_the_host), (_LOST_S, _once_ordered("running", _MISHAPS[mishap])))
    _, wrongs, seen = _played(mishap, *acts)
    assert wrongs == []
    assert len(seen.orders("running")) == 1
    first = seen.spares()[0]
    if mishap == "lists lack it for an hour":  # nobody knows where it is to be reached
        assert first.ended_at is not None
        (host,) = [e for e in seen.rentals if "/spare-" not in e.label and e.is_live]
        assert first.ended_at - host.created_at <= 60.0
    else:
        assert first.is_live, "it is the slot's host"
