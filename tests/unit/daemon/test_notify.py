"""The outbox: nothing is lost, nothing blocks what comes after it, nobody waits for a broken one."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from typing_extensions import override

from keeper.alerts import Alert, Channel, Delivery, DeliveryKind, Notice, Severity
from keeper.alerts.payloads import to_payload
from keeper.core.events import Event, NoticeFailed
from keeper.daemon.notify import Notifier
from keeper.ports import HttpReply, HttpRequest, NoticeKind, OutboxRow, Saved, Unreachable
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


# --- pace, patience, threads ------------------------------------------------------------------------


def test_a_channel_gets_its_messages_as_far_apart_as_it_says() -> None:
    async def play() -> None:
        told, other = _Told("ops", apart_s=30.0), _Told("other")
        post = _Post(told, other)
        post.notifier.take(tuple(_row(n, each) for n in range(3) for each in ("ops", "other")))
        await post.deliver(for_s=20.0)
        assert (len(told.got), len(other.got)) == (1, 3)
        await post.deliver(for_s=45.0)
        assert told.got == ["0", "1", "2"]

    _play(play)


@dataclass(slots=True)
class _Busy(_Told):
    """A channel that asks for a while."""

    asks_s: float = 600.0

    @override
    def classify(self, reply: HttpReply) -> Delivery:
        return Delivery(kind=self.answer, retry_after_s=self.asks_s, error="slower")


def test_what_a_channel_asks_to_wait_holds_for_all_its_messages() -> None:
    """One that came meanwhile, of another incident, was sent at once, and the wait began anew."""

    async def play() -> None:
        told = _Busy("ops", answer=DeliveryKind.RETRY)
        post = _Post(told)
        await post.deliver(_of_incident(1, "i"), for_s=4 * 600.0 + 10.0)
        row = post.notifier.outbox()[0]
        assert (row.attempts, row.last_error) == (5, "slower")
        told.answer = DeliveryKind.DELIVERED
        await post.deliver(_of_incident(2, "other"), for_s=580.0)
        assert told.got == ["1"] * 5
        await post.deliver(for_s=20.0)
        assert told.got == [*["1"] * 5, "1", "2"]

    _play(play)


def test_a_channel_that_asks_for_a_second_again_and_again_gets_its_message_in_the_end() -> None:
    """Fifty such seconds were fifty tries, after which a page was given up."""

    async def play() -> None:
        told = _Busy("ops", answer=DeliveryKind.RETRY, asks_s=1.0)
        post = _Post(told)
        await post.deliver(_row(1, "ops"), for_s=120.0)
        assert len(told.got) > 50
        assert [each.notice_id for each in post.notifier.outbox()] == ["1"]

    _play(play)


def _of_incident(number: int, incident: str) -> OutboxRow:
    row = _row(number, "ops")
    return replace(row, alert=incident, payload={**row.payload, "incident_id": incident})


@dataclass(slots=True)
class _Thread(_Told):
    """A channel that gives receipts, and whose first message cannot be written anew."""

    receipts: list[str] = field(default_factory=list)

    @override
    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest:
        self.receipts.append(receipt)
        return _Told.compose(self, notice, now=now)

    @override
    def classify(self, reply: HttpReply) -> Delivery:
        return Delivery(kind=DeliveryKind.DELIVERED, receipt=f"thread {len(self.got)}")

    @override
    def amend(self, notice: Notice, *, now: datetime, receipt: str) -> HttpRequest | None:
        raise ValueError(f"{receipt} cannot be written anew")


def test_that_a_first_message_is_not_brought_up_to_date_costs_no_message() -> None:
    async def play() -> None:
        told = _Thread("ops")
        post = _Post(told)
        await post.deliver(*(_of_incident(number, "i") for number in (1, 2, 3)))
        assert told.got == ["1", "2", "3"]
        assert told.receipts == ["", "thread 1", "thread 1"]
        failed = [event for event in post.facts if isinstance(event, NoticeFailed)]
        assert len(failed) == 2
        assert "thread 1 cannot be written anew" in failed[0].error
        assert all(row.delivered_at for row in post.disk.outbox.values())

    _play(play)


def test_a_thread_is_known_after_a_restart_and_forgotten_after_the_end() -> None:
    async def play() -> None:
        told = _Thread("ops")
        post = _Post(told)
        await post.deliver(_of_incident(1, "i"))
        again = _Post(told)
        again.notifier.remember(Saved(keeper_id="1", receipts=tuple(post.disk.receipts.values())))
        again.clock.step(2 * 86_400.0)
        await again.deliver(_of_incident(2, "i"))
        assert told.receipts == ["", "thread 1"]
        # It is kept for as long as the incident goes on.
        (kept,) = again.disk.receipts.values()
        assert kept.at > next(iter(post.disk.receipts.values())).at
        end = _of_incident(3, "i")
        end = replace(
            end, kind=NoticeKind.RESOLVED, payload={**end.payload, "kind": "resolved"}
        )  # fmt: skip
        await again.deliver(end, _of_incident(4, "i"))
        assert told.receipts == ["", "thread 1", "thread 1", ""]

    _play(play)


def test_a_message_that_is_refused_again_and_again_holds_up_its_own_incident_only() -> None:
    async def play() -> None:
        told = _Fussy("ops")
        post = _Post(told)
        other = _of_incident(3, "other")
        await post.deliver(_of_incident(1, "i"), _of_incident(2, "i"), other, for_s=1800.0)
        assert told.got.count("3") == 1
        assert told.got.count("2") == 0
        await post.deliver(for_s=86_400.0)
        assert post.row(1, "ops").given_up
        assert post.row(2, "ops").delivered_at is not None

    _play(play)


@dataclass(slots=True)
class _Fussy(_Told):
    """A channel that has trouble with one message."""

    @override
    def classify(self, reply: HttpReply) -> Delivery:
        is_bad = self.got[-1] == "1"
        return Delivery(kind=DeliveryKind.RETRY if is_bad else DeliveryKind.DELIVERED)


def test_what_waits_for_a_channel_that_wants_no_more_is_let_go_with_a_word_each() -> None:
    async def play() -> None:
        told = _Told("ops", answer=DeliveryKind.DISABLE)
        post = _Post(told)
        await post.deliver(*(_row(number, "ops") for number in range(4)))
        assert told.got == ["0"]
        assert all(row.given_up for row in post.disk.outbox.values())
        assert sum(event.name == "notice.failed" for event in post.facts) == 5
        (off,) = post.notifier.channels_now()
        assert (off.pending, off.off_why) == (0, "no")

    _play(play)


def test_a_channel_that_loses_messages_shows_how_many_until_it_takes_one() -> None:
    """A webhook that answered 307 lost everything, and was shown to be on."""

    async def play() -> None:
        told = _Told("ops", answer=DeliveryKind.DROP)
        post = _Post(told)
        await post.deliver(_row(1, "ops"), _row(2, "ops"))
        (lost,) = post.notifier.channels_now()
        assert (lost.pending, lost.off_since) == (0, None)
        assert (lost.dropped, lost.dropped_why) == (2, "no")
        assert lost.last_dropped_at is not None
        assert not (await post.notifier.test("ops")).is_delivered
        assert post.notifier.channels_now()[0].dropped == 2
        told.answer = DeliveryKind.DELIVERED
        await post.deliver(_row(3, "ops"))
        (well,) = post.notifier.channels_now()
        assert (well.dropped, well.last_dropped_at) == (0, lost.last_dropped_at)

    _play(play)


def test_a_channel_that_takes_a_test_has_lost_nothing_since() -> None:
    async def play() -> None:
        told = _Told("ops", answer=DeliveryKind.DROP)
        post = _Post(told)
        await post.deliver(_row(1, "ops"))
        told.answer = DeliveryKind.DELIVERED
        assert (await post.notifier.test("ops")).is_delivered
        assert post.notifier.channels_now()[0].dropped == 0

    _play(play)


def test_what_cannot_be_read_or_is_too_much_counts_as_lost_and_what_is_off_does_not() -> None:
    async def play() -> None:
        post = _Post(
            _Told("ops", answer=DeliveryKind.RETRY),
            _Told("off", answer=DeliveryKind.DISABLE),
            _Told("new"),
        )
        many = (_of_incident(number, f"i{number}") for number in range(505))
        broken = replace(_row(900, "new"), payload={"from": "another version"})
        await post.deliver(broken, *many, _row(1, "off"), _row(2, "off"))
        lost = {each.name: each.dropped for each in post.notifier.channels_now()}
        assert lost == {"ops": 5, "off": 0, "new": 1}

    _play(play)


def test_too_many_messages_are_let_go_with_a_word_each_and_written_down() -> None:
    async def play() -> None:
        told = _Told("ops", answer=DeliveryKind.RETRY)
        post = _Post(told)
        await post.deliver(*(_of_incident(number, f"i{number}") for number in range(510)))
        assert post.notifier.pending == 500
        assert sum(row.given_up for row in post.disk.outbox.values()) == 10
        said = [event for event in post.facts if isinstance(event, NoticeFailed)]
        assert sum("more than 500 messages wait" in event.error for event in said) == 10

    _play(play)


def test_a_stop_lets_a_delivery_come_to_its_end_and_begins_no_other() -> None:
    """Cut off, it had been repeated by the next process."""

    async def play() -> None:
        told = _Told("ops")
        post = _Post(told)
        post.network.hangs_s = 3.0
        post.notifier.take((_row(1, "ops"), _row(2, "ops")))
        running = asyncio.create_task(post.notifier.run())
        await asyncio.sleep(1.0)
        await post.notifier.finish()
        running.cancel()
        await asyncio.wait({running})
        assert told.got == ["1"]
        assert post.row(1, "ops").delivered_at is not None
        assert post.notifier.pending == 1

    _play(play)


def test_a_stop_does_not_wait_for_a_channel_that_hangs() -> None:
    async def play() -> None:
        post = _Post(_Told("ops"))
        post.network.hangs_s = 3600.0
        post.notifier.take((_row(1, "ops"),))
        running = asyncio.create_task(post.notifier.run())
        await asyncio.sleep(1.0)
        began_s = post.clock.monotonic()
        await post.notifier.finish()
        assert post.clock.monotonic() - began_s < 10.0
        running.cancel()
        await asyncio.wait({running})

    _play(play)
