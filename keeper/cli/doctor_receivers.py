"""Where messages go from this box, and whether they can: alert channels, feeds, and the heartbeat."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from keeper.cli.doctor_box import Box
from keeper.cli.doctor_facts import Receiver
from keeper.cli.doctor_reach import receiver_of
from keeper.core.text import plain
from keeper.ports import HttpRequest, PortError

if TYPE_CHECKING:
    from datetime import datetime

    from keeper.alerts import Channel, Notice

_SEND_S = 20.0


async def receivers_of(box: Box, *, is_sending: bool) -> tuple[Receiver, ...]:
    """Reach every receiver; with ``is_sending`` hand each channel a test message."""
    from yarl import URL

    from keeper.adapters.clock import SystemClock
    from keeper.settings import build_channels, build_feeds, build_pulse

    now = SystemClock().now()
    asked = []
    for channel in build_channels(box.settings):
        name = f"channel {channel.name}"
        request = channel.compose(_test_notice(now), now=now)
        if is_sending:
            asked.append(_sent(name, channel, request, box))
        else:
            is_ours = isinstance(request, HttpRequest)
            asked.append(receiver_of(name, URL(request.url) if is_ours else None))
    for feed in build_feeds(box.settings):
        shown = feed.compose((), (), now=now)
        asked.append(receiver_of(f"channel {feed.name}", URL(shown.url)))
    if (pulse := build_pulse(box.settings)) is not None:
        asked.append(receiver_of("heartbeat", URL(pulse.url)))
    return tuple(await asyncio.gather(*asked))


async def _sent(name: str, channel: Channel, request: object, box: Box) -> Receiver:
    """Hand over one test message, once."""
    from yarl import URL

    from keeper.adapters.network import HttpNetwork
    from keeper.alerts import DeliveryKind
    from keeper.settings import secrets_of
    from keeper.telemetry.redact import Redactor

    if not isinstance(request, HttpRequest):
        return Receiver(name=name, is_by_library=True)
    host = URL(request.url).host or ""
    if host.endswith(".invalid"):
        return Receiver(name=name, is_reached=None, error="its secret is not given")
    network = HttpNetwork()
    hide = Redactor(secrets_of(box.settings)).text
    try:
        async with asyncio.timeout(_SEND_S):
            delivery = channel.classify(await network.fetch(request))
    except (PortError, TimeoutError) as error:
        said = plain(hide(str(error)), 200) or "no answer in time"
        return Receiver(name=name, host=host, is_sent=False, error=said)
    finally:
        await network.close()
    is_sent = delivery.kind is DeliveryKind.DELIVERED
    return Receiver(name=name, host=host, is_sent=is_sent, error=plain(hide(delivery.error), 200))


def _test_notice(now: datetime) -> Notice:
    """Make a message that says of itself that it is a test."""
    import socket
    import uuid

    from keeper.alerts import Alert, Notice, Severity
    from keeper.ports import NoticeKind

    ident = uuid.uuid4().hex
    alert = Alert(
        name="KeeperTest",
        key=f"KeeperTest:{ident}",
        severity=Severity.INFO,
        slot=None,
        stream=None,
        summary=f"a test message of keeper doctor on {plain(socket.gethostname(), 80)}",
        why="somebody ran `keeper doctor --send`",
        did="nothing",
        needs_human="",
        since=now,
        over="the test is over",
    )
    return Notice(
        notice_id=f"test-{ident}", kind=NoticeKind.FIRING, alert=alert, at=now, incident_id=ident
    )
