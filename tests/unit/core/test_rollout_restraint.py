"""What a changed workload waits for, until when, and what no rollout does to a host that viewers see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.decisions import Deploy, Plan, Rent, Wait
from keeper.core.events import RevisionBad
from keeper.core.model import (
    Condition,
    ConditionKind,
    Desired,
    Incident,
    InstanceId,
    Mode,
    Revision,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    Subject,
)
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance
from keeper.core.world import OrderKind, World
from tests.builders import (
    DUEL,
    HOST,
    SLOT,
    a_condition,
    a_desire,
    a_fresh_tenure,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    all_heard,
    an_order,
    conditions,
    decide,
    decision_for,
    events_of,
    record_after,
)
from tests.unit.core.test_allowances import a_window
from tests.unit.core.test_rollout import (
    FLAPPING,
    HALF,
    HALFWAY,
    NEW,
    OLD,
    OTHER_IMAGE,
    PROVEN,
    ROLLED,
    SICK,
    TRIED,
    a_case,
    a_host,
    dark,
    handing_over,
    moved,
    put,
    slot,
)

NEW_IS_PROVEN = (PROVEN, replace(TRIED, proven_at=ago(5000)))
BAD = replace(TRIED, bad_at=ago(60), bad_reason=Reason.FROZEN, bad_slot=SLOT)
NO_LINK = (Status.FALSE, Reason.DIAL_REFUSED)
NO_GPU = (Status.FALSE, Reason.GPU_LOST)
GONE = (Status.FALSE, Reason.PROCESS_GONE)
UNSEEN = (Status.UNKNOWN, Reason.NOT_ASKED)
FROZEN = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=60, bad=3)


def act_on(plan: Plan, at: SlotId = SLOT) -> tuple[str, Reason]:
    decision = decision_for(plan, at)
    return decision.name, decision.reason


LEFT_ALONE = ("wait", Reason.HEALTHY)


def saying(record: SlotRecord, **said: tuple[Status, Reason] | Condition) -> SlotRecord:
    assert record.tenure is not None
    return replace(record, tenure=replace(record.tenure, conditions=conditions(**said)))


# --- until when -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "at_s"),
    [
        (a_case(FLAPPING), 1),
        (a_case(put(a_host(0, NEW), 595.0)), 5),
        (a_case(a_host(0, NEW), put(a_host(1, NEW), 50.0), a_host(2), kept=NEW_IS_PROVEN), 10),
        (a_case(a_host(), slot_pauses={SLOT: a_pause(until_s=7)}), 7),
    ],
    ids=["a host keeps what it got for a while", "a deploy proves itself", "the slot before comes back",
         "a person keeps the slot"],
)  # fmt: skip
def test_it_is_looked_at_again_when_that_is_over(case: tuple[World, Desired], at_s: float) -> None:
    plan = decide(*case)
    assert moved(plan) == []
    assert plan.next_check_at == ahead(at_s)


def test_between_two_tries_it_is_said_when_the_next_one_comes() -> None:
    failed_once = a_host(0, OLD, putting=NEW, deploy_failures=1, acted_at=ago(4))
    wait = decision_for(decide(*a_case(failed_once)))
    assert isinstance(wait, Wait)
    assert (wait.reason, wait.until) == (Reason.BACKING_OFF, ahead(6))


def test_a_hand_over_to_a_new_deploy_says_when_that_is_proven() -> None:
    wait = decision_for(decide(*handing_over()))
    assert isinstance(wait, Wait)
    assert (wait.reason, wait.until) == (Reason.ROLLOUT, ahead(480))


@pytest.mark.parametrize(("seen_s", "is_next"), [(59.0, False), (60.0, True)])
def test_the_next_one_comes_when_the_one_before_has_been_back_as_long_as_a_hand_over_takes(
    seen_s: float, *, is_next: bool
) -> None:
    case = a_case(a_host(0, NEW), put(a_host(1, NEW), seen_s), a_host(2), kept=NEW_IS_PROVEN)
    assert moved(decide(*case)) == ([(slot(2), Reason.ROLLOUT)] if is_next else [])


@pytest.mark.parametrize(("tried_s", "done"), [(599.0, []), (600.0, [ROLLED])])
def test_a_host_that_would_not_take_it_twice_is_tried_again_much_later(
    tried_s: float, done: list[tuple[SlotId, Reason]]
) -> None:
    """It serves meanwhile: nobody gives up a picture for a deploy."""
    case = a_case(
        a_host(0, OLD, putting=NEW, deploy_failures=2, acted_at=ago(tried_s)),
        a_host(1, NEW), kept=NEW_IS_PROVEN,
    )  # fmt: skip
    plan = decide(*case)
    assert moved(plan) == done
    if not done:
        assert act_on(plan) == LEFT_ALONE


# --- what comes first -------------------------------------------------------------------------------

INCIDENT = Incident(incident_id="i1", opened_at=ago(90), reason=Reason.FROZEN, dark_since=ago(90))
COMING = a_fresh_tenure(label="keeper:k1:duel/1:2", instance_id=InstanceId(9001), revision=OLD)
SERVES = [
    ("a slot whose incident is still open", replace(a_host(1), incident=INCIDENT)),
    ("a slot that is being handed over", replace(a_host(1), incoming=COMING)),
    ("a host that nothing was ever put on, as far as anybody knows", a_host(1, NEW, deployed_at=None)),
]  # fmt: skip


@pytest.mark.parametrize("other", [row[1] for row in SERVES], ids=[row[0] for row in SERVES])
def test_no_change_comes_while_another_slot_is_not_settled(other: SlotRecord) -> None:
    plan = decide(*a_case(a_host(0), other, kept=NEW_IS_PROVEN))
    assert act_on(plan) == LEFT_ALONE


def test_a_slot_that_is_handed_over_gets_no_change_beside_that() -> None:
    record = replace(a_host(0), incoming=replace(COMING, label="keeper:k1:duel/0:2"))
    assert moved(decide(*a_case(record))) == []


def test_a_person_may_have_it_where_an_incident_is_still_open() -> None:
    record = replace(a_host(), incident=INCIDENT, deploy_asked_at=ago(5))
    assert moved(decide(*a_case(record))) == [ROLLED]


def test_where_keeper_only_looks_on_nothing_is_even_proposed() -> None:
    plan = decide(*a_case(a_host(), stream=a_stream(mode=Mode.OBSERVE)))
    assert act_on(plan) == LEFT_ALONE


def test_what_may_not_be_done_now_is_not_proposed_either() -> None:
    """Held back it would look like something that a person has to see to."""
    plan = decide(*a_case(a_host(0), a_host(1), slot_pauses={SLOT: a_pause()}))
    assert act_on(plan) == LEFT_ALONE
    assert moved(plan) == [(slot(1), Reason.ROLLOUT)]


@pytest.mark.parametrize(("name", "done"), [("duel", []), ("other", [ROLLED])])
def test_a_window_is_for_the_stream_that_it_names(
    name: str, done: list[tuple[SlotId, Reason]]
) -> None:
    case = a_case(a_host(), windows=(a_window(Allowance.REPAIR, name),))
    assert moved(decide(*case)) == done


# --- over the link ----------------------------------------------------------------------------------


def test_nothing_is_put_on_a_host_without_a_link() -> None:
    plan = decide(*a_case(saying(a_host(), reachable=NO_LINK)))
    assert act_on(plan) == LEFT_ALONE


def test_nor_by_a_link_of_an_earlier_process() -> None:
    """Commands by it would fail. Its last word is not old, and the viewer has spoken since."""
    heard_at = {key: ago(15) if key[1] is Subject.LINK else at for key, at in all_heard().items()}
    case = a_case(a_host(), started_at=ago(10), heard_at=heard_at)
    assert act_on(decide(*case)) == LEFT_ALONE
    again = {**heard_at, (HOST, Subject.LINK): ago(5)}
    assert moved(decide(*a_case(a_host(), started_at=ago(10), heard_at=again))) == [ROLLED]


def test_a_dark_host_is_not_given_up_for_the_link_that_a_roll_back_lacks() -> None:
    """The link may come back in a moment; a host that refuses for long is given up by its own rule."""
    cut_off = a_condition(ConditionKind.REACHABLE, *NO_LINK, for_s=60, bad=1)
    record = saying(dark(put(a_host(0, NEW), 300.0)), reachable=cut_off, streaming=FROZEN)
    plan = decide(*a_case(record, a_host(1), kept=(PROVEN, BAD)))
    assert (moved(plan), plan.condemned) == ([], ())


@pytest.mark.parametrize(
    ("changes", "said", "act"),
    [
        ({"ends_at": ahead(3000), "ending_since": ago(90)}, {},
         ("rent", Reason.CONTRACT_ENDING)),
        ({}, {"has_gpu": NO_GPU, "streaming": FROZEN}, ("destroy", Reason.GPU_LOST)),
    ],
    ids=["its contract ends", "its GPU is gone"],
)  # fmt: skip
def test_what_was_begun_is_not_finished_on_a_host_that_must_go(
    changes: dict[str, Any], said: dict[str, Any], act: tuple[str, Reason]
) -> None:
    record = saying(a_host(0, OLD, putting=NEW, **changes), **said)
    if said:
        record = replace(record, dark_since=ago(60), healthy_since=None)
    assert act_on(decide(*a_case(record, a_host(1, NEW), kept=NEW_IS_PROVEN))) == act


@pytest.mark.parametrize(
    ("said", "verdicts"),
    [({"has_gpu": NO_GPU}, []), ({}, [Reason.PROCESS_GONE])],
    ids=["lost", "there"],
)
def test_nothing_is_held_against_a_deploy_on_a_host_whose_gpu_is_gone(
    said: dict[str, Any], verdicts: list[Reason]
) -> None:
    """Seed 4337 of any fleet: the card fell off while the deploy was put there, and the process died
    before a viewer had looked.
    """
    record = saying(put(a_host(0, NEW), 300.0), running=GONE, streaming=UNSEEN, **said)
    plan = decide(*a_case(record, a_host(1)))
    assert [each.reason for each in events_of(plan, RevisionBad)] == verdicts


@pytest.mark.parametrize(
    ("host", "verdicts"),
    [
        (a_host(0, OLD, putting=NEW), []),
        (put(a_host(0, NEW), 300.0), [Reason.UNREACHABLE]),
    ],
    ids=["being put there", "on it"],
)
def test_a_deploy_whose_link_was_cut_is_not_to_blame_for_what_was_not_started(
    host: SlotRecord, verdicts: list[Reason]
) -> None:
    """Seed 13467 of any fleet: SSH died between its stop and its start, and so a good change was called bad."""
    nobody = a_condition(
        ConditionKind.STREAMING, Status.FALSE, Reason.UNREACHABLE, for_s=150, bad=3
    )
    refused = a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED, for_s=200)
    unheard = a_condition(ConditionKind.RUNNING, Status.UNKNOWN, Reason.SILENT, for_s=100)
    record = saying(host, streaming=nobody, reachable=refused, running=unheard)
    record = replace(record, dark_since=ago(150), healthy_since=None)
    world, desired = a_case(record, a_host(1))
    rungs = (Rung.RESTART_PROCESS, Rung.REBOOT)
    can_reboot = {DUEL: {OLD: replace(world.makeable[DUEL][OLD], rungs=rungs)}}
    plan = decide(replace(world, makeable=can_reboot), desired)
    assert [each.reason for each in events_of(plan, RevisionBad)] == verdicts
    assert act_on(plan) == ("reboot", Reason.UNREACHABLE)


def test_a_restart_that_a_person_asks_for_is_a_restart() -> None:
    """Whatever should be on the host in the end."""
    bad_here = a_case(put(a_host(0, NEW), 300.0), a_host(1), kept=(PROVEN, BAD))
    world, desired = for_another_image(*bad_here)
    plan = decide(replace(world, orders=(an_order(OrderKind.RESTART),)), desired)
    assert act_on(plan) == ("restart", Reason.OPERATOR_ASKED)


# --- by another rental ------------------------------------------------------------------------------


def for_another_image(world: World, desired: Desired) -> tuple[World, Desired]:
    """What is declared needs another image than what worked before."""
    (stream,) = desired.streams
    kept = tuple(
        replace(each, rental_mark="m2") if each.name == NEW else each
        for each in world.revisions[DUEL]
    )
    stream = replace(stream, rental=OTHER_IMAGE, rental_mark="m2")
    return replace(world, revisions={DUEL: kept}), replace(desired, streams=(stream,))


def another_image(*records: SlotRecord, kept: tuple[Revision, ...], **changes: Any) -> Plan:
    return decide(*for_another_image(*a_case(*records, kept=kept, **changes)))


def test_a_bad_image_goes_by_handing_over_while_viewers_see_it() -> None:
    plan = another_image(put(a_host(0, NEW), 700.0), a_host(1), kept=(PROVEN, BAD))
    rent = decision_for(plan)
    assert isinstance(rent, Rent)
    assert (rent.reason, rent.spec.image) == (Reason.ROLLBACK, "duel:1")
    assert plan.condemned == ()


def test_a_dark_host_with_a_bad_image_is_given_up_at_once() -> None:
    plan = another_image(dark(put(a_host(0, NEW), 300.0)), a_host(1), kept=(PROVEN, BAD))
    assert act_on(plan) == ("destroy", Reason.BAD_DEPLOY)


def test_a_dark_host_that_lacks_a_good_image_is_repaired_with_what_it_has() -> None:
    plan = another_image(dark(a_host(0)), a_host(1, NEW), kept=NEW_IS_PROVEN)
    assert act_on(plan)[0] == "restart"


def test_no_image_is_changed_while_another_slot_is_sick() -> None:
    plan = another_image(a_host(0), SICK, kept=(PROVEN, TRIED))
    assert act_on(plan) == LEFT_ALONE


# --- the host that comes ----------------------------------------------------------------------------


def coming(kept: tuple[Revision, ...] | None = None, **changes: Any) -> Plan:
    world, desired = handing_over(**changes)
    return decide(replace(world, revisions={DUEL: kept or world.revisions[DUEL]}), desired)


OLD_HOST, NEW_HOST = HOST, InstanceId(9000)


def test_one_that_was_to_try_what_is_declared_no_more_goes_and_the_old_one_stays() -> None:
    plan = coming(HALFWAY, revision=HALF)
    assert [(each.instance_id, each.reason) for each in plan.condemned] == [
        (NEW_HOST, Reason.SUPERSEDED)
    ]


@pytest.mark.parametrize(
    ("sentence", "kept", "revision"),
    [
        ("what worked before takes over at once", None, OLD),
        ("what is proven does, too", NEW_IS_PROVEN, NEW),
        ("and what has no name", None, ""),
    ],
)
def test_only_what_is_on_trial_must_prove_itself_for_longer_than_any_host(
    sentence: str, kept: tuple[Revision, ...] | None, revision: str
) -> None:
    plan = coming(kept, revision=revision)
    assert [each.instance_id for each in plan.condemned] == [OLD_HOST], sentence


# --- where deploys have no names --------------------------------------------------------------------


def unnamed(stream: Stream, record: SlotRecord, *kept: Revision) -> Plan:
    world = a_world(record, revisions={DUEL: kept} if kept else {})
    return decide(world, a_desire(replace(stream, revision="")))


@pytest.mark.parametrize(("name", "kept"), [("", ()), (OLD, (PROVEN,))])
def test_a_host_gets_what_there_is_under_no_name(name: str, kept: tuple[Revision, ...]) -> None:
    empty = conditions(
        deployed=(Status.FALSE, Reason.NOT_DEPLOYED),
        running=(Status.FALSE, Reason.PROCESS_GONE), streaming=(Status.FALSE, Reason.NO_BYTES),
    )  # fmt: skip
    host = a_tenure(revision=name, deployed_at=None, warm_at=None, conditions=empty)
    plan = unnamed(a_stream(), a_record(host, dark_since=ago(30), healthy_since=None), *kept)
    act = decision_for(plan)
    assert isinstance(act, Deploy)
    assert act.revision == ""


def test_a_host_is_rented_under_no_name() -> None:
    world, desired = a_case(a_record(ever_on_air=True), kept=())
    (stream,) = desired.streams
    plan = decide(world, replace(desired, streams=(replace(stream, revision=""),)))
    assert moved(plan) == [(SLOT, Reason.VACANT)]
    tenure = record_after(world, plan).tenure
    assert tenure is not None
    assert tenure.revision == ""
