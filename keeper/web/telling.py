"""What people are told of, what is kept from them, and through whom, as the API describes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from keeper.alerts import Alert, Severity
from keeper.alerts.inhibitions import inhibited
from keeper.alerts.rules import firing
from keeper.alerts.wording import runbook
from keeper.core.silences import Silence
from keeper.core.text import plain
from keeper.core.world import Snapshot
from keeper.ports import AlertNow, OutboxRow, Telling
from keeper.web.telling_shapes import (
    AlertPage,
    AlertStatus,
    ChannelStatus,
    MessageStatus,
    OutboxStatus,
    SilenceStatus,
)


def page_of(
    snapshot: Snapshot, now: datetime, telling: Telling, runbooks_url: str = ""
) -> AlertPage:
    """Describe everything that a person may want to know of alerts."""
    alerts = alerts_of(snapshot, now, telling, runbooks_url)
    return AlertPage(
        now=now,
        alerts=alerts,
        channels=channels_of(telling),
        silences=silences_of(snapshot, now, alerts),
    )


def alerts_of(
    snapshot: Snapshot, now: datetime, telling: Telling | None, runbooks_url: str = ""
) -> tuple[AlertStatus, ...]:
    """Describe what holds, the most severe first; without ``telling``, as far as a snapshot shows it."""
    if telling is not None:
        waiting = _waiting(telling.outbox())
        return tuple(
            alert_status(each, runbooks_url, waiting.get(each.incident_id, ()))
            for each in telling.alerts()
        )
    fired = firing(snapshot, now)
    muted = inhibited(fired)
    return tuple(_fired(each, muted_by=muted.get(each.key, "")) for each in fired)


def alert_status(
    alert: AlertNow, runbooks_url: str = "", waiting_for: tuple[str, ...] = ()
) -> AlertStatus:
    """Describe an alert and what became of it."""
    return AlertStatus(
        name=alert.name,
        key=alert.key,
        severity=Severity(alert.severity),
        slot=alert.slot,
        stream=alert.stream,
        summary=plain(alert.summary),
        why=plain(alert.why),
        did=plain(alert.did),
        needs_human=plain(alert.needs_human),
        since=alert.since,
        is_muted=bool(alert.muted_by),
        muted_by=alert.muted_by,
        silenced_by=alert.silenced_by,
        told_at=alert.told_at,
        incident_id=alert.incident_id,
        repeat_at=alert.repeat_at,
        repeat_to=alert.repeat_to,
        waiting_for=waiting_for,
        dollars=alert.dollars,
        runbook=runbook(runbooks_url, alert.name),
    )


def channels_of(telling: Telling | None) -> tuple[ChannelStatus, ...]:
    """Describe who is told, and what waits for them."""
    if telling is None:
        return ()
    return tuple(
        ChannelStatus(
            channel=each.name,
            kind=each.kind,
            pending=each.pending,
            last_error=plain(each.last_error, 300),
            off_since=each.off_since,
            off_why=plain(each.off_why, 300),
            dropped=each.dropped,
            last_dropped_at=each.last_dropped_at,
            dropped_why=plain(each.dropped_why, 300),
        )
        for each in telling.channels()
    )


def silences_of(
    snapshot: Snapshot, now: datetime, alerts: tuple[AlertStatus, ...]
) -> tuple[SilenceStatus, ...]:
    """Describe the silences that hold, the one that ends first before the others."""
    held = [each for each in snapshot.world.silences if each.until > now]
    return tuple(
        silence_status(each, alerts)
        for each in sorted(held, key=lambda each: (each.until, each.silence_id))
    )


def silence_status(silence: Silence, alerts: tuple[AlertStatus, ...]) -> SilenceStatus:
    """Describe a silence. ``alerts``: those that hold."""
    return SilenceStatus(
        silence_id=silence.silence_id,
        matchers=tuple(plain(str(matcher)) for matcher in silence.matchers),
        since=silence.since,
        until=silence.until,
        actor=plain(silence.actor, 60),
        reason=plain(silence.reason, 200),
        mutes=tuple(alert.key for alert in matched(silence, alerts)),
    )


def matched(silence: Silence, alerts: tuple[AlertStatus, ...]) -> tuple[AlertStatus, ...]:
    """Return the alerts that a silence means."""
    return tuple(
        alert
        for alert in alerts
        if silence.matches(
            {
                "alert": alert.name,
                "stream": alert.stream,
                "slot": alert.slot or "",
                "severity": alert.severity.value,
                "key": alert.key,
            }
        )
    )


def outbox_of(telling: Telling, now: datetime) -> OutboxStatus:
    """Describe the messages that wait."""
    return OutboxStatus(now=now, messages=tuple(_message(row) for row in telling.outbox()))


def _waiting(rows: tuple[OutboxRow, ...]) -> Mapping[str, tuple[str, ...]]:
    """Return the channels that have not taken everything yet, by incident."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        if incident_id := str(row.payload.get("incident_id", "")):
            found.setdefault(incident_id, {})[row.channel] = None
    return {incident_id: tuple(channels) for incident_id, channels in found.items()}


def _message(row: OutboxRow) -> MessageStatus:
    alert = row.payload.get("alert") or {}
    return MessageStatus(
        notice_id=row.notice_id,
        channel=row.channel,
        alert=row.alert,
        kind=row.kind.value,
        summary=plain(str(alert.get("summary", "")), 300),
        created_at=row.created_at,
        attempts=row.attempts,
        next_try_at=row.next_try_at,
        last_error=plain(row.last_error, 300),
    )


def _fired(alert: Alert, *, muted_by: str) -> AlertStatus:
    return AlertStatus(
        name=alert.name,
        key=alert.key,
        severity=alert.severity,
        slot=alert.slot,
        stream=alert.stream or "",
        summary=plain(alert.summary),
        why=plain(alert.why),
        did=plain(alert.did),
        needs_human=plain(alert.needs_human),
        since=alert.since,
        is_muted=bool(muted_by),
        muted_by=muted_by,
        dollars=alert.dollars,
        runbook=runbook("", alert.name),
    )
