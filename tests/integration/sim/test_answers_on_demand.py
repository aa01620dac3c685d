"""Odd answers, keys and limits over the wire, and keeper's own client looking at each of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from keeper.cli.sim import LIMIT_STYLES
from keeper.core.model import InstanceId
from keeper.ports import Missing, PortError, Unauthorized
from keeper.sim.access import RIGHTS, Grant, Session
from keeper.sim.limits import STYLES
from keeper.sim.market import MarketShape
from keeper.sim.script import Cue
from keeper.sim.serve import SimServer, quick_tempo
from keeper.sim.shapes import MENU
from tests.integration.adapters.vast_server import market_at

SHAPE = MarketShape(
    renters_every_s=0, price_drift_every_s=0, bids_move_every_s=0, tempo=quick_tempo(0.2)
)
USER = "/api/v0/users/current"
SEARCH = "/api/v0/bundles/"


@pytest.fixture
async def sim() -> AsyncIterator[SimServer]:
    async with SimServer(seed=7, spacing_scale=0, shape=SHAPE, has_old_host=True) as server:
        yield server


@pytest.fixture
async def web(sim: SimServer) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": "Bearer some-key"}
    async with aiohttp.ClientSession(sim.url, headers=headers) as session:
        yield session


async def post(web: aiohttp.ClientSession, path: str, value: Any) -> tuple[int, Any]:
    async with web.post(path, json=value) as reply:
        return reply.status, await reply.json()


async def test_every_shape_of_the_menu_arrives_as_it_is_written(
    web: aiohttp.ClientSession,
) -> None:
    async with web.get("/sim/shapes") as reply:
        menu = await reply.json()
    assert list(menu) == list(MENU)
    for name, shape in menu.items():
        assert (await post(web, "/sim/answers", {"answer": name}))[0] == 200
        try:
            # A POST: aiohttp itself sends a GET again when the connection ends.
            async with web.post(SEARCH, json={}, allow_redirects=False) as reply:
                content = await reply.read()
                assert reply.status == shape["status"], name
                if isinstance(shape["body"], str):
                    assert reply.headers["Content-Type"] in {"text/html", "text/plain"}
                    assert shape["status"] == 204 or content.decode() == shape["body"]
                else:
                    assert reply.headers["Content-Type"] == "application/json"
        except aiohttp.ClientError:
            assert shape["delivery"] != "whole", name
    async with web.get(USER) as reply:
        assert (await reply.json())["credit"] == 100.0


async def test_keepers_client_answers_every_shape_with_an_error_of_the_port_or_the_truth(
    sim: SimServer,
) -> None:
    told: dict[str, str] = {}
    for name in MENU:
        sim.api.script.clear()
        sim.api.script.add(Cue.parse({"answer": name, "count": 0}))
        # Each with a key of its own: all clients of one key remember together how long to wait.
        async with market_at(sim.url, key=f"key-of-{name}") as market:
            try:
                await market.list_instances()
                told[name] = "a list"
            except PortError as error:
                told[name] = type(error).__name__
    assert "a list" not in told.values()
    assert {told[name] for name in ("key_401", "key_404", "forbidden", "two_factor")} == {
        "Unauthorized"
    }
    assert {kind for name, kind in told.items() if name.startswith("429")} == {"RateLimited"}


async def test_a_page_that_fails_spoils_the_whole_listing(sim: SimServer) -> None:
    query = {"rentable": {"eq": True}, "num_gpus": {"eq": 1}, "disable_bundling": True}
    for row in sim.market.search(query)[:26]:
        sim.market.create(row["id"], {"image": "x", "disk": 16})
    async with market_at(sim.url) as market:
        assert len(await market.list_instances()) == 26
        order = {"endpoint": "GET /instances/", "skip": 1, "answer": "html_502"}
        sim.api.script.add(Cue.parse(order))
        with pytest.raises(PortError):
            await market.list_instances()
        assert len(await market.list_instances()) == 26


async def test_cues_are_shown_and_taken_back(web: aiohttp.ClientSession) -> None:
    order = {"endpoint": "GET /users/*", "answer": "html_503", "count": 2}
    assert await post(web, "/sim/answers", [order, {"delay_s": 1}]) == (200, {"standing": 2})
    async with web.get("/sim/answers") as reply:
        assert [one["answer"] for one in await reply.json()] == ["html_503", "later"]
    async with web.delete("/sim/answers") as reply:
        assert await reply.json() == {"cleared": 2}
    status, said = await post(web, "/sim/answers", {"answer": "rain"})
    assert (status, "no answer is called" in said["error"]) == (400, True)


async def test_the_former_address_leads_to_the_new_one(
    sim: SimServer, web: aiohttp.ClientSession
) -> None:
    body = {"num_gpus": {"eq": 1}, "limit": 1}
    async with web.post(
        f"{sim.old_url}/api/v0/bundles/?a=1", json=body, allow_redirects=False
    ) as r:
        assert (r.status, r.headers["Location"]) == (308, f"{sim.url}/api/v0/bundles/?a=1")
    async with web.post(f"{sim.old_url}/api/v0/bundles/", json=body) as reply:
        assert reply.status == 404, "the key does not travel to another origin"
    async with market_at(sim.old_url) as market:
        with pytest.raises(PortError, match="the key stays here"):
            await market.list_instances()


async def test_keys_with_rights_limits_and_credit_are_set_from_outside(
    sim: SimServer, web: aiohttp.ClientSession
) -> None:
    reader = {"key": "reader", "rights": ["instance_read", "misc"]}
    assert (await post(web, "/sim/keys", reader))[0] == 200
    async with web.get(USER, headers={"Authorization": "Bearer reader"}) as reply:
        assert reply.status == 403
    async with web.delete("/sim/keys?key=reader") as reply:
        assert await reply.json() == {"done": True}
    assert (await post(web, "/sim/keys", {"rights": []}))[0] == 400
    async with web.put("/sim/limits", json={"scale": 60, "style": "hint"}) as reply:
        assert reply.status == 200
    statuses = []
    for _ in range(2):
        async with web.get("/api/v1/instances/") as reply:
            statuses.append(reply.status)
    assert statuses == [200, 429]
    assert "Retry-After" in reply.headers
    async with web.put("/sim/limits", json={"style": "loud"}) as reply:
        assert reply.status == 400
    status, said = await post(web, "/sim/credit", {"dollars": -40})
    assert (status, said["credit"]) == (200, 60.0)
    assert (await post(web, "/sim/credit", {"dollars": "x"}))[0] == 400


READS: tuple[tuple[str, str], ...] = (
    ("list_instances", "instance_read"),
    ("account", "user_read"),
)


@pytest.mark.parametrize(("call", "right"), READS)
async def test_keeper_names_the_right_that_its_key_lacks(
    sim: SimServer, call: str, right: str
) -> None:
    sim.api.keys.give("weak", Grant(rights=RIGHTS - {right}))
    async with market_at(sim.url, key="weak") as market:
        with pytest.raises(Unauthorized) as refused:
            await getattr(market, call)()
        assert (refused.value.right, right in refused.value.cure) == (right, True)
        with pytest.raises(Missing):
            await market.destroy(InstanceId(1))
    sim.api.keys.give("weak", Grant(rights=RIGHTS - {"instance_write"}))
    async with market_at(sim.url, key="weak") as market:
        with pytest.raises(Unauthorized, match="instance_write"):
            await market.destroy(InstanceId(1))


@pytest.mark.parametrize("session", [Session.NEEDED, Session.EXPIRED, Session.EXPIRED_404])
async def test_keeper_says_what_to_do_about_a_second_factor(
    sim: SimServer, session: Session
) -> None:
    sim.api.keys.give(f"half-{session}", Grant(session=session))
    async with market_at(sim.url, key=f"half-{session}") as market:
        with pytest.raises(Unauthorized) as refused:
            await market.list_instances()
    assert "vastai tfa login" in refused.value.cure


async def test_a_slow_answer_is_slow_and_true(web: aiohttp.ClientSession) -> None:
    await post(web, "/sim/answers", {"delay_s": 0.3})
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with web.get(USER) as reply:
        assert reply.status == 200
    assert loop.time() - began >= 0.3


def test_the_command_line_knows_the_styles() -> None:
    assert LIMIT_STYLES == STYLES
