"""Delivers due messages from the outbox, each channel by a task of its own: a broken one delays nobody.

A message stays in the store until its channel has taken it or refused it for good. A crash between
the delivery and the note of it sends the same id again; the receiver can tell. What the store refuses
to note is noted as soon as it can be, or a crash days later would tell old news.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from keeper.alerts import Channel, DeliveryKind, Notice
from keeper.alerts.payloads import from_payload
from keeper.core.events import Event, NoticeFailed, NoticeSent
from keeper.daemon.courier import Answer, Courier
from keeper.daemon.declared import nothing_to_hide
from keeper.daemon.drops import Drops
from keeper.daemon.error_line import describe
from keeper.daemon.outbox import WAITING_MAX, Tray
from keeper.daemon.receipts import Receipts
from keeper.daemon.side_by_side import SideBySide
from keeper.daemon.switches import Switches
from keeper.daemon.trial import tried
from keeper.daemon.until import until
from keeper.ports import (
    Batch,
    ChannelNow,
    ChannelTest,
    Clock,
    Missing,
    Network,
    NoticeKind,
    OutboxRow,
    Relay,
    Saved,
    Store,
    StoreError,
)

_RETRY_S = (5.0, 15.0, 60.0, 300.0, 900.0)
_TRIES_MAX = 50  # of a message that got there: about half a day; by then others have said it
_NOTE_AGAIN_S = 15.0
_FINISH_S = 5.0  # a stop waits no longer for deliveries that are under way
_A_MOMENT = timedelta(microseconds=1)


class Notifier:
    """The outbox and the tasks that empty it."""

    def __init__(
        self,
        *,
        network: Network,
        store: Store,
        clock: Clock,
        channels: Callable[[], Mapping[str, Channel]],
        publish: Callable[[Event], None],
        redact: Callable[[str], str] = nothing_to_hide,
        relay: Relay | None = None,
        kinds: Callable[[], Mapping[str, str]] = dict,
        marks: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """``kinds`` and ``marks``: of which kind each declared channel is, and a mark of how."""
        self._store = store
        self._clock = clock
        self._channels = channels
        self._publish = publish
        self._kinds = kinds
        self._redact = redact
        self._courier = Courier(network=network, relay=relay, clock=clock, redact=redact)
        self._trays: dict[str, Tray] = {}
        self._receipts = Receipts(clock)
        self._drops = Drops()
        self._switches = Switches(clock, channels=channels, marks=marks, publish=publish)
        self._woken = asyncio.Event()
        self._is_finishing = False
        self._landed = asyncio.Event()  # a delivery is over
        self._tasks = SideBySide(publish, ended=self._woken.set)
        self._returns = 0  # how often this box's own network came back
        self._unnoted: dict[tuple[str, str], OutboxRow] = {}  # done with; the store does not know
        self._note_at_s = 0.0  # by the clock that nobody sets

    # --- what others tell it --------------------------------------------------------------------------

    def remember(self, saved: Saved) -> None:
        """Take up what the store holds."""
        self._receipts.remember(saved.receipts)
        self._switches.remember(saved.channels_off)
        self.take(saved.outbox)

    def take(self, rows: tuple[OutboxRow, ...]) -> None:
        """Take messages that are already in the store."""
        for row in rows:
            self._trays.setdefault(row.channel, Tray(row.channel)).put(row)
        for name in {row.channel for row in rows}:
            for row in self._trays[name].shed():
                why = f"more than {WAITING_MAX} messages wait"
                self._tell_failed(row, row.attempts, why)
                self._drops.dropped(row.channel, self._clock.now(), why)
                self._give_up(row, "too many waited")
                self._note_at_s = 0.0
        self._woken.set()

    def trust_again(self) -> None:
        """Try those channels again that are declared otherwise now: the configuration was read again."""
        self._switches.compare()
        self._wake_all()

    def network_is_back(self) -> None:
        """Try at once what never reached its channel. News of a host waited a quarter of an hour.

        Why a message of an earlier process waits is not known, so that one is tried too.
        """
        self._returns += 1
        for tray in self._trays.values():
            tray.network_is_back()

    async def finish(self) -> None:
        """Begin no more deliveries, and wait a moment for those under way: cut off, they would be repeated."""
        self._is_finishing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FINISH_S):
                while any(tray.in_flight for tray in self._trays.values()):
                    self._landed.clear()
                    await self._landed.wait()

    # --- what others ask ------------------------------------------------------------------------------

    def made_at(self, now: datetime) -> datetime:
        """Return when a message made now counts as made: after all that wait, also by a clock set back.

        A channel gets its messages in this order, and what is resolved must not come before it fires.
        """
        ends = (tray.newest_at for tray in self._trays.values())
        newest = max((at for at in ends if at is not None), default=None)
        return now if newest is None or newest < now else newest + _A_MOMENT

    @property
    def pending(self) -> int:
        """Messages not delivered yet."""
        return sum(len(tray) for tray in self._trays.values())

    def outbox(self) -> tuple[OutboxRow, ...]:
        """Return the messages that no channel has taken yet, the oldest first."""
        rows = (row for tray in self._trays.values() for row in tray.rows)
        return tuple(sorted(rows, key=lambda row: (row.created_at, row.notice_id, row.channel)))

    def channels_now(self) -> tuple[ChannelNow, ...]:
        """Return every declared channel, with what waits for it."""
        kinds = self._kinds()
        return tuple(self._now(name, kinds.get(name, "")) for name in self._channels())

    def _now(self, name: str, kind: str) -> ChannelNow:
        rows = self._trays[name].rows if name in self._trays else ()
        off, lost = self._switches.off(name), self._drops.of(name)
        return ChannelNow(
            name=name,
            kind=kind,
            pending=len(rows),
            last_error=next((row.last_error for row in rows if row.last_error), ""),
            off_since=None if off is None else off.since,
            off_why="" if off is None else off.why,
            dropped=lost.count,
            last_dropped_at=lost.last_at,
            dropped_why=lost.why,
        )

    async def test(self, name: str) -> ChannelTest:
        """Send a test message now, past the outbox. Raises Missing: there is no such channel.

        A channel that takes it is on again.
        """
        channel = self._channels().get(name)
        if channel is None:
            raise Missing(f"there is no channel {name!r}")
        began_s = self._clock.monotonic()
        answer = await tried(self._courier, channel, self._clock.now())
        if answer.kind is DeliveryKind.DELIVERED:
            self._switches.turn_on(name, "it has taken a test message")
            self._drops.taken(name)
        elif answer.kind is DeliveryKind.DISABLE:
            self._switches.turn_off(name, answer.error)
        if self._switches.is_unnoted:
            await self._note_again()
        self._wake_all()
        return ChannelTest(
            channel=name,
            is_delivered=answer.kind is DeliveryKind.DELIVERED,
            duration_s=self._clock.monotonic() - began_s,
            error=answer.error,
        )

    # --- tasks ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Deliver for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._woken.clear()
                for name, tray in self._trays.items():
                    if len(tray) and not self._is_finishing:
                        self._tasks.begin(group, f"notifier:{name}", partial(self._serve, tray))
                if self._has_unnoted() and self._note_at_s <= self._clock.monotonic():
                    await self._note_again()
                    continue
                wait_s = self._note_at_s - self._clock.monotonic() if self._has_unnoted() else None
                await until(self._woken, wait_s)

    async def _serve(self, tray: Tray) -> None:
        """Deliver what waits for one channel, until nothing does."""
        while not self._is_finishing:
            tray.woken.clear()
            found = tray.next(self._clock.now(), self._clock.monotonic())
            if found is None:
                return
            row, wait_s = found
            channel, off = self._channels().get(tray.channel), self._switches.off(tray.channel)
            if channel is None or off is not None:
                await self._give_all_up(tray, "the channel is gone" if off is None else off.why)
            elif (later := tray.superseded_by(row)) is not None:
                await self._fold(tray, row, later)
            elif wait_s > 0:
                await until(tray.woken, wait_s)
            else:
                tray.in_flight = row.notice_id
                try:
                    await self._deliver(tray, channel, row)
                finally:
                    tray.in_flight = ""
                    self._landed.set()

    async def _deliver(self, tray: Tray, channel: Channel, row: OutboxRow) -> None:
        attempt, returns = row.attempts + 1, self._returns
        try:
            notice = from_payload(row.payload)
        except Exception as bug:  # noqa: BLE001 - of another version; it must not stop all others
            error = self._redact(describe(bug))
            self._tell_failed(row, attempt, error)
            await self._drop(tray, replace(row, last_error=error))
            return
        receipt = self._receipts.of(notice, tray.channel)
        answer = await self._courier.deliver(channel, notice, receipt)
        tray.free_at_s = self._clock.monotonic() + channel.apart_s
        if answer.kind is DeliveryKind.DELIVERED:
            await self._delivered(tray, channel, replace(row, attempts=attempt), notice, answer)
            return
        # A second apart, for ever, they would fill the journal.
        if attempt <= _TRIES_MAX or attempt % _TRIES_MAX == 0:
            self._tell_failed(row, attempt, answer.error)
        row = replace(row, attempts=attempt, last_error=answer.error)
        if answer.kind is DeliveryKind.DISABLE:
            self._switches.turn_off(tray.channel, answer.error)
            await self._give_all_up(tray, answer.error)
            return
        if answer.has_reached and not answer.retry_after_s:  # who asks for time will take it
            tray.reached[row.notice_id] = tray.reached.get(row.notice_id, 0) + 1
        is_enough = tray.reached.get(row.notice_id, 0) >= _TRIES_MAX
        if answer.kind is not DeliveryKind.RETRY or is_enough:
            await self._drop(tray, row)
            return
        await self._later(tray, row, answer, is_network_new=returns != self._returns)

    async def _delivered(
        self, tray: Tray, channel: Channel, row: OutboxRow, notice: Notice, answer: Answer
    ) -> None:
        opening = self._receipts.of(notice, tray.channel)
        self._publish(
            NoticeSent(
                channel=row.channel,
                alert=row.alert,
                kind=row.kind,
                attempt=row.attempts,
                is_page=notice.is_page,
            )
        )
        self._drops.taken(tray.channel)
        self._receipts.delivered(notice, tray.channel, answer.receipt)
        await self._settle(tray, replace(row, delivered_at=self._clock.now()))
        if opening:
            error = await self._courier.amend(channel, notice, opening)
            tray.free_at_s = self._clock.monotonic() + channel.apart_s
            if error:
                said = f"the first message of the incident was not written anew: {error}"
                self._tell_failed(row, row.attempts, said)
        if notice.kind is NoticeKind.RESOLVED:
            self._receipts.forget(notice, tray.channel)

    async def _later(
        self, tray: Tray, row: OutboxRow, answer: Answer, *, is_network_new: bool
    ) -> None:
        if answer.has_answered:
            tray.answered.add(row.notice_id)
        else:
            tray.answered.discard(row.notice_id)
        step = 0 if is_network_new and not answer.has_answered else row.attempts - 1
        wait_s = answer.retry_after_s or _RETRY_S[min(step, len(_RETRY_S) - 1)]
        if answer.retry_after_s:  # said of the channel, not of this message
            tray.free_at_s = self._clock.monotonic() + answer.retry_after_s
        later = replace(row, next_try_at=self._clock.now() + timedelta(seconds=wait_s))
        tray.put(later)
        await self._write(Batch(outbox=(later,)), later)

    # --- the store ------------------------------------------------------------------------------------

    async def _fold(self, tray: Tray, row: OutboxRow, later: OutboxRow) -> None:
        """Let a later message stand for a follow-up; it waits as long as that one would have."""
        if row.next_try_at is not None:
            waits = replace(later, attempts=row.attempts, next_try_at=row.next_try_at)
            tray.put(waits)
            if row.notice_id in tray.answered:
                tray.answered.add(waits.notice_id)
        said = f"superseded by {later.notice_id}"
        await self._settle(tray, replace(row, given_up=True, last_error=said))

    async def _drop(self, tray: Tray, row: OutboxRow) -> None:
        """Lose one message for good, and show it in the state of its channel, which is on."""
        self._drops.dropped(tray.channel, self._clock.now(), row.last_error)
        await self._settle(tray, replace(row, given_up=True))

    async def _give_all_up(self, tray: Tray, why: str) -> None:
        """Let go of all that waits for a channel that will not take it."""
        rows = tray.rows
        for row in rows:
            self._tell_failed(row, row.attempts, why)
            self._give_up(row, why)
        await self._write(self._unnoted_now(tray.channel), rows[0])

    def _give_up(self, row: OutboxRow, why: str) -> None:
        self._trays[row.channel].remove(row.notice_id)
        gone = replace(row, given_up=True, last_error=why)
        self._unnoted[row.channel, row.notice_id] = gone

    async def _settle(self, tray: Tray, row: OutboxRow) -> None:
        tray.remove(row.notice_id)
        self._unnoted[row.channel, row.notice_id] = row
        await self._write(self._unnoted_now(row.channel, row.notice_id), row)

    def _has_unnoted(self) -> bool:
        return bool(self._unnoted or self._receipts.unnoted or self._switches.is_unnoted)

    def _unnoted_now(self, channel: str = "", notice_id: str = "") -> Batch:
        """Return what the store does not know: of all, of one channel, of one message."""
        return Batch(
            outbox=tuple(
                row
                for row in self._unnoted.values()
                if channel in {"", row.channel} and notice_id in {"", row.notice_id}
            ),
            receipts=tuple(
                each for each in self._receipts.unnoted if channel in {"", each.channel}
            ),
            channels_off=self._switches.all_off if self._switches.is_unnoted else None,
        )

    async def _note_again(self) -> None:
        await self._write(self._unnoted_now(), None)

    async def _write(self, batch: Batch, row: OutboxRow | None) -> None:
        """Note something. ``row``: the message to tell of when the store refuses."""
        self._note_at_s = self._clock.monotonic() + _NOTE_AGAIN_S
        try:
            await asyncio.shield(self._store.commit(batch))
        except StoreError as error:
            # The message went out; until that is noted it would go out again after a restart, under
            # the same id. Losing it would be worse.
            if row is not None:
                self._tell_failed(row, row.attempts, describe(error))
            self._woken.set()
            return
        for each in batch.outbox:
            if self._unnoted.get((each.channel, each.notice_id)) is each:
                del self._unnoted[each.channel, each.notice_id]
        self._receipts.noted(batch.receipts)
        self._switches.noted(batch.channels_off)

    def _tell_failed(self, row: OutboxRow, attempt: int, error: str) -> None:
        self._publish(
            NoticeFailed(
                channel=row.channel, alert=row.alert, kind=row.kind, attempt=attempt, error=error
            )
        )

    def _wake_all(self) -> None:
        self._note_at_s = 0.0
        for tray in self._trays.values():
            tray.woken.set()
        self._woken.set()
