"""One word for where a spare is. For people and metrics only: nothing is decided upon it."""

from __future__ import annotations

from keeper.core.conditions import status_of
from keeper.core.model import ConditionKind, SlotRecord, Status

MISSING, COMING, READY = "missing", "coming", "ready"
SPARE_STATES = (MISSING, COMING, READY)


def spare_state(record: SlotRecord) -> str:
    """Say whether a spare could take over, as far as was known at the last tick."""
    tenure = record.tenure
    if tenure is None:
        return MISSING
    is_lost = (
        tenure.missing_since is not None
        or tenure.dead_since is not None
        or status_of(tenure, ConditionKind.REACHABLE) is Status.FALSE
        or status_of(tenure, ConditionKind.STREAMING) is Status.FALSE
    )
    return READY if tenure.ready_at is not None and not is_lost else COMING
