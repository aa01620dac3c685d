"""Any receiver, by signed webhook: the Standard Webhooks specification (1.0, read 2026-11).

The same ``webhook-id`` on every retry is the receiver's key against doubles. While a secret is
rotated both sign, so that the receiver may switch whenever it likes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict
from standardwebhooks.webhooks import EmptyWebhookSecretError
from standardwebhooks.webhooks import Webhook as Signer

from keeper.alerts import Delivery, DeliveryKind, Notice, register_channel
from keeper.alerts.dispatch import to_payload
from keeper.alerts.wording import headline, refused, runbook, shared_reading
from keeper.core.text import plain
from keeper.ports import HttpReply, HttpRequest

_TIMEOUT_S = 15.0  # the specification asks for 15 to 30 s
_GONE = 410


class WebhookSettings(BaseModel):
    """A receiver of signed webhooks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["webhook"]
    name: str
    url: str
    signing_secret: str = ""  # name of the secret, which is whsec_… ; "": unsigned
    old_signing_secret: str = ""  # name of the one that is being rotated out
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
        """Take everything."""
        return True

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
        flat = to_payload(notice)
        alert = {
            key: plain(value, 2000) if isinstance(value, str) else value
            for key, value in flat["alert"].items()
        }
        data = {
            **flat,
            "alert": alert,
            "headline": headline(notice),
            "page_url": self._settings.page_url,
            "runbook": runbook(self._settings.runbooks_url, notice.alert.name),
        }
        return {
            "type": f"keeper.alert.{notice.kind}",
            "timestamp": notice.at.isoformat(),
            "data": data,
        }


def _build(settings: WebhookSettings, secrets: Mapping[str, str]) -> Webhook:
    names = (settings.signing_secret, settings.old_signing_secret)
    return Webhook(settings, tuple(secrets[name] for name in names if name))


register_channel("webhook", WebhookSettings, _build)
