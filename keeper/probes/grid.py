"""A picture as a small grid of luma, and whether two such pictures differ by more than noise.

What has decoded a picture reduces it to a grid; what comes next is arithmetic on 576 bytes. Nothing here
knows how a picture came, waits or reads the time: moments are seconds on a clock of the caller's.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from keeper.ports import Region

# Every picture is averaged into so many cells, whatever its shape: a cell of a 720p picture is 40 pixels
# square, so that its noise is gone, and a mouth or the last digit of a clock still moves its mean.
COLUMNS = 32
ROWS = 18
CELLS = COLUMNS * ROWS

# What differs by less is coding: keyframes of one and the same picture differ by up to 6 in a cell, and by
# up to 3 in four of them together, where the bitrate is poor.
CELL_FLOOR = 5.0
BLOCK_FLOOR = 2.2
# Of pictures that are coded each by itself (JPEG): the same picture gives the same bytes, and the floors are
# this part of themselves where there is no noise.
STILL_SHARE = 0.4
_NOISELESS = 0.3
# So they are in a dark picture: coding errs by what there is. Mean luma below which it is dark.
_DARK_LUMA = 16.0
# How many times its own spread noise may reach in one place of five hundred. With coding on top, the
# heaviest noise of the labelled set comes to four fifths of what that allows.
CELL_SPREADS = 5.0
BLOCK_SPREADS = 5.0
# What moves moves neighbours together, be it as faint as the noise over it. The power of four neighbours'
# mean is a quarter of theirs for noise, more for movement; this is five standard deviations off for the one
# and met by the other in most pictures. Below so much noise coding looks alike.
TOGETHER_MIN = 1.5
TOGETHER_NOISE_MIN = 1.5
# Noise of the cells themselves, beyond which nobody would call it noise: what spreads more is movement. A
# cell is the mean of two dozen samples, so these would have five times as much.
NOISE_MAX = 6.0
# The noise is taken from the calmer three quarters of the differences between neighbours: their mean is so
# many standard deviations of normal noise.
_CALM_SHARE = 0.75
_CALM_MEAN = 0.5147

# Two pictures show the same scene when no more than this share of the cells differs by more than this.
SCENE_CELL_MAX = 16.0
SCENE_SHARE_MAX = 0.1

_MAGIC = b"kg1"
_HEAD = struct.Struct("<3sdd")  # then the grid of the standing picture, and that of the newest
LENGTH = _HEAD.size + 2 * CELLS  # bytes that ``remember`` writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One picture of a stream, and when it was to be seen."""

    at_s: float  # on one clock for all looks at a source
    grid: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a look keeps for the next one: since when the picture stands, and the newest."""

    standing: Shot  # the oldest picture that the newest does not differ from
    newest: Shot


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What became of the pictures of one look and of what was kept of the look before."""

    change: float | None  # beyond the noise; 0: none; None: there was nothing to compare with
    compared_s: float  # how long the picture stands; or, where it moved, the time that was compared
    memory: bytes


def compare(
    memory: bytes,
    shots: Sequence[Shot],
    ignored: Iterable[Region] = (),
    *,
    are_stills: bool = False,
) -> Comparison:
    """Compare the pictures of a look, in order, with each other and with what was kept.

    A picture that drifts slower than one look can tell is compared with how it stood at first, look after
    look. Memory that is not ours, or of another clock, counts as none. ``are_stills``: each picture is coded
    by itself.
    """
    shots = [shot for shot in shots if len(shot.grid) == CELLS and math.isfinite(shot.at_s)]
    if not shots:
        return Comparison(change=None, compared_s=0.0, memory=memory)
    places = counted(tuple(ignored))
    kept = recall(memory)
    if kept is not None and kept.newest.at_s > shots[0].at_s:
        kept = None
    standing = shots[0] if kept is None else kept.standing
    newest = shots[-1]
    others = shots[1:] if kept is None else shots
    if not others or not places:
        return Comparison(
            change=None, compared_s=0.0, memory=remember(Memory(standing=standing, newest=newest))
        )
    deltas = [_measured(standing.grid, shot.grid, places) for shot in others]
    # What comes soon after a keyframe repeats its noise but for a few blocks. The noise is the same for all.
    noise = max(delta.noise for delta in deltas)
    is_dark = sum(newest.grid) < _DARK_LUMA * CELLS
    floor = STILL_SHARE if is_dark or (are_stills and noise < _NOISELESS) else 1.0
    change = max(delta.beyond(noise, floor) for delta in deltas)
    compared_s = newest.at_s - standing.at_s
    if change > 0:
        standing = newest
    return Comparison(
        change=change,
        compared_s=compared_s,
        memory=remember(Memory(standing=standing, newest=newest)),
    )


def difference(early: bytes, late: bytes, places: Sequence[int]) -> float:
    """Say by how much the most changed place differs beyond the noise; 0: by no more than noise."""
    found = _measured(early, late, places)
    return found.beyond(found.noise, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delta:
    """How two grids differ."""

    noise: float  # standard deviation of what neighbours do not have in common
    cell: float  # the most changed cell
    block: float  # the most changed mean of four
    together: float  # the power of the means of four against that of the cells; 1: noise

    def beyond(self, noise: float, floor: float) -> float:
        """Say how far that is beyond what such noise can reach, with this share of what coding can."""
        cell = self.cell - CELL_FLOOR * floor - CELL_SPREADS * noise
        block = self.block - BLOCK_FLOOR * floor - BLOCK_SPREADS * noise / 2
        is_telling = self.noise >= TOGETHER_NOISE_MIN
        together = (self.together - TOGETHER_MIN) * self.noise if is_telling else 0.0
        return max(0.0, cell, block, together)


def _measured(early: bytes, late: bytes, places: Sequence[int]) -> _Delta:
    is_counted = bytearray(CELLS)
    delta = [0] * CELLS
    for at in places:
        is_counted[at] = 1
        delta[at] = late[at] - early[at]
    if not any(delta):
        return _Delta(noise=0.0, cell=0.0, block=0.0, together=1.0)
    sums = [left + right for left, right in pairwise(delta)]
    blocks = [upper + lower for upper, lower in zip(sums, sums[COLUMNS:], strict=False)]
    del blocks[COLUMNS - 1 :: COLUMNS]  # the end of one row and the beginning of the next
    # A keyframe may be a shade darker than what came before it, all over.
    power = _variance(delta)
    return _Delta(
        noise=_noise(delta, is_counted),
        cell=max(map(abs, delta)),
        block=max(map(abs, blocks)) / 4,
        together=_variance(blocks) / 4 / power if power else 1.0,
    )


def _variance(values: Sequence[int]) -> float:
    mean = sum(values) / len(values)
    return sum(each * each for each in values) / len(values) - mean * mean


def _noise(delta: Sequence[int], is_counted: Sequence[int]) -> float:
    """Return the standard deviation of what neighbours do not have in common, over the calm parts."""
    steps = sorted(
        abs(delta[at] - delta[at + 1])
        for at in range(CELLS - 1)
        if is_counted[at] and is_counted[at + 1] and (at + 1) % COLUMNS
    )
    calm = steps[: math.ceil(len(steps) * _CALM_SHARE)]
    if not calm:
        return 0.0
    spread = sum(calm) / len(calm) / _CALM_MEAN / math.sqrt(2)
    return min(spread, NOISE_MAX * math.sqrt(2))


@lru_cache(maxsize=256)
def counted(ignored: tuple[Region, ...]) -> tuple[int, ...]:
    """Return the cells that lie outside all regions, even in part."""
    return tuple(
        row * COLUMNS + column
        for row in range(ROWS)
        for column in range(COLUMNS)
        if not any(_touches(region, row, column) for region in ignored)
    )


def _touches(region: Region, row: int, column: int) -> bool:
    return (
        region.left * COLUMNS < column + 1
        and (region.left + region.width) * COLUMNS > column
        and region.top * ROWS < row + 1
        and (region.top + region.height) * ROWS > row
    )


def is_same_scene(grid: bytes, scene: bytes, ignored: Iterable[Region] = ()) -> bool:
    """Whether a picture shows a scene, but for a small part of it. What is no grid shows none."""
    places = counted(tuple(ignored))
    if len(grid) != CELLS or len(scene) != CELLS or not places:
        return False
    others = sum(abs(grid[at] - scene[at]) > SCENE_CELL_MAX for at in places)
    return others <= len(places) * SCENE_SHARE_MAX


def remember(memory: Memory) -> bytes:
    """Write down what a look keeps."""
    standing, newest = memory.standing, memory.newest
    return _HEAD.pack(_MAGIC, standing.at_s, newest.at_s) + standing.grid + newest.grid


def recall(memory: bytes) -> Memory | None:
    """Read what ``remember`` wrote; None: it was something else.

    What stands after it is a source's own, and not looked at.
    """
    if len(memory) < LENGTH:
        return None
    magic, standing_s, newest_s = _HEAD.unpack_from(memory)
    is_ours = magic == _MAGIC and math.isfinite(standing_s) and math.isfinite(newest_s)
    if not is_ours or standing_s > newest_s:
        return None
    grids = memory[_HEAD.size : LENGTH]
    return Memory(
        standing=Shot(at_s=standing_s, grid=grids[:CELLS]),
        newest=Shot(at_s=newest_s, grid=grids[CELLS:]),
    )
