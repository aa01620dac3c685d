"""What Slack shows, and what hosts cannot make it show."""

import json
from datetime import timedelta
from typing import Any

import pytest

from keeper.alerts import DeliveryKind, Notice, registered_channels
from keeper.alerts.channels.slack import Slack, SlackSettings, escape
from keeper.ports import HttpReply, HttpRequest, NoticeKind
from tests.snapshots import NOW, ago
from tests.unit.alerts.test_dispatch import alert

URL = "https://hooks.slack.example/services/T/B/key"
CHANNEL = Slack(SlackSettings(kind="slack", name="ops", page_url="https://keeper.example/"), URL)


def notice(kind: NoticeKind = NoticeKind.FIRING, **given: Any) -> Notice:
    return Notice(
        notice_id="msg_1",
        kind=kind,
        alert=alert(since=ago(minutes=3), **given),
        at=NOW,
        dark_s=200.0,
        acts=2,
        reason="first message",
    )


def composed(given: Notice) -> Any:
    request = CHANNEL.compose(given, now=NOW + timedelta(seconds=1))
    assert request.url == URL
    assert request.method == "POST"
    return json.loads(request.body)


def texts(value: Any) -> list[dict[str, Any]]:
    """All text objects in a message, however deep."""
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    if not isinstance(value, dict):
        return []
    mine = [value] if value.get("type") in {"mrkdwn", "plain_text"} else []
    return mine + [text for each in value.values() for text in texts(each)]


def reply(status: int, body: str = "", **headers: str) -> HttpReply:
    return HttpReply(status=status, headers=headers, body=body.encode(), elapsed_s=0.1)


def test_first_line_is_impact_and_the_rest_is_why_what_and_who() -> None:
    message = composed(notice(needs_human="Look, then `keeper replace duel/0`.", dollars=0.42))
    assert message["text"] == "🟠 duel/0 is dark, for 3 min"
    shown = "\n".join(text["text"] for text in texts(message))
    for expected in (
        "*Why*\nfrozen",
        "*Keeper*\nkeeper restarted it",
        "*Dark for*\n3 min 20 s",
        "*Tried*\n2 remedies",
        "*Costs*\n$0.42/h",
        "*You:* Look, then `keeper replace duel/0`.",
        "first message",
        "docs/runbooks/KeeperStreamDark.md",
    ):
        assert expected in shown
    assert "https://keeper.example/" in json.dumps(message)


def test_the_end_states_the_downtime_and_asks_for_nothing() -> None:
    over = notice(NoticeKind.RESOLVED, needs_human="do something", over="duel/0 is well")
    message = composed(over)
    assert message["text"] == "✅ duel/0 is well, dark for 3 min 20 s after 2 remedies"
    assert "do something" not in json.dumps(message)
    message = composed(notice(NoticeKind.RESOLVED))
    assert message["text"].startswith("✅ no longer so: duel/0 is dark")


HOSTILE = [
    "<!channel> <!here> <@U123> <https://evil.example|click>",
    "*bold* _it_ ~gone~ `code` ```block```",
    "&lt;!channel&gt; &amp;",
    "line\nbreak\r\x1b[31mred\x07\u202e",
    "@channel @here #general",
    "x" * 10_000,
    "<" * 10_000,
    "\ud800 lone",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_remote_text_cannot_mention_format_or_overflow(text: str) -> None:
    given = notice(summary=text, why=text, did=text, needs_human=text)
    message = composed(given)
    assert len(json.dumps(message)) < 40_000
    for each in texts(message):
        shown = each["text"]
        assert len(shown) <= 3000
        assert "<" not in shown
        assert ">" not in shown
        assert "@" not in shown
        assert "```" not in shown
        assert not set(shown) & {"\x1b", "\x07", "\u202e", "\r"}
    for field in message["blocks"][1]["fields"]:
        assert len(field["text"]) <= 2000
        assert field["verbatim"] is True
        assert field["text"].count("*") == 2, "only our own heading is bold"
        assert field["text"].count("\n") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a & b < c", "a &amp; b &lt; c"),
        ("sd_turbo/0 is fine", "sd_turbo/0 is fine"),
        ("_really_", "really"),
        ("2 * 3", "2 ∗ 3"),  # noqa: RUF001 - the look-alike is the point
    ],
)
def test_escape_keeps_ordinary_words(text: str, shown: str) -> None:
    assert escape(text) == shown


@pytest.mark.parametrize(
    ("given", "kind", "retry_after_s"),
    [
        (reply(200, "ok"), DeliveryKind.DELIVERED, None),
        (reply(429, "", **{"retry-after": "30"}), DeliveryKind.RETRY, 30.0),
        (reply(429, "", **{"retry-after": "999999"}), DeliveryKind.RETRY, 3600.0),
        (reply(429, "", **{"retry-after": "Wed, 21 Oct 2026"}), DeliveryKind.RETRY, None),
        (reply(500, "rollup_error"), DeliveryKind.RETRY, None),
        (reply(503), DeliveryKind.RETRY, None),
        (reply(400, "invalid_payload"), DeliveryKind.DROP, None),
        (reply(403, "action_prohibited"), DeliveryKind.DISABLE, None),
        (reply(404, "no_service"), DeliveryKind.DISABLE, None),
        (reply(410, "channel_is_archived"), DeliveryKind.DISABLE, None),
        (reply(302), DeliveryKind.DROP, None),
    ],
)
def test_reads_replies(given: HttpReply, kind: DeliveryKind, retry_after_s: float | None) -> None:
    delivery = CHANNEL.classify(given)
    assert (delivery.kind, delivery.retry_after_s) == (kind, retry_after_s)
    assert bool(delivery.error) == (kind is not DeliveryKind.DELIVERED)


def test_error_of_a_reply_is_plain_and_bounded() -> None:
    delivery = CHANNEL.classify(reply(400, "\x1b[2J" * 1000))
    assert "\x1b" not in delivery.error
    assert len(delivery.error) < 300


def test_is_found_by_its_kind_and_takes_its_address_from_a_secret() -> None:
    registered = registered_channels()["slack"]
    settings = registered.settings.model_validate(
        {"kind": "slack", "name": "ops", "url_secret": "HOOK"}
    )
    assert registered.build is not None
    channel = registered.build(settings, {"HOOK": URL})
    assert channel.name == "ops"
    request = channel.compose(notice(), now=NOW)
    assert isinstance(request, HttpRequest)
    assert request.url == URL
    assert URL not in repr(settings)


def test_a_secret_that_is_no_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match=r"the secret HOOK is no web address$"):
        Slack(SlackSettings(kind="slack", name="ops", url_secret="HOOK"), "T0AB12CD3/XyZ98765abc")
