"""Pauses: taken, resumed, expired; a destroyed slot stays empty until it is resumed."""

from datetime import UTC, datetime, timedelta

import pytest

from keeper.core.model import SlotId
from keeper.core.world import Order, OrderKind, Pause
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
