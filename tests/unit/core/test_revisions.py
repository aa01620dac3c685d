"""What is remembered of deploys, what is said of a change, and what a host without one is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.decisions import Deploy, Plan, Rent
from keeper.core.events import RevisionBad, RevisionDeclared, RevisionProven
from keeper.core.model import (
    Desired,
    InstanceId,
    MachineId,
    Makeable,
    Revision,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    StreamName,
)
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import (
    DUEL,
    NOW,
    SLOT,
    a_book,
    a_fresh_tenure,
    a_record,
    a_tenure,
    ago,
    an_offer,
    conditions,
    decide,
    decision_for,
    events_of,
)
from tests.unit.core.test_rollout import (
    IMAGE,
    NEW,
    OLD,
    PROVEN,
    TRIED,
    WINDOWED,
    a_case,
    a_host,
    dark,
    put,
    revision,
    slot,
    started_anew,
)


def declaring(
    *kept: Revision, records: tuple[SlotRecord, ...] = (), **changes: Any
) -> tuple[World, Desired]:
    """NEW is declared, with these keys or that recipe; it is not known yet unless it is kept."""
    world, desired = a_case(*(records or (a_host(),)), kept=kept)
    (stream,) = desired.streams
    return world, replace(desired, streams=(replace(stream, **changes),))


def names(plan: Plan) -> list[str]:
    return [each.name for each in plan.revisions[DUEL]]


# --- what is forgotten ------------------------------------------------------------------------------


def history(count: int, **proven_at_s: float) -> tuple[Revision, ...]:
    """Deploys that were bad, r0 the oldest; but those that are told proved themselves."""
    bad = [revision(f"r{n}", declared_at=ago(90_000 - n), bad_at=ago(80_000)) for n in range(count)]
    return tuple(
        replace(each, bad_at=None, proven_at=ago(proven_at_s[each.name]))
        if each.name in proven_at_s
        else each
        for each in bad
    )


def forgotten(kept: tuple[Revision, ...], *records: SlotRecord) -> list[str]:
    plan = decide(*declaring(*kept, records=records or (a_host(0, kept[-1].name),)))
    left = names(plan)
    assert left[-1] == NEW
    return [each.name for each in kept if each.name not in left]


def test_twelve_deploys_of_a_stream_are_remembered_and_then_the_oldest_is_forgotten() -> None:
    assert forgotten(history(11)) == []
    assert forgotten(history(12)) == ["r0"]
    assert forgotten(history(14)) == ["r0", "r1", "r2"]


def test_what_is_on_a_host_or_on_its_way_there_is_not_forgotten() -> None:
    assert forgotten(history(12), a_host(0, "r0", putting="r1")) == ["r2"]
    coming = a_fresh_tenure(instance_id=InstanceId(9000), revision="r0")
    assert forgotten(history(12), replace(a_host(0, "r11"), incoming=coming)) == ["r1"]


def test_the_two_that_proved_themselves_last_are_not_forgotten() -> None:
    """The one before last, too: the last one may turn out to be bad."""
    kept = history(14, r0=1000, r1=3000, r2=2000)
    assert forgotten(kept) == ["r1", "r3", "r4"]


def test_what_a_stream_had_is_forgotten_when_nothing_of_it_is_left() -> None:
    gone = StreamName("gone")
    world, desired = a_case(a_host())
    world = replace(world, revisions={**world.revisions, gone: (replace(PROVEN, stream=gone),)})
    assert decide(world, desired).revisions[gone] == ()
    left = a_tenure(label="keeper:k1:gone/0:1", instance_id=InstanceId(9000), revision=OLD)
    held = a_record(left, slot=SlotId("gone/0"))
    world = replace(world, records={**world.records, held.slot: held})
    assert gone not in decide(world, desired).revisions


# --- what is written down of what is declared -------------------------------------------------------


def test_what_is_declared_is_written_down_with_all_that_is_needed_to_make_it_again() -> None:
    plan = decide(*declaring(PROVEN, recipe="how", parts={"image": "i"}, rental_mark="m3"))
    assert plan.revisions[DUEL][-1] == Revision(
        stream=DUEL, name=NEW, declared_at=NOW, recipe="how", parts={"image": "i"}, rental_mark="m3"
    )


def test_what_is_known_already_is_not_written_again() -> None:
    """It would be written on every tick."""
    proven = replace(TRIED, proven_at=ago(5000))
    assert decide(*declaring(PROVEN, proven, records=(a_host(0, NEW),))).revisions == {}


@pytest.mark.parametrize("changes", [{"recipe": "how"}, {"parts": {"image": "j"}}])
def test_another_way_to_make_the_same_is_remembered(changes: dict[str, Any]) -> None:
    plan = decide(*declaring(PROVEN, TRIED, **changes))
    assert plan.revisions[DUEL] == (PROVEN, replace(TRIED, **changes))


# --- what is said of a change -----------------------------------------------------------------------

BEFORE = {"image": "i", "env.MODEL": "old"}
# sentence, what is known, the keys that are declared now, what is said
CHANGES: list[tuple[str, tuple[Revision, ...], dict[str, str], str]] = [
    ("nothing was known before", (), BEFORE, ""),
    ("a key is another", (PROVEN,), {**BEFORE, "env.MODEL": "new"}, "env.MODEL"),
    ("a key is new", (PROVEN,), {**BEFORE, "ports": "1"}, "ports"),
    ("a key is gone", (PROVEN,), {"image": "i"}, "env.MODEL"),
    ("several are", (PROVEN,), {"image": "j"}, "env.MODEL, image"),
    ("eight are told", (PROVEN,), {**BEFORE, **{f"env.{n}": "x" for n in range(8)}},
     ", ".join(f"env.{n}" for n in range(8))),
    ("of more than eight the number", (PROVEN,), {**BEFORE, **{f"env.{n}": "x" for n in range(9)}},
     ", ".join(f"env.{n}" for n in range(8)) + " and 1 more"),
    ("it is compared with what has proven itself",
     (replace(PROVEN, parts={"image": "z"}), revision("r1", parts=BEFORE)), BEFORE,
     "env.MODEL, image"),
    ("and if nothing has, with what was declared last",
     (revision("r1", parts={}), revision("r2", parts={}), revision("r3", parts=BEFORE)),
     {**BEFORE, "image": "j"}, "image"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kept", "parts", "said"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES]
)
def test_a_change_is_told_by_the_names_of_its_keys(
    kept: tuple[Revision, ...], parts: dict[str, str], said: str
) -> None:
    (told,) = events_of(decide(*declaring(*kept, parts=parts)), RevisionDeclared)
    assert told.detail == said


def test_a_bad_deploy_that_differs_in_no_key_says_only_what_it_goes_back_to() -> None:
    """The files behind it were changed, say."""
    same = replace(TRIED, parts=PROVEN.parts)
    record = dark(put(a_host(0, NEW), 300.0))
    case = declaring(PROVEN, same, records=(record, a_host(1)), parts=PROVEN.parts)
    (verdict,) = events_of(decide(*case), RevisionBad)
    assert verdict.detail == "back to old"


# --- what proves itself -----------------------------------------------------------------------------


def test_it_may_prove_itself_on_any_slot() -> None:
    (proven,) = events_of(
        decide(*a_case(a_host(0), put(a_host(1, NEW), 600.0), a_host(2))), RevisionProven
    )
    assert (proven.slot, proven.revision) == (slot(1), NEW)


def test_what_is_on_air_since_this_moment_has_proven_nothing_yet() -> None:
    """keeper itself runs for two hours already; that proves no deploy."""
    record = replace(put(a_host(0, NEW), 0.0), healthy_since=NOW)
    plan = decide(*a_case(record))
    assert events_of(plan, RevisionProven) == []


# --- names of an earlier keeper ---------------------------------------------------------------------


def test_a_host_that_was_coming_when_deploys_got_names_has_what_is_declared_too() -> None:
    coming = a_fresh_tenure(label="keeper:k1:duel/0:2", instance_id=InstanceId(9000), revision="")
    record = replace(a_host(0, "a name of before"), incoming=coming)
    plan = decide(*declaring(records=(record,)))
    (after,) = [each for each in plan.records if each.slot == SLOT]
    assert after.tenure is not None
    assert after.incoming is not None
    assert after.tenure.revision == after.incoming.revision == NEW


def test_a_dark_host_with_what_nobody_knows_any_more_gets_what_is_declared() -> None:
    """It is not called another rental either: nobody knows what it was rented for."""
    plan = decide(*a_case(dark(a_host(0, "forgotten")), kept=(TRIED,)))
    act = decision_for(plan)
    assert isinstance(act, Deploy)
    assert (act.reason, act.revision) == (Reason.ROLLOUT, NEW)


def test_a_host_is_repaired_by_the_remedies_of_what_is_on_it() -> None:
    """What is declared would have its process restarted first."""
    made = {DUEL: {OLD: Makeable(rental=IMAGE, rungs=(Rung.REBOOT,))}}
    plan = decide(*a_case(dark(a_host()), makeable=made))
    assert decision_for(plan).name == "reboot"


def test_a_host_for_what_worked_before_has_the_disk_that_it_needs() -> None:
    """The declared one would fit on the cheaper machine."""
    before = Makeable(rental=replace(IMAGE, disk_gb=400.0), rungs=())
    offers = a_book(an_offer(20, disk_space_gb=300.0), an_offer(21, disk_space_gb=400.0))
    bad = replace(TRIED, bad_at=ago(60), bad_reason=Reason.FROZEN)
    plan = decide(
        *a_case(
            a_record(ever_on_air=True), kept=(PROVEN, bad), makeable={DUEL: {OLD: before}},
            offers={DUEL: offers},
        )
    )  # fmt: skip
    (rent,) = [each for each in plan.acts if isinstance(each, Rent)]
    assert (rent.machine_id, rent.spec.disk_gb) == (MachineId(221), 400.0)


# --- what a host gets that has nothing --------------------------------------------------------------


def fresh(name: str, **changes: Any) -> SlotRecord:
    """It is up, was rented for a revision, and never had anything on it."""
    said = conditions(
        deployed=(Status.FALSE, Reason.NOT_DEPLOYED),
        running=(Status.UNKNOWN, Reason.NOT_ASKED), streaming=(Status.UNKNOWN, Reason.NOT_ASKED),
    )  # fmt: skip
    host = a_fresh_tenure(
        listed_at=ago(90), running_at=ago(20), booted_at=ago(10), conditions=said, revision=name
    )
    return a_record(host, ever_on_air=True, **changes)


BAD = replace(TRIED, bad_at=ago(60), bad_reason=Reason.FROZEN, bad_slot=SLOT)
GETS = [
    ("what is proven by now, whatever it was rented for",
     a_case(fresh(OLD), kept=(PROVEN, replace(TRIED, proven_at=ago(60)))), NEW),
    ("what is on trial, where it is the one that tries it", a_case(fresh(NEW), stream=WINDOWED), NEW),
    ("what it had, if it was on air with that", a_case(started_anew(0, OLD)), OLD),
    ("not what it had, if that is bad by now", a_case(started_anew(0, NEW), kept=(PROVEN, BAD)), OLD),
    ("what was there before the change, if it fell dark as that was declared",
     a_case(fresh(OLD, dark_since=TRIED.declared_at)), OLD),
]  # fmt: skip


@pytest.mark.parametrize(("case", "gets"), [row[1:] for row in GETS], ids=[r[0] for r in GETS])
def test_a_host_that_has_nothing_gets(case: tuple[World, Desired], gets: str) -> None:
    act = decision_for(decide(*case))
    assert isinstance(act, Deploy)
    assert (act.revision, act.reason) == (gets, Reason.NOT_DEPLOYED)
