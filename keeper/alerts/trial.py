"""What a channel is tested with. Pure."""

from __future__ import annotations

from datetime import datetime

from keeper.alerts import Alert, Line, LineStatus, Notice, Severity
from keeper.ports import NoticeKind

NAME = "KeeperTest"


def trial_alert(now: datetime) -> Alert:
    """Make an alert that says of itself that it is a test."""
    return Alert(
        name=NAME,
        key=NAME,
        severity=Severity.CRITICAL,  # what is milder, a pager is not asked to take
        slot=None,
        stream=None,
        summary="this is a test message of keeper, nothing is wrong",
        why="somebody asked keeper to test this channel",
        did="keeper sent this message and did nothing else",
        needs_human="nothing: a second message ends the test at once",
        since=now,
        over="the test of this channel is over",
        is_once=True,
    )


def trial(unique: str, now: datetime) -> tuple[Notice, Notice]:
    """Make the two messages of a test: it begins, and it is over.

    ``unique``: something that no other test has, or a receiver would take it for a message it knows.
    """
    alert, incident = trial_alert(now), f"test_{unique}"
    begins = Notice(
        notice_id=f"msg_{unique}",
        kind=NoticeKind.FIRING,
        alert=alert,
        at=now,
        reason="a test",
        incident_id=incident,
        lines=(Line(alert=alert, status=LineStatus.NEW, why_now="a test"),),
    )
    ends = Notice(
        notice_id=f"msg_{unique}_end",
        kind=NoticeKind.RESOLVED,
        alert=alert,
        at=now,
        reason="a test",
        incident_id=incident,
        lines=(Line(alert=alert, status=LineStatus.OVER, why_now="a test"),),
    )
    return begins, ends
