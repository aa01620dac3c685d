"""Deliveries of notifications, as documented: signed, tried again, at least once; and lies where asked.

Vast.ai docs, notification webhooks, read 2026-11: a POST of JSON with ``event_id``, ``user_id``,
``notif_type`` (without its context), ``subject``, ``message`` and ``timestamp``; the headers
X-Vast-Event-Id, X-Vast-Delivery-Attempt, X-Vast-Timestamp (seconds) and X-Vast-Signature-256
(``sha256=`` and HMAC-SHA256 over ``<timestamp>.<body>``); ten seconds for an answer. 408, 429, 5xx, and
no answer are tried again; everything else but 2xx is final. How often and when is not told: here it is
three times more, each signed anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiohttp

from keeper.sim.ledger import Change
from keeper.sim.market import Market
from keeper.sim.webhooks import Webhooks

RETRY_S = (1.0, 5.0, 25.0)
ANSWER_S = 10.0
LOW_CREDIT_DOLLARS = 1.0
LATE_S = 600.0


class Lie(StrEnum):
    """What may become of a delivery."""

    LOST = "lost"
    DOUBLED = "doubled"  # the same event twice, as at-least-once allows
    LATE = "late"  # signed ten minutes ago
    FORGED = "forged"  # signed with another secret


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something that a renter is notified of."""

    event_id: str
    kind: str  # with its context: client:outbid
    subject: str
    at: float


class Notifications:
    """Sees what happens in the market, and tells the account's webhooks."""

    def __init__(
        self,
        market: Market,
        webhooks: Webhooks,
        *,
        luck: random.Random,
        wall: Callable[[], float],
    ) -> None:
        self._market = market
        self._webhooks = webhooks
        self._luck = luck
        self._wall = wall  # the real time: a signature counts by the receiver's clock
        self._seen: dict[int, int] = {}  # changes of each rental
        self._was_low = False
        self._lies: list[Lie] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.delivered: list[tuple[str, int, int]] = []  # event, attempt, status; 0: no answer

    def lie(self, lie: Lie, count: int = 1) -> None:
        """Tell the next deliveries like this."""
        self._lies += [lie] * count

    def look(self) -> None:
        """Deliver what has happened since the last look."""
        for kind, subject in [*self._of_rentals(), *self._of_money(), *self._webhooks.tests()]:
            event_id = f"{self._luck.getrandbits(128):032x}"
            news = News(event_id=event_id, kind=kind, subject=subject, at=self._market.now())
            for url, secret in self._webhooks.wanting(kind):
                self._send(news, url, secret)

    async def close(self) -> None:
        """End what is under way. May be repeated."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _of_rentals(self) -> Iterator[tuple[str, str]]:
        for instance_id, rental in self._market.ledger.rentals.items():
            seen = self._seen.get(instance_id, 0)
            self._seen[instance_id] = len(rental.changes)
            for change in rental.changes[seen:]:
                if kind := _kind_of(change):
                    yield kind, f"Instance {instance_id}: {change.what}"

    def _of_money(self) -> Iterator[tuple[str, str]]:
        credit = self._market.credit(self._market.now())
        is_low = credit < LOW_CREDIT_DOLLARS
        if is_low and not self._was_low:
            yield "client:low_credit", f"Your credit is {credit:.2f} dollars"
        self._was_low = is_low

    def _send(self, news: News, url: str, secret: str) -> None:
        lie = self._lies.pop(0) if self._lies else None
        for _ in range({Lie.LOST: 0, Lie.DOUBLED: 2}.get(lie, 1) if lie else 1):
            task = asyncio.get_running_loop().create_task(self._deliver(news, url, secret, lie))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, news: News, url: str, secret: str, lie: Lie | None) -> None:
        body = json.dumps(_body(news)).encode()
        for attempt, wait_s in enumerate((*RETRY_S, 0.0), 1):
            stamp = str(int(self._wall() - (LATE_S if lie is Lie.LATE else 0.0)))
            key = "whsec_of_nobody" if lie is Lie.FORGED else secret
            headers = {"X-Vast-Delivery-Attempt": str(attempt), "X-Vast-Event-Id": news.event_id}
            status = await self._post(url, body, headers | signed(key, stamp, body))
            self.delivered.append((news.event_id, attempt, status))
            if status and status not in (408, 429) and status < 500:
                return
            await asyncio.sleep(wait_s)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Send once; returns the status, 0 when nobody answered."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with self._session.post(
                url,
                data=body,
                headers={**headers, "Content-Type": "application/json"},
                allow_redirects=False,
            ) as reply:
                return reply.status
        return 0


def signed(secret: str, stamp: str, body: bytes) -> dict[str, str]:
    """Return the headers that prove a body."""
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Vast-Timestamp": stamp, "X-Vast-Signature-256": f"sha256={digest}"}


def _body(news: News) -> dict[str, Any]:
    return {
        "event_id": news.event_id,
        "user_id": 150_412,
        "notif_type": news.kind.partition(":")[2] or news.kind.partition("#")[0],
        "subject": news.subject,
        "message": news.subject,
        "timestamp": news.at,
    }


def _kind_of(change: Change) -> str:
    match change.what:
        case "created":
            return "client:instance_created"
        case "running":
            return "client:instance_started"
        case "stopped":
            return "client:outbid" if change.by == "outbid" else "client:instance_stopped"
        case _:
            return ""
