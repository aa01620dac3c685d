"""The player's side of Pixel Streaming's signalling: messages in, what to do out, and a reading.

A hung application stays in the server's list and offers nothing, a hung server accepts and says
nothing, a broken relay shows to no local look: each stage that was reached is told apart. Messages are
hostile: bounded in number and size, and what does not fit is counted. Protocol as of the published
library, lib-pixelstreamingcommon-ue5.5 0.3.3, tried 2026-10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import msgspec

from keeper.core.model import InstanceId, Reading, Remedy, Rung, Status, Subject, Symptom
from keeper.core.reasons import Reason
from keeper.core.text import plain
from keeper.ports import PictureSample, PlayerSample, Reached
from keeper.probes.picture import Expected, read_picture

MESSAGE_MAX_BYTES = 262_144  # an offer of the engine has some 10 kB
MESSAGES_MAX = 200
GARBAGE_MAX = 10
SDP_MAX = 100_000
CANDIDATES_MAX = 40
STREAMERS_MAX = 20
NAME_MAX = 80
_TEXT_MAX = 200
_TURN_PORT = 3478
_PORT_MAX = 65_535

# Rows of the catalogue that only a player can see.
RELAY_FAILED = "relay_failed"
SERVER_FULL = "server_full"
TWO_STREAMERS = "two_streamers"
OFFER_MISSING = "offer_missing"
NO_STREAMER = "no_streamer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Where the server's players find the relay, and with what. Never logged."""

    host: str
    port: int
    username: str
    credential: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServers:
    """What the server tells each player of: the first usable relay, the first STUN server."""

    relay: Relay | None = None
    stun: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Say this to the server."""

    text: str


@dataclass(frozen=True, slots=True)
class Prepare:
    """The configuration is here: a player can be made."""

    servers: IceServers


@dataclass(frozen=True, slots=True)
class Answer:
    """Give this offer to the player; its answer goes back to the server."""

    sdp: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """Give this address of the streamer to the player."""

    candidate: str
    mid: str
    line: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more is to be learnt."""

    error: str = ""


Action = Send | Prepare | Answer | Candidate | Finish


class _Server(msgspec.Struct, frozen=True):
    urls: list[str] | str = []
    username: str = ""
    credential: str = ""


class _Options(msgspec.Struct, frozen=True, rename="camel"):
    ice_servers: list[_Server] = []


class _IceCandidate(msgspec.Struct, frozen=True, rename="camel"):
    candidate: str = ""
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = msgspec.field(default=None, name="sdpMLineIndex")


class _Message(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    ids: list[str] = []
    sdp: str = ""
    message: str = ""
    candidate: _IceCandidate | str | None = None
    peer_connection_options: _Options | None = None
    new_id: str = msgspec.field(default="", name="newID")


_DECODER = msgspec.json.Decoder(_Message)


@dataclass(slots=True)
class Exchange:
    """One player's talk with the server, from its greeting to an offer."""

    is_subscribing: bool
    streamer_id: str = ""
    reached: Reached = Reached.CONNECTED
    streamers: tuple[str, ...] = ()
    watched: str = ""
    is_full: bool = False
    _messages: int = 0
    _garbage: int = 0
    _candidates: int = 0
    _early: list[Candidate] = field(default_factory=list)

    def receive(self, text: str) -> tuple[Action, ...]:
        """Take one message; say what follows from it."""
        self._messages += 1
        if self._messages > MESSAGES_MAX:
            return (Finish("the server talks without end"),)
        try:
            seen = _DECODER.decode(text)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            self._garbage += 1
            return (Finish("not a signalling server"),) if self._garbage > GARBAGE_MAX else ()
        match seen.type:
            case "config" if self.reached is Reached.CONNECTED:
                self.reached = Reached.GREETED
                servers = _ice_servers(seen.peer_connection_options or _Options())
                prepare = (Prepare(servers),) if self.is_subscribing else ()
                return (*prepare, Send('{"type":"listStreamers"}'))
            case "streamerList" if self.reached is Reached.GREETED:
                return self._choose(seen.ids)
            case "subscribeFailed" if self.reached is Reached.SUBSCRIBED:
                self.is_full = " is full" in seen.message
                return (Finish(plain(seen.message, _TEXT_MAX)),)
            case "offer" if self.reached is Reached.SUBSCRIBED:
                if not 0 < len(seen.sdp) <= SDP_MAX:
                    return (Finish("the offer is empty or huge"),)
                self.reached = Reached.OFFERED
                return (Answer(seen.sdp), *self._early)
            case "iceCandidate":
                return self._take(seen.candidate)
            case "streamerIdChanged":
                self.watched = plain(seen.new_id, NAME_MAX)
                return ()
            case _:
                return ()  # a newer server says more; none of it matters here

    def _choose(self, ids: list[str]) -> tuple[Action, ...]:
        self.reached = Reached.LISTED
        self.streamers = tuple(plain(name, NAME_MAX) for name in ids[:STREAMERS_MAX])
        if not ids or not self.is_subscribing:
            return (Finish(),)
        # The one that is there now, whatever it is called: an application that has come back before
        # its old socket was gone is listed with a digit more.
        name = self.streamer_id if self.streamer_id in ids else ids[0]
        if len(name) > NAME_MAX:
            return (Finish("the streamer's name is huge"),)
        self.reached, self.watched = Reached.SUBSCRIBED, plain(name, NAME_MAX)
        told = msgspec.json.encode({"type": "subscribe", "streamerId": name}).decode()
        return (Send(told),)

    def _take(self, seen: _IceCandidate | str | None) -> tuple[Action, ...]:
        if (
            not isinstance(seen, _IceCandidate)
            or not seen.candidate
            or len(seen.candidate) > SDP_MAX
        ):
            return ()
        self._candidates += 1
        if self._candidates > CANDIDATES_MAX:
            return ()
        found = Candidate(
            seen.candidate, (seen.sdp_mid or "")[:NAME_MAX], seen.sdp_m_line_index or 0
        )
        if self.reached is not Reached.OFFERED:
            self._early.append(found)
            return ()
        return (found,)


def answer_of(sdp: str) -> str:
    """Return the message that answers an offer."""
    return msgspec.json.encode({"type": "answer", "sdp": sdp}).decode()


def watching(reply: bytes) -> int | None:
    """Count who watches, from the server's own list of streamers; None when it does not say."""
    try:
        seen = msgspec.json.decode(reply, type=list[_Streamer])
    except (msgspec.MsgspecError, RecursionError):
        return None
    return sum(len(each.subscribers) for each in seen)


class _Streamer(msgspec.Struct, frozen=True):
    subscribers: list[msgspec.Raw]


def _ice_servers(options: _Options) -> IceServers:
    """Take the first of each kind that is reached over UDP, and no more: a stranger wrote the list."""
    relay: Relay | None = None
    stun: tuple[str, int] | None = None
    for server in options.ice_servers[:STREAMERS_MAX]:
        urls = [server.urls] if isinstance(server.urls, str) else server.urls
        for url in urls[:STREAMERS_MAX]:
            scheme, _, rest = url.partition(":")
            address = _address(rest)
            if address is None or "transport=tcp" in rest:
                continue
            if scheme == "turn" and relay is None:
                relay = Relay(
                    host=address[0],
                    port=address[1],
                    username=server.username,
                    credential=server.credential,
                )
            elif scheme == "stun" and stun is None:
                stun = address
    return IceServers(relay=relay, stun=stun)


def _address(rest: str) -> tuple[str, int] | None:
    host, separator, port = rest.partition("?")[0].rpartition(":")
    if not separator:
        host, port = port, str(_TURN_PORT)
    is_port = port.isascii() and port.isdecimal() and len(port) <= len(str(_PORT_MAX))
    if not host or len(host) > _TEXT_MAX or not is_port or not 0 < int(port) <= _PORT_MAX:
        return None
    return host.strip("[]"), int(port)


# --- what a look means --------------------------------------------------------------------------------


class ExpectedPlayer(Protocol):
    """What of a workload's PlayerView matters here."""

    @property
    def streamer_id(self) -> str:
        """The name that the application is to have; "": any."""
        ...

    @property
    def needs_relay(self) -> bool:
        """Whether players depend on the relay."""
        ...

    @property
    def start_s(self) -> float:
        """How long the application may take until it streams."""
        ...


def read_player(
    sample: PlayerSample, expected: Expected, instance_id: InstanceId, at: datetime
) -> Reading | None:
    """Judge what viewers see by one look; None: it says nothing new of the picture."""
    if sample.picture is not None and sample.reached is Reached.MEDIA and not sample.is_own_fault:
        if sample.has_left and sample.picture.frames == 0:
            return None
        return read_picture(sample.picture, expected, instance_id, at)
    judged = _judge(sample)
    if judged is None:
        return None
    status, reason, detail = judged
    return Reading(
        instance_id=instance_id,
        subject=Subject.PICTURE,
        status=status,
        reason=reason,
        at=at,
        detail=plain(detail, _TEXT_MAX),
    )


def _judge(sample: PlayerSample) -> tuple[Status, Reason, str] | None:
    if sample.is_own_fault:
        return Status.UNKNOWN, Reason.PROBE_FAILED, f"this box could not look: {sample.error}"
    match sample.reached:
        case Reached.NOWHERE:
            return Status.FALSE, Reason.UNREACHABLE, sample.error
        case Reached.CONNECTED:
            said = sample.error or "connected, and the signalling server says nothing"
            return Status.FALSE, Reason.NO_BYTES, said
        case Reached.GREETED:
            return Status.FALSE, Reason.NO_BYTES, "the signalling server does not say who streams"
        case Reached.LISTED:
            return _judge_listed(sample)
        case Reached.SUBSCRIBED:
            return _judge_subscribed(sample)
        case Reached.OFFERED | Reached.MEDIA:
            return _judge_offered(sample)


def _judge_listed(sample: PlayerSample) -> tuple[Status, Reason, str] | None:
    if sample.streamers:
        return (Status.UNKNOWN, Reason.PROBE_FAILED, sample.error) if sample.error else None
    return Status.FALSE, Reason.NO_BYTES, "no streamer is listed: the application is not there"


def _judge_subscribed(sample: PlayerSample) -> tuple[Status, Reason, str] | None:
    if sample.is_full or sample.has_left:
        return None
    said = sample.error or "listed, and offers nothing: the application hangs"
    return Status.FALSE, Reason.NO_BYTES, said


def _judge_offered(sample: PlayerSample) -> tuple[Status, Reason, str] | None:
    if sample.has_left:
        return None
    if sample.has_relay:
        # The relay gave a place, so packets go to and fro: what is missing is the application's.
        return Status.FALSE, Reason.NO_BYTES, "offered, and no media comes"
    said = sample.error or "offered, and no way for media was found from this box"
    return Status.UNKNOWN, Reason.PROBE_FAILED, said


def symptom_of(sample: PlayerSample, expected: ExpectedPlayer) -> Symptom | None:
    """Name the row of the catalogue that only a player can see; None: there is none."""
    if sample.is_own_fault:
        return None
    if sample.has_relay is False and expected.needs_relay:
        return Symptom(
            code=RELAY_FAILED,
            sentence="the relay gives no place to players; those behind NAT see nothing",
            remedy=Remedy.RESTART_PROCESS,
            spoils_view=True,
            dearest=Rung.RESTART_PROCESS,
            is_partial=True,
        )
    if sample.reached is Reached.LISTED and not sample.streamers:
        return Symptom(
            code=NO_STREAMER,
            sentence="no streamer is listed: the application is not there",
            remedy=Remedy.RESTART_PROCESS,
            wait_s=expected.start_s,
        )
    if sample.reached is Reached.SUBSCRIBED and not (sample.is_full or sample.has_left):
        return Symptom(
            code=OFFER_MISSING,
            sentence=f"{sample.watched} is listed and offers nothing: the application hangs",
            remedy=Remedy.RESTART_PROCESS,
        )
    if sample.is_full:
        return Symptom(
            code=SERVER_FULL,
            sentence="the server takes no more players; viewers watch, keeper does not",
            remedy=Remedy.NOTHING,
        )
    if len(sample.streamers) > 1 and expected.streamer_id:
        names = ", ".join(sample.streamers)
        return Symptom(
            code=TWO_STREAMERS,
            sentence=plain(f"more than one streamer stays listed: {names}", _TEXT_MAX),
            remedy=Remedy.PERSON,
            is_partial=True,
        )
    return None


def numbers_of(sample: PlayerSample) -> Mapping[str, float]:
    """Return what can be counted."""
    counted = {"streamers": float(len(sample.streamers))}
    if sample.others is not None:
        counted["players"] = float(sample.others)
    return counted


def empty_picture(error: str = "", *, sampled_s: float = 0.0) -> PictureSample:
    """Return the sample of a player to whom nothing came."""
    return PictureSample(
        http_status=200,
        frames=0,
        unique_frames=0,
        undecodable_frames=0,
        bytes_read=0,
        sampled_s=sampled_s,
        mean_luma=None,
        motion=None,
        newest_frame=b"",
        error=error,
    )
