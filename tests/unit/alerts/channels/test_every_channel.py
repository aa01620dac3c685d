"""What every channel keeps, whatever it is told: bounds, no markup of hosts, no secrets, the same bytes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from keeper.alerts import Channel, Delivery, DeliveryKind, Notice, registered_channels
from keeper.ports import HttpReply, HttpRequest, NoticeKind, Relayed
from tests.snapshots import NOW
from tests.unit.alerts.channels.notices import every_notice, weekly

SECRET = "s3cr3tThatNobodyMaySee"
SIGNS = "whsec_" + "czNjcjN0VGhhdE5vYm9keU1heVNlZQ=="
NOTICES = dict(every_notice())


@dataclass(frozen=True, slots=True)
class Declared:
    """How a channel is declared, and what it is given."""

    given: Mapping[str, Any]
    secrets: Mapping[str, str]
    body_max: int


# One or more for each kind: a new one that is not here fails below.
DECLARED = {
    "slack": Declared(
        {"kind": "slack", "page_url": "https://k.example/", "runbooks_url": "https://g.example/rb"},
        {"SLACK_WEBHOOK_URL": f"https://hooks.slack.example/{SECRET}"},
        40_000,
    ),
    "slack-bot": Declared(
        {"kind": "slack", "token_secret": "T", "channel": "C0123"}, {"T": SECRET}, 40_000
    ),
    "webhook": Declared(
        {"kind": "webhook", "url": "https://h.example/", "signing_secret": "S"},
        {"S": SIGNS},
        1_500_000,
    ),
    "pagerduty": Declared({"kind": "pagerduty"}, {"PAGERDUTY_ROUTING_KEY": SECRET}, 512_000),
    "apprise": Declared({"kind": "apprise"}, {"APPRISE_URL": f"json://h.example/{SECRET}"}, 8000),
}


def build(declared: Declared) -> Channel:
    plugin = registered_channels()[declared.given["kind"]]
    assert plugin.build is not None
    settings = plugin.settings.model_validate({"name": "ops", **declared.given})
    return plugin.build(settings, declared.secrets)


BUILT = {name: build(declared) for name, declared in DECLARED.items()}


def test_every_kind_is_looked_at() -> None:
    kinds = {kind for kind, plugin in registered_channels().items() if plugin.build is not None}
    assert {declared.given["kind"] for declared in DECLARED.values()} == kinds - {"bell"}


def strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, each in value.items():
                yield from (key, *strings(each))
        case list():
            for each in value:
                yield from strings(each)
        case _:
            return


def said(made: HttpRequest | Relayed) -> list[str]:
    if isinstance(made, Relayed):
        return [made.title, made.body]
    return list(strings(json.loads(made.body)))


@pytest.mark.parametrize("channel", BUILT)
def test_bounds_and_no_controls_whatever_is_said(channel: str) -> None:
    built, body_max = BUILT[channel], DECLARED[channel].body_max
    for name, notice in NOTICES.items():
        receipts = ("", "C0123:1.2", "x" * 10_000)
        made: list[HttpRequest | Relayed | None] = [
            built.compose(notice, now=NOW, receipt=receipt) for receipt in receipts
        ]
        made += [built.amend(notice, now=NOW, receipt=receipt) for receipt in receipts]
        for each in made:
            if each is None:
                continue
            size = len(each.body)
            assert size < body_max, (name, size)
            for text in said(each):
                assert not set(text) & {"\x1b", "\x07", "\u202e", "\u2066", "\r", "\ud800"}, name


@pytest.mark.parametrize("channel", BUILT)
def test_the_same_notice_at_the_same_time_is_the_same_bytes(channel: str) -> None:
    again = build(DECLARED[channel])
    for notice in NOTICES.values():
        first, second = (each.compose(notice, now=NOW) for each in (BUILT[channel], again))
        assert first == second


@pytest.mark.parametrize("channel", BUILT)
def test_secrets_are_in_no_repr_of_what_is_made(channel: str) -> None:
    secrets = (SECRET, *DECLARED[channel].secrets.values())
    for notice in NOTICES.values():
        made = BUILT[channel].compose(notice, now=NOW)
        for shown in (
            repr(made),
            str(made),
            repr(BUILT[channel]),
            repr(vars(BUILT[channel])["name"]),
        ):
            assert not any(secret in shown for secret in secrets)


@pytest.mark.parametrize("channel", BUILT)
@pytest.mark.parametrize("status", [200, 202, 204, 301, 400, 401, 403, 404, 410, 429, 500, 503])
def test_any_answer_is_understood(channel: str, status: int) -> None:
    for body in (b"", b"ok", b"\xff\xfe", b"{", b"[" * 60_000, b'{"ok": null}', b"\x1b[2J" * 9999):
        reply = HttpReply(status=status, headers={"retry-after": "5"}, body=body, elapsed_s=0.1)
        delivery = BUILT[channel].classify(reply)
        assert isinstance(delivery, Delivery)
        assert len(delivery.error) < 400
        assert "\x1b" not in delivery.error
        if status in {429, 500, 503}:
            assert delivery.kind is DeliveryKind.RETRY
        if 300 <= status < 429:
            assert delivery.kind is not DeliveryKind.DELIVERED


@pytest.mark.parametrize("channel", BUILT)
def test_takes_by_severity_and_the_end_of_what_it_took(channel: str) -> None:
    declared = DECLARED[channel]
    for severity in ("info", "warning", "critical"):
        given = {**declared.given, "severity_min": severity}
        built = build(Declared(given, declared.secrets, declared.body_max))
        for name, notice in NOTICES.items():
            if notice.kind is NoticeKind.DIGEST:
                continue
            ended = Notice(
                notice_id=notice.notice_id,
                kind=NoticeKind.RESOLVED,
                alert=notice.alert,
                at=NOW + timedelta(hours=1),
                lines=notice.lines,
            )
            assert built.wants(ended) or not built.wants(notice), name


@pytest.mark.parametrize("channel", BUILT)
def test_the_week_is_for_those_who_want_it(channel: str) -> None:
    declared = DECLARED[channel]
    model = registered_channels()[declared.given["kind"]].settings
    if "digest" not in model.model_fields:
        assert BUILT[channel].wants(weekly()) is False
        return
    assert BUILT[channel].wants(weekly()) is True
    quiet = build(Declared({**declared.given, "digest": False}, declared.secrets, 0))
    assert quiet.wants(weekly()) is False


@pytest.mark.parametrize("channel", ["slack", "slack-bot"])
def test_slack_takes_every_message(channel: str) -> None:
    """A message with one block beyond a limit is refused as a whole: nobody would be told."""
    for name, notice in NOTICES.items():
        amended = BUILT[channel].amend(notice, now=NOW, receipt="C0123:1.2")
        for made in (BUILT[channel].compose(notice, now=NOW), amended):
            if made is None:
                continue
            assert isinstance(made, HttpRequest)
            message = json.loads(made.body)
            blocks = message["blocks"]
            assert len(blocks) <= 50
            assert sum(len(text) for text in strings(blocks)) < 12_500, name
            assert 0 < len(message["text"]) <= 3000
            for block in blocks:
                match block["type"]:
                    case "section":
                        text = block.get("text", {"text": "x"})["text"]
                        assert 0 < len(text) <= 3000, name
                        fields = block.get("fields", [])
                        assert len(fields) <= 10
                        assert all(0 < len(field["text"]) <= 2000 for field in fields)
                    case "context":
                        assert all(0 < len(each["text"]) <= 3000 for each in block["elements"])
                    case "actions":
                        assert 0 < len(block["elements"]) <= 25
                        assert all(len(each["url"]) <= 3000 for each in block["elements"])
                        assert all(len(each["text"]["text"]) <= 75 for each in block["elements"])
                    case other:
                        pytest.fail(f"{name}: no limits are known for a block of type {other}")
