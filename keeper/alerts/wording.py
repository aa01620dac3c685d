"""The words that every channel shares: the first line, durations, money, how to read a reply.

What a channel adds is its own markup and its own escaping.
"""

from __future__ import annotations

from datetime import datetime

from keeper.alerts import Delivery, DeliveryKind, Notice, Severity
from keeper.core.text import plain
from keeper.ports import HttpReply, NoticeKind

# A channel that asks for more patience than this is asked again after it anyway.
RETRY_AFTER_MAX_S = 3600.0

_MARKS = {Severity.CRITICAL: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🔵"}


def headline(notice: Notice) -> str:
    """Say impact and what keeper did, in the one line that a phone shows."""
    alert = notice.alert
    if notice.kind is NoticeKind.RESOLVED:
        dark = f", dark for {duration(notice.dark_s)}" if notice.dark_s else ""
        acts = f" after {count(notice.acts, 'remedy', 'remedies')}" if notice.acts else ""
        return f"✅ {alert.over or f'no longer so: {alert.summary}'}{dark}{acts}"
    mark = _MARKS[alert.severity]
    since = duration((notice.at - alert.since).total_seconds())
    still = "Still: " if notice.kind is NoticeKind.REPEAT else ""
    return f"{mark} {still}{alert.summary}, for {since}"


def duration(seconds: float) -> str:
    """Say a duration in its two largest units: "3 min 20 s", "2 h 5 min", "4 d 1 h"."""
    left = max(0, round(seconds))
    parts = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def count(number: int, one: str, many: str) -> str:
    """Say a number with its noun."""
    return f"{number} {one if number == 1 else many}"


def moment(at: datetime) -> str:
    """Say a time of day, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def runbook(base_url: str, alert_name: str) -> str:
    """Name the runbook of an alert; a path in the repository when no address is configured."""
    page = f"{alert_name}.md"
    return f"{base_url.rstrip('/')}/{page}" if base_url else f"docs/runbooks/{page}"


def shared_reading(reply: HttpReply) -> Delivery | None:
    """Read what HTTP itself says of a reply: taken, too fast, out of order. None: ask the channel."""
    if 200 <= reply.status < 300:  # noqa: PLR2004 - the 2xx class
        return Delivery(kind=DeliveryKind.DELIVERED)
    error = f"HTTP {reply.status} {plain(reply.body[:200].decode('utf-8', 'replace'), 200)}".strip()
    # 408 and 425 ask for the same again, 429 for later; 5xx is trouble that passes.
    if reply.status in {408, 425, 429} or reply.status >= 500:  # noqa: PLR2004
        return Delivery(kind=DeliveryKind.RETRY, retry_after_s=retry_after_s(reply), error=error)
    return None


def refused(reply: HttpReply, kind: DeliveryKind) -> Delivery:
    """Classify a refusal, with what the other side said about it."""
    text = plain(reply.body[:200].decode("utf-8", "replace"), 200)
    return Delivery(kind=kind, error=f"HTTP {reply.status} {text}".strip())


def retry_after_s(reply: HttpReply) -> float | None:
    """Return the seconds of Retry-After, bounded. A date in it is ignored: clocks disagree."""
    text = reply.headers.get("retry-after", "").strip()
    return min(float(text), RETRY_AFTER_MAX_S) if text.isdecimal() else None
