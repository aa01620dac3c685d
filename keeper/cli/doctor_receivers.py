"""Where messages go from this box, and whether they can: alert channels, feeds, and the heartbeat."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keeper.alerts.wording import count
from keeper.cli.doctor_box import Box
from keeper.cli.doctor_facts import Receiver
from keeper.cli.doctor_reach import channels_of, receiver_of
from keeper.core.text import plain
from keeper.ports import HttpRequest

if TYPE_CHECKING:
    from keeper.alerts import Channel
    from keeper.ports import Clock


async def receivers_of(box: Box, socket: Path, *, is_sending: bool) -> tuple[Receiver, ...]:
    """Reach every receiver; with ``is_sending`` hand each channel a test message.

    That it answers is not that it takes messages: where a keeper runs, what it says of them comes first.
    """
    from yarl import URL

    from keeper.adapters.clock import SystemClock
    from keeper.alerts.trial import trial
    from keeper.settings import build_channels, build_feeds, build_pulse

    clock = SystemClock()
    now = clock.now()
    begins, _ = trial("doctor", now)  # to learn the address; it is not sent
    asked = []
    for channel in build_channels(box.settings):
        name = f"channel {channel.name}"
        message = channel.compose(begins, now=now)
        url = URL(message.url) if isinstance(message, HttpRequest) else None
        host = (url.host or "") if url is not None else ""
        if is_sending and not host.endswith(".invalid"):  # which stands for what is not given
            asked.append(_sent(name, host, channel, box, clock))
        else:
            asked.append(receiver_of(name, url))
    for feed in build_feeds(box.settings):
        shown = feed.compose((), (), now=now)
        asked.append(receiver_of(f"channel {feed.name}", URL(shown.url)))
    if (pulse := build_pulse(box.settings)) is not None:
        asked.append(receiver_of("heartbeat", URL(pulse.url)))
    found, told = await asyncio.gather(asyncio.gather(*asked), channels_of(socket))
    said = {f"channel {each.get('channel')}": each for each in told}
    return tuple(_as_told(each, said.get(each.name, {})) for each in found)


def _as_told(receiver: Receiver, told: dict[str, Any]) -> Receiver:
    """Add what the running keeper says of a channel. ``told``: from its API; any field may be missing."""

    def said(field: str) -> str:
        return plain(str(told.get(field) or "it said nothing"), 200)

    named = replace(receiver, channel=receiver.name.removeprefix("channel "))
    dropped, pending = told.get("dropped"), told.get("pending")
    if told.get("off_since"):
        return replace(named, trouble=f"it is off: {said('off_why')}")
    if isinstance(dropped, int) and dropped > 0:
        lost = count(dropped, "message is lost", "messages are lost")
        return replace(named, trouble=f"{lost}: {said('dropped_why')}")
    if not told.get("last_error"):
        return named
    if isinstance(pending, int) and pending > 0:
        waits = count(pending, "message waits", "messages wait")
        return replace(named, waits=f"{waits}: {said('last_error')}")
    return replace(named, waits=f"it does not take what it is shown: {said('last_error')}")


async def _sent(name: str, host: str, channel: Channel, box: Box, clock: Clock) -> Receiver:
    """Test a channel as `keeper alerts test` does, but from this process."""
    from keeper.adapters.network import HttpNetwork
    from keeper.adapters.relay import AppriseRelay, is_installed
    from keeper.alerts import DeliveryKind
    from keeper.daemon.courier import Courier
    from keeper.daemon.trial import tried
    from keeper.settings import secrets_of
    from keeper.telemetry.redact import Redactor

    network = HttpNetwork()
    courier = Courier(
        network=network,
        relay=AppriseRelay() if is_installed() else None,
        clock=clock,
        redact=Redactor(secrets_of(box.settings)).text,
    )
    try:
        answer = await tried(courier, channel, clock.now())
    finally:
        await network.close()
    return Receiver(
        name=name,
        host=host or "the service behind apprise",
        is_sent=answer.kind is DeliveryKind.DELIVERED,
        error=plain(answer.error, 200) or "it said nothing",
    )
