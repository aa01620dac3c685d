"""Whose silence makes what unknown, and when. A witness that says no more is no bad news (I14)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from keeper.core.conditions import HAS_GPU, HAS_ROOM, KINDS, REACHABLE, RUNNING, STREAMING, WORKING
from keeper.core.model import Condition, InstanceId, Status, Subject, Tenure
from keeper.core.moments import later

# Each condition that rests on one witness's word, and whose.
WITNESS = (
    (REACHABLE, Subject.LINK),
    (RUNNING, Subject.PROCESS),
    (STREAMING, Subject.PICTURE),
    (HAS_GPU, Subject.GPU),
    (HAS_ROOM, Subject.DISK),
    (WORKING, Subject.WORKLOAD),
)


def witnesses_of(tenure: Tenure) -> tuple[tuple[tuple[InstanceId, Subject], datetime], ...]:
    """Name the witnesses whose silence would make something unknown, and since when that holds."""
    assert tenure.instance_id is not None
    return tuple(
        ((tenure.instance_id, subject), condition.since) for subject, condition in _known(tenure)
    )


def silent_at(
    tenure: Tenure,
    heard_at: Mapping[tuple[InstanceId, Subject], datetime],
    started_at: datetime,
    stale_s: float,
) -> datetime | None:
    """Return when something of a tenure would be unknown, if its witnesses said no more."""
    if tenure.instance_id is None or len(tenure.conditions) != len(KINDS):
        return None
    silences = [
        silent_since(condition, heard_at.get((tenure.instance_id, subject)), started_at)
        for subject, condition in _known(tenure)
    ]
    return later(min(silences), stale_s) if silences else None


def _known(tenure: Tenure) -> list[tuple[Subject, Condition]]:
    """Return each witness of whom something is believed, with what that is."""
    return [
        (subject, tenure.conditions[position])
        for position, subject in WITNESS
        if tenure.conditions[position].status is not Status.UNKNOWN
    ]


def silent_since(
    condition: Condition, heard_at: datetime | None, started_at: datetime | None
) -> datetime:
    """Return from when on silence counts against a condition."""
    listened_at = heard_at or started_at
    return condition.since if listened_at is None else max(listened_at, condition.since)
