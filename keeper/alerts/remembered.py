"""What is remembered of alerts and incidents between two ticks, and how it is written. Pure.

One row for each alert under its key, one for each open incident under ``@``, its group and a number,
and one under ``@`` alone that counts incidents. The rows under ``@`` are written so that a keeper of
before there were incidents reads alerts that nobody was told of, and drops them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from keeper.alerts import Alert, Severity
from keeper.alerts.payloads import alert_of, flat_alert, moment_of

State = Mapping[str, Any]

COUNT = "@"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is remembered of one alert while it fires, and until it is told to be over."""

    fired_at: datetime
    waiting_since: datetime | None  # since when it could have been told; None: it is muted
    alert: Alert  # as last told, or as last seen before that
    told_at: datetime | None = None
    told: int = 0  # messages so far
    quiet_since: datetime | None = None
    dark_s: float = 0.0  # of the times before it was quiet
    incident: str = ""  # the row of the open incident that it belongs to; "": to none yet
    muted_by: str = ""  # the key of the louder alert; only of the latest, once it is muted no more
    silenced_by: str = ""  # the id of the silence
    cost_dollars: float = 0.0  # of its dark time until ``cost_since``
    cost_since: datetime | None = None  # None: it is not dark

    @property
    def is_speakable(self) -> bool:
        """Whether anybody is to be told what becomes of it, but for its end."""
        return self.waiting_since is not None and not self.silenced_by

    @property
    def is_to_be_told(self) -> bool:
        """Whether it waits for its first message. What may be over with the next look waits longer."""
        return self.told_at is None and self.is_speakable and not self.alert.is_passing


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What is remembered of an incident from its first message to its last."""

    incident_id: str
    group: str
    told_at: datetime
    joined_at: datetime  # when the latest alert was taken in
    lead: Alert  # the most severe that was told, as it was told
    told: int = 0  # messages so far
    is_paged: bool = False
    # Of those of its alerts that were told to be over:
    dark_s: float = 0.0  # the longest
    cost_dollars: float = 0.0
    acts: int = 0


@dataclass(slots=True, kw_only=True)
class Book:
    """All that is remembered, while one tick brings it up to date."""

    alerts: dict[str, Told] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)  # by row
    opened: int = 0  # incidents so far


def read(state: State) -> Book:
    """Read what was written. Rows of another keeper that say nothing to this one are left out."""
    book = Book()
    for key, flat in state.items():
        row = _row(key, flat)
        match row:
            case Told():
                book.alerts[key] = row
            case Incident():
                book.incidents[key] = row
            case int():
                book.opened = row
            case None:
                continue
    return book


def write(book: Book, state: State, before: Book) -> dict[str, Any]:
    """Flatten what is remembered; what has not changed is taken over as it is written."""
    rows: dict[str, Any] = {}
    for key, told in sorted(book.alerts.items()):
        old = before.alerts.get(key)
        rows[key] = state[key] if old is told or old == told else _flat_told(told)
    for key, incident in sorted(book.incidents.items()):
        known = before.incidents.get(key)
        rows[key] = (
            state[key] if known is incident or known == incident else _flat_incident(key, incident)
        )
    if book.opened:
        rows[COUNT] = state[COUNT] if book.opened == before.opened else _flat_count(book.opened)
    return rows


def not_ahead(told: Told, now: datetime) -> Told:
    """Let every wait begin now that would begin later: the clock was set back, and it would last as much longer.

    The time of the beginning stays: it is part of the name of each message.
    """
    moments = (told.waiting_since, told.told_at, told.quiet_since, told.cost_since)
    if all(at is None or at <= now for at in moments):
        return told
    waiting_since, told_at, quiet_since, cost_since = (at and min(at, now) for at in moments)
    return replace(
        told,
        waiting_since=waiting_since,
        told_at=told_at,
        quiet_since=quiet_since,
        cost_since=cost_since,
    )


def incident_not_ahead(incident: Incident, now: datetime) -> Incident:
    """Let every wait begin now that would begin later."""
    if incident.told_at <= now and incident.joined_at <= now:
        return incident
    return replace(
        incident, told_at=min(incident.told_at, now), joined_at=min(incident.joined_at, now)
    )


# --- plain values ---------------------------------------------------------------------------------------


def _flat_told(told: Told) -> dict[str, Any]:
    return {
        "fired_at": told.fired_at.isoformat(),
        "waiting_since": _flat(told.waiting_since),
        "told_at": _flat(told.told_at),
        "told": told.told,
        "quiet_since": _flat(told.quiet_since),
        "dark_s": told.dark_s,
        "incident": told.incident,
        "muted_by": told.muted_by,
        "silenced_by": told.silenced_by,
        "cost_dollars": told.cost_dollars,
        "cost_since": _flat(told.cost_since),
        "alert": flat_alert(told.alert),
    }


def _flat_incident(key: str, incident: Incident) -> dict[str, Any]:
    return {
        **_dropped_by_the_versions_before(key, incident.joined_at),
        "incident": {
            "incident_id": incident.incident_id,
            "group": incident.group,
            "told_at": incident.told_at.isoformat(),
            "joined_at": incident.joined_at.isoformat(),
            "lead": flat_alert(incident.lead),
            "told": incident.told,
            "is_paged": incident.is_paged,
            "dark_s": incident.dark_s,
            "cost_dollars": incident.cost_dollars,
            "acts": incident.acts,
        },
    }


def _flat_count(opened: int) -> dict[str, Any]:
    epoch = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    return {**_dropped_by_the_versions_before(COUNT, epoch), "opened": opened}


def _dropped_by_the_versions_before(key: str, at: datetime) -> dict[str, Any]:
    """Say in the words of a keeper from before there were incidents that nobody was told of this: it forgets it."""
    alert = {
        "name": key,
        "key": key,
        "severity": Severity.INFO.value,
        "since": at.isoformat(),
    }
    return {
        "fired_at": at.isoformat(),
        "waiting_since": None,
        "told_at": None,
        "told": 0,
        "quiet_since": None,
        "dark_s": 0.0,
        "alert": alert,
    }


def _flat(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


# What was read of a written state, by the identity of what is written, which is never changed in
# place: reading all of it again cost a third of a tick in which an alert fires.
_KNOWN_MAX = 10_000
_Row = Told | Incident | int | None
_known: dict[int, tuple[Any, _Row]] = {}


def _row(key: str, flat: Mapping[str, Any]) -> _Row:
    known = _known.get(id(flat))
    if known is not None and known[0] is flat:
        return known[1]
    try:
        row = _row_of(key, flat)
    except (LookupError, TypeError, ValueError, AttributeError):
        row = None  # of a keeper that is newer than this one
    if len(_known) >= _KNOWN_MAX:
        _known.clear()
    _known[id(flat)] = (flat, row)
    return row


def _row_of(key: str, flat: Mapping[str, Any]) -> _Row:
    if key == COUNT:
        return int(flat["opened"])
    if key.startswith(COUNT):
        return _incident_of(flat["incident"])
    return Told(
        fired_at=datetime.fromisoformat(flat["fired_at"]),
        waiting_since=moment_of(flat["waiting_since"]),
        told_at=moment_of(flat["told_at"]),
        told=int(flat["told"]),
        quiet_since=moment_of(flat["quiet_since"]),
        dark_s=float(flat["dark_s"]),
        incident=str(flat.get("incident", "")),
        muted_by=str(flat.get("muted_by", "")),
        silenced_by=str(flat.get("silenced_by", "")),
        cost_dollars=float(flat.get("cost_dollars", 0.0)),
        cost_since=moment_of(flat.get("cost_since")),
        alert=alert_of(flat["alert"]),
    )


def _incident_of(flat: Mapping[str, Any]) -> Incident:
    return Incident(
        incident_id=str(flat["incident_id"]),
        group=str(flat["group"]),
        told_at=datetime.fromisoformat(flat["told_at"]),
        joined_at=datetime.fromisoformat(flat["joined_at"]),
        lead=alert_of(flat["lead"]),
        told=int(flat["told"]),
        is_paged=bool(flat["is_paged"]),
        dark_s=float(flat["dark_s"]),
        cost_dollars=float(flat["cost_dollars"]),
        acts=int(flat["acts"]),
    )
