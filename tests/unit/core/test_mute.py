"""A picture without its sound: what is believed of it, what its host is blamed for, what it may cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core.belief import Belief
from keeper.core.case import Proposal, Wish
from keeper.core.conditions import STREAMING
from keeper.core.decisions import Hold
from keeper.core.events import InstanceCondemned, MachineQuarantined
from keeper.core.model import (
    Failure,
    InstanceId,
    MachineId,
    Publishers,
    Rung,
    Status,
    Subject,
    Swapping,
)
from keeper.core.mute import is_mute, noted, spared
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import (
    NOW,
    SLOT,
    a_desire,
    a_reading,
    a_stream,
    a_tenure,
    ago,
    ahead,
    all_heard,
    applied,
    conditions,
    decide,
    decision_for,
    events_of,
    good_pictures,
    record_after,
)
from tests.unit.core.decision_rows_sound import (
    LATE,
    handing_over,
    muted,
    tried,
    with_incoming,
)
from tests.unit.core.spares import PLACE, a_place, a_spare, a_spared_world, with_spares

BLACK, MUTE = Reason.BLACK, Reason.NO_SOUND
LOST = [
    ((BLACK,), (MUTE, 1)),
    ((BLACK, BLACK), (MUTE, 2)),
    ((BLACK, BLACK, MUTE), (MUTE, 0)),
    ((BLACK, BLACK, MUTE, BLACK), (MUTE, 1)),
    ((BLACK, Reason.FROZEN, BLACK), (BLACK, 0)),
    ((BLACK, BLACK, BLACK, Reason.FROZEN), (Reason.FROZEN, 0)),
    ((BLACK, BLACK, BLACK, MUTE), (MUTE, 0)),
]


@pytest.mark.parametrize(("looks", "believed"), LOST)
def test_a_silent_picture_is_lost_only_by_as_many_looks_as_ever(
    looks: tuple[Reason, ...], believed: tuple[Reason, int]
) -> None:
    """Else one black frame, an advertisement's first, would end the last host that shows anything."""
    tenure = a_tenure(conditions=conditions(streaming=muted(100)))
    belief = Belief(tenure, a_stream().policy, NOW, None)
    for left, reason in zip(reversed(range(len(looks))), looks, strict=True):
        belief.read(a_reading(Subject.PICTURE, Status.FALSE, reason, age_s=10.0 * left))
    streaming = belief.conditions[STREAMING]
    assert (streaming.reason, streaming.other_streak) == believed


def test_a_process_that_is_gone_for_certain_takes_its_picture_along() -> None:
    said = conditions(streaming=muted(100), running=(Status.FALSE, Reason.PROCESS_GONE))
    belief = Belief(a_tenure(conditions=said), a_stream().policy, NOW, None)
    belief.read(a_reading(Subject.PICTURE, Status.FALSE, Reason.NO_BYTES))
    assert belief.conditions[STREAMING].reason is Reason.NO_BYTES


def test_only_a_host_with_a_picture_and_no_sound_is_mute() -> None:
    assert is_mute(a_tenure(conditions=conditions(streaming=muted())))
    assert not is_mute(a_tenure())
    assert not is_mute(a_tenure(conditions=()))
    assert not is_mute(None)


def test_what_a_person_has_ordered_is_done_to_a_silent_host_as_to_any_other() -> None:
    world = handing_over()
    record, tenure = world.records[SLOT], world.records[SLOT].tenure
    assert tenure is not None
    ordered = Proposal(wish=Wish.RESTART, reason=Reason.OPERATOR_ASKED, is_ordered=True)
    assert spared(record, tenure, ordered, NOW, 60.0) is ordered
    wait = Proposal(wish=Wish.WAIT, reason=Reason.HANDOVER)
    assert spared(record, tenure, replace(ordered, is_ordered=False), NOW, 60.0) == wait


# --- the machine and its successor ------------------------------------------------------------------


def test_a_machine_that_lacked_the_sound_is_avoided_as_for_once_when_the_next_one_has_it() -> None:
    """Mildly: the same restart that a new host begins with may have been the cure."""
    plan = decide(with_incoming(handing_over(), good_in_a_row=6, machine_id=MachineId(209)))
    (struck,) = events_of(plan, MachineQuarantined)
    assert (struck.machine_id, struck.reason) == (MachineId(201), Reason.NO_SOUND)
    assert struck.duration_s == 21_600
    (gone,) = events_of(plan, InstanceCondemned)
    assert gone.reason is Reason.SUPERSEDED


def test_a_next_host_that_is_as_silent_is_blamed_for_nothing_and_no_third_one_comes() -> None:
    world = with_incoming(handing_over(streaming=muted(300)), **LATE)
    plan = decide(world)
    (gone,) = events_of(plan, InstanceCondemned)
    assert (gone.instance_id, gone.reason) == (InstanceId(8002), Reason.NO_SOUND)
    assert events_of(plan, MachineQuarantined) == []
    after = record_after(world, plan)
    assert after.incoming is None
    assert after.failures == ()
    later = applied(world, plan, heard_at={key: ahead(5) for key in all_heard()})
    held = decision_for(decide(later, now=ahead(5)))
    assert isinstance(held, Hold)
    assert (held.reason, held.wanted_reason) == (Reason.NEEDS_PERSON, Reason.NO_SOUND)


def test_a_next_host_that_is_silent_where_the_old_one_is_not_is_avoided_as_for_once() -> None:
    world = with_incoming(handing_over(streaming=muted(300)), **LATE)
    record = world.records[SLOT]
    record = replace(record, tenure=a_tenure(), dark_since=None, remedies=())
    plan = decide(replace(world, records={SLOT: record}, readings=good_pictures(1)))
    (struck,) = events_of(plan, MachineQuarantined)
    assert (struck.reason, struck.duration_s) == (Reason.NO_SOUND, 21_600)
    assert not any(use.rung is Rung.REPLACE for use in record_after(world, plan).remedies)


def test_a_host_that_is_silent_from_its_first_picture_on_is_handed_over_and_not_ended() -> None:
    """It never showed all that was wanted of it, and it shows more than nothing."""
    world = tried()
    record = world.records[SLOT]
    tenure = replace(record.tenure or a_tenure(), first_live_at=None, warm_at=None)
    record = replace(record, tenure=tenure, ever_on_air=False, dark_since=None)
    plan = decide(replace(world, records={SLOT: record}))
    assert (decision_for(plan).name, decision_for(plan).reason) == ("rent", Reason.NO_SOUND)


# --- spares -----------------------------------------------------------------------------------------


def test_no_spare_goes_to_make_room_for_a_sound() -> None:
    """It is what brings the picture back when that is lost."""
    stream = with_spares(a_stream(spend_max_dollars_per_hour=1.0))
    silent = a_spare(conditions=conditions(streaming=muted(9000)))
    world = a_spared_world(a_place(silent), record=tried().records[SLOT])
    plan = decide(world, a_desire(stream))
    held = decision_for(plan)
    assert (held.name, held.reason) == ("hold", Reason.BUDGET)
    assert events_of(plan, InstanceCondemned) == []
    assert decision_for(plan, PLACE).reason is Reason.NO_SOUND


def test_a_ready_spare_that_has_the_sound_takes_over_at_once() -> None:
    world = a_spared_world(a_place(a_spare()), record=tried().records[SLOT])
    plan = decide(world, a_desire(with_spares()))
    assert (decision_for(plan).name, decision_for(plan).reason) == (
        "promote",
        Reason.SPARE_TOOK_OVER,
    )
    assert events_of(plan, InstanceCondemned) == []


# --- one publisher ----------------------------------------------------------------------------------


def swapped(*, is_back: bool = False, **said: object) -> World:
    """The next host has taken the place of a silent one a while ago."""
    world = handing_over()
    record = world.records[SLOT]
    assert record.incoming is not None
    assert record.tenure is not None
    told = {"streaming": muted(200), **said}
    new = replace(record.incoming, conditions=conditions(**told), first_live_at=None)  # type: ignore[arg-type]
    swap = Swapping(
        since=ago(400), reason=Reason.NO_SOUND, bound_s=120.0, is_back=is_back, done_at=ago(300)
    )
    old = record.tenure
    failed = Failure(
        label=old.label, machine_id=old.machine_id, at=ago(900), reason=Reason.NO_SOUND
    )
    record = replace(record, tenure=new, incoming=old, swap=swap, failures=(failed,))
    return replace(world, records={SLOT: record})


def elsewhere(world: World) -> int:
    plan = decide(world, a_desire(a_stream(publishers=Publishers.ONE)))
    return sum(use.rung is Rung.REPLACE for use in record_after(world, plan).remedies)


def test_a_host_that_took_a_silent_one_s_place_and_is_as_silent_is_remembered_when_it_goes_back() -> (
    None
):
    """Else a third one would be tried, and a fourth: what ends with a swap back says only that."""
    assert elsewhere(swapped()) == 1
    assert elsewhere(swapped(streaming=(Status.FALSE, Reason.BLACK))) == 0
    back = swapped(is_back=True).records[SLOT]
    assert noted(back, NOW) is back
    world = swapped()
    record = replace(world.records[SLOT], failures=())
    assert elsewhere(replace(world, records={SLOT: record})) == 0


def test_it_is_remembered_once() -> None:
    record = swapped().records[SLOT]
    once = noted(record, NOW)
    assert once.remedies[-1].rung is Rung.REPLACE
    assert noted(once, NOW) is once
    assert noted(replace(record, incoming=None), NOW) == replace(record, incoming=None)
