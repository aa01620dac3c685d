"""The player's talk with a signalling server, message by message."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from keeper.core.model import InstanceId
from keeper.ports import Reached
from keeper.probes.signalling import (
    CANDIDATES_MAX,
    GARBAGE_MAX,
    MESSAGES_MAX,
    SDP_MAX,
    Answer,
    Candidate,
    Exchange,
    Finish,
    Prepare,
    Relay,
    Send,
    answer_of,
    watching,
)
from keeper.workloads import View, ViewKind

AT = datetime(2026, 11, 1, tzinfo=UTC)
ME = InstanceId(7)
VIEW = View(kind=ViewKind.WEBRTC, container_port=13000)
CONFIG = {
    "type": "config",
    "peerConnectionOptions": {
        "iceServers": [
            {"urls": ["stun:stun.example:19302"]},
            {"urls": ["turn:relay.example:70000", "turn:relay.example:3479"],
             "username": "user", "credential": "pw"},
        ]
    },
    "protocolVersion": "1.3.0",
}  # fmt: skip


def said(exchange: Exchange, *messages: Any) -> tuple[Any, ...]:
    """Give the exchange these messages; what the last one led to."""
    actions: tuple[Any, ...] = ()
    for message in messages:
        text = message if isinstance(message, str) else json.dumps(message)
        actions = exchange.receive(text)
    return actions


def subscribed(streamer_id: str = "Game", ids: tuple[str, ...] = ("Game",)) -> Exchange:
    exchange = Exchange(is_subscribing=True, streamer_id=streamer_id)
    said(exchange, CONFIG, {"type": "streamerList", "ids": list(ids)})
    return exchange


def test_a_look_that_lists_subscribes_to_nobody_and_makes_no_player() -> None:
    exchange = Exchange(is_subscribing=False)
    assert said(exchange, CONFIG) == (Send('{"type":"listStreamers"}'),)
    assert said(exchange, {"type": "streamerList", "ids": ["Game"]}) == (Finish(),)
    assert exchange.streamers == ("Game",)


def test_a_look_that_watches_goes_from_the_greeting_to_an_answer() -> None:
    exchange = Exchange(is_subscribing=True, streamer_id="Game")
    prepare, ask = said(exchange, CONFIG)
    assert isinstance(prepare, Prepare)
    assert prepare.servers.relay == Relay(
        host="relay.example", port=3479, username="user", credential="pw"
    ), "port 70000 is none: the marketplace's own word for a mapping"
    assert prepare.servers.stun == ("stun.example", 19302)
    assert ask == Send('{"type":"listStreamers"}')
    (subscribe,) = said(exchange, {"type": "streamerList", "ids": ["Other", "Game"]})
    assert json.loads(subscribe.text) == {"type": "subscribe", "streamerId": "Game"}
    assert said(exchange, {"type": "offer", "sdp": "v=0"}) == (Answer("v=0"),)
    assert exchange.reached is Reached.OFFERED
    assert json.loads(answer_of("v=1")) == {"type": "answer", "sdp": "v=1"}


def test_addresses_that_come_before_the_offer_are_given_after_it() -> None:
    exchange = subscribed()
    early = {"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0}
    assert said(exchange, {"type": "iceCandidate", "candidate": early}) == ()
    actions = said(exchange, {"type": "offer", "sdp": "v=0"})
    assert actions == (Answer("v=0"), Candidate("candidate:1", "0", 0))


def test_the_streamer_that_is_there_is_watched_whatever_it_is_called() -> None:
    exchange = subscribed(ids=("Game1",))
    assert (exchange.reached, exchange.watched) == (Reached.SUBSCRIBED, "Game1")


@pytest.mark.parametrize(
    ("words", "is_full", "places"),
    [
        ("Streamer Game is full. Max players = 4.", True, 4),
        ("Streamer Game is full. Max players = 99999999.", True, 0),
        ("It is full of players = 4.", True, 0),
        ("Streamer Game does not exist.", False, 0),
    ],
)
def test_a_refusal_is_taken_at_its_word(words: str, is_full: bool, places: int) -> None:
    exchange = subscribed()
    assert said(exchange, {"type": "subscribeFailed", "message": words}) == (Finish(words),)
    assert (exchange.is_full, exchange.places) == (is_full, places)


GARBAGE = ["", "{", "[]", "1", '{"type":1}', "[" * 10_000, "\x00", '{"type":"offer","sdp":[]}']


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_counted_and_ends_the_talk(text: str) -> None:
    exchange = Exchange(is_subscribing=True)
    for _ in range(GARBAGE_MAX):
        assert said(exchange, text) == ()
    assert said(exchange, text) == (Finish("not a signalling server"),)


def test_a_server_that_talks_without_end_is_left() -> None:
    exchange = Exchange(is_subscribing=True)
    for _ in range(MESSAGES_MAX):
        assert said(exchange, {"type": "pong", "time": 1}) == ()
    assert said(exchange, {"type": "pong", "time": 1}) == (Finish("the server talks without end"),)


@pytest.mark.parametrize("sdp", ["", "x" * (SDP_MAX + 1)])
def test_an_offer_without_bounds_is_none(sdp: str) -> None:
    (finish,) = said(subscribed(), {"type": "offer", "sdp": sdp})
    assert isinstance(finish, Finish)


def test_addresses_are_taken_up_to_a_bound() -> None:
    exchange = subscribed()
    said(exchange, {"type": "offer", "sdp": "v=0"})
    one = {"type": "iceCandidate", "candidate": {"candidate": "c", "sdpMid": "0"}}
    taken = [actions for _ in range(CANDIDATES_MAX + 20) if (actions := said(exchange, one))]
    assert len(taken) == CANDIDATES_MAX


@pytest.mark.parametrize(
    "url",
    ["turn:", "turn::1", "turn:x:0", "turn:x:99999", "turn:x:1:transport", "turns:x:1",
     "turn:x:1?transport=tcp", "http://x", f"turn:{'x' * 300}:1"],
)  # fmt: skip
def test_a_relay_that_is_none_is_not_asked(url: str) -> None:
    config = {"type": "config", "peerConnectionOptions": {"iceServers": [{"urls": url}]}}
    prepare, _ = said(Exchange(is_subscribing=True), config)
    assert prepare.servers.relay is None or prepare.servers.relay.host == "x:1"


def test_a_streamer_name_is_shown_in_plain_and_short() -> None:
    exchange = Exchange(is_subscribing=False)
    said(exchange, CONFIG, {"type": "streamerList", "ids": ["\x1b[31m" + "x" * 500]})
    (shown,) = exchange.streamers
    assert shown.isprintable()
    assert len(shown) <= 80


@pytest.mark.parametrize(
    ("reply", "count"),
    [(b'[{"subscribers":[{"playerId":"Player1"}]},{"subscribers":[]}]', 1), (b"[]", 0),
     (b"{}", None), (b"<html>", None), (b'[{"subscribers":1}]', None)],
)  # fmt: skip
def test_who_watches_is_counted_or_not_known(reply: bytes, count: int | None) -> None:
    assert watching(reply) == count
