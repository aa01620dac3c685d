"""Frames out of chunks, and numbers out of frames."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keeper.adapters import mjpeg
from keeper.adapters.mjpeg import FrameReader, FrameTally, boundary_of, look_at


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


def test_darkness_and_movement_are_measured() -> None:
    look = look_at(A, C)
    assert look.mean_luma == pytest.approx(200, abs=2)
    assert look.motion == pytest.approx(190, abs=3)
    still = look_at(A, A)
    assert (still.motion, still.undecodable) == (None, 0)


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + b"\x00" * 500 + b"\xff\xd9",
        A[: len(A) // 3] + b"\xff\xd9",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_frame_that_cannot_be_decoded_is_counted(frame: bytes) -> None:
    look = look_at(frame, frame)
    assert (look.mean_luma, look.undecodable) == (None, 1)
    mixed = look_at(frame, B)
    assert mixed.undecodable == 1
    assert mixed.mean_luma is not None


def test_picture_of_absurd_size_is_not_decoded() -> None:
    """A few bytes can announce 65,535 by 65,535 pixels."""
    at = A.index(b"\xff\xc0")
    bomb = A[: at + 5] + b"\xff\xff\xff\xff" + A[at + 9 :]
    assert look_at(bomb, bomb).undecodable == 1


@pytest.mark.parametrize(
    ("size", "more"),
    [
        ((7680, 4320), {"progressive": True}),
        ((6300, 6300), {"progressive": True, "subsampling": 0}),
        ((6400, 6400), {}),
    ],
)
def test_picture_that_costs_hundreds_of_megabytes_is_not_decoded(
    size: tuple[int, int], more: dict[str, Any]
) -> None:
    """All coefficients of a picture in several scans are kept until its end: six bytes a pixel."""
    out = io.BytesIO()
    Image.new("RGB", size).save(out, "JPEG", **more)
    assert look_at(out.getvalue(), out.getvalue()).undecodable == 1


@pytest.mark.parametrize(
    ("size", "more"), [((7680, 4320), {}), ((3840, 2160), {"progressive": True})]
)
def test_largest_pictures_that_cameras_send_are_decoded(
    size: tuple[int, int], more: dict[str, Any]
) -> None:
    out = io.BytesIO()
    Image.new("RGB", size).save(out, "JPEG", **more)
    assert look_at(out.getvalue(), out.getvalue()).undecodable == 0


def test_picture_of_a_thousand_scans_is_not_decoded() -> None:
    """Each scan goes over the whole picture once more, and takes ten bytes."""
    out = io.BytesIO()
    Image.new("RGB", (640, 480)).save(out, "JPEG", progressive=True)
    whole = out.getvalue()
    at = whole.rindex(b"\xff\xda")
    bomb = whole[:-2] + whole[at:-2] * 1000 + b"\xff\xd9"
    assert look_at(whole, whole).undecodable == 0
    assert look_at(bomb, bomb).undecodable == 1


def test_size_is_looked_for_in_any_bytes() -> None:
    for frame in (b"", b"\xff", b"\xff\xd8", b"\xff" * 50, b"\xff\xd8\xff", b"\xff\xd8\xff\xc0"):
        assert look_at(frame, frame).mean_luma is None


def test_nothing_to_look_at_is_no_error() -> None:
    look = look_at(b"", b"")
    assert (look.mean_luma, look.motion, look.undecodable) == (None, None, 0)
