"""What Alertmanager is shown: what holds, until some intervals from now, under labels that stay."""

import base64
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from keeper.alerts import Alert, DeliveryKind, Feed, Severity, registered_channels
from keeper.alerts.channels.alertmanager import Alertmanager, AlertmanagerSettings
from keeper.core.model import SlotId, StreamName
from keeper.ports import HttpReply
from tests.snapshots import NOW, ago
from tests.unit.alerts.channels.notices import HOSTILE, NEEDED, alert, reply

SETTINGS = AlertmanagerSettings(
    kind="alertmanager",
    name="am",
    url="http://127.0.0.1:9093/",
    labels={"team": "streams"},
    page_url="https://keeper.example/",
    runbooks_url="https://git.example/runbooks",
)
FEED = Alertmanager(SETTINGS)


def shown(*holding: Alert, ended: tuple[Alert, ...] = (), feed: Feed = FEED) -> list[Any]:
    posted: list[Any] = json.loads(feed.compose(holding, ended, now=NOW).body)
    return posted


def test_an_alert_is_its_key_and_what_is_said_of_it() -> None:
    request = FEED.compose((alert(needs_human=NEEDED),), (), now=NOW)
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:9093/api/v2/alerts")
    (posted,) = json.loads(request.body)
    assert posted == {
        "labels": {
            "team": "streams",
            "alertname": "KeeperStreamDark",
            "severity": "warning",
            "about": "duel/0",
            "slot": "duel/0",
            "stream": "duel",
        },
        "annotations": {
            "summary": "duel/0 is dark",
            "description": "frames arrive, but it is always the same frame · last act: restart process, "
            "because frames arrive, but it is always the same frame",
            "needs_human": NEEDED,
            "costs": "$0.42/h",
            "runbook_url": "https://git.example/runbooks/KeeperStreamDark.md",
            "dashboard": "https://keeper.example/#duel/0",
        },
        "startsAt": "2026-03-01T11:57:00+00:00",
        "endsAt": "2026-03-01T12:03:00+00:00",
        "generatorURL": "https://keeper.example/#duel/0",
    }


def test_what_is_not_shown_again_ends_after_three_intervals() -> None:
    feed = Alertmanager(SETTINGS.model_copy(update={"interval_s": 10.0}))
    (posted,) = shown(alert(), feed=feed)
    assert datetime.fromisoformat(posted["endsAt"]) == NOW + timedelta(seconds=30)


def test_what_has_ended_ends_now() -> None:
    holding, over = shown(alert(), ended=(alert(about="duel/1"),))
    assert holding["labels"]["slot"] == "duel/0"
    assert (over["labels"]["slot"], over["endsAt"]) == ("duel/1", NOW.isoformat())


def test_labels_stay_the_same_over_the_life_of_an_alert() -> None:
    """Alertmanager knows an alert by its labels: another reason would be another alert."""
    first = alert(
        "KeeperSlotHeld",
        "out_of_credit",
        slot=SlotId("duel/0"),
        stream=StreamName("duel"),
        labels={"reason": "x"},
    )
    later = replace(
        first, slot=None, stream=None, why="another", did="more", labels={"reason": "y"}, stage=3
    )
    assert shown(first)[0]["labels"] == shown(later)[0]["labels"]


def test_alerts_of_one_name_are_told_apart() -> None:
    posted = shown(alert("KeeperOrphan", "11"), alert("KeeperOrphan", "12"))
    assert len({json.dumps(each["labels"], sort_keys=True) for each in posted}) == 2


def test_what_begins_in_the_future_does_not_spoil_the_rest() -> None:
    """A clock that was set back: an alert that ends before it begins makes Alertmanager refuse them all."""
    future = alert(since=NOW + timedelta(hours=1))
    flood = tuple(replace(future, key=f"{future.key}{index}") for index in range(501))
    for posted in (*shown(future, ended=(future,)), *shown(*flood)):
        assert posted["startsAt"] <= posted["endsAt"]


def test_a_flood_is_bounded_and_says_what_is_left_out() -> None:
    mild = [alert(about=f"duel/{index:04}", since=ago(hours=1)) for index in range(1000)]
    loud = alert(about="zeta/0", severity=Severity.CRITICAL)
    posted = shown(*mild, loud, ended=tuple(mild))
    assert len(posted) == 501
    assert posted[0]["labels"]["slot"] == "zeta/0", "the most severe are shown"
    assert posted[-1]["labels"]["alertname"] == "KeeperAlertsLeftOut"
    assert posted[-1]["annotations"]["summary"] == "501 alerts of keeper's are not shown here"
    assert posted == shown(*reversed(mild), loud, ended=tuple(mild)), "the same ones each time"


def test_only_what_is_severe_enough_is_shown() -> None:
    feed = Alertmanager(SETTINGS.model_copy(update={"severity_min": Severity.CRITICAL}))
    loud = alert(severity=Severity.CRITICAL)
    assert len(shown(alert(), loud, ended=(alert(), loud), feed=feed)) == 2


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_hosts_say_is_plain_and_bounded(text: str) -> None:
    hostile = alert(about="11", summary=text, why=text, did=text, labels={"label": text})
    request = FEED.compose((hostile,), (), now=NOW)
    assert len(request.body) < 20_000
    assert not set(request.body.decode()) & {"\x1b", "\u202e"}


@pytest.mark.parametrize(
    ("given", "secrets", "header"),
    [
        ({}, {}, None),
        ({"bearer_secret": "T"}, {"T": "t0ken"}, "Bearer t0ken"),
        (
            {"user": "keeper", "password_secret": "P"},
            {"P": "p"},
            "Basic " + base64.b64encode(b"keeper:p").decode(),
        ),
    ],
)
def test_proves_itself(given: dict[str, str], secrets: dict[str, str], header: str | None) -> None:
    registered = registered_channels()["alertmanager"]
    assert registered.build is None
    assert registered.build_feed is not None
    settings = registered.settings.model_validate(
        {"kind": "alertmanager", "name": "am", "url": "http://127.0.0.1:1", **given}
    )
    feed = registered.build_feed(settings, secrets)
    assert (feed.name, feed.interval_s) == ("am", 60.0)
    assert feed.compose((), (), now=NOW).headers.get("authorization") == header


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"user": "keeper"}, "belong together"),
        ({"user": "k", "password_secret": "P", "bearer_secret": "T"}, "either bearer_secret"),
        ({"labels": {"severity": "x"}}, "'severity' is set by keeper"),
        ({"labels": {"a-b": "x"}}, "is no label's name"),
        ({"interval_s": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        AlertmanagerSettings.model_validate(
            {"kind": "alertmanager", "name": "am", "url": "http://127.0.0.1:1", **given}
        )


@pytest.mark.parametrize(
    ("url", "authorization", "why"),
    [
        ("127.0.0.1:9093", "", "its url is no web address"),
        ("http://keeper:secret@127.0.0.1:9093", "", "has a user or a query"),
        ("http://127.0.0.1:9093", "Bearer a\nb", "its secret is no token"),
    ],
)
def test_what_cannot_be_sent_is_refused(url: str, authorization: str, why: str) -> None:
    settings = AlertmanagerSettings(kind="alertmanager", name="am", url=url)
    with pytest.raises(ValueError, match=why):
        Alertmanager(settings, authorization)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, DeliveryKind.DELIVERED),
        (400, DeliveryKind.DROP),
        (401, DeliveryKind.DROP),
        (429, DeliveryKind.RETRY),
        (503, DeliveryKind.RETRY),
    ],
)
def test_reads_replies(status: int, kind: DeliveryKind) -> None:
    assert FEED.classify(reply(status)).kind is kind


def test_a_page_for_people_is_not_its_answer() -> None:
    """A proxy's page to log in came with 200, and everything that held counted as shown."""
    html = {"content-type": "text/html; charset=utf-8"}
    page = HttpReply(status=200, headers=html, body=b"<html>Log in</html>", elapsed_s=0.1)
    found = FEED.classify(page)
    assert found.kind is DeliveryKind.RETRY
    assert "not Alertmanager's answer" in found.error
    own = replace(page, headers={"content-type": "application/json"}, body=b"")
    assert FEED.classify(own).kind is DeliveryKind.DELIVERED
    late = replace(page, status=503, headers={**html, "retry-after": "7"})
    assert FEED.classify(late).retry_after_s == 7.0
