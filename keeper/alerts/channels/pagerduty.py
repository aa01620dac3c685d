"""PagerDuty, by its Events API v2: an incident that needs a person is one alert there, and ends with it.

Facts are from PagerDuty's documentation of the Events API v2 (overview, send an alert event; read
2026-11): 202 is taken, 400 is not to be sent again, 429 and 5xx are. Events with the same ``dedup_key``
are one alert; a trigger for one that is open calls nobody again; a resolve of an unknown one is dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from keeper.alerts import Delivery, DeliveryKind, Notice, register_channel
from keeper.alerts import Severity as Severity  # noqa: PLC0414 - pydantic reads it at run time
from keeper.alerts.wording import (
    cost_so_far,
    costs,
    duration,
    holding,
    is_wanted,
    lead,
    left_out,
    line_text,
    lines_of,
    loudest,
    ordered,
    orders,
    page,
    reaches,
    refused,
    retry_after_s,
    runbook,
    shared_reading,
    state_line,
)
from keeper.core.text import plain
from keeper.ports import HttpReply, HttpRequest, NoticeKind

URL = "https://events.pagerduty.com/v2/enqueue"
_TIMEOUT_S = 10.0
_SUMMARY_MAX = 1024
_DEDUP_MAX = 255
_TEXT_MAX = 2000
_LINES_SHOWN = 30
_ORDERS_SHOWN = 10
_FORBIDDEN = 403
# PagerDuty knows critical, error, warning and info, by the names of ours.
_ROUTING_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")


class PagerDutySettings(BaseModel):
    """A service of PagerDuty, by the key of an integration of kind Events API v2."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["pagerduty"]
    name: str
    routing_key_secret: str = "PAGERDUTY_ROUTING_KEY"  # noqa: S105 - a name
    url: str = URL  # another one in the EU service region
    severity_min: Severity = Severity.CRITICAL
    page_url: str = ""
    runbooks_url: str = ""


class PagerDuty:
    """Words notices as events."""

    apart_s = 0.0

    def __init__(self, settings: PagerDutySettings, routing_key: str) -> None:
        """Keep the key to oneself: whoever has it can page. ValueError: something cannot be used."""
        if not re.fullmatch(r"https?://\S+", settings.url):
            message = f"channel {settings.name}: its url is no web address"
            raise ValueError(message)
        if not _ROUTING_KEY.fullmatch(routing_key):
            named = settings.routing_key_secret
            message = f"channel {settings.name}: the secret {named} is no routing key"
            raise ValueError(message)
        self.name = settings.name
        self._settings = settings
        self._routing_key = routing_key

    def wants(self, notice: Notice) -> bool:
        """Take what is severe enough while it holds, and the end of its incident.

        That one alert of it is over ends nothing: another may only be quiet for a moment.
        """
        severity_min = self._settings.severity_min
        if notice.kind is NoticeKind.RESOLVED:
            return is_wanted(notice, severity_min, digest=False)
        return reaches(loudest(holding(notice)), severity_min)

    def amend(self, notice: Notice, *, now: datetime, receipt: str) -> HttpRequest | None:
        """Leave what was said: the next event of the incident is shown with it."""
        return None

    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest:
        """Trigger, and resolve with the end of the incident."""
        event: dict[str, Any] = {
            "routing_key": self._routing_key,
            "dedup_key": plain(notice.incident_id or notice.alert.key, _DEDUP_MAX),
        }
        if notice.kind is NoticeKind.RESOLVED:
            event["event_action"] = "resolve"
        else:
            event |= self._trigger(notice)
        return HttpRequest(
            method="POST",
            url=self._settings.url,
            headers={"content-type": "application/json"},
            body=json.dumps(event, ensure_ascii=False).encode(),
            timeout_s=_TIMEOUT_S,
        )

    def classify(self, reply: HttpReply) -> Delivery:
        """Read the answer: only a bad event is given up; nobody is left asleep for a passing refusal."""
        shared = shared_reading(reply)
        if shared is not None:
            return shared
        if reply.status == _FORBIDDEN:
            # The first version of the API said so of too many events; to ask again costs nothing.
            later = refused(reply, DeliveryKind.RETRY)
            return Delivery(kind=later.kind, retry_after_s=retry_after_s(reply), error=later.error)
        return refused(reply, DeliveryKind.DROP)

    def _trigger(self, notice: Notice) -> dict[str, Any]:
        alert = lead(notice)
        here, base = page(self._settings.page_url, alert), self._settings.runbooks_url
        links = [{"href": here, "text": "keeper"}] if here else []
        if base:
            links.append({"href": runbook(base, alert.name), "text": "Runbook"})
        event: dict[str, Any] = {
            "event_action": "trigger",
            "client": "keeper",
            "payload": {
                "summary": plain(state_line(notice), _SUMMARY_MAX),
                "source": plain(alert.slot or alert.stream or "keeper", 200),
                "severity": (loudest(holding(notice)) or alert.severity).value,
                "timestamp": notice.at.isoformat(),
                "component": plain(alert.slot or "", 200),
                "group": plain(alert.stream or "", 200),
                "class": alert.name,
                "custom_details": _details(notice, runbook(base, alert.name)),
            },
            "links": links,
        }
        return event | ({"client_url": here} if here else {})


def _details(notice: Notice, runbook_url: str) -> dict[str, Any]:
    """Say the rest: why, what keeper did, what a person should do, and the other alerts."""
    alert = lead(notice)
    lines = ordered(lines_of(notice))
    wanted = orders(lines)
    said = {
        "you": [plain(each, _TEXT_MAX) for each in wanted[:_ORDERS_SHOWN]],
        "why": plain(alert.why, _TEXT_MAX),
        "keeper_did": plain(alert.did, _TEXT_MAX),
        "why_now": plain(notice.reason, _TEXT_MAX),
        "dark_for": duration(notice.dark_s) if notice.dark_s else "",
        "costs": costs(alert),
        "cost_so_far": cost_so_far(notice),
        "remedies_tried": notice.acts,
        "since": alert.since.isoformat(),
        "alerts": [plain(line_text(line, notice.at), 500) for line in lines[:_LINES_SHOWN]],
        "more_alerts": left_out(lines[_LINES_SHOWN:]),
        "runbook": runbook_url,
    }
    return {key: value for key, value in said.items() if value}


def _build(settings: PagerDutySettings, secrets: Mapping[str, str]) -> PagerDuty:
    return PagerDuty(settings, secrets[settings.routing_key_secret])


register_channel("pagerduty", PagerDutySettings, _build)
