"""What is wrong with a declared channel is said at its place, with what may be meant or what cures it."""

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from keeper.alerts import Channel
from keeper.settings import build_channels, build_feeds
from tests.unit.settings.conftest import Load, Problems

GIVEN = {
    "KEEPER_SECRET_SLACK_WEBHOOK_URL": "https://hooks.slack.example/x",
    "KEEPER_SECRET_BOT": "xoxb-1",
    "KEEPER_SECRET_PAGERDUTY_ROUTING_KEY": "R0123456789abcdef0123456789abcde",
    "KEEPER_SECRET_APPRISE_URL": "json://127.0.0.1",
}
HERE = "alerts.channels[0]"


def declared(channel: str) -> str:
    return f"alerts:\n  channels:\n    - {{name: ops, {channel}}}\n"


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        (
            "kind: slak",
            f"keeper.yaml:3:7: {HERE}: no channel is of kind 'slak' (did you mean 'slack'?); one of: ",
        ),
        (
            "kind: slack, severty_min: critical",
            f"keeper.yaml:3:32: unknown key 'severty_min' in {HERE} (did you mean 'severity_min'?)",
        ),
        (
            "kind: slack, severity_min: loud",
            f"keeper.yaml:3:32: {HERE}.severity_min: must be 'info', 'warning' or 'critical'",
        ),
        (
            "kind: slack, token_secret: BOT",
            f"keeper.yaml:3:7: {HERE}: a token needs the channel to post to, and a webhook has its own",
        ),
        (
            "kind: slack, page_url: keeper.example",
            "keeper.yaml:3:7: channel ops: its page_url is no web address",
        ),
        (
            "kind: pagerduty, routing_key: R012",
            (
                f"keeper.yaml:3:36: unknown key 'routing_key' in {HERE} "
                "(did you mean 'routing_key_secret', the name of a secret?)"
            ),
        ),
        (
            "kind: pagerduty, routing_key_secret: OTHER",
            "keeper.yaml:3:36: the secret OTHER is named but not given: set KEEPER_SECRET_OTHER, or",
        ),
        (
            "kind: alertmanager",
            f"keeper.yaml:3:7: {HERE} lacks the key 'url'",
        ),
        (
            "kind: alertmanager, url: '127.0.0.1:9093'",
            "keeper.yaml:3:7: channel ops: its url is no web address",
        ),
        (
            "kind: alertmanager, url: 'http://127.0.0.1', labels: {severity: x}",
            f"keeper.yaml:3:64: {HERE}.labels: 'severity' is set by keeper",
        ),
        (
            "kind: alertmanager, url: 'http://127.0.0.1', intervall_s: 5",
            f"unknown key 'intervall_s' in {HERE} (did you mean 'interval_s'?)",
        ),
        (
            "kind: apprise, url: 'mailtos://user:pass@example.org'",
            (
                f"keeper.yaml:3:34: unknown key 'url' in {HERE} "
                "(did you mean 'url_secret', the name of a secret?)"
            ),
        ),
    ],
)
def test_a_mistake_is_said_at_its_place(problems: Problems, channel: str, said: str) -> None:
    found = problems(declared(channel), GIVEN)
    assert any(said in problem for problem in found), found
    assert "pass@" not in "".join(found), "what was written where no secret belongs"


def test_a_library_that_is_absent_is_named_with_its_cure(
    problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "apprise" else there(name)
    )
    (found,) = problems(declared("kind: apprise"), GIVEN)
    assert found == (
        "keeper.yaml:3:19: channel 'ops': the kind 'apprise' needs the extra apprise, which is not "
        "installed: pip install 'vast-keeper[apprise]'"
    )


def test_channels_and_feeds_are_built_each_for_itself(load: Load) -> None:
    settings = load(
        "alerts:\n  page_url: https://keeper.example\n  channels:\n"
        "    - {kind: slack, name: a}\n"
        "    - {kind: slack, name: b, token_secret: BOT, channel: C1}\n"
        "    - {kind: pagerduty, name: c}\n"
        "    - {kind: apprise, name: d}\n"
        "    - {kind: alertmanager, name: e, url: 'http://127.0.0.1:9093'}\n",
        GIVEN,
    )
    channels: tuple[Channel, ...] = build_channels(settings)
    assert [channel.name for channel in channels] == ["a", "b", "c", "d"]
    assert [feed.name for feed in build_feeds(settings)] == ["e"]
