"""What the operator was told: messages as they reached a channel, read without keeper's own code.

A message is about an incident and says something of each of its alerts. Here it falls apart into these:
an alert is told, told again while it holds, and told to be over, whichever message it stands in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

FIRING, UPDATE, REPEAT, RESOLVED = "firing", "update", "repeat", "resolved"
_SAID = {"new": FIRING, "worse": UPDATE, "holds": REPEAT, "over": RESOLVED}
_DIGEST = "digest"
_CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one message says of one alert."""

    at: float  # when it first arrived
    notice_id: str  # of the message: the same over every retry
    kind: str
    name: str
    key: str  # what identifies the alert over time
    slot: str  # "": about no single slot
    is_news: bool = False  # said once, and not again while it holds
    needs_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, about one incident."""

    at: float
    notice_id: str
    kind: str
    incident_id: str  # "": of before there were incidents
    is_page: bool
    notices: tuple[Notice, ...]  # one for each alert that it says something of


def read_messages(messages: Iterable[tuple[float, bytes]]) -> tuple[Message, ...]:
    """Return the messages in the order of arrival, each once however often it came."""
    found: dict[str, Message] = {}
    for at, body in messages:
        message = read_message(at, body)
        found.setdefault(message.notice_id, message)
    return tuple(found.values())


def read_notices(messages: Iterable[tuple[float, bytes]]) -> tuple[Notice, ...]:
    """Return what was said of alerts, in the order of arrival; what came twice was said once."""
    return tuple(notice for message in read_messages(messages) for notice in message.notices)


def read_message(at: float, body: bytes) -> Message:
    """Read one message. Raises ValueError, LookupError when it is none."""
    data = json.loads(body)["data"]
    return Message(
        at=at,
        notice_id=str(data["notice_id"]),
        kind=str(data["kind"]),
        incident_id=str(data.get("incident_id", "")),
        is_page=data.get("is_page") is True,
        notices=tuple(_notices(at, data)),
    )


def _notices(at: float, data: Mapping[str, Any]) -> Iterator[Notice]:
    kind = str(data["kind"])
    if kind == _DIGEST:
        return  # the week in numbers: of no alert
    # Written by a keeper of before there were incidents, a message is about its alert alone.
    lines = data.get("lines") or ({"alert": data["alert"]},)
    for line in lines:
        alert = line["alert"]
        yield Notice(
            at=at,
            notice_id=str(data["notice_id"]),
            kind=_SAID[line["status"]] if "status" in line else kind,
            name=str(alert["name"]),
            key=str(alert["key"]),
            slot=str(alert["slot"] or ""),
            is_news=alert.get("is_once") is True,
            needs_person=alert.get("severity") == _CRITICAL,
        )
