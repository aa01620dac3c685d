"""Numbers out of single pictures, and pictures that are not worth the try."""

import io
from typing import Any

import pytest
from PIL import Image

from keeper.adapters.still import still_of, thumbnail_of
from keeper.probes.grid import CELLS, COLUMNS


def jpeg(colour: int, size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (colour, colour, colour)).save(out, "JPEG")
    return out.getvalue()


A, B, C = jpeg(10), jpeg(100), jpeg(200)


def test_darkness_is_measured() -> None:
    still = still_of(C)
    assert still is not None
    assert still.mean_luma == pytest.approx(200, abs=2)
    assert still.bright_luma == pytest.approx(200, abs=2)
    assert len(still.grid) == CELLS


@pytest.mark.parametrize("size", [(1280, 720), (64, 48), (9, 5), (1, 1)])
def test_cells_are_where_they_are_in_the_picture_whatever_its_size(size: tuple[int, int]) -> None:
    picture = Image.new("L", size, 20)
    picture.paste(220, (size[0] // 2, 0, size[0], size[1]))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95)
    still = still_of(out.getvalue())
    assert still is not None
    assert len(still.grid) == CELLS
    if size[0] > 1:
        assert still.grid[COLUMNS // 8] < 60
        assert still.grid[COLUMNS - COLUMNS // 8] > 180
        assert 20 < still.mean_luma < 220


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((1920, 1080), (320, 180)),
        ((1080, 1920), (320, 569)),
        ((64, 48), (64, 48)),
        ((640, 4), (320, 2)),
        ((8, 4000), (1, 640)),
        ((1, 1), (1, 1)),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_small_picture_keeps_its_proportions(
    size: tuple[int, int], small: tuple[int, int], mode: str
) -> None:
    out = io.BytesIO()
    Image.new(mode, size).save(
        out, "JPEG", comment=b"s3cret", icc_profile=b"s3cret", exif=b"s3cret"
    )
    made = thumbnail_of(out.getvalue())
    assert Image.open(io.BytesIO(made)).size == pytest.approx(small, abs=1)
    assert made == thumbnail_of(out.getvalue()), "what stands still comes to the same bytes"
    assert b"s3cret" in out.getvalue()
    assert b"s3cret" not in made


def test_what_is_no_picture_has_no_small_one() -> None:
    assert thumbnail_of(b"\xff\xd8\xff\xd9") == b""


def test_lights_of_a_dark_picture_are_seen() -> None:
    picture = Image.new("L", (640, 360), 3)
    picture.paste(240, (0, 0, 96, 96))  # four in a hundred of it
    out = io.BytesIO()
    picture.save(out, "JPEG")
    still = still_of(out.getvalue())
    assert still is not None
    assert still.mean_luma < 20
    assert still.bright_luma > 200


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + b"\x00" * 500 + b"\xff\xd9",
        A[: len(A) // 3] + b"\xff\xd9",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_frame_that_cannot_be_decoded_is_none(frame: bytes) -> None:
    assert still_of(frame) is None


def test_picture_of_absurd_size_is_not_decoded() -> None:
    """A few bytes can announce 65,535 by 65,535 pixels."""
    at = A.index(b"\xff\xc0")
    bomb = A[: at + 5] + b"\xff\xff\xff\xff" + A[at + 9 :]
    assert still_of(bomb) is None


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
    assert still_of(out.getvalue()) is None


@pytest.mark.parametrize(
    ("size", "more"), [((7680, 4320), {}), ((3840, 2160), {"progressive": True})]
)
def test_largest_pictures_that_cameras_send_are_decoded(
    size: tuple[int, int], more: dict[str, Any]
) -> None:
    out = io.BytesIO()
    Image.new("RGB", size).save(out, "JPEG", **more)
    assert still_of(out.getvalue()) is not None


def test_picture_of_a_thousand_scans_is_not_decoded() -> None:
    """Each scan goes over the whole picture once more, and takes ten bytes."""
    out = io.BytesIO()
    Image.new("RGB", (640, 480)).save(out, "JPEG", progressive=True)
    whole = out.getvalue()
    at = whole.rindex(b"\xff\xda")
    bomb = whole[:-2] + whole[at:-2] * 1000 + b"\xff\xd9"
    assert still_of(whole) is not None
    assert still_of(bomb) is None


def test_size_is_looked_for_in_any_bytes() -> None:
    for frame in (b"", b"\xff", b"\xff\xd8", b"\xff" * 50, b"\xff\xd8\xff", b"\xff\xd8\xff\xc0"):
        assert still_of(frame) is None
