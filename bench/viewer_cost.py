"""What a look at a picture costs, against the least that could see as much and what others would run.

The segment is two seconds of 720p at thirty frames a second, with sound. Ours is a whole job: the bytes go to
the decoder's process and its numbers come back, and the CPU of both processes counts.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageStat

from bench.measure import Row, Side, absent, against, cpu_of_process_s, in_turn, now
from keeper.adapters.decoder import Decoded, Decoders
from keeper.ports import PictureLimits
from tests.coded_clip import noisy

_LOOKS = 10
_LAG_LOOKS = 50
_UNIT = "ms CPU a look"
_TICK_S = 0.001
_SECONDS = 2.0


async def costs() -> list[Row]:
    """Measure what a look costs."""
    ffmpeg, ffprobe = shutil.which("ffmpeg"), shutil.which("ffprobe")
    if ffmpeg is None or ffprobe is None:
        return [absent("viewer.segment", 1.5, "ffmpeg is not installed: make system")]
    there = Decoders(decoders=1)
    with tempfile.TemporaryDirectory() as name:
        files = _clips(ffmpeg, Path(name))
        clips = [file.read_bytes() for file in files]
        try:
            return [
                *await _segments(there, clips),
                *await _others(there, clips, _programs(ffmpeg, ffprobe, files[0])),
                *await _stills(there),
                *await _lags(clips[0]),
            ]
        finally:
            await there.close()


def _clips(ffmpeg: str, folder: Path) -> list[Path]:
    """Make two segments of one stream: everything moves, 3 Mbit/s, a keyframe a second, and a tone."""
    words = "-hide_banner -loglevel error -nostdin -f lavfi -i testsrc2=size=1280x720:rate=30"
    words += " -f lavfi -i sine=frequency=440:sample_rate=48000 -t 4 -threads 1"
    words += " -c:v libx264 -preset veryfast -g 30 -sc_threshold 0 -b:v 3M -pix_fmt yuv420p"
    words += f" -c:a aac -b:a 128k -f segment -segment_time {_SECONDS:g} -segment_format mpegts"
    subprocess.run([ffmpeg, *words.split(), str(folder / "%d.ts")], check=True)
    return [folder / "0.ts", folder / "1.ts"]


def _programs(ffmpeg: str, ffprobe: str, file: Path) -> tuple[list[str], list[str]]:
    quiet = ["-hide_banner", "-loglevel", "error", "-nostdin", "-threads", "1"]
    detect = [ffmpeg, *quiet, "-i", str(file), "-vf", "freezedetect,blackdetect"]
    show = [ffprobe, "-loglevel", "error", "-show_streams", "-show_packets", str(file)]
    return [*detect, "-an", "-f", "null", "-"], show


async def _segments(there: Decoders, clips: list[bytes]) -> list[Row]:
    limits = PictureLimits(wants_frame=False)
    plain, pictured = _ours(there, clips, limits), _ours(there, clips, PictureLimits())
    ours, with_frame, floor = await in_turn(plain, pictured, _bare(clips[0]))
    return [
        against(
            "viewer.segment",
            ours,
            floor,
            goal=1.5,
            unit=_UNIT,
            note="bare PyAV, keyframes only, every 8th sample; ours hears the sound, too",
        ),
        against(
            "viewer.segment_and_thumbnail",
            with_frame,
            floor,
            goal=None,
            unit=_UNIT,
            note="the same, ours with a small JPEG",
        ),
    ]


async def _others(
    there: Decoders, clips: list[bytes], programs: tuple[list[str], list[str]]
) -> list[Row]:
    detect, show = programs
    ours, detectors, probe = await in_turn(
        _ours(there, clips, PictureLimits(wants_frame=False)), _program(detect), _program(show)
    )
    return [
        against(
            "viewer.detectors",
            ours,
            detectors,
            goal=1 / 15,
            unit=_UNIT,
            note="ffmpeg freezedetect+blackdetect",
            is_peer=True,
        ),
        against(
            "viewer.ffprobe",
            ours,
            probe,
            goal=1 / 6,
            unit=_UNIT,
            note="ffprobe -show_streams -show_packets",
            is_peer=True,
        ),
    ]


async def _stills(there: Decoders) -> list[Row]:
    """Two frames of MJPEG, against decoding the same two in a thread of the daemon."""
    frames = [_jpeg(noisy(index, (1280, 720))) for index in (0, 40)]

    async def look() -> Decoded:
        return await there.jpegs(frames, PictureLimits(wants_frame=False))

    async def pictured() -> Decoded:
        return await there.jpegs(frames, PictureLimits())

    async def bare() -> float:
        began = time.process_time()
        for _ in range(_LOOKS):
            for frame in frames:
                with Image.open(io.BytesIO(frame)) as image:
                    image.draft("L", (64, 64))
                    ImageStat.Stat(image.convert("L").resize((64, 64)))
        return (time.process_time() - began) / _LOOKS * 1e3

    ours, with_frame, floor = await in_turn(_cpu(look), _cpu(pictured), bare)
    return [
        against(
            "viewer.mjpeg",
            ours,
            floor,
            goal=1.5,
            unit=_UNIT,
            note="bare Pillow, two frames of 720p decoded small",
        ),
        against(
            "viewer.mjpeg_and_thumbnail",
            with_frame,
            floor,
            goal=None,
            unit=_UNIT,
            note="the same, ours with a small JPEG",
        ),
    ]


# --- the loop -----------------------------------------------------------------------------------------


async def _lags(clip: bytes) -> list[Row]:
    """Say how long the loop was held, at worst, while many looks ran; and while nothing did."""
    worst: list[float] = []
    idle: list[float] = []
    for _ in range(5):
        there = Decoders()
        await there.segments([clip], PictureLimits())  # a start holds nobody, but is another matter

        async def looks(there: Decoders = there) -> None:
            await asyncio.gather(
                *(there.segments([clip], PictureLimits()) for _ in range(_LAG_LOOKS))
            )

        began = time.perf_counter()
        worst.append(await _lag_ms(looks()))
        took_s = time.perf_counter() - began
        idle.append(await _lag_ms(asyncio.sleep(took_s)))
        await there.close()
    return [
        against(
            "viewer.loop_held",
            worst,
            idle,
            goal=None,
            unit="ms, the longest",
            note=f"an idle loop; while {_LAG_LOOKS} looks run",
        ),
        Row(
            figure="viewer.loop_held_ms",
            goal=10.0,
            value=float(f"{min(worst):.3g}"),
            floor=None,
            peer=None,
            pairs=len(worst),
            unit="ms",
            at=now(),
            note=f"the longest that {_LAG_LOOKS} looks held the loop, in the round that others disturbed least",
        ),
    ]


async def _lag_ms(work: Awaitable[Any]) -> float:
    longest = 0.0
    done = asyncio.ensure_future(work)
    while not done.done():
        began = time.perf_counter()
        await asyncio.sleep(_TICK_S)
        longest = max(longest, time.perf_counter() - began - _TICK_S)
    await done
    return longest * 1e3


# --- sides --------------------------------------------------------------------------------------------


def _ours(there: Decoders, clips: list[bytes], limits: PictureLimits) -> Side:
    """Look at one segment after the other, and at how the picture has moved since the look before."""
    kept, turns = limits, itertools.cycle(clips)

    async def look() -> Decoded:
        nonlocal kept
        found = await there.segments([next(turns)], kept)
        kept = replace(limits, memory=found.memory)
        return found

    return _cpu(look)


def _cpu(look: Callable[[], Awaitable[Decoded]]) -> Side:
    """Return a side that counts this process and its children."""

    async def side() -> float:
        await look()  # its child is there
        began = time.process_time() + _children_s()
        for _ in range(_LOOKS):
            found = await look()
            if found.mean_luma is None:
                raise RuntimeError(f"nothing was seen: {found.error}")
        return (time.process_time() + _children_s() - began) / _LOOKS * 1e3

    return side


def _children_s() -> float:
    """Return the CPU of the children that are there, to the nanosecond."""
    here = os.getpid()
    pids = Path(f"/proc/{here}/task/{here}/children").read_text(encoding="ascii").split()
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def _bare(clip: bytes) -> Side:
    async def side() -> float:
        began = time.process_time()
        for _ in range(_LOOKS):
            with av.open(io.BytesIO(clip), "r") as container:
                video = container.streams.video[0]
                video.thread_type = "NONE"
                video.codec_context.thread_count = 1
                video.codec_context.skip_frame = "NONKEY"
                for frame in container.decode(video):
                    plane: Any = frame.planes[0]
                    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
                    rows[: frame.height : 8, : frame.width : 8].mean()
        return (time.process_time() - began) / _LOOKS * 1e3

    return side


def _program(command: list[str]) -> Side:
    async def side() -> float:
        return cpu_of_process_s(command) * 1e3

    return side


def _jpeg(luma: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(luma).convert("RGB").save(out, "JPEG", quality=80)
    return out.getvalue()
