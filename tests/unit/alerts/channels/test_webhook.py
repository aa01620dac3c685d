"""The receiver's side: signatures by the specification, computed here and by its own library."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook as Receiver
from standardwebhooks.webhooks import WebhookVerificationError

from keeper.alerts import DeliveryKind, LineStatus, registered_channels
from keeper.alerts.channels.webhook import Webhook, WebhookSettings
from keeper.alerts.payloads import from_payload
from keeper.ports import HttpRequest, NoticeKind
from tests.components import REPOSITORY
from tests.snapshots import NOW
from tests.unit.alerts.channels.notices import line, notice, reply, weekly

NEW = "whsec_" + base64.b64encode(b"n" * 24).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
SETTINGS = WebhookSettings(kind="webhook", name="hook", url="https://receiver.example/keeper")


def composed(*secrets: str, now: datetime = NOW) -> HttpRequest:
    return Webhook(SETTINGS, secrets).compose(notice(), now=now)


def test_signs_as_the_specification_says() -> None:
    request = composed(NEW)
    signed = f"msg_1.{int(NOW.timestamp())}.{request.body.decode()}".encode()
    digest = base64.b64encode(hmac.new(b"n" * 24, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-id"] == "msg_1"
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert request.headers["webhook-signature"] == f"v1,{digest}"


def test_receivers_of_both_secrets_accept_while_one_is_rotated() -> None:
    request = composed(NEW, OLD, now=datetime.now(UTC))
    for secret in (NEW, OLD):
        body = Receiver(secret).verify(request.body, dict(request.headers))
        assert body["type"] == "keeper.alert.firing"
    other = "whsec_" + base64.b64encode(b"x" * 24).decode()
    with pytest.raises(WebhookVerificationError):
        Receiver(other).verify(request.body, dict(request.headers))
    with pytest.raises(WebhookVerificationError):
        Receiver(NEW).verify(request.body.replace(b"duel", b"evil"), dict(request.headers))


def test_without_a_secret_nothing_is_signed() -> None:
    assert "webhook-signature" not in composed().headers


def test_body_is_what_the_documentation_says() -> None:
    body = json.loads(composed().body)
    assert set(body) == {"type", "timestamp", "data"}
    assert set(body["data"]) == {
        "notice_id",
        "kind",
        "alert",
        "at",
        "dark_s",
        "acts",
        "reason",
        "incident_id",
        "is_page",
        "cost_dollars",
        "lines",
        "digest",
        "lines_left_out",
        "headline",
        "page_url",
        "runbook",
    }
    assert from_payload(body["data"]) == notice()


def test_remote_text_is_plain_wherever_it_stands() -> None:
    labels = {"label": "\x07", "\x1b": "\u202e"}
    hostile = notice(NoticeKind.FIRING, line(LineStatus.NEW, why="\x1b[2J\ud800", labels=labels))
    data = json.loads(Webhook(SETTINGS, ()).compose(hostile, now=NOW).body)["data"]
    for alert in (data["alert"], data["lines"][0]["alert"]):
        assert alert["why"] == "\\x1b[2J\\ud800"
        assert alert["labels"] == {"label": "\\x07", "\\x1b": "\\u202e"}


def test_a_wide_incident_keeps_its_news_and_counts_the_rest() -> None:
    holds = [line(LineStatus.HOLDS, about=f"duel/{index}") for index in range(999)]
    wide = notice(NoticeKind.UPDATE, *holds, line(LineStatus.NEW, about="duel/999"))
    data = json.loads(Webhook(SETTINGS, ()).compose(wide, now=NOW).body)["data"]
    assert (len(data["lines"]), data["lines_left_out"]) == (50, 950)
    assert data["lines"][0]["alert"]["slot"] == "duel/0", "the leading one stays first"
    assert data["lines"][-1]["alert"]["slot"] == "duel/999"


def test_a_week_is_numbers() -> None:
    body = json.loads(Webhook(SETTINGS, ()).compose(weekly(), now=NOW).body)
    assert body["type"] == "keeper.digest"
    assert body["data"]["digest"]["people_needed"] == 1
    assert [each["stream"] for each in body["data"]["digest"]["streams"]][-1] == "stream-2"


def test_a_retry_has_the_same_id_and_the_time_of_its_own() -> None:
    first, again = composed(NEW), composed(NEW, now=NOW.replace(hour=13))
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != again.headers["webhook-timestamp"]
    assert first.body == again.body


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, DeliveryKind.DELIVERED),
        (202, DeliveryKind.DELIVERED),
        (204, DeliveryKind.DELIVERED),
        (301, DeliveryKind.DROP),
        (400, DeliveryKind.DROP),
        (401, DeliveryKind.DROP),
        (404, DeliveryKind.DROP),
        (408, DeliveryKind.RETRY),
        (410, DeliveryKind.DISABLE),
        (429, DeliveryKind.RETRY),
        (502, DeliveryKind.RETRY),
        (0, DeliveryKind.DROP),
    ],
)
def test_reads_replies(status: int, kind: DeliveryKind) -> None:
    assert Webhook(SETTINGS, ()).classify(reply(status)).kind is kind


def test_a_secret_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="channel hook"):
        Webhook(SETTINGS, ("whsec_",))


def test_is_built_from_named_secrets() -> None:
    registered = registered_channels()["webhook"]
    settings = registered.settings.model_validate(
        {
            "kind": "webhook",
            "name": "hook",
            "url": "http://127.0.0.1:1/",
            "signing_secret": "NOW",
            "old_signing_secret": "BEFORE",
        }
    )
    assert registered.build is not None
    channel = registered.build(settings, {"NOW": NEW, "BEFORE": OLD})
    request = channel.compose(notice(NoticeKind.REPEAT), now=NOW)
    assert isinstance(request, HttpRequest)
    signatures = request.headers["webhook-signature"]
    assert len(signatures.split(" ")) == 2


def test_documented_example_has_the_fields_that_are_sent() -> None:
    page = (REPOSITORY / "docs" / "alerts.md").read_text()
    example = json.loads(page.split("```json")[1].split("```")[0])
    body = json.loads(composed(NEW).body)
    assert set(example) == set(body)
    assert set(example["data"]) == set(body["data"])
    assert set(example["data"]["alert"]) == set(body["data"]["alert"])


def test_a_url_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match=r"its url is no web address$"):
        Webhook(WebhookSettings(kind="webhook", name="ops", url="hook.example/x"), ())
