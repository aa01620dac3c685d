"""What a provision orders of the daemon that it runs, and what it refuses before it runs one."""

import pytest

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.provision_alone import _must_be_allowed, _orders, all_filled
from keeper.cli.wish import Wanted
from keeper.core.model import Mode, OfferId, SlotId
from keeper.core.world import OrderKind, Pause
from keeper.ports import Saved
from tests.snapshots import NOW, stream

PAUSE = Pause(since=NOW, until=None, actor="ada", reason="")
FIRST, SECOND = SlotId("duel/0"), SlotId("duel/1")


def wanted(offer: int | None = None) -> Wanted:
    return Wanted(
        offer=OfferId(offer) if offer is not None else None, yes=True, dry_run=False, timeout_s=60
    )


def test_the_offer_is_named_before_the_slot_may_rent_and_only_for_one_slot() -> None:
    saved = Saved(keeper_id="k1", slot_pauses={FIRST: PAUSE, SlotId("other/0"): PAUSE})
    orders = _orders(stream(replicas=2), saved, [FIRST, SECOND], FIRST, wanted(5))
    assert [(order.kind, order.slot, order.offer_id) for order in orders] == [
        (OrderKind.RENT, FIRST, 5),
        (OrderKind.RENT, SECOND, None),
        (OrderKind.RESUME, FIRST, None),
    ]
    assert {order.reason for order in orders} == {"keeper provision --offer 5"}
    assert len({order.order_id for order in orders}) == 3


def test_without_an_offer_an_older_wish_is_ended() -> None:
    (order,) = _orders(stream(), Saved(keeper_id="k1"), [FIRST], None, wanted())
    assert (order.kind, order.slot, order.offer_id) == (OrderKind.RENT, FIRST, None)
    assert order.reason == "keeper provision"


def test_a_filled_slot_is_ordered_nothing() -> None:
    assert _orders(stream(), Saved(keeper_id="k1"), [], None, wanted()) == ()


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.SUGGEST])
def test_a_stream_that_is_only_watched_is_not_rented_for(mode: Mode) -> None:
    with pytest.raises(Stopped, match="nothing was rented") as stopped:
        _must_be_allowed(stream(mode=mode), Saved(keeper_id="k1"))
    assert stopped.value.code is ExitCode.REFUSED


def test_a_paused_fleet_rents_nothing() -> None:
    with pytest.raises(Stopped, match="paused by ada; nothing was rented") as stopped:
        _must_be_allowed(stream(), Saved(keeper_id="k1", pause=PAUSE))
    assert (stopped.value.code, "keeper resume" in stopped.value.cure) == (ExitCode.REFUSED, True)
    _must_be_allowed(stream(), Saved(keeper_id="k1"))


def test_no_room_for_an_offer_is_a_refusal_with_both_ways_on() -> None:
    no = all_filled(stream(), OfferId(5))
    assert no.code is ExitCode.REFUSED
    assert "offer 5 was not rented" in no.what
    assert "keeper destroy" in no.cure
    assert "without --offer" in no.cure
