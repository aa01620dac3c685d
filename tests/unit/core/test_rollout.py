"""A changed workload comes to one slot first; a bad one goes again and takes nothing else along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from keeper.core.decisions import Deploy, Hold, Plan, Rent, Restart
from keeper.core.events import RevisionBad, RevisionDeclared, RevisionPardoned, RevisionProven
from keeper.core.model import (
    ConditionKind,
    DeployWhen,
    Desired,
    Failure,
    HostId,
    InstanceId,
    IntentKind,
    MachineId,
    Makeable,
    Mode,
    Remedy,
    RemedyUse,
    RentalSpec,
    Revision,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    Symptom,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance
from keeper.core.world import OrderKind, OutcomeKind, World
from tests.builders import (
    DUEL,
    HOST,
    NOW,
    SLOT,
    a_book,
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
    an_intent,
    an_offer,
    an_order,
    an_outcome,
    applied,
    conditions,
    decide,
    decision_for,
    events_of,
    record_after,
)
from tests.unit.core.test_allowances import a_window

OLD, NEW = "old", "new"
IMAGE = RentalSpec(image="duel:1", disk_gb=120.0)
OTHER_IMAGE = RentalSpec(image="duel:2", disk_gb=120.0)


def slot(number: int) -> SlotId:
    return SlotId(f"duel/{number}")


def a_host(number: int = 0, revision: str = OLD, **changes: object) -> SlotRecord:
    """On air for 50 minutes with a revision."""
    tenure = a_tenure(
        label=f"keeper:k1:duel/{number}:1", instance_id=InstanceId(HOST + number),
        machine_id=MachineId(201 + number), host_id=HostId(301 + number), revision=revision,
    )  # fmt: skip
    return a_record(replace(tenure, **changes), slot=slot(number))  # type: ignore[arg-type]


def revision(name: str, **changes: object) -> Revision:
    kept = Revision(
        stream=DUEL, name=name, declared_at=ago(86_400), recipe="{}", rental_mark="m",
        parts={"image": "i", "env.MODEL": name},
    )  # fmt: skip
    return replace(kept, **changes)  # type: ignore[arg-type]


PROVEN = revision(OLD, proven_at=ago(80_000))
TRIED = revision(NEW, declared_at=ago(900))
MAKEABLE = {DUEL: {OLD: Makeable(rental=IMAGE, rungs=(Rung.RESTART_PROCESS,))}}


def a_case(
    *records: SlotRecord,
    kept: tuple[Revision, ...] = (PROVEN, TRIED),
    stream: Stream | None = None,
    **changes: object,
) -> tuple[World, Desired]:
    """Slots of one stream, for which NEW is declared."""
    declared = replace(
        stream or a_stream(spend_max_dollars_per_hour=50.0), replicas=len(records),
        revision=NEW, rental_mark="m", recipe="{}", parts={"image": "i", "env.MODEL": NEW},
    )  # fmt: skip
    world = a_world(
        *records, revisions={DUEL: kept} if kept else {}, makeable=MAKEABLE,
        offers={DUEL: a_book(*(an_offer(n) for n in range(20, 25)))},
    )  # fmt: skip
    desired = a_desire(declared, spend_max_dollars_per_hour=50.0)
    return replace(world, **changes), desired  # type: ignore[arg-type]


def moved(plan: Plan) -> list[tuple[SlotId, Reason]]:
    """Which slots get another deploy, and why."""
    acts = [d for d in plan.decisions if isinstance(d, Deploy | Rent)]
    return [(d.slot, d.reason) for d in acts]


def dark(record: SlotRecord, reason: Reason = Reason.FROZEN, for_s: float = 60.0) -> SlotRecord:
    bad = a_condition(ConditionKind.STREAMING, Status.FALSE, reason, for_s=for_s, bad=3)
    assert record.tenure is not None
    tenure = replace(record.tenure, conditions=conditions(streaming=bad), acted_at=ago(for_s + 60))
    return replace(record, tenure=tenure, dark_since=ago(for_s), healthy_since=None)


def put(record: SlotRecord, before_s: float, **changes: object) -> SlotRecord:
    """The same with another deploy, so long ago."""
    assert record.tenure is not None
    tenure = replace(
        record.tenure, deployed_at=ago(before_s), acted_at=ago(before_s), **changes  # type: ignore[arg-type]
    )  # fmt: skip
    return replace(record, tenure=tenure, last_act="deploy", last_act_reason=Reason.ROLLOUT)


def tenure_after(world: World, plan: Plan, at: SlotId = SLOT) -> Tenure:
    tenure = record_after(world, plan, at).tenure
    assert tenure is not None
    return tenure


@pytest.mark.parametrize(("for_s", "is_proven"), [(600.0, True), (599.0, False)])
def test_what_is_declared_no_more_proves_itself_as_well(for_s: float, is_proven: bool) -> None:
    """A change was declared ten seconds before what it follows had been on air for long enough.

    It was bad, and nothing was known to work: the stream was dark until somebody came.
    """
    unproven = (revision(OLD), replace(TRIED, declared_at=ago(10)))
    plan = decide(*a_case(put(a_host(0), for_s), kept=unproven))
    proven = [event.revision for event in events_of(plan, RevisionProven)]
    assert proven == ([OLD] if is_proven else [])
    assert moved(plan) == ([ROLLED] if is_proven else [])


@pytest.mark.parametrize("given", [replace(TRIED, bad_at=ago(9)), replace(TRIED, proven_at=ago(9))])
def test_what_is_bad_or_proven_proves_nothing_more(given: Revision) -> None:
    plan = decide(*a_case(a_host(0, NEW), kept=(PROVEN, given)))
    assert events_of(plan, RevisionProven) == []


# --- rolling out ------------------------------------------------------------------------------------

ROLLED = (SLOT, Reason.ROLLOUT)
FLAPPING = put(a_host(), 599.0)
BETWEEN = a_host(1, NEW, putting=OLD)
WINDOWED = a_stream(policy=replace(a_stream().policy, deploy_when=DeployWhen.BOUNDARY))
SICK = dark(a_host(1))
EMPTY = a_record(slot=slot(1), ever_on_air=True, dark_since=ago(60))
ROOM_FOR_TWO = a_stream(spend_max_dollars_per_hour=1.1)


def without_room(number: int) -> SlotRecord:
    return a_record(
        slot=slot(number), ever_on_air=True, dark_since=ago(60), last_reason=Reason.BUDGET
    )


# sentence, case, what is done
ROWS = [
    ("what is declared comes to the first slot", a_case(a_host(0), a_host(1)), [ROLLED]),
    ("what is there already is left alone", a_case(a_host(0, NEW), a_host(1, NEW)), []),
    ("the others wait until the first has proven it",
     a_case(put(a_host(0, NEW), 500.0), a_host(1), a_host(2)), []),
    ("then comes the next", a_case(a_host(0, NEW), a_host(1), a_host(2)),
     [(slot(1), Reason.ROLLOUT)]),
    ("and not before the one before it is back",
     a_case(a_host(0, NEW), put(a_host(1, NEW), 50.0), a_host(2),
            kept=(PROVEN, replace(TRIED, proven_at=ago(100)))), []),
    ("then it, too",
     a_case(a_host(0, NEW), put(a_host(1, NEW), 61.0), a_host(2),
            kept=(PROVEN, replace(TRIED, proven_at=ago(100)))), [(slot(2), Reason.ROLLOUT)]),
    ("never while another slot is sick", a_case(a_host(0), SICK), [(slot(1), Reason.FROZEN)]),
    ("nor while one has no host and is about to get one",
     a_case(a_host(0), EMPTY, stream=ROOM_FOR_TWO), [(slot(1), Reason.VACANT)]),
    ("but one that a cap keeps empty, for who knows how long, is not waited for",
     a_case(a_host(0), a_host(1), without_room(2), stream=ROOM_FOR_TWO), [ROLLED]),
    ("and if it had a host before the cap, that is sick still",
     a_case(a_host(0), replace(SICK, last_reason=Reason.BUDGET), stream=ROOM_FOR_TWO),
     [(slot(1), Reason.FROZEN)]),
    ("nor while one is between two deploys", a_case(a_host(0), BETWEEN), [(slot(1), Reason.ROLLOUT)]),
    ("a host that got something a moment ago keeps it for a while", a_case(FLAPPING), []),
    ("paused means hands off", a_case(a_host(0), pause=a_pause()), []),
    ("a paused slot is passed over",
     a_case(a_host(0), a_host(1), slot_pauses={SLOT: a_pause()}), [(slot(1), Reason.ROLLOUT)]),
    ("a stream that observes is left alone", a_case(a_host(0), stream=a_stream(mode=Mode.OBSERVE)), []),
    ("a window that allows repairs allows no change",
     a_case(a_host(0), windows=(a_window(Allowance.REPAIR),)), []),
    ("one that allows to replace does", a_case(a_host(0), windows=(a_window(Allowance.REPLACE),)),
     [ROLLED]),
    ("who asks for a boundary waits for a window", a_case(a_host(0), stream=WINDOWED), []),
    ("and gets it in one",
     a_case(a_host(0), stream=WINDOWED, windows=(a_window(Allowance.REPLACE),)), [ROLLED]),
    ("a box that cannot see changes nothing", a_case(a_host(0), own_network=Status.FALSE), []),
    ("a host that this process has not heard of yet is waited for",
     a_case(a_host(putting=NEW), heard_at={}), []),
    ("what was found bad is put nowhere",
     a_case(a_host(0), kept=(PROVEN, replace(TRIED, bad_at=ago(60)))), []),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "case", "done"), ROWS, ids=[row[0] for row in ROWS])
def test_when_a_changed_workload_is_put_on_a_host(
    sentence: str, case: tuple[World, Desired], done: list[tuple[SlotId, Reason]]
) -> None:
    plan = decide(*case)
    acts = [(d.slot, d.reason) for d in plan.decisions if isinstance(d, Deploy | Rent | Restart)]
    assert acts == done, sentence


def test_the_intent_says_what_is_put_there_and_the_host_is_a_mixture_until_it_is() -> None:
    world, desired = a_case(a_host())
    plan = decide(world, desired)
    act = decision_for(plan)
    assert isinstance(act, Deploy)
    assert act.revision == NEW
    assert [each.kind for each in plan.intents_opened] == [IntentKind.DEPLOY]
    tenure = tenure_after(world, plan)
    assert (tenure.revision, tenure.putting) == (OLD, NEW)


def test_what_was_cut_short_is_done_again_and_once() -> None:
    """A crash in the middle: the intent is open, nobody works on it, and what is there is unknown."""
    world, desired = a_case(a_host(putting=NEW, acted_at=ago(15)), a_host(1))
    intent = replace(an_intent(IntentKind.DEPLOY), slot=SLOT, instance_id=HOST)
    plan = decide(replace(world, intents=(intent,)), desired)
    assert moved(plan) == [ROLLED]
    assert plan.intents_closed == (intent.intent_id,)


def done(world: World, desired: Desired, plan: Plan, at: datetime = NOW, **said: Any) -> World:
    """The world in which the deploys of a plan are over."""
    (opened,) = plan.intents_opened
    outcome = an_outcome(opened, at=at, **said)
    return applied(world, plan, outcomes=(outcome,), in_flight=frozenset())


def test_what_was_seen_before_says_nothing_of_another_workload() -> None:
    world, desired = a_case(a_host())
    world = done(world, desired, decide(world, desired))
    plan = decide(world, desired)
    tenure = tenure_after(world, plan)
    assert (tenure.revision, tenure.putting) == (NEW, "")
    assert tenure.deployed_at == NOW
    assert tenure.warm_at is None
    assert decision_for(plan).reason is Reason.WARMING_UP


def test_an_image_is_changed_by_handing_over() -> None:
    """Make before break: another host is rented for the new one, and counted as a replacement."""
    world, desired = a_case(a_host(), kept=(PROVEN, replace(TRIED, rental_mark="m2")))
    (stream,) = desired.streams
    stream = replace(stream, rental=OTHER_IMAGE, rental_mark="m2")
    desired = replace(desired, streams=(stream,))
    plan = decide(world, desired)
    act = decision_for(plan)
    assert isinstance(act, Rent)
    assert (act.reason, act.spec.image) == (Reason.ROLLOUT, "duel:2")
    record = record_after(world, plan)
    assert record.incoming is not None
    assert record.incoming.revision == NEW
    spent = replace(a_host(), replaced_at=tuple(ago(1000 + n) for n in range(5)))
    assert moved(decide(replace(world, records={SLOT: spent}), desired)) == []
    # Not shortly before nothing may be done: the old host could not be ended (I5). A person's word
    # stands above that.
    soon = replace(a_window(Allowance.OBSERVE), since=ahead(240), until=ahead(7200))
    world = replace(world, windows_ahead=(soon,))
    assert moved(decide(world, desired)) == []
    asked = replace(world.records[SLOT], deploy_asked_at=ago(5))
    assert moved(decide(replace(world, records={SLOT: asked}), desired)) == [ROLLED]


def handing_over(**changes: object) -> tuple[World, Desired]:
    """The next host shows the new picture since two minutes."""
    good = a_condition(ConditionKind.STREAMING, Status.TRUE, Reason.LIVE, for_s=120)
    incoming = a_tenure(
        label="keeper:k1:duel/0:2", attempt=2, instance_id=InstanceId(9000), revision=NEW,
        machine_id=MachineId(401), host_id=HostId(501), conditions=conditions(streaming=good),
        deployed_at=ago(200), booted_at=ago(300), rented_at=ago(400), first_live_at=ago(120),
    )  # fmt: skip
    record = replace(a_host(), incoming=replace(incoming, **changes))  # type: ignore[arg-type]
    world, desired = a_case(record, kept=(PROVEN, replace(TRIED, rental_mark="m2")))
    (stream,) = desired.streams
    stream = replace(stream, rental=OTHER_IMAGE, rental_mark="m2")
    return world, replace(desired, streams=(stream,))


def test_the_old_host_serves_until_the_new_deploy_is_proven() -> None:
    world, desired = handing_over()
    wait = decision_for(decide(world, desired))
    assert (wait.name, wait.reason) == ("wait", Reason.ROLLOUT)
    later = NOW + timedelta(seconds=480)
    heard = {key: at + timedelta(seconds=480) for key, at in world.heard_at.items()}
    listing = world.listing and replace(world.listing, at=later)
    plan = decide(replace(world, heard_at=heard, listing=listing), desired, later)
    assert record_after(world, plan).tenure == record_after(world, plan).tenure
    assert tenure_after(world, plan).revision == NEW
    (proven,) = events_of(plan, RevisionProven)
    assert proven.revision == NEW


def test_a_host_that_never_shows_the_new_deploy_costs_itself_and_nothing_else() -> None:
    bad = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.BLACK, for_s=300, bad=3)
    world, desired = handing_over(
        booted_at=ago(901), deployed_at=ago(890), first_live_at=None, warm_at=None,
        conditions=conditions(streaming=bad),
    )  # fmt: skip
    plan = decide(world, desired)
    (verdict,) = events_of(plan, RevisionBad)
    assert (verdict.revision, verdict.slot) == (NEW, SLOT)
    record = record_after(world, plan)
    assert record.incoming is None
    assert record.tenure is not None
    assert record.tenure.revision == OLD
    assert not plan.quarantine  # the machine is not to blame
    after = applied(world, plan, in_flight_instances=frozenset())
    assert moved(decide(after, desired)) == []


# --- rolling back -----------------------------------------------------------------------------------


def on_trial(record: SlotRecord, *others: SlotRecord, **changes: object) -> tuple[World, Desired]:
    return a_case(record, *others, **changes)  # type: ignore[arg-type]


GONE = {"running": (Status.FALSE, Reason.PROCESS_GONE)}


@pytest.mark.parametrize(("bad", "does"), [(0, [(SLOT, Reason.ROLLOUT)]), (1, []), (2, [])])
def test_what_the_last_look_did_not_show_gets_nothing_to_be_blamed_for_it(
    bad: int, does: list[tuple[SlotId, Reason]]
) -> None:
    """Seed 7691: the picture froze 20 s before a change was declared, which was called bad for it."""
    lit = a_condition(ConditionKind.STREAMING, Status.TRUE, Reason.LIVE, for_s=3000, bad=bad)
    world, desired = a_case(a_host(0, conditions=conditions(streaming=lit)))
    assert moved(decide(world, desired)) == does
    asked = replace(world.records[SLOT], deploy_asked_at=ago(5))
    told = replace(world, records={SLOT: asked})
    assert moved(decide(told, desired)) == [(SLOT, Reason.ROLLOUT)], "a person knows"


def test_a_first_slot_that_falls_sick_gets_back_what_worked() -> None:
    world, desired = on_trial(dark(put(a_host(0, NEW), 300.0)), a_host(1), a_host(2))
    plan = decide(world, desired)
    act = decision_for(plan)
    assert isinstance(act, Deploy)
    assert (act.reason, act.revision) == (Reason.ROLLBACK, OLD)
    (verdict,) = events_of(plan, RevisionBad)
    assert (verdict.slot, verdict.revision, verdict.reason) == (SLOT, NEW, Reason.FROZEN)
    assert verdict.detail == "changed: env.MODEL; back to old"
    assert moved(plan) == [(SLOT, Reason.ROLLBACK)]
    (kept, bad) = plan.revisions[DUEL]
    assert (kept, bad.bad_slot, bad.bad_reason) == (PROVEN, SLOT, Reason.FROZEN)


def test_it_is_not_tried_again_until_a_person_says_so() -> None:
    bad = replace(TRIED, bad_at=ago(4000), bad_reason=Reason.FROZEN, bad_slot=SLOT)
    world, desired = a_case(a_host(), a_host(1), kept=(PROVEN, bad))
    assert moved(decide(world, desired)) == []
    asked = replace(world, orders=(an_order(OrderKind.DEPLOY), an_order(OrderKind.DEPLOY, slot(1))))
    plan = decide(asked, desired)
    assert len(events_of(plan, RevisionPardoned)) == 1
    assert moved(plan) == [ROLLED]


def test_an_order_stands_above_the_mode_and_the_window_and_is_done_once() -> None:
    quiet = a_stream(mode=Mode.OBSERVE)
    world, desired = a_case(a_host(), stream=quiet, windows=(a_window(Allowance.REPAIR),))
    assert moved(decide(world, desired)) == []
    plan = decide(replace(world, orders=(an_order(OrderKind.DEPLOY),)), desired)
    assert moved(plan) == [ROLLED]
    there = replace(a_host(0, NEW), deploy_asked_at=ago(60))
    world, desired = a_case(there, stream=quiet)
    assert record_after(world, decide(world, desired)).deploy_asked_at is None


def test_a_stream_that_suggests_says_what_it_would_do() -> None:
    hold = decision_for(decide(*a_case(a_host(), stream=a_stream(mode=Mode.SUGGEST))))
    assert isinstance(hold, Hold)
    assert (hold.reason, hold.wanted, hold.wanted_reason) == (
        Reason.SUGGEST_ONLY, "deploy", Reason.ROLLOUT,
    )  # fmt: skip


def test_what_cannot_be_put_there_is_bad() -> None:
    """Its set-up fails on a host that runs the old one well: the host is not to blame."""
    broken = put(a_host(0, OLD, putting=NEW, deploy_failures=2), 3000.0)
    plan = decide(*on_trial(broken, a_host(1)))
    (verdict,) = events_of(plan, RevisionBad)
    assert verdict.reason is Reason.DEPLOY_FAILED
    assert moved(plan) == [(SLOT, Reason.ROLLBACK)]


def test_one_failed_try_is_repeated_after_a_pause() -> None:
    record = a_host(0, OLD, putting=NEW, deploy_failures=1, acted_at=ago(5))
    assert decision_for(decide(*on_trial(record))).reason is Reason.BACKING_OFF
    record = a_host(0, OLD, putting=NEW, deploy_failures=1, acted_at=ago(15))
    assert moved(decide(*on_trial(record))) == [ROLLED]


NOT_GUILTY = [
    ("its GPU is gone", {"has_gpu": (Status.FALSE, Reason.GPU_LOST)}, "destroy"),
]


@pytest.mark.parametrize(("sentence", "said", "act"), NOT_GUILTY, ids=[r[0] for r in NOT_GUILTY])
def test_a_deploy_is_not_to_blame_for_its_machine(
    sentence: str, said: dict[str, tuple[Status, Reason]], act: str
) -> None:
    record = dark(put(a_host(0, NEW), 300.0))
    assert record.tenure is not None
    bad = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=60, bad=3)
    record = replace(
        record, tenure=replace(record.tenure, conditions=conditions(streaming=bad, **said))
    )
    world, desired = on_trial(record, a_host(1))
    plan = decide(world, desired)
    assert not events_of(plan, RevisionBad), sentence
    assert decision_for(plan).name == act
    # And the next host of the slot gets what is known to work.
    world = replace(applied(world, plan), in_flight=frozenset(), in_flight_instances=frozenset())
    done_at = tuple(replace(each, accepted_at=NOW) for each in world.condemned)
    later = NOW + timedelta(seconds=130)
    listing = world.listing and replace(world.listing, at=later)
    offers = {DUEL: replace(world.offers[DUEL], at=later)}
    heard = dict.fromkeys(world.heard_at, later)
    world = replace(
        world, condemned=done_at, listing=listing, offers=offers, heard_at=heard, intents=()
    )
    plan = decide(world, desired, later)
    assert tenure_after(world, plan).revision == OLD


def test_a_warm_up_is_no_sickness() -> None:
    record = dark(put(a_host(0, NEW, warm_at=None, warmup_s=None), 120.0))
    plan = decide(*on_trial(record, a_host(1)))
    assert decision_for(plan).reason is Reason.WARMING_UP
    assert not events_of(plan, RevisionBad)


def test_a_process_that_is_gone_is_no_warm_up() -> None:
    record = dark(put(a_host(0, NEW, warm_at=None, warmup_s=None), 120.0))
    assert record.tenure is not None
    bad = a_condition(ConditionKind.STREAMING, Status.FALSE, Reason.PROCESS_GONE, for_s=60, bad=3)
    tenure = replace(record.tenure, conditions=conditions(streaming=bad, **GONE))
    plan = decide(*on_trial(replace(record, tenure=tenure), a_host(1)))
    assert moved(plan) == [(SLOT, Reason.ROLLBACK)]


def test_once_proven_a_host_that_fails_is_a_bad_host() -> None:
    proven = replace(TRIED, proven_at=ago(600))
    record = dark(put(a_host(0, NEW), 300.0))
    plan = decide(*a_case(record, a_host(1, NEW), kept=(PROVEN, proven)))
    assert decision_for(plan).name == "restart"
    assert not events_of(plan, RevisionBad)


def test_what_never_had_a_predecessor_is_not_what_broke_it() -> None:
    record = dark(put(a_host(0, NEW), 300.0))
    plan = decide(*a_case(record, a_host(1, NEW), kept=(TRIED,)))
    assert decision_for(plan).name == "restart"
    assert not events_of(plan, RevisionBad)


def test_with_nothing_to_go_back_to_keeper_holds_and_spares_the_others() -> None:
    """After a start the old one cannot be made again: its secret has changed since."""
    spent = tuple(
        RemedyUse(rung=rung, at=ago(400 + n))
        for n, rung in enumerate((*[Rung.RESTART_PROCESS] * 3, Rung.RESTART_WORKLOAD, Rung.REBOOT))
    )
    record = replace(dark(put(a_host(0, NEW), 590.0), for_s=300.0), remedies=spent)
    world, desired = on_trial(record, a_host(1), makeable={})
    plan = decide(world, desired)
    (verdict,) = events_of(plan, RevisionBad)
    assert verdict.detail.endswith("nothing that worked before can be put back")
    hold = decision_for(plan)
    assert isinstance(hold, Hold)
    assert (hold.reason, hold.wanted) == (Reason.BAD_DEPLOY, "replace")
    assert decision_for(plan, slot(1)).reason is Reason.HEALTHY


def test_a_rollback_that_fails_costs_the_one_replacement() -> None:
    bad = replace(TRIED, bad_at=ago(60), bad_reason=Reason.FROZEN, bad_slot=SLOT)
    record = dark(put(a_host(0, NEW, putting=OLD, deploy_failures=2), 300.0))
    world, desired = a_case(record, a_host(1), kept=(PROVEN, bad))
    plan = decide(world, desired)
    after = record_after(world, plan)
    assert after.tenure is None
    assert len(after.replaced_at) == 1


def test_a_fresh_host_gets_what_is_known_to_work() -> None:
    said = conditions(
        deployed=(Status.FALSE, Reason.NOT_DEPLOYED),
        running=(Status.UNKNOWN, Reason.NOT_ASKED), streaming=(Status.UNKNOWN, Reason.NOT_ASKED),
    )  # fmt: skip
    fresh = a_fresh_tenure(
        listed_at=ago(90), running_at=ago(20), booted_at=ago(10), conditions=said
    )
    world, desired = a_case(a_record(fresh, ever_on_air=True), kept=(PROVEN,))
    plan = decide(world, desired)
    act = decision_for(plan)
    assert isinstance(act, Deploy)
    assert (act.revision, act.reason) == (OLD, Reason.NOT_DEPLOYED)
    (told,) = events_of(plan, RevisionDeclared)
    assert (told.revision, told.detail) == (NEW, "env.MODEL")
    boundary = replace(desired.streams[0], policy=WINDOWED.policy)
    act = decision_for(decide(world, replace(desired, streams=(boundary,))))
    assert isinstance(act, Deploy)
    assert act.revision == NEW


def test_the_first_keeper_that_names_deploys_takes_what_is_there_for_what_is_declared() -> None:
    world, desired = a_case(a_host(0, "a name of before"), a_host(1, ""), kept=())
    plan = decide(world, desired)
    assert moved(plan) == []
    assert {tenure_after(world, plan, slot(n)).revision for n in (0, 1)} == {NEW}
    assert [each.name for each in plan.revisions[DUEL]] == [NEW]


# --- a file that flaps, and time --------------------------------------------------------------------


def with_declared(desired: Desired, name: str) -> Desired:
    (stream,) = desired.streams
    return replace(desired, streams=(replace(stream, revision=name),))


def days_of(minutes: int) -> Iterator[datetime]:
    for minute in range(1, minutes + 1):
        yield NOW + timedelta(minutes=minute)


def test_a_file_that_flaps_between_two_does_not_thrash_the_hosts() -> None:
    """Every minute the other one: within two hours no host gets more than one deploy in ten minutes."""
    world, desired = a_case(
        a_host(0), a_host(1), kept=(PROVEN, replace(TRIED, proven_at=ago(5000)))
    )
    makeable = {DUEL: dict.fromkeys((OLD, NEW), MAKEABLE[DUEL][OLD])}
    world = replace(world, makeable=makeable)
    puts: list[tuple[SlotId, datetime]] = []
    for number, now in enumerate(days_of(120)):
        wanted = with_declared(desired, (NEW, OLD)[number % 2])
        listing = world.listing and replace(world.listing, at=now)
        heard = {key: now for host in (HOST, HOST + 1) for key in all_heard(instance_id=host)}
        plan = decide(replace(world, listing=listing, heard_at=heard), wanted, now)
        puts += [(at, now) for at, _ in moved(plan)]
        outcomes = tuple(an_outcome(each, at=now) for each in plan.intents_opened)
        world = applied(world, plan, outcomes=outcomes, in_flight=frozenset())
        known = {**world.revisions, **plan.revisions}
        records = {
            at: replace(each, tenure=each.tenure and replace(each.tenure, conditions=conditions()))
            if not outcomes
            else each
            for at, each in world.records.items()
        }
        world = replace(world, revisions=known, records=records)
    assert 2 <= len(puts) <= 24
    for at in (SLOT, slot(1)):
        mine = [moment for each, moment in puts if each == at]
        gaps = [b - a for a, b in pairwise(mine)]
        assert all(gap >= timedelta(minutes=10) for gap in gaps), gaps


def test_outcomes_of_a_failed_deploy_are_counted_for_what_was_put() -> None:
    world, desired = a_case(a_host(0, deploy_failures=1))
    world = done(world, desired, decide(world, desired), kind=OutcomeKind.FAILED, error="no")
    tenure = tenure_after(world, decide(world, desired))
    assert (tenure.putting, tenure.revision, tenure.deploy_failures) == (NEW, OLD, 1)


@pytest.mark.parametrize(
    ("kind", "reason", "failures"),
    [
        (OutcomeKind.FAILED, None, 1),
        (OutcomeKind.FAILED, Reason.LINK_LOST, 0),
        (OutcomeKind.UNCERTAIN, None, 0),
    ],
)
def test_a_link_that_breaks_is_not_held_against_a_deploy(
    kind: OutcomeKind, reason: Reason | None, failures: int
) -> None:
    world, desired = a_case(a_host())
    world = done(world, desired, decide(world, desired), kind=kind, reason=reason)
    plan = decide(world, desired)
    tenure = tenure_after(world, plan)
    assert (tenure.putting, tenure.deploy_failures) == (NEW, failures)
    assert decision_for(plan).reason is Reason.BACKING_OFF


# --- a change that is to cure -----------------------------------------------------------------------


def test_what_is_changed_while_a_slot_is_dark_is_its_first_remedy() -> None:
    """An operator mends what broke: there is no picture to lose, and none to wait for."""
    world, desired = a_case(dark(a_host(), for_s=1200.0))
    plan = decide(world, desired)
    assert moved(plan) == [ROLLED]
    tenure = tenure_after(world, plan)
    assert (tenure.putting, tenure.was_dark) == (NEW, True)


def ails(record: SlotRecord, symptom: Symptom) -> SlotRecord:
    """The same, whose workload says what is wrong with it."""
    assert record.tenure is not None
    said = a_condition(ConditionKind.WORKING, Status.FALSE, Reason.SYMPTOM, for_s=60.0)
    told = (*record.tenure.conditions[:-1], replace(said, symptom=symptom))
    return replace(record, tenure=replace(record.tenure, conditions=told))


REFUSED = Symptom(code="key_refused", sentence="the key is refused", remedy=Remedy.PERSON)


def test_what_a_person_was_asked_to_change_is_put_there() -> None:
    """A refused key was put right in the file, and keeper went on to wait for a person."""
    world, desired = a_case(ails(dark(a_host(), for_s=1200.0), REFUSED))
    assert moved(decide(world, desired)) == [ROLLED]


def test_a_person_who_was_asked_may_order_the_deploy_that_was_there_before_the_trouble() -> None:
    held = ails(dark(a_host(), for_s=60.0), REFUSED)
    assert moved(decide(*a_case(held))) == []
    assert moved(decide(*a_case(replace(held, deploy_asked_at=ago(5))))) == [ROLLED]


def test_a_person_who_was_asked_and_has_changed_nothing_is_still_asked() -> None:
    world, desired = a_case(ails(dark(put(a_host(0, NEW), 7200.0), for_s=60.0), REFUSED))
    assert decision_for(decide(world, desired)).reason is Reason.NEEDS_PERSON


def test_what_spoils_the_view_of_some_is_not_put_down_to_what_is_on_trial() -> None:
    """A tunnel expired within ten minutes of a deploy, and all viewers lost theirs to the way back."""
    gone = Symptom(
        code="tunnel_gone", sentence="expired", remedy=Remedy.RESTART_PROCESS,
        dearest=Rung.RESTART_PROCESS, spoils_view=True, is_partial=True,
    )  # fmt: skip
    sick = ails(dark(put(a_host(0, NEW), 300.0), Reason.WRONG_PICTURE), gone)
    plan = decide(*on_trial(sick, a_host(1), a_host(2)))
    act = decision_for(plan)
    assert isinstance(act, Restart)
    assert (act.reason, act.symptom) == (Reason.SYMPTOM, "tunnel_gone")
    assert events_of(plan, RevisionBad) == []


HALF = "half"  # declared between the two, put on one host, and replaced in the file before it was proven
HALFWAY = (PROVEN, revision(HALF, declared_at=ago(1800)), TRIED)
TRYING = put(a_host(1, NEW), 100.0)
ALL_MAKEABLE = {DUEL: {**MAKEABLE[DUEL], HALF: MAKEABLE[DUEL][OLD]}}


def test_what_falls_dark_with_an_unproven_change_gets_the_next_one_at_once() -> None:
    """The operator mends his own deploy before keeper has judged it: nobody repairs with that."""
    world, desired = a_case(dark(put(a_host(0, HALF), 300.0)), a_host(1), kept=HALFWAY)
    plan = decide(world, desired)
    assert moved(plan) == [ROLLED]
    tenure = tenure_after(world, plan)
    # It was dark by another change, so this one is judged like any that comes to a sound host.
    assert (tenure.putting, tenure.was_dark) == (NEW, False)


def test_what_comes_after_an_unproven_change_and_fails_too_gives_way_to_what_worked() -> None:
    plan = decide(*a_case(dark(put(a_host(0, NEW), 300.0)), a_host(1), kept=HALFWAY))
    assert moved(plan) == [(SLOT, Reason.ROLLBACK)]
    (verdict,) = events_of(plan, RevisionBad)
    assert verdict.revision == NEW


def test_only_one_slot_carries_what_is_on_trial_whatever_the_others_have() -> None:
    sick = dark(put(a_host(0, HALF), 300.0))
    assert moved(decide(*a_case(sick, put(a_host(1, NEW), 100.0), kept=HALFWAY))) == []


def started_anew(number: int = 0, name: str = HALF) -> SlotRecord:
    """Its container was rebooted, by itself or by keeper: files are there, and no process."""
    said = conditions(
        deployed=(Status.FALSE, Reason.NOT_DEPLOYED),
        running=(Status.FALSE, Reason.PROCESS_GONE), streaming=(Status.FALSE, Reason.NO_BYTES),
    )  # fmt: skip
    record = a_host(number, name, deployed_at=None, warm_at=None, conditions=said)
    return replace(record, dark_since=ago(30), healthy_since=None)


@pytest.mark.parametrize(
    ("others", "kept", "what"),
    [
        pytest.param((a_host(1),), HALFWAY, NEW, id="what is declared"),
        pytest.param((TRYING,), HALFWAY, OLD, id="what worked: another slot tries that"),
        pytest.param((a_host(1),), (*HALFWAY[:2], replace(TRIED, bad_at=ago(9))), OLD, id="is bad"),
        pytest.param((a_host(1),), HALFWAY[1:], NEW, id="nothing ever worked"),
    ],
)
def test_a_host_that_starts_anew_gets_no_change_that_was_replaced_unproven(
    others: tuple[SlotRecord, ...], kept: tuple[Revision, ...], what: str
) -> None:
    """It was put back after a reboot though nobody wanted it any more, and no picture ever came."""
    act = decision_for(decide(*a_case(started_anew(), *others, kept=kept, makeable=ALL_MAKEABLE)))
    assert isinstance(act, Deploy)
    assert (act.revision, act.reason) == (what, Reason.NOT_DEPLOYED)


@pytest.mark.parametrize("name", [OLD, NEW])
def test_a_host_that_starts_anew_gets_what_it_had(name: str) -> None:
    act = decision_for(decide(*a_case(started_anew(0, name), a_host(1), makeable=ALL_MAKEABLE)))
    assert isinstance(act, Deploy)
    assert act.revision == name


@pytest.mark.parametrize(("had", "is_kept"), [(NEW, True), (HALF, False)])
def test_what_is_put_there_again_after_a_reboot_is_to_blame_for_no_more_than_before(
    had: str, is_kept: bool
) -> None:
    """A host was dark before it got the change, rebooted, given it again; then it was called bad for it."""
    anew = started_anew(0, had)
    assert anew.tenure is not None
    anew = replace(anew, tenure=replace(anew.tenure, was_dark=True))
    world, desired = a_case(anew, a_host(1), kept=HALFWAY, makeable=ALL_MAKEABLE)
    tenure = tenure_after(world, decide(world, desired))
    assert (tenure.revision, tenure.was_dark) == (NEW, is_kept)


def test_what_did_not_cure_is_not_what_broke_it() -> None:
    record = put(dark(a_host(0, NEW), for_s=1200.0), 600.0, was_dark=True)
    plan = decide(*a_case(record))
    assert decision_for(plan).name == "restart"
    assert not events_of(plan, RevisionBad)


def test_a_slot_that_falls_dark_by_itself_is_repaired_with_what_it_has() -> None:
    plan = decide(*a_case(dark(a_host(), for_s=60.0)))
    assert decision_for(plan).name == "restart"


def test_once_proven_elsewhere_it_is_the_remedy_for_all() -> None:
    proven = replace(TRIED, proven_at=ago(100))
    plan = decide(*a_case(a_host(0, NEW), dark(a_host(1)), a_host(2), kept=(PROVEN, proven)))
    assert moved(plan) == [(slot(1), Reason.ROLLOUT)]


def failed(number: int, age_s: float, reason: Reason = Reason.NO_PICTURE_EVER) -> Failure:
    return Failure(
        label=f"keeper:k1:duel/0:{number}", machine_id=MachineId(700 + number), at=ago(age_s),
        reason=reason, traits={"revision": OLD},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "gets"),
    [
        ({}, OLD),
        ({"dark_since": ago(800)}, OLD),
        ({"dark_since": ago(1000)}, NEW),  # before the change was declared
        ({"failures": (failed(1, 500),)}, OLD),
        ({"failures": (failed(1, 500), failed(2, 300))}, NEW),
        ({"failures": (failed(1, 5000), failed(2, 3000))}, OLD),  # before it, too
        # The same is rented for both: it is not for a workload that a container does not start.
        ({"failures": tuple(failed(n, 500, Reason.BOOT_FAILED) for n in (1, 2))}, OLD),
    ],
)
def test_a_fresh_host_gets_the_change_where_nothing_else_works(
    changes: dict[str, Any], gets: str
) -> None:
    said = conditions(
        deployed=(Status.FALSE, Reason.NOT_DEPLOYED),
        running=(Status.UNKNOWN, Reason.NOT_ASKED), streaming=(Status.UNKNOWN, Reason.NOT_ASKED),
    )  # fmt: skip
    fresh = a_fresh_tenure(
        listed_at=ago(90), running_at=ago(20), booted_at=ago(10), conditions=said
    )
    act = decision_for(decide(*a_case(a_record(fresh, ever_on_air=True, **changes))))
    assert isinstance(act, Deploy)
    assert act.revision == gets


@pytest.mark.parametrize(
    ("reason", "when", "gets"),
    [
        (Reason.NO_PICTURE_EVER, DeployWhen.AT_ONCE, OLD),
        (Reason.NO_PICTURE_EVER, DeployWhen.BOUNDARY, OLD),
        (Reason.BOOT_FAILED, DeployWhen.AT_ONCE, NEW),  # the same container: it never came to that
    ],
)
def test_what_failed_on_two_machines_is_no_cure_any_more(
    reason: Reason, when: DeployWhen, gets: str
) -> None:
    """Three slots, dark before the change, stayed dark for six hours: nothing was rented for them.

    What had worked was at hand (seed 1253 of any fleet).
    """
    tried = tuple(
        replace(failed(n, 900.0 - 100 * n, reason), traits={"revision": NEW}) for n in (1, 2)
    )
    world, desired = a_case(
        a_record(
            attempt=3, ever_on_air=True, dark_since=ago(9000.0), failures=tried, proven_revision=OLD
        ),
        stream=WINDOWED if when is DeployWhen.BOUNDARY else None,
    )
    plan = decide(world, desired)
    assert moved(plan) == [(SLOT, Reason.VACANT)]
    assert tenure_after(world, plan).revision == gets


def test_two_fresh_hosts_of_one_tick_do_not_both_get_what_is_on_trial() -> None:
    said = conditions(
        deployed=(Status.FALSE, Reason.NOT_DEPLOYED),
        running=(Status.UNKNOWN, Reason.NOT_ASKED), streaming=(Status.UNKNOWN, Reason.NOT_ASKED),
    )  # fmt: skip
    records = [
        a_record(
            a_fresh_tenure(
                label=f"keeper:k1:duel/{n}:1", instance_id=InstanceId(HOST + n), listed_at=ago(90),
                running_at=ago(20), booted_at=ago(10), conditions=said,
            ),
            slot=slot(n),
        )
        for n in (0, 1)
    ]  # fmt: skip
    world, desired = a_case(*records, stream=WINDOWED)
    acts = [d for d in decide(world, desired).decisions if isinstance(d, Deploy)]
    assert [(act.slot, act.revision) for act in acts] == [(SLOT, NEW), (slot(1), OLD)]


def test_time_that_nobody_watched_proves_nothing() -> None:
    """keeper has just started, or its clock was set ahead by an hour."""
    world, desired = a_case(put(a_host(0, NEW), 3600.0), started_at=ago(599))
    assert not events_of(decide(world, desired), RevisionProven)
    world, desired = a_case(put(a_host(0, NEW), 3600.0), started_at=ago(600))
    assert len(events_of(decide(world, desired), RevisionProven)) == 1


def test_a_clock_that_fell_back_does_not_hold_a_rollout_for_as_long() -> None:
    ahead_of_now = NOW + timedelta(hours=1)
    record = replace(a_host(), healthy_since=ahead_of_now)
    assert moved(decide(*a_case(record, started_at=ago(599)))) == []
    assert moved(decide(*a_case(record, started_at=ago(601)))) == [ROLLED]
