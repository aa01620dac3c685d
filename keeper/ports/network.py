"""Looking from the outside, as a viewer does, and delivering messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from keeper.ports.hosts import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One bounded HTTP exchange."""

    method: str
    # Secrets may be in all three (a webhook's address, a token, a routing key): they are in no repr.
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    timeout_s: float = 5.0
    reply_max_bytes: int = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """What came back, cut at the bound."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    elapsed_s: float


class MediaKind(StrEnum):
    """How a viewer gets the picture, besides MJPEG and WebRTC."""

    JPEG = "jpeg"  # one picture at a time, asked for anew
    HLS = "hls"  # a live playlist and its newest segments
    RTMP = "rtmp"  # played from a server, as a player does


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSource:
    """Where a picture comes from. The address may hold a token: it is never logged or put on a command line."""

    kind: MediaKind
    url: str = field(repr=False)
    # The operator has declared the whole address, a public platform's: what it answers may lead to other
    # public addresses. A host's may lead only to itself, or it could have this box ask its own neighbours.
    is_declared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A rectangle of the picture, in shares of its width and height from its top left corner."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLimits:
    """How a picture is looked at; a look stops at whichever comes first."""

    sample_s: float = 2.5
    timeout_s: float = 5.0
    bytes_max: int = 12_000_000
    frames_max: int = 120
    # Where it may move without being live: a clock over a slate, a ticker.
    ignored: tuple[Region, ...] = ()
    # What the look before at the same source has kept (PictureSample.memory); b"": there was none.
    memory: bytes = field(default=b"", repr=False)  # may hold addresses, and those tokens
    # Whether a small JPEG of the newest picture is wanted; to make one costs as much as a third of the look.
    wants_frame: bool = True
    # Whether sound is expected: a look that could be short listens for longer where it has heard none.
    wants_sound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSample:
    """What a viewer received in one sample, in numbers. ``error`` is empty when bytes were asked for
    and the exchange itself worked.
    """

    http_status: int  # 0: no answer
    frames: int
    unique_frames: int
    undecodable_frames: int
    bytes_read: int
    sampled_s: float
    mean_luma: float | None  # 0..255, of the newest decodable frame
    motion: float | None  # mean absolute luma difference of two unique frames, 0..255
    newest_frame: bytes = field(repr=False)  # JPEG, for the thumbnail; empty when none
    error: str = ""  # "refused", "timeout", "reset", "not mjpeg", …
    is_own_fault: bool = False  # the probe failed for a reason on this box
    # The luma that one sample in a hundred of the newest picture exceeds, 0..255: a dark scene has lights.
    bright_luma: float | None = None
    # How far the picture has moved beyond its noise, between the pictures compared (probes/grid.py says
    # how), 0..255. None: there was nothing to compare with.
    change: float | None = None
    compared_s: float = 0.0  # between the first and the last of the pictures compared
    media_s: float = 0.0  # how much of the stream's own time was seen; 0: it does not say
    has_video: bool = True  # False: the stream was read, and there is no picture in it
    has_sound: bool = False  # there is a track of sound
    sound_dbfs: float | None = None  # its loudest tenth of a second; None: none was decoded
    keyframe_interval_s: float | None = None
    latency_s: float | None = None  # behind live, where the source says when it was made
    newest_age_s: float | None = None  # since the newest picture came, by this box's clock
    is_repeat: bool = (
        False  # there was nothing newer than at the look before: this is its sample again
    )
    # For the next look at the same source; of keeper's own making, bounded.
    memory: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerLimits:
    """How a look at a Pixel Streaming server goes, and where it stops; whichever comes first.

    Without ``is_subscribing`` it asks for the list and goes: no application notices that.
    """

    is_subscribing: bool = False
    streamer_id: str = ""  # whom to watch; "", or one that is not listed: the first of the list
    has_rest: bool = False  # the server says over HTTP who else watches: then stay away, or leave
    # The server takes so many players; 0: as many as come. The last place is a person's, and one that cannot
    # be told to be free is not taken.
    places: int = 0
    ignored: tuple[Region, ...] = ()  # as of PictureLimits
    greeting_s: float = 2.0  # a server that hangs accepts the connection and says nothing
    offer_s: float = 4.0  # an application that hangs stays in the list and offers nothing
    sample_s: float = 2.0
    timeout_s: float = 9.0
    frames_max: int = 120


class Reached(StrEnum):
    """How far a player came, in order."""

    NOWHERE = "nowhere"  # nobody accepts the connection
    CONNECTED = "connected"  # somebody does, and does not speak as a signalling server
    GREETED = "greeted"  # the server has sent its configuration
    LISTED = "listed"  # it has said which streamers there are
    SUBSCRIBED = "subscribed"  # one was asked for
    OFFERED = "offered"  # it has offered its media
    MEDIA = "media"  # and the media path is open


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerSample:
    """What a player of a Pixel Streaming server met. Texts are hostile and bounded."""

    reached: Reached
    streamers: tuple[str, ...] = ()
    watched: str = ""  # the streamer that was asked for
    others: int | None = None  # who else watches; None: the server does not tell
    is_full: bool = False  # the server takes no more players
    places: int = 0  # so many it takes, by its own word; 0: it has not said
    has_left: bool = False  # somebody else watches, so this look was not begun, or was cut short
    has_relay: bool | None = None  # the relay has given a place; None: not asked, or not to be told
    picture: PictureSample | None = None
    error: str = ""
    is_own_fault: bool = False  # the probe failed for a reason on this box


class Network(Protocol):
    """Looks from the outside, and delivers messages."""

    async def fetch(self, request: HttpRequest) -> HttpReply:
        """Do one exchange. Raises Unreachable, TimedOut, Uncertain (sent, no whole answer)."""
        ...

    async def dial(self, address: Address, timeout_s: float) -> None:
        """Open and close a TCP connection. Raises Unreachable, TimedOut."""
        ...

    async def sample_mjpeg(
        self, url: str, limits: PictureLimits, *, is_declared: bool = False
    ) -> PictureSample:
        """Watch an MJPEG stream as a viewer would, within the limits. Never raises PortError.

        ``is_declared``: as of MediaSource; where it is not, redirects lead nowhere.
        """
        ...

    async def sample_media(self, source: MediaSource, limits: PictureLimits) -> PictureSample:
        """Look at a picture by other ways than MJPEG and WebRTC, within the limits. Never raises PortError.

        Of the sample ``http_status`` is 200 where a server of another protocol has let us in.
        """
        ...

    async def sample_webrtc(self, url: str, limits: PlayerLimits) -> PlayerSample:
        """Look at a Pixel Streaming server as a player would. Never raises PortError.

        ``url``: where its page is; the same port takes players' sockets.
        """
        ...
