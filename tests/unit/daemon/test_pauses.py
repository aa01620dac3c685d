"""Pauses: taken, resumed, expired; a destroyed slot stays empty until it is resumed."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keeper.core.events import PauseChanged
from keeper.core.model import SlotId, StreamName
from keeper.core.pauses import key_of
from keeper.core.reasons import Reason
from keeper.core.spare import Spares
from keeper.core.world import Order, OrderKind, Pause
from keeper.daemon.declared import Declared
from keeper.daemon.orders import expanded, joined, lapsed
from keeper.daemon.tick import pauses_after
from keeper.sim.loop import run
from keeper.web.status import status_of
from tests.stage import Stage

NOW = datetime(2026, 1, 5, tzinfo=UTC)
SLOT = SlotId("duel/0")


def _order(kind: OrderKind, slot: SlotId | None = None, for_s: float | None = None) -> Order:
    until = None if for_s is None else NOW + timedelta(seconds=for_s)
    return Order(
        order_id="1", kind=kind, slot=slot, actor="ada", reason="works", at=NOW, until=until
    )


PAUSE = Pause(since=NOW, until=None, actor="ada", reason="works")


@pytest.mark.parametrize(
    ("orders", "fleet", "slots"),
    [
        pytest.param((_order(OrderKind.PAUSE),), PAUSE, {}, id="a fleet pause holds the fleet"),
        pytest.param(
            (_order(OrderKind.PAUSE), _order(OrderKind.RESUME)), None, {}, id="a resume ends it"
        ),
        pytest.param(
            (_order(OrderKind.PAUSE, SLOT),), None, {SLOT: PAUSE}, id="a slot pause holds its slot"
        ),
        pytest.param(
            (_order(OrderKind.DESTROY, SLOT),),
            None,
            {SLOT: PAUSE},
            id="a destroyed slot stays empty until it is resumed",
        ),
        pytest.param(
            (_order(OrderKind.DESTROY, SLOT), _order(OrderKind.RESUME, SLOT)),
            None,
            {},
            id="a resumed slot may be filled again",
        ),
        pytest.param((_order(OrderKind.RESTART, SLOT),), None, {}, id="a restart pauses nothing"),
    ],
)
def test_orders_change_pauses(
    orders: tuple[Order, ...], fleet: Pause | None, slots: dict[SlotId, Pause]
) -> None:
    assert pauses_after(orders, None, {}, NOW) == (fleet, slots)


def test_a_pause_ends_by_itself() -> None:
    until = NOW + timedelta(seconds=60)
    pause = Pause(since=NOW, until=until, actor="ada", reason="works")
    before, after = NOW + timedelta(seconds=59), NOW + timedelta(seconds=60)
    assert pauses_after((), pause, {SLOT: pause}, before) == (pause, {SLOT: pause})
    assert pauses_after((), pause, {SLOT: pause}, after) == (None, {})


def test_unchanged_pauses_are_the_same_object_so_nothing_is_written() -> None:
    slots = {SLOT: PAUSE}
    assert pauses_after((), None, slots, NOW)[1] is slots


def test_an_order_for_a_stream_is_one_for_each_of_its_slots() -> None:
    order = _of_stream(OrderKind.PAUSE)
    slots = {SlotId(name) for name in ("duel/1", "duel/0", "duel-2/0", "paint/0")}
    made = expanded((order, _order(OrderKind.RESUME)), slots)
    assert [(each.kind, each.slot, each.stream) for each in made] == [
        (OrderKind.PAUSE, "duel/0", "duel"),
        (OrderKind.PAUSE, "duel/1", "duel"),
        (OrderKind.RESUME, None, None),
    ]
    assert set(pauses_after(made, None, {}, NOW)[1]) == {"duel/0", "duel/1", DUEL_ITSELF}


# --- slots that come later --------------------------------------------------------------------------

DUEL = StreamName("duel")
DUEL_ITSELF = key_of(DUEL)
LATER = (SlotId("duel/1"), SlotId("duel/spare-0"), SlotId("paint/0"))


def _of_stream(kind: OrderKind, for_s: float | None = None) -> Order:
    return replace(_order(kind, for_s=for_s), stream=StreamName("duel"))


def _after(
    *orders: Order,
    slots: dict[SlotId, Pause] | None = None,
    new: tuple[SlotId, ...] = (),
    at: datetime = NOW,
) -> dict[SlotId, Pause]:
    """What is paused one by one after these orders, of which each is for the slots known by then."""
    paused = slots or {}
    known = {SLOT, *paused, *new} - {DUEL_ITSELF}
    _, after = pauses_after(expanded(orders, known), None, paused, at, new)
    return dict(after)


def test_a_pause_of_a_stream_holds_the_slots_and_spares_that_come_later() -> None:
    paused = _after(_of_stream(OrderKind.PAUSE))
    assert paused == {SLOT: PAUSE, DUEL_ITSELF: PAUSE}
    assert _after(slots=paused, new=LATER) == {
        SLOT: PAUSE, DUEL_ITSELF: PAUSE, LATER[0]: PAUSE, LATER[1]: PAUSE,
    }  # fmt: skip


def test_a_pause_of_the_only_slot_of_a_stream_is_of_that_slot() -> None:
    paused = _after(_order(OrderKind.PAUSE, SLOT))
    assert _after(slots=paused, new=LATER) == {SLOT: PAUSE}


def test_a_slot_that_comes_in_the_tick_of_the_order_is_held_too() -> None:
    assert LATER[0] in _after(_of_stream(OrderKind.PAUSE), new=LATER)
    paused = _after(_of_stream(OrderKind.PAUSE))
    assert _after(_of_stream(OrderKind.RESUME), slots=paused, new=LATER) == {}


def test_a_slot_that_comes_may_be_resumed_at_once() -> None:
    paused = _after(_of_stream(OrderKind.PAUSE))
    paused = _after(_order(OrderKind.RESUME, LATER[0]), slots=paused, new=LATER)
    assert paused == {SLOT: PAUSE, LATER[1]: PAUSE, DUEL_ITSELF: PAUSE}


def test_a_resume_of_a_stream_ends_every_pause_in_it() -> None:
    """Also that of a slot that fewer replicas left out meanwhile: nobody can name it any more."""
    gone, other = SlotId("duel/7"), SlotId("duel-2/0")
    paused = {SLOT: PAUSE, DUEL_ITSELF: PAUSE, LATER[1]: PAUSE, gone: PAUSE, other: PAUSE}
    order = expanded((_of_stream(OrderKind.RESUME),), {SLOT})
    assert pauses_after(order, None, paused, NOW)[1] == {other: PAUSE}


def test_a_slot_that_is_resumed_by_itself_leaves_the_rest_of_its_stream_paused() -> None:
    paused = {SLOT: PAUSE, LATER[0]: PAUSE, DUEL_ITSELF: PAUSE}
    paused = _after(_order(OrderKind.RESUME, SLOT), slots=paused)
    assert paused == {LATER[0]: PAUSE, DUEL_ITSELF: PAUSE}
    # With the last one of them the pause of the stream is over: there is nothing that it holds.
    assert _after(_order(OrderKind.RESUME, LATER[0]), slots=paused) == {}


def test_a_pause_of_a_stream_ends_by_itself_for_those_that_come_later_too() -> None:
    paused = _after(_of_stream(OrderKind.PAUSE, for_s=60))
    at = NOW + timedelta(seconds=60)
    assert _after(slots=paused, new=LATER, at=at) == {}
    assert {getattr(each, "slot", "?") for each in lapsed(None, paused, at)} == {SLOT}


def test_a_pause_of_a_stream_does_not_let_a_destroyed_slot_be_filled_when_it_ends() -> None:
    """What lasts longer in one of its slots stays; what the stream's own pause brought does not."""
    soon, late = NOW + timedelta(seconds=60), NOW + timedelta(seconds=3600)
    own = {SLOT: PAUSE, LATER[0]: replace(PAUSE, until=soon)}
    paused = _after(_of_stream(OrderKind.PAUSE, for_s=600), slots=own)
    taken = replace(PAUSE, until=NOW + timedelta(seconds=600))
    assert paused == {SLOT: PAUSE, LATER[0]: taken, DUEL_ITSELF: taken}
    shorter = _after(_of_stream(OrderKind.PAUSE, for_s=60), slots=paused)
    assert shorter == {
        SLOT: PAUSE,
        LATER[0]: replace(taken, until=soon),
        DUEL_ITSELF: replace(taken, until=soon),
    }
    longer = _after(_of_stream(OrderKind.PAUSE, for_s=3600), slots=shorter)
    assert longer[LATER[0]].until == late
    assert longer[SLOT] == PAUSE
    assert _after(_of_stream(OrderKind.RESUME), slots=longer) == {}


def test_a_slot_that_is_held_because_of_its_stream_is_told() -> None:
    paused = {SLOT: PAUSE, DUEL_ITSELF: PAUSE}
    (told,) = joined(LATER[:1], paused)
    assert (told.slot, told.paused, told.actor) == (LATER[0], True, "ada")
    assert told.detail == "its stream is paused: works"


def test_a_stream_without_pause_holds_nothing_that_comes() -> None:
    slots = {SlotId("paint/1"): PAUSE}
    assert pauses_after((), None, slots, NOW, LATER)[1] is slots


def test_a_pause_that_ends_by_itself_is_told() -> None:
    over = replace(PAUSE, until=NOW)
    assert lapsed(None, {SLOT: PAUSE}, NOW) == ()
    assert lapsed(PAUSE, {SLOT: replace(PAUSE, until=NOW + timedelta(seconds=1))}, NOW) == ()
    told = lapsed(over, {SLOT: over}, NOW)
    assert [(each.slot, each.paused, each.actor) for each in told if isinstance(each, PauseChanged)]
    assert {getattr(each, "slot", "?") for each in told} == {None, SLOT}


# --- the whole of it --------------------------------------------------------------------------------


def _more(declared: Declared) -> Declared:
    """Declare another slot and a spare."""
    streams = tuple(
        replace(each, replicas=2, spares=Spares(count=1)) for each in declared.desired.streams
    )
    return replace(declared, desired=replace(declared.desired, streams=streams))


def _rented(stage: Stage) -> set[str]:
    rentals = stage.universe.market.ledger.rentals.values()
    return {each.label.rpartition(":")[0].rpartition(":")[2] for each in rentals}


@pytest.mark.parametrize("is_reload", [True, False])
def test_a_paused_stream_that_grows_stays_paused_until_it_is_resumed(is_reload: bool) -> None:
    """By a reload, or by a restart with another file."""

    async def play() -> None:
        first = Stage(reload=lambda: _more(first.declared))
        async with first:
            await first.until_on_air()
            order = replace(first.order(OrderKind.PAUSE, None), stream=DUEL)
            await first.daemon.order(order)
            if is_reload:
                await first.daemon.reload()
                await asyncio.sleep(600.0)
                assert _rented(first) == {SLOT}
        async with Stage(universe=first.universe, disk=first.disk, change=_more) as stage:
            await asyncio.sleep(600.0)
            assert _rented(stage) == {SLOT}
            # Told once, by the process that saw it come.
            facts = [*first.facts.events, *stage.facts.events]
            told = [e for e in facts if isinstance(e, PauseChanged) and e.slot == LATER[0]]
            assert [(each.paused, each.actor) for each in told] == [(True, "ada")]
            assert set(stage.disk.slot_pauses) == {SLOT, DUEL_ITSELF, *LATER[:2]}
            (shown,) = status_of(stage.snapshot, stage.clock.now()).streams
            assert all(each.pause is not None for each in (*shown.slots, *shown.spares))
            assert {d.reason for d in stage.snapshot.plan.decisions if d.slot == LATER[0]} == {
                Reason.PAUSED
            }
            await stage.daemon.order(
                replace(stage.order(OrderKind.RESUME, None, order_id="2"), stream=DUEL)
            )
            await stage.until(lambda: _rented(stage) == {SLOT, *LATER[:2]}, within_s=3600.0)
            assert stage.disk.slot_pauses == {}

    run(play())


def test_a_pause_of_one_slot_does_not_spread_when_its_stream_grows() -> None:
    async def play() -> None:
        stage = Stage(reload=lambda: _more(stage.declared))
        async with stage:
            await stage.until_on_air()
            await stage.daemon.order(stage.order(OrderKind.PAUSE))
            await stage.daemon.reload()
            await stage.until(lambda: LATER[0] in _rented(stage), within_s=600.0)
            assert set(stage.disk.slot_pauses) == {SLOT}

    run(play())
