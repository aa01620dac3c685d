"""One word for where a slot is in its life. For humans only: never stored, never decided upon."""

from __future__ import annotations

from datetime import datetime

from keeper.core.conditions import status_of
from keeper.core.model import ConditionKind, SlotRecord, Status
from keeper.core.moments import elapsed_s
from keeper.core.reasons import Reason

PHASES = ("vacant", "renting", "booting", "deploying", "serving", "degraded", "retiring")
# A destroy that began this recently is what the slot is busy with.
_RETIRING_S = 120.0


def phase(record: SlotRecord, now: datetime) -> str:
    """Name the phase of a slot."""
    tenure = record.tenure
    if record.destroy_asked_at is not None or record.last_reason is Reason.STREAM_REMOVED:
        return "retiring"
    if tenure is None:
        is_ending = record.last_act == "destroy" and record.last_act_at is not None
        if is_ending and record.last_act_at is not None:
            return "retiring" if elapsed_s(record.last_act_at, now) < _RETIRING_S else "vacant"
        return "vacant"
    if tenure.instance_id is None:
        return "renting"
    streaming = status_of(tenure, ConditionKind.STREAMING)
    if streaming is Status.TRUE:
        return "serving"
    if tenure.booted_at is None:
        return "booting"
    if tenure.deployed_at is None or (tenure.warm_at is None and record.dark_since is None):
        return "deploying"
    return "degraded"
