"""Short clips in any codec, made in this process: what decoders are tried and measured with."""

import io
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
TICK = Fraction(1, 90_000)
SOUND_HZ = 48_000


def moving(index: int, size: tuple[int, int]) -> Image:
    """Draw a picture with something in it that goes on by itself: grey, with a bright square."""
    width, height = size
    image = np.full((height, width), 60, np.uint8)
    side = height // 3
    at = index * width // 60 % (width - side)
    image[side : 2 * side, at : at + side] = 220
    return image


def standing(luma: int) -> Callable[[int, tuple[int, int]], Image]:
    """Return what draws pictures that are all of one luma."""
    return lambda _, size: np.full((size[1], size[0]), luma, np.uint8)


def noisy(index: int, size: tuple[int, int]) -> Image:
    """Draw a picture that costs bits: a texture that moves, as in a game."""
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width]
    texture = np.random.default_rng(5).integers(0, 60, (height // 2, width // 2)).astype(np.int64)
    texture = np.roll(texture.repeat(2, 0).repeat(2, 1), index * 4, 1)
    image: Image = (60 + texture + 40 * np.sin((rows + columns + 9 * index) / 50)).astype(np.uint8)
    return image


def coded(
    *,
    draw: Callable[[int, tuple[int, int]], Image] = moving,
    codec: str = "libx264",
    form: str = "mpegts",
    size: tuple[int, int] = (192, 108),
    pixels: str = "yuv420p",
    seconds: float = 1.0,
    rate: int = 20,
    gop: int = 10,
    options: dict[str, str] | None = None,
    loudness: float | None = None,  # of full scale; None: no sound at all
    begin_s: float = 0.0,
    has_picture: bool = True,
    flags: int = 0,
) -> bytes:
    """Return a clip as a file."""
    out = io.BytesIO()
    fragmented = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if form == "mp4" else {}
    with av.open(out, "w", format=form, options=fragmented) as container:
        picture: Any = None
        sound: Any = None
        if has_picture:
            picture = container.add_stream(codec, rate=rate)
            picture.width, picture.height = size
            picture.pix_fmt = pixels
            picture.time_base = TICK
            picture.gop_size = gop
            picture.codec_context.thread_count = 1
            picture.codec_context.flags |= flags
            quick = {"preset": "ultrafast"} if codec in {"libx264", "libx265"} else {}
            picture.options = {**quick, **(options or {})}
        if loudness is not None:
            sound = container.add_stream("aac", rate=SOUND_HZ)
            sound.layout = "mono"
        if picture is not None:
            images = (draw(index, size) for index in range(int(seconds * rate)))
            _picture(container, picture, images, pixels, rate, begin_s)
        if sound is not None and loudness is not None:
            _sound(container, sound, seconds, loudness, begin_s)
    return out.getvalue()


def _picture(
    container: Any, stream: Any, images: Iterable[Image], pixels: str, rate: int, begin_s: float
) -> None:
    for index, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(image, format="gray").reformat(format=pixels)
        frame.time_base = TICK
        frame.pts = int((begin_s + index / rate) / TICK)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _sound(container: Any, stream: Any, seconds: float, loudness: float, begin_s: float) -> None:
    wave = np.sin(np.arange(int(seconds * SOUND_HZ)) * 0.06).astype(np.float32)[None] * loudness
    tone = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    tone.sample_rate, tone.pts = SOUND_HZ, int(begin_s * SOUND_HZ)
    tone.time_base = Fraction(1, SOUND_HZ)
    container.mux(stream.encode(tone))
    container.mux(stream.encode())
