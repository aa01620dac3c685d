"""The player's talk with a signalling server, message by message, and what its looks mean."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from keeper.core.model import InstanceId, Remedy, Status
from keeper.core.reasons import Reason
from keeper.ports import PictureSample, PlayerSample, Reached
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
    read_player,
    symptom_of,
    watching,
)
from keeper.workloads import PlayerView, View, ViewKind

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
    ("words", "is_full"),
    [("Streamer Game is full. Max players = 4.", True), ("Streamer Game does not exist.", False)],
)
def test_a_refusal_is_taken_at_its_word(words: str, is_full: bool) -> None:
    exchange = subscribed()
    assert said(exchange, {"type": "subscribeFailed", "message": words}) == (Finish(words),)
    assert exchange.is_full is is_full


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


# --- what looks mean ----------------------------------------------------------------------------------

PICTURE = PictureSample(
    http_status=200, frames=20, unique_frames=20, undecodable_frames=0, bytes_read=9, sampled_s=2.0,
    mean_luma=90.0, motion=2.0, newest_frame=b"",
)  # fmt: skip


def look(reached: Reached, **more: Any) -> PlayerSample:
    return PlayerSample(reached=reached, **more)


LOOKS = [
    ("live", look(Reached.MEDIA, picture=PICTURE), (Status.TRUE, Reason.LIVE)),
    ("nobody there", look(Reached.NOWHERE, error="refused"), (Status.FALSE, Reason.UNREACHABLE)),
    ("mute server", look(Reached.CONNECTED), (Status.FALSE, Reason.NO_BYTES)),
    ("no list", look(Reached.GREETED), (Status.FALSE, Reason.NO_BYTES)),
    ("C1 nobody streams", look(Reached.LISTED), (Status.FALSE, Reason.NO_BYTES)),
    ("listed", look(Reached.LISTED, streamers=("Game",)), None),
    ("C2 no offer", look(Reached.SUBSCRIBED, streamers=("Game",)), (Status.FALSE, Reason.NO_BYTES)),
    ("C14 full", look(Reached.SUBSCRIBED, streamers=("Game",), is_full=True), None),
    ("stayed away", look(Reached.LISTED, streamers=("Game",), has_left=True), None),
    ("no way for media, and perhaps none from this box", look(Reached.OFFERED),
     (Status.UNKNOWN, Reason.PROBE_FAILED)),
    ("no media, though the relay gives a place", look(Reached.OFFERED, has_relay=True),
     (Status.FALSE, Reason.NO_BYTES)),
    ("the player died", look(Reached.OFFERED, is_own_fault=True),
     (Status.UNKNOWN, Reason.PROBE_FAILED)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "expected"), [row[1:] for row in LOOKS], ids=[r[0] for r in LOOKS]
)
def test_a_look_means(sample: PlayerSample, expected: tuple[Status, Reason] | None) -> None:
    reading = read_player(sample, VIEW, ME, AT)
    assert (reading and (reading.status, reading.reason)) == expected


TWO = ("Game", "Game1")
SYMPTOMS = [
    ("well", look(Reached.MEDIA, picture=PICTURE, has_relay=True), "", None),
    ("C1", look(Reached.LISTED), "no_streamer", Remedy.RESTART_PROCESS),
    ("C2", look(Reached.SUBSCRIBED, streamers=("Game",)), "offer_missing", Remedy.RESTART_PROCESS),
    ("C12", look(Reached.MEDIA, picture=PICTURE, has_relay=False), "relay_failed",
     Remedy.RESTART_PROCESS),
    ("C12 not to be told", look(Reached.MEDIA, picture=PICTURE, has_relay=None), "", None),
    ("C14", look(Reached.SUBSCRIBED, streamers=("Game",), is_full=True), "server_full",
     Remedy.NOTHING),
    ("C15", look(Reached.MEDIA, picture=PICTURE, streamers=TWO), "two_streamers", Remedy.PERSON),
    ("own fault", look(Reached.LISTED, is_own_fault=True), "", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "code", "remedy"), [r[1:] for r in SYMPTOMS], ids=[r[0] for r in SYMPTOMS]
)
def test_only_a_player_sees(sample: PlayerSample, code: str, remedy: Remedy | None) -> None:
    symptom = symptom_of(sample, PlayerView(streamer_id="Game"))
    assert (symptom.code if symptom else "") == code
    assert (symptom and symptom.remedy) == remedy
