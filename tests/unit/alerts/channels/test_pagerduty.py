"""Whoever is on call is called once, for what needs a person, and it ends with the incident."""

import json
from dataclasses import replace
from typing import Any

import pytest

from keeper.alerts import DeliveryKind, LineStatus, Notice, Severity, registered_channels
from keeper.alerts.channels.pagerduty import PagerDuty, PagerDutySettings
from keeper.ports import NoticeKind
from tests.snapshots import NOW
from tests.unit.alerts.channels.notices import line, notice, reply, story, weekly

KEY = "R0123456789abcdef0123456789abcde"
SETTINGS = PagerDutySettings(
    kind="pagerduty",
    name="on-call",
    page_url="https://keeper.example/",
    runbooks_url="https://git.example/runbooks",
)
CHANNEL = PagerDuty(SETTINGS, KEY)


def event(given: Notice) -> Any:
    return json.loads(CHANNEL.compose(given, now=NOW).body)


def test_is_told_from_the_message_on_that_needs_a_person() -> None:
    wanted = {name: CHANNEL.wants(each) for name, each in story()}
    assert wanted == {
        "first": False,
        "another joins": False,
        "a person is needed": True,
        "one is over": True,
        "still": True,
        "the end": True,
    }
    assert CHANNEL.wants(weekly()) is False


def test_one_incident_is_one_alert_there() -> None:
    told = [event(each) for _, each in story() if CHANNEL.wants(each)]
    assert {each["dedup_key"] for each in told} == {"inc_1"}
    assert [each["event_action"] for each in told] == ["trigger", "trigger", "trigger", "resolve"]
    assert {each["routing_key"] for each in told} == {KEY}


def test_a_trigger_says_what_wakes_and_what_to_do() -> None:
    said = event(dict(story())["a person is needed"])
    assert said["payload"]["summary"] == "🔴 You are needed: duel/0 is dark, for 34 min (+1 more)"
    assert said["payload"]["severity"] == "critical"
    assert (said["payload"]["source"], said["payload"]["group"]) == ("duel/0", "duel")
    details = said["payload"]["custom_details"]
    assert "`keeper explain duel/0`" in details["you"][0]
    assert details["why"] == "frames arrive, but it is always the same frame"
    assert details["dark_for"] == "34 min"
    assert details["cost_so_far"] == "about $0.02"
    assert details["alerts"] == [
        "🔴 worse: duel/0 is dark, for 34 min",
        "🟠 duel/1 is dark, for 50 s",
    ]
    assert said["links"] == [
        {"href": "https://keeper.example/#duel/0", "text": "keeper"},
        {"href": "https://git.example/runbooks/KeeperStreamDark.md", "text": "Runbook"},
    ]


def test_it_ends_with_the_incident_and_not_before() -> None:
    """Of what is quiet for a moment no message speaks: an end of the rest must not end a call for it."""
    over = line(LineStatus.OVER, severity=Severity.CRITICAL)
    mild = line(LineStatus.HOLDS, about="duel/1")
    assert not CHANNEL.wants(notice(NoticeKind.UPDATE, over, mild))
    assert not CHANNEL.wants(notice(NoticeKind.UPDATE, over))
    # The last message is led by the worst of the story, though that was over before.
    end = notice(NoticeKind.RESOLVED, replace(mild, status=LineStatus.OVER), alert=over.alert)
    assert CHANNEL.wants(end)
    assert event(end)["event_action"] == "resolve"


def test_severity_is_that_of_the_loudest_that_holds() -> None:
    channel = PagerDuty(SETTINGS.model_copy(update={"severity_min": Severity.INFO}), KEY)
    mixed = notice(
        NoticeKind.UPDATE,
        line(LineStatus.NEW, severity=Severity.INFO),
        line(LineStatus.HOLDS, severity=Severity.WARNING),
        line(LineStatus.OVER, severity=Severity.CRITICAL),
    )
    body = json.loads(channel.compose(mixed, now=NOW).body)
    assert body["payload"]["severity"] == "warning"


def test_nothing_is_amended() -> None:
    assert CHANNEL.amend(notice(), now=NOW, receipt="x") is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (202, DeliveryKind.DELIVERED),
        (400, DeliveryKind.DROP),
        (403, DeliveryKind.RETRY),
        (404, DeliveryKind.DROP),
        (429, DeliveryKind.RETRY),
        (500, DeliveryKind.RETRY),
        (503, DeliveryKind.RETRY),
    ],
)
def test_reads_replies(status: int, kind: DeliveryKind) -> None:
    body = '{"status":"invalid event","message":"Event object is invalid"}'
    delivery = CHANNEL.classify(reply(status, body, **{"retry-after": "120"}))
    assert delivery.kind is kind
    assert delivery.retry_after_s == (120.0 if kind is DeliveryKind.RETRY else None)


@pytest.mark.parametrize(
    ("url", "key", "why"),
    [
        ("events.pagerduty.com", KEY, "its url is no web address"),
        ("https://events.example/", "two words", "the secret ROUTING is no routing key"),
        ("https://events.example/", "", "the secret ROUTING is no routing key"),
    ],
)
def test_what_cannot_work_is_refused_and_the_key_not_repeated(url: str, key: str, why: str) -> None:
    settings = PagerDutySettings(kind="pagerduty", name="x", url=url, routing_key_secret="ROUTING")
    with pytest.raises(ValueError, match=why) as caught:
        PagerDuty(settings, key)
    assert not key or key not in str(caught.value)


def test_is_built_from_a_named_secret() -> None:
    registered = registered_channels()["pagerduty"]
    assert registered.build is not None
    assert registered.build_feed is None
    settings = registered.settings.model_validate({"kind": "pagerduty", "name": "on-call"})
    channel = registered.build(settings, {"PAGERDUTY_ROUTING_KEY": KEY})
    assert channel.name == "on-call"
