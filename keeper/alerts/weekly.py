"""The week in numbers as a message: one for each opening of its calendar, under one id. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime
from math import fsum

from keeper.alerts import Alert, Notice, Severity
from keeper.core.digest import Digest
from keeper.ports import NoticeKind

NAME = "KeeperWeeklyDigest"


def weekly(digest: Digest, *, due_at: datetime, now: datetime) -> Notice:
    """Make the message. ``due_at``: the opening it is for; the same opening has the same id."""
    name = hashlib.sha256(f"{NAME}|{due_at.isoformat()}".encode()).hexdigest()[:24]
    alert = Alert(
        name=NAME,
        key=NAME,
        severity=Severity.INFO,
        slot=None,
        stream=None,
        summary=_summary(digest),
        why="",
        did="",
        needs_human="",
        since=digest.since,
        dollars=digest.dollars,
        is_once=True,
    )
    return Notice(
        notice_id=f"msg_{name}",
        kind=NoticeKind.DIGEST,
        alert=alert,
        at=now,
        reason="the week is over",
        digest=digest,
    )


def _summary(digest: Digest) -> str:
    good_s = fsum(each.good_s for each in digest.streams)
    known_s = good_s + fsum(each.dark_s for each in digest.streams)
    # Rounded down: what was dark for a minute was not on air for all of the week.
    shown = (
        f"{int(good_s / known_s * 10_000) / 100:g} % on air" if known_s > 0 else "nothing on air"
    )
    return f"last week: {shown}, ${digest.dollars:.2f}"
