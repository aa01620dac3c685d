"""The notifier, its real store and its real connection, against receivers that are kind and otherwise."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from typing_extensions import override

from keeper.adapters.clock import SystemClock
from keeper.adapters.network import HttpNetwork
from keeper.adapters.sql import SqlStore
from keeper.alerts import Alert, Channel, Notice, Severity
from keeper.alerts.channels.webhook import Webhook, WebhookSettings
from keeper.core.events import Event
from keeper.daemon import notify
from keeper.daemon.courier import NO_RELAY
from keeper.daemon.notify import Notifier
from keeper.daemon.outbox import rows_of
from keeper.ports import Batch, HttpRequest, NoticeKind, Relayed
from tests.waiting import eventually

_TOKEN = "a-token-in-the-address"
_NOW = datetime(2026, 11, 21, tzinfo=UTC)


class Quick(Webhook):
    """A webhook whose receiver has little time."""

    @override
    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest:
        return replace(super().compose(notice, now=now, receipt=receipt), timeout_s=0.5)


@dataclass(slots=True)
class Receivers:
    """One server with a receiver of each temper, by path."""

    seen: Counter[str] = field(default_factory=Counter)
    ids: dict[str, list[str]] = field(default_factory=dict)
    asked_s: dict[str, list[float]] = field(default_factory=dict)
    tempers: Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(
        default_factory=dict
    )

    async def serve(self, request: web.Request) -> web.StreamResponse:
        name = request.path.strip("/").partition("/")[0]
        self.seen[name] += 1
        self.ids.setdefault(name, []).append(request.headers["webhook-id"])
        self.asked_s.setdefault(name, []).append(asyncio.get_running_loop().time())
        await request.read()
        if self.seen[name] > 1 and name not in {"hangs", "gone", "moved"}:
            return web.Response()
        return await self.tempers[name](request)


async def _broken(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503, text=f"down, and I repeat your {_TOKEN}")


async def _busy(_: web.Request) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "2"})


async def _gone(_: web.Request) -> web.StreamResponse:
    return web.Response(status=410)


async def _moved(request: web.Request) -> web.StreamResponse:
    elsewhere = {"Location": f"/good/{_TOKEN}"}
    return web.Response(status=307, headers=elsewhere, text=f"now at /good/{_TOKEN}")


async def _resets(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _hangs(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600.0)
    return web.Response()


async def _drips(request: web.Request) -> web.StreamResponse:
    """Begin an answer, and never come to its end."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"o")
    await asyncio.sleep(3600.0)
    return response


async def _floods(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65_536)


_TEMPERS = {
    "good": _broken, "busy": _busy, "gone": _gone, "resets": _resets, "hangs": _hangs,
    "drips": _drips, "floods": _floods, "moved": _moved,
}  # fmt: skip


@pytest.fixture
async def receivers() -> AsyncIterator[tuple[Receivers, TestServer]]:
    held = Receivers(tempers=_TEMPERS)
    app = web.Application()
    app.router.add_post("/{path:.*}", held.serve)
    server = TestServer(app, shutdown_timeout=0.0)
    await server.start_server()
    yield held, server
    await server.close()


def _channel(name: str, server: TestServer) -> Quick:
    url = str(server.make_url(f"/{name}/{_TOKEN}"))
    return Quick(WebhookSettings(kind="webhook", name=name, url=url), ())


def _told(number: int) -> Notice:
    alert = Alert(
        name="KeeperStreamDark", key=f"KeeperStreamDark:duel/{number}", severity=Severity.CRITICAL,
        slot=None, stream=None, summary="dark", why="why", did="did", needs_human="", since=_NOW,
    )  # fmt: skip
    return Notice(
        notice_id=f"msg_{number}", kind=NoticeKind.FIRING, alert=alert, at=_NOW,
        incident_id=f"i{number}",
    )  # fmt: skip


class Box:
    """A notifier on a real store, as long as it lives."""

    def __init__(self, path: Path, channels: tuple[Channel, ...], marks: dict[str, str]) -> None:
        self.store = SqlStore(path, clock=SystemClock())
        self.network = HttpNetwork()
        self.events: list[Event] = []
        self._channels = {channel.name: channel for channel in channels}
        self.notifier = Notifier(
            network=self.network,
            store=self.store,
            clock=SystemClock(),
            channels=lambda: self._channels,
            publish=self.events.append,
            redact=lambda text: text.replace(_TOKEN, "***"),
            marks=lambda: marks,
        )

    async def __aenter__(self) -> Self:
        self.notifier.remember(await self.store.load())
        self._running = asyncio.create_task(self.notifier.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.wait({self._running})
        await self.network.close()
        await self.store.close()

    async def tell(self, *notices: Notice) -> None:
        channels = tuple(self._channels.values())
        for place, notice in enumerate(notices):
            rows = rows_of((notice,), channels, _NOW + timedelta(seconds=place))
            await self.store.commit(Batch(outbox=rows))
            self.notifier.take(rows)

    def pending(self) -> dict[str, int]:
        return {each.name: each.pending for each in self.notifier.channels_now() if each.pending}


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_RETRY_S", (0.05, 0.1))


async def test_each_receiver_gets_each_message_whatever_it_does_and_delays_no_other(
    receivers: tuple[Receivers, TestServer], tmp_path: Path
) -> None:
    held, server = receivers
    channels = tuple(_channel(name, server) for name in _TEMPERS)
    async with Box(tmp_path / "keeper.db", channels, {}) as box:
        await box.tell(_told(1), _told(2))
        await eventually(lambda: box.pending() == {"hangs": 2})
        # In their order, under the same id as often as it took.
        assert held.ids["good"] == held.ids["busy"] == ["msg_1", "msg_1", "msg_2"]
        assert held.ids["resets"] == held.ids["drips"] == ["msg_1", "msg_1", "msg_2"]
        assert held.ids["floods"] == ["msg_1", "msg_2"]  # what it says is cut off, and it took it
        assert held.seen["gone"] == 1
        first_s, second_s, _ = held.asked_s["busy"]
        assert second_s - first_s > 1.5  # what it asked for, less what timers round off
        now = {each.name: each for each in box.notifier.channels_now()}
        assert now["gone"].off_since is not None
        # Each message was refused for good; the redirect was not followed, or "good" had seen more.
        assert (now["moved"].off_since, now["moved"].dropped, held.seen["moved"]) == (None, 2, 2)
        assert now["moved"].dropped_why == "HTTP 307 now at /good/***"
        await eventually(lambda: held.seen["hangs"] > 1)  # it is tried on and on
        errors = repr([each.last_error for each in box.notifier.outbox()])
        assert _TOKEN not in errors + repr(box.events)
        assert "and I repeat your ***" in repr(box.events)


async def test_who_wants_no_more_is_left_alone_until_it_is_declared_otherwise(
    receivers: tuple[Receivers, TestServer], tmp_path: Path
) -> None:
    held, server = receivers
    path, gone = tmp_path / "keeper.db", _channel("gone", server)
    async with Box(path, (gone,), {"gone": "as it was"}) as box:
        await box.tell(_told(1))
        await eventually(lambda: box.notifier.channels_now()[0].off_since)
        assert not box.pending()
    async with Box(path, (gone,), {"gone": "as it was"}) as box:
        box.notifier.trust_again()  # a reload that changes nothing about it
        await box.tell(_told(2))
        await eventually(lambda: not box.pending())
        assert held.seen["gone"] == 1
    async with Box(path, (gone,), {"gone": "otherwise"}) as box:
        await box.tell(_told(3))
        await eventually(lambda: held.seen["gone"] == 2)
        assert held.ids["gone"] == ["msg_1", "msg_3"]


async def test_a_test_message_goes_past_what_waits_and_switches_a_channel_on(
    receivers: tuple[Receivers, TestServer], tmp_path: Path
) -> None:
    held, server = receivers
    path, gone = tmp_path / "keeper.db", _channel("gone", server)
    async with Box(path, (gone,), {"gone": "m"}) as box:
        tested = await box.notifier.test("gone")
        assert (tested.is_delivered, tested.error) == (False, "HTTP 410")
        held.tempers = {"gone": _taken}
        assert (await box.notifier.test("gone")).is_delivered
    async with Box(path, (gone,), {"gone": "m"}) as box:
        assert box.notifier.channels_now()[0].off_since is None
        await box.tell(_told(1))
        await eventually(lambda: not box.pending())
        assert held.ids["gone"][-1] == "msg_1"
        assert len(set(held.ids["gone"])) == 4  # a test begins and ends, and is no other test


async def _taken(_: web.Request) -> web.StreamResponse:
    return web.Response()


async def test_without_a_library_to_hand_it_on_a_message_waits_and_says_the_cure(
    tmp_path: Path,
) -> None:
    class Handed(Quick):
        @override
        def compose(  # type: ignore[override]
            self, notice: Notice, *, now: datetime, receipt: str = ""
        ) -> Relayed:
            return Relayed(url="x://key@y", title="t", body="b", severity="info")

    channel = Handed(WebhookSettings(kind="webhook", name="handed", url="http://localhost"), ())
    async with Box(tmp_path / "keeper.db", (channel,), {}) as box:
        await box.tell(_told(1))
        await eventually(lambda: box.notifier.outbox()[0].last_error)
        assert box.notifier.outbox()[0].last_error == NO_RELAY
