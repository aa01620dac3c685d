"""Slack: an incident is one message in Block Kit, with short follow-ups and an end.

By an incoming webhook follow-ups are messages of their own. By a bot's token they are replies in the
thread of the first message, which is kept up to date. Facts about Slack are from its documentation of
incoming webhooks, chat.postMessage, chat.update, formatting and Block Kit (read 2026-11). What comes from
hosts can neither mention anybody nor format anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from keeper.alerts import Alert, Delivery, DeliveryKind, LineStatus, Notice, register_channel
from keeper.alerts import Severity as Severity  # noqa: PLC0414 - pydantic reads it at run time
from keeper.alerts.block_kit import (
    SECTION_MAX,
    URL_MAX,
    buttons,
    commands,
    context,
    entities,
    escape,
    fields,
    link,
    section,
)
from keeper.alerts.digest_wording import figures, machine_lines, period, table
from keeper.alerts.wording import (
    NOTHING_TO_DO,
    cost_so_far,
    costs,
    count,
    duration,
    headline,
    holding,
    is_wanted,
    lateness,
    lead,
    left_out,
    line_text,
    lines_of,
    moment,
    ordered,
    orders,
    others,
    page,
    refused,
    retry_after_s,
    runbook,
    shared_reading,
    state_line,
    subject,
)
from keeper.core.text import plain
from keeper.ports import HttpReply, HttpRequest, NoticeKind

_HEAD_MAX = 900
_LINE_MAX = 220
_LINES_SHOWN = 10
_ORDERS_SHOWN = 3
_TIMEOUT_S = 10.0
# Answers of a webhook when it will never work again, not merely for this message.
_GONE_STATUSES = frozenset({403, 404, 410})
# What a token's call answers, with status 200. These pass:
_PASSING = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "message_limit_exceeded",
        "fatal_error",
        "internal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
        "org_login_required",
    }
)
# These meet every message until somebody changes the token, its scopes or the channel:
_GONE = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "not_allowed_token_type",
        "missing_scope",
        "no_permission",
        "access_denied",
        "team_access_not_granted",
        "ekm_access_denied",
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
    }
)
_RECEIPT = re.compile(r"([A-Z0-9]{1,30}):(\d{1,20}\.\d{1,10})")


class SlackSettings(BaseModel):
    """A Slack channel, by its incoming webhook or by a bot's token."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["slack"]
    name: str
    # Name of the secret that holds the webhook's address.
    url_secret: str = "SLACK_WEBHOOK_URL"  # noqa: S105 - a name
    token_secret: str = (
        ""  # name of the secret that holds a bot's token (xoxb-…), instead of a webhook
    )
    channel: str = Field(
        default="", max_length=80
    )  # with a token: the channel's id, such as C0123456789
    api_url: str = "https://slack.com/api"  # of calls with a token
    severity_min: Severity = Severity.INFO
    digest: bool = True  # whether it gets the week in numbers
    page_url: str = ""  # keeper's page, for the button; "" for none
    runbooks_url: str = ""  # where docs/runbooks is served; "" names the file instead

    @model_validator(mode="before")
    @classmethod
    def _no_webhook_beside_a_token(cls, given: Any) -> Any:  # noqa: ANN401 - as it is written
        if isinstance(given, Mapping) and given.get("token_secret"):
            return {"url_secret": "", **given}
        return given

    @model_validator(mode="after")
    def _one_way(self) -> SlackSettings:
        if bool(self.url_secret) == bool(self.token_secret):
            raise PydanticCustomError("slack_way", "name either url_secret or token_secret")
        if bool(self.channel) != bool(self.token_secret):
            why = "a token needs the channel to post to, and a webhook has its own"
            raise PydanticCustomError("slack_channel", "{why}", {"why": why})
        return self


class Slack:
    """Words notices for Slack."""

    apart_s = 1.0  # "1 per second" for each hook or channel (Slack: rate limits, read 2026-11)

    def __init__(self, settings: SlackSettings, secret: str) -> None:
        """Keep the address or token to oneself: whoever has it can post. ValueError: it is none."""
        self._is_bot = bool(settings.token_secret)
        if self._is_bot and not re.fullmatch(r"[\x21-\x7e]+", secret):
            message = f"channel {settings.name}: the secret {settings.token_secret} is no token"
            raise ValueError(message)
        if not self._is_bot and not _is_web(secret):
            message = f"channel {settings.name}: the secret {settings.url_secret} is no web address"
            raise ValueError(message)
        for key in ("api_url", "page_url", "runbooks_url"):
            url = getattr(settings, key)
            # Slack refuses the whole message for one bad address on a button.
            if url and not (_is_web(url) and len(url) < URL_MAX // 2):
                message = f"channel {settings.name}: its {key} is no web address"
                raise ValueError(message)
        self.name = settings.name
        self._settings = settings
        self._secret = secret

    def wants(self, notice: Notice) -> bool:
        """Take what is at least as severe as configured."""
        return is_wanted(notice, self._settings.severity_min, digest=self._settings.digest)

    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest:
        """Word a notice: the first of an incident in full, what follows in short."""
        thread = _RECEIPT.fullmatch(receipt) if notice.kind is not NoticeKind.FIRING else None
        is_first = notice.kind is NoticeKind.FIRING or (
            # Nothing was said of the incident here: what is said now has to stand alone.
            self._is_bot and thread is None and notice.kind is not NoticeKind.RESOLVED
        )
        if notice.digest is not None:
            blocks = _week(notice)
        else:
            blocks = self._whole(notice, now) if is_first else self._short(notice, now)
        message = {**_message(headline(notice)), "blocks": blocks}
        if not self._is_bot:
            return self._request(self._secret, message)
        message["channel"] = self._settings.channel
        if thread is not None:
            # Whoever must act is not made to look into a thread for it.
            message |= {"thread_ts": thread[2], "reply_broadcast": notice.is_page}
        return self._request(self._call("chat.postMessage"), message)

    def amend(self, notice: Notice, *, now: datetime, receipt: str) -> HttpRequest | None:
        """Write the first message anew, so that it shows how things are. None: by a webhook nobody can."""
        first = _RECEIPT.fullmatch(receipt)
        if (
            not self._is_bot
            or first is None
            or notice.kind in {NoticeKind.FIRING, NoticeKind.DIGEST}
        ):
            return None
        message = {**_message(state_line(notice)), "blocks": self._whole(notice, now)}
        message |= {"channel": first[1], "ts": first[2], "parse": "none"}
        return self._request(self._call("chat.update"), message)

    def classify(self, reply: HttpReply) -> Delivery:
        """Read Slack's answer: a token's calls say in the body of a 200 what went wrong."""
        shared = shared_reading(reply)
        if shared is None:
            gone = not self._is_bot and reply.status in _GONE_STATUSES
            return refused(reply, DeliveryKind.DISABLE if gone else DeliveryKind.DROP)
        if shared.kind is not DeliveryKind.DELIVERED or not self._is_bot:
            return shared
        said = _said(reply)
        if said.get("ok") is True:
            return Delivery(kind=DeliveryKind.DELIVERED, receipt=_receipt(said))
        error = said.get("error")
        if not isinstance(error, str):
            # Whatever answered, it was not Slack.
            return refused(reply, DeliveryKind.RETRY)
        told = f"Slack says {plain(error, 100)}"
        if error in _PASSING:
            wait_s = retry_after_s(reply)
            return Delivery(kind=DeliveryKind.RETRY, retry_after_s=wait_s, error=told)
        return Delivery(
            kind=DeliveryKind.DISABLE if error in _GONE else DeliveryKind.DROP, error=told
        )

    # --- requests ---

    def _call(self, method: str) -> str:
        return f"{self._settings.api_url.rstrip('/')}/{method}"

    def _request(self, url: str, message: Mapping[str, Any]) -> HttpRequest:
        headers = {"content-type": "application/json; charset=utf-8"}
        if self._is_bot:
            headers["authorization"] = f"Bearer {self._secret}"
        return HttpRequest(
            method="POST",
            url=url,
            headers=headers,
            body=json.dumps(message, ensure_ascii=False).encode(),
            timeout_s=_TIMEOUT_S,
        )

    # --- messages ---

    def _whole(self, notice: Notice, now: datetime) -> list[dict[str, Any]]:
        """Say all of it: impact and what keeper did, why, what it costs, and what a person should do."""
        alert = lead(notice)
        is_over = not holding(notice)
        did = "" if is_over else f"\n{escape(_sentence(alert.did), _HEAD_MAX // 2)}"
        blocks = [section(f"*{escape(state_line(notice), _HEAD_MAX // 2)}*{did}")]
        blocks += _fields(notice, alert)
        if others(notice):
            blocks.append(section(_list(notice)))
        wanted = orders(lines_of(notice)) or (NOTHING_TO_DO,)
        blocks += _you(() if is_over else wanted)
        blocks += self._buttons(alert)
        blocks.append(self._foot(notice, alert, now, is_linked=False))
        return blocks

    def _short(self, notice: Notice, now: datetime) -> list[dict[str, Any]]:
        """Say what is new since the last message, and no more."""
        blocks = [section(f"*{escape(headline(notice), _HEAD_MAX // 2)}*")]
        lines, is_news = lines_of(notice), notice.kind is NoticeKind.UPDATE
        news = [line for line in lines if line.status in {LineStatus.NEW, LineStatus.WORSE}]
        if about := subject(notice):
            blocks.append(section(escape(_because(about), _HEAD_MAX)))
        if others(notice):
            blocks.append(section(_list(notice)))
        if notice.kind is not NoticeKind.RESOLVED:
            blocks += _you(orders(news if is_news else lines))
        blocks.append(self._foot(notice, lead(notice), now, is_linked=True))
        return blocks

    def _buttons(self, alert: Alert) -> list[dict[str, Any]]:
        urls = {"Open keeper": page(self._settings.page_url, alert)}
        if self._settings.runbooks_url:
            urls["Runbook"] = runbook(self._settings.runbooks_url, alert.name)
        return buttons({label: url for label, url in urls.items() if url})

    def _foot(
        self, notice: Notice, alert: Alert, now: datetime, *, is_linked: bool
    ) -> dict[str, Any]:
        said = [escape(notice.reason, 300), moment(notice.at), lateness(notice, now)]
        base = self._settings.runbooks_url
        if not base:
            said.append(f"runbook: {escape(runbook(base, alert.name))}")
        elif is_linked:
            said.append(link(runbook(base, alert.name), "runbook"))
        if is_linked and self._settings.page_url:
            said.append(link(page(self._settings.page_url, alert), "keeper"))
        return context(" · ".join(filter(None, said)))


# --- parts of a message ------------------------------------------------------------------------------


def _message(first_line: str) -> dict[str, Any]:
    return {
        # Shown in notifications, where no blocks are; never parsed as markup.
        "text": escape(first_line, _HEAD_MAX),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _fields(notice: Notice, alert: Alert) -> list[dict[str, Any]]:
    is_over = not holding(notice)
    rows = [("Why", alert.why), ("Keeper", alert.did.removeprefix("keeper ") if is_over else "")]
    if notice.dark_s:
        rows.append(("Dark for", duration(notice.dark_s)))
    if notice.acts:
        rows.append(("Tried", count(notice.acts, "remedy", "remedies")))
    rows += [("That has cost", cost_so_far(notice)), ("Costs", costs(alert))]
    rows.append(("Since", moment(alert.since)))
    return fields({name: text for name, text in rows if text})


def _list(notice: Notice) -> str:
    """List the alerts of an incident, news first, as many as anybody reads."""
    lines = ordered(lines_of(notice))
    shown = [f"• {escape(line_text(line, notice.at), _LINE_MAX)}" for line in lines[:_LINES_SHOWN]]
    rest = left_out(lines[_LINES_SHOWN:])
    return "\n".join([*shown, *([rest] if rest else [])])


def _you(wanted: Iterable[str]) -> list[dict[str, Any]]:
    """Say what people should do, and how."""
    each = list(wanted)
    if not each:
        return []
    said = [f"*You:* {commands(order)}" for order in each[:_ORDERS_SHOWN]]
    if left := len(each) - _ORDERS_SHOWN:
        said += [f"and {count(left, 'more thing', 'more things')}, on keeper's page"] * (left > 0)
    return [section("\n".join(said))]


def _because(alert: Alert) -> str:
    return " ".join(filter(None, (_sentence(alert.why), _sentence(alert.did))))


def _sentence(text: str) -> str:
    """Make a sentence of one: the first letter large, and a full stop."""
    flat = plain(text, SECTION_MAX).strip()
    return (
        f"{flat[:1].upper()}{flat[1:]}{'' if flat.endswith(('.', '!', '?', '…')) else '.'}"
        * bool(flat)
    )


def _week(notice: Notice) -> list[dict[str, Any]]:
    """Lay the week out as a table, which stands still in a block of code."""
    digest = notice.digest
    if digest is None:
        return []
    blocks = [
        section(f"*{escape(headline(notice), _HEAD_MAX // 2)}*\n{escape(figures(digest))}"),
        section(f"```{entities(table(digest))[:SECTION_MAX]}```"),
    ]
    if worst := machine_lines(digest):
        blocks.append(section("*Machines that gave the most trouble*\n" + escape("; ".join(worst))))
    return [*blocks, context(escape(period(digest)))]


# --- answers --------------------------------------------------------------------------------------------


def _said(reply: HttpReply) -> Mapping[str, Any]:
    try:
        said = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _receipt(said: Mapping[str, Any]) -> str:
    """Name the thread: that of the message when it is a reply, else the message itself."""
    message = said.get("message")
    thread = message.get("thread_ts") if isinstance(message, dict) else None
    receipt = f"{said.get('channel')}:{thread or said.get('ts')}"
    return receipt if _RECEIPT.fullmatch(receipt) else ""


def _is_web(url: str) -> bool:
    return re.fullmatch(r"https?://[^\s<>\"]+", url) is not None


def _build(settings: SlackSettings, secrets: Mapping[str, str]) -> Slack:
    return Slack(settings, secrets[settings.token_secret or settings.url_secret])


register_channel("slack", SlackSettings, _build)
