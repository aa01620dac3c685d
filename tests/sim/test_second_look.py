"""A good deploy that is taken back for what befell its host is ordered again; another one is not."""

import json
from dataclasses import replace

import pytest

from keeper.sim.deploys import stopped_by_a_flaw, wrongly_blamed
from keeper.sim.evidence import STARTED
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.promises_deploys import a_bad_deploy_stays_where_it_was_tried, hopeless
from keeper.sim.story import Story
from tests.sim.doctored import deployed
from tests.sim.ledgers import BEGAN, Run

_HOUR_S = 3600.0
_BAD = "KeeperDeployBad:duel"


def _blamed(run: Run, *, is_bad: bool = False) -> tuple[str, ...]:
    seen = deployed(run, is_bad=is_bad)
    return wrongly_blamed(seen.deploys, seen.ledger.hosts, seen.notices)


def _on_trial(struck: str = "crash_loop", *, after_s: float = 400.0) -> Run:
    """A deploy starts at 9060, something befalls its host, and keeper calls it bad."""
    run = Run()
    run.host(100, 9060.0, STARTED, "new")
    run.host(100, 9060.0 + after_s, "struck", struck)
    run.tell(9060.0 + after_s + 60.0, key=_BAD)
    return run


def test_what_befell_the_host_on_trial_is_a_reason_to_try_again() -> None:
    assert _blamed(_on_trial()) == ("duel",)


def test_what_befell_it_while_it_got_the_deploy_is_one_too() -> None:
    assert _blamed(_on_trial(after_s=-45.0)) == ("duel",)
    assert _blamed(_on_trial(after_s=-55.0)) == ()


def test_what_is_bad_itself_is_not_tried_again() -> None:
    assert _blamed(_on_trial(), is_bad=True) == ()


def test_nobody_sees_that_a_display_is_lost_who_needs_none() -> None:
    """Seed 6371 of any fleet: the process died of it, and that was held against what was on trial."""
    assert _blamed(_on_trial("display_lost")) == ("duel",)


@pytest.mark.parametrize("struck", ["gpu_lost", "host_key_changed"])
def test_a_verdict_for_what_no_deploy_does_stays_for_the_auditor(struck: str) -> None:
    assert _blamed(_on_trial(struck)) == ()


def test_a_verdict_without_a_cause_stays_for_the_auditor() -> None:
    run = Run()
    run.host(100, 9060.0, STARTED, "new")
    run.host(200, 9100.0, "struck", "crash_loop")  # another host
    run.host(100, 9000.0, "struck", "crash_loop")  # before it came there
    run.tell(9460.0, key=_BAD)
    run.host(100, 9500.0, "struck", "crash_loop")  # after the verdict
    assert _blamed(run) == ()
    assert _blamed(_on_trial(after_s=2 * _HOUR_S)) == ()  # long after the trial


@pytest.mark.parametrize(("kind", "blamed"), [("update", ("duel",)), ("repeat", ())])
def test_who_hears_of_another_bad_deploy_looks_at_that_one(
    kind: str, blamed: tuple[str, ...]
) -> None:
    """Seed 4194 of any fleet: the message about the deploy before it still stood."""
    run = Run()
    run.tell(8000.0, key=_BAD)
    run.host(100, 9060.0, STARTED, "new")
    run.host(100, 9460.0, "struck", "crash_loop")
    run.tell(9520.0, kind, key=_BAD)
    assert _blamed(run) == blamed


def test_a_verdict_that_is_over_is_none() -> None:
    run = _on_trial()
    run.tell(10_000.0, "resolved", key=_BAD)
    assert _blamed(run) == ()
    run.tell(11_000.0, "firing", key="KeeperDeployBad:turbo")  # another stream's
    assert _blamed(run) == ()


def test_in_a_story_it_is_ordered_once_and_arrives() -> None:
    story = Story(
        seed=1,
        duration_s=12 * _HOUR_S,
        plan=(
            Fault(kind=FaultKind.OPERATOR_DEPLOYS, at=1.0 * _HOUR_S, params={"stream": 0}),
            Fault(kind=FaultKind.CRASH_LOOP, at=1.0 * _HOUR_S + 400.0, count=1),
        ),
        streams={"duel": 1},
        strangers=0,
    )
    played = story.run()
    lines = [json.loads(line) for line in played.result.journal.splitlines()]
    verdicts = ["revision.bad", "revision.pardoned", "revision.proven"]
    assert [line["event"] for line in lines if line["event"] in verdicts] == [
        "revision.proven",
        *verdicts,
    ]
    assert played.evidence.ordered is not None
    assert [slot for _, slot in played.evidence.ordered] == ["duel/0"]
    assert played.evidence.ended_at - BEGAN == pytest.approx(12 * _HOUR_S, abs=60.0)
    assert played.result.broken == ()


def _stopped(run: Run, *, is_bad: bool) -> tuple[str, ...]:
    seen = deployed(run, is_bad=is_bad)
    return stopped_by_a_flaw(seen.deploys, seen.notices)


def test_who_has_mended_a_bad_deploy_lets_keeper_go_on() -> None:
    run = Run()
    run.tell(9460.0, key="KeeperDarkSpend:duel")
    assert _stopped(run, is_bad=True) == ("duel",)
    assert _stopped(run, is_bad=False) == (), "what else was dark for so long is for the auditor"
    run.tell(9990.0, "resolved", key="KeeperDarkSpend:duel")
    assert _stopped(run, is_bad=True) == ()


def test_nothing_is_hoped_for_where_all_that_was_ever_declared_is_bad() -> None:
    worked = deployed(Run(), is_bad=True)
    assert list(hopeless(worked, "duel")) == []
    first = replace(worked, deploys=worked.deploys[1:])
    dark = Run()
    dark.picture(100, 301.0, live=False)
    never = replace(deployed(dark, is_bad=True), deploys=first.deploys)
    bad_at = never.deploys[0].at
    assert list(hopeless(never, "duel")) == [(bad_at, never.ended_at)]
    assert list(hopeless(never, "turbo")) == []
    mended = replace(never.deploys[0], at=bad_at + 60.0, is_bad=False)
    again = replace(never, deploys=(*never.deploys, mended))
    assert list(hopeless(again, "duel")) == [(bad_at, bad_at + 60.0)]


@pytest.mark.parametrize(("ended_at", "is_blamed"), [(9250.0, False), (9380.0, True)])
def test_what_a_cap_ends_before_it_can_be_judged_is_no_verdict(
    ended_at: float, *, is_blamed: bool
) -> None:
    """A bad deploy had begun on a host; a cap ended that a minute later; the next host got it, too."""
    run = Run()
    run.picture(100, 9100.0, live=False)
    run.host(100, 9060.0, STARTED, "new")
    run.destroy(100, ended_at)
    run.rent(101, "k:duel/0:2", at=9400.0)
    run.host(101, 9700.0, STARTED, "new")
    seen = deployed(run, is_bad=True)
    assert bool(list(a_bad_deploy_stays_where_it_was_tried(seen))) is is_blamed


@pytest.mark.parametrize(
    ("dark_from", "is_blamed"),
    [
        pytest.param(5000.0, False, id="it was dark long before"),
        pytest.param(9020.0, True, id="the deploy itself ended the picture"),
    ],
)
def test_a_change_is_not_to_blame_for_a_slot_that_was_dark_before_it(
    *, dark_from: float, is_blamed: bool
) -> None:
    """Seed 6292 of any fleet: it may have been the cure, so it was tried on the next host, too."""
    run = Run()
    run.host(100, 305.0, STARTED, "old")
    run.picture(100, dark_from, live=False)
    run.host(100, 9060.0, STARTED, "new")
    run.destroy(100, 9380.0)
    run.rent(101, "k:duel/0:2", at=9400.0)
    run.host(101, 9700.0, STARTED, "new")
    seen = deployed(run, is_bad=True)
    assert bool(list(a_bad_deploy_stays_where_it_was_tried(seen))) is is_blamed
