"""Channels of all tempers, whose messages end in the simulator's mailbox."""

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime

from typing_extensions import override

from keeper.alerts import Alert, Delivery, DeliveryKind, Notice
from keeper.ports import HttpReply, HttpRequest, NoticeKind, Relayed
from keeper.sim.memory import MAILBOX_URL
from keeper.sim.power import Power
from keeper.sim.universe import Message, Universe

MAD = "a bug of the mad channel"


class Thread:
    """A channel that gives receipts, wants them back, and keeps its first message up to date."""

    apart_s = 1.0

    def __init__(self, name: str = "thread") -> None:
        self.name = name
        self._given = 0

    def wants(self, notice: Notice) -> bool:
        return True

    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest | Relayed:
        return _request(self.name, notice, receipt)

    def amend(self, notice: Notice, *, now: datetime, receipt: str) -> HttpRequest | None:
        return _request("amended", notice, receipt)

    def classify(self, reply: HttpReply) -> Delivery:
        if reply.status != 200:
            return Delivery(kind=DeliveryKind.RETRY, error="not now")
        self._given += 1
        return Delivery(kind=DeliveryKind.DELIVERED, receipt=f"receipt {self._given}")


class Pigeon(Thread):
    """A channel that goes by somebody else's library."""

    apart_s = 0.0

    def __init__(self, name: str = "pigeon") -> None:
        super().__init__(name)

    @override
    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest | Relayed:
        body = _request(self.name, notice, receipt).body.decode()
        return Relayed(url="pigeon://key@loft", title=self.name, body=body, severity="info")


class Gone(Thread):
    """A channel that answers that it wants no more, but for a test."""

    def __init__(self) -> None:
        super().__init__("gone")
        self._is_test = False

    @override
    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest | Relayed:
        self._is_test = notice.alert.name == "KeeperTest"
        return _request("gone" if self._is_test else "nowhere", notice, receipt)

    @override
    def classify(self, reply: HttpReply) -> Delivery:
        kind = DeliveryKind.DELIVERED if self._is_test else DeliveryKind.DISABLE
        return Delivery(kind=kind, error="" if self._is_test else "HTTP 410")


class Poor(Thread):
    """A channel that cannot word reminders."""

    def __init__(self) -> None:
        super().__init__("poor")

    @override
    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest | Relayed:
        if notice.kind is NoticeKind.REPEAT:
            raise ValueError("no words for it")
        return _request(self.name, notice, receipt)


class _Fatal(float):
    """A number that cannot be added to another one, the first time."""

    has_failed = False

    @override
    def __radd__(self, other: float) -> float:
        if not self.has_failed:
            self.has_failed = True
            raise ArithmeticError(MAD)
        return other


class Mad:
    """A channel with a bug that costs the task that serves it its life, once in each process."""

    def __init__(self) -> None:
        self.name = "mad"
        self.apart_s: float = _Fatal(0.0)
        self._thread = Thread(self.name)

    def wants(self, notice: Notice) -> bool:
        raise ArithmeticError("another one")

    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest | Relayed:
        return self._thread.compose(notice, now=now)

    def amend(self, notice: Notice, *, now: datetime, receipt: str) -> HttpRequest | None:
        return None

    def classify(self, reply: HttpReply) -> Delivery:
        return self._thread.classify(reply)


@dataclass(slots=True)
class Board:
    """A feed that shows keys."""

    name: str = "board"
    interval_s: float = 60.0

    def compose(
        self, holding: tuple[Alert, ...], ended: tuple[Alert, ...], *, now: datetime
    ) -> HttpRequest:
        shown = {"holding": [each.key for each in holding], "ended": [each.key for each in ended]}
        body = json.dumps({"data": shown}).encode()
        return HttpRequest(method="POST", url=f"{MAILBOX_URL}{self.name}", body=body)

    def classify(self, reply: HttpReply) -> Delivery:
        is_taken = reply.status == 200
        return Delivery(kind=DeliveryKind.DELIVERED if is_taken else DeliveryKind.RETRY)


@dataclass(slots=True)
class Loft:
    """The relay of the pigeons: it leaves what it is given in the mailbox, and takes its time."""

    universe: Universe
    power: Power

    async def send(self, message: Relayed) -> None:
        await self.power.gate()
        await asyncio.sleep(1.0)
        await self.power.gate()
        at = self.universe.time_s()
        url = f"{MAILBOX_URL}{message.title}"
        self.universe.mailbox.messages.append(Message(at=at, url=url, body=message.body.encode()))
        await self.power.gate()


def _request(path: str, notice: Notice, receipt: str) -> HttpRequest:
    said = {
        "notice_id": notice.notice_id, "kind": notice.kind.value, "receipt": receipt,
        "incident_id": notice.incident_id,
    }  # fmt: skip
    url = f"{MAILBOX_URL}{path}"
    return HttpRequest(method="POST", url=url, body=json.dumps({"data": said}).encode())
