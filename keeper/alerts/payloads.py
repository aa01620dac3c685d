"""A notice as plain values, and back: for the outbox, and for the body that a webhook's receiver reads.

Keys are added, never renamed. What a newer keeper wrote is ignored, what an older one did not know
takes its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from keeper.alerts import Alert, Line, LineStatus, Notice, Severity
from keeper.core.digest import Digest, MachineWeek, StreamWeek
from keeper.core.model import MachineId, SlotId, StreamName
from keeper.core.reasons import Reason
from keeper.ports import NoticeKind


def to_payload(notice: Notice) -> dict[str, Any]:
    """Flatten a notice to JSON values, for the outbox and for the webhook's body."""
    return {
        "notice_id": notice.notice_id,
        "kind": notice.kind.value,
        "alert": flat_alert(notice.alert),
        "at": notice.at.isoformat(),
        "dark_s": notice.dark_s,
        "acts": notice.acts,
        "reason": notice.reason,
        "incident_id": notice.incident_id,
        "is_page": notice.is_page,
        "cost_dollars": notice.cost_dollars,
        "lines": [_flat_line(line) for line in notice.lines],
        "digest": _flat_digest(notice.digest) if notice.digest is not None else None,
    }


def from_payload(payload: Mapping[str, Any]) -> Notice:
    """Read a notice back. Keys of a newer keeper are ignored, missing ones take their defaults."""
    digest = payload.get("digest")
    return Notice(
        notice_id=str(payload["notice_id"]),
        kind=NoticeKind(payload["kind"]),
        alert=alert_of(payload["alert"]),
        at=datetime.fromisoformat(payload["at"]),
        dark_s=float(payload.get("dark_s", 0.0)),
        acts=int(payload.get("acts", 0)),
        reason=str(payload.get("reason", "")),
        incident_id=str(payload.get("incident_id", "")),
        is_page=bool(payload.get("is_page", False)),
        cost_dollars=float(payload.get("cost_dollars", 0.0)),
        lines=tuple(_line_of(flat) for flat in payload.get("lines", ())),
        digest=_digest_of(digest) if digest is not None else None,
    )


def flat_alert(alert: Alert) -> dict[str, Any]:
    """Flatten an alert to JSON values."""
    flat: dict[str, Any] = {}
    for each in fields(alert):
        value = getattr(alert, each.name)
        if isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, Severity | Reason):
            value = value.value
        elif isinstance(value, Mapping):
            value = {str(key): str(text) for key, text in value.items()}
        flat[each.name] = value
    return flat


_REASONS: Mapping[Any, Reason] = {reason.value: reason for reason in Reason}  # unknown: None


def alert_of(flat: Mapping[str, Any]) -> Alert:
    """Read an alert back."""
    return Alert(
        name=flat["name"],
        key=flat["key"],
        severity=Severity(flat["severity"]),
        slot=SlotId(flat["slot"]) if flat.get("slot") is not None else None,
        stream=StreamName(flat["stream"]) if flat.get("stream") is not None else None,
        summary=flat.get("summary", ""),
        why=flat.get("why", ""),
        did=flat.get("did", ""),
        needs_human=flat.get("needs_human", ""),
        since=datetime.fromisoformat(flat["since"]),
        dollars=float(flat.get("dollars", 0.0)),
        labels=dict(flat.get("labels", {})),
        reason=_REASONS.get(flat.get("reason")),
        dark_since=moment_of(flat.get("dark_since")),
        acts=int(flat.get("acts", 0)),
        over=flat.get("over", ""),
        is_once=bool(flat.get("is_once", False)),
        is_passing=bool(flat.get("is_passing", False)),
        stage=int(flat.get("stage", 0)),
        case=str(flat.get("case", "")),
    )


def moment_of(text: str | None) -> datetime | None:
    """Read a moment; none is none."""
    return datetime.fromisoformat(text) if text else None


def _flat_line(line: Line) -> dict[str, Any]:
    return {
        "status": line.status.value,
        "why_now": line.why_now,
        "dark_s": line.dark_s,
        "cost_dollars": line.cost_dollars,
        "alert": flat_alert(line.alert),
    }


_STATUSES: Mapping[Any, LineStatus] = {each.value: each for each in LineStatus}


def _line_of(flat: Mapping[str, Any]) -> Line:
    return Line(
        alert=alert_of(flat["alert"]),
        status=_STATUSES.get(flat.get("status"), LineStatus.HOLDS),  # of a newer keeper
        dark_s=float(flat.get("dark_s", 0.0)),
        cost_dollars=float(flat.get("cost_dollars", 0.0)),
        why_now=str(flat.get("why_now", "")),
    )


def _flat_digest(digest: Digest) -> dict[str, Any]:
    return {
        "since": digest.since.isoformat(),
        "until": digest.until.isoformat(),
        "streams": [
            {each.name: getattr(week, each.name) for each in fields(week)}
            for week in digest.streams
        ],
        "worst_machines": [
            {each.name: getattr(week, each.name) for each in fields(week)}
            for week in digest.worst_machines
        ],
        "incidents": digest.incidents,
        "people_needed": digest.people_needed,
        "messages": digest.messages,
        "dollars": digest.dollars,
    }


def _digest_of(flat: Mapping[str, Any]) -> Digest:
    return Digest(
        since=datetime.fromisoformat(flat["since"]),
        until=datetime.fromisoformat(flat["until"]),
        streams=tuple(_stream_week(each) for each in flat.get("streams", ())),
        worst_machines=tuple(
            MachineWeek(
                machine_id=MachineId(int(each["machine_id"])),
                failures=int(each.get("failures", 0)),
                dark_s=float(each.get("dark_s", 0.0)),
                dollars=float(each.get("dollars", 0.0)),
            )
            for each in flat.get("worst_machines", ())
        ),
        incidents=int(flat.get("incidents", 0)),
        people_needed=int(flat.get("people_needed", 0)),
        messages=int(flat.get("messages", 0)),
        dollars=float(flat.get("dollars", 0.0)),
    )


def _stream_week(flat: Mapping[str, Any]) -> StreamWeek:
    picture_s = flat.get("time_to_picture_s")
    return StreamWeek(
        stream=StreamName(flat["stream"]),
        good_s=float(flat.get("good_s", 0.0)),
        dark_s=float(flat.get("dark_s", 0.0)),
        starting_s=float(flat.get("starting_s", 0.0)),
        incidents=int(flat.get("incidents", 0)),
        longest_dark_s=float(flat.get("longest_dark_s", 0.0)),
        time_to_picture_s=None if picture_s is None else float(picture_s),
        dollars=float(flat.get("dollars", 0.0)),
    )
