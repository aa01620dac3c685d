"""The outbox: nothing is lost, nothing blocks what comes after it, nobody waits for a broken one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from keeper.alerts import Alert, Channel, Delivery, DeliveryKind, Notice, Severity
from keeper.alerts.dispatch import to_payload
from keeper.core.events import Event
from keeper.daemon.notify import Notifier
from keeper.ports import HttpReply, HttpRequest, NoticeKind, OutboxRow
from keeper.sim.disk import Disk, MemoryStore
from keeper.sim.loop import EPOCH, VirtualClock, run
from keeper.sim.memory import MemoryNetwork
from keeper.sim.power import Power
from keeper.sim.universe import Universe

NOW = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(slots=True)
class _Told:
    """A channel that keeps what it was given."""

    name: str
    answer: DeliveryKind = DeliveryKind.DELIVERED
    fails: bool = False
    got: list[str] = field(default_factory=list)

    def compose(self, notice: Notice, *, now: datetime) -> HttpRequest:
        if self.fails:
            raise ValueError("a bug of the channel")
        self.got.append(notice.notice_id)
        return HttpRequest(method="POST", url="http://mailbox.simulated/", body=b"{}")

    def classify(self, reply: HttpReply) -> Delivery:
        return Delivery(kind=self.answer, error="" if self.answer.value == "delivered" else "no")


def _row(number: int, channel: str) -> OutboxRow:
    alert = Alert(
        name="KeeperStreamDark", key="KeeperStreamDark:duel/0", severity=Severity.CRITICAL,
        slot=None, stream=None, summary="dark", why="why", did="did", needs_human="", since=NOW,
    )  # fmt: skip
    notice = Notice(notice_id=str(number), kind=NoticeKind.FIRING, alert=alert, at=NOW)
    return OutboxRow(
        notice_id=str(number), channel=channel, alert=alert.key, kind=NoticeKind.FIRING,
        payload=to_payload(notice), created_at=EPOCH + timedelta(seconds=number),
    )  # fmt: skip


class _Post:
    def __init__(self, *channels: _Told) -> None:
        self.clock = VirtualClock()
        self.disk = Disk(keeper_id="1")
        self.facts: list[Event] = []
        self.channels: dict[str, Channel] = {channel.name: channel for channel in channels}
        power = Power()
        self.notifier = Notifier(
            network=MemoryNetwork(Universe(1), power),
            store=MemoryStore(self.disk, power),
            clock=self.clock,
            channels=lambda: self.channels,
            publish=self.facts.append,
        )

    async def deliver(self, *rows: OutboxRow, for_s: float = 60.0) -> None:
        self.notifier.take(rows)
        running = asyncio.create_task(self.notifier.run())
        await asyncio.wait({running}, timeout=for_s)
        assert not running.done(), running.exception()
        running.cancel()

    def row(self, number: int, channel: str) -> OutboxRow:
        return self.disk.outbox[channel, str(number)]


def _play(test: Callable[[], object]) -> None:
    run(test())  # type: ignore[arg-type]


def test_messages_go_out_in_order_and_are_settled() -> None:
    async def play() -> None:
        told = _Told("ops")
        post = _Post(told)
        await post.deliver(_row(2, "ops"), _row(1, "ops"))
        assert told.got == ["1", "2"]
        assert post.notifier.pending == 0
        assert post.row(1, "ops").delivered_at is not None

    _play(play)


def test_a_message_that_cannot_be_read_blocks_no_other() -> None:
    """One row of another version stopped all channels: the task died on it again and again."""

    async def play() -> None:
        told, other = _Told("ops"), _Told("other")
        post = _Post(told, other)
        broken = replace(_row(1, "ops"), payload={"from": "another version"})
        await post.deliver(broken, _row(2, "ops"), _row(3, "other"))
        assert told.got == ["2"]
        assert other.got == ["3"]
        assert post.row(1, "ops").given_up
        assert any(event.name == "notice.failed" for event in post.facts)

    _play(play)


def test_a_channel_with_a_bug_costs_the_others_nothing() -> None:
    async def play() -> None:
        broken, other = _Told("ops", fails=True), _Told("other")
        post = _Post(broken, other)
        await post.deliver(_row(1, "ops"), _row(2, "other"), _row(3, "other"))
        assert other.got == ["2", "3"]

    _play(play)


def test_a_message_for_a_channel_that_is_gone_is_given_up_with_a_word() -> None:
    async def play() -> None:
        post = _Post()
        await post.deliver(_row(1, "ops"))
        assert post.row(1, "ops").given_up
        assert any(event.name == "notice.failed" for event in post.facts)

    _play(play)


def test_a_clock_that_steps_back_does_not_hold_up_a_retry() -> None:
    """The next try lay an hour ahead, and so did the news of the night."""

    async def play() -> None:
        told = _Told("ops", answer=DeliveryKind.RETRY)
        post = _Post(told)
        await post.deliver(_row(1, "ops"), for_s=2.0)
        post.clock.step(-2 * 3600.0)
        told.answer = DeliveryKind.DELIVERED
        await post.deliver(for_s=120.0)
        assert post.row(1, "ops").delivered_at is not None

    _play(play)
