"""Takes an MJPEG stream apart into frames, and counts them. No network, no waiting, no decoding.

What comes in is hostile: no length that it states is believed, nothing is kept beyond a bound.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

FRAME_MAX_BYTES = 4_000_000  # a 4K frame of good quality has 2 MB
_HEADER_MAX_BYTES = 8_192
_LENGTH = re.compile(rb"^content-length:\s*(\d{1,9})\s*$", re.IGNORECASE | re.MULTILINE)
_BOUNDARY = re.compile(r'boundary="?([^";]{1,100})"?', re.IGNORECASE)
_APART_S = 0.25
_BETWEEN_MAX = 10
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
    newest_at_s: float = 0.0  # when it came first
    between: list[tuple[float, bytes]] = field(default_factory=list)  # some of the others
    _first_at_s: float = 0.0
    _earlier: bytes = b""  # the one before the newest
    _earlier_at_s: float = 0.0
    _hashes: set[bytes] = field(default_factory=set)
    _previous: bytes = b""

    def add(self, frame: bytes, at_s: float = 0.0) -> None:
        """Count one frame, that came at a moment. The same bytes again are not a new picture."""
        self.frames += 1
        if frame == self._previous:
            return
        self._previous = frame
        self._hashes.add(hashlib.blake2b(frame, digest_size=12).digest())
        if frame[:2] != _START or frame[-2:] != _END:
            self.damaged += 1
            return
        if not self.first:
            self.first, self._first_at_s = frame, at_s
        latest_s = self.between[-1][0] if self.between else self._first_at_s
        if at_s - latest_s >= _APART_S and len(self.between) < _BETWEEN_MAX:
            self.between.append((at_s, frame))
        self._earlier, self._earlier_at_s = self.newest, self.newest_at_s
        self.newest, self.newest_at_s = frame, at_s

    @property
    def other(self) -> bytes:
        """A frame to compare the newest with: far apart if the two differ, else the one before."""
        return self.first if self.first != self.newest else self._earlier or self.first

    @property
    def other_at_s(self) -> float:
        """When that one came."""
        is_first = self.first != self.newest or not self._earlier
        return self._first_at_s if is_first else self._earlier_at_s

    @property
    def unique(self) -> int:
        """How many different frames came."""
        return len(self._hashes)
