"""Carries one message to one channel, and says in the same words what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from keeper.alerts import Channel, Delivery, DeliveryKind, Notice
from keeper.daemon.error_line import describe
from keeper.ports import (
    Clock,
    HttpRequest,
    Network,
    PortError,
    Refused,
    Relay,
    Relayed,
    TimedOut,
    Unreachable,
)

# Whatever a channel asks for: a receiver that answers for ever must not hold up what comes after it.
_DEADLINE_S = 20.0
_RECEIPT_MAX = 500
NO_RELAY = (
    "no library that hands such messages on is installed: install keeper with its extra `apprise` "
    "(pip install 'vast-keeper[apprise]') and start it again"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a message."""

    kind: DeliveryKind
    error: str = ""  # without secrets, bounded
    retry_after_s: float | None = None
    receipt: str = ""
    has_answered: bool = False  # the receiver itself said so
    has_reached: bool = False  # or may have got it, at least


class Courier:
    """The ways to the receivers."""

    def __init__(
        self,
        *,
        network: Network,
        relay: Relay | None,
        clock: Clock,
        redact: Callable[[str], str],
    ) -> None:
        self._network = network
        self._relay = relay
        self._clock = clock
        self._redact = redact

    async def deliver(self, channel: Channel, notice: Notice, receipt: str = "") -> Answer:
        """Carry a message, once. Raises nothing: what a channel does wrong is an answer, too."""
        try:
            message = channel.compose(notice, now=self._clock.now(), receipt=receipt)
            if isinstance(message, Relayed):
                return await self._relayed(message)
            return self._answered(await self._exchanged(channel, message))
        except (PortError, TimeoutError) as failure:
            return self._failed(failure)
        except Exception as bug:  # noqa: BLE001 - one message that cannot be worded must not stop all others
            return self._dropped(bug)

    async def amend(self, channel: Channel, notice: Notice, receipt: str) -> str:
        """Write the message anew that opened the incident, once; returns what went wrong, or ""."""
        try:
            request = channel.amend(notice, now=self._clock.now(), receipt=receipt)
            if request is None:
                return ""
            delivery = await self._exchanged(channel, request)
        except Exception as failure:  # noqa: BLE001 - what it would say has been said
            return self._redact(describe(failure)) or "it failed"
        if delivery.kind is DeliveryKind.DELIVERED:
            return ""
        return self._redact(delivery.error) or "refused"

    async def _exchanged(self, channel: Channel, request: HttpRequest) -> Delivery:
        async with asyncio.timeout(_DEADLINE_S):
            reply = await self._network.fetch(request)
        return channel.classify(reply)

    async def _relayed(self, message: Relayed) -> Answer:
        if self._relay is None:
            # It stays in the outbox: who follows the advice loses nothing.
            return Answer(kind=DeliveryKind.RETRY, error=NO_RELAY)
        try:
            async with asyncio.timeout(min(message.timeout_s, _DEADLINE_S)):
                await self._relay.send(message)
        except Refused as refusal:
            return self._dropped(refusal)
        return Answer(kind=DeliveryKind.DELIVERED, has_answered=True, has_reached=True)

    def _answered(self, delivery: Delivery) -> Answer:
        return Answer(
            kind=delivery.kind,
            error=self._redact(delivery.error),  # a receiver may repeat the address, a secret
            retry_after_s=delivery.retry_after_s,
            receipt=delivery.receipt if len(delivery.receipt) <= _RECEIPT_MAX else "",
            has_answered=True,
            has_reached=True,
        )

    def _failed(self, failure: PortError | TimeoutError) -> Answer:
        has_reached = not isinstance(failure, Unreachable | TimedOut)
        error = self._redact(describe(failure))
        return Answer(kind=DeliveryKind.RETRY, error=error, has_reached=has_reached)

    def _dropped(self, bug: Exception) -> Answer:
        error = self._redact(describe(bug))
        return Answer(kind=DeliveryKind.DROP, error=error, has_reached=True)
