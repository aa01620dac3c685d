"""What stands from one tick to the next saves work and changes no answer: not one, in any world."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.alerts.rules import firing
from keeper.core import reconcile as deciding
from keeper.core.decisions import Plan
from keeper.core.health import judge
from keeper.core.labels import label_for
from keeper.core.model import (
    Desired,
    HostId,
    InstanceId,
    MachineId,
    MarketState,
    Mode,
    Reading,
    RemedyUse,
    Rung,
    SlotId,
    Status,
    Subject,
)
from keeper.core.reasons import Reason
from keeper.core.reconcile import reconcile
from keeper.core.standing import Standing
from keeper.core.windows import Allowance, Window
from keeper.core.world import AccountSeen, OrderKind, Snapshot, World
from keeper.daemon import tick
from keeper.sim.faultplan import preset
from keeper.sim.story import Story, storm_s
from tests.builders import (
    KEEPER_ID,
    NOW,
    a_book,
    a_condemned,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    an_instance,
    an_offer,
    an_order,
    applied,
    with_policy,
)
from tests.property.worlds import worlds

SLOTS = tuple(SlotId(f"duel/{replica}") for replica in range(5))
STRANGER = InstanceId(6500)
_LABEL = {slot: label_for(KEEPER_ID, slot, 1) for slot in SLOTS}
_HOST = {slot: InstanceId(7000 + at) for at, slot in enumerate(SLOTS)}


def fleet(**changes: Any) -> Desired:
    return Desired(streams=(a_stream(replicas=len(SLOTS), **changes),))


DESIRES = (
    fleet(),
    fleet(recycle_after_s=3030.0),
    fleet(revision="new"),
    fleet(mode=Mode.SUGGEST),
    fleet(spend_max_dollars_per_day=0.5),
    Desired(streams=(with_policy(a_stream(replicas=len(SLOTS)), probe_stale_s=20.0),)),
    Desired(streams=(a_stream(replicas=2), a_stream("turbo"))),
)


def on_air() -> World:
    """Five slots on air, most with something that ends soon."""
    records = []
    for at, slot in enumerate(SLOTS):
        tenure = a_tenure(
            label=_LABEL[slot],
            instance_id=_HOST[slot],
            machine_id=MachineId(200 + at),
            host_id=HostId(300 + at // 2),
            revision="old",
            ends_at=None if at else NOW + timedelta(seconds=10_900),
            first_live_at=ago(3000 if at else 3005),
            good_in_a_row=3 if at == 3 else 6,
            is_left_stopped=at == 3,
        )
        record = a_record(tenure, slot, proven_revision="old")
        if at == 1:
            record = replace(record, proven_revision="", healthy_since=ago(1780))
        if at == 4:
            use = RemedyUse(rung=Rung.RESTART_PROCESS, at=ago(700))
            record = replace(record, remedies=(use,), healthy_since=ago(590))
        records.append(record)
    return a_world(*records, offers={"duel": a_book(an_offer(1), an_offer(2))})


# --- what happens between two ticks -------------------------------------------------------------------

Happening = Callable[[World, datetime], World]


def _hear_all(world: World, now: datetime) -> World:
    return replace(world, heard_at=dict.fromkeys(world.heard_at, now))


def _vouch(world: World, now: datetime) -> World:
    return _hear_all(world, now + timedelta(days=3650))


def _list_anew(world: World, now: datetime) -> World:
    assert world.listing is not None
    return replace(world, listing=replace(world.listing, at=now))


def _say(slot: SlotId, subject: Subject, status: Status, reason: Reason, **more: Any) -> Happening:
    def happen(world: World, now: datetime) -> World:
        reading = Reading(
            instance_id=_HOST[slot], subject=subject, status=status, reason=reason, at=now, **more
        )
        heard = {**world.heard_at, (_HOST[slot], subject): now}
        return replace(world, readings=(*world.readings, reading), heard_at=heard)

    return happen


def _row(slot: SlotId, **changes: Any) -> Happening:
    def happen(world: World, now: datetime) -> World:
        assert world.listing is not None
        rows = tuple(
            replace(row, **changes) if row.instance_id == _HOST[slot] else row
            for row in world.listing.instances
        )
        return replace(world, listing=replace(world.listing, instances=rows, at=now))

    return happen


def _unlist(slot: SlotId) -> Happening:
    def happen(world: World, now: datetime) -> World:
        assert world.listing is not None
        rows = tuple(r for r in world.listing.instances if r.instance_id != _HOST[slot])
        return replace(world, listing=replace(world.listing, instances=rows, at=now))

    return happen


def _stray(world: World, now: datetime) -> World:
    assert world.listing is not None
    row = an_instance(STRANGER, label_for(KEEPER_ID, SLOTS[0], 1))
    rows = (*world.listing.instances, row)
    return replace(world, listing=replace(world.listing, instances=rows, at=now))


def _with(**changes: Any) -> Happening:
    return lambda world, _: replace(world, **changes)


def _order(kind: OrderKind, slot: SlotId) -> Happening:
    return lambda world, now: replace(
        world, orders=(*world.orders, replace(an_order(kind, slot), at=now))
    )


def _restarted(world: World, now: datetime) -> World:
    return replace(world, started_at=now, heard_at={})


def _starved(world: World, now: datetime) -> World:
    return replace(world, account=AccountSeen(spendable_dollars=-1.0, at=now, empty_at=now))


def _a_window(world: World, now: datetime) -> World:
    window = Window(
        name="night", since=now, until=now + timedelta(hours=1), allow=Allowance.OBSERVE
    )
    return replace(world, windows=(window,), windows_change_at=window.until)


ONE, TWO = SLOTS[0], SLOTS[2]
HAPPENINGS: tuple[Happening, ...] = (
    lambda world, _: world,
    _hear_all,
    _vouch,
    _list_anew,
    lambda world, now: _list_anew(_hear_all(world, now), now),
    *(_say(slot, Subject.PICTURE, Status.TRUE, Reason.LIVE) for slot in SLOTS),
    _say(ONE, Subject.PICTURE, Status.TRUE, Reason.STUTTERING),
    _say(ONE, Subject.PICTURE, Status.FALSE, Reason.FROZEN, is_certain=True),
    _say(TWO, Subject.PICTURE, Status.FALSE, Reason.FROZEN),
    _say(TWO, Subject.PICTURE, Status.UNKNOWN, Reason.PROBE_FAILED),
    _say(ONE, Subject.LINK, Status.TRUE, Reason.LINK_UP),
    _say(ONE, Subject.LINK, Status.UNKNOWN, Reason.LINK_LOST),
    _say(TWO, Subject.LINK, Status.FALSE, Reason.HOST_KEY_CHANGED),
    _say(ONE, Subject.PROCESS, Status.TRUE, Reason.PROCESS_UP, identity="41:1"),
    _say(SLOTS[3], Subject.PROCESS, Status.TRUE, Reason.PROCESS_UP, identity="41:1"),
    _say(ONE, Subject.PROCESS, Status.TRUE, Reason.PROCESS_UP, identity="42:9", restarts=1),
    _say(ONE, Subject.PROCESS, Status.FALSE, Reason.PROCESS_GONE, is_certain=True),
    _say(TWO, Subject.GPU, Status.TRUE, Reason.RUNNING),
    _say(TWO, Subject.GPU, Status.FALSE, Reason.GPU_LOST),
    _say(TWO, Subject.DISK, Status.FALSE, Reason.DISK_FULL),
    _row(ONE, state=MarketState.OFFLINE),
    _row(ONE, is_meant_to_run=False, state=MarketState.STOPPED),
    _row(TWO, dollars_per_hour=1.9),
    _row(TWO, is_machine_listed=False),
    _row(TWO, public_ip="203.0.113.9"),
    _row(ONE, ends_at=NOW + timedelta(hours=4)),
    _unlist(ONE),
    _stray,
    _with(host_keys={_HOST[ONE]: "ssh-ed25519 AAAA"}),
    _with(guards={_HOST[TWO]: True}),
    _with(in_flight=frozenset({ONE})),
    _with(in_flight=frozenset()),
    _with(held_slots=frozenset({TWO})),
    _with(held_slots=frozenset()),
    _with(shown={_HOST[ONE]: None}),
    _with(own_network=Status.FALSE),
    _with(own_network=Status.TRUE),
    _with(pause=a_pause()),
    _with(slot_pauses={ONE: a_pause(60.0)}),
    _with(is_stopping=True),
    _with(unreadable_since=NOW),
    _with(condemned=(a_condemned(7900),)),
    _with(listing=None),
    _restarted,
    _starved,
    _a_window,
    *(
        _order(kind, ONE)
        for kind in (OrderKind.RESTART, OrderKind.REPLACE, OrderKind.DESTROY, OrderKind.RENT)
    ),
    _order(OrderKind.REPLACE, TWO),
)
SECONDS = (0.0, 1.0, 5.0, 10.0, 30.0, 44.0, 46.0, 170.0, 200.0, 901.0, 3600.0, -40.0)
QUIET = st.sampled_from(HAPPENINGS[:9])
ANY = st.sampled_from(HAPPENINGS)
DAY = st.lists(
    st.tuples(st.sampled_from(SECONDS), st.lists(ANY, max_size=2) | st.lists(QUIET, max_size=4)),
    min_size=3,
    max_size=9,
)


def _same(world: World, desired: Desired, now: datetime, standing: Standing) -> Plan:
    plan = reconcile(world, desired, now, standing)
    anew = reconcile(world, desired, now)
    assert plan == anew
    return plan


def _seen(world: World, now: datetime) -> World:
    return _list_anew(_hear_all(world, now), now) if world.listing is not None else world


# Seconds that pass, and whether all is heard and listed again by then.
LATER = ((1.0, False), (46.0, False), (200.0, False), (25.0, True), (5400.0, True), (-4000.0, True))


@pytest.mark.parametrize("before", DESIRES)
def test_whatever_happens_to_a_fleet_at_rest_is_decided_the_same_as_if_each_tick_were_the_first(
    before: Desired,
) -> None:
    """One thing happens, or the wishes change; then some time goes by."""
    settled, now, standing = on_air(), NOW, Standing()
    for _ in range(3):
        now += timedelta(seconds=1)
        settled = applied(settled, reconcile(settled, before, now, standing))
    assert standing.sound
    wishes = [(happen, before) for happen in HAPPENINGS]
    wishes += [(HAPPENINGS[0], after) for after in DESIRES]
    for happen, desired in wishes:
        for seconds, is_seen in LATER:
            left, first = copy(standing), now + timedelta(seconds=1)
            world = happen(settled, first)
            world = applied(world, _same(world, desired, first, left))
            second = first + timedelta(seconds=seconds)
            _same(_seen(world, second) if is_seen else world, desired, second, left)


@given(
    st.sampled_from(DESIRES),
    DAY,
    st.integers(0, 8),
    st.sampled_from(DESIRES),
)
@settings(max_examples=100)
def test_a_day_is_decided_the_same_as_if_each_tick_were_the_first(
    desired: Desired,
    day: list[tuple[float, list[Happening]]],
    reloaded_at: int,
    after: Desired,
) -> None:
    world, now, standing = on_air(), NOW, Standing()
    for number, (seconds, happenings) in enumerate(day):
        now += timedelta(seconds=seconds)
        for happen in happenings:
            if world.listing is not None or happen is HAPPENINGS[0]:
                world = happen(world, now)
        if number == reloaded_at:
            desired = after
        world = applied(world, _same(world, desired, now, standing))


@given(worlds(), st.lists(st.sampled_from(SECONDS), max_size=3))
@settings(max_examples=40)
def test_any_world_is(case: tuple[World, Desired], seconds: list[float]) -> None:
    world, desired = case
    standing, now = Standing(), NOW
    for passed in (0.0, 0.0, *seconds):
        now += timedelta(seconds=passed)
        world = applied(world, _same(world, desired, now, standing))


@given(worlds())
@settings(max_examples=40)
def test_no_alert_is_about_a_slot_that_is_well(case: tuple[World, Desired]) -> None:
    world, desired = case
    plan = reconcile(world, desired, NOW)
    records = applied(world, plan).records
    snapshot = Snapshot(desired=desired, world=world, plan=plan, records=records, at=NOW, tick=1)
    told = firing(snapshot, NOW)
    object.__setattr__(snapshot, "ailing", records)
    assert firing(snapshot, NOW) == told


def test_slots_that_are_well_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[InstanceId | None] = []

    def counting(tenure: Any, evidence: Any) -> Any:
        judged.append(tenure.instance_id)
        return judge(tenure, evidence)

    monkeypatch.setattr(deciding, "judge", counting)
    world, desired, standing, now = on_air(), fleet(), Standing(), NOW
    for _ in range(3):
        now += timedelta(seconds=1)
        world = applied(world, reconcile(world, desired, now, standing))
    judged.clear()
    for slot in SLOTS:
        world = _say(slot, Subject.PICTURE, Status.TRUE, Reason.LIVE)(world, now)
    bad = _say(TWO, Subject.PICTURE, Status.FALSE, Reason.FROZEN)(_list_anew(world, now), now)
    reconcile(bad, desired, now + timedelta(seconds=1), standing)
    # The first has nothing new to tell; the others have a wait to end, a bad picture, a good one.
    assert judged == [_HOST[slot] for slot in SLOTS[1:]]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("seed", "slots"), [(5, 1), (2, 6)])
def test_a_stormy_day_of_the_whole_daemon_is(
    seed: int, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tick of it is decided twice: from what stands, and anew."""
    ticks = []

    def both(
        world: World, desired: Desired, now: datetime, standing: Standing | None = None
    ) -> Plan:
        if standing is None:
            return reconcile(world, desired, now)
        ticks.append(len(standing.sound))
        return _same(world, desired, now, standing)

    monkeypatch.setattr(tick, "reconcile", both)
    days = 1.5 / slots**0.5
    story = Story(
        seed=seed,
        duration_s=days * 86_400,
        plan=preset("all", seed=seed, until_s=storm_s(days)),
        streams={"duel": slots, "turbo": slots},
        machines=56 + 6 * slots,
    )
    assert story.run().result.broken == ()
    assert sum(map(bool, ticks)) > len(ticks) / 10
