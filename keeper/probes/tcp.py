"""Is a port open? The weakest witness: for views that have nothing better to offer."""

from __future__ import annotations

from datetime import datetime

from keeper.core.model import InstanceId, Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.core.text import plain
from keeper.ports import PortError, TimedOut, Unreachable


def read_tcp(failure: PortError | None, instance_id: InstanceId, at: datetime) -> Reading:
    """Judge one dial; None means that it connected."""
    match failure:
        case None:
            status, reason = Status.TRUE, Reason.ANSWERS
        case Unreachable() | TimedOut():
            status, reason = Status.FALSE, Reason.UNREACHABLE
        case _:
            status, reason = Status.UNKNOWN, Reason.PROBE_FAILED
    return Reading(
        instance_id=instance_id,
        subject=Subject.PICTURE,
        status=status,
        reason=reason,
        at=at,
        detail=plain("" if failure is None else str(failure), 200),
    )
