"""What comes from outside as a hint: is it from whom it says, is it of now, and which one is it? Pure.

Vast.ai signs its notifications (Vast.ai docs, notification webhooks, read 2026-11): HMAC-SHA256 over
``<X-Vast-Timestamp>.<body>``, in X-Vast-Signature-256 as ``sha256=`` and hexadecimal digits; to be refused
when the timestamp is more than five minutes away. The key is taken to be the secret as it is shown, in
UTF-8, as the document's own examples have it. The other headers are not signed: the number of the event
counts as it stands in the body.

Alertmanager brings a bearer token, and a body of version 4 (Prometheus docs, Alertmanager configuration,
webhook_config, read 2026-11). It has neither a time nor a number: the body is its own.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import orjson

from keeper.core.text import plain
from keeper.ports import Hint

AGE_MAX_S: Final = 300.0
_NAME_MAX, _ID_MAX, _NAMES_MAX = 60, 200, 3
_SIGNED_AS = "sha256="
_SIGNATURE = re.compile(rf"{_SIGNED_AS}[0-9a-f]{{64}}")
# What Vast.ai's notifications about money are called by; a wrong guess costs a look at the account.
_MONEY = ("credit", "billing", "balance", "payment")


class HintSource(StrEnum):
    """Who may hint."""

    VAST = "vast"
    ALERTMANAGER = "alertmanager"


class Why(StrEnum):
    """Why something is no hint."""

    FORGED = "forged"
    LATE = "late"
    MALFORMED = "malformed"


def may_be_vast(_secret: str, headers: Mapping[str, str]) -> bool:
    """Whether the headers look like a notification of Vast.ai: the body is read to know whether it is."""
    return _SIGNATURE.fullmatch(headers.get("X-Vast-Signature-256", "")) is not None


def is_alertmanager(secret: str, headers: Mapping[str, str]) -> bool:
    """Whether the headers bring Alertmanager's token; the body proves nothing more."""
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    is_right = hmac.compare_digest(_bytes(given.strip()), secret.encode())
    return is_right and scheme.lower() == "bearer"


def read_vast(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Hint | Why:
    """Read a notification of Vast.ai. What it says is believed only as far as its signature goes."""
    stamp = headers.get("X-Vast-Timestamp", "")
    signed = hmac.new(secret.encode(), _bytes(stamp) + b"." + body, hashlib.sha256).hexdigest()
    given = headers.get("X-Vast-Signature-256", "")
    # Bytes: compare_digest refuses text that is not ASCII, and a header may hold anything.
    if not hmac.compare_digest(_bytes(given), f"{_SIGNED_AS}{signed}".encode()):
        return Why.FORGED
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 11):  # noqa: PLR2004 - seconds
        return Why.MALFORMED
    said_at = datetime.fromtimestamp(int(stamp), UTC)
    if abs((now - said_at).total_seconds()) > AGE_MAX_S:
        return Why.LATE
    told = _object(body)
    if told is None:
        return Why.MALFORMED
    kind = plain(_text(told.get("notif_type")), _NAME_MAX) or "something"
    return Hint(
        source=HintSource.VAST,
        hint_id=_text(told.get("event_id"))[:_ID_MAX] or hashlib.sha256(body).hexdigest(),
        said_at=said_at,
        about=kind,
        is_about_money=any(word in kind for word in _MONEY),
    )


def read_alertmanager(
    secret: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> Hint | Why:
    """Read a webhook of Alertmanager."""
    if not is_alertmanager(secret, headers):
        return Why.FORGED
    told = _object(body)
    if told is None or told.get("version") != "4" or not isinstance(told.get("alerts"), list):
        return Why.MALFORMED
    labels = (each.get("labels") for each in told["alerts"] if isinstance(each, dict))
    names = {_text(each.get("alertname")) for each in labels if isinstance(each, dict)} - {""}
    shown = ", ".join(plain(name, _NAME_MAX) for name in sorted(names)[:_NAMES_MAX])
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return Hint(
        source=HintSource.ALERTMANAGER,
        hint_id=hashlib.sha256(body).hexdigest(),
        said_at=now,
        about=f"{plain(_text(told.get('status')), _NAME_MAX)}: {shown or 'no name'}{more}",
    )


def _bytes(header: str) -> bytes:
    return header.encode("utf-8", "surrogateescape")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return told if isinstance(told, dict) else None
