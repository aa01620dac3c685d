"""Looks at playlists, played streams and single pictures: what a viewer gets, in numbers.

Every look is bounded in time, bytes and frames. What strangers made is decoded in a process that can be
killed and that holds no secret. Nothing is raised: whatever happens becomes a sample.
"""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import dataclass, replace
from typing import assert_never

from keeper.adapters import hls, snapshot
from keeper.adapters.clock import SystemClock
from keeper.adapters.decoder import Decoded, Decoders
from keeper.adapters.kept import Kept, grids_of, recalled, written
from keeper.adapters.reach import HTTP_OK, Ended, Reach
from keeper.ports import Clock, MediaKind, MediaSource, PictureLimits, PictureSample

# Of a look's time; the rest is the decoder's. What has not come by then has come too late for a player, too.
_FETCH_SHARE = 0.8
_NOTHING = PictureSample(
    http_status=0,
    frames=0,
    unique_frames=0,
    undecodable_frames=0,
    bytes_read=0,
    sampled_s=0.0,
    mean_luma=None,
    motion=None,
    newest_frame=b"",
)


def is_installed() -> bool:
    """Whether this box can decode video: the extra brings FFmpeg, and not everybody needs it."""
    return importlib.util.find_spec("av") is not None


@dataclass(slots=True)
class _Look:
    """One look while it is being taken."""

    source: MediaSource
    limits: PictureLimits  # whose memory is the grids only
    kept: Kept
    reach: Reach
    began_s: float

    def sampled_s(self) -> float:
        return asyncio.get_running_loop().time() - self.began_s

    def ended(self, sample: PictureSample, *, grids: bytes = b"") -> PictureSample:
        """Return the sample with what the next look is to know."""
        return replace(
            sample,
            bytes_read=sample.bytes_read or self.reach.bytes_read,
            sampled_s=self.sampled_s(),
            memory=written(self.kept, grids or self.limits.memory, self.source.url),
        )


class Media:
    """Looks of one box."""

    def __init__(self, *, decoders: Decoders, clock: Clock | None = None) -> None:
        self._decoders = decoders
        self._clock = clock or SystemClock()

    async def sample(self, source: MediaSource, limits: PictureLimits) -> PictureSample:
        """Look once, within the limits."""
        if source.kind is MediaKind.RTMP:
            return (await self._decoders.rtmp(source.url, limits)).sample()
        look = _Look(
            source=source,
            limits=replace(limits, memory=grids_of(limits.memory)),
            kept=recalled(limits.memory, source.url),
            reach=Reach(
                source.url,
                is_declared=source.is_declared,
                timeout_s=limits.timeout_s * _FETCH_SHARE,
            ),
            began_s=asyncio.get_running_loop().time(),
        )
        try:
            match source.kind:
                case MediaKind.HLS:
                    return await self._playlist(look)
                case MediaKind.JPEG:
                    return await self._snapshot(look)
                case _:
                    assert_never(source.kind)
        except Ended as ended:
            return look.ended(
                replace(
                    _NOTHING,
                    http_status=ended.status,
                    error=ended.word,
                    is_own_fault=ended.is_own,
                )
            )
        finally:
            await look.reach.close()

    async def _playlist(self, look: _Look) -> PictureSample:
        kept, limits = look.kept, look.limits
        taken = await hls.take(look.reach, look.source.url, limits, kept, self._clock)
        if taken.is_stalled:
            return look.ended(_timed(replace(_NOTHING, error="stalled"), taken))
        if taken.picture is None:
            # Nothing new is due yet. It is the picture of the last look, and costs nothing.
            return look.ended(replace(_timed(kept.sample or _NOTHING, taken), is_repeat=True))
        await look.reach.close()  # decoding is no reason to keep a server waiting
        found = await self._decoders.segments(taken.picture.parts, limits, source=look.source.url)
        if taken.has_sound_apart and not found.is_own_fault:
            found = await self._with_sound(found, taken.sound, look)
        size = sum(
            map(len, taken.picture.parts)
        )  # without the playlists: it is the stream's bitrate
        return _timed(self._decoded(look, replace(found, bytes_read=size)), taken)

    async def _with_sound(self, found: Decoded, sound: hls.Piece | None, look: _Look) -> Decoded:
        """Add the sound that is kept apart from the picture; not known is not silent."""
        heard = None
        if sound is not None:
            limits = replace(look.limits, memory=b"", wants_frame=False)
            heard = await self._decoders.segments(sound.parts, limits, source=look.source.url)
        if heard is None or heard.is_own_fault or not heard.has_sound:
            return replace(found, has_sound=True, sound_dbfs=None)
        return replace(found, has_sound=True, sound_dbfs=heard.sound_dbfs)

    async def _snapshot(self, look: _Look) -> PictureSample:
        kept, limits = look.kept, look.limits
        taken = await snapshot.take(look.reach, look.source.url, limits, kept)
        tally = taken.tally
        if taken.is_same and kept.sample is not None:
            # The same bytes are the same picture: nothing of it has to be decoded again.
            return look.ended(
                replace(
                    kept.sample,
                    bytes_read=look.reach.bytes_read,
                    frames=tally.frames,
                    unique_frames=tally.unique,
                    motion=None,
                    change=0.0,
                    compared_s=taken.age_s,
                    newest_age_s=taken.age_s,
                    newest_frame=await self._not_yet_shown(look, tally.newest),
                )
            )
        await look.reach.close()
        found = Decoded(memory=limits.memory)
        if tally.newest:
            found = await self._decoders.jpegs(
                [picture for _, picture in taken.shots],
                limits,
                at_s=[at_s for at_s, _ in taken.shots],
                source=look.source.url,
            )
        found = replace(
            found,
            bytes_read=look.reach.bytes_read,
            frames=tally.frames,
            unique_frames=tally.unique,
            undecodable_frames=found.undecodable_frames + tally.damaged,
        )
        kept.is_shown = bool(found.newest_frame)
        return replace(self._decoded(look, found), newest_age_s=taken.age_s)

    async def _not_yet_shown(self, look: _Look, picture: bytes) -> bytes:
        """Return the picture of the look before small, if one is wanted that no look has made."""
        if look.kept.is_shown or not look.limits.wants_frame:
            return b""
        alone = replace(look.limits, memory=b"")
        found = await self._decoders.jpegs([picture], alone, source=look.source.url)
        look.kept.is_shown = bool(found.newest_frame)
        return found.newest_frame

    def _decoded(self, look: _Look, found: Decoded) -> PictureSample:
        sample = found.sample(http_status=HTTP_OK)
        if found.is_own_fault:
            look.kept.newest = ""  # it was not seen: the next look fetches it again
            look.kept.pieces = []
        look.kept.sample = None if found.is_own_fault else sample
        return look.ended(sample, grids=found.memory)

    async def close(self) -> None:
        """End what decodes."""
        await self._decoders.close()


def _timed(sample: PictureSample, taken: hls.Taken) -> PictureSample:
    return replace(sample, http_status=HTTP_OK, newest_age_s=taken.age_s, latency_s=taken.latency_s)
