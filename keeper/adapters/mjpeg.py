"""Takes an MJPEG stream apart into frames, and frames into numbers. No network, no waiting.

What comes in is hostile: no length that it states is believed, nothing is kept beyond a bound.
Decoding is plain work for a thread.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import warnings
from dataclasses import dataclass, field

from PIL import Image, ImageChops, ImageStat

FRAME_MAX_BYTES = 4_000_000  # a 4K frame of good quality has 2 MB
_HEADER_MAX_BYTES = 8_192
_PIXELS_MAX = 40_000_000  # an 8K frame has 33 million
_SCANNED_PIXELS_MAX = 9_000_000  # a 4K frame has 8.3 million
_SCANS_MAX = 16  # a progressive picture has ten
# Markers, ITU-T T.81, table B.1: start of a scan, of a frame (with its size), and those without a length.
_SCAN = b"\xff\xda"
_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
# What Pillow thinks of a stranger's picture (of its EXIF data, say) is no line of our log.
warnings.filterwarnings("ignore", module=r"PIL\.")
# What Pillow raises for a picture that is none; its own limit on sizes is never reached.
_UNDECODABLE = (
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
_LOOK_AT = (64, 64)  # darkness and movement of the whole picture show at this size
_LENGTH = re.compile(rb"^content-length:\s*(\d{1,9})\s*$", re.IGNORECASE | re.MULTILINE)
_BOUNDARY = re.compile(r'boundary="?([^";]{1,100})"?', re.IGNORECASE)
_START, _END = b"\xff\xd8", b"\xff\xd9"


def boundary_of(content_type: str) -> bytes | None:
    """Return the part separator of an MJPEG answer, dashes included; None if it is none."""
    if not content_type.lower().startswith("multipart/"):
        return None
    match = _BOUNDARY.search(content_type)
    if match is None:
        return None
    # Some cameras already write the dashes into the header.
    return b"--" + match.group(1).strip().removeprefix("--").encode("latin-1", "replace")


@dataclass(slots=True)
class FrameReader:
    """Cuts chunks into frames. Chunk borders mean nothing; garbage is skipped to the next part."""

    boundary: bytes
    broken_parts: int = 0  # too large, or without a header's end
    _buffer: bytearray = field(default_factory=bytearray)
    _is_in_body: bool = False
    _length_hint: int = 0
    _searched: int = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk; return the frames that it completed."""
        self._buffer += chunk
        frames: list[bytes] = []
        while True:
            if not self._is_in_body and not self._enter_part():
                return frames
            frame = self._leave_part()
            if frame is None:
                return frames
            if frame:
                frames.append(frame)

    def _enter_part(self) -> bool:
        while True:
            start = self._buffer.find(self.boundary)
            if start < 0:
                # Keep what could be the beginning of a separator.
                del self._buffer[: max(0, len(self._buffer) - len(self.boundary))]
                return False
            del self._buffer[:start]
            end, size = self._buffer.find(b"\r\n\r\n", 0, _HEADER_MAX_BYTES), 4
            if end < 0:
                end, size = self._buffer.find(b"\n\n", 0, _HEADER_MAX_BYTES), 2
            if end >= 0:
                break
            if len(self._buffer) <= _HEADER_MAX_BYTES:
                return False
            self.broken_parts += 1
            # In strides: separators without an end of their headers would be looked at one by one.
            del self._buffer[: _HEADER_MAX_BYTES // 2]
        hint = _LENGTH.search(self._buffer, 0, end)
        self._length_hint = int(hint.group(1)) if hint else 0
        del self._buffer[: end + size]
        self._is_in_body, self._searched = True, 0
        return True

    def _leave_part(self) -> bytes | None:
        """Return the body when it is complete, b"" when it is too large, None to wait for more."""
        hint = self._length_hint
        if 0 < hint <= FRAME_MAX_BYTES:
            if len(self._buffer) < hint and self.boundary not in self._buffer[self._searched :]:
                self._searched = max(0, len(self._buffer) - len(self.boundary))
                return None
            if self._buffer[hint - 2 : hint] == _END and self._buffer[:2] == _START:
                return self._cut(hint)
        end = self._buffer.find(self.boundary, max(0, self._searched))
        if end >= 0:
            return self._cut(end)
        self._length_hint = 0  # it was wrong: only the separator counts now
        self._searched = max(0, len(self._buffer) - len(self.boundary))
        if len(self._buffer) > FRAME_MAX_BYTES:
            self.broken_parts += 1
            self._is_in_body = False
            self._buffer.clear()
            return b""
        return None

    def _cut(self, end: int) -> bytes:
        body = bytes(self._buffer[:end]).rstrip(b"\r\n")
        del self._buffer[:end]
        self._is_in_body = False
        if not body:
            self.broken_parts += 1
        return body


@dataclass(slots=True)
class FrameTally:
    """Counts frames and keeps the few that are worth a look."""

    frames: int = 0
    damaged: int = 0  # do not begin and end as a JPEG must
    first: bytes = b""
    newest: bytes = b""
    _earlier: bytes = b""  # the one before the newest
    _hashes: set[bytes] = field(default_factory=set)
    _previous: bytes = b""

    def add(self, frame: bytes) -> None:
        """Count one frame. The same bytes again are not a new picture."""
        self.frames += 1
        if frame == self._previous:
            return
        self._previous = frame
        self._hashes.add(hashlib.blake2b(frame, digest_size=12).digest())
        if frame[:2] != _START or frame[-2:] != _END:
            self.damaged += 1
            return
        self.first = self.first or frame
        self._earlier, self.newest = self.newest, frame

    @property
    def other(self) -> bytes:
        """A frame to compare the newest with: far apart if the two differ, else the one before."""
        return self.first if self.first != self.newest else self._earlier or self.first

    @property
    def unique(self) -> int:
        """How many different frames came."""
        return len(self._hashes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What decoding showed. None: could not be decoded, or there was nothing to compare with."""

    mean_luma: float | None
    motion: float | None
    undecodable: int


def look_at(other: bytes, newest: bytes) -> Look:
    """Decode at most two frames, small, and measure them. Runs in a thread."""
    if not newest:
        return Look(mean_luma=None, motion=None, undecodable=0)
    late = _small(newest)
    early = late if other == newest else _small(other)
    undecodable = (late is None) + (early is None and other != newest)
    luma = None if late is None else float(ImageStat.Stat(late).mean[0])
    motion = None
    if late is not None and early is not None and other != newest:
        motion = float(ImageStat.Stat(ImageChops.difference(late, early)).mean[0])
    return Look(mean_luma=luma, motion=motion, undecodable=undecodable)


def _small(frame: bytes) -> Image.Image | None:
    """Decode one frame in grey and small; the JPEG decoder itself skips the detail."""
    if not _is_cheap(frame):
        return None
    try:
        with Image.open(io.BytesIO(frame), formats=["JPEG"]) as image:
            image.draft("L", _LOOK_AT)
            return image.convert("L").resize(_LOOK_AT)
    except _UNDECODABLE:
        return None


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
