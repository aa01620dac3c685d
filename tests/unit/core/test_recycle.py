"""A host that has served long enough goes when all is well, and in no other hour."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core.decisions import Rent
from keeper.core.events import HostRecycling
from keeper.core.model import (
    Desired,
    HostId,
    InstanceId,
    MachineId,
    Mode,
    SlotId,
    SlotRecord,
    Status,
    Stream,
)
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance, Window
from keeper.core.world import World
from tests.builders import (
    DUEL,
    HOST,
    SLOT,
    a_book,
    a_desire,
    a_fresh_tenure,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_offer,
    decide,
    decision_for,
    events_of,
    record_after,
)
from tests.unit.core.test_allowances import a_window

# A new host boots for half an hour, warms up for a third of one and is looked at for a quarter.
HAND_OVER_S = 3900.0
OLD_S = 86_400.0


def slot(number: int) -> SlotId:
    return SlotId(f"duel/{number}")


def a_host(number: int, served_s: float = OLD_S, **changes: object) -> SlotRecord:
    tenure = a_tenure(
        label=f"keeper:k1:duel/{number}:1", instance_id=InstanceId(HOST + number),
        machine_id=MachineId(201 + number), host_id=HostId(301 + number),
        first_live_at=ago(served_s),
    )  # fmt: skip
    return replace(a_record(tenure, slot=slot(number)), **changes)  # type: ignore[arg-type]


def a_case(*records: SlotRecord, **changes: object) -> tuple[World, Desired]:
    stream = changes.pop("stream", None)
    assert stream is None or isinstance(stream, Stream)
    stream = stream or a_stream(recycle_after_s=OLD_S, spend_max_dollars_per_hour=50.0)
    stream = replace(stream, replicas=len(records))
    world = a_world(*records, offers={DUEL: a_book(*(an_offer(n) for n in range(20, 25)))})
    desired = a_desire(stream, spend_max_dollars_per_hour=50.0)
    return replace(world, **changes), desired  # type: ignore[arg-type]


def coming(in_s: float, allow: Allowance = Allowance.OBSERVE, stream: str | None = None) -> Window:
    """Return a window that opens later, for an hour."""
    window = a_window(allow, stream)
    return replace(window, since=ahead(in_s), until=ahead(in_s + 3600))


NIGHT = a_stream(recycle_after_s=OLD_S, has_replace_windows=True, spend_max_dollars_per_hour=50.0)
INCOMING = a_fresh_tenure(instance_id=InstanceId(9000))
SICK = a_host(
    1,
    tenure=replace(a_tenure(), conditions=(), instance_id=InstanceId(HOST + 1)),
    dark_since=ago(9),
)
# sentence, case, whether duel/0 is recycled
ROWS = [
    ("a host that has served its time is replaced", a_case(a_host(0)), True),
    ("not a second earlier", a_case(a_host(0, OLD_S - 1)), False),
    ("a stream that says nothing keeps its hosts", a_case(a_host(0), stream=a_stream()), False),
    ("one at a time in the fleet",
     a_case(a_host(0), a_host(1, 60.0, incoming=INCOMING)), False),
    ("never while another is sick", a_case(a_host(0), SICK), False),
    ("nor while one is without its host",
     a_case(a_host(0), a_record(slot=slot(1), ever_on_air=True, attempt=2, next_rent_at=ahead(60))),
     False),
    ("a slot that never was on air is not sick",
     a_case(a_host(0), a_record(slot=slot(1), next_rent_at=ahead(60))), True),
    ("nor while a fuse holds", a_case(a_host(0), pause=a_pause()), False),
    ("nor while this box sees nothing",
     a_case(a_host(0), own_network=Status.FALSE), False),
    ("not outside of the windows that are made for it", a_case(a_host(0), stream=NIGHT), False),
    ("but within one",
     a_case(a_host(0), stream=NIGHT, windows=(a_window(Allowance.REPLACE),)), True),
    ("not within a stricter one",
     a_case(a_host(0), windows=(a_window(Allowance.REPAIR),)), False),
    ("nor where a stricter one is open besides",
     a_case(a_host(0), stream=NIGHT,
            windows=(a_window(Allowance.REPLACE), a_window(Allowance.OBSERVE, "duel"))), False),
    ("not while the hand-over might stand still in a window, with two hosts that bill",
     a_case(a_host(0), windows_ahead=(coming(HAND_OVER_S - 1),)), False),
    ("but where it must have ended before that",
     a_case(a_host(0), windows_ahead=(coming(HAND_OVER_S),)), True),
    ("nor where the window is of its stream",
     a_case(a_host(0), windows_ahead=(coming(9000), coming(60, stream="duel"))), False),
    ("another stream's does not count",
     a_case(a_host(0), windows_ahead=(coming(60, stream="turbo"),)), True),
    ("nor does one in which a hand-over is brought to its end",
     a_case(a_host(0), windows_ahead=(coming(60, Allowance.REPAIR), coming(60, Allowance.REPLACE))),
     True),
    ("one that came to nothing is tried again hours later",
     a_case(a_host(0, recycle_at=ahead(60))), False),
    ("and then is", a_case(a_host(0, recycle_at=ago(1))), True),
    ("a clock that stepped back puts nothing off for long",
     a_case(a_host(0, recycle_at=ahead(90_000))), True),
    ("nor when replacements were needed lately",
     a_case(a_host(0, replaced_at=tuple(ago(3600 * n) for n in range(1, 6)))), False),
    ("nor while the marketplace cannot be read",
     a_case(a_host(0), unreadable_since=ago(5)), False),
]  # fmt: skip


@pytest.mark.parametrize(("case", "is_due"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_who_is_recycled(case: tuple[World, Desired], is_due: bool) -> None:
    plan = decide(*case)
    decision = decision_for(plan, slot(0))
    assert isinstance(decision, Rent) is is_due
    if is_due:
        assert decision.reason is Reason.RECYCLE
        (told,) = events_of(plan, HostRecycling)
        assert (told.slot, told.duration_s) == (SLOT, OLD_S)
        serving = case[0].records[SLOT].tenure
        assert serving is not None
        assert told.instance_id == serving.instance_id
        record = record_after(case[0], plan)
        assert record.incoming is not None
        assert record.tenure is not None  # make, then break
    else:
        assert decision.reason is Reason.HEALTHY  # put off, not held: nobody need look
        assert events_of(plan, HostRecycling) == []


def test_of_two_that_are_due_one_goes() -> None:
    plan = decide(*a_case(a_host(0), a_host(1)))
    assert [each.slot for each in plan.acts if isinstance(each, Rent)] == [slot(0)]


@pytest.mark.parametrize(
    "changes",
    [
        {"offers": {DUEL: a_book(an_offer(1, rentable=False))}},
        {"offers": {DUEL: a_book(an_offer(1, dollars_per_hour=1.9))}},
    ],
    ids=["no offer suits", "no money for a second host"],
)
def test_what_cannot_be_had_puts_it_off_for_hours(changes: dict[str, object]) -> None:
    """A held budget pages a person; nobody is woken for a recycle."""
    poor = a_stream(recycle_after_s=OLD_S, spend_max_dollars_per_hour=2.0)
    world, desired = a_case(a_host(0), stream=poor, **changes)
    plan = decide(world, desired)
    assert decision_for(plan).reason is Reason.HEALTHY
    record = record_after(world, plan)
    assert record.recycle_at == ahead(21_600)
    assert record.offer_misses == 0
    assert record.last_act == world.records[SLOT].last_act  # nothing was rented


def test_keeper_wakes_for_it() -> None:
    world, desired = a_case(a_host(0, OLD_S - 5))
    assert decide(world, desired).next_check_at == ahead(5)


@pytest.mark.parametrize(
    ("mode", "reason"), [(Mode.OBSERVE, Reason.HEALTHY), (Mode.SUGGEST, Reason.SUGGEST_ONLY)]
)
def test_a_recycle_is_suggested_and_never_observed(mode: Mode, reason: Reason) -> None:
    stream = a_stream(recycle_after_s=OLD_S, mode=mode)
    decision = decision_for(decide(*a_case(a_host(0), stream=stream)))
    assert decision.reason is reason


def test_fresh_offers_are_asked_for_first() -> None:
    world, desired = a_case(a_host(0), offers={})
    plan = decide(world, desired)
    assert plan.wants.offers_for == (DUEL,)
    assert decision_for(plan).reason is Reason.OFFERS_STALE
