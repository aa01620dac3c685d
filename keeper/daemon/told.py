"""What people were told, are told and will be told, put together for the local API. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from keeper.alerts import Alert
from keeper.alerts.dispatch import inhibited
from keeper.alerts.rules import firing
from keeper.core.silences import Silence
from keeper.daemon.ground import Ground
from keeper.ports import AlertNow, Clock


def alerts_now(ground: Ground, clock: Clock) -> tuple[AlertNow, ...]:
    """Return every alert that holds by the last tick, the most severe first."""
    snapshot = ground.snapshot
    if snapshot is None or not ground.has_memory:
        return ()
    now = clock.now()
    fired = firing(snapshot, now)
    muted = inhibited(fired)
    silences = tuple(each for each in ground.memory.silences if each.until > now)
    state = ground.memory.alert_state
    return tuple(
        _now(
            alert,
            state.get(alert.key, {}),
            muted_by=alert.key if alert.key in muted else "",
            silenced_by=_silence(alert, silences),
        )
        for alert in fired
    )


def _silence(alert: Alert, silences: tuple[Silence, ...]) -> str:
    shown = {
        "alert": alert.name,
        "stream": alert.stream or "",
        "slot": alert.slot or "",
        "severity": alert.severity.value,
    }
    return next((each.silence_id for each in silences if each.matches(shown)), "")


def _now(alert: Alert, told: Mapping[str, Any], *, muted_by: str, silenced_by: str) -> AlertNow:
    told_at = told.get("told_at")
    return AlertNow(
        name=alert.name,
        key=alert.key,
        severity=alert.severity.value,
        slot=alert.slot,
        stream=alert.stream or "",
        summary=alert.summary,
        why=alert.why,
        did=alert.did,
        needs_human=alert.needs_human,
        since=alert.since,
        told_at=datetime.fromisoformat(told_at) if told_at else None,
        incident_id="",
        muted_by=muted_by,
        silenced_by=silenced_by,
        dollars=alert.dollars,
    )
