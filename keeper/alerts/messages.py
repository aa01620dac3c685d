"""What one message of an incident says: a line for every alert that there is something to say of. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from keeper.alerts import Alert, Line, LineStatus, Notice, Severity
from keeper.alerts.remembered import Incident, Told
from keeper.ports import NoticeKind

_RANK = {severity: rank for rank, severity in enumerate(Severity)}
_NEWS = (LineStatus.NEW, LineStatus.WORSE)
_ORDER = (LineStatus.WORSE, LineStatus.NEW, LineStatus.HOLDS, LineStatus.OVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """When to speak. Defaults are those of policy section 1."""

    group_wait_s: float = 30.0  # what is cured within it is never told
    group_interval_s: float = (
        300.0  # between two messages of an incident, unless a person is newly needed
    )
    repeat_s: float = 14_400.0
    resolved_after_s: float = 300.0  # quiet for this long is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message, and what is remembered of having told it."""

    notice: Notice
    incident: Incident | None  # None: it was the last one
    told: tuple[Told, ...]
    over: tuple[Told, ...]


def composed(
    incident: Incident,
    members: list[Told],
    fired: Mapping[str, Alert],
    now: datetime,
    numbers: Numbers,
) -> Said:
    """Make the message that is due of an incident: all there is to say of it now.

    What has not yet held for the group wait is not in it: it may be cured before anybody is told.
    """
    said = [
        (told, line)
        for told in members
        if (line := _line(told, fired, now, numbers, is_first=incident.told == 0)) is not None
    ]
    if all(line.status is LineStatus.HOLDS for _, line in said):
        said = [each for each in said if not each[1].alert.is_once]  # news is no reminder
    lines = [line for _, line in said]
    over = tuple(told for told, line in said if line.status is LineStatus.OVER)
    is_end = len(over) == sum(told.told_at is not None for told in members) and len(over) == len(
        said
    )
    kind = _kind(incident, lines, is_end=is_end)
    lead = _lead(incident, lines)
    lines.sort(key=lambda line: (line.alert.key != lead.key, *_place(line)))
    ended = replace(
        incident,
        dark_s=max([incident.dark_s, *(told.dark_s for told in over)]),
        cost_dollars=round(incident.cost_dollars + sum(told.cost_dollars for told in over), 6),
        acts=incident.acts + sum(told.alert.acts for told in over),
    )
    holding = [line for line in lines if line.status is not LineStatus.OVER]
    is_needed = any(
        line.status in _NEWS and line.alert.severity is Severity.CRITICAL for line in lines
    )
    worst = max((lead, incident.lead), key=lambda alert: _RANK[alert.severity])
    notice = Notice(
        notice_id=_notice_id(incident, kind),
        kind=kind,
        alert=_closing(incident, lines) if is_end else lead,
        at=max((told.quiet_since or now for told in over), default=now) if is_end else now,
        dark_s=max([ended.dark_s, *(line.dark_s for line in holding)]),
        acts=ended.acts + sum(line.alert.acts for line in holding),
        reason=_reason(kind, lines, numbers),
        incident_id=incident.incident_id,
        lines=tuple(lines),
        is_page=is_needed and not incident.is_paged,
        cost_dollars=round(ended.cost_dollars + sum(line.cost_dollars for line in holding), 4),
    )
    return Said(
        notice=notice,
        incident=None
        if is_end
        else replace(
            ended,
            told=incident.told + 1,
            told_at=now,
            joined_at=now
            if any(line.status is LineStatus.NEW for line in lines)
            else incident.joined_at,
            is_paged=incident.is_paged or is_needed,
            lead=worst,
        ),
        told=tuple(
            replace(told, alert=line.alert, told_at=now, told=told.told + 1)
            for told, line in said
            if line.status is not LineStatus.OVER
        ),
        over=over,
    )


# --- what calls for a message ----------------------------------------------------------------------------


def marks(alert: Alert) -> tuple[Severity, int, str]:
    """Return what may call for a message though the alert goes on."""
    return alert.severity, alert.stage, alert.case


def is_further(alert: Alert, told: Alert) -> bool:
    """Whether an alert is worse than when it was told last, has come a stage further, or is about
    another case.
    """
    is_worse = _RANK[alert.severity] > _RANK[told.severity]
    return is_worse or alert.stage > told.stage or alert.case != told.case


def is_newly_needed(alert: Alert, told: Alert) -> bool:
    """Whether a person is needed for an alert now, and was not when it was told last."""
    return alert.severity is Severity.CRITICAL and told.severity is not Severity.CRITICAL


def elapsed_s(since: datetime | None, now: datetime) -> float:
    """Seconds since then; a clock that stepped back means none."""
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


# --- its parts ---------------------------------------------------------------------------------------------


def _line(
    told: Told, fired: Mapping[str, Alert], now: datetime, numbers: Numbers, *, is_first: bool
) -> Line | None:
    if told.quiet_since is not None:
        if elapsed_s(told.quiet_since, now) < numbers.resolved_after_s:
            return None  # neither so nor over
        alert = replace(told.alert, needs_human="")
        cost = round(told.cost_dollars, 4)
        return Line(
            alert=alert,
            status=LineStatus.OVER,
            dark_s=told.dark_s,
            why_now="over",
            cost_dollars=cost,
        )
    if not told.is_speakable:
        return None
    alert = fired[told.alert.key]
    if told.told_at is None:
        if not told.is_to_be_told or elapsed_s(told.waiting_since, now) < numbers.group_wait_s:
            return None
        alert = replace(told.alert, severity=alert.severity, stage=alert.stage, case=alert.case)
        status, why = LineStatus.NEW, "first message" if is_first else "joins what was told"
    elif is_further(alert, told.alert):
        status = LineStatus.WORSE
        alert, why = _worse(alert, told.alert)
    else:
        status, alert, why = LineStatus.HOLDS, told.alert, ""
    cost = told.cost_dollars + told.alert.dollars * elapsed_s(told.cost_since, now) / 3600
    return Line(
        alert=alert,
        status=status,
        dark_s=told.dark_s + elapsed_s(alert.dark_since, now),
        why_now=why,
        cost_dollars=round(cost, 4),
    )


def _worse(alert: Alert, told: Alert) -> tuple[Alert, str]:
    if alert.case != told.case:
        return alert, "another one"
    is_worse = _RANK[alert.severity] > _RANK[told.severity]
    why = f"now {alert.severity}, was {told.severity}" if is_worse else "goes on"
    return replace(
        told,
        severity=alert.severity if is_worse else told.severity,
        stage=max(alert.stage, told.stage),
    ), why


def _kind(incident: Incident, lines: list[Line], *, is_end: bool) -> NoticeKind:
    if incident.told == 0 and any(line.status is LineStatus.NEW for line in lines):
        return NoticeKind.FIRING
    if is_end:
        return NoticeKind.RESOLVED
    is_news = any(line.status is not LineStatus.HOLDS for line in lines)
    return NoticeKind.UPDATE if is_news else NoticeKind.REPEAT


def _lead(incident: Incident, lines: list[Line]) -> Alert:
    """Return what the message is about first: the most severe that holds; of equals, what led before."""
    return min(
        lines,
        key=lambda line: (
            line.status is LineStatus.OVER,
            -_RANK[line.alert.severity],
            line.alert.key != incident.lead.key,
            *_place(line),
        ),
    ).alert


def _closing(incident: Incident, lines: list[Line]) -> Alert:
    """Return what the last message is about first: what is over now, unless something worse was before.

    So every channel that was told of the worst is told of the end.
    """
    worst = (line.alert for line in lines if line.alert.severity is incident.lead.severity)
    return next(worst, replace(incident.lead, needs_human=""))


def _place(line: Line) -> tuple[int, int, datetime, str]:
    rank = -_RANK[line.alert.severity]
    return _ORDER.index(line.status), rank, line.alert.since, line.alert.key


def _reason(kind: NoticeKind, lines: list[Line], numbers: Numbers) -> str:
    """Say why this message comes now."""
    if kind is NoticeKind.REPEAT:
        return f"repeated every {numbers.repeat_s / 3600:g} h"
    if kind is NoticeKind.RESOLVED:
        return "resolved"
    news = [line for line in lines if line.status is not LineStatus.HOLDS]
    if len(news) == 1 or kind is NoticeKind.FIRING:
        return news[0].why_now
    counts = {status: sum(line.status is status for line in news) for status in _ORDER}
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def _notice_id(incident: Incident, kind: NoticeKind) -> str:
    """Name a message: the same after a crash and over every retry, another one for every other message."""
    basis = f"{incident.incident_id}|{kind}|{incident.told}"
    return f"msg_{hashlib.sha256(basis.encode()).hexdigest()[:24]}"
