"""Delivers due messages from the outbox, each channel on its own, so that a broken one delays nobody.

A message stays in the store until its channel has taken it or refused it for good. A crash between
the delivery and the note of it sends the same id again; the receiver can tell. What the store refuses
to note is noted as soon as it can be, or a crash days later would tell old news.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from keeper.alerts import Channel, DeliveryKind
from keeper.alerts.dispatch import from_payload
from keeper.alerts.wording import RETRY_AFTER_MAX_S
from keeper.core.events import Event, NoticeFailed, NoticeSent
from keeper.daemon.declared import nothing_to_hide
from keeper.daemon.error_line import describe
from keeper.ports import (
    Batch,
    Clock,
    HttpRequest,
    Network,
    OutboxRow,
    PortError,
    Refused,
    Store,
    StoreError,
)

_RETRY_S = (5.0, 15.0, 60.0, 300.0, 900.0)
_TRIES_MAX = 50  # about half a day; by then the alert has been repeated or resolved
_SEND_DEADLINE_S = 20.0
_NOTE_AGAIN_S = 15.0
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
    ) -> None:
        self._network = network
        self._store = store
        self._clock = clock
        self._channels = channels
        self._publish = publish
        self._redact = redact
        self._rows: dict[str, OutboxRow] = {}
        self._changed = asyncio.Event()
        self._disabled: set[str] = set()
        self._answered: set[str] = set()  # whose channel itself said that it is to come later
        self._returns = 0  # how often this box's own network came back
        self._unnoted: dict[str, OutboxRow] = {}  # done with, and the store does not know
        self._note_again_s = 0.0  # by the clock that nobody sets

    def take(self, rows: tuple[OutboxRow, ...]) -> None:
        """Take messages that are already in the store."""
        for row in rows:
            self._rows[f"{row.channel}:{row.notice_id}"] = row
        if rows:
            self._changed.set()

    def trust_again(self) -> None:
        """Try channels that refused for good once more: the configuration was read again."""
        self._disabled.clear()

    def network_is_back(self) -> None:
        """Try at once what never reached its channel. News of a host waited a quarter of an hour.

        Why a message of an earlier process waits is not known, so that one is tried too.
        """
        self._returns += 1
        for key, row in self._rows.items():
            if row.next_try_at is not None and key not in self._answered:
                self._rows[key] = replace(row, next_try_at=None)
                self._changed.set()

    def made_at(self, now: datetime) -> datetime:
        """Return when a message made now counts as made: after all that wait, also by a clock set back.

        A channel gets its messages in this order, and what is resolved must not come before it fires.
        """
        newest = max((row.created_at for row in self._rows.values()), default=None)
        return now if newest is None or newest < now else newest + _A_MOMENT

    @property
    def pending(self) -> int:
        """Messages not delivered yet."""
        return len(self._rows)

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            self._changed.clear()
            due = self._next_due_s()
            if due is None:
                await self._changed.wait()
                continue
            if due > 0:
                alarm = asyncio.get_running_loop().call_later(due, self._changed.set)
                try:
                    await self._changed.wait()
                finally:
                    alarm.cancel()
                continue
            await self.deliver_due()

    async def deliver_due(self) -> None:
        """Send what is due now, one message per channel at a time, channels side by side."""
        first: dict[str, OutboxRow] = {}
        now = self._clock.now()
        for row in sorted(self._rows.values(), key=lambda row: (row.created_at, row.notice_id)):
            if row.channel not in first:
                first[row.channel] = row  # order within a channel is kept
        ready = [row for row in first.values() if _due_in_s(row, now) <= 0]
        async with asyncio.TaskGroup() as group:
            for row in ready:
                group.create_task(self._deliver(row))
            if self._note_again_in_s() <= 0:
                for row in tuple(self._unnoted.values()):
                    group.create_task(self._write(row, is_again=True))

    def _next_due_s(self) -> float | None:
        if not self._rows and not self._unnoted:
            return None
        now = self._clock.now()
        first: dict[str, OutboxRow] = {}
        for row in sorted(self._rows.values(), key=lambda row: (row.created_at, row.notice_id)):
            first.setdefault(row.channel, row)
        return min([self._note_again_in_s(), *(_due_in_s(row, now) for row in first.values())])

    def _note_again_in_s(self) -> float:
        if not self._unnoted:
            return math.inf
        return self._note_again_s - self._clock.monotonic()

    async def _deliver(self, row: OutboxRow) -> None:
        channel = self._channels().get(row.channel)
        attempt = row.attempts + 1
        if channel is None or row.channel in self._disabled:
            error = "the channel is gone" if channel is None else "the channel refuses for good"
            self._tell_failed(row, attempt, error)
            await self._settle(replace(row, given_up=True, last_error=error))
            return
        kind, error, retry_after_s = DeliveryKind.RETRY, "", None
        key, returns, is_answered = f"{row.channel}:{row.notice_id}", self._returns, False
        try:
            notice = from_payload(row.payload)
            async with asyncio.timeout(_SEND_DEADLINE_S):
                request = channel.compose(notice, now=self._clock.now())
                if not isinstance(request, HttpRequest):
                    raise Refused("no library that hands messages on is installed")
                reply = await self._network.fetch(request)
            delivery, is_answered = channel.classify(reply), True
            kind, error, retry_after_s = delivery.kind, delivery.error, delivery.retry_after_s
        except (PortError, TimeoutError) as failure:
            error = describe(failure)
        except Exception as bug:  # noqa: BLE001 - one message that cannot be worded must not stop all others
            kind, error = DeliveryKind.DROP, describe(bug)
        error = self._redact(error)  # a receiver may repeat the address, which is a secret
        now = self._clock.now()
        if kind is DeliveryKind.DELIVERED:
            self._publish(
                NoticeSent(channel=row.channel, alert=row.alert, kind=row.kind, attempt=attempt)
            )
            await self._settle(replace(row, attempts=attempt, delivered_at=now))
            return
        self._tell_failed(row, attempt, error)
        if kind is DeliveryKind.DISABLE:
            self._disabled.add(row.channel)
        if kind is not DeliveryKind.RETRY or attempt >= _TRIES_MAX:
            await self._settle(replace(row, attempts=attempt, given_up=True, last_error=error))
            return
        if is_answered:
            self._answered.add(key)
        else:
            self._answered.discard(key)
        step = attempt - 1 if is_answered or returns == self._returns else 0
        wait_s = retry_after_s or _RETRY_S[min(step, len(_RETRY_S) - 1)]
        later = replace(
            row, attempts=attempt, last_error=error, next_try_at=now + timedelta(seconds=wait_s)
        )
        self._rows[key] = later
        await self._write(later)

    async def _settle(self, row: OutboxRow) -> None:
        key = f"{row.channel}:{row.notice_id}"
        self._rows.pop(key, None)
        self._answered.discard(key)
        self._unnoted[key] = row
        await self._write(row)

    async def _write(self, row: OutboxRow, *, is_again: bool = False) -> None:
        try:
            await asyncio.shield(self._store.commit(Batch(outbox=(row,))))
        except StoreError as error:
            # The message went out; until that is noted it would go out again after a restart, under
            # the same id. Losing it would be worse.
            self._note_again_s = self._clock.monotonic() + _NOTE_AGAIN_S
            if not is_again:
                self._tell_failed(row, row.attempts, describe(error))
        else:
            self._unnoted.pop(f"{row.channel}:{row.notice_id}", None)

    def _tell_failed(self, row: OutboxRow, attempt: int, error: str) -> None:
        self._publish(
            NoticeFailed(
                channel=row.channel, alert=row.alert, kind=row.kind, attempt=attempt, error=error
            )
        )


def _due_in_s(row: OutboxRow, now: datetime) -> float:
    """Return the seconds until the next try; what lies too far ahead is of a clock that stepped."""
    wait_s = (row.next_try_at - now).total_seconds() if row.next_try_at else 0.0
    return wait_s if wait_s <= RETRY_AFTER_MAX_S else 0.0
