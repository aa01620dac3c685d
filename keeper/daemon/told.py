"""What people were told, are told and will be told, put together for the local API. Decides nothing."""

from __future__ import annotations

from keeper.alerts.rules import firing
from keeper.alerts.standing import Stand, standing
from keeper.daemon.ground import Ground
from keeper.ports import AlertNow, Clock


def alerts_now(ground: Ground, clock: Clock) -> tuple[AlertNow, ...]:
    """Return every alert that holds by the last tick, the most severe first."""
    snapshot = ground.snapshot
    if snapshot is None or not ground.has_memory:
        return ()
    now = clock.now()
    silences = tuple(each for each in ground.memory.silences if each.until > now)
    return tuple(
        _now(each) for each in standing(ground.memory.alert_state, firing(snapshot, now), silences)
    )


def _now(each: Stand) -> AlertNow:
    alert = each.alert
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
        told_at=each.told_at,
        incident_id=each.incident_id,
        muted_by=each.muted_by,
        silenced_by=each.silenced_by,
        dollars=alert.dollars,
    )
