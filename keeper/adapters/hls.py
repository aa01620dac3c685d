"""Looks at a live HLS playlist as a player does: the newest segments of its cheapest rendition.

A playlist that has not advanced since the last look costs one small question: its picture is the same. What
it lists is fetched within one bound of bytes and one of time, and what came by then is judged.
"""

from __future__ import annotations

import asyncio
import zlib
from contextlib import suppress
from dataclasses import dataclass

from keeper.adapters.kept import Kept, mark_of
from keeper.adapters.reach import HTTP_OK, Answer, Ended, Reach, joined, origin
from keeper.ports import Clock, PictureLimits
from keeper.probes.playlist import (
    Choice,
    Lock,
    Playlist,
    Segment,
    cheapest,
    read_playlist,
)

# A day of two-second segments has forty-three thousand lines of a hundred bytes.
PLAYLIST_MAX_BYTES = 4_000_000
_INLINE_BYTES = 65_536  # reading more than this holds the loop for longer than 10 ms
_SEGMENTS_MAX = 4
_SEGMENTS_MIN = 2  # two keyframes, where each segment begins with its only one
# A look each ten seconds at a stream of 6 Mbit/s would cost a rented host fifty gigabytes a day, which are
# paid for. Where there is a look before to compare with, one such segment does.
_DEAR_BYTES = 1_000_000
_INITIAL_MAX_BYTES = 262_144  # codec parameters: a kilobyte
_KEY_BYTES = 16
_GZIP = b"\x1f\x8b"
# A player asks anew after one target duration and waits for as much again (RFC 8216, 6.3.4); a slow disk
# or a restart of an encoder is allowed for. What a host states is not believed beyond a bound.
_STALL_TARGETS = 3
_STALL_MIN_S = 6.0
_TARGET_MAX_S = 20.0
# Clocks of two boxes differ; what is stranger than this is no clock.
_LATENCY_MIN_S = -5.0
_LATENCY_MAX_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Segments that belong together, oldest first, with what stands before them."""

    initial: bytes
    segments: tuple[bytes, ...]

    @property
    def parts(self) -> tuple[bytes, ...]:
        """All of it, in order."""
        return (self.initial, *self.segments) if self.initial else self.segments


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one look has found."""

    age_s: float  # of the newest segment, since it was first listed
    is_stalled: bool
    latency_s: float | None = None
    picture: Piece | None = None  # None: the playlist has not advanced
    sound: Piece | None = None  # where it is apart
    has_sound_apart: bool = False


async def take(reach: Reach, url: str, limits: PictureLimits, kept: Kept, clock: Clock) -> Taken:
    """Look once, and note in ``kept`` what the next look needs. Raises Ended."""
    now_s = asyncio.get_running_loop().time()
    playlist, at = await _playlist(reach, url, kept)
    if playlist.is_ended:
        kept.forget_rendition()
        raise Ended("recording" if playlist.is_recording else "ended", status=HTTP_OK)
    if not playlist.segments:
        raise Ended("the playlist is empty", status=HTTP_OK)
    newest = playlist.segments[-1]
    if (name := name_of(newest)) == kept.newest:
        return _same(playlist, now_s, kept, clock)
    picture = await _fetched(
        reach, at, playlist, limits.bytes_max, limits.sample_s, is_compared=bool(limits.memory)
    )
    marks = [mark_of(each) for each in picture.segments]
    kept.newest = name
    if kept.has_seen(marks):
        # Listed under new names, and the same bytes: a loop of old segments, or numbers that go backwards.
        return _same(playlist, now_s, kept, clock)
    kept.note(marks)
    kept.since_s = now_s
    sound = await _sound(reach, kept.sound, limits) if kept.sound else None
    return Taken(
        age_s=0.0,
        is_stalled=False,
        latency_s=_latency_s(newest, clock),
        picture=picture,
        sound=sound,
        has_sound_apart=bool(kept.sound),
    )


def _same(playlist: Playlist, now_s: float, kept: Kept, clock: Clock) -> Taken:
    age_s = now_s - kept.since_s
    target_s = min(playlist.target_duration_s, _TARGET_MAX_S)
    is_stalled = age_s > max(_STALL_MIN_S, _STALL_TARGETS * target_s)
    if is_stalled:
        kept.forget_rendition()
    return Taken(
        age_s=age_s,
        is_stalled=is_stalled,
        latency_s=_latency_s(playlist.segments[-1], clock),
    )


def _latency_s(newest: Segment, clock: Clock) -> float | None:
    """Return how far the end of the newest segment is behind, where the playlist says when it was made."""
    if newest.made_at is None:
        return None
    behind_s = (clock.now() - newest.made_at).total_seconds() - newest.duration_s
    return max(0.0, behind_s) if _LATENCY_MIN_S <= behind_s <= _LATENCY_MAX_S else None


def name_of(segment: Segment) -> str:
    """Name a segment, without what changes from answer to answer: the token in its query."""
    start = segment.byte_range.start if segment.byte_range else 0
    address = segment.uri.partition("?")[0]
    path = address.partition("://")[2].partition("/")[2] if "://" in address else address
    return f"{segment.sequence} {start} {path}"


async def _playlist(reach: Reach, url: str, kept: Kept) -> tuple[Playlist, str]:
    """Return the media playlist to look at, and where its addresses start from."""
    if kept.playlist:
        try:
            found, at = await _read(reach, kept.playlist)
            if isinstance(found, Playlist):
                return found, at
        except Ended as ended:
            is_same_server = origin(kept.playlist) == origin(url)
            if not ended.status and is_same_server:
                raise
        # Its address was good for a while only, as tokens are: ask for all of them again.
        kept.forget_rendition()
    found, at = await _read(reach, url)
    if isinstance(found, Playlist):
        return found, at
    chosen = cheapest(found.variants)
    if chosen is None:
        raise Ended("no rendition has a picture", status=HTTP_OK)
    address = joined(at, chosen.uri)
    sound = ""
    if chosen.sound_uri:
        with suppress(Ended):  # of the picture all is known
            sound = joined(at, chosen.sound_uri)
    media, media_at = await _read(reach, address)
    if isinstance(media, Choice):
        raise Ended("the playlist leads to another choice, not to segments", status=HTTP_OK)
    kept.playlist, kept.sound = address, sound
    return media, media_at


async def _read(reach: Reach, url: str) -> tuple[Choice | Playlist, str]:
    answer = await reach.get(url, PLAYLIST_MAX_BYTES)
    if answer.status != HTTP_OK:
        raise Ended("", status=answer.status)
    body = answer.body
    if body.startswith(_GZIP) or len(body) > _INLINE_BYTES:
        found = await asyncio.to_thread(_unpacked_playlist, body)
    else:
        found = read_playlist(body)
    if answer.is_late:
        raise Ended("timeout", status=HTTP_OK)
    if found is None:
        raise Ended("not playlist", status=HTTP_OK)
    if not answer.is_whole:
        # Its end is what would matter; a part of it looks as if it did not advance.
        said = (
            "too long a playlist" if len(body) >= PLAYLIST_MAX_BYTES else "the playlist breaks off"
        )
        raise Ended(said, status=HTTP_OK)
    return found, answer.url


def _unpacked_playlist(body: bytes) -> Choice | Playlist | None:
    """Read a playlist that may be packed, whether that was asked for or not."""
    if body.startswith(_GZIP):
        try:
            body = zlib.decompressobj(wbits=31).decompress(body, PLAYLIST_MAX_BYTES)
        except zlib.error:
            return None
    return read_playlist(body)


async def _sound(reach: Reach, url: str, limits: PictureLimits) -> Piece | None:
    """Fetch the newest sound that is kept apart from the picture; None: it cannot be had now."""
    try:
        found, at = await _read(reach, url)
        if isinstance(found, Choice) or not found.segments:
            return None
        return await _fetched(reach, at, found, limits.bytes_max, 0.0, is_compared=True)
    except Ended:
        return None


async def _fetched(
    reach: Reach,
    base: str,
    playlist: Playlist,
    bytes_max: int,
    wanted_s: float,
    *,
    is_compared: bool,
) -> Piece:
    """Fetch the newest segments that belong together, the newest one first.

    ``is_compared``: their pictures are compared with those of the look before anyway.
    """
    newest = playlist.segments[-1]
    keys = _Keys(reach, base)
    initial = await _initial(reach, base, newest, keys)
    bodies: list[bytes] = []
    covered_s = 0.0
    for segment in reversed(playlist.segments[-_SEGMENTS_MAX:]):
        # Only what is one timeline: what came before a break was encoded for itself.
        if (segment.joint, segment.initial) != (newest.joint, newest.initial):
            break
        left = bytes_max - reach.bytes_read
        is_dear = is_compared and sum(map(len, bodies)) > _DEAR_BYTES
        is_enough = len(bodies) >= (1 if is_dear or not wanted_s else _SEGMENTS_MIN)
        if left <= 0 or (is_enough and covered_s >= wanted_s):
            break
        answer = await _segment(reach, base, segment, left, is_needed=not bodies)
        if answer is None:
            break
        body = await keys.opened(answer, segment.lock, segment.sequence)
        bodies.append(body)
        covered_s += segment.duration_s
        if not answer.is_whole:
            break  # the time or the bytes of this look are spent
    return Piece(initial=initial, segments=tuple(reversed(bodies)))


async def _segment(
    reach: Reach, base: str, segment: Segment, bytes_max: int, *, is_needed: bool
) -> Answer | None:
    """Fetch one; None: an older one that is gone already, as they may be."""
    try:
        answer = await reach.get(
            joined(base, segment.uri), bytes_max, byte_range=segment.byte_range
        )
    except Ended as ended:
        if is_needed:
            raise Ended(f"a segment: {ended.word}", status=HTTP_OK, is_own=ended.is_own) from ended
        return None
    if answer.status == HTTP_OK:
        return answer
    if is_needed:
        raise Ended("a segment that is listed", status=answer.status)
    return None


async def _initial(reach: Reach, base: str, segment: Segment, keys: _Keys) -> bytes:
    part = segment.initial
    if part is None:
        return b""
    answer = await reach.get(joined(base, part.uri), _INITIAL_MAX_BYTES, byte_range=part.byte_range)
    if answer.status != HTTP_OK:
        raise Ended("the head of the segments", status=answer.status)
    return await keys.opened(answer, part.lock, segment.sequence)


class _Keys:
    """Opens segments whose key the server gives to everybody who asks, as to any player."""

    def __init__(self, reach: Reach, base: str) -> None:
        self._reach, self._base = reach, base
        self._known: dict[str, bytes] = {}

    async def opened(self, answer: Answer, lock: Lock | None, sequence: int) -> bytes:
        """Return what is in a segment of this number."""
        if lock is None:
            return answer.body
        if lock.method != "AES-128" or lock.key_format != "identity" or not lock.uri:
            raise Ended("it is encrypted in a way that keeper does not open", is_own=True)
        key = self._known.get(lock.uri) or await self._fetched(lock)
        self._known[lock.uri] = key
        iv = lock.iv or sequence.to_bytes(_KEY_BYTES, "big")
        return await asyncio.to_thread(_decrypted, answer.body, key, iv)

    async def _fetched(self, lock: Lock) -> bytes:
        answer = await self._reach.get(joined(self._base, lock.uri), _KEY_BYTES + 1)
        if answer.status != HTTP_OK:
            raise Ended("the key of the segments", status=answer.status)
        if len(answer.body) != _KEY_BYTES:
            raise Ended("the key of the segments is none", status=HTTP_OK)
        return answer.body


def _decrypted(body: bytes, key: bytes, iv: bytes) -> bytes:
    """Decrypt AES-128 in CBC mode (RFC 8216, 4.3.2.4). A part of a segment is opened as far as it came."""
    # asyncssh brings it along; loaded when the first encrypted stream is met.
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    decryptor = Cipher(algorithms.AES128(key), modes.CBC(iv)).decryptor()
    plain = decryptor.update(body[: len(body) // _KEY_BYTES * _KEY_BYTES]) + decryptor.finalize()
    padding = plain[-1] if plain else 0
    is_padded = 0 < padding <= _KEY_BYTES and plain.endswith(bytes([padding]) * padding)
    return plain[:-padding] if is_padded else plain
