"""Until when a spare is waited for, what is said of one that waits, and what is written down of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from keeper.core.decisions import Hold, Plan, Prepare, Rent, Wait
from keeper.core.events import WorkloadDeploying
from keeper.core.model import (
    ConditionKind,
    Instance,
    IntentKind,
    MarketState,
    Mode,
    Status,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.world import OrderKind, World
from tests.builders import (
    DUEL,
    NOW,
    a_condition,
    a_record,
    a_stream,
    a_tenure,
    ago,
    ahead,
    an_order,
    conditions,
    decide,
    decision_for,
    events_of,
    record_after,
)
from tests.unit.core.spares import (
    PLACE,
    SPARE_HOST,
    a_place,
    a_prepared_spare,
    a_spare,
    a_spared_world,
    a_wish,
    with_spares,
)
from tests.unit.core.test_spares import OLD, PROVEN, declaring, lost

NO_PICTURE = (Status.FALSE, Reason.NO_BYTES)


def waiting(plan: Plan) -> tuple[Reason, datetime | None]:
    decision = decision_for(plan, PLACE)
    assert isinstance(decision, Wait), plan.sentence()
    return decision.reason, decision.until


def beside(spare: Tenure, **changes: Any) -> World:
    return a_spared_world(a_place(spare), **changes)


# --- until when -------------------------------------------------------------------------------------


def a_young_spare(**changes: Any) -> Tenure:
    """One that runs and has never shown a picture."""
    young = a_spare(
        first_live_at=None, warm_at=None, warmup_s=None, ready_at=None, good_in_a_row=0,
        conditions=conditions(streaming=NO_PICTURE),
    )  # fmt: skip
    return replace(young, **changes)


@pytest.mark.parametrize(
    ("spare", "reason", "until"),
    [
        (a_young_spare(deployed_at=ago(60)), Reason.WARMING_UP, ahead(240)),
        (a_young_spare(deployed_at=ago(400), booted_at=ago(500)), Reason.NOT_ENOUGH_EVIDENCE, ahead(400)),
        (a_spare(conditions=lost(60)), Reason.NOT_ENOUGH_EVIDENCE, ahead(120)),
    ],
    ids=["it warms up", "it has never shown a picture", "it has lost its picture"],
)  # fmt: skip
def test_a_spare_is_waited_for_until_it_is_of_no_use(
    spare: Tenure, reason: Reason, until: datetime
) -> None:
    assert waiting(decide_beside(spare)) == (reason, until)


def decide_beside(spare: Tenure, **changes: Any) -> Plan:
    return decide(beside(spare, **changes), a_wish())


def test_one_that_shows_nothing_in_the_time_of_a_hand_over_is_given_back() -> None:
    late = a_young_spare(deployed_at=ago(800), booted_at=ago(900))
    decision = decision_for(decide_beside(late), PLACE)
    assert (decision.name, decision.reason) == ("destroy", Reason.NO_PICTURE_EVER)


def test_it_is_looked_at_again_at_the_end_of_its_term() -> None:
    plan = decide_beside(a_spare(rented_at=ago(604_797)))
    assert waiting(plan) == (Reason.SPARE_READY, None)
    assert plan.next_check_at == ahead(3)


# --- outbid -----------------------------------------------------------------------------------------


def taken(instance: Instance) -> Instance:
    """Somebody bids more, and 0.50 would bring it back."""
    return replace(instance, state=MarketState.STOPPED, is_bid=True, min_bid_dollars_per_hour=0.5)


def an_outbid_spare(since_s: float) -> Tenure:
    cut_off = a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED, for_s=since_s)
    return a_spare(
        is_bid=True, bid_dollars_per_hour=0.3, outbid_since=ago(since_s), dead_since=ago(since_s),
        conditions=conditions(reachable=cut_off, streaming=(Status.UNKNOWN, Reason.NOT_ASKED)),
    )  # fmt: skip


def test_one_that_was_outbid_a_moment_ago_is_waited_for() -> None:
    assert waiting(decide_beside(an_outbid_spare(20), shown=taken)) == (Reason.OUTBID, ahead(10))


def test_nobody_bids_higher_for_what_serves_nobody() -> None:
    """The stream's own host would be bid for."""
    decision = decision_for(decide_beside(an_outbid_spare(100), shown=taken), PLACE)
    assert (decision.name, decision.reason) == ("destroy", Reason.OUTBID)


# --- none is rented ---------------------------------------------------------------------------------


def used(*hours_ago: float) -> World:
    return a_spared_world(a_place(attempt=5, replaced_at=tuple(ago(3600 * n) for n in hours_ago)))


def test_a_place_without_an_allowance_says_what_it_wants_and_when_it_may_again() -> None:
    held = decision_for(decide(used(4, 3, 2, 1, 0), a_wish()), PLACE)
    assert isinstance(held, Hold)
    assert (held.reason, held.until) == (Reason.REPLACEMENTS_SPENT, ahead(2 * 3600))
    assert (held.wanted, held.wanted_reason) == ("rent", Reason.SPARE_WANTED)


def test_what_was_replaced_six_hours_ago_counts_no_more() -> None:
    assert decision_for(decide(used(6, 3, 2, 1, 0), a_wish()), PLACE).name == "rent"


@pytest.mark.parametrize(
    ("mode", "reason"), [(Mode.OBSERVE, Reason.OBSERVE_ONLY), (Mode.SUGGEST, Reason.SUGGEST_ONLY)]
)
def test_where_keeper_only_watches_it_says_what_it_would_do_and_why(
    mode: Mode, reason: Reason
) -> None:
    wish = a_wish(with_spares(a_stream(mode=mode)))
    held = decision_for(decide(a_spared_world(), wish), PLACE)
    assert isinstance(held, Hold)
    assert (held.reason, held.wanted, held.wanted_reason) == (reason, "rent", Reason.SPARE_WANTED)
    ready = decision_for(decide(beside(a_spare()), wish), PLACE)
    assert (ready.name, ready.reason) == ("wait", Reason.SPARE_READY), "that it waits is no wish"


@pytest.mark.parametrize("kind", [OrderKind.REPLACE, OrderKind.RESTART, OrderKind.DEPLOY])
def test_an_order_for_an_empty_place_does_not_lie_in_wait(kind: OrderKind) -> None:
    """It would end the next spare as soon as it is there."""
    world = a_spared_world(orders=(an_order(kind, PLACE),))
    plan = decide(world, a_wish())
    after = record_after(world, plan, PLACE)
    assert (after.replace_asked_at, after.restart_asked_at, after.deploy_asked_at) == (None,) * 3
    assert [each.slot for each in plan.acts if isinstance(each, Rent)] == [PLACE]


def test_an_order_to_deploy_to_a_spare_does_not_lie_in_wait() -> None:
    world = beside(a_spare(), orders=(an_order(OrderKind.DEPLOY, PLACE),))
    assert record_after(world, decide(world, a_wish()), PLACE).deploy_asked_at is None


# --- another deploy ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("tried_s", "until"), [(4, ahead(6)), (9, ahead(1)), (10, None)])
def test_a_deploy_that_failed_is_tried_again_after_a_pause(
    tried_s: float, until: datetime | None
) -> None:
    spare = a_spare(revision="old", putting="new", deploy_failures=1, acted_at=ago(tried_s))
    plan = decide(*declaring(OLD, PROVEN, spare=spare))
    if until is not None:
        assert waiting(plan) == (Reason.BACKING_OFF, until)
    else:
        assert decision_for(plan, PLACE).reason is Reason.ROLLOUT


def test_one_with_a_named_deploy_is_left_alone_where_deploys_have_no_names_any_more() -> None:
    plan = decide_beside(a_spare(revision="old"))
    assert waiting(plan) == (Reason.SPARE_READY, None)


def test_what_is_put_on_a_spare_without_a_start_is_written_down_first() -> None:
    """What was prepared before is there no more, from the order on."""
    host = a_record(a_tenure(revision="new"), proven_revision="new")
    spare = a_prepared_spare(revision="old", acted_at=ago(3000))
    world = beside(spare, record=host, revisions={DUEL: (OLD, PROVEN)})
    wish = a_wish(with_spares(a_stream(revision="new"), is_started=False))
    plan = decide(world, wish)
    (intent,) = plan.intents_opened
    assert (intent.kind, intent.instance_id) == (IntentKind.PREPARE, SPARE_HOST)
    assert plan.acts == (
        Prepare(
            slot=PLACE, reason=Reason.ROLLOUT, intent_id=intent.intent_id, instance_id=SPARE_HOST,
            revision="new",
        ),
    )  # fmt: skip
    (told,) = events_of(plan, WorkloadDeploying)
    assert (told.slot, told.instance_id, told.revision) == (PLACE, SPARE_HOST, "new")
    tenure = record_after(world, plan, PLACE).tenure
    assert tenure is not None
    assert (tenure.acted_at, tenure.revision, tenure.prepared_at) == (NOW, "new", None)
