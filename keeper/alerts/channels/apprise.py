"""Everybody else, by apprise: e-mail, Teams, Telegram, Matrix and a hundred more, in short plain text.

The library is the extra ``apprise``; a process of its own hands messages to it (``keeper.ports.Relay``). It
says only whether a message was taken, so there are no threads, and what it refuses costs that message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from keeper.alerts import (
    Delivery,
    DeliveryKind,
    Notice,
    register_channel,
)
from keeper.alerts import Severity as Severity  # noqa: PLC0414 - pydantic reads it at run time
from keeper.alerts.digest_wording import figures, machine_lines, period, stream_lines
from keeper.alerts.inert import inert, pieces
from keeper.alerts.wording import (
    NOTHING_TO_DO,
    cost_so_far,
    costs,
    duration,
    headline,
    is_wanted,
    lateness,
    lead,
    left_out,
    line_text,
    lines_of,
    loudest,
    moment,
    ordered,
    orders,
    others,
    page,
    refused,
    runbook,
    shared_reading,
    subject,
)
from keeper.ports import HttpReply, NoticeKind, Relayed

_TIMEOUT_S = 20.0
_TITLE_MAX = 200
_TEXT_MAX = 300
_LINES_SHOWN = 8
_ORDERS_SHOWN = 3


class AppriseSettings(BaseModel):
    """A receiver, by an address of apprise's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["apprise"]
    name: str
    # Name of the secret that holds the address, such as mailtos://… or tgram://…: tokens are in it.
    url_secret: str = "APPRISE_URL"  # noqa: S105 - a name
    severity_min: Severity = Severity.INFO
    digest: bool = True  # whether it gets the week in numbers
    page_url: str = ""
    runbooks_url: str = ""


class Apprise:
    """Words notices as plain text."""

    apart_s = 1.0  # a process each; and few of those who are reached so take more

    def __init__(self, settings: AppriseSettings, url: str) -> None:
        """Keep the address to oneself. ValueError: it is none."""
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^\x00-\x1f]*", url):
            named = settings.url_secret
            message = f"channel {settings.name}: the secret {named} is no address of apprise's"
            raise ValueError(message)
        self.name = settings.name
        self._settings = settings
        self._url = url

    def wants(self, notice: Notice) -> bool:
        """Take what is at least as severe as configured."""
        return is_wanted(notice, self._settings.severity_min, digest=self._settings.digest)

    def amend(self, notice: Notice, *, now: datetime, receipt: str) -> None:
        """Leave what was said: it cannot be reached again."""
        return

    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> Relayed:
        """Say the impact as the title, and the rest in as few lines as it takes."""
        lines = _week(notice) if notice.digest is not None else self._lines(notice, now)
        is_over = notice.kind is NoticeKind.RESOLVED
        severity = "ok" if is_over else (loudest(lines_of(notice)) or notice.alert.severity).value
        return Relayed(
            url=self._url,
            title=_quiet(headline(notice), _TITLE_MAX),
            body="\n".join(lines),
            severity=severity,
            timeout_s=_TIMEOUT_S,
        )

    def classify(self, reply: HttpReply) -> Delivery:
        """Read an answer of HTTP, which this channel never gets: the library has errors instead."""
        return shared_reading(reply) or refused(reply, DeliveryKind.DROP)

    def _lines(self, notice: Notice, now: datetime) -> list[str]:
        lines = ordered(lines_of(notice))
        is_over = notice.kind is NoticeKind.RESOLVED
        calm = (NOTHING_TO_DO,) if notice.kind is NoticeKind.FIRING else ()
        wanted = () if is_over else orders(lines) or calm
        said = [f"You: {_advice(each)}" for each in wanted[:_ORDERS_SHOWN]]
        if others(notice):
            said += [_quiet(line_text(line, notice.at), _TEXT_MAX) for line in lines[:_LINES_SHOWN]]
            said += filter(None, [left_out(lines[_LINES_SHOWN:])])
        if about := subject(notice):
            said += [f"Why: {_quiet(about.why, _TEXT_MAX)}"] if about.why else []
            did = about.did.removeprefix("keeper ")
            said += [f"Keeper: {_quiet(did, _TEXT_MAX)}"] if did else []
        said += [] if is_over else _numbers(notice)
        if self._settings.page_url:
            said.append(page(self._settings.page_url, lead(notice)))
        said.append(f"Runbook: {runbook(self._settings.runbooks_url, lead(notice).name)}")
        foot = (_quiet(notice.reason, _TEXT_MAX), moment(notice.at), lateness(notice, now))
        return [*said, " · ".join(filter(None, foot))]


def _numbers(notice: Notice) -> list[str]:
    """Say what it costs: time, money, and by the hour while it goes on."""
    hourly, spent = costs(lead(notice)), cost_so_far(notice)
    said = (
        f"dark for {duration(notice.dark_s)}" if notice.dark_s else "",
        f"cost {spent}" if spent else "",
        f"costs {hourly}" if hourly else "",
    )
    text = ", ".join(filter(None, said))
    return [f"{text[:1].upper()}{text[1:]}"] if text else []


def _week(notice: Notice) -> list[str]:
    digest = notice.digest
    if digest is None:
        return []
    return [figures(digest), *stream_lines(digest), *machine_lines(digest), period(digest)]


def _advice(text: str) -> str:
    """Say keeper's own advice with its commands in backticks, which read well as plain text, too."""
    return "".join(
        f"`{_unlinked(part)}`" if is_code else _unlinked(part)
        for part, is_code in pieces(text, _TEXT_MAX * 2)
    )


def _quiet(text: str, length_max: int) -> str:
    """Make text inert wherever it may be shown: as Markdown, as HTML, or as it is."""
    return _unlinked(inert(text, length_max))


def _unlinked(text: str) -> str:
    return text.replace("](", "] (").replace("<", "‹").replace(">", "›")  # noqa: RUF001


def _build(settings: AppriseSettings, secrets: Mapping[str, str]) -> Apprise:
    return Apprise(settings, secrets[settings.url_secret])


register_channel("apprise", AppriseSettings, _build)
