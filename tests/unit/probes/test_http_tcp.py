"""The weaker views: something answers, or a port is open."""

from datetime import UTC, datetime

import pytest

from keeper.core.model import InstanceId, Status
from keeper.core.reasons import Reason
from keeper.ports import HttpReply, Invalid, PortError, TimedOut, Uncertain, Unreachable
from keeper.probes.http import read_http
from keeper.probes.tcp import read_tcp

AT = datetime(2026, 11, 1, tzinfo=UTC)


def reply(status: int) -> HttpReply:
    return HttpReply(status=status, headers={}, body=b"", elapsed_s=0.1)


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (reply(200), Status.TRUE, Reason.ANSWERS),
        (reply(302), Status.TRUE, Reason.ANSWERS),
        (reply(404), Status.FALSE, Reason.HTTP_ERROR),
        (reply(502), Status.FALSE, Reason.HTTP_ERROR),
        (Unreachable("refused"), Status.FALSE, Reason.UNREACHABLE),
        (TimedOut(), Status.FALSE, Reason.UNREACHABLE),
        (Uncertain("no whole answer"), Status.FALSE, Reason.NO_BYTES),
        (Invalid("bad url"), Status.UNKNOWN, Reason.PROBE_FAILED),
    ],
)
def test_judges_http(answer: HttpReply | PortError, status: Status, reason: Reason) -> None:
    reading = read_http(answer, None, InstanceId(7), AT)
    assert (reading.status, reading.reason) == (status, reason)


@pytest.mark.parametrize(
    ("failure", "status", "reason"),
    [
        (None, Status.TRUE, Reason.ANSWERS),
        (Unreachable("refused"), Status.FALSE, Reason.UNREACHABLE),
        (TimedOut(), Status.FALSE, Reason.UNREACHABLE),
        (Invalid(), Status.UNKNOWN, Reason.PROBE_FAILED),
    ],
)
def test_judges_tcp(failure: PortError | None, status: Status, reason: Reason) -> None:
    reading = read_tcp(failure, InstanceId(7), AT)
    assert (reading.status, reading.reason) == (status, reason)
