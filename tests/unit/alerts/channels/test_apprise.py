"""What goes by apprise: a title that a phone shows, and a few lines that read well anywhere."""

import pytest

from keeper.alerts import DeliveryKind, LineStatus, Notice, Severity, registered_channels
from keeper.alerts.channels.apprise import Apprise, AppriseSettings
from keeper.ports import NoticeKind, Relayed
from tests.snapshots import NOW
from tests.unit.alerts.channels.notices import HOSTILE, NEEDED, line, notice, reply, story, weekly

SETTINGS = AppriseSettings(kind="apprise", name="mail", page_url="https://keeper.example/")
CHANNEL = Apprise(SETTINGS, "mailtos://user:pass@example.com")


def said(given: Notice) -> Relayed:
    return CHANNEL.compose(given, now=NOW)


def test_what_to_do_comes_first_and_the_rest_is_short() -> None:
    paged = said(dict(story())["a person is needed"])
    assert paged.title == "🔴 You are needed: duel/0 is dark, for 34 min"
    assert paged.severity == "critical"
    assert paged.body.splitlines() == [
        f"You: {NEEDED}",
        "🔴 worse: duel/0 is dark, for 34 min",
        "🟠 duel/1 is dark, for 50 s",
        "Why: frames arrive, but it is always the same frame",
        "Keeper: holds: the replacements allowed in 6 h are used up",
        "Dark for 34 min, cost about $0.02, costs $0.42/h",
        "https://keeper.example/#duel/0",
        "Runbook: docs/runbooks/KeeperStreamDark.md",
        "now critical, was warning · 2026-03-01 12:00:00 UTC",
    ]


def test_the_end_is_good_news_and_asks_for_nothing() -> None:
    end = said(dict(story())["the end"])
    assert end.severity == "ok"
    assert end.title.startswith(
        "✅ duel/0 is no longer dark · was dark for 4 h 20 min · cost about"
    )
    assert "You:" not in end.body


def test_a_week_is_lines() -> None:
    week = said(weekly())
    assert week.severity == "info"
    assert week.body.splitlines()[1].startswith("stream-2: on air 99.86 %, dark for 13 min 20 s")
    assert len(week.body.splitlines()) == 7


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_hosts_say_formats_and_mentions_nothing(text: str) -> None:
    hostile = line(LineStatus.NEW, summary=text, why=text, did=text, over=text)
    made = said(notice(NoticeKind.UPDATE, hostile, hostile, reason=text))
    for shown in (made.title, made.body):
        assert not set(shown) & set("<>@*`\x1b\u202e")
        assert "](" not in shown
    assert len(made.title) <= 200
    assert len(made.body.splitlines()) < 20


def test_severity_is_the_loudest_of_the_message() -> None:
    mixed = notice(
        NoticeKind.UPDATE,
        line(LineStatus.NEW, severity=Severity.INFO),
        line(LineStatus.HOLDS, severity=Severity.WARNING),
    )
    assert said(mixed).severity == "warning"


def test_an_answer_of_http_is_read_as_elsewhere_though_none_comes() -> None:
    assert CHANNEL.classify(reply(200)).kind is DeliveryKind.DELIVERED
    assert CHANNEL.classify(reply(404)).kind is DeliveryKind.DROP
    assert CHANNEL.amend(notice(), now=NOW, receipt="") is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize("url", ["", "user:pass@example.com", "mailto:x", "json://a\nb"])
def test_a_secret_that_is_no_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"the secret APPRISE_URL is no address") as caught:
        Apprise(SETTINGS, url)
    assert not url or url not in str(caught.value)


def test_is_built_without_the_library() -> None:
    registered = registered_channels()["apprise"]
    assert registered.build is not None
    settings = registered.settings.model_validate(
        {"kind": "apprise", "name": "mail", "url_secret": "MAIL"}
    )
    made = registered.build(settings, {"MAIL": "mailtos://x"}).compose(notice(), now=NOW)
    assert isinstance(made, Relayed)
    assert made.url == "mailtos://x"
    assert "mailtos" not in repr(made)
