"""What is believed: one reading after the other, and the silence between them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from keeper.core import events as facts_of
from keeper.core.conditions import condition_of, status_of
from keeper.core.model import (
    Condition,
    ConditionKind,
    MarketState,
    Reading,
    Status,
    Subject,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import (
    HOST,
    NOW,
    SLOT,
    a_condition,
    a_fresh_tenure,
    a_listing,
    a_reading,
    a_record,
    a_tenure,
    a_world,
    ago,
    ahead,
    all_heard,
    an_instance,
    applied,
    bad_pictures,
    conditions,
    decide,
    events_of,
    good_pictures,
    healthy_world,
    record_after,
)

T, F, U = Status.TRUE, Status.FALSE, Status.UNKNOWN
UNSEEN = (U, Reason.NOT_ASKED)


def judged(world: World, now: datetime = NOW) -> Tenure:
    """What is believed in the end; without the lease, so that no act of ours begins it anew."""
    tenure = record_after(world, decide(replace(world, is_leader=False), now=now)).tenure
    assert tenure is not None
    return tenure


def believed(kind: ConditionKind, *readings: Reading, before: Condition | None = None) -> Condition:
    said = {} if before is None else {kind.value: before}
    world = a_world(a_record(a_tenure(conditions=conditions(**said))), readings=readings)
    found = condition_of(judged(world), kind)
    assert found is not None
    return found


def pictures(marks: str) -> tuple[Reading, ...]:
    """One reading per mark, 10 s apart, the latest now: + good, - bad, ? unknown."""
    meaning = {"+": (T, Reason.LIVE), "-": (F, Reason.BLACK), "?": (U, Reason.PROBE_FAILED)}
    return tuple(
        a_reading(Subject.PICTURE, *meaning[mark], age_s=10.0 * (len(marks) - 1 - at))
        for at, mark in enumerate(marks)
    )


# --- the picture ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "marks", "after", "bad", "good"),
    [
        (T, "+", T, 0, 2),
        (T, "--", T, 2, 0),
        (T, "--+", T, 0, 1),
        (T, "---", F, 3, 0),
        (T, "-?-?-", F, 3, 0),
        (T, "------", F, 3, 0),
        (T, "????", T, 0, 2),
        (F, "+", F, 0, 1),
        (F, "++", T, 0, 2),
        (F, "+-+", F, 0, 1),
        (F, "?", F, 3, 0),
        (U, "+", U, 0, 1),
        (U, "++", T, 0, 2),
        (U, "--", U, 2, 0),
        (U, "---", F, 3, 0),
    ],
)
def test_a_picture_is_believed_after_enough_of_it(
    before: Status, marks: str, after: Status, bad: int, good: int
) -> None:
    start = {
        T: a_condition(ConditionKind.STREAMING, good=2),
        F: a_condition(ConditionKind.STREAMING, F, Reason.FROZEN, bad=3),
        U: a_condition(ConditionKind.STREAMING, U, Reason.SILENT),
    }[before]
    found = believed(ConditionKind.STREAMING, *pictures(marks), before=start)
    assert (found.status, found.bad_streak, found.good_streak) == (after, bad, good)
    assert found.since == start.since if before is after else found.since > start.since


@pytest.mark.parametrize(
    ("marks", "reason", "age_s"),
    [
        ("s", Reason.LIVE, None),
        ("ss", Reason.LIVE, None),
        ("sss", Reason.STUTTERING, 0),
        ("ss+s", Reason.LIVE, None),
        ("sss+", Reason.STUTTERING, 10),
        ("sss+s+s", Reason.STUTTERING, 40),
        ("sss++", Reason.LIVE, 0),
        ("sss-s-s", Reason.STUTTERING, 40),
        ("s=s+", Reason.LIVE, 0),
    ],
)
def test_a_slow_picture_is_a_picture_and_is_called_slow_by_no_single_look(
    marks: str, reason: Reason, age_s: float | None
) -> None:
    """Nor is it called cured by one. A picture that stands still on purpose is another story at once."""
    meaning = {
        "+": (T, Reason.LIVE), "s": (T, Reason.STUTTERING), "-": (F, Reason.BLACK),
        "=": (T, Reason.STATIC_BY_DESIGN),
    }  # fmt: skip
    looks = (
        a_reading(Subject.PICTURE, *meaning[mark], age_s=10.0 * (len(marks) - 1 - at))
        for at, mark in enumerate(marks)
    )
    found = believed(ConditionKind.STREAMING, *looks)
    assert (found.status, found.reason) == (T, reason)
    assert found.reason_since == (None if age_s is None else ago(age_s))


def test_what_comes_back_slow_is_called_so_at_once() -> None:
    lost = a_condition(ConditionKind.STREAMING, F, Reason.FROZEN, bad=3)
    looks = (a_reading(Subject.PICTURE, T, Reason.STUTTERING, age_s=age_s) for age_s in (10, 0))
    found = believed(ConditionKind.STREAMING, *looks, before=lost)
    assert (found.status, found.reason, found.reason_since) == (T, Reason.STUTTERING, NOW)


def test_the_reason_of_a_bad_picture_follows_what_is_seen_last() -> None:
    found = believed(
        ConditionKind.STREAMING,
        *bad_pictures(3, Reason.FROZEN),
        a_reading(Subject.PICTURE, F, Reason.NO_BYTES),
    )
    assert (found.status, found.reason) == (F, Reason.NO_BYTES)


def test_a_certain_picture_needs_no_repetition() -> None:
    sure = a_reading(Subject.PICTURE, F, Reason.UNREACHABLE, is_certain=True)
    assert believed(ConditionKind.STREAMING, sure).status is F


def test_a_bad_picture_right_after_our_own_restart_is_not_news() -> None:
    tenure = a_tenure(acted_at=ago(20))
    world = a_world(a_record(tenure), readings=pictures("---"))  # 20, 10 and 0 s ago
    streaming = condition_of(judged(world), ConditionKind.STREAMING)
    assert streaming is not None
    assert (streaming.status, streaming.bad_streak) == (T, 1)


def test_after_a_start_any_earlier_act_of_ours_may_be_a_moment_old() -> None:
    """A clock that was set hides how long ago an earlier process did it."""
    tenure = a_tenure(acted_at=ago(3200))
    for started_s, bad in ((20, 1), (7200, 3)):
        world = a_world(a_record(tenure), readings=pictures("---"), started_at=ago(started_s))
        streaming = condition_of(judged(world), ConditionKind.STREAMING)
        assert streaming is not None
        assert streaming.bad_streak == bad


def test_a_bad_picture_while_an_act_is_under_way_is_not_news() -> None:
    world = healthy_world(readings=bad_pictures(3), in_flight=frozenset({SLOT}))
    assert status_of(judged(world), ConditionKind.STREAMING) is T


def test_good_pictures_in_a_row_are_counted_up_to_what_a_handover_needs() -> None:
    world = a_world(a_record(a_tenure(good_in_a_row=5)), readings=pictures("++"))
    assert judged(world).good_in_a_row == 6
    world = a_world(a_record(a_tenure(good_in_a_row=5)), readings=pictures("+-"))
    assert judged(world).good_in_a_row == 0


# --- the process ------------------------------------------------------------------------------------


def process(reason: Reason, status: Status = F, **more: object) -> Reading:
    return a_reading(Subject.PROCESS, status, reason, **more)  # type: ignore[arg-type]


def test_a_gone_process_and_one_bad_picture_are_two_witnesses() -> None:
    gone = conditions(running=(F, Reason.PROCESS_GONE))
    world = a_world(a_record(a_tenure(conditions=gone)), readings=pictures("-"))
    assert status_of(judged(world), ConditionKind.STREAMING) is F


def test_a_process_that_was_never_seen_alive_does_not_speak_for_the_picture() -> None:
    """A keeper that was just restarted mutates nothing that viewers see."""
    world = a_world(
        a_record(a_tenure(conditions=conditions(running=UNSEEN))),
        readings=(process(Reason.PROCESS_GONE, is_certain=True),),
    )
    tenure = judged(world)
    assert status_of(tenure, ConditionKind.RUNNING) is F
    assert status_of(tenure, ConditionKind.STREAMING) is T


def test_a_process_that_goes_because_we_restart_it_does_not_speak_for_the_picture() -> None:
    reading = process(Reason.PROCESS_GONE, is_certain=True)
    world = a_world(a_record(a_tenure(acted_at=ago(3))), readings=(reading,))
    assert status_of(judged(world), ConditionKind.STREAMING) is T


@pytest.mark.parametrize("reason", [Reason.MANAGER_RETRYING, Reason.PROCESS_STARTING])
def test_a_process_on_its_way_is_not_known_to_be_down(reason: Reason) -> None:
    found = believed(ConditionKind.RUNNING, process(reason))
    assert (found.status, found.reason) == (U, reason)


@pytest.mark.parametrize(
    ("identities", "counters", "changes"),
    [
        (["41:1"], [0], 0),  # the same incarnation
        (["42:2"], [0], 1),
        (["42:2", "43:3"], [0, 0], 2),
        (["42:2"], [1], 1),  # told twice, counted once
        (["41:1"], [2], 2),  # the manager counts, too
        (["41:1"], [40], 3),  # as many as matter
        (["", "41:1"], [0, 0], 0),  # nothing said
    ],
)
def test_restarts_that_keeper_did_not_order_are_counted(
    identities: list[str], counters: list[int], changes: int
) -> None:
    readings = tuple(
        process(Reason.PROCESS_UP, T, identity=identity, restarts=counter)
        for identity, counter in zip(identities, counters, strict=True)
    )
    world = healthy_world(readings=readings)
    assert len(judged(world).process_changed_at) == changes


def test_the_first_incarnation_and_our_own_restart_are_no_crash() -> None:
    up = process(Reason.PROCESS_UP, T, identity="42:2", restarts=1)
    for tenure in (
        a_tenure(process_identity="", process_restarts=-1),
        a_tenure(acted_at=ago(10)),
    ):
        after = judged(a_world(a_record(tenure), readings=(up,)))
        assert after.process_changed_at == ()
        assert (after.process_identity, after.process_restarts) == ("42:2", 1)


def test_a_process_that_keeps_dying_is_down_even_if_its_manager_says_up() -> None:
    changed = (ago(100), ago(50))
    tenure = a_tenure(process_changed_at=changed)
    up = process(Reason.PROCESS_UP, T, identity="42:2")
    world = a_world(a_record(tenure), readings=(up,))
    running = condition_of(judged(world), ConditionKind.RUNNING)
    assert running is not None
    assert (running.status, running.reason) == (F, Reason.CRASH_LOOP)


def test_a_crash_loop_ends_when_its_window_is_over() -> None:
    said = conditions(running=(F, Reason.CRASH_LOOP))
    for changed in ((ago(400), ago(350), ago(301)), ()):
        tenure = a_tenure(conditions=said, process_changed_at=changed)
        running = condition_of(judged(a_world(a_record(tenure))), ConditionKind.RUNNING)
        assert running is not None
        assert (running.status, running.reason) == (T, Reason.PROCESS_UP)


# --- the link ---------------------------------------------------------------------------------------


def link(status: Status, reason: Reason) -> Reading:
    return a_reading(Subject.LINK, status, reason)


REFUSED = link(F, Reason.DIAL_REFUSED)


def test_losing_the_link_is_unknown_and_not_unhealthy() -> None:
    found = believed(ConditionKind.REACHABLE, link(U, Reason.LINK_LOST))
    assert (found.status, found.reason) == (U, Reason.LINK_LOST)


def test_refused_dials_must_repeat() -> None:
    assert believed(ConditionKind.REACHABLE, REFUSED, REFUSED).status is T
    assert believed(ConditionKind.REACHABLE, REFUSED, REFUSED, REFUSED).status is F


def test_a_refusing_host_stays_one_while_nobody_knows_better() -> None:
    before = a_condition(ConditionKind.REACHABLE, F, Reason.DIAL_REFUSED, bad=3)
    found = believed(ConditionKind.REACHABLE, link(U, Reason.PROBE_FAILED), before=before)
    assert found == before


def test_one_link_is_proof() -> None:
    before = a_condition(ConditionKind.REACHABLE, F, Reason.DIAL_REFUSED, bad=3)
    assert believed(ConditionKind.REACHABLE, link(T, Reason.LINK_UP), before=before).status is T


def test_another_host_key_is_believed_at_once_and_told_once() -> None:
    world = healthy_world(readings=(link(F, Reason.HOST_KEY_CHANGED),))
    plan = decide(world)
    assert len(events_of(plan, facts_of.HostKeyChanged)) == 1
    assert status_of(record_after(world, plan).tenure, ConditionKind.REACHABLE) is F
    again = applied(world, plan, readings=(link(F, Reason.HOST_KEY_CHANGED),))
    assert events_of(decide(again), facts_of.HostKeyChanged) == []


def test_the_host_key_of_the_first_contact_is_pinned_and_kept() -> None:
    world = healthy_world(host_keys={HOST: "ssh-ed25519 AAAA"})
    assert judged(world).host_key == "ssh-ed25519 AAAA"
    world = a_world(a_record(a_tenure(host_key="one")), host_keys={HOST: "two"})
    assert judged(world).host_key == "one"


# --- GPU and disk -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "kind", "reason"),
    [
        (Subject.GPU, ConditionKind.HAS_GPU, Reason.DISPLAY_LOST),
        (Subject.DISK, ConditionKind.HAS_ROOM, Reason.DISK_FULL),
    ],
)
def test_what_is_said_once_on_change_is_taken_as_it_is(
    subject: Subject, kind: ConditionKind, reason: Reason
) -> None:
    found = believed(kind, a_reading(subject, F, reason))
    assert (found.status, found.reason) == (F, reason)


# --- silence ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        (Subject.LINK, ConditionKind.REACHABLE),
        (Subject.PROCESS, ConditionKind.RUNNING),
        (Subject.PICTURE, ConditionKind.STREAMING),
    ],
)
def test_a_witness_that_falls_silent_is_unknown(subject: Subject, kind: ConditionKind) -> None:
    heard = all_heard() | {(HOST, subject): ago(45)}
    world = healthy_world(heard_at=heard)
    plan = decide(world)
    found = condition_of(record_after(world, plan).tenure, kind)
    assert found is not None
    assert (found.status, found.reason) == (U, Reason.SILENT)
    changed = events_of(plan, facts_of.ConditionChanged)
    assert [(event.condition, event.status) for event in changed] == [(kind, U)]


def test_silence_is_looked_for_when_it_would_begin() -> None:
    assert decide(healthy_world()).next_check_at == ahead(44)


def test_a_new_process_listens_for_a_while_before_it_calls_a_witness_silent() -> None:
    world = healthy_world(heard_at={}, started_at=ago(44))
    assert status_of(judged(world), ConditionKind.STREAMING) is T
    world = healthy_world(heard_at={}, started_at=ago(45))
    assert status_of(judged(world), ConditionKind.STREAMING) is U
    world = healthy_world(heard_at={}, started_at=None)
    assert status_of(judged(world), ConditionKind.STREAMING) is U


# --- the marketplace's word -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        ({}, T, Reason.RUNNING),
        ({"state": MarketState.PENDING}, U, Reason.PENDING),
        ({"state": MarketState.OTHER}, U, Reason.PENDING),
        ({"state": MarketState.STOPPED}, F, Reason.MARKET_SAYS_DEAD),
        ({"state": MarketState.OFFLINE}, F, Reason.MARKET_SAYS_DEAD),
        ({"state": MarketState.UNKNOWN}, F, Reason.MARKET_SAYS_DEAD),
        ({"is_meant_to_run": False}, F, Reason.MARKET_STOPPED_IT),
        ({"state": MarketState.PENDING, "has_daemon_error": True}, F, Reason.BOOT_FAILED),
        ({"has_daemon_error": True}, T, Reason.RUNNING),  # an old text on a host that runs
    ],
)
def test_the_listing_says_whether_it_is_rented(
    said: dict[str, object], status: Status, reason: Reason
) -> None:
    instance = an_instance(**said)  # type: ignore[arg-type]
    found = condition_of(judged(healthy_world(listing=a_listing(instance))), ConditionKind.RENTED)
    assert found is not None
    assert (found.status, found.reason) == (status, reason)


def test_an_old_listing_says_nothing() -> None:
    world = healthy_world(listing=a_listing(an_instance(), age_s=181))
    found = condition_of(judged(world), ConditionKind.RENTED)
    assert found is not None
    assert (found.status, found.reason) == (U, Reason.SILENT)
    unlisted = healthy_world(listing=None)
    assert status_of(judged(unlisted), ConditionKind.RENTED) is U


def test_a_host_has_booted_when_the_market_and_the_link_agree() -> None:
    tenure = a_fresh_tenure(listed_at=ago(90))
    world = a_world(a_record(tenure), readings=(link(T, Reason.LINK_UP),))
    plan = decide(world)
    after = record_after(world, plan).tenure
    assert after is not None
    assert after.booted_at == NOW
    assert events_of(plan, facts_of.InstanceBooted)[0].duration_s == 100
    pending = replace(world, listing=a_listing(an_instance(state=MarketState.PENDING)))
    assert judged(pending).booted_at is None


def test_the_first_picture_is_remembered_with_how_long_it_took() -> None:
    unseen = conditions(streaming=UNSEEN)
    tenure = a_tenure(
        first_live_at=None, warm_at=None, warmup_s=None, deployed_at=ago(70), conditions=unseen
    )
    after = judged(a_world(a_record(tenure), readings=good_pictures()))
    assert (after.first_live_at, after.warm_at, after.warmup_s) == (NOW, NOW, 70)
    undeployed = a_tenure(
        first_live_at=None, warm_at=None, warmup_s=None, deployed_at=None, conditions=unseen
    )
    after = judged(a_world(a_record(undeployed), readings=good_pictures()))
    assert (after.first_live_at, after.warmup_s) == (NOW, None)


# --- time -------------------------------------------------------------------------------------------


def test_nothing_new_is_the_same_object() -> None:
    world = healthy_world(readings=good_pictures(1))
    plan = decide(world)
    assert plan.records == ()
    assert plan.events == ()
    assert plan.condemned is world.condemned


def test_a_clock_that_steps_back_lets_nothing_lie_in_the_future() -> None:
    world = healthy_world()
    earlier = NOW - timedelta(hours=2)
    tenure = judged(world, earlier)
    moments = [tenure.requested_at, tenure.rented_at, tenure.booted_at, tenure.deployed_at]
    assert max(moment for moment in moments if moment is not None) <= earlier
    assert all(condition.since <= earlier for condition in tenure.conditions)


def test_conditions_of_an_older_record_are_completed() -> None:
    tenure = a_tenure(conditions=(a_condition(ConditionKind.STREAMING, good=2),))
    assert status_of(tenure, ConditionKind.STREAMING) is T
    assert status_of(tenure, ConditionKind.RUNNING) is U
    assert status_of(None, ConditionKind.RUNNING) is U
    after = judged(a_world(a_record(tenure)))
    assert [condition.kind for condition in after.conditions] == list(ConditionKind)
    assert status_of(after, ConditionKind.STREAMING) is T


# --- a rental that the marketplace has stopped ------------------------------------------------------

STOPPED = {"state": MarketState.STOPPED, "is_meant_to_run": False}


def stopped(for_s: float, *, seen_s: float | None, **said: object) -> World:
    """A host on air that listings have shown as stopped for so long; its picture was seen last then."""
    told = {
        "rented": a_condition(ConditionKind.RENTED, F, Reason.MARKET_STOPPED_IT, for_s=for_s),
        "reachable": (U, Reason.LINK_LOST),
        **said,
    }
    tenure = a_tenure(dead_since=ago(for_s), conditions=conditions(**told))  # type: ignore[arg-type]
    heard = {} if seen_s is None else {(HOST, Subject.PICTURE): ago(seen_s)}
    return a_world(
        a_record(tenure),
        heard_at=heard,
        listing=a_listing(an_instance(HOST, tenure.label, **STOPPED)),
    )


@pytest.mark.parametrize(
    ("world", "status"),
    [
        (stopped(31, seen_s=40), F),
        (stopped(31, seen_s=None), F),
        (stopped(29, seen_s=40), T),  # as much patience as a bad picture needs
        (stopped(31, seen_s=5), T),  # seen since: the picture is the truth
        (stopped(31, seen_s=40, reachable=(T, Reason.LINK_UP)), T),  # the link contradicts it
        (stopped(9000, seen_s=9100), F),  # and it does not fall back to not knowing
    ],
)
def test_a_stopped_rental_that_nobody_sees_is_dark(world: World, status: Status) -> None:
    """The listing and the silence of the viewer are two witnesses; 82 s were not counted as dark."""
    tenure = judged(world)
    assert status_of(tenure, ConditionKind.STREAMING) is status
    if status is F:
        streaming = condition_of(tenure, ConditionKind.STREAMING)
        assert streaming is not None
        assert streaming.reason is Reason.MARKET_STOPPED_IT
        assert streaming.since == ago(9000 if world == stopped(9000, seen_s=9100) else 31)
        again = applied(world, decide(replace(world, is_leader=False)))
        assert judged(again) is again.records[SLOT].tenure


def test_an_offline_host_is_not_known_to_be_dark() -> None:
    """A marketplace that hears nothing of a host knows as little as we do."""
    world = stopped(31, seen_s=40)
    assert world.listing is not None
    silent = tuple(
        replace(each, state=MarketState.OFFLINE, is_meant_to_run=True)
        for each in world.listing.instances
    )
    world = replace(world, listing=replace(world.listing, instances=silent))
    assert status_of(judged(world), ConditionKind.STREAMING) is not F


def test_a_stopped_rental_is_looked_at_when_its_patience_ends() -> None:
    plan = decide(replace(stopped(10, seen_s=15), is_leader=False))
    assert plan.next_check_at == ahead(20)


def test_an_outbid_host_is_dark_for_being_outbid() -> None:
    world = stopped(31, seen_s=40)
    record = world.records[SLOT]
    assert record.tenure is not None
    beaten = replace(record.tenure, is_bid=True, outbid_since=ago(31))
    world = replace(world, records={SLOT: replace(record, tenure=beaten)})
    streaming = condition_of(judged(world), ConditionKind.STREAMING)
    assert streaming is not None
    assert (streaming.status, streaming.reason) == (F, Reason.OUTBID)
