"""Frames out of chunks."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keeper.adapters import mjpeg
from keeper.adapters.mjpeg import FrameReader, FrameTally, boundary_of


def jpeg(colour: int, size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (colour, colour, colour)).save(out, "JPEG")
    return out.getvalue()


def part(body: bytes, length: object = None) -> bytes:
    stated = len(body) if length is None else length
    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {stated}\r\n\r\n"
    return head.encode() + body + b"\r\n"


def bare(body: bytes) -> bytes:
    return b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + body + b"\r\n"


A, B, C = jpeg(10), jpeg(100), jpeg(200)


def read(data: bytes, step: int) -> list[bytes]:
    reader = FrameReader(b"--frame")
    frames = []
    for at in range(0, len(data), step):
        frames += reader.feed(data[at : at + step])
    return frames


@given(st.integers(1, 3000), st.booleans())
def test_chunk_borders_mean_nothing(step: int, has_lengths: bool) -> None:
    wrap = part if has_lengths else bare
    data = wrap(A) + wrap(B) + wrap(B) + wrap(C)
    expected = [A, B, B, C] if has_lengths else [A, B, B]  # the last has no end yet
    assert read(data, step) == expected


@pytest.mark.parametrize(
    "length", [0, 1, 5, len(A) - 1, len(A) + 1, 10**8, -3, "many", 99_999_999_999]
)
def test_stated_length_is_only_a_hint(length: object) -> None:
    assert read(part(A, length) + part(B) + part(C), 1000)[-2:] == [B, C]


def test_length_that_lies_does_not_glue_frames_together() -> None:
    data = part(A, len(A) + 40) + part(B) + part(C)
    frames = read(data, 100)
    assert A in frames
    assert C in frames


@given(st.binary(max_size=2000), st.integers(1, 700))
def test_garbage_before_a_part_is_skipped(garbage: bytes, step: int) -> None:
    frames = read(garbage + b"\r\n\r\n" + part(A) + part(B) + part(C), step)
    assert frames[-1] == C


def test_frame_without_end_is_given_up_and_takes_no_more_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mjpeg, "FRAME_MAX_BYTES", 10_000)
    reader = FrameReader(b"--frame")
    reader.feed(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n")
    for _ in range(100):
        assert reader.feed(b"x" * 1000) == []
        assert len(reader._buffer) <= 12_000
    assert reader.broken_parts >= 1
    assert reader.feed(b"\r\n" + part(A)) == [A]


def test_headers_without_end_are_given_up() -> None:
    reader = FrameReader(b"--frame")
    reader.feed(b"--frame\r\n")
    for _ in range(100):
        assert reader.feed(b"X-Junk: " + b"y" * 1000 + b"\r\n") == []
        assert len(reader._buffer) <= 12_000
    assert reader.broken_parts >= 1
    assert reader.feed(part(A)) == [A]


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/x-mixed-replace; boundary=frame", b"--frame"),
        ('multipart/x-mixed-replace;boundary="frame"', b"--frame"),
        ("Multipart/X-Mixed-Replace; Boundary=--frame", b"--frame"),
        ("multipart/x-mixed-replace", None),
        ("text/html; boundary=frame", None),
        ("", None),
    ],
)
def test_boundary_is_read_as_cameras_write_it(content_type: str, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


def test_separators_without_an_end_are_gone_through_in_strides() -> None:
    """One after the other, each looked through anew and each a call deeper: seen to end the probe."""
    reader = FrameReader(b"--frame")
    assert reader.feed(b"--frame" * 40_000) == []
    assert 0 < reader.broken_parts < 100
    assert reader.feed(b"\r\n" + part(A) + part(B)) == [A, B]


def test_same_bytes_again_are_no_new_picture() -> None:
    tally = FrameTally()
    for frame in (A, A, B, A, B, B):
        tally.add(frame)
    assert (tally.frames, tally.unique, tally.damaged) == (6, 2, 0)
    assert (tally.first, tally.newest) == (A, B)


def test_frame_that_does_not_end_as_a_jpeg_is_damaged() -> None:
    tally = FrameTally()
    tally.add(A[:-2])
    tally.add(b"<html>")
    assert (tally.frames, tally.damaged, tally.newest) == (2, 2, b"")


def test_the_newest_frame_is_compared_with_one_far_apart_and_each_keeps_its_moment() -> None:
    tally = FrameTally()
    for at_s, frame in enumerate((A, A, B, B, C), start=1):
        tally.add(frame, float(at_s))
    assert (tally.other, tally.other_at_s) == (A, 1.0)
    assert (tally.newest, tally.newest_at_s) == (C, 5.0)
    tally.add(A, 6.0)  # back to the first one: then the one before
    assert (tally.other, tally.other_at_s) == (C, 5.0)
    assert (tally.newest, tally.newest_at_s) == (A, 6.0)
