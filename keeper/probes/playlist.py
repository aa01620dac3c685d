"""Reads HLS playlists (RFC 8216): which rendition to look at, and what of it is the newest.

A playlist is hostile text: nothing in it is believed without a bound, and only the newest segments are
kept, however many it lists. It reads no clock and follows no address.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

SEGMENTS_KEPT = 16  # more are never looked at
VARIANTS_MAX = 64  # the largest platforms offer a dozen
LINE_MAX = 8_192  # signed addresses have up to two thousand characters
_ATTRIBUTES_MAX = 64  # RFC 8216 has fifteen
_DURATION_MAX_S = 3_600.0
_NUMBER_DIGITS_MAX = 18
_HEAD = "#EXTM3U"
_IV_BYTES = 16
# RFC 6381 names of what a picture is coded in, as far as their first dot.
_VIDEO_CODECS = frozenset(
    {"avc1", "avc3", "hvc1", "hev1", "dvh1", "dvhe", "vp08", "vp09", "vp8", "vp9", "av01", "mp4v"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One rendition of the same stream."""

    uri: str
    bandwidth_bps: int  # 0: not said
    has_video: bool | None  # None: not said
    sound_uri: str = ""  # where its sound is, when it is not with the picture


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """A part of a file."""

    start: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """How segments are encrypted (EXT-X-KEY)."""

    method: str
    uri: str
    iv: bytes | None  # None: the segment's number is
    key_format: str = "identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialPart:
    """What stands before the segments that follow (EXT-X-MAP)."""

    uri: str
    byte_range: ByteRange | None = None
    lock: Lock | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A few seconds of the stream."""

    uri: str
    sequence: int
    duration_s: float
    joint: int  # how many breaks of the timeline came before it in this playlist
    byte_range: ByteRange | None = None
    initial: InitialPart | None = None
    lock: Lock | None = None
    made_at: datetime | None = None  # of its first frame, by the clock of whoever made it


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A master playlist: several renditions of one stream."""

    variants: tuple[Variant, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Playlist:
    """A media playlist; of its segments the newest few."""

    target_duration_s: float  # 0: not said
    segments: tuple[Segment, ...]
    segment_count: int
    is_ended: bool  # nothing will be added
    is_recording: bool  # and it never was live


def read_playlist(body: bytes) -> Choice | Playlist | None:
    """Read a playlist; None: it is none. Linear in its size, whatever is in it."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    # Only a line feed ends a line: str.splitlines would break addresses at characters of their own.
    lines = text.split("\n")
    if lines[0].strip() != _HEAD:
        return None
    reader = _Reader()
    for line in lines:
        if line and len(line) <= LINE_MAX:
            reader.take(line.strip())
    return reader.done()


def cheapest(variants: tuple[Variant, ...]) -> Variant | None:
    """Choose the rendition to look at: the one of the fewest bytes that has a picture.

    A frozen, black or silent stream is so in all of its renditions, and a look is paid for by the byte. What
    is known to have a picture comes before what does not say.
    """
    seen = [variant for variant in variants if variant.has_video is not False]
    return min(seen, key=_dearness, default=None)


def _dearness(variant: Variant) -> tuple[bool, float]:
    return variant.has_video is None, variant.bandwidth_bps or math.inf


def attributes(text: str) -> dict[str, str]:
    """Take an attribute list apart, without the quotes. What is broken ends it."""
    found: dict[str, str] = {}
    at = 0
    # By hand and forwards only: a regular expression would go back over a line that has no end.
    while len(found) < _ATTRIBUTES_MAX and (equals := text.find("=", at)) >= 0:
        name = text[at:equals].strip(" ,")
        if text[equals + 1 : equals + 2] == '"':
            end = text.find('"', equals + 2)
            if end < 0:
                break
            value = text[equals + 2 : end]
            at = text.find(",", end)
        else:
            at = text.find(",", equals)
            value = text[equals + 1 : at if at >= 0 else len(text)].strip()
        found.setdefault(name, value)
        if at < 0:
            break
    return found


class _Reader:
    """What has been read of a playlist so far."""

    def __init__(self) -> None:
        self._variants: list[Variant] = []
        self._stream: dict[str, str] | None = None  # of the address that comes next
        self._sounds: dict[str, str] = {}  # addresses by group
        self._segments: deque[Segment] = deque(maxlen=SEGMENTS_KEPT)
        self._count = 0
        self._sequence = 0
        self._target_s = 0.0
        self._joint = 0
        self._duration_s: float | None = None  # of the segment that comes next
        self._range = ""
        self._range_end = ("", 0)  # where the last part of which file ended
        self._initial: InitialPart | None = None
        self._lock: Lock | None = None
        self._made_at: datetime | None = None
        self._is_gap = False
        self._is_ended = False
        self._is_recording = False

    def take(self, line: str) -> None:
        """Take one line."""
        if line.startswith("#EXT"):
            name, _, value = line.partition(":")
            tag = _TAGS.get(name)
            if tag is not None:
                tag(self, value)
        elif line and not line.startswith("#"):
            self._address(line)

    def done(self) -> Choice | Playlist:
        """Return what it was."""
        if self._variants and not self._count:
            return Choice(
                variants=tuple(
                    # The group's name stands there until all groups are known.
                    Variant(
                        uri=each.uri,
                        bandwidth_bps=each.bandwidth_bps,
                        has_video=each.has_video,
                        sound_uri=self._sounds.get(each.sound_uri, ""),
                    )
                    for each in self._variants
                )
            )
        return Playlist(
            target_duration_s=self._target_s,
            segments=tuple(self._segments),
            segment_count=self._count,
            is_ended=self._is_ended,
            is_recording=self._is_ended and self._is_recording,
        )

    def _address(self, uri: str) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            if len(self._variants) < VARIANTS_MAX:
                self._variants.append(_variant(uri, stream))
            return
        duration_s, self._duration_s = self._duration_s, None
        if duration_s is None:
            return
        byte_range = self._byte_range(uri)
        # What is missing at the source is told of, and cannot be fetched.
        if not self._is_gap:
            self._segments.append(
                Segment(
                    uri=uri,
                    sequence=self._sequence + self._count,
                    duration_s=duration_s,
                    joint=self._joint,
                    byte_range=byte_range,
                    initial=self._initial,
                    lock=self._lock,
                    made_at=self._made_at,
                )
            )
        self._count += 1
        self._is_gap = False
        self._made_at = _later(self._made_at, duration_s)

    def _byte_range(self, uri: str) -> ByteRange | None:
        said, self._range = self._range, ""
        if not said:
            return None
        file, end = self._range_end
        found = _range_of(said, end if file == uri else 0)
        if found is not None:
            self._range_end = (uri, found.start + found.length)
        return found

    def duration(self, value: str) -> None:
        """How long the next segment is."""
        # One that is not a number is a segment all the same.
        self._duration_s = _seconds(value.partition(",")[0]) or 0.0

    def target(self, value: str) -> None:
        """No segment is longer."""
        self._target_s = _seconds(value) or 0.0

    def number(self, value: str) -> None:
        """The first segment's number."""
        if self._count == 0:  # the tag stands before the first segment, or counts for nothing
            self._sequence = _integer(value) or 0

    def stream(self, value: str) -> None:
        """What the next address is a rendition of."""
        self._stream = attributes(value)

    def media(self, value: str) -> None:
        """Sound that is kept apart from the picture."""
        said = attributes(value)
        if said.get("TYPE") != "AUDIO" or not said.get("URI"):
            return
        group = said.get("GROUP-ID", "")
        if group not in self._sounds and len(self._sounds) >= VARIANTS_MAX:
            return
        if group not in self._sounds or said.get("DEFAULT") == "YES":
            self._sounds[group] = said["URI"]

    def initial(self, value: str) -> None:
        """What the next segments begin with."""
        said = attributes(value)
        uri = said.get("URI", "")
        byte_range = _range_of(said["BYTERANGE"], 0) if "BYTERANGE" in said else None
        self._initial = (
            InitialPart(uri=uri, byte_range=byte_range, lock=self._lock) if uri else None
        )

    def lock(self, value: str) -> None:
        """How the next segments are encrypted."""
        said = attributes(value)
        method = said.get("METHOD", "")
        if method == "NONE":
            self._lock = None
            return
        self._lock = Lock(
            method=method[:40],
            uri=said.get("URI", ""),
            iv=_iv(said.get("IV", "")),
            key_format=said.get("KEYFORMAT", "identity")[:100],
        )

    def made(self, value: str) -> None:
        """When the next segment was made."""
        self._made_at = _moment(value)

    def interruption(self, _: str) -> None:
        """The timeline begins anew."""
        self._joint += 1
        self._made_at = None  # the timeline of before says nothing of what follows

    def gap(self, _: str) -> None:
        """The next segment is missing at the source."""
        self._is_gap = True

    def end(self, _: str) -> None:
        """Nothing will be added."""
        self._is_ended = True

    def type(self, value: str) -> None:
        """Whether it is a recording."""
        self._is_recording = value == "VOD"

    def part(self, value: str) -> None:
        """Which part of its file the next segment is."""
        self._range = value


_TAGS = {
    "#EXTINF": _Reader.duration,
    "#EXT-X-TARGETDURATION": _Reader.target,
    "#EXT-X-MEDIA-SEQUENCE": _Reader.number,
    "#EXT-X-STREAM-INF": _Reader.stream,
    "#EXT-X-MEDIA": _Reader.media,
    "#EXT-X-MAP": _Reader.initial,
    "#EXT-X-KEY": _Reader.lock,
    "#EXT-X-BYTERANGE": _Reader.part,
    "#EXT-X-PROGRAM-DATE-TIME": _Reader.made,
    "#EXT-X-DISCONTINUITY": _Reader.interruption,
    "#EXT-X-GAP": _Reader.gap,
    "#EXT-X-ENDLIST": _Reader.end,
    "#EXT-X-PLAYLIST-TYPE": _Reader.type,
}


def _variant(uri: str, said: dict[str, str]) -> Variant:
    has_video: bool | None = None
    if said.get("RESOLUTION"):
        has_video = True
    elif said.get("CODECS"):
        codecs = {codec.strip().partition(".")[0].lower() for codec in said["CODECS"].split(",")}
        has_video = not codecs.isdisjoint(_VIDEO_CODECS)
    return Variant(
        uri=uri,
        bandwidth_bps=_integer(said.get("BANDWIDTH", "")) or 0,
        has_video=has_video,
        sound_uri=said.get("AUDIO", ""),
    )


def _range_of(text: str, start: int) -> ByteRange | None:
    """Read ``length[@start]``; without a start it begins where the part before it ended."""
    length, _, at = text.partition("@")
    size = _integer(length)
    begin = _integer(at) if at else start
    if not size or begin is None:
        return None
    return ByteRange(start=begin, length=size)


def _integer(text: str) -> int | None:
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > _NUMBER_DIGITS_MAX:
        return None
    return int(text)


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text[:_NUMBER_DIGITS_MAX])
    except ValueError:
        return None
    # Neither negative, nor endless, nor "nan".
    return min(seconds, _DURATION_MAX_S) if seconds >= 0 else None


def _iv(text: str) -> bytes | None:
    digits = text[2:] if text[:2] in {"0x", "0X"} else ""
    if not digits or len(digits) > 2 * _IV_BYTES:
        return None
    try:
        return int(digits, 16).to_bytes(_IV_BYTES, "big")
    except (ValueError, OverflowError):
        return None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text[:40])
        return moment if moment.utcoffset() is not None else None
    except (ValueError, OverflowError):
        return None


def _later(moment: datetime | None, seconds: float) -> datetime | None:
    try:
        return None if moment is None else moment + timedelta(seconds=seconds)
    except OverflowError:
        return None
