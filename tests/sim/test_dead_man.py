"""keeper is away for longer than its dead man waits: hosts stop themselves, and streams come back."""

from dataclasses import replace
from itertools import pairwise

import pytest

from keeper.daemon.declared import Declared
from keeper.sim.faultplan import plan_for
from keeper.sim.faults import KEEPER_KINDS, Fault, FaultKind
from keeper.sim.fleets import Habits
from keeper.sim.opsbox import OpsBox
from keeper.sim.story import Story as Run
from keeper.sim.story import storm_s
from keeper.sim.universe import Universe
from tests.sim.awaits import Marked
from tests.sim.interrupted import Deed, Ending, Story, play, wrong

_UNMARKED = Marked(())
_ON_AIR_S = 300.0
Changes = list[tuple[str, str, int]]  # what, by whom, and seconds after keeper was gone


def _guarded(declared: Declared) -> Declared:
    (stream,) = declared.desired.streams
    streams = (replace(stream, policy=replace(stream.policy, dead_man_after_s=1800.0)),)
    desired = replace(declared.desired, streams=streams)
    return replace(declared, desired=desired, api_url="https://market.example")


def _unguarded(declared: Declared) -> Declared:
    return replace(declared, api_url="https://market.example")


def _away(for_s: float, seen: Changes) -> Deed:
    """Kill keeper, bring it back so much later, and write down what the market did meanwhile."""

    async def away(universe: Universe, box: OpsBox) -> None:
        began_at = universe.time_s()
        box.kill(down_s=for_s)
        (live,) = universe.market.ledger.live()

        def look(_: float) -> None:
            seen[:] = [
                (change.what, change.by, round(change.at - began_at))
                for change in live.changes
                if change.at > began_at
            ]

        universe.market.plan(began_at + for_s - 1.0, look)
        universe.wind()

    return away


def _played(for_s: float, *, is_guarded: bool = True) -> tuple[Ending, Changes]:
    seen: Changes = []
    story = Story(
        name=f"away for {for_s:g} s",
        acts=((_ON_AIR_S, _away(for_s, seen)),),
        over_s=_ON_AIR_S + for_s,
        change=_guarded if is_guarded else _unguarded,
    )
    ending, wrongs = wrong(story, _UNMARKED)
    assert wrongs == []
    return ending, seen


def test_hosts_that_hear_no_keeper_for_half_an_hour_stop_themselves_and_are_replaced() -> None:
    ending, seen = _played(2700.0)
    ((what, by, after_s),) = seen
    assert (what, by) == ("stopped", "own key")
    assert 1740 <= after_s <= 1860  # the last feed was up to a minute before the end
    assert ending.rentals == 2
    assert ending.facts["dead_man.armed"] == 2
    assert ending.facts["machine.quarantined"] == 0, "nobody is to blame"
    assert b"dead_man_stopped" in ending.journal


@pytest.mark.parametrize(("for_s", "is_guarded"), [(1500.0, True), (2700.0, False)])
def test_nobody_stops_who_is_fed_again_in_time_or_was_not_asked_to(
    for_s: float, *, is_guarded: bool
) -> None:
    ending, seen = _played(for_s, is_guarded=is_guarded)
    assert seen == []
    assert ending.rentals == 1


def test_a_container_that_is_rebooted_meanwhile_has_its_guard_again() -> None:
    """By its onstart: nobody else is there to start it."""

    async def reboot(universe: Universe, _: OpsBox) -> None:
        (live,) = universe.market.ledger.live()
        universe.market.reboot(live.instance_id)
        universe.wind()

    seen: Changes = []
    story = Story(
        name="rebooted while keeper is away",
        acts=((_ON_AIR_S, _away(2700.0, seen)), (_ON_AIR_S + 300.0, reboot)),
        over_s=_ON_AIR_S + 2700.0,
        change=_guarded,
    )
    ending, wrongs = wrong(story, _UNMARKED)
    assert wrongs == []
    stops = [after_s for what, by, after_s in seen if (what, by) == ("stopped", "own key")]
    assert len(stops) == 1
    assert 1740 <= stops[0] <= 1860
    assert ending.rentals == 2


def test_a_refused_stop_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The marketplace is down when the time has come."""
    refused = []
    stop = Universe.stop_by_own_key

    def down(universe: Universe, instance_id: int) -> bool:
        refused.append(universe.time_s())
        return len(refused) > 3 and stop(universe, instance_id)

    monkeypatch.setattr(Universe, "stop_by_own_key", down)
    _, seen = _played(2700.0)
    assert len(seen) == 1
    pauses = [round(later - earlier) for earlier, later in pairwise(refused)]
    assert pauses == [10, 20, 40]


def test_a_day_of_faults_with_a_long_absence_breaks_no_promise() -> None:
    """The auditor sees why hosts stand still: their own key stopped them, and nobody is blamed."""
    duration_s, away_at_s, away_s = 86_400.0, 20_000.0, 4200.0
    faults = plan_for("all", seed=7, until_s=storm_s(1.0))
    death = Fault(kind=FaultKind.KEEPER_KILLED, at=away_at_s, params={"down_s": away_s})
    plan = sorted(
        (*(each for each in faults if each.kind not in KEEPER_KINDS), death),
        key=lambda each: each.at,
    )
    story = Run(
        seed=7,
        duration_s=duration_s,
        plan=tuple(plan),
        habits=Habits(dead_man_after_s=1800.0),
    )
    played = story.run()
    assert [each.sentence() for each in played.result.broken] == []
    seen = played.evidence
    since = seen.began_at + away_at_s
    stops = [
        (rental.instance_id, change.at - since)
        for rental in seen.ours
        for change in rental.changes
        if (change.what, change.by) == ("stopped", "own key")
    ]
    assert len(stops) == 2, "one for each slot"
    assert all(1700.0 <= after_s <= 1900.0 for _, after_s in stops)
    assert {instance_id for instance_id, _ in stops} <= seen.condemned_at.keys()


def test_the_same_again_says_the_same() -> None:
    story = Story(name="x", acts=((_ON_AIR_S, _away(2700.0, [])),), over_s=3000.0, change=_guarded)
    assert play(story, _UNMARKED).journal == play(story, _UNMARKED).journal
