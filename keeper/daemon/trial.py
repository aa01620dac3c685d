"""A test message: whether a channel takes one, and shows it."""

from __future__ import annotations

import secrets
from datetime import datetime

from keeper.alerts import Channel, DeliveryKind
from keeper.alerts.trial import trial
from keeper.daemon.courier import Answer, Courier


async def tried(courier: Courier, channel: Channel, now: datetime) -> Answer:
    """Open an incident that says that it is a test, and end it: a pager must not go on ringing."""
    begins, ends = trial(secrets.token_hex(12), now)
    answer = await courier.deliver(channel, begins)
    if answer.kind is not DeliveryKind.DELIVERED:
        return answer
    return await courier.deliver(channel, ends, answer.receipt)
