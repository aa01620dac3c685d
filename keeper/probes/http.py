"""Does something answer over HTTP? A hint, weaker than the picture itself: for views of that kind."""

from __future__ import annotations

from datetime import datetime

from keeper.core.model import InstanceId, Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.core.text import plain
from keeper.ports import HttpReply, PortError, TimedOut, Uncertain, Unreachable

_FIRST_ERROR_STATUS = 400


def read_http(
    answer: HttpReply | PortError,
    expected: object,  # noqa: ARG001 - one shape for all views; here it has nothing to add yet
    instance_id: InstanceId,
    at: datetime,
) -> Reading:
    """Judge one exchange: any status below 400 is an answer."""
    status, reason, detail = _judge(answer)
    return Reading(
        instance_id=instance_id,
        subject=Subject.PICTURE,
        status=status,
        reason=reason,
        at=at,
        detail=plain(detail, 200),
        numbers={"elapsed_s": answer.elapsed_s} if isinstance(answer, HttpReply) else {},
    )


def _judge(answer: HttpReply | PortError) -> tuple[Status, Reason, str]:
    match answer:
        case HttpReply(status=status) if status < _FIRST_ERROR_STATUS:
            return Status.TRUE, Reason.ANSWERS, f"HTTP {status}"
        case HttpReply(status=status):
            return Status.FALSE, Reason.HTTP_ERROR, f"HTTP {status}"
        case Unreachable() | TimedOut():
            return Status.FALSE, Reason.UNREACHABLE, str(answer)
        case Uncertain():
            return Status.FALSE, Reason.NO_BYTES, str(answer)  # connected, but no whole answer
        case _:
            return Status.UNKNOWN, Reason.PROBE_FAILED, str(answer)
