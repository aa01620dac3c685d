"""One word for where a spare is. For people and metrics only: nothing is decided upon it."""

from __future__ import annotations

from keeper.core.conditions import is_starting, stands_still, status_of
from keeper.core.model import ConditionKind, SlotRecord, Status

MISSING, COMING, READY = "missing", "coming", "ready"
STOPPED, STARTING = "stopped", "starting"
SPARE_STATES = (MISSING, COMING, READY, STOPPED, STARTING)


def spare_state(record: SlotRecord) -> str:
    """Say whether a spare could take over, as far as was known at the last tick."""
    tenure = record.tenure
    if tenure is None:
        return MISSING
    if is_starting(tenure):
        return STARTING
    is_away = tenure.missing_since is not None or tenure.dead_since is not None
    if stands_still(tenure):
        return COMING if is_away else STOPPED
    is_lost = (
        is_away
        or tenure.stop_asked_at is not None  # it is to stand still, and does not yet
        or status_of(tenure, ConditionKind.REACHABLE) is Status.FALSE
        or status_of(tenure, ConditionKind.STREAMING) is Status.FALSE
    )
    return READY if tenure.ready_at is not None and not is_lost else COMING
