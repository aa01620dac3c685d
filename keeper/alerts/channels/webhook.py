"""Any receiver, by signed webhook: the Standard Webhooks specification (1.0, read 2026-11).

The same ``webhook-id`` on every retry is the receiver's key against doubles. While a secret is
rotated both sign, so that the receiver may switch whenever it likes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from standardwebhooks.webhooks import EmptyWebhookSecretError
from standardwebhooks.webhooks import Webhook as Signer

from keeper.alerts import Delivery, DeliveryKind, Notice, register_channel
from keeper.alerts import Severity as Severity  # noqa: PLC0414 - pydantic reads it at run time
from keeper.alerts.payloads import to_payload
from keeper.alerts.wording import (
    headline,
    is_wanted,
    lead,
    ordered,
    page,
    refused,
    runbook,
    shared_reading,
)
from keeper.core.text import plain
from keeper.ports import HttpReply, HttpRequest

_TIMEOUT_S = 15.0  # the specification asks for 15 to 30 s
_GONE = 410
# What hosts say can be long, and incidents wide; receivers refuse bodies that are too large.
_TEXT_MAX = 2000
_LINES_MAX = 50
_STREAMS_MAX = 200


class WebhookSettings(BaseModel):
    """A receiver of signed webhooks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["webhook"]
    name: str
    url: str
    signing_secret: str = ""  # name of the secret, which is whsec_… ; "": unsigned
    old_signing_secret: str = ""  # name of the one that is being rotated out
    severity_min: Severity = Severity.INFO
    digest: bool = True  # whether it gets the week in numbers
    page_url: str = ""
    runbooks_url: str = ""


class Webhook:
    """Words and signs notices for a receiver."""

    apart_s = 0.0

    def __init__(self, settings: WebhookSettings, signing_secrets: tuple[str, ...]) -> None:
        """Keep the secrets; the first is the current one. ValueError: they cannot be used."""
        if not settings.url.startswith(("https://", "http://")):
            message = f"channel {settings.name}: its url is no web address"
            raise ValueError(message)
        self.name = settings.name
        self._settings = settings
        try:
            self._signers = tuple(Signer(secret) for secret in signing_secrets)
        except (ValueError, EmptyWebhookSecretError) as error:
            message = f"channel {settings.name}: a signing secret must be whsec_ and base64"
            raise ValueError(message) from error

    def wants(self, notice: Notice) -> bool:
        """Take what is at least as severe as configured."""
        return is_wanted(notice, self._settings.severity_min, digest=self._settings.digest)

    def amend(self, notice: Notice, *, now: datetime, receipt: str) -> HttpRequest | None:
        """Leave what was said: it cannot be reached again."""
        return None

    def compose(self, notice: Notice, *, now: datetime, receipt: str = "") -> HttpRequest:
        """Write type, timestamp and data, and sign what is sent, at the time it is sent."""
        body = json.dumps(self._body(notice), ensure_ascii=False, separators=(",", ":"))
        headers = {
            "content-type": "application/json",
            "webhook-id": notice.notice_id,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        signatures = [signer.sign(notice.notice_id, now, body) for signer in self._signers]
        if signatures:
            headers["webhook-signature"] = " ".join(signatures)
        return HttpRequest(
            method="POST",
            url=self._settings.url,
            headers=headers,
            body=body.encode(),
            timeout_s=_TIMEOUT_S,
        )

    def classify(self, reply: HttpReply) -> Delivery:
        """Read the answer: 410 says never again; other refusals cost this message only."""
        shared = shared_reading(reply)
        if shared is not None:
            return shared
        gone = reply.status == _GONE
        return refused(reply, DeliveryKind.DISABLE if gone else DeliveryKind.DROP)

    def _body(self, notice: Notice) -> dict[str, object]:
        lines = ordered(notice.lines)[:_LINES_MAX]
        shown = {line.alert.key for line in lines}
        kept = tuple(line for line in notice.lines if line.alert.key in shown)[:_LINES_MAX]
        flat = to_payload(replace(notice, lines=kept))
        data = {
            **_plain(flat),
            "lines_left_out": len(notice.lines) - len(kept),
            "headline": plain(headline(notice), _TEXT_MAX),
            "page_url": page(self._settings.page_url, lead(notice)),
            "runbook": runbook(self._settings.runbooks_url, lead(notice).name),
        }
        kind = "keeper.digest" if notice.digest is not None else f"keeper.alert.{notice.kind}"
        return {
            "type": kind,
            "timestamp": notice.at.isoformat(),
            "data": data,
        }


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever JSON may hold
    """Make every text in it safe to show, and bound what is many."""
    match value:
        case str():
            return plain(value, _TEXT_MAX)
        case dict():
            return {plain(key, 100): _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value[:_STREAMS_MAX]]
        case _:
            return value


def _build(settings: WebhookSettings, secrets: Mapping[str, str]) -> Webhook:
    names = (settings.signing_secret, settings.old_signing_secret)
    return Webhook(settings, tuple(secrets[name] for name in names if name))


register_channel("webhook", WebhookSettings, _build)
