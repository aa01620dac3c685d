"""What is advised about a channel that did not take a test message fits what the channel did."""

from __future__ import annotations

import pytest

from keeper.alerts import DeliveryKind
from keeper.alerts.wording import refused
from keeper.cli.alerts_tested import cure_of
from keeper.daemon.error_line import describe
from keeper.ports import HttpReply, TimedOut, Uncertain, Unreachable
from keeper.web.telling_shapes import ChannelTested

_TRY = len("  try: ")


def advised(error: str, duration_s: float = 0.2) -> str:
    cure = cure_of(
        ChannelTested(channel="ops", is_delivered=False, duration_s=duration_s, error=error)
    )
    assert _TRY + len(cure) <= 80, cure
    return cure


def answered(status: int, body: bytes = b"nope") -> str:
    reply = HttpReply(status=status, headers={}, body=body, elapsed_s=0.1)
    return refused(reply, DeliveryKind.DROP).error


def test_who_wants_no_more_is_replaced_and_who_asks_for_time_is_given_it() -> None:
    assert "declare another address" in advised(answered(410))
    assert "asks for time" in advised(answered(429))
    assert "asks for time" in advised("Slack says ratelimited")
    assert "trouble of its own" in advised(answered(503))


@pytest.mark.parametrize(
    "error",
    [
        describe(Uncertain("hooks.example: no whole answer in 15 s")),
        describe(TimedOut("hooks.example: no connection in time")),
        describe(TimeoutError()),
    ],
)
def test_who_hangs_is_looked_for_and_the_address_is_not_blamed(error: str) -> None:
    assert advised(error, 15.04).startswith("nobody answers within 15 s")
    assert advised(error, 0.01).startswith("nobody answers within 1 s")
    advised(error, 1e9)


@pytest.mark.parametrize(
    "error",
    [
        "",
        answered(403),
        answered(404, b"HTTP 410 and no whole answer in time"),
        "Slack says invalid_auth",
        describe(Unreachable("hooks.example: refused")),
        describe(Uncertain("hooks.example: it hung up")),
    ],
)
def test_all_else_is_a_matter_of_the_address_or_the_secret(error: str) -> None:
    assert "alerts.channels, then keeper check-config" in advised(error)
