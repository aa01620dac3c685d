"""What Slack shows, and what hosts cannot make it show."""

import json
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from keeper.alerts import DeliveryKind, LineStatus, Notice, Severity, registered_channels
from keeper.alerts.block_kit import escape
from keeper.alerts.channels.slack import Slack, SlackSettings
from keeper.ports import HttpReply, HttpRequest, NoticeKind
from tests.snapshots import NOW
from tests.unit.alerts.channels.notices import HOSTILE, line, notice, reply, story, weekly

URL = "https://hooks.slack.example/services/T/B/key"
CHANNEL = Slack(SlackSettings(kind="slack", name="ops", page_url="https://keeper.example/"), URL)
BOT = Slack(
    SlackSettings(kind="slack", name="bot", url_secret="", token_secret="TOKEN", channel="C0123"),
    "xoxb-1-secret",
)
THREAD = "C0123:1700000000.000100"


def composed(given: Notice) -> Any:
    request = CHANNEL.compose(given, now=NOW + timedelta(seconds=1))
    assert request.url == URL
    assert request.method == "POST"
    return json.loads(request.body)


def posted(given: Notice, receipt: str = "") -> Any:
    return json.loads(BOT.compose(given, now=NOW, receipt=receipt).body)


def said(message: Any) -> str:
    return "\n".join(text["text"] for text in texts(message["blocks"]))


def texts(value: Any) -> list[dict[str, Any]]:
    """All text objects in a message, however deep."""
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    if not isinstance(value, dict):
        return []
    mine = [value] if value.get("type") in {"mrkdwn", "plain_text"} else []
    return mine + [text for each in value.values() for text in texts(each)]


def test_first_line_is_impact_and_the_rest_is_why_what_and_who() -> None:
    wanted = line(LineStatus.NEW, 200, needs_human="Look, then `keeper replace duel/0`.")
    message = composed(notice(NoticeKind.FIRING, wanted))
    assert message["text"] == "🟠 duel/0 is dark, for 3 min"
    assert message["blocks"][0]["text"]["text"] == (
        "*🟠 duel/0 is dark, for 3 min*\n"
        "Last act: restart process, because frames arrive, but it is always the same frame."
    )
    shown = said(message)
    for expected in (
        "*Why*\nframes arrive, but it is always the same frame",
        "*Dark for*\n3 min 20 s",
        "*Tried*\n2 remedies",
        "*That has cost*\nabout $0.02",
        "*Costs*\n$0.42/h",
        "*Since*\n2026-03-01 11:57:00 UTC",
        "*You:* Look, then `keeper replace duel/0`.",
        "first message",
        "docs/runbooks/KeeperStreamDark.md",
    ):
        assert expected in shown
    buttons = [block for block in message["blocks"] if block["type"] == "actions"]
    assert [each["url"] for each in buttons[0]["elements"]] == ["https://keeper.example/#duel/0"]


def test_whoever_need_not_act_is_told_so() -> None:
    assert "*You:* nothing now; a message says so when that changes" in said(composed(notice()))


def test_the_end_states_downtime_and_money_and_asks_for_nothing() -> None:
    over = line(LineStatus.OVER, 200, needs_human="do something")
    message = composed(notice(NoticeKind.RESOLVED, over))
    assert message["text"] == (
        "✅ duel/0 is no longer dark · was dark for 3 min 20 s · cost about $0.02"
        " · 2 remedies tried"
    )
    assert "do something" not in json.dumps(message)
    message = composed(notice(NoticeKind.RESOLVED, line(LineStatus.OVER, over="")))
    assert message["text"].startswith("✅ no longer so: duel/0 is dark")


def test_what_follows_is_short_and_says_only_what_is_new() -> None:
    told = dict(story())
    sizes = {name: len(said(composed(each))) for name, each in told.items()}
    joined = said(composed(told["another joins"]))
    assert "Also: duel/1 is dark, for 50 s" in joined
    assert "No frame for 20 s." in joined
    paged = said(composed(told["a person is needed"]))
    assert "🔴 You are needed: duel/0 is dark, for 34 min" in paged
    assert "`keeper explain duel/0`" in paged
    over = said(composed(told["one is over"]))
    assert "🟢 duel/1 is no longer dark · was dark for 7 min · still: duel/0 is dark" in over
    assert "*You:*" not in over, "that was said before, and is not new"
    assert "Still: duel/0 is dark, for 4 h 3 min" in said(composed(told["still"]))
    assert all(size < 700 for size in sizes.values())
    assert all(len(composed(each)["blocks"]) <= 5 for name, each in told.items() if name != "first")


def test_what_is_quiet_and_not_yet_over_is_neither() -> None:
    """An alert that has been quiet for less than ``resolved_after_s`` is in no line."""
    over = line(LineStatus.OVER, 200, needs_human="do something")
    partly = notice(NoticeKind.UPDATE, over)
    expected = "🟢 duel/0 is no longer dark · was dark for 3 min 20 s"
    assert composed(partly)["text"] == expected
    request = BOT.amend(partly, now=NOW, receipt=THREAD)
    assert request is not None
    assert json.loads(request.body)["text"] == expected
    assert "do something" not in request.body.decode()


def test_the_end_is_led_by_the_worst_though_that_was_over_before() -> None:
    worst = line(LineStatus.OVER, severity=Severity.CRITICAL)
    last = line(LineStatus.OVER, 60, about="duel/1")
    message = composed(notice(NoticeKind.RESOLVED, last, alert=worst.alert))
    assert message["text"].startswith("✅ duel/0 is no longer dark")
    assert message["text"].endswith("(+1 more over, too)")
    assert "✅ duel/1 is no longer dark · was dark for 1 min" in said(message)


def test_lines_beyond_what_anybody_reads_are_counted() -> None:
    lines = [line(LineStatus.HOLDS, about=f"duel/{index}") for index in range(1000)]
    shown = said(composed(notice(NoticeKind.FIRING, *lines)))
    assert "duel/0 is dark, for 3 min (+999 more)" in shown
    assert "and 990 more: 990 still so" in shown


def test_a_late_message_says_so() -> None:
    request = CHANNEL.compose(notice(), now=NOW + timedelta(minutes=20))
    assert "sent 20 min late" in request.body.decode()
    assert "late" not in said(composed(notice()))


def test_a_week_is_a_table() -> None:
    message = composed(weekly())
    assert message["text"] == "📊 last week: 99.93 % on air, $220.10"
    rows = message["blocks"][1]["text"]["text"].strip("`").splitlines()
    assert [row.split()[0] for row in rows] == ["stream", "stream-2", "stream-1", "stream-0"]
    assert len({len(row) for row in rows}) == 1
    assert "machine 4711: 3 failures, dark for 10 min, $1.20" in said(message)


# --- by a bot's token -------------------------------------------------------------------------------


def test_a_bot_replies_in_the_thread_and_shows_pages_to_all() -> None:
    told = dict(story())
    first = posted(told["first"])
    assert (first["channel"], first.get("thread_ts")) == ("C0123", None)
    joined = posted(told["another joins"], receipt=THREAD)
    assert (joined["thread_ts"], joined["reply_broadcast"]) == ("1700000000.000100", False)
    assert posted(told["a person is needed"], receipt=THREAD)["reply_broadcast"] is True
    request = BOT.compose(told["first"], now=NOW)
    assert request.url == "https://slack.com/api/chat.postMessage"
    assert request.headers["authorization"] == "Bearer xoxb-1-secret"
    assert b"xoxb" not in request.body


def test_a_bot_keeps_the_first_message_up_to_date() -> None:
    told = dict(story())
    assert BOT.amend(told["first"], now=NOW, receipt=THREAD) is None
    assert BOT.amend(told["still"], now=NOW, receipt="") is None
    assert CHANNEL.amend(told["still"], now=NOW, receipt=THREAD) is None
    request = BOT.amend(told["one is over"], now=NOW, receipt=THREAD)
    assert request is not None
    assert request.url == "https://slack.com/api/chat.update"
    message = json.loads(request.body)
    assert (message["channel"], message["ts"]) == ("C0123", "1700000000.000100")
    assert message["text"] == "🔴 duel/0 is dark, for 34 min"
    assert "✅ duel/1 is no longer dark · was dark for 7 min" in said(message)
    request = BOT.amend(told["the end"], now=NOW, receipt=THREAD)
    assert request is not None
    assert json.loads(request.body)["text"].startswith("✅ duel/0 is no longer dark · was dark for")


def test_what_begins_with_a_follow_up_is_told_in_full() -> None:
    """What was beneath ``severity_min`` was not told; the message that it got worse is the first."""
    paged = dict(story())["a person is needed"]
    alone = posted(paged)
    assert "thread_ts" not in alone
    assert "*Why*" in said(alone)
    assert "*Why*" not in said(posted(paged, receipt=THREAD))
    assert "thread_ts" not in posted(paged, receipt="C0123:../../etc")


@pytest.mark.parametrize(
    ("body", "kind", "receipt"),
    [
        ('{"ok":true,"channel":"C0123","ts":"1.2"}', DeliveryKind.DELIVERED, "C0123:1.2"),
        (
            '{"ok":true,"channel":"C0123","ts":"3.4","message":{"thread_ts":"1.2"}}',
            DeliveryKind.DELIVERED,
            "C0123:1.2",
        ),
        ('{"ok":true,"channel":"C0123","ts":"<!here>"}', DeliveryKind.DELIVERED, ""),
        ('{"ok":true}', DeliveryKind.DELIVERED, ""),
        ('{"ok":false,"error":"ratelimited"}', DeliveryKind.RETRY, ""),
        ('{"ok":false,"error":"internal_error"}', DeliveryKind.RETRY, ""),
        ('{"ok":false,"error":"invalid_auth"}', DeliveryKind.DISABLE, ""),
        ('{"ok":false,"error":"account_inactive"}', DeliveryKind.DISABLE, ""),
        ('{"ok":false,"error":"channel_not_found"}', DeliveryKind.DISABLE, ""),
        ('{"ok":false,"error":"is_archived"}', DeliveryKind.DISABLE, ""),
        ('{"ok":false,"error":"invalid_blocks"}', DeliveryKind.DROP, ""),
        ('{"ok":false,"error":"msg_blocks_too_long"}', DeliveryKind.DROP, ""),
        ('{"ok":false,"error":["\x1b[31m"]}', DeliveryKind.RETRY, ""),
        ('{"ok":false,"error":"\\u001b[31m' + "x" * 9999 + '"}', DeliveryKind.DROP, ""),
        ("<html>sign in to the hotel's network</html>", DeliveryKind.RETRY, ""),
        ("[" * 60_000, DeliveryKind.RETRY, ""),
    ],
)
def test_reads_what_a_token_call_answers(body: str, kind: DeliveryKind, receipt: str) -> None:
    delivery = BOT.classify(reply(200, body, **{"retry-after": "7"}))
    assert (delivery.kind, delivery.receipt) == (kind, receipt)
    assert "\x1b" not in delivery.error
    assert len(delivery.error) < 300
    assert bool(delivery.error) == (kind is not DeliveryKind.DELIVERED)
    if "ratelimited" in body:
        assert delivery.retry_after_s == 7.0


def test_a_token_call_that_fails_as_http_costs_one_message_at_most() -> None:
    assert BOT.classify(reply(429)).kind is DeliveryKind.RETRY
    assert BOT.classify(reply(404)).kind is DeliveryKind.DROP


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"url_secret": "A", "token_secret": "B", "channel": "C1"}, "either url_secret or"),
        ({"url_secret": ""}, "either url_secret or token_secret"),
        ({"token_secret": "B"}, "a token needs the channel"),
        ({"channel": "C1"}, "a token needs the channel"),
        ({"severity_min": "loud"}, "critical"),
    ],
)
def test_settings_take_one_way(given: dict[str, str], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        SlackSettings.model_validate({"kind": "slack", "name": "ops", **given})


def test_with_a_token_no_webhook_is_asked_for() -> None:
    settings = SlackSettings.model_validate(
        {"kind": "slack", "name": "ops", "token_secret": "TOKEN", "channel": "C1"}
    )
    assert settings.url_secret == ""


# --- hosts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_remote_text_cannot_mention_format_or_overflow(text: str) -> None:
    given = notice(
        NoticeKind.FIRING,
        line(LineStatus.NEW, summary=text, why=text, did=text, needs_human=text),
    )
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
