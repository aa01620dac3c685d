"""Pauses: taken, resumed, expired; a destroyed slot stays empty until it is resumed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keeper.core.events import PauseChanged
from keeper.core.model import SlotId, StreamName
from keeper.core.world import Order, OrderKind, Pause
from keeper.daemon.orders import expanded, lapsed
from keeper.daemon.tick import pauses_after

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
    order = replace(_order(OrderKind.PAUSE), stream=StreamName("duel"))
    slots = {SlotId(name) for name in ("duel/1", "duel/0", "duel-2/0", "paint/0")}
    made = expanded((order, _order(OrderKind.RESUME)), slots)
    assert [(each.kind, each.slot, each.stream) for each in made] == [
        (OrderKind.PAUSE, "duel/0", None),
        (OrderKind.PAUSE, "duel/1", None),
        (OrderKind.RESUME, None, None),
    ]
    assert set(pauses_after(made, None, {}, NOW)[1]) == {"duel/0", "duel/1"}


def test_a_pause_that_ends_by_itself_is_told() -> None:
    over = replace(PAUSE, until=NOW)
    assert lapsed(None, {SLOT: PAUSE}, NOW) == ()
    assert lapsed(PAUSE, {SLOT: replace(PAUSE, until=NOW + timedelta(seconds=1))}, NOW) == ()
    told = lapsed(over, {SLOT: over}, NOW)
    assert [(each.slot, each.paused, each.actor) for each in told if isinstance(each, PauseChanged)]
    assert {getattr(each, "slot", "?") for each in told} == {None, SLOT}
