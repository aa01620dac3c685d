"""Vast.ai's signed notifications, delivered over HTTP to the installed daemon: it looks, and believes nothing."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo
from tests.e2e.conftest import API_KEY, CONFIG, Box
from tests.waiting import look_until

pytestmark = pytest.mark.timeout(300)

BEARER = {"Authorization": f"Bearer {API_KEY}"}


@pytest.fixture
async def telling_box(short_path: Path) -> AsyncIterator[Box]:
    """An ops box that only observes, beside a marketplace that delivers its notifications."""
    shape = MarketShape(tempo=quick_tempo(1.0), renters_every_s=0, price_drift_every_s=0)
    async with SimServer(
        state_dir=short_path / "sim", api_key=API_KEY, shape=shape, delivers_webhooks=True
    ) as sim:
        made = Box(short_path, sim)
        yield made
        await made.close()


class Account:
    """The renter's own calls: its webhook, its credit, and what the simulator is told to spoil."""

    def __init__(self, session: aiohttp.ClientSession, box: Box) -> None:
        self._session = session
        self._sim = box.sim
        self._credential = box.folder / "credentials" / "secret_vast_hook"
        self._credential.parent.mkdir()

    async def call(self, path: str, body: object = None) -> Any:
        url = f"{self._sim.url}{path}"
        async with self._session.post(url, json=body or {}, headers=BEARER) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def subscribe(self, url: str) -> None:
        body = {"webhook_url": url, "event_types": ["client:low_credit", "client:outbid"]}
        made = await self.call("/api/v0/webhooks/", body)
        self._credential.write_text(made["webhook"]["webhook_secret"])

    async def rotate(self) -> str:
        """Make the secret another one, and return it; nobody has told keeper."""
        turned = await self.call("/api/v0/webhooks/1/rotate-secret/")
        return str(turned["webhook"]["webhook_secret"])

    def give(self, secret: str) -> None:
        self._credential.write_text(secret)

    async def told(self, lie: str = "", *, answers: int = 1) -> list[int]:
        """Let a test be delivered, and return what was answered to it."""
        notifications = self._sim.notifications
        assert notifications is not None
        before = len(notifications.delivered)
        if lie:
            await self.call("/sim/notifications", {"lie": lie})
        await self.call("/api/v0/webhooks/1/test/")

        async def delivered() -> list[int]:
            # 0: a busy machine took longer than a notification waits; it is sent again.
            return [status for _, _, status in notifications.delivered[before:] if status]

        return await look_until(delivered, lambda found: len(found) >= answers)


async def test_a_notification_makes_keeper_look_sooner_and_do_nothing(
    telling_box: Box, free_port: Callable[[], int]
) -> None:
    """With listings and the account read once an hour, only a hint explains an earlier look."""
    box, port = telling_box, free_port()
    text = CONFIG.format(
        url=box.sim.url, state=box.state, socket=box.socket, listen=f"127.0.0.1:{port}"
    )
    text = text.replace(
        "list_interval_s: 2\n", "list_interval_s: 3600\n  account_interval_s: 3600\n"
    )
    text = text.replace("listing_stale_s: 30\n", "listing_stale_s: 7200\n")
    box.config.write_text(f"{text}    mode: observe\nhooks: {{vast_secret: vast_hook}}\n")
    url = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session:
        account = Account(session, box)
        await account.subscribe(f"{url}/hooks/vast")

        async def seen(path: str) -> Any:
            async with session.get(f"{url}/api/v1/{path}") as reply:
                return json.loads(await reply.read())

        def calls(method: str, endpoint: str) -> int:
            rows = box.sim.ledger.plain()["requests"]
            return sum((row["method"], row["endpoint"]) == (method, endpoint) for row in rows)

        def mutations() -> int:
            """Count what keeper has changed: all but what this account has ordered itself."""
            rows = box.sim.ledger.plain()["requests"]
            return sum(row["is_mutating"] and "/webhooks/" not in row["path"] for row in rows)

        async def events() -> list[Any]:
            return list((await seen("events?limit=1000"))["events"])

        async def facts(name: str) -> list[Any]:
            return [each["facts"] for each in await events() if each["event"] == name]

        daemon = await box.daemon(CREDENTIALS_DIRECTORY=str(box.folder / "credentials"))
        first = await look_until(lambda: seen("status"), lambda found: found.get("account"))
        assert first["account"]["spendable_dollars"] > 50
        changed, lists = mutations(), calls("GET", "/instances/")

        # A true one: the account is looked at now, not in an hour.
        await account.call("/sim/credit", {"dollars": 0.5 - first["account"]["spendable_dollars"]})
        await look_until(
            lambda: seen("status"), lambda found: found["account"]["spendable_dollars"] < 1
        )
        await look_until(lambda: facts("hint.taken"))
        assert [each["about"] for each in await facts("hint.taken")] == ["low_credit"]
        await box.until(lambda: calls("GET", "/instances/") > lists, running=daemon)

        # What is doubled is taken once; what is forged, late or of an old secret is not taken.
        assert await account.told("doubled", answers=2) == [200, 200]
        assert await account.told("forged") == [401]
        assert await account.told("late") == [400]
        secret = await account.rotate()
        assert await account.told() == [401]
        account.give(secret)
        daemon.kill(signal.SIGHUP)
        await daemon.says(r'"event":"config.reloaded"')
        assert await account.told() == [200]

        def is_told(found: list[Any]) -> bool:
            return {each["why"] for each in found} >= {"known", "forged", "late"}

        refused = await look_until(lambda: facts("hint.refused"), is_told)
        assert secret not in json.dumps([refused, await events()])
        assert mutations() == changed
        daemon.kill(signal.SIGTERM)
        assert await daemon.ended() == 0
        assert secret not in daemon.everything()


async def test_the_simulator_tries_again_what_was_not_taken_and_signs_it_anew(
    short_path: Path,
) -> None:
    from aiohttp import web

    seen: list[tuple[str, str, str]] = []

    async def receive(request: web.Request) -> web.Response:
        headers = request.headers
        seen.append(
            (
                headers["X-Vast-Event-Id"],
                headers["X-Vast-Delivery-Attempt"],
                headers["X-Vast-Signature-256"],
            )
        )
        return web.Response(status=503 if len(seen) == 1 else 204)

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        async with (
            SimServer(state_dir=short_path / "sim", delivers_webhooks=True) as sim,
            aiohttp.ClientSession(headers=BEARER) as session,
        ):
            body = {"webhook_url": url, "event_types": ["client:outbid"]}
            async with session.post(f"{sim.url}/api/v0/webhooks/", json=body) as reply:
                assert reply.status == 200
            async with session.post(f"{sim.url}/api/v0/webhooks/1/test/") as reply:
                assert reply.status == 200
            async with asyncio.timeout(60):
                while len(seen) < 2:  # noqa: ASYNC110 - no event tells of it
                    await asyncio.sleep(0.05)
            lie = {"lie": "wrong"}
            async with session.post(f"{sim.url}/sim/notifications", json=lie) as reply:
                assert reply.status == 400
    finally:
        await runner.cleanup()
    (event, first, signed), (again, second, signed_anew) = seen
    assert (event, first, second) == (again, "1", "2")
    assert signed != signed_anew
