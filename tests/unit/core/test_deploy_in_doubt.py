"""A deploy whose answer was lost may have worked: what it has started is looked at before it is ended.

Frozen for a minute in the last check of a deploy, keeper deployed once more ten seconds later, and took
a picture away that viewers had seen for a minute and a half (I14).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.conditions import status_of
from keeper.core.decisions import Wait
from keeper.core.model import ConditionKind, IntentKind, Reading, Status, Subject, Tenure
from keeper.core.reasons import Reason
from keeper.core.world import OutcomeKind, World
from tests.builders import (
    HOST,
    NOW,
    SLOT,
    a_reading,
    a_record,
    a_tenure,
    a_world,
    ago,
    ahead,
    all_heard,
    an_intent,
    an_outcome,
    bad_pictures,
    conditions,
    decide,
    decision_for,
    good_pictures,
    record_after,
)
from tests.unit.core.decision_worlds import LOST_LINK, UNSEEN, booted

UP = (Status.TRUE, Reason.PROCESS_UP)
GONE = (Status.FALSE, Reason.PROCESS_GONE)


def in_doubt(age_s: float = 40.0, *, tries: int = 1, **said: Any) -> World:
    """A first deploy broke off so long ago; by now the sentinel speaks of another process."""
    told = conditions(
        deployed=(Status.FALSE, Reason.DEPLOY_FAILED),
        **{"running": UP, "streaming": UNSEEN} | said,
    )
    return booted(
        booted_at=ago(600), deploy_failures=tries, deploy_unsure_at=ago(age_s), acted_at=ago(age_s),
        process_before="41:1", process_identity="77:9", conditions=told,
    )  # fmt: skip


def but(world: World, **changes: Any) -> World:
    tenure = world.records[SLOT].tenure
    assert tenure is not None
    return replace(world, records={SLOT: a_record(replace(tenure, **changes))})


def after(world: World) -> Tenure:
    tenure = record_after(world, decide(world)).tenure
    assert tenure is not None
    return tenure


# --- what leaves a doubt ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reason", "is_unsure"),
    [
        (OutcomeKind.UNCERTAIN, None, True),
        (OutcomeKind.FAILED, Reason.LINK_LOST, True),  # before its last step was sent, maybe
        (OutcomeKind.FAILED, None, False),  # the host itself says so
        (OutcomeKind.DONE, None, False),
    ],
)
def test_a_deploy_whose_answer_was_lost_may_have_started_something(
    kind: OutcomeKind, reason: Reason | None, is_unsure: bool
) -> None:
    intent = an_intent(IntentKind.DEPLOY)
    outcome = an_outcome(intent, kind, reason=reason, error="it broke", at=ago(2))
    for before in (None, ago(500)):  # whatever the try before it was
        world = replace(
            booted(deploy_unsure_at=before), intents=(intent,), outcomes=(outcome,)
        )  # fmt: skip
        assert after(world).deploy_unsure_at == (ago(2) if is_unsure else None)


def test_a_deploy_that_a_crash_cut_short_may_have_started_something() -> None:
    """keeper was killed in the last check, came back late, and ended what was on air."""
    world = replace(booted(), intents=(an_intent(IntentKind.DEPLOY),))
    assert after(world).deploy_unsure_at == NOW
    cut = but(replace(in_doubt(), intents=(an_intent(IntentKind.DEPLOY),)), deploy_failures=0)
    assert decision_for(decide(cut)).reason is Reason.DEPLOY_UNSETTLED


@pytest.mark.parametrize("outcome", [None, OutcomeKind.UNCERTAIN])
def test_what_is_exchanged_on_a_host_is_a_mixture_until_it_is_done(
    outcome: OutcomeKind | None,
) -> None:
    intent = an_intent(IntentKind.DEPLOY)
    world = a_world(a_record(a_tenure(revision="r1", putting="r2")), intents=(intent,))
    if outcome is not None:
        world = replace(world, outcomes=(an_outcome(intent, outcome),))
    assert after(world).deploy_unsure_at is None


def test_nothing_that_was_prepared_has_started() -> None:
    intent = an_intent(IntentKind.PREPARE)
    outcome = an_outcome(intent, OutcomeKind.UNCERTAIN)
    world = replace(booted(), intents=(intent,), outcomes=(outcome,))
    assert after(world).deploy_unsure_at is None


def test_the_next_deploy_has_its_own_end_and_knows_what_it_found() -> None:
    world = in_doubt(age_s=400)
    assert decision_for(decide(world)).name == "deploy"
    tenure = after(world)
    assert (tenure.deploy_unsure_at, tenure.process_before) == (None, "77:9")


def test_a_picture_of_before_the_doubt_does_not_end_it() -> None:
    """It may be of what the deploy has stopped."""
    intent = an_intent(IntentKind.DEPLOY)
    outcome = an_outcome(intent, OutcomeKind.UNCERTAIN, at=ago(2))
    seen = conditions(deployed=(Status.FALSE, Reason.NOT_DEPLOYED))
    tenure = after(replace(booted(conditions=seen), intents=(intent,), outcomes=(outcome,)))
    assert (tenure.deployed_at, tenure.deploy_unsure_at) == (None, ago(2))
    assert status_of(tenure, ConditionKind.STREAMING) is Status.UNKNOWN


# --- how long it is looked at -----------------------------------------------------------------------


@pytest.mark.parametrize("tries", [1, 2])
@pytest.mark.parametrize(
    "said",
    [
        pytest.param({}, id="a process runs"),
        pytest.param({"running": UNSEEN}, id="nobody can be asked about it"),
        pytest.param({"running": (Status.UNKNOWN, Reason.PROCESS_STARTING)}, id="it is starting"),
        pytest.param({"running": (Status.UNKNOWN, Reason.MANAGER_RETRYING)}, id="it is retried"),
        pytest.param({"reachable": LOST_LINK, "running": GONE}, id="said before the link was lost"),
        pytest.param({"streaming": (Status.FALSE, Reason.NO_BYTES)}, id="it has no picture yet"),
    ],
)
def test_what_may_run_has_the_time_of_a_warm_up(said: dict[str, Any], tries: int) -> None:
    """Neither is it deployed again, nor is its host given up for two such answers."""
    decision = decision_for(decide(in_doubt(40, tries=tries, **said)))
    assert isinstance(decision, Wait)
    long_s = 1200 if said.get("running") == (Status.UNKNOWN, Reason.PROCESS_STARTING) else 300
    assert (decision.reason, decision.until) == (Reason.DEPLOY_UNSETTLED, ahead(long_s - 40))


@pytest.mark.parametrize(("tries", "name"), [(1, "deploy"), (2, "destroy")])
def test_where_nothing_came_up_in_that_time_it_is_deployed_again_and_once(
    tries: int, name: str
) -> None:
    assert decision_for(decide(in_doubt(299, tries=tries))).name == "wait"
    assert decision_for(decide(in_doubt(300, tries=tries))).name == name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, {"running": GONE}),
        ({}, {"running": (Status.FALSE, Reason.PROCESS_STOPPED_ON_PURPOSE)}),  # by the deploy
        ({}, {"running": (Status.UNKNOWN, Reason.MANAGER_DOWN)}),
        ({"process_identity": "41:1"}, {}),  # what ran before: it never came to a start
    ],
)
def test_where_the_host_says_that_nothing_was_started_nobody_waits(
    changes: dict[str, Any], said: dict[str, Any]
) -> None:
    for age_s, name in ((4, "wait"), (12, "deploy")):  # the pause between two tries is kept
        plan = decide(but(in_doubt(age_s, **said), **changes))
        assert decision_for(plan).name == name
        assert decision_for(plan).reason is not Reason.DEPLOY_UNSETTLED


def test_only_what_was_said_since_counts() -> None:
    """The process may have been started right after it was last seen to be gone."""
    world = in_doubt(5, running=GONE)
    stale = replace(world, heard_at=all_heard() | {(HOST, Subject.PROCESS): ago(6)})
    decision = decision_for(decide(stale))
    assert isinstance(decision, Wait)
    assert (decision.reason, decision.until) == (Reason.DEPLOY_UNSETTLED, ahead(10))


def test_a_host_that_comes_up_from_nothing_leaves_no_doubt_behind() -> None:
    intent = an_intent(IntentKind.REBOOT)
    outcome = an_outcome(intent, OutcomeKind.DONE)
    tenure = after(replace(in_doubt(), intents=(intent,), outcomes=(outcome,)))
    assert (tenure.deploy_unsure_at, tenure.process_before) == (None, "")


# --- how it ends ------------------------------------------------------------------------------------


def seen(*readings: Reading, **changes: Any) -> World:
    return replace(but(in_doubt(), **changes), readings=readings)


def test_what_viewers_see_was_deployed() -> None:
    world = seen(*good_pictures())
    plan = decide(world)
    assert decision_for(plan).reason is Reason.HEALTHY
    tenure = after(world)
    assert (tenure.deployed_at, tenure.deploy_unsure_at) == (ago(40), None)
    assert (tenure.deploy_failures, tenure.first_live_at, tenure.warmup_s) == (0, NOW, 40.0)
    assert status_of(tenure, ConditionKind.DEPLOYED) is Status.TRUE


def test_what_was_seen_and_falls_dark_is_repaired_like_any_other() -> None:
    """Two answers were lost, and the host was given up for the first bad picture."""
    world = seen(*good_pictures(), deploy_failures=2)
    record = record_after(world, decide(world))
    later_s = 60.0
    readings = tuple(replace(each, at=ahead(later_s)) for each in bad_pictures())
    heard = dict.fromkeys(world.heard_at, ahead(later_s))
    world = replace(world, records={SLOT: record}, readings=readings, heard_at=heard)
    assert decision_for(decide(world, now=ahead(later_s))).name == "restart"


def test_one_look_is_none_and_the_picture_of_what_ran_before_is_another_one_s() -> None:
    assert after(seen(a_reading(Subject.PICTURE))).deployed_at is None
    world = seen(*good_pictures(), process_identity="41:1")
    assert after(world).deploy_unsure_at == ago(40)
