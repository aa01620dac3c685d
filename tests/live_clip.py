"""Small pieces of a live stream, made in this process: MPEG-TS segments, fragmented MP4, AAC alone."""

import io
from fractions import Fraction
from functools import cache

import av
import numpy as np

WIDTH, HEIGHT, FRAMES_PER_S = 96, 64, 10
SOUND_HZ = 44_100


@cache
def segment(
    number: int,
    *,
    seconds: float = 1.0,
    kind: str = "mpegts",
    luma: int | None = None,
    has_picture: bool = True,
    has_sound: bool = False,
) -> bytes:
    """Make the segment of this number; its picture moves, unless it is all of one ``luma``."""
    out = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if kind == "mp4" else {}
    with av.open(out, "w", format=kind, options=options) as container:
        picture = sound = None
        if has_picture:
            picture = container.add_stream("libx264", rate=FRAMES_PER_S)
            picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            picture.time_base = Fraction(1, 90_000)
            picture.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "5"}
        if has_sound:
            sound = container.add_stream("aac", rate=SOUND_HZ)
            sound.layout = "mono"
        if picture is not None:
            for index in range(int(seconds * FRAMES_PER_S)):
                frame = av.VideoFrame.from_ndarray(_image(number, index, luma), format="gray")
                frame = frame.reformat(format="yuv420p")
                frame.time_base = Fraction(1, 90_000)
                frame.pts = int((number * seconds + index / FRAMES_PER_S) * 90_000)
                container.mux(picture.encode(frame))
            container.mux(picture.encode())
        if sound is not None:
            wave = np.sin(np.arange(int(seconds * SOUND_HZ)) * 0.06).astype(np.float32)[None] * 0.3
            tone = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            tone.sample_rate, tone.pts = SOUND_HZ, int(number * seconds * SOUND_HZ)
            tone.time_base = Fraction(1, SOUND_HZ)
            container.mux(sound.encode(tone))
            container.mux(sound.encode())
    return out.getvalue()


def _image(number: int, index: int, luma: int | None) -> np.ndarray:
    if luma is not None:
        return np.full((HEIGHT, WIDTH), luma, np.uint8)
    image = np.full((HEIGHT, WIDTH), 60, np.uint8)
    at = (number * 40 + index * 5) % (WIDTH - 24)
    image[16:40, at : at + 24] = 220
    return image


def fragments(number: int) -> tuple[bytes, bytes]:
    """Return the head of a fragmented MP4, and the fragments of one segment."""
    whole = segment(number, kind="mp4")
    at = whole.index(b"moof") - 4
    return whole[:at], whole[at:]
