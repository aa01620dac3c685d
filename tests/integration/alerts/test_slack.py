"""One incident through a server that answers as Slack does: one message, its thread, and its end."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web

from keeper.adapters.network import HttpNetwork
from keeper.alerts import Delivery, DeliveryKind, Notice
from keeper.alerts.channels.slack import Slack, SlackSettings
from keeper.ports import HttpRequest
from tests.snapshots import NOW
from tests.unit.alerts.channels.notices import every_notice, story

TOKEN = "xoxb-throw-away"


class Workspace:
    """As much of Slack's Web API as keeper calls, with the checks that refuse a message as a whole."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[str, Any]] = {}
        self.next_answers: list[web.Response] = []

    async def post(self, request: web.Request) -> web.Response:
        if self.next_answers:
            return self.next_answers.pop(0)
        if request.headers["authorization"] != f"Bearer {TOKEN}":
            return refusal("invalid_auth")
        message = json.loads(await request.read())
        if message["channel"] != "C0123":
            return refusal("channel_not_found")
        if len(json.dumps(message["blocks"], ensure_ascii=False)) > 13_000:
            return refusal("msg_blocks_too_long")
        thread = message.get("thread_ts")
        if thread is not None and thread not in self.messages:
            return refusal("thread_not_found")
        stamp = f"1700000000.{len(self.messages):06}"
        self.messages[stamp] = message
        said = {"thread_ts": thread} if thread else {}
        return web.json_response({"ok": True, "channel": "C0123", "ts": stamp, "message": said})

    async def update(self, request: web.Request) -> web.Response:
        message = json.loads(await request.read())
        if message["ts"] not in self.messages:
            return refusal("message_not_found")
        self.messages[message["ts"]] = message
        return web.json_response({"ok": True, "channel": "C0123", "ts": message["ts"]})


def refusal(error: str) -> web.Response:
    return web.json_response({"ok": False, "error": error})


class Sender:
    """Sends as the daemon does: the receipt of the first message is kept, and goes with the others."""

    def __init__(self, url: str, token: str = TOKEN) -> None:
        self.network = HttpNetwork()
        self.receipt = ""
        self.channel = Slack(
            SlackSettings(
                kind="slack",
                name="ops",
                url_secret="",
                token_secret="T",
                channel="C0123",
                api_url=url,
                page_url="https://keeper.example/",
            ),
            token,
        )

    async def send(self, notice: Notice, now: datetime = NOW) -> Delivery:
        request = self.channel.compose(notice, now=now, receipt=self.receipt)
        delivery = await self._exchange(request)
        if delivery.kind is DeliveryKind.DELIVERED:
            self.receipt = delivery.receipt
            amended = self.channel.amend(notice, now=now, receipt=self.receipt)
            if amended is not None:
                assert (await self._exchange(amended)).kind is DeliveryKind.DELIVERED
        return delivery

    async def _exchange(self, request: HttpRequest) -> Delivery:
        return self.channel.classify(await self.network.fetch(request))


@pytest.fixture
async def workspace() -> AsyncIterator[tuple[Workspace, Sender]]:
    made, app = Workspace(), web.Application()
    app.router.add_post("/api/chat.postMessage", made.post)
    app.router.add_post("/api/chat.update", made.update)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sender = Sender(f"http://127.0.0.1:{runner.addresses[0][1]}/api")
    yield made, sender
    await sender.network.close()
    await runner.cleanup()


async def test_an_incident_is_one_message_with_a_thread(
    workspace: tuple[Workspace, Sender],
) -> None:
    slack, sender = workspace
    for _, notice in story():
        assert (await sender.send(notice)).kind is DeliveryKind.DELIVERED
    first, *replies = slack.messages.values()
    assert "thread_ts" not in first
    assert first["text"].startswith("✅ duel/0 is no longer dark"), "it shows how things are"
    assert {reply["thread_ts"] for reply in replies} == {"1700000000.000000"}
    assert [reply["reply_broadcast"] for reply in replies] == [False, True, False, False, False]


async def test_what_slack_refuses_is_understood(workspace: tuple[Workspace, Sender]) -> None:
    slack, sender = workspace
    notice = dict(story())["first"]
    slack.next_answers = [
        web.json_response({"ok": False, "error": "ratelimited"}, headers={"Retry-After": "30"}),
        web.Response(status=429, headers={"Retry-After": "30"}),
        web.Response(status=503, text="<html>"),
        refusal("is_archived"),
    ]
    kinds = [await sender.send(notice) for _ in range(4)]
    assert [each.kind for each in kinds] == [DeliveryKind.RETRY] * 3 + [DeliveryKind.DISABLE]
    assert [each.retry_after_s for each in kinds[:3]] == [30.0, 30.0, None]
    other = Sender(sender.channel._settings.api_url, token="xoxb-of-somebody-else")
    refused = await other.send(notice)
    await other.network.close()
    assert (refused.kind, refused.error) == (DeliveryKind.DISABLE, "Slack says invalid_auth")


async def test_every_message_is_taken(workspace: tuple[Workspace, Sender]) -> None:
    """Floods, hostile text and weeks, none of which may cost anybody the message."""
    _, sender = workspace
    for name, notice in every_notice():
        delivery = await sender.send(notice)
        assert delivery.kind is DeliveryKind.DELIVERED, (name, delivery)
