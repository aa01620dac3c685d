"""What the operator was told: messages as they reached a channel, read without keeper's own code."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

FIRING, UPDATE, REPEAT, RESOLVED = "firing", "update", "repeat", "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message about one alert."""

    at: float  # when it first arrived
    notice_id: str  # the same over every retry
    kind: str
    name: str
    key: str  # what identifies the alert over time
    slot: str  # "": about no single slot
    is_news: bool = False  # said once, and not again while it holds


def read_notices(messages: Iterable[tuple[float, bytes]]) -> tuple[Notice, ...]:
    """Return the messages in the order of arrival, each once however often it came.

    What fires again after its end is news even under the id of an earlier message, and so is what is said
    of it then: keeper names them by its clock, and one that is set back by an hour to the microsecond
    shows the same moment twice.
    """
    found: list[Notice] = []
    # The id, and after how many ends of this alert it fired, or after how many beginnings it went on.
    known: set[tuple[str, int]] = set()
    begins: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for at, body in messages:
        notice = read_notice(at, body)
        name = notice.notice_id, (ends if notice.kind == FIRING else begins)[notice.key]
        if name in known:
            continue
        known.add(name)
        found.append(notice)
        begins[notice.key] += notice.kind == FIRING
        ends[notice.key] += notice.kind == RESOLVED
    return tuple(found)


def read_notice(at: float, body: bytes) -> Notice:
    """Read one message. Raises ValueError, LookupError when it is none."""
    data = json.loads(body)["data"]
    alert = data["alert"]
    return Notice(
        at=at,
        notice_id=str(data["notice_id"]),
        kind=str(data["kind"]),
        name=str(alert["name"]),
        key=str(alert["key"]),
        slot=str(alert["slot"] or ""),
        is_news=alert.get("is_once") is True,
    )
