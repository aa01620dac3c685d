"""Numbers out of decoded pictures, sound and the sizes of packets. Runs in the decoder's process.

A picture is looked at through every eighth of its luma samples, taken as a slice of the plane: nothing is
scaled or converted. What is given here was made by strangers, and has been bounded before.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from keeper.adapters.loudness import Loudness
from keeper.adapters.repeats import Cells, Repeats
from keeper.probes.grid import COLUMNS, ROWS

Samples = npt.NDArray[np.uint8]

_STEP = 8
# A cell is the mean of at least so many samples a side, or what its noise is would be the picture's.
_CELL_SAMPLES = 4
_BYTE = 8  # bits
_BRIGHT_PERCENTILE = 99.0
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG, libavutil/pixfmt.h
# Luma of video is 16 to 235 (ITU-R BT.601 and BT.709) where it does not say otherwise.
_STRETCHED = np.clip((np.arange(256) - 16) * (255 / 219), 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One decoded picture, as numbers of 0..255."""

    at_s: float  # by the stream's own clock
    grid: bytes
    mean_luma: float
    bright_luma: float


def picture_of(frame: Any, at_s: float) -> Picture:
    """Measure one decoded frame. ValueError: its luma cannot be read."""
    samples = luma_of(frame)
    return Picture(
        at_s=at_s,
        grid=grid_of(samples),
        mean_luma=float(samples.mean()),
        bright_luma=bright_of(samples),
    )


def luma_of(frame: Any) -> Samples:
    """Return the luma of every eighth sample in every eighth row, of small pictures more; 0 is black."""
    step = max(
        1,
        min(
            _STEP,
            frame.width // (COLUMNS * _CELL_SAMPLES),
            frame.height // (ROWS * _CELL_SAMPLES),
        ),
    )
    plane, component = frame.planes[0], frame.format.components[0]
    if component.bits > _BYTE:
        wide = np.frombuffer(plane, np.dtype("<u2")).reshape(-1, plane.line_size // 2)
        taken = wide[: frame.height : step, : frame.width : step]
        samples = (taken >> (component.bits - 8)).astype(np.uint8)
    else:
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        samples = rows[: frame.height : step, : frame.width : step]
    is_full = frame.color_range == _FULL_RANGE or frame.format.is_rgb
    if is_full or frame.format.name.startswith("yuvj"):
        return np.ascontiguousarray(samples)
    stretched: Samples = _STRETCHED[samples]
    return stretched


def grid_of(samples: Samples) -> bytes:
    """Return the mean luma of each cell."""
    return bytes(cells_of(samples).astype(np.uint8).tobytes())


def cells_of(samples: Samples) -> Cells:
    """Return the mean luma of each cell, with its fraction."""
    height, width = samples.shape
    rows, columns = np.arange(ROWS) * height // ROWS, np.arange(COLUMNS) * width // COLUMNS
    if height < ROWS or width < COLUMNS:
        few: Cells = samples[rows][:, columns].astype(np.float32)
        return few
    sums = np.add.reduceat(samples.astype(np.uint32), rows, axis=0)
    sums = np.add.reduceat(sums, columns, axis=1)
    counts = np.outer(np.diff(rows, append=height), np.diff(columns, append=width))
    cells: Cells = (sums / counts).astype(np.float32)
    return cells


def bright_of(samples: Samples) -> float:
    """Return the luma that one sample in a hundred exceeds."""
    counts = np.cumsum(np.bincount(samples.ravel(), minlength=256))
    return float(np.searchsorted(counts, counts[-1] * _BRIGHT_PERCENTILE / 100))


def motion_of(early: Picture, late: Picture) -> float:
    """Return the mean absolute difference of two pictures' luma."""
    grids = (np.frombuffer(each.grid, np.uint8).astype(np.int16) for each in (early, late))
    return float(np.abs(next(grids) - next(grids)).mean())


@dataclass(slots=True)
class Packets:
    """The packets of a picture's track: how many, how often, and which of them show something new."""

    keyframes_s: list[float] = field(default_factory=list)
    repeats: Repeats = field(default_factory=Repeats)
    _times_s: list[float] = field(default_factory=list)

    def add(self, packet: Any, at_s: float) -> None:
        """Count one."""
        self._times_s.append(at_s)
        if packet.is_keyframe:
            self.keyframes_s.append(at_s)
        self.repeats.add(packet)

    @property
    def count(self) -> int:
        """How many came."""
        return len(self._times_s)

    @property
    def newest_s(self) -> float:
        """When the newest one is due."""
        return max(self._times_s, default=0.0)

    @property
    def span_s(self) -> float:
        """How much of the stream's own time they fill, with the last one's part."""
        if self.count < 2:  # noqa: PLR2004 - one has no distance to another
            return 0.0
        span_s = max(self._times_s) - min(self._times_s)
        return span_s * self.count / (self.count - 1)

    @property
    def keyframe_interval_s(self) -> float | None:
        """The longest from one keyframe to the next; None: there were not two."""
        times_s = sorted(self.keyframes_s)
        return max((b - a for a, b in itertools.pairwise(times_s)), default=None)


class Sound(Loudness):
    """The loudest tenth of a second of a track of sound."""

    def add(self, frame: Any) -> None:
        """Take one decoded frame."""
        energy = sum(float(np.dot(flat, flat)) for flat in _tracks_of(frame))
        self.take(energy / max(1, frame.layout.nb_channels), frame.samples, frame.sample_rate)


def _tracks_of(frame: Any) -> list[npt.NDArray[np.float32]]:
    """Return the samples of all channels, of full scale 1."""
    if frame.format.name == "fltp":  # as nearly everything is; without a copy
        return [np.frombuffer(plane, np.float32, frame.samples) for plane in frame.planes]
    samples = frame.to_ndarray()
    if samples.dtype.kind in "iu":
        half = float(1 << (8 * samples.dtype.itemsize - 1))
        middle = half if samples.dtype.kind == "u" else 0.0
        samples = (samples.astype(np.float32) - middle) / half
    return [samples.astype(np.float32, copy=False).ravel()]
