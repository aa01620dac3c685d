"""Hints: only who knows the secret is heard, only now, and what is signed is all that counts."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keeper.ports import Hint
from keeper.web.hints import AGE_MAX_S, HintSource, Why, read_alertmanager, read_vast

SECRET = "whsec_5d2c"
AT = datetime(2026, 3, 2, 22, 21, 40, tzinfo=UTC)
STAMP = str(int(AT.timestamp()))
BODY = json.dumps(
    {
        "event_id": "7e9a2c4e6f9e4a24",
        "user_id": 150_412,
        "notif_type": "outbid",
        "subject": "Instance 7001 was outbid",
        "message": "…",
        "timestamp": 1_772_490_000.123,
    }
).encode()


def signed(body: bytes = BODY, *, secret: str = SECRET, stamp: str = STAMP) -> dict[str, str]:
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {
        "X-Vast-Event-Id": "7e9a2c4e6f9e4a24",
        "X-Vast-Delivery-Attempt": "1",
        "X-Vast-Timestamp": stamp,
        "X-Vast-Signature-256": f"sha256={digest}",
    }


def test_a_signature_is_what_openssl_makes_of_it() -> None:
    """``printf '1772490100.{}' | openssl dgst -sha256 -hmac whsec_5d2c``, OpenSSL 3.0."""
    body, digest = b"{}", "28be147c6d738694d006a886f2784aed895d13e765265e789fffd91e4dfc84da"
    headers = {"X-Vast-Timestamp": STAMP, "X-Vast-Signature-256": f"sha256={digest}"}
    found = read_vast(SECRET, headers, body, AT)
    assert isinstance(found, Hint)
    assert found.about == "something"


def test_a_true_notification_says_what_it_is_about_and_nothing_else() -> None:
    assert read_vast(SECRET, signed(), BODY, AT) == Hint(
        source=HintSource.VAST, hint_id="7e9a2c4e6f9e4a24", said_at=AT, about="outbid"
    )
    about_money = BODY.replace(b"outbid", b"client:low_credit")
    found = read_vast(SECRET, signed(about_money), about_money, AT)
    assert isinstance(found, Hint)
    assert found.is_about_money


@pytest.mark.parametrize(
    "change",
    [
        {"X-Vast-Signature-256": ""},
        {"X-Vast-Signature-256": "sha256="},
        {"X-Vast-Signature-256": "sha256=" + "0" * 64},
        {"X-Vast-Signature-256": "pässword"},
        {"X-Vast-Signature-256": "\udcff"},
        {"X-Vast-Timestamp": ""},
        {"X-Vast-Timestamp": str(int(STAMP) + 1)},
        {"X-Vast-Timestamp": "\udcff"},
    ],
)
def test_what_is_not_signed_by_the_secret_is_forged(change: dict[str, str]) -> None:
    assert read_vast(SECRET, {**signed(), **change}, BODY, AT) is Why.FORGED


def test_the_wrong_secret_another_body_and_a_bare_digest_are_forged() -> None:
    assert read_vast(SECRET, signed(secret="whsec_other"), BODY, AT) is Why.FORGED
    assert read_vast(SECRET, signed(), BODY + b" ", AT) is Why.FORGED
    bare = signed()["X-Vast-Signature-256"].removeprefix("sha256=")
    assert read_vast(SECRET, {**signed(), "X-Vast-Signature-256": bare}, BODY, AT) is Why.FORGED


@pytest.mark.parametrize(
    ("away_s", "expected"),
    [(AGE_MAX_S, Hint), (AGE_MAX_S + 1, Why), (-AGE_MAX_S, Hint), (-AGE_MAX_S - 1, Why)],
)
def test_a_signature_counts_for_five_minutes_to_both_sides(away_s: float, expected: type) -> None:
    found = read_vast(SECRET, signed(), BODY, AT + timedelta(seconds=away_s))
    assert isinstance(found, expected)
    if expected is Why:
        assert found is Why.LATE


def test_the_header_cannot_make_a_known_event_a_new_one() -> None:
    """It is not signed: a replay with another X-Vast-Event-Id would be taken again and again."""
    found = read_vast(SECRET, {**signed(), "X-Vast-Event-Id": "another"}, BODY, AT)
    assert isinstance(found, Hint)
    assert found.hint_id == "7e9a2c4e6f9e4a24"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 5000, b'"' + b"x" * 9 + b'"']
)
def test_what_is_signed_and_no_object_is_malformed(body: bytes) -> None:
    assert read_vast(SECRET, signed(body), body, AT) is Why.MALFORMED


@pytest.mark.parametrize("stamp", ["soon", "-1", "1e9", "9" * 12, "١٢٣", "177.5"])
def test_a_signed_time_that_is_none_is_malformed(stamp: str) -> None:
    assert read_vast(SECRET, signed(stamp=stamp), BODY, AT) is Why.MALFORMED


@pytest.mark.parametrize("value", [None, 3, [], {"a": 1}])
def test_fields_of_other_kinds_are_as_good_as_none(value: Any) -> None:
    body = json.dumps({"event_id": value, "notif_type": value}).encode()
    found = read_vast(SECRET, signed(body), body, AT)
    assert isinstance(found, Hint)
    assert found.about == "something"
    assert len(found.hint_id) == 64


def test_what_it_is_about_is_plain_and_short() -> None:
    body = json.dumps({"event_id": "i" * 999, "notif_type": "\x1b[2J" + "x" * 999}).encode()
    found = read_vast(SECRET, signed(body), body, AT)
    assert isinstance(found, Hint)
    assert "\x1b" not in found.about
    assert len(found.about) <= 60
    assert len(found.hint_id) == 200


# --- Alertmanager -----------------------------------------------------------------------------------

GROUP = {
    "version": "4",
    "groupKey": '{}:{alertname="KeeperDown"}',
    "status": "firing",
    "receiver": "keeper",
    "alerts": [{"status": "firing", "labels": {"alertname": "KeeperDown"}, "fingerprint": "c0ff"}],
}
BEARER = {"Authorization": f"Bearer {SECRET}"}


def test_alertmanager_is_heard_with_its_token() -> None:
    body = json.dumps(GROUP).encode()
    found = read_alertmanager(SECRET, BEARER, body, AT)
    assert isinstance(found, Hint)
    assert (found.source, found.about) == ("alertmanager", "firing: KeeperDown")
    again = read_alertmanager(SECRET, BEARER, body, AT + timedelta(minutes=1))
    assert isinstance(again, Hint)
    assert again.hint_id == found.hint_id, "what is sent again is the same hint"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", f"Bearer {SECRET}x", f"Basic {SECRET}", SECRET, "Bearer \udcff", "Bearer pä"],
)
def test_without_the_token_it_is_forged(header: str) -> None:
    body = json.dumps(GROUP).encode()
    assert read_alertmanager(SECRET, {"Authorization": header}, body, AT) is Why.FORGED


@pytest.mark.parametrize(
    "change", [{"version": "3"}, {"version": 4}, {"alerts": {}}, {"alerts": None}]
)
def test_another_version_is_malformed(change: dict[str, Any]) -> None:
    body = json.dumps({**GROUP, **change}).encode()
    assert read_alertmanager(SECRET, BEARER, body, AT) is Why.MALFORMED


def test_many_alerts_are_some_names_and_a_number() -> None:
    alerts = [3, {}, {"labels": 3}, *({"labels": {"alertname": f"A{n}"}} for n in range(9))]
    body = json.dumps({**GROUP, "alerts": alerts}).encode()
    found = read_alertmanager(SECRET, BEARER, body, AT)
    assert isinstance(found, Hint)
    assert found.about == "firing: A0, A1, A2 and 6 more"
