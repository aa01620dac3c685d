"""What simulated workloads say and hosts show leads to what keeper promises about it, and is what was drawn."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from keeper.core.model import Meaning, Remedy, Rung
from keeper.sim.ailments import (
    Shows,
    ailment_of,
    draw_ailment,
    draw_flaw,
    draw_plan,
    draw_plea,
    flaw_of,
)
from keeper.sim.evidence import AILS, COMMAND, SHOWN
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.story import Played, Story

HOUR_S = 3600.0


def played(kind: FaultKind, at_s: float, hours: float = 4.0, **params: Any) -> Played:
    for_s = params.pop("for_s", None)
    fault = Fault(kind=kind, at=at_s, for_s=for_s, params=params)
    story = Story(
        seed=1, duration_s=hours * HOUR_S, plan=(fault,), streams={"duel": 1}, strangers=0
    )
    told = story.run()
    assert [broken.sentence() for broken in told.result.broken] == []
    return told


def deeds(told: Played) -> Counter[str]:
    """Count what hosts wrote down: commands that begin something by their names, what ails by its word."""
    counted: Counter[str] = Counter()
    for entry in told.evidence.ledger.hosts:
        if entry.what == COMMAND and entry.detail.endswith(".start"):
            counted[entry.detail] += 1
        elif entry.what in {AILS, SHOWN}:
            counted[entry.what] += 1
    counted["rentals"] = len(told.evidence.ours)
    counted["reboots"] = told.result.counts["instance.rebooted"]
    return counted


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param(
            {"remedy": "restart_workload"},
            {"restart.process.start": 0, "restart.workload.start": 1, "rentals": 1},
            id="what asks for the second rung gets no first",
        ),
        pytest.param(
            {"remedy": "reboot", "shows": "wrong"},
            {"restart.process.start": 0, "reboots": 1, "rentals": 1},
            id="a picture that is not the stream counts as none",
        ),
        pytest.param(
            {"remedy": "restart_process", "shows": "gone", "cured_by": "workload"},
            {"restart.workload.start": 1, "rentals": 1},
            id="what needs more than it asks for is climbed for",
        ),
        pytest.param(
            {"remedy": "restart_process", "wait_s": 300.0, "for_s": 200.0},
            {"restart.process.start": 0, "rentals": 1},
            id="who mends himself in time is let alone",
        ),
        pytest.param(
            {"remedy": "restart_process", "returns": 1, "returns_s": 1800.0},
            {"restart.process.start": 2, AILS: 2, "rentals": 1},
            id="what comes back is cured again",
        ),
        pytest.param(
            {
                "remedy": "restart_process",
                "dearest": "restart_process",
                "cured_by": "replace",
                "person_s": 300.0,
            },
            {"restart.process.start": 3, "restart.workload.start": 0, "reboots": 0, "rentals": 1},
            id="what no dearer remedy may be tried against waits for a person",
        ),
    ],
)
def test_a_symptom_gets_what_it_asks_for(params: dict[str, Any], expected: dict[str, int]) -> None:
    done = deeds(played(FaultKind.WORKLOAD_AILS, HOUR_S, hours=6.0, **params))
    assert {name: done[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param({"meaning": "fix"}, {SHOWN: 2, "rentals": 1}, id="a fix that helps"),
        pytest.param(
            {"meaning": "fix", "is_mendable": False},
            {SHOWN: 3, "rentals": 2},
            id="one that does not",
        ),
        pytest.param(
            {"meaning": "reboot"}, {SHOWN: 2, "reboots": 1, "rentals": 1}, id="a reboot that helps"
        ),
        pytest.param(
            {"meaning": "reboot", "is_mendable": False},
            {SHOWN: 3, "reboots": 1, "rentals": 2},
            id="a reboot that does not",
        ),
        pytest.param(
            {"meaning": "wait"}, {"reboots": 0, "rentals": 2}, id="what is waited for in vain"
        ),
    ],
)
def test_an_audition_costs_what_it_means(params: dict[str, Any], expected: dict[str, int]) -> None:
    done = deeds(played(FaultKind.AUDITION_FAILS, 0.0, **params))
    assert {name: done[name] for name in expected} == expected


def test_every_remedy_meaning_and_view_is_drawn_and_can_be_played() -> None:
    rng = random.Random("draws")
    everything = tuple(remedy for remedy in Remedy if remedy is not Remedy.PERSON)
    ailments = [
        ailment_of(Fault(kind=FaultKind.WORKLOAD_AILS, params=draw))
        for _ in range(300)
        for draw in (draw_ailment(rng, everything), draw_plan(rng), draw_plea(rng))
    ]
    assert {each.remedy for each in ailments} == set(Remedy)
    assert {each.shows for each in ailments} == set(Shows)
    assert {each.dearest for each in ailments} == set(Rung)
    assert {each.needs_person for each in ailments if each.remedy is not Remedy.PERSON} == {
        True,
        False,
    }
    assert all(each.shows is Shows.GOOD for each in ailments if each.is_planned)
    flaws = [
        flaw_of(Fault(kind=FaultKind.AUDITION_FAILS, params=draw_flaw(rng)), 0.0)
        for _ in range(200)
    ]
    assert {each.meaning for each in flaws} == set(Meaning)
    assert {each.is_mendable for each in flaws} == {True, False}
    assert {each.is_machine_at_fault for each in flaws} == {True, False}
