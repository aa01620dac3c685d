"""What people were told, are told and will be told, put together for the local API. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from keeper.alerts import Channel, Notice
from keeper.alerts.remembered import read
from keeper.alerts.rules import firing
from keeper.alerts.standing import Stand, standing
from keeper.daemon.ground import Ground
from keeper.ports import AlertNow, ChannelNow, NoticeKind


def alerts_now(
    ground: Ground, channels: tuple[ChannelNow, ...], now: datetime
) -> tuple[AlertNow, ...]:
    """Return every alert that holds by the last tick, the most severe first."""
    snapshot = ground.snapshot
    if snapshot is None or not ground.has_memory:
        return ()
    memory, declared = ground.memory, ground.declared
    silences = tuple(each for each in memory.silences if each.until > now)
    stands = standing(memory.alert_state, firing(snapshot, now), silences)
    last = {each.incident_id: each.told_at for each in read(memory.alert_state).incidents.values()}
    off = {each.name for each in channels if each.off_since is not None}
    taking = tuple(each for each in declared.channels if each.name not in off)
    repeat = timedelta(seconds=declared.alert_numbers.repeat_s)
    return tuple(_now(each, _repeat_at(each, last, repeat), taking, now) for each in stands)


def _repeat_at(stand: Stand, last: Mapping[str, datetime], repeat: timedelta) -> datetime | None:
    """Return when it is told again if it still holds: with its incident, whose latest message counts."""
    if stand.told_at is None or stand.muted_by or stand.silenced_by or stand.alert.is_once:
        return None
    return last.get(stand.incident_id, stand.told_at) + repeat


def _now(
    stand: Stand, repeat_at: datetime | None, taking: tuple[Channel, ...], now: datetime
) -> AlertNow:
    alert = stand.alert
    repeated = Notice(
        notice_id="",
        kind=NoticeKind.REPEAT,
        alert=alert,
        at=now,
        incident_id=stand.incident_id,
    )
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
        told_at=stand.told_at,
        incident_id=stand.incident_id,
        muted_by=stand.muted_by,
        silenced_by=stand.silenced_by,
        dollars=alert.dollars,
        repeat_at=repeat_at,
        repeat_to=()
        if repeat_at is None
        else tuple(each.name for each in taking if each.wants(repeated)),
    )
