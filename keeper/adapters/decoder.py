"""Has what strangers sent decoded, in a few processes of its own that can be killed.

The loop only carries bytes there and a line of numbers back. How many processes there are is bounded: looks
take turns, and a source that has been slow leaves one of them to the others. Nothing is raised but
cancellation: whatever happens becomes a Decoded.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib.util
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from keeper.adapters.decoder_pool import Answer, Died, Late, Pool, Still
from keeper.core.text import plain
from keeper.ports import PictureLimits, PictureSample
from keeper.probes.grid import CELLS, Shot, compare

_DECODE_S = 4.0  # a child ends itself at this; it is killed soon after
_MARGIN_S = 1.0
_SLOW_S = 0.3  # of processor time; the usual look takes a hundredth of a second
_SOURCES_MAX = 4_096
_STILLS_MAX = 1_024  # of a kilobyte each
_JPEG_MAX = 1_000_000
_MEMORY_MAX = 100_000
_TEXT_MAX = 200
_DECODERS = 2
# Players wait most of the time: what bounds them is memory. A look lasts one distance of keyframes, so eight
# serve some twenty sources in ten seconds.
_PLAYERS = (8, 32)
_PLAYERS_A_CORE = 4
_PLAYERS_OF_MEMORY = 8  # one part in so many may be theirs
_PLAYER_BYTES = 90_000_000
# One crash may be ours. Two in a row in two processes, on looks some seconds apart, are what any player
# would meet: without this a stream that breaks decoders would be unknown, and left alone, for ever.
_CRASHES_MAX = 2

_Value = TypeVar("_Value")


class _Kind(StrEnum):
    """What a child is for; it loads no more than that needs."""

    STILLS = "stills"
    SEGMENTS = "segments"
    PLAY = "play"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What decoding has shown, in numbers; those of ports.PictureSample have its meaning."""

    frames: int = 0
    unique_frames: int = 0  # of streams: judged by the sizes of their packets
    undecodable_frames: int = 0
    mean_luma: float | None = None
    bright_luma: float | None = None
    motion: float | None = None
    change: float | None = None
    compared_s: float = 0.0
    media_s: float = 0.0
    has_video: bool = True
    has_sound: bool = False
    sound_dbfs: float | None = None
    keyframe_interval_s: float | None = None
    newest_frame: bytes = field(default=b"", repr=False)
    memory: bytes = field(default=b"", repr=False)
    error: str = ""
    is_own_fault: bool = False
    http_status: int = 200  # of what was played
    bytes_read: int = 0  # of the tracks that were looked at
    sampled_s: float = 0.0  # of what was played
    newest_age_s: float | None = None  # likewise

    def sample(self, **more: Any) -> PictureSample:
        """Return the sample; ``more`` is what the caller knows better (bytes_read, sampled_s, …)."""
        return PictureSample(**{**asdict(self), **more})


class Decoders:
    """Decoders of one box. Made in a running loop or before; closed once."""

    def __init__(self, *, decoders: int = _DECODERS, players: int | None = None) -> None:
        self._has_extra = importlib.util.find_spec("av") is not None
        most = min(decoders, os.cpu_count() or 1)
        self._players = players or players_of(os.cpu_count() or 1, _memory_bytes())
        self._pools = {
            _Kind.STILLS: Pool(_Kind.STILLS, most),
            _Kind.SEGMENTS: Pool(_Kind.SEGMENTS, most),
            _Kind.PLAY: Pool(_Kind.PLAY, self._players),
        }
        self._slow: OrderedDict[str, int] = OrderedDict()
        self._crashes: OrderedDict[str, int] = OrderedDict()
        # What has been decoded: the same bytes are the same picture.
        self._stills: OrderedDict[str, Still] = OrderedDict()
        # Which picture of a source was handed out small: who looks again has it already.
        self._shown: OrderedDict[str, str] = OrderedDict()

    async def segments(
        self, parts: Sequence[bytes], limits: PictureLimits, *, source: str = ""
    ) -> Decoded:
        """Decode segments in order, as one: MPEG-TS, fMP4 (its header first), or AAC alone.

        ``source`` names whose they are, so that one that is slow does not hold up the others.
        """
        return await self._stream(_Kind.SEGMENTS, parts, {}, limits, source)

    async def rtmp(self, url: str, limits: PictureLimits) -> Decoded:
        """Play from an RTMP server for as long as the limits say, and leave."""
        return await self._stream(_Kind.PLAY, (), {"url": url}, limits, url)

    async def jpegs(
        self,
        frames: Sequence[bytes],
        limits: PictureLimits,
        *,
        at_s: Sequence[float] = (),
        source: str = "",
    ) -> Decoded:
        """Decode two or three JPEGs, the newest last, and compare them.

        ``at_s``: when each came, on the running loop's clock; without it all came now. Of one picture
        that was seen before, the look before (there is a memory of it) has the small one, too.
        """
        if not frames:
            return Decoded(memory=limits.memory)
        now_s = asyncio.get_running_loop().time()
        times_s = list(at_s) or [now_s] * len(frames)
        name = _digest(frames[0]) if len(frames) == 1 else ""  # one alone may have been seen before
        known = self._stills.get(name)
        whose = _digest(source.encode("utf-8", "replace"))
        has_frame = bool(limits.memory) and self._shown.get(whose) == name
        if known is not None and (has_frame or not limits.wants_frame):
            return _same(known, times_s[-1], limits)
        answer = await self._run(_Kind.STILLS, frames, {"at_s": times_s}, limits, source)
        if name and answer.stills and (still := answer.stills[0]) is not None:
            _note(self._stills, name, still, _STILLS_MAX)
        if answer.jpeg:
            _note(self._shown, whose, name, _SOURCES_MAX)
        return _decoded(answer, limits)

    async def close(self) -> None:
        """End all children, at once."""
        for pool in self._pools.values():
            await pool.close()

    async def _stream(
        self,
        kind: _Kind,
        parts: Sequence[bytes],
        more: dict[str, Any],
        limits: PictureLimits,
        source: str,
    ) -> Decoded:
        if not self._has_extra:
            answer = _own_fault("the extra `media` of keeper is not installed")
        else:
            answer = await self._run(kind, parts, more, limits, source)
        return _decoded(answer, limits)

    async def _run(
        self,
        kind: _Kind,
        parts: Sequence[bytes],
        more: dict[str, Any],
        limits: PictureLimits,
        source: str,
    ) -> Answer:
        name = _digest(source.encode("utf-8", "replace"))
        deadline_s = limits.timeout_s if kind is _Kind.PLAY else _DECODE_S
        job = {
            "kind": kind.value,
            "deadline_s": deadline_s + _MARGIN_S,
            "timeout_s": limits.timeout_s,
            "sample_s": limits.sample_s,
            "bytes_max": limits.bytes_max,
            "now_s": asyncio.get_running_loop().time(),
            "sizes": [len(part) for part in parts],
            "memory": base64.b64encode(limits.memory).decode("ascii"),
            "ignored": [asdict(region) for region in limits.ignored],
            "wants_frame": limits.wants_frame,
            "wants_sound": limits.wants_sound,
            **more,
        }
        try:
            async with self._pools[kind].child(is_slow=name in self._slow) as child:
                began_s = asyncio.get_running_loop().time()
                answer = await child.do(job, parts, deadline_s + 2 * _MARGIN_S)
                took_s = asyncio.get_running_loop().time() - began_s
        except TimeoutError:
            if kind is _Kind.PLAY:
                return _own_fault(
                    f"no player was free in time: {self._players} looks play at once, and more are due"
                )
            return _own_fault("no decoder was free in time")
        except Late:
            _note(self._slow, name, 1, _SOURCES_MAX)
            return _own_fault("decoding took too long")
        except Died as death:
            _note(self._slow, name, 1, _SOURCES_MAX)
            return self._death(death, name)
        except OSError as error:
            return _own_fault(f"no decoder can be started: {type(error).__name__}")
        self._crashes.pop(name, None)
        # A server that says nothing costs no processor time, and yet keeps a child until the end.
        is_idle = kind is _Kind.PLAY and not answer.frames and took_s > limits.timeout_s / 2
        if answer.cpu_s > _SLOW_S or is_idle:
            _note(self._slow, name, 1, _SOURCES_MAX)
        else:
            self._slow.pop(name, None)
        return answer

    def _death(self, death: Died, name: str) -> Answer:
        if not death.is_crash:
            return _own_fault("the decoder was ended")
        crashes = self._crashes.get(name, 0) + 1
        _note(self._crashes, name, crashes, _SOURCES_MAX)
        if crashes < _CRASHES_MAX:
            return _own_fault("the decoder has died of it")
        return Answer(error="decoders die of it", undecodable=1)


def players_of(cores: int, memory_bytes: int) -> int:
    """Say how many looks may play at once on a box: by its cores, and an eighth of its memory."""
    least, most = _PLAYERS
    by_memory = memory_bytes // _PLAYERS_OF_MEMORY // _PLAYER_BYTES
    return max(least, min(most, cores * _PLAYERS_A_CORE, by_memory))


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _note(known: OrderedDict[str, _Value], name: str, value: _Value, most: int) -> None:
    known[name] = value
    known.move_to_end(name)
    if len(known) > most:
        known.popitem(last=False)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def _same(known: Still, at_s: float, limits: PictureLimits) -> Decoded:
    """Say what is known of a picture that was decoded before, as if it had been again."""
    grid = _bytes(known.grid, CELLS)
    found = compare(limits.memory, [Shot(at_s=at_s, grid=grid)], limits.ignored, are_stills=True)
    return Decoded(
        mean_luma=known.luma,
        bright_luma=known.bright,
        change=found.change,
        compared_s=max(0.0, found.compared_s),
        memory=found.memory,
    )


def _own_fault(error: str) -> Answer:
    return Answer(error=error, is_own_fault=True)


def _decoded(answer: Answer, limits: PictureLimits) -> Decoded:
    """Take a child's word within bounds; a memory that it has not kept stays as it was."""
    return Decoded(
        frames=answer.frames,
        unique_frames=answer.unique,
        undecodable_frames=answer.undecodable,
        mean_luma=answer.luma,
        bright_luma=answer.bright,
        motion=answer.motion,
        change=answer.change,
        compared_s=answer.compared_s,
        media_s=answer.media_s,
        has_video=answer.has_video,
        has_sound=answer.has_sound,
        sound_dbfs=answer.sound_dbfs,
        keyframe_interval_s=answer.keyframe_interval_s,
        newest_frame=_bytes(answer.jpeg, _JPEG_MAX),
        memory=_bytes(answer.memory, _MEMORY_MAX) or limits.memory,
        error=plain(answer.error, _TEXT_MAX),
        is_own_fault=answer.is_own_fault,
        http_status=answer.status,
        bytes_read=answer.bytes,
        sampled_s=answer.sampled_s,
        newest_age_s=answer.newest_age_s,
    )


def _bytes(text: str, most: int) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return data if len(data) <= most else b""
