"""Slack, by incoming webhook: one readable message per notice, in Block Kit.

Facts about Slack are from its documentation of incoming webhooks, of formatting text and of Block Kit
(read 2026-11). What comes from hosts can neither mention anybody nor format anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from keeper.alerts import Delivery, DeliveryKind, Notice, register_channel
from keeper.alerts.wording import (
    count,
    duration,
    headline,
    moment,
    refused,
    runbook,
    shared_reading,
)
from keeper.core.text import plain
from keeper.ports import HttpReply, HttpRequest, NoticeKind

# Block Kit: text of a section holds 3,000 characters, a field 2,000, and ten fields at most.
_SECTION_MAX = 2900
_FIELD_MAX = 1900
_TIMEOUT_S = 10.0
# Errors that Slack answers when the address will never work again, not merely this message.
_GONE_STATUSES = frozenset({403, 404, 410})


class SlackSettings(BaseModel):
    """A Slack channel, by its incoming webhook."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["slack"]
    name: str
    # Name of the secret that holds the webhook's address.
    url_secret: str = "SLACK_WEBHOOK_URL"  # noqa: S105 - a name
    page_url: str = ""  # keeper's page, for the button; "" for none
    runbooks_url: str = ""  # where docs/runbooks is served; "" names the file instead


class Slack:
    """Words notices for Slack."""

    apart_s = 1.0  # "1 per second" for each hook or channel (Slack: rate limits, read 2026-11)

    def __init__(self, settings: SlackSettings, url: str) -> None:
        """Keep the address to oneself: whoever has it can post. ValueError: it is none."""
        if not url.startswith(("https://", "http://")):
            message = f"channel {settings.name}: the secret {settings.url_secret} is no web address"
            raise ValueError(message)
        self.name = settings.name
        self._settings = settings
        self._url = url

    def wants(self, notice: Notice) -> bool:
        """Take everything."""
        return True

    def amend(self, notice: Notice, *, now: datetime, receipt: str) -> HttpRequest | None:
        """Leave what was said: it cannot be reached again."""
        return None

    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest:
        """Word a notice: impact first, then why, what keeper did, and what a person should do."""
        message = {
            # Shown in notifications, where no blocks are; never parsed as markup.
            "text": escape(headline(notice), _SECTION_MAX),
            "mrkdwn": False,
            "unfurl_links": False,
            "unfurl_media": False,
            "blocks": self._blocks(notice, now),
        }
        return HttpRequest(
            method="POST",
            url=self._url,
            headers={"content-type": "application/json; charset=utf-8"},
            body=json.dumps(message, ensure_ascii=False).encode(),
            timeout_s=_TIMEOUT_S,
        )

    def classify(self, reply: HttpReply) -> Delivery:
        """Read Slack's answer: 429 and 5xx pass; 403, 404 and 410 mean that the webhook is gone."""
        shared = shared_reading(reply)
        if shared is not None:
            return shared
        gone = reply.status in _GONE_STATUSES
        return refused(reply, DeliveryKind.DISABLE if gone else DeliveryKind.DROP)

    def _blocks(self, notice: Notice, now: datetime) -> list[dict[str, Any]]:
        alert = notice.alert
        blocks: list[dict[str, Any]] = [
            _section(f"*{escape(headline(notice), _SECTION_MAX)}*"),
            {"type": "section", "fields": _fields(notice)},
        ]
        if alert.needs_human and notice.kind is not NoticeKind.RESOLVED:
            blocks.append(_section(f"*You:* {_commands(alert.needs_human)}"))
        if self._settings.page_url:
            page = {"type": "plain_text", "text": "Open keeper", "emoji": False}
            button = {"type": "button", "text": page, "url": self._settings.page_url}
            blocks.append({"type": "actions", "elements": [button]})
        link = runbook(self._settings.runbooks_url, alert.name)
        late_s = (now - notice.at).total_seconds()
        late = f" · sent {duration(late_s)} late" if late_s > 60 else ""  # noqa: PLR2004
        foot = f"{escape(notice.reason)} · {moment(notice.at)}{late} · runbook: {escape(link)}"
        # Not verbatim: the runbook's address, which is ours, becomes a link.
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": foot}]})
        return blocks


def escape(text: str, length_max: int = _FIELD_MAX) -> str:
    """Make text inert in Slack: no controls, no entities, no markup, no mentions.

    Slack wants ``&``, ``<`` and ``>`` as entities; formatting characters cannot be escaped at all,
    so they are replaced by look-alikes or, underscores at the edge of a word, left out.
    """
    flat = plain(text, length_max).translate(_LOOK_ALIKES)
    flat = re.sub(r"(?<!\w)_+|_+(?!\w)", "", flat)
    inert = _entities(flat)
    # Entities are up to five characters; a message that is too long is refused as a whole.
    return inert if len(inert) <= length_max else _entities(flat[: length_max // 5])


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_LOOK_ALIKES = str.maketrans({"*": "∗", "~": "∼", "`": "ˋ", "@": "＠"})  # noqa: RUF001


def _commands(text: str) -> str:
    """Escape keeper's own advice, but keep what it writes in backticks as code."""
    parts = text.split("`")
    return "".join(
        f"`{escape(part)}`" if index % 2 and part else escape(part)
        for index, part in enumerate(parts)
    )[:_SECTION_MAX]


def _fields(notice: Notice) -> list[dict[str, Any]]:
    alert = notice.alert
    rows = [("Why", alert.why), ("Keeper", alert.did)]
    if notice.dark_s:
        rows.append(("Dark for", duration(notice.dark_s)))
    if notice.acts:
        rows.append(("Tried", count(notice.acts, "remedy", "remedies")))
    if alert.dollars:
        rows.append(("Costs", f"${alert.dollars:.2f}/h"))
    rows.append(("Since", moment(alert.since)))
    return [
        {"type": "mrkdwn", "text": f"*{name}*\n{escape(text)}", "verbatim": True}
        for name, text in rows
        if text
    ]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _build(settings: SlackSettings, secrets: Mapping[str, str]) -> Slack:
    return Slack(settings, secrets[settings.url_secret])


register_channel("slack", SlackSettings, _build)
