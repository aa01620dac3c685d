"""Bids on the wire: what is sent, once, and what each refusal means. Money depends on every line."""

import math
from typing import Any

import pytest

from keeper.core.model import InstanceId, OfferId, RentalSpec
from keeper.ports import (
    Invalid,
    Malformed,
    Missing,
    PortError,
    RateLimited,
    TimedOut,
    Transient,
    Uncertain,
    Unreachable,
)
from tests.integration.adapters.vast_server import (
    CHANGE_BID,
    CREATE,
    Answer,
    hangs_up,
    market_at,
    says,
    scripted,
)

SPEC = RentalSpec(image="registry/stream:1", disk_gb=120.0)
# Not a number, endless, or outside what Vast.ai takes (docs, create instance, read 2026-08). In JSON,
# what is no number becomes null, and null is "on demand" to a create and "whatever wins" to a bid.
NO_BIDS = [math.nan, math.inf, -math.inf, 0.0, -0.2, 0.0009, 128.1]


async def bid_on(answer: Answer, dollars: float | None) -> Any:
    async with scripted() as script, market_at(script.url) as market:
        script.on(CREATE, answer)
        await market.create(OfferId(7), "a label", SPEC, bid_dollars_per_hour=dollars)
        (one,) = script.seen
        return one.json


async def change(answer: Answer, dollars: float = 0.45) -> Any:
    async with scripted() as script, market_at(script.url) as market:
        script.on(CHANGE_BID, answer)
        try:
            await market.change_bid(InstanceId(5), dollars)
        finally:
            assert script.count(CHANGE_BID) == 1
        return script.seen[0].json


# --- renting with a bid --------------------------------------------------------------------------


@pytest.mark.parametrize("dollars", [0.001, 0.221, 1, 128.0])
async def test_a_bid_is_the_price_of_the_order(dollars: float) -> None:
    """Q5: also a bid asks to be cancelled rather than left as a stopped contract that bills."""
    body = await bid_on(says({"success": True, "new_contract": 4711}), dollars)
    assert body["price"] == dollars
    assert body["cancel_unavail"] is True
    assert body["target_state"] == "running"


async def test_no_bid_is_an_order_on_demand() -> None:
    assert (await bid_on(says({"success": True, "new_contract": 4711}), None))["price"] is None


@pytest.mark.parametrize("dollars", NO_BIDS)
async def test_what_is_no_bid_is_not_sent_as_an_order_on_demand(dollars: float) -> None:
    async with scripted() as script, market_at(script.url) as market:
        with pytest.raises(Invalid, match="not sent"):
            await market.create(OfferId(7), "a label", SPEC, bid_dollars_per_hour=dollars)
        assert script.seen == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"success": False, "error": "invalid_price", "msg": "bid outside limits"}),
        (
            400,
            {
                "success": False,
                "error": "invalid_args",
                "msg": "Please set a bid price >= 0.001.",
            },
        ),
    ],
)
async def test_a_bid_that_is_refused_has_rented_nothing(status: int, body: Any) -> None:
    with pytest.raises(Invalid):
        await bid_on(says(body, status), 0.221)


@pytest.mark.parametrize("status", [200, 400])
async def test_a_bid_too_low_that_left_a_contract_names_it(status: int) -> None:
    """Q4: the contract stands still and bills its disk (a third party in production, 2026-08)."""
    body = {"success": False, "error": "invalid_price", "msg": "bid too low", "new_contract": 4711}
    with pytest.raises(Uncertain) as caught:
        await bid_on(says(body, status), 0.221)
    assert caught.value.instance_id == 4711


async def test_a_lost_answer_to_a_bid_is_uncertain_and_not_asked_again() -> None:
    """Q2: the official client sends the same create three times."""
    async with scripted() as script, market_at(script.url) as market:
        script.on(CREATE, hangs_up(), says({"success": True, "new_contract": 4711}))
        with pytest.raises(Uncertain):
            await market.create(OfferId(7), "a label", SPEC, bid_dollars_per_hour=0.221)
        assert script.count(CREATE) == 1


# --- changing a bid ------------------------------------------------------------------------------


async def test_a_new_bid_is_sent_as_the_official_client_sends_it() -> None:
    assert await change(says({"success": True})) == {"client_id": "me", "price": 0.45}


@pytest.mark.parametrize("dollars", NO_BIDS)
async def test_what_is_no_bid_is_not_sent_as_whatever_wins(dollars: float) -> None:
    """A null price takes the winning bid, however high (official client, read 2026-08)."""
    async with scripted() as script, market_at(script.url) as market:
        with pytest.raises(Invalid, match="not sent"):
            await market.change_bid(InstanceId(5), dollars)
        assert script.seen == []


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"success": False, "error": "invalid_args", "msg": "Please set a bid"}, Invalid),
        (400, {"success": False, "error": "invalid_price"}, Invalid),
        (404, {"success": False, "error": "no_such_instance"}, Missing),
        (200, {"success": False, "error": "no_such_instance"}, Missing),
        (429, {"detail": "API requests too frequent endpoint threshold=5.5"}, RateLimited),
        (502, "<html>502</html>", Transient),
        (200, {"success": False, "msg": "who knows"}, Malformed),
        (200, "<html>ok</html>", Malformed),
    ],
)
async def test_a_bid_that_is_not_changed_says_why(
    status: int, body: Any, error: type[PortError]
) -> None:
    kind = "text/html" if isinstance(body, str) else "application/json"
    with pytest.raises(error) as caught:
        await change(says(body, status, content_type=kind))
    assert type(caught.value) is error


async def test_a_lost_answer_to_a_new_bid_is_no_doubt() -> None:
    """The same bid twice is one bid, and the next listing shows what became of it."""
    with pytest.raises(Unreachable):
        await change(hangs_up())


async def test_no_time_for_a_bid_means_nothing_was_sent() -> None:
    async with market_at("http://127.0.0.1:9") as market:
        with pytest.raises((Unreachable, TimedOut)):
            await market.change_bid(InstanceId(5), 0.45)
