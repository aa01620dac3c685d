"""A keeper that is only its Control, behind the real HTTP server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from keeper.alerts import Alert
from keeper.alerts.rules import firing
from keeper.core.events import facts
from keeper.core.model import SlotId
from keeper.core.strip import NOTHING_SEEN, Strip
from keeper.core.world import Order, Snapshot
from keeper.ports import (
    AlertNow,
    ChannelNow,
    ChannelTest,
    Hint,
    JournalEntry,
    Missing,
    OutboxRow,
    ReloadReport,
    Thumbnail,
)
from keeper.ports.asking import Asking
from keeper.telemetry.sinks import MetricsSink
from keeper.web.app import make_app
from tests.facts import every_event
from tests.snapshots import NOW, dark, picture, record, snapshot, tenure

TOKEN = "correct-horse"
KEY_FILE = "/var/lib/keeper/id_ed25519"
JPEG = b"\xff\xd8\xff\xe0" + b"\x00" * 32 + b"\xff\xd9"


def rich_snapshot(**given: Any) -> Snapshot:
    return snapshot(
        record("duel/0"),
        dark("duel/1", tenure=tenure(2)),
        latest={(p.instance_id, p.subject): p for p in (picture(1),)},
        **given,
    )


def journal_of(*events: Any) -> list[JournalEntry]:
    return [
        JournalEntry(
            at=NOW,
            tick=number,
            event=event.name,
            slot=getattr(event, "slot", None),
            facts=facts(event),
            seq=number,
        )
        for number, event in enumerate(events, 1)
    ]


def untold(alert: Alert) -> AlertNow:
    return AlertNow(
        name=alert.name,
        key=alert.key,
        severity=alert.severity.value,
        slot=alert.slot,
        stream=alert.stream or "",
        summary=alert.summary,
        why=alert.why,
        did=alert.did,
        needs_human=alert.needs_human,
        since=alert.since,
        told_at=None,
        incident_id="",
        dollars=alert.dollars,
    )


@dataclass
class Keeper:
    """Fulfils Control and Clock."""

    shown: Snapshot | None = field(default_factory=rich_snapshot)
    healthy: bool = True
    not_ready: str = ""
    orders: list[Order] = field(default_factory=list)
    report: ReloadReport = field(default_factory=lambda: ReloadReport(changed=("added sd",)))
    entries: list[JournalEntry] = field(default_factory=lambda: journal_of(*every_event()))
    pictures: dict[str, bytes] = field(default_factory=lambda: {"duel/0": JPEG})
    pictured_at: datetime = NOW
    strips: dict[str, Strip] = field(default_factory=dict)
    holding: tuple[AlertNow, ...] | None = None  # None: what fires, told to nobody
    told_through: tuple[ChannelNow, ...] = ()
    waiting: tuple[OutboxRow, ...] = ()
    tested: list[str] = field(default_factory=list)
    test_error: str = ""
    hints: list[Hint] = field(default_factory=list)
    no_hints: list[tuple[str, str]] = field(default_factory=list)
    error: Exception | None = None
    time: datetime = NOW
    ticked: asyncio.Event = field(default_factory=asyncio.Event)

    def snapshot(self) -> Snapshot | None:
        return self.shown

    def is_healthy(self) -> bool:
        return self.healthy

    def not_ready_because(self) -> str:
        return self.not_ready

    async def order(self, order: Order) -> None:
        if self.error is not None:
            raise self.error
        self.orders.append(order)

    async def reload(self) -> ReloadReport:
        return self.report

    async def journal(
        self,
        *,
        slot: SlotId | None = None,
        limit: int = 200,
        after_seq: int = 0,
        events: frozenset[str] | None = None,
    ) -> tuple[JournalEntry, ...]:
        if self.error is not None:
            raise self.error
        found = [e for e in self.entries if e.seq > after_seq and slot in {None, e.slot}]
        if events is not None:
            return tuple([e for e in found if e.event in events][-limit:])
        return tuple(found[:limit] if after_seq else found[-limit:])

    def thumbnail(self, slot: SlotId) -> Thumbnail | None:
        jpeg = self.pictures.get(slot)
        return None if jpeg is None else Thumbnail(at=self.pictured_at, jpeg=jpeg)

    def strip(self, slot: SlotId) -> Strip:
        return self.strips.get(slot, NOTHING_SEEN)

    def alerts(self) -> tuple[AlertNow, ...]:
        if self.holding is not None or self.shown is None:
            return self.holding or ()
        return tuple(untold(alert) for alert in firing(self.shown, self.time))

    def channels(self) -> tuple[ChannelNow, ...]:
        return self.told_through

    def outbox(self) -> tuple[OutboxRow, ...]:
        return self.waiting

    async def test_channel(self, name: str) -> ChannelTest:
        if all(each.name != name for each in self.told_through):
            raise Missing(name)
        self.tested.append(name)
        return ChannelTest(
            channel=name, is_delivered=not self.test_error, duration_s=0.4, error=self.test_error
        )

    def hint(self, hint: Hint) -> bool:
        is_news = all(each.hint_id != hint.hint_id for each in self.hints)
        self.hints.append(hint)
        return is_news

    def hint_refused(self, source: str, why: str) -> None:
        self.no_hints.append((source, why))

    async def changed(self) -> None:
        await self.ticked.wait()

    def tick(self, shown: Snapshot) -> None:
        self.shown = shown
        self.ticked.set()
        self.ticked = asyncio.Event()

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Served:
    """A running server."""

    keeper: Keeper
    url: str
    metrics: MetricsSink
    runner: web.AppRunner


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners: list[web.AppRunner] = []

    async def start(
        keeper: Keeper | None = None,
        *,
        token: str | None = TOKEN,
        socket: str = "",
        shutdown_timeout: float = 1.0,
        hosts: Asking | None = None,
        secrets: Mapping[str, str] | None = None,
        runbooks_url: str = "",
    ) -> Served:
        keeper = keeper or Keeper()
        registry = CollectorRegistry()
        sink = MetricsSink(registry, version="1.2.3")
        sink.follow(keeper.snapshot)
        app = make_app(
            control=keeper,
            metrics=registry,
            clock=keeper,
            token=token,
            is_local=bool(socket),
            hosts=hosts,
            key_file=KEY_FILE,
            hook_secret=lambda source: (secrets or {}).get(source, ""),
            runbooks_url=lambda: runbooks_url,
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_timeout)
        await runner.setup()
        runners.append(runner)
        if socket:
            await web.UnixSite(runner, socket).start()
            return Served(keeper=keeper, url="http://keeper", metrics=sink, runner=runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        return Served(keeper=keeper, url=f"http://127.0.0.1:{port}", metrics=sink, runner=runner)

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
def real_now() -> datetime:
    return datetime.now(UTC)
