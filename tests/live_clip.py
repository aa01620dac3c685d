"""The segments of a small live stream, by number, as a playlist would list them."""

from functools import cache

from tests.coded_clip import coded

SIZE = (96, 54)
FRAMES_PER_S = 10


@cache
def segment(number: int, *, form: str = "mpegts") -> bytes:
    """Make the second of the stream that has this number: two keyframes and something that moves."""
    return coded(begin_s=float(number), form=form, size=SIZE, rate=FRAMES_PER_S, gop=5)


@cache
def sound(number: int) -> bytes:
    """Make the sound of that second alone."""
    return coded(begin_s=float(number), form="adts", has_picture=False, loudness=0.3)


def fragments(number: int) -> tuple[bytes, bytes]:
    """Return the head of a fragmented MP4, and the fragments of one segment."""
    whole = segment(number, form="mp4")
    at = whole.index(b"moof") - 4
    return whole[:at], whole[at:]
