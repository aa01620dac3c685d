"""The marketplace over the wire: headers, spoiled deliveries, and the control API."""

import asyncio
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from keeper.sim.faults import Fault, FaultKind
from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo
from tests.waiting import eventually, look_until

SHAPE = MarketShape(
    renters_every_s=0, price_drift_every_s=0, bids_move_every_s=0, tempo=quick_tempo(0.2)
)


@pytest.fixture
async def sim() -> AsyncIterator[SimServer]:
    async with SimServer(seed=7, spacing_scale=0, shape=SHAPE) as server:
        yield server


@pytest.fixture
async def web(sim: SimServer) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": "Bearer some-key"}
    async with aiohttp.ClientSession(sim.url, headers=headers) as session:
        yield session


async def post(web: aiohttp.ClientSession, path: str, value: Any = None) -> Any:
    async with web.post(path, json=value) as reply:
        assert reply.status == 200, await reply.text()
        return await reply.json()


async def rent(web: aiohttp.ClientSession, label: str = "k:web/0:1") -> int:
    query = {"rentable": {"eq": True}, "order": [["dph_total", "asc"]], "limit": 1}
    offers = (await post(web, "/api/v0/bundles/", query))["offers"]
    async with web.put(
        f"/api/v0/asks/{offers[0]['id']}/",
        json={"image": "x", "disk": 16, "label": label, "runtype": "ssh_direct"},
    ) as reply:
        contract: int = (await reply.json())["new_contract"]
        return contract


async def test_answers_exactly_json_with_the_marketplaces_time(
    sim: SimServer, web: aiohttp.ClientSession
) -> None:
    before = sim.market.now()
    async with web.get("/api/v0/users/current") as reply:
        # The official command line refuses a charset behind it.
        assert reply.headers["Content-Type"] == "application/json"
        said = parsedate_to_datetime(reply.headers["Date"]).timestamp()
    assert before - 1 <= said <= sim.market.now()  # in whole seconds


async def test_takes_the_key_from_the_query_too(sim: SimServer) -> None:
    async with aiohttp.ClientSession(sim.url) as session:
        async with session.get("/api/v1/instances/") as reply:
            assert reply.status == 401
        async with session.get("/api/v1/instances/", params={"api_key": "x"}) as reply:
            assert (await reply.json())["instances"] == []


@pytest.mark.parametrize("kind", [FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER])
async def test_drops_the_connection_before_or_after_the_action(
    sim: SimServer, web: aiohttp.ClientSession, kind: FaultKind
) -> None:
    await post(
        web, "/sim/faults", {"kind": kind.value, "params": {"endpoint": "PUT /asks/*"}, "count": 9}
    )
    with pytest.raises(aiohttp.ClientConnectionError):
        await rent(web)
    assert bool(sim.ledger.rentals) == (kind is FaultKind.DROP_AFTER)


async def test_cuts_an_answer_in_the_middle(sim: SimServer, web: aiohttp.ClientSession) -> None:
    sim.market.arm(Fault(kind=FaultKind.TRUNCATED_JSON))
    with pytest.raises(aiohttp.ClientError):
        async with web.get("/api/v0/users/current") as reply:
            await reply.json()
    async with web.get("/api/v0/users/current") as reply:
        assert reply.status == 200


async def test_delays_an_answer(web: aiohttp.ClientSession) -> None:
    await post(web, "/sim/faults", {"kind": "latency", "params": {"delay_s": 0.3}})
    began = time.monotonic()
    async with web.get("/api/v0/users/current") as reply:
        assert reply.status == 200
    assert time.monotonic() - began >= 0.3


async def test_a_storm_of_429_ends(sim: SimServer, web: aiohttp.ClientSession) -> None:
    await post(web, "/sim/faults", [{"kind": "http_429", "count": 3, "params": {"style": "text"}}])
    for expected in (429, 429, 429, 200):
        async with web.get("/api/v1/instances/") as reply:
            assert reply.status == expected


async def test_tells_what_is_wrong_with_a_fault(web: aiohttp.ClientSession) -> None:
    async with web.post("/sim/faults", json={"kind": "rain"}) as reply:
        assert reply.status == 400
        assert "no fault is called 'rain'" in (await reply.json())["error"]


async def test_control_answers_no_page_of_a_browser(web: aiohttp.ClientSession) -> None:
    async with web.get("/sim/ledger", headers={"Origin": "http://example.com"}) as reply:
        assert reply.status == 403


async def test_the_ledger_shows_requests_and_costs(
    sim: SimServer, web: aiohttp.ClientSession
) -> None:
    instance_id = await rent(web)
    await eventually(lambda: sim.market.contracts[instance_id].endpoints is not None)

    async def read() -> Any:
        async with web.get("/sim/ledger") as reply:
            return await reply.json()

    ledger = await look_until(read, lambda told: told["rentals"][0]["dollars"] > 0)
    rental = ledger["rentals"][0]
    assert (rental["instance_id"], rental["label"], rental["ended_at"]) == (
        instance_id,
        "k:web/0:1",
        None,
    )
    assert [change["what"] for change in rental["changes"]] == ["created", "running"]
    assert {entry["endpoint"] for entry in ledger["requests"]} == {"/bundles/", "/asks/{id}/"}
    assert [entry["what"] for entry in ledger["hosts"]] == ["booted"]


async def test_an_unknown_host_or_verb_is_said(web: aiohttp.ClientSession) -> None:
    instance_id = await rent(web)
    async with web.post("/sim/hosts/1/kill") as reply:
        assert reply.status == 404
    async with web.post(f"/sim/hosts/{instance_id}/tickle") as reply:
        assert reply.status == 400
        assert "vanish" in (await reply.json())["error"]


async def test_a_port_in_use_is_an_error_and_leaves_nothing(sim: SimServer) -> None:
    port = int(sim.url.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        await SimServer(shape=SHAPE).start(port)


async def test_a_faster_clock_bills_faster() -> None:
    async with (
        SimServer(seed=7, spacing_scale=0, shape=SHAPE, time_scale=3600) as sim,
        aiohttp.ClientSession(sim.url, headers={"Authorization": "Bearer x"}) as web,
    ):
        await rent(web)
        before = sim.market.credit(sim.market.now())
        await asyncio.sleep(0.2)
        spent = before - sim.market.credit(sim.market.now())
        hourly = next(iter(sim.ledger.rentals.values())).dollars_per_hour
    assert spent > 0.1 * hourly
