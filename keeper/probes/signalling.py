"""The player's side of Pixel Streaming's signalling: messages in, what to do out.

It waits for nothing and judges nothing. Messages are hostile: bounded in number and size, and what does
not fit is counted. Protocol as of the published library, lib-pixelstreamingcommon-ue5.5 0.3.3, tried
2026-10.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from keeper.core.text import plain
from keeper.ports import Reached

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
_PLACES = re.compile(r" is full\. Max players = (\d{1,6})\b")


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
    places: int = 0
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
                said = _PLACES.search(seen.message[:_TEXT_MAX])
                self.places = int(said[1]) if said else 0
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


def connected(reply: bytes) -> int | None:
    """Count the players' sockets, by the server's own word; who was refused a place keeps his."""
    try:
        return msgspec.json.decode(reply, type=_Status).player_count
    except (msgspec.MsgspecError, RecursionError):
        return None


class _Streamer(msgspec.Struct, frozen=True):
    subscribers: list[msgspec.Raw]


class _Status(msgspec.Struct, frozen=True):
    player_count: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


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
