"""Watches an opened stream: keyframes decoded and measured, everything else only counted.

Runs in the decoder's process. How much is looked at is bounded here, in pictures and pixels; memory and
processor time are bounded by the kernel.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import av

from keeper.adapters.measure import (
    Packets,
    Picture,
    Sound,
    cells_of,
    luma_of,
    motion_of,
    picture_of,
)
from keeper.adapters.repeats import RUN_MAX
from keeper.adapters.still import THUMBNAIL_QUALITY, THUMBNAIL_WIDTH

PIXELS_MAX = 40_000_000  # an 8K frame has 33 million
PICTURES_MAX = 24
_RUN_MAX = 121  # packets: two seconds of sixty a second
# Of a stream that is all keyframes a few tell as much.
_APART_S = 0.24
# A clock that jumps further than this has been set anew: another broadcast, or another encoder.
_JUMP_S = 10.0
_BLOCK = 16 * 16
_WORK_S = 1.5  # of processor time; the kernel ends a decoder at twice as much
_SOUND_DUE_S = 1.0
# What viewers' players decode; the rest of what the library can would only be a larger door.
_CODECS = frozenset(
    {
        *("h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mpeg2video", "mpeg4", "mjpeg", "flv"),
        *("aac", "mp3", "mp3float", "mp2", "mp2float", "ac3", "eac3", "opus", "libopus"),
        *("vorbis", "flac", "pcm_mulaw", "pcm_alaw", "pcm_s16le", "nellymoser", "speex"),
    }
)


class Watching:
    """What was seen and heard of one stream."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self.packets = Packets()
        self.sound = Sound()
        self.pictures: list[Picture] = []
        self._heard = 0  # packets
        self._shown = 0  # keyframes
        self._raised = 0  # keyframes that could not be decoded at all
        self._torn = 0  # and those that were, with holes
        self.bytes_read = 0
        self.sound_s = 0.0
        self.error = ""
        self._video = _first(container.streams.video)
        self._audio = _first(container.streams.audio)
        self._is_refused = False
        self._began_s = time.process_time()
        self._tick_s = 0.0
        self._newest: Any = None
        self._clock_s: float | None = None  # the stream's own, of the packet before
        self._shift_s = 0.0
        self._at_s: dict[int, float] = {}  # of keyframes under way, by their stamp
        self._run: list[
            tuple[Any, float]
        ] = []  # packets from the newest keyframe on, and their moments
        self._longest: list[tuple[Any, float]] = []
        if self._video is not None:
            self._prepare(self._video)

    @property
    def has_video(self) -> bool:
        """Whether there is a track of pictures."""
        return self._video is not None

    @property
    def has_sound(self) -> bool:
        """Whether there is a track of sound with something in it: some servers declare one in any case."""
        is_due = self.packets.span_s >= _SOUND_DUE_S
        return self._audio is not None and (self._heard > 0 or not is_due)

    @property
    def undecodable(self) -> int:
        """How many frames are broken: with a keyframe, all that build upon it."""
        tried = self._shown + self._raised
        share = min(1.0, (self._raised + self._torn) / tried) if tried else 0.0
        return max(self._raised, math.ceil(share * self.packets.count)) if share else 0

    @property
    def motion(self) -> float | None:
        """How much the newest picture differs from the first one; None: there were not two."""
        if len(self.pictures) < 2:  # noqa: PLR2004
            return None
        return motion_of(self.pictures[0], self.pictures[-1])

    def watch(self, is_over: Callable[[], bool]) -> None:
        """Take packets until the stream or the look is over."""
        tracks = [track for track in (self._video, self._audio) if track is not None]
        if not tracks:
            self.error = "there is no track of a kind that is known here"
            return
        try:
            for packet in self._container.demux(*tracks):
                self._take(packet)
                if is_over():
                    break
        except (av.error.FFmpegError, LookupError, ValueError) as error:
            # What came before it counts. No such track: one has begun under way.
            self.error = f"it breaks off: {type(error).__name__}"
        if self._video is not None and self.packets.keyframes_s and not self._is_refused:
            self._decode(None)
            if not self.pictures and not self._raised:
                self.error, self._raised = "no picture can be decoded", 1
        self.sound.end_window()
        if not self.packets.count and not self.sound_s:
            self.error = self.error or "there is nothing in it"

    def show(self) -> None:
        """Bring out a picture that its decoder holds back until others come; it goes on at a keyframe."""
        if not self.pictures and self.packets.keyframes_s and not self._is_refused:
            self._decode(None)
            self._video.codec_context.flush_buffers()

    def look_closer(self) -> None:
        """Look between keyframes, too: a mouth may be shut in each of them, and a loop as long as they are apart.

        It costs ten times as much as keyframes alone, so it is for pictures that seem to stand. What is coded
        as a repetition is taken for one.
        """
        run = max(self._longest, self._run, key=len)
        if len(run) < 2 or not self.pictures or self._is_refused:  # noqa: PLR2004
            return
        if all(self.packets.repeats.is_repeat(packet) for packet, _ in run[1:]):
            shown = [each for each in self.pictures if each.at_s <= run[0][1]]
            self._insert(replace((shown or self.pictures)[-1], at_s=run[-1][1]))
            return
        context = self._video.codec_context
        context.flush_buffers()
        context.skip_frame = "NONREF"
        first_pts, first_s = run[0][0].pts or 0, run[0][1]
        shown_s = first_s
        for packet, _ in [*run, (None, 0.0)]:
            if self._is_spent():
                break
            for frame in self._frames_of(packet):
                at_s = first_s + float((frame.pts - first_pts) * run[0][0].time_base)
                if at_s - shown_s >= _APART_S:
                    shown_s = at_s
                    with suppress(ValueError, IndexError, AttributeError):
                        self._insert(picture_of(frame, at_s))

    def count_new(self, *, has_moved: bool) -> None:
        """Count the frames that show something new, by decoding some of them where their sizes leave a doubt."""
        repeats, run = self.packets.repeats, max(self._longest, self._run, key=len)[:RUN_MAX]
        if not repeats.is_doubtful or self._is_refused:
            return
        if not has_moved and all(repeats.is_repeat(packet) for packet, _ in run[1:]):
            return  # it stands, and is coded as standing
        context = self._video.codec_context
        context.flush_buffers()
        context.skip_frame = "DEFAULT"
        cells = []
        for packet, _ in [*run, (None, 0.0)]:
            if self._is_spent():
                break
            for frame in self._frames_of(packet):
                with suppress(ValueError, IndexError, AttributeError):
                    cells.append(cells_of(luma_of(frame)))
        repeats.settle(cells)

    def _frames_of(self, packet: Any) -> list[Any]:
        try:
            frames = self._video.codec_context.decode(packet)
        except (av.error.FFmpegError, ValueError):
            return []
        return [frame for frame in frames if frame.pts is not None]

    def _is_spent(self) -> bool:
        """Whether this look has cost enough: a picture of 8K that stands must not end its decoder."""
        return time.process_time() - self._began_s > _WORK_S

    def _insert(self, picture: Picture) -> None:
        self.pictures.append(picture)
        self.pictures.sort(key=lambda each: each.at_s)

    def thumbnail(self) -> bytes:
        """Return the newest picture as a small JPEG; b"": there is none."""
        frame = self._newest
        if frame is None:
            return b""
        width = min(frame.width, THUMBNAIL_WIDTH)
        height = max(2, frame.height * width // frame.width // 2 * 2)
        out = io.BytesIO()
        small = frame.to_image(
            width=max(2, width // 2 * 2),
            height=min(height, 4 * THUMBNAIL_WIDTH),
            interpolation="AREA",  # a third of the usual one's time
            threads=1,  # a decoder may start none, and only root is let
        )
        small.save(out, "JPEG", quality=THUMBNAIL_QUALITY)
        return out.getvalue()

    def _prepare(self, video: Any) -> None:
        context = video.codec_context
        self._tick_s = float(video.time_base)
        if video.width * video.height > PIXELS_MAX:
            self.error, self._raised = "the picture is huge", 1
            self._is_refused = True
            return
        context.thread_count = 1
        context.skip_frame = "NONKEY"
        context.options = {"max_pixels": str(PIXELS_MAX)}

    def _take(self, packet: Any) -> None:
        self.bytes_read += packet.size
        if packet.stream is self._audio:
            self._hear(packet)
        elif packet.size:
            at_s = self._moment_s(packet)
            self.packets.add(packet, at_s)
            self._keep(packet, at_s)
            if packet.is_keyframe and not self._is_refused and self._is_worth_it(at_s):
                self._at_s[packet.pts] = at_s
                self._decode(packet)

    def _keep(self, packet: Any, at_s: float) -> None:
        if packet.is_keyframe:
            self._longest = max(self._longest, self._run, key=len)
            self._run = [(packet, at_s)]
        elif self._run and len(self._run) < _RUN_MAX:
            self._run.append((packet, at_s))

    def _moment_s(self, packet: Any) -> float:
        """Return when a packet is due, on a clock that goes on where the stream's is set anew."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None:
            return 0.0 if self._clock_s is None else self._clock_s + self._shift_s
        clock_s: float = stamp * self._tick_s
        if self._clock_s is not None and not 0 <= clock_s - self._clock_s <= _JUMP_S:
            self._shift_s += self._clock_s - clock_s
        self._clock_s = clock_s
        return clock_s + self._shift_s

    def _is_worth_it(self, at_s: float) -> bool:
        if self._is_spent() and len(self.pictures) >= 2:  # noqa: PLR2004 - enough to compare
            return False
        if len(self.pictures) + self._raised >= PICTURES_MAX:
            return False
        return not self.pictures or at_s - self.pictures[-1].at_s >= _APART_S

    def _decode(self, packet: Any) -> None:
        try:
            frames = self._video.codec_context.decode(packet)
        except (av.error.FFmpegError, ValueError):
            self._raised += 1
            return
        for frame in frames:
            at_s = self._at_s.get(frame.pts, self.packets.keyframes_s[-1])
            try:
                picture = picture_of(frame, at_s)
            except (ValueError, IndexError, AttributeError):
                self._raised += 1
                continue
            self._shown, self._torn = self._shown + 1, self._torn + bool(frame.is_corrupt)
            self.pictures.append(picture)
            self.packets.repeats.blocks = frame.width * frame.height // _BLOCK
            self._newest = frame

    def _hear(self, packet: Any) -> None:
        self._heard += packet.size > 0  # the last one has nothing in it
        if self.sound.is_settled:
            self.sound_s += float((packet.duration or 0) * packet.time_base)
            return
        try:
            for frame in packet.decode():
                self.sound.add(frame)
                self.sound_s += frame.samples / max(1, frame.sample_rate)
        except (av.error.FFmpegError, ValueError):
            return  # a torn packet of sound; what is missing shows as silence


def _first(tracks: Any) -> Any:
    for track in tracks:
        if track.codec_context is not None and track.codec_context.name in _CODECS:
            return track
    return None
