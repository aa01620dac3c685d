"""The outbox: nothing is lost, nothing blocks what comes after it, nobody waits for a broken one."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from typing_extensions import override

from keeper.alerts import Alert, Channel, Delivery, DeliveryKind, Notice, Severity
from keeper.alerts.dispatch import to_payload
from keeper.core.events import Event
from keeper.daemon.notify import Notifier
from keeper.ports import HttpReply, HttpRequest, NoticeKind, OutboxRow, Unreachable
from keeper.sim.disk import Disk, MemoryStore
from keeper.sim.loop import EPOCH, VirtualClock, run
from keeper.sim.memory import MemoryNetwork
from keeper.sim.power import Power
from keeper.sim.universe import Universe
from tests.stage import Stage

NOW = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(slots=True)
class _Told:
    """A channel that keeps what it was given."""

    name: str
    answer: DeliveryKind = DeliveryKind.DELIVERED
    fails: bool = False
    apart_s: float = 0.0
    got: list[str] = field(default_factory=list)

    def wants(self, notice: Notice) -> bool:
        return True

    def amend(self, notice: Notice, *, now: datetime, receipt: str) -> HttpRequest | None:
        return None

    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest:
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


class _Slow(MemoryNetwork):
    """A network on which an answer, or that there is none, may take its time."""

    hangs_s = 0.0

    @override
    async def fetch(self, request: HttpRequest) -> HttpReply:
        was_down = self._universe.own_network_is_down
        await asyncio.sleep(self.hangs_s)
        if was_down:
            raise Unreachable("no route to host")
        return await super().fetch(request)


class _Post:
    def __init__(self, *channels: _Told) -> None:
        self.clock = VirtualClock()
        self.disk = Disk(keeper_id="1")
        self.facts: list[Event] = []
        self.channels: dict[str, Channel] = {channel.name: channel for channel in channels}
        power = Power()
        self.universe = Universe(1)
        self.network = _Slow(self.universe, power)
        self.notifier = Notifier(
            network=self.network,
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


@pytest.mark.parametrize("refused", [1, 4])
def test_what_a_channel_took_is_noted_once_the_store_writes_again(refused: int) -> None:
    """Seed 9729 of any fleet: keeper was killed seven hours later, and told it all again."""

    async def play() -> None:
        told = _Told("ops")
        post = _Post(told)
        post.disk.commits_to_refuse = refused
        await post.deliver(_row(1, "ops"), _row(2, "ops"), for_s=90.0)
        assert told.got == ["1", "2"]
        assert post.row(1, "ops").delivered_at is not None
        assert post.row(2, "ops").delivered_at is not None
        said = [event for event in post.facts if event.name == "notice.failed"]
        assert len(said) == min(refused, 2)  # once of each, however often the store refuses it

    _play(play)


def test_what_was_noted_is_noted_once() -> None:
    async def play() -> None:
        told = _Told("ops")
        post = _Post(told)
        post.disk.commits_to_refuse = 1
        await post.deliver(_row(1, "ops"), for_s=3600.0)
        assert post.disk.commits == 1

    _play(play)


# --- this box's own network ---------------------------------------------------------------------------


async def _be_cut_off(post: _Post, *rows: OutboxRow, for_s: float) -> asyncio.Task[None]:
    post.universe.own_network_is_down = True
    post.notifier.take(rows)
    running = asyncio.create_task(post.notifier.run())
    await asyncio.sleep(for_s)
    post.universe.own_network_is_down = False
    return running


def test_what_never_reached_its_channel_is_tried_once_the_network_is_back() -> None:
    """A host's key had changed meanwhile, and a person was told a quarter of an hour later."""

    async def play() -> None:
        told = _Told("ops")
        post = _Post(told)
        running = await _be_cut_off(post, _row(1, "ops"), _row(2, "ops"), for_s=480.0)
        await asyncio.sleep(60.0)
        assert post.notifier.pending == 2  # nobody has said that it is back
        post.notifier.network_is_back()
        await asyncio.sleep(1.0)
        assert post.notifier.pending == 0
        running.cancel()

    _play(play)


def test_a_try_that_fails_while_the_network_comes_back_is_repeated_soon() -> None:
    async def play() -> None:
        told = _Told("ops")
        post = _Post(told)
        post.network.hangs_s = 15.0
        running = await _be_cut_off(post, replace(_row(1, "ops"), attempts=7), for_s=10.0)
        post.notifier.network_is_back()
        await asyncio.sleep(30.0)
        assert post.notifier.pending == 0
        running.cancel()

    _play(play)


def test_a_channel_that_asked_for_a_while_gets_it_though_the_network_came_back() -> None:
    async def play() -> None:
        told = _Told("ops", answer=DeliveryKind.RETRY)
        post = _Post(told)
        await post.deliver(replace(_row(1, "ops"), attempts=7), for_s=2.0)
        post.notifier.network_is_back()
        await post.deliver(for_s=60.0)
        assert told.got == ["1"]

    _play(play)


def test_a_message_of_a_clock_that_was_set_back_goes_after_those_that_wait() -> None:
    """That an alert was over came before that it fired, and was no end of it."""

    async def play() -> None:
        told = _Told("ops")
        post = _Post(told)
        waiting = replace(_row(1, "ops"), created_at=NOW)
        assert post.notifier.made_at(NOW) == NOW
        post.notifier.take((waiting,))
        back = NOW - timedelta(hours=1)
        made = replace(_row(0, "ops"), created_at=post.notifier.made_at(back))
        assert made.created_at > waiting.created_at
        assert post.notifier.made_at(NOW + timedelta(seconds=1)) == NOW + timedelta(seconds=1)
        await post.deliver(made)
        assert told.got == ["1", "0"]
        assert post.notifier.made_at(back) == back  # nothing waits any more

    _play(play)


def _kinds(stage: Stage) -> list[str]:
    arrived = (json.loads(each.body)["data"] for each in stage.universe.mailbox.messages)
    return [each["kind"] for each in arrived if each["alert"]["name"] == "KeeperMassFailure"]


async def _have_no_network(stage: Stage, for_s: float) -> None:
    stage.universe.own_network_is_down = True
    stage.universe.wind()
    await asyncio.sleep(for_s)
    stage.universe.own_network_is_down = False
    stage.universe.wind()


def test_news_of_a_time_without_network_comes_once_it_is_back() -> None:
    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            await _have_no_network(stage, 480.0)
            assert _kinds(stage) == []
            await stage.until(lambda: _kinds(stage), within_s=45.0)

    run(play())


def test_a_keeper_whose_clock_is_set_back_tells_the_beginning_before_the_end() -> None:
    async def play() -> None:
        async with Stage() as stage:
            await stage.until_on_air()
            stage.universe.mailbox.refuse_until = stage.universe.time_s() + 900.0
            await _have_no_network(stage, 120.0)
            stage.clock.step(-3600.0)
            await stage.until(lambda: len(_kinds(stage)) > 1, within_s=1900.0)
            assert _kinds(stage) == ["firing", "resolved"]

    run(play())
