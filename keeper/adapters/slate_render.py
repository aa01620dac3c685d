"""Renders a slate once, in a process of its own: pictures to H.264, silence to AAC, both into one file.

A line of JSON on standard input says what and where; the exit code says whether it is there. What is
pushed later is this file as it is: a head that waits, a countdown to nothing, and a tail for "any moment".
Every two seconds can be entered, and head and tail join onto themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from keeper.adapters.slate_card import Card, Painter

CHUNK_S = 2  # between two entries: what platforms ask for as the longest distance of keyframes
# Whole numbers of sound frames fit: 8 s of 48 kHz are 375 of them, so no click where an end joins.
LOOP_S = 8
SOUND_HZ = 48_000
_SOUND_FRAME = 1024
_BEGUN = 20  # sound frames after which the encoder says the same
_MEMORY_MAX_BYTES = 3 << 30  # of addresses; threads of the encoder reserve much


def main() -> None:
    """Render what the first line asks for."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_MAX_BYTES, _MEMORY_MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(
        OSError
    ):  # a service that may not change priorities renders all the same
        os.nice(10)  # nothing that waits for this is in a hurry
    job = json.loads(sys.stdin.readline())
    render(
        Card(**job["card"]),
        Path(job["path"]),
        frames_per_s=int(job["frames_per_s"]),
        bitrate_bps=int(job["bitrate_bps"]),
        countdown_s=int(job["countdown_s"]),
    )


def render(
    card: Card, path: Path, *, frames_per_s: int, bitrate_bps: int, countdown_s: int
) -> None:
    """Render into a file that is there whole or not at all."""
    import av

    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    painter = Painter(card)
    try:
        with av.open(str(part), "w", format="mp4") as out:
            picture: Any = out.add_stream("libx264", rate=frames_per_s)
            picture.width, picture.height = card.width, card.height
            picture.pix_fmt = "yuv420p"
            picture.codec_context.gop_size = CHUNK_S * frames_per_s
            picture.codec_context.options = {
                "preset": "veryfast",
                "tune": "stillimage",
                "profile": "main",
                "bf": "0",
                "sc_threshold": "0",
                "keyint_min": str(CHUNK_S * frames_per_s),
                "maxrate": str(bitrate_bps),
                "bufsize": str(2 * bitrate_bps),
                "crf": "20",
                "aq-mode": "3",
                "threads": "2",
            }
            sound: Any = out.add_stream("aac", rate=SOUND_HZ)
            sound.layout = "stereo"
            sound.bit_rate = 64_000
            quiet = _silence(sound, countdown_s + 2 * LOOP_S)
            for number, frame in enumerate(_frames(painter, frames_per_s, countdown_s)):
                frame.pts, frame.time_base = number, Fraction(1, frames_per_s)
                for packet in picture.encode(frame):
                    out.mux(packet)
                _mux_until(out, quiet, (number + 1) / frames_per_s)
            for packet in picture.encode(None):
                out.mux(packet)
            _mux_until(out, quiet, float("inf"))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _frames(painter: Painter, frames_per_s: int, countdown_s: int) -> Iterator[Any]:
    """Yield every picture of the file, as the encoder wants it."""
    import av
    from av.video.reformatter import VideoReformatter

    to_video: Any = VideoReformatter()
    card = painter.card
    lights = [painter.light(at / frames_per_s) for at in range(4 * frames_per_s)]
    words = [card.waiting] * LOOP_S
    words += [f"{left // 60:02d}:{left % 60:02d}" for left in range(countdown_s, 0, -1)]
    words += [card.ending] * LOOP_S
    before, page, number = "", painter.base.copy(), 0
    for text in words:
        if text != before:
            patch, at = painter.number(text)
            page.paste(patch, at)
            before = text
        for _ in range(frames_per_s):
            patch, at = lights[number % len(lights)]
            page.paste(patch, at)
            frame = av.VideoFrame.from_image(page)  # type: ignore[no-untyped-call]
            yield to_video.reformat(frame, format="yuv420p", dst_colorspace="ITU709")
            number += 1


def _silence(sound: Any, seconds: int) -> Iterator[Any]:
    """Yield packets of silence. Platforms refuse or mute a broadcast that has no track of sound.

    Once the encoder has begun, silence is the same packet again and again.
    """
    import av

    blocks = seconds * SOUND_HZ // _SOUND_FRAME
    time_base = Fraction(1, SOUND_HZ)
    last, made = b"", 0
    for number in range(min(blocks, _BEGUN)):
        block = av.AudioFrame(format="fltp", layout="stereo", samples=_SOUND_FRAME)
        for plane in block.planes:
            plane.update(bytes(plane.buffer_size))
        block.sample_rate = SOUND_HZ
        block.pts, block.time_base = number * _SOUND_FRAME, time_base
        for packet in sound.encode(block):
            last, made = bytes(packet), made + 1
            yield packet
    for number in range(made, blocks):
        packet = av.Packet(last)
        packet.stream, packet.time_base = sound, time_base
        packet.pts = packet.dts = number * _SOUND_FRAME
        packet.duration = _SOUND_FRAME
        packet.is_keyframe = True
        yield packet


def _mux_until(out: Any, packets: Iterator[Any], second: float) -> None:
    for packet in packets:
        out.mux(packet)
        if packet.pts is not None and float(packet.pts * packet.time_base) >= second:
            return


if __name__ == "__main__":
    main()
