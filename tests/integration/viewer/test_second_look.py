"""What keyframes alone do not show: decoded before a picture is said to stand, and not where it moves."""

import io
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from keeper.adapters.decoder import Decoded, Decoders
from keeper.ports import PictureLimits, Region

WIDTH, HEIGHT, RATE, GOP, FRAMES = 320, 180, 10, 10, 30
LIMITS = PictureLimits(timeout_s=30.0, wants_frame=False)
PATCH = Region(left=0.25, top=0.4, width=0.3, height=0.4)

pytestmark = pytest.mark.xdist_group("second-look")


def a_stream(is_open: Callable[[int], bool]) -> bytes:
    """Make a segment of three seconds, in which a patch is bright now and then."""
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts") as container:
        track = container.add_stream("libx264", rate=RATE)
        track.width, track.height, track.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        track.options = {"preset": "ultrafast", "g": str(GOP), "sc_threshold": "0", "bf": "0"}
        for index in range(FRAMES):
            image = np.tile(np.linspace(60, 160, WIDTH, dtype=np.uint8), (HEIGHT, 1))
            if is_open(index):
                image[90:120, 110:150] = 220
            frame = av.VideoFrame.from_ndarray(image, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(track.encode(frame))
        container.mux(track.encode())
    return out.getvalue()


async def looked_at(stream: bytes, limits: PictureLimits = LIMITS) -> Decoded:
    decoders = Decoders(decoders=1)
    try:
        return await decoders.segments([stream], limits)
    finally:
        await decoders.close()


async def test_a_mouth_that_is_shut_in_every_keyframe_is_seen_to_move() -> None:
    """A talking head was frozen in one look of two, for every keyframe met it with its mouth shut."""
    talking = a_stream(lambda index: 3 <= index % GOP <= 7)
    found = await looked_at(talking)
    assert found.change is not None
    assert found.change > 10


async def test_what_moves_between_keyframes_in_an_ignored_region_stands() -> None:
    talking = a_stream(lambda index: 3 <= index % GOP <= 7)
    found = await looked_at(talking, replace(LIMITS, ignored=(PATCH,)))
    assert found.change == 0
    assert found.compared_s >= 1.2


async def test_a_picture_that_stands_is_seen_to_stand_in_the_first_look() -> None:
    """One keyframe would do for a look that has something to compare it with; the first has not."""
    found = await looked_at(a_stream(lambda index: False))
    assert found.change == 0
    assert found.compared_s >= 1.2
