"""Single JPEG pictures, decoded small and measured. Runs in the decoder's process; needs no numpy.

A picture is hostile: its size is read before anything is allocated for it.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass

from PIL import Image

from keeper.probes.grid import COLUMNS, ROWS

_PIXELS_MAX = 40_000_000  # an 8K frame has 33 million
_SCANNED_PIXELS_MAX = 9_000_000  # a 4K frame has 8.3 million
_SCANS_MAX = 16  # a progressive picture has ten
_BRIGHT_SHARE = 0.01
THUMBNAIL_WIDTH = 320
THUMBNAIL_QUALITY = 60
_THUMBNAIL_BOX = (THUMBNAIL_WIDTH, 2 * THUMBNAIL_WIDTH)  # a phone held upright fits
# Twice the grid's size, so that a cell is a mean and not one sample.
_LOOK_AT = (2 * COLUMNS, 2 * ROWS)
# Markers, ITU-T T.81, table B.1: start of a scan, of a frame (with its size), and those without a length.
_SCAN = b"\xff\xda"
_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
# What Pillow thinks of a stranger's picture (of its EXIF data, say) is no line of our log.
warnings.filterwarnings("ignore", module=r"PIL\.")
# What Pillow raises for a picture that is none; its own limit on sizes is never reached.
UNDECODABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    Image.DecompressionBombError,
    Warning,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """One picture, as numbers of 0..255."""

    grid: bytes
    mean_luma: float
    bright_luma: float


def still_of(frame: bytes) -> Still | None:
    """Decode one picture in grey and small; the JPEG decoder itself skips the detail. None: it is none."""
    if not _is_cheap(frame):
        return None
    try:
        with Image.open(io.BytesIO(frame), formats=["JPEG"]) as image:
            image.draft("L", _LOOK_AT)
            grey = image.convert("L")
            grid = grey.resize((COLUMNS, ROWS), Image.Resampling.BOX)
            counts = grey.histogram()
            return Still(
                grid=grid.tobytes(),
                mean_luma=sum(luma * count for luma, count in enumerate(counts)) / sum(counts),
                bright_luma=_bright_of(counts),
            )
    except UNDECODABLE:
        return None


def thumbnail_of(frame: bytes) -> bytes:
    """Make a small JPEG of a picture that ``still_of`` has decoded, in its proportions; b"": it cannot be.

    The same bytes come to the same bytes, and nothing but the picture is in them.
    """
    out = io.BytesIO()
    try:
        with Image.open(io.BytesIO(frame), formats=["JPEG"]) as image:
            # Without a gap the JPEG decoder itself skips most of the detail.
            image.thumbnail(_THUMBNAIL_BOX, Image.Resampling.BILINEAR, reducing_gap=1.0)
            small = image if image.mode in {"L", "RGB"} else image.convert("RGB")
            small.info.clear()  # comments and the like would be written, too
            small.save(out, "JPEG", quality=THUMBNAIL_QUALITY)
    except UNDECODABLE:
        return b""
    return out.getvalue()


def _bright_of(counts: list[int]) -> float:
    """Return the luma that one sample in a hundred exceeds."""
    left = sum(counts) * _BRIGHT_SHARE
    for luma in range(255, -1, -1):
        left -= counts[luma]
        if left < 0:
            return float(luma)
    return 0.0


def _is_cheap(frame: bytes) -> bool:
    """Whether decoding takes a moment only, told from what stands before the picture's own data.

    A kilobyte can hold sixty thousand pixels square. Where the picture comes in several scans the
    decoder keeps all of its coefficients, six bytes a pixel, and goes through all of them for each scan.
    """
    scans = frame.count(_SCAN)
    pixels = _pixels(frame)
    return (
        0 < pixels <= (_PIXELS_MAX if scans == 1 else _SCANNED_PIXELS_MAX) and scans <= _SCANS_MAX
    )


def _pixels(frame: bytes) -> int:
    """Return the size stated before the first scan, the largest if there are several; 0 for none."""
    at, largest = 2, 0
    while (at := frame.find(b"\xff", at)) >= 0:
        while frame[at + 1 : at + 2] == b"\xff":  # filled up
            at += 1
        kind = frame[at + 1] if at + 1 < len(frame) else _SCAN[1]
        if kind == _SCAN[1]:
            break
        if kind in _SIZES:
            height, width = frame[at + 5 : at + 7], frame[at + 7 : at + 9]
            largest = max(largest, int.from_bytes(height, "big") * int.from_bytes(width, "big"))
        at += 2
        if kind not in _BARE:
            at += max(2, int.from_bytes(frame[at : at + 2], "big"))
    return largest
