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

from keeper.ports import Region

# Every picture is averaged into so many cells, whatever its shape: a cell of a 720p picture is 40 pixels
# square, so that its noise is gone, and a mouth or the last digit of a clock still moves its mean.
COLUMNS = 32
ROWS = 18
CELLS = COLUMNS * ROWS

# A change that a viewer could see. Keyframes of one and the same picture differ by less than this, however
# hard they are pressed.
FLOOR = 2.0
# How many times its own spread noise may reach over 500 places; 5 is met once in three thousand pictures.
SPREADS = 6.0
# Noise of the cells themselves, beyond which nobody would call it noise: what spreads more is movement.
NOISE_MAX = 6.0
# Three quarters of the differences of normal noise between neighbours are within so many of its spreads:
# 1.15 standard deviations, and the difference of two has the square root of two of them.
_QUARTILE = 1.15 * math.sqrt(2)

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


def compare(memory: bytes, shots: Sequence[Shot], ignored: Iterable[Region] = ()) -> Comparison:
    """Compare the pictures of a look, in order, with each other and with what was kept.

    A picture that drifts slower than one look can tell is compared with how it stood at first, look after
    look. Memory that is not ours, or of another clock, counts as none.
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
    change = max(difference(standing.grid, shot.grid, places) for shot in others)
    compared_s = newest.at_s - standing.at_s
    if change > 0:
        standing = newest
    return Comparison(
        change=change,
        compared_s=compared_s,
        memory=remember(Memory(standing=standing, newest=newest)),
    )


def difference(early: bytes, late: bytes, places: Sequence[int]) -> float:
    """Say by how much the most changed place differs beyond the noise; 0: by no more than noise.

    The noise is what the differences of neighbouring cells have in common over the whole picture: what
    moves is larger than a cell, and elsewhere it leaves neighbours alike.
    """
    is_counted = bytearray(CELLS)
    delta = [0] * CELLS
    for at in places:
        is_counted[at] = 1
        delta[at] = late[at] - early[at]
    if not any(delta):
        return 0.0
    steps = sorted(
        abs(delta[at] - delta[at + 1]) for at in places if (at + 1) % COLUMNS and is_counted[at + 1]
    )
    spread = steps[len(steps) * 3 // 4] / _QUARTILE if steps else 0.0
    noise = min(spread, NOISE_MAX * math.sqrt(2))
    peak = max(
        abs(delta[at] + delta[at + 1] + delta[at + COLUMNS] + delta[at + COLUMNS + 1]) / 4
        for at in range(CELLS - COLUMNS)
        if (at + 1) % COLUMNS
    )
    return max(0.0, peak - FLOOR - SPREADS * noise / 2)


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
