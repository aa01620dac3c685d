"""Who is told of what, in numbers, as those who tell say at the moment of a scrape."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Protocol

from keeper.alerts import Severity
from keeper.alerts.rules import RULES
from keeper.ports.control import AlertNow, ChannelNow
from keeper.ports.store import OutboxRow
from keeper.telemetry.metrics import Samples


class Told(Protocol):
    """The part of Telling that is counted."""

    def alerts(self) -> tuple[AlertNow, ...]:
        """See Telling."""
        ...

    def channels(self) -> tuple[ChannelNow, ...]:
        """See Telling."""
        ...

    def outbox(self) -> tuple[OutboxRow, ...]:
        """See Telling."""
        ...


def told_gauges(told: Told) -> Samples:
    """Count what holds, who was told of it and what waits."""
    holding, channels = told.alerts(), told.channels()
    kinds = Counter({(name, each.value): 0 for name in RULES for each in Severity})
    for alert in holding:
        # Both are words of ours; anything else would be a series of its own.
        if (alert.name, alert.severity) in kinds:
            kinds[alert.name, alert.severity] += 1
    oldest: dict[str, datetime] = {}
    for row in told.outbox():
        oldest[row.channel] = min(oldest.get(row.channel, row.created_at), row.created_at)
    return {
        "keeper_alerts": [(labels, float(count)) for labels, count in kinds.items()],
        "keeper_alerts_hidden": [
            (("louder",), float(sum(bool(each.muted_by) for each in holding))),
            (("silence",), float(sum(bool(each.silenced_by) for each in holding))),
        ],
        "keeper_alert_incidents": [
            ((), float(len({each.incident_id for each in holding if each.told_at is not None})))
        ],
        "keeper_outbox_pending": [((each.name,), float(each.pending)) for each in channels],
        "keeper_outbox_oldest_timestamp_seconds": [
            ((each.name,), oldest[each.name].timestamp())
            for each in channels
            if each.name in oldest
        ],
        "keeper_feed_taking": [
            ((each.name,), float(each.is_taking)) for each in channels if each.is_taking is not None
        ],
        "keeper_channel_off": [
            ((each.name,), float(each.off_since is not None)) for each in channels
        ],
        "keeper_channel_dropped": [((each.name,), float(each.dropped)) for each in channels],
        "keeper_channel_last_drop_timestamp_seconds": [
            ((each.name,), each.last_dropped_at.timestamp())
            for each in channels
            if each.last_dropped_at is not None
        ],
    }
