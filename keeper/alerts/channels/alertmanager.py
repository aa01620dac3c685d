"""Alertmanager, by its API v2: shown what holds, again and again, so that all of it ends when keeper does.

Facts are from Alertmanager's documentation of ``POST /api/v2/alerts`` (clients, read 2026-11): an alert is
its labels; it ends at ``endsAt`` unless it is shown again. So labels are made of what stays the same over
the life of an alert, and of its severity. Of several that form a cluster each gets a channel of its own.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from keeper.alerts import Alert, Delivery, DeliveryKind, register_channel
from keeper.alerts import Severity as Severity  # noqa: PLC0414 - pydantic reads it at run time
from keeper.alerts.wording import costs, page, reaches, refused, runbook, shared_reading
from keeper.core.text import plain
from keeper.ports import HttpReply, HttpRequest

# What is shown no more has ended after so many intervals: two showings may fail.
_INTERVALS = 3
_TIMEOUT_S = 10.0
_ALERTS_MAX = 500  # in one showing: half a megabyte at most
_TEXT_MAX = 1000
_LABEL_MAX = 200
_LEFT_OUT = "KeeperAlertsLeftOut"
_OWN_LABELS = frozenset({"alertname", "severity", "stream", "slot", "about"})
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ORDER = {severity: place for place, severity in enumerate(reversed(Severity))}


def _labels(given: Mapping[str, str]) -> Mapping[str, str]:
    for name in given:
        if not _LABEL.fullmatch(name):
            why = f"{name[:40]!r} is no label's name: letters, digits and _"
            raise PydanticCustomError("label_name", "{why}", {"why": why})
        if name in _OWN_LABELS:
            raise PydanticCustomError("label_own", "{why}", {"why": f"{name!r} is set by keeper"})
    return given


class AlertmanagerSettings(BaseModel):
    """One Alertmanager."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["alertmanager"]
    name: str
    url: str  # such as http://127.0.0.1:9093, with the prefix if it has one
    interval_s: Annotated[float, Field(ge=1, le=3600)] = 60.0  # between two showings
    labels: Annotated[Mapping[str, str], AfterValidator(_labels)] = Field(default_factory=dict)
    severity_min: Severity = Severity.INFO
    bearer_secret: str = ""  # name of the secret that holds a bearer token
    user: str = Field(default="", pattern=r"^[^:\x00-\x1f]*$", max_length=200)  # or for basic auth
    password_secret: str = ""
    page_url: str = ""
    runbooks_url: str = ""

    @model_validator(mode="after")
    def _one_way_in(self) -> AlertmanagerSettings:
        if bool(self.user) != bool(self.password_secret):
            raise PydanticCustomError("basic_auth", "user and password_secret belong together")
        if self.bearer_secret and self.user:
            raise PydanticCustomError("two_auths", "name either bearer_secret or user")
        return self


class Alertmanager:
    """Words what holds as alerts with an end."""

    def __init__(self, settings: AlertmanagerSettings, authorization: str = "") -> None:
        """Keep the credentials to oneself. ValueError: something cannot be used."""
        if not re.fullmatch(r"https?://[^\s@?]+", settings.url):
            why = "its url is no web address, or has a user or a query in it"
            message = f"channel {settings.name}: {why}"
            raise ValueError(message)
        if authorization and not re.fullmatch(r"[\x20-\x7e]+", authorization):
            message = f"channel {settings.name}: its secret is no token"
            raise ValueError(message)
        self.name = settings.name
        self.interval_s = settings.interval_s
        self._settings = settings
        self._authorization = authorization

    def compose(
        self, holding: tuple[Alert, ...], ended: tuple[Alert, ...], *, now: datetime
    ) -> HttpRequest:
        """Show what holds, until some intervals from now, and what has ended, until now."""
        wanted = sorted(filter(self._is_wanted, holding), key=_place)
        shown, left = wanted[:_ALERTS_MAX], wanted[_ALERTS_MAX:]
        ends_at = now + timedelta(seconds=_INTERVALS * self.interval_s)
        posted = [self._alert(alert, now, ends_at) for alert in shown]
        if left:
            posted.append(self._left_out(left, now, ends_at))
        over = sorted(filter(self._is_wanted, ended), key=_place)[: _ALERTS_MAX - len(shown)]
        posted += [self._alert(alert, now, now) for alert in over]
        headers = {"content-type": "application/json"}
        if self._authorization:
            headers["authorization"] = self._authorization
        return HttpRequest(
            method="POST",
            url=f"{self._settings.url.rstrip('/')}/api/v2/alerts",
            headers=headers,
            body=json.dumps(posted, ensure_ascii=False).encode(),
            timeout_s=_TIMEOUT_S,
        )

    def classify(self, reply: HttpReply) -> Delivery:
        """Read the answer; what was refused is shown again with the next showing anyway.

        Alertmanager answers in JSON or with nothing: a page is that of a proxy, such as one to log in.
        """
        is_page = reply.headers.get("content-type", "").strip().lower().startswith("text/html")
        if is_page and reply.status < 300:  # noqa: PLR2004 - it would count as taken
            why = f"HTTP {reply.status} with a page: not Alertmanager's answer"
            return Delivery(kind=DeliveryKind.RETRY, error=why)
        return shared_reading(reply) or refused(reply, DeliveryKind.DROP)

    def _is_wanted(self, alert: Alert) -> bool:
        return reaches(alert.severity, self._settings.severity_min)

    def _alert(self, alert: Alert, now: datetime, ends_at: datetime) -> dict[str, Any]:
        said = {
            "summary": alert.summary,
            "description": " · ".join(filter(None, (alert.why, alert.did))),
            "needs_human": alert.needs_human,
            "costs": costs(alert),
            "runbook_url": runbook(self._settings.runbooks_url, alert.name),
            "dashboard": page(self._settings.page_url, alert),
        }
        # An end before its beginning is refused, and with it all that is shown.
        return self._posted(_identity(alert), said, min(alert.since, now), ends_at)

    def _left_out(self, left: Iterable[Alert], now: datetime, ends_at: datetime) -> dict[str, Any]:
        alerts = list(left)
        said = {
            "summary": f"{len(alerts)} alerts of keeper's are not shown here",
            "description": f"the {_ALERTS_MAX} most severe are; `keeper alerts list` has all",
            "runbook_url": runbook(self._settings.runbooks_url, "README"),
            "dashboard": self._settings.page_url,
        }
        labels = {"alertname": _LEFT_OUT, "severity": Severity.WARNING.value}
        since = min(alert.since for alert in alerts)
        return self._posted(labels, said, min(since, now), ends_at)

    def _posted(
        self,
        labels: Mapping[str, str],
        said: Mapping[str, str],
        starts_at: datetime,
        ends_at: datetime,
    ) -> dict[str, Any]:
        posted = {
            "labels": {**self._settings.labels, **labels},
            "annotations": {key: plain(text, _TEXT_MAX) for key, text in said.items() if text},
            "startsAt": starts_at.isoformat(),
            "endsAt": ends_at.isoformat(),
        }
        here = said["dashboard"]
        return posted | ({"generatorURL": here} if here else {})


def _identity(alert: Alert) -> dict[str, str]:
    """Return the labels of an alert: only what its key says, which stays the same over its life.

    Which slot a message is about may change while it holds, when a second one is held for the same.
    """
    about = alert.key.removeprefix(alert.name).removeprefix(":")
    said = {
        "alertname": alert.name,
        "severity": alert.severity.value,
        "about": about,
        "slot": alert.slot if alert.slot and alert.slot in about else "",
        "stream": alert.stream if alert.stream and alert.stream in about else "",
    }
    return {key: plain(text, _LABEL_MAX) for key, text in said.items() if text}


def _place(alert: Alert) -> tuple[int, str]:
    """Put the most severe first, and otherwise keep the order from one showing to the next."""
    return _ORDER[alert.severity], alert.key


def _build_feed(settings: AlertmanagerSettings, secrets: Mapping[str, str]) -> Alertmanager:
    if settings.bearer_secret:
        return Alertmanager(settings, f"Bearer {secrets[settings.bearer_secret]}")
    if settings.user:
        pair = f"{settings.user}:{secrets[settings.password_secret]}"
        return Alertmanager(settings, f"Basic {base64.b64encode(pair.encode()).decode()}")
    return Alertmanager(settings)


register_channel("alertmanager", AlertmanagerSettings, None, build_feed=_build_feed)
