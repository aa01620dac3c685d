"""The words that every channel shares: the first line, durations, money, how to read a reply.

What a channel adds is its own markup and its own escaping.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from keeper.alerts import Alert, Delivery, DeliveryKind, Line, LineStatus, Notice, Severity
from keeper.core.text import plain
from keeper.ports import HttpReply, NoticeKind

# A channel that asks for more patience than this is asked again after it anyway.
RETRY_AFTER_MAX_S = 3600.0

MARKS = {Severity.CRITICAL: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🔵"}
_RANK = {severity: rank for rank, severity in enumerate(Severity)}
# Of an alert alone, which no lines are about.
_STATUS = {
    NoticeKind.FIRING: LineStatus.NEW,
    NoticeKind.UPDATE: LineStatus.WORSE,
    NoticeKind.REPEAT: LineStatus.HOLDS,
    NoticeKind.RESOLVED: LineStatus.OVER,
}
_NEWS = frozenset({LineStatus.NEW, LineStatus.WORSE})
# What the page calls a place: a stream, a slot of it, or a spare.
_PLACE = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")
# Said where an alert asks nothing of anybody: whoever is woken by it may sleep on.
NOTHING_TO_DO = "nothing now; a message says so when that changes"
# The dollars of these were spent; all others' are paid by the hour.
_SPENT = frozenset({"KeeperBudgetUsed", "KeeperSpendDrift"})


# --- who has to care ----------------------------------------------------------------------------------


def lines_of(notice: Notice) -> tuple[Line, ...]:
    """Return what a message says of each alert of its incident, the leading one first."""
    if notice.lines or notice.digest is not None:
        return notice.lines
    status = _STATUS.get(notice.kind, LineStatus.NEW)
    return (Line(alert=notice.alert, status=status, dark_s=notice.dark_s),)


def loudest(lines: Iterable[Line]) -> Severity | None:
    """Return the highest severity among lines; None: there are none."""
    severities = (line.alert.severity for line in lines)
    return max(severities, key=_RANK.__getitem__, default=None)


def reaches(severity: Severity | None, severity_min: Severity) -> bool:
    """Whether a severity is at least this one."""
    return severity is not None and _RANK[severity] >= _RANK[severity_min]


def is_wanted(notice: Notice, severity_min: Severity, *, digest: bool) -> bool:
    """Whether a channel that takes so much is to get a message: that of its loudest alert, over or not.

    So the end of what a channel was told of comes to it, too. The last message of an incident is led by
    the worst of it, which may have been told to be over before: an incident is closed where it was opened.
    """
    if notice.kind is NoticeKind.DIGEST:
        return digest
    loud = reaches(loudest(lines_of(notice)), severity_min)
    return loud or reaches(notice.alert.severity, severity_min)


# --- the first line -------------------------------------------------------------------------------------


def headline(notice: Notice) -> str:
    """Say the impact in the one line that a phone shows. What hosts said in it is not escaped yet."""
    match notice.kind:
        case NoticeKind.UPDATE:
            return _news(notice, lines_of(notice))
        case NoticeKind.REPEAT:
            return f"{_says(notice, lead(notice), 'Still: ')}{_others_hold(notice)}"
        case NoticeKind.FIRING | NoticeKind.RESOLVED | NoticeKind.DIGEST:
            return state_line(notice)


def state_line(notice: Notice) -> str:
    """Say how things are now, whatever the message is about: the first line of one that is kept up to date."""
    if notice.digest is not None:
        return f"📊 {notice.alert.summary}"
    if notice.kind is NoticeKind.RESOLVED:
        more = _and_more(len(others(notice)), "over, too")
        return f"✅ {_over(notice.alert)}{_toll(notice)}{more}"
    lines = lines_of(notice)
    if not holding(notice):
        return _news(notice, lines)  # the rest of it is quiet, and not yet said to be over
    return f"{_says(notice, lead(notice), '')}{_others_hold(notice)}"


def holding(notice: Notice) -> tuple[Line, ...]:
    """Return what a message says of alerts that are not over. What is quiet for a moment is in none."""
    return tuple(line for line in lines_of(notice) if line.status is not LineStatus.OVER)


def others(notice: Notice) -> tuple[Line, ...]:
    """Return what a message says of other alerts than the one that its first line is about.

    The last message may be led by one that was told to be over before.
    """
    about = lead(notice).key
    return tuple(line for line in lines_of(notice) if line.alert.key != about)


def lead(notice: Notice) -> Alert:
    """Return the alert that the first line is about: the leading one, unless it alone is over."""
    lines, still = lines_of(notice), holding(notice)
    is_over = any(
        line.alert.key == notice.alert.key and line.status is LineStatus.OVER for line in lines
    )
    return still[0].alert if is_over and still else notice.alert


def subject(notice: Notice) -> Alert | None:
    """Return the alert of which a message has something new to tell; None: there is nothing but its end."""
    if notice.kind is NoticeKind.FIRING:
        return lead(notice)
    if notice.kind is not NoticeKind.UPDATE:
        return None
    worst = _worst_news(lines_of(notice))
    return None if worst is None else worst.alert


def _worst_news(lines: Iterable[Line]) -> Line | None:
    news = (line for line in lines if line.status in _NEWS)
    return max(news, key=lambda line: _RANK[line.alert.severity], default=None)


def _news(notice: Notice, lines: tuple[Line, ...]) -> str:
    """Say what is new in an incident that people know of: what is worse first, then what is over."""
    worst = _worst_news(lines)
    still = holding(notice)
    if worst is not None:
        news = sum(line.status in _NEWS for line in lines)
        word = "Also: " if worst.status is LineStatus.NEW else "Worse: "
        return f"{_says(notice, worst.alert, word)}{_and_more(news - 1, 'new')}"
    over = [line for line in lines if line.status is LineStatus.OVER]
    if over:
        left = _and_more(len(still) - 1, "")
        rest = f" · still: {still[0].alert.summary}{left}" if still else ""
        more = _and_more(len(over) - 1, "over, too")
        return f"🟢 {_over(over[0].alert)}{_was_dark(over[0].dark_s)}{more}{rest}"
    return state_line(notice)


def _says(notice: Notice, alert: Alert, word: str) -> str:
    if notice.is_page:
        word = "You are needed: "
    return f"{MARKS[alert.severity]} {word}{alert.summary}{_for(alert, notice.at)}"


def _for(alert: Alert, at: datetime) -> str:
    since_s = (at - alert.since).total_seconds()
    return f", for {duration(since_s)}" if since_s >= 1 else ""


def _over(alert: Alert) -> str:
    return alert.over or f"no longer so: {alert.summary}"


def _was_dark(dark_s: float) -> str:
    return f" · was dark for {duration(dark_s)}" if dark_s else ""


def _toll(notice: Notice) -> str:
    """Say what it took: time without a picture, what that has cost, and remedies."""
    spent = cost_so_far(notice)
    cost = f" · cost {spent}" if spent else ""
    acts = f" · {count(notice.acts, 'remedy', 'remedies')} tried" if notice.acts else ""
    return f"{_was_dark(notice.dark_s)}{cost}{acts}"


def _others_hold(notice: Notice) -> str:
    return _and_more(len(holding(notice)) - 1, "")


def _and_more(number: int, word: str) -> str:
    return f" (+{number} more{f' {word}' if word else ''})" if number > 0 else ""


# --- the lines below it ------------------------------------------------------------------------------


def ordered(lines: Iterable[Line]) -> list[Line]:
    """Put news first, the loudest of it at the top, and what is over last. Otherwise the order stays."""
    places = {
        LineStatus.NEW: 0,
        LineStatus.WORSE: 0,
        LineStatus.HOLDS: 1,
        LineStatus.OVER: 2,
    }
    return sorted(lines, key=lambda line: (places[line.status], -_RANK[line.alert.severity]))


def line_text(line: Line, at: datetime) -> str:
    """Say one alert of an incident in a line. What hosts said in it is not escaped yet."""
    alert = line.alert
    if line.status is LineStatus.OVER:
        return f"✅ {_over(alert)}{_was_dark(line.dark_s)}"
    word = {LineStatus.NEW: "new: ", LineStatus.WORSE: "worse: "}.get(line.status, "")
    why = f" ({line.why_now})" if line.why_now and line.status is LineStatus.WORSE else ""
    return f"{MARKS[alert.severity]} {word}{alert.summary}{_for(alert, at)}{why}"


def left_out(lines: Iterable[Line]) -> str:
    """Say how many lines are not shown, and what became of them; "" when all are."""
    words = {
        LineStatus.NEW: "new",
        LineStatus.WORSE: "worse",
        LineStatus.HOLDS: "still so",
        LineStatus.OVER: "over",
    }
    counts = Counter(line.status for line in lines)
    if not counts:
        return ""
    said = ", ".join(f"{counts[status]} {word}" for status, word in words.items() if counts[status])
    return f"and {sum(counts.values())} more: {said}"


def orders(lines: Iterable[Line]) -> tuple[str, ...]:
    """Return what people should do, each thing once, the first alert's first."""
    wanted = (line.alert.needs_human for line in lines if line.status is not LineStatus.OVER)
    return tuple(dict.fromkeys(filter(None, wanted)))


# --- numbers ------------------------------------------------------------------------------------------


def costs(alert: Alert) -> str:
    """Say the money of an alert: by the hour, or what was spent; "" for none."""
    if not alert.dollars:
        return ""
    return f"${alert.dollars:.2f}" if alert.name in _SPENT else f"${alert.dollars:.2f}/h"


def cost_so_far(notice: Notice) -> str:
    """Say what the dark time has cost, as far as that is known; "" below a cent."""
    dollars = round(notice.cost_dollars, 2)
    return f"about ${dollars:.2f}" if dollars > 0 else ""


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


def lateness(notice: Notice, now: datetime) -> str:
    """Say that a message comes late; "" when it does not."""
    late_s = (now - notice.at).total_seconds()
    # The end of something is told once it has been quiet for a while.
    is_late = late_s > 60 and notice.kind is not NoticeKind.RESOLVED  # noqa: PLR2004 - a minute
    return f"sent {duration(late_s)} late" if is_late else ""


def page(base_url: str, alert: Alert) -> str:
    """Name keeper's page where it shows what an alert is about: its slot, or its stream; "" for no page."""
    about = alert.slot or alert.stream or ""
    # Whatever else stands there is no place on the page, and no part of an address.
    if not base_url or "#" in base_url or not _PLACE.fullmatch(about):
        return base_url
    return f"{base_url}#{about}"


def runbook(base_url: str, alert_name: str) -> str:
    """Name the runbook of an alert; a path in the repository when no address is configured."""
    page = f"{alert_name}.md"
    return f"{base_url.rstrip('/')}/{page}" if base_url else f"docs/runbooks/{page}"


# --- what the other side says -----------------------------------------------------------------------


def shared_reading(reply: HttpReply) -> Delivery | None:
    """Read what HTTP itself says of a reply: taken, too fast, out of order. None: ask the channel."""
    if 200 <= reply.status < 300:  # noqa: PLR2004 - the 2xx class
        return Delivery(kind=DeliveryKind.DELIVERED)
    # 408 and 425 ask for the same again, 429 for later; 5xx is trouble that passes.
    if reply.status in {408, 425, 429} or reply.status >= 500:  # noqa: PLR2004
        later = refused(reply, DeliveryKind.RETRY)
        return replace(later, retry_after_s=retry_after_s(reply))
    return None


def refused(reply: HttpReply, kind: DeliveryKind) -> Delivery:
    """Classify a refusal, with what the other side said about it."""
    text = plain(reply.body[:200].decode("utf-8", "replace"), 200)
    return Delivery(kind=kind, error=f"HTTP {reply.status} {text}".strip())


def retry_after_s(reply: HttpReply) -> float | None:
    """Return the seconds of Retry-After, bounded. A date in it is ignored: clocks disagree."""
    text = reply.headers.get("retry-after", "").strip()
    return min(float(text), RETRY_AFTER_MAX_S) if text.isdecimal() else None
