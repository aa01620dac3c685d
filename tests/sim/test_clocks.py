"""Clocks that jump and zones that change: nothing is killed, doubled or forgotten for it."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keeper.daemon.cadence import CalendarCadence
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import VirtualClock
from keeper.sim.opsbox import OpsBox
from keeper.sim.universe import Universe
from tests.sim.awaits import Marked
from tests.sim.interrupted import Deed, Story, play, wrong
from tests.sim.stories import LIFE, STORIES

_UNMARKED = Marked(())


def _step(by_s: float) -> Deed:
    async def step(universe: Universe, box: OpsBox) -> None:
        box.clock.step(by_s)

    return step


def _stepped(at_s: float, *by_s: float, story: Story = LIFE) -> Story:
    """The same story, with the wall clock jumping at a moment, and again half a minute later."""
    steps = [(at_s + 30.0 * number, _step(each)) for number, each in enumerate(by_s)]
    acts = sorted((*story.acts, *steps), key=lambda act: act[0])
    name = f"{story.name}, clock stepped by {by_s} s at {at_s} s"
    return replace(story, name=name, acts=tuple(acts))


@pytest.mark.parametrize("by_s", [(3600.0,), (-3600.0,), (3600.0, -3600.0), (-3600.0, 3600.0)])
def test_a_clock_that_steps_an_hour_kills_and_doubles_nothing(by_s: tuple[float, ...]) -> None:
    """At each stage of a life: while it searches, boots, deploys, repairs, hands over, destroys."""
    complaints = []
    for at_s in range(5, round(LIFE.over_s), 165):
        ending, wrongs = wrong(_stepped(float(at_s), *by_s), _UNMARKED)
        complaints += wrongs
        assert (ending.rentals, ending.facts["workload.restarted"]) == (3, 2), (at_s, by_s)
        assert ending.facts["clock.stepped"] == len(by_s)
    assert complaints == []


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
@pytest.mark.parametrize("name", ["repair", "scarcity", "messages", "bids"])
def test_a_step_neither_forgets_what_was_used_of_a_cap_nor_holds_up_a_wait(
    name: str, by_s: float
) -> None:
    """Ahead: four restarts where three are allowed (I13). Back: no host for an hour."""
    (story,) = (each for each in STORIES if each.name == name)
    complaints = []
    for part in (2, 3, 5, 7, 9, 11, 13):
        at_s = story.over_s * part / 16
        complaints += wrong(_stepped(at_s, by_s, story=story), _UNMARKED)[1]
    assert complaints == []


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_a_clock_that_was_set_while_keeper_was_down_is_lived_with(by_s: float) -> None:
    async def die_and_step(universe: Universe, box: OpsBox) -> None:
        box.kill()
        box.clock.step(by_s)

    complaints = []
    for at_s in range(5, round(LIFE.over_s), 110):
        acts = sorted((*LIFE.acts, (float(at_s), die_and_step)), key=lambda act: act[0])
        story = replace(LIFE, name=f"set by {by_s} s while down at {at_s} s", acts=tuple(acts))
        ending, wrongs = wrong(story, _UNMARKED)
        complaints += wrongs
        assert ending.rentals == 3, (at_s, by_s)
    assert complaints == []


# --- time zones -------------------------------------------------------------------------------------


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "change",
    [
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),  # Berlin's clocks go from 2 to 3
        datetime(2026, 10, 25, 1, 0, tzinfo=UTC),  # and from 3 back to 2
    ],
)
def test_a_box_in_berlin_writes_the_same_journal_as_one_in_greenwich(
    change: datetime, zone: pytest.MonkeyPatch
) -> None:
    """Across the night in which the clocks change: nothing in keeper tells the local time."""
    began = change - timedelta(seconds=LIFE.over_s / 2)
    zone.setattr("keeper.sim.universe.EPOCH", began)
    zone.setattr(VirtualClock.__init__, "__defaults__", (began,))
    journals = {}
    for name in ("UTC", "Europe/Berlin", "America/St_Johns"):
        zone.setenv("TZ", name)
        time.tzset()
        journals[name] = play(LIFE, _UNMARKED).journal
    assert len(journals["UTC"]) > 5_000
    assert journals["Europe/Berlin"] == journals["UTC"]
    assert journals["America/St_Johns"] == journals["UTC"]


def test_the_calendar_does_not_know_where_the_box_stands(zone: pytest.MonkeyPatch) -> None:
    async def planned() -> list[datetime]:
        cadence = CalendarCadence()

        async def job() -> None:
            """Never run here."""

        cadence.cron("report", "0 6 * * *", job)
        cadence.start()
        try:
            return [each.next_run_time for each in cadence._scheduler.get_jobs()]
        finally:
            await cadence.stop()

    for name in ("UTC", "Europe/Berlin", "Pacific/Kiritimati"):
        zone.setenv("TZ", name)
        time.tzset()
        (at,) = asyncio.run(planned())
        assert (at.utcoffset(), at.hour, at.minute) == (timedelta(0), 6, 0), name


# --- what is waited for by the clock ----------------------------------------------------------------


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_a_clock_that_steps_settles_no_doubtful_create(by_s: float) -> None:
    """An hour seemed to have passed without the rental in any list: a second one was made (I3, I10)."""
    for at_s in range(1, 150, 8):
        story = Story(
            name=f"in doubt, {by_s} s at {at_s} s",
            acts=(
                (0.0, Fault(kind=FaultKind.CREATE_REPLY_LOST)),
                (0.0, Fault(kind=FaultKind.INSTANCE_APPEARS_LATE, params={"after_s": 60.0})),
                (float(at_s), _step(by_s)),
            ),
            over_s=600.0,
        )
        ending, wrongs = wrong(story, _UNMARKED)
        assert wrongs == []
        assert ending.rentals == 1, (at_s, by_s)
