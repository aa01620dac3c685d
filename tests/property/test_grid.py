"""Small pictures compared: noise is never movement, what has moved always is, and memory is never trusted."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from keeper.ports import Region
from keeper.probes.grid import (
    CELLS,
    COLUMNS,
    ROWS,
    Memory,
    Shot,
    compare,
    counted,
    difference,
    is_same_scene,
    recall,
    remember,
)

GRIDS = st.binary(min_size=CELLS, max_size=CELLS)
MOMENTS = st.floats(min_value=0, max_value=1e9)
SEEDS = st.integers(0, 2**32)
EVERYWHERE = counted(())


def smooth(seed: int) -> bytes:
    """A picture without noise: a few broad slopes and edges."""
    luck = random.Random(seed)
    low, high = luck.randrange(40, 90), luck.randrange(120, 200)
    edge, slope = luck.randrange(4, COLUMNS - 4), luck.random()
    return bytes(
        min(255, int((low if column < edge else high) + slope * row))
        for row in range(ROWS)
        for column in range(COLUMNS)
    )


def noisy(grid: bytes, sigma: float, seed: int) -> bytes:
    luck = random.Random(seed)
    return bytes(max(0, min(255, round(cell + luck.gauss(0, sigma)))) for cell in grid)


@given(grid=GRIDS, at_s=MOMENTS, later_s=st.floats(0, 1e6), count=st.integers(1, 6))
def test_the_same_picture_has_never_moved(
    grid: bytes, at_s: float, later_s: float, count: int
) -> None:
    shots = [Shot(at_s=at_s + later_s * number, grid=grid) for number in range(count)]
    first = compare(b"", shots)
    assert not first.change
    again = compare(first.memory, [Shot(at_s=shots[-1].at_s + 1, grid=grid)])
    assert again.change == 0
    assert math.isclose(again.compared_s, shots[-1].at_s + 1 - at_s, rel_tol=1e-6)


@given(seed=SEEDS, sigma=st.floats(0, 6), noise=SEEDS)
def test_noise_over_a_picture_that_stands_is_no_movement(
    seed: int, sigma: float, noise: int
) -> None:
    still = smooth(seed)
    shots = [Shot(at_s=number, grid=noisy(still, sigma, noise + number)) for number in range(4)]
    assert compare(b"", shots).change == 0


@given(
    seed=SEEDS,
    sigma=st.floats(0, 2),
    noise=SEEDS,
    row=st.integers(0, ROWS - 3),
    column=st.integers(0, COLUMNS - 3),
    by=st.sampled_from((-35, 35)),
)
def test_a_patch_that_has_moved_is_seen_wherever_it_is(
    seed: int, sigma: float, noise: int, row: int, column: int, by: int
) -> None:
    """Three cells square are a hundredth of a picture: what a hand or a mouth takes up."""
    still = smooth(seed)
    moved = bytearray(still)
    for at in range(9):
        moved[(row + at // 3) * COLUMNS + column + at % 3] += by
    early, late = noisy(still, sigma, noise), noisy(bytes(moved), sigma, noise + 1)
    assert difference(early, late, EVERYWHERE) > 0
    assert compare(b"", [Shot(at_s=0, grid=early), Shot(at_s=2, grid=late)]).change


@given(
    left=st.floats(0, 0.6), top=st.floats(0, 0.6), width=st.floats(0.1, 0.4), height=st.floats(0.1, 0.4),
    early=GRIDS, late=GRIDS,
)  # fmt: skip
def test_what_moves_in_an_ignored_region_is_no_movement(
    left: float, top: float, width: float, height: float, early: bytes, late: bytes
) -> None:
    region = Region(left=left, top=top, width=width, height=height)
    outside = set(counted((region,)))
    mixed = bytes(early[at] if at in outside else late[at] for at in range(CELLS))
    found = compare(b"", [Shot(at_s=0, grid=early), Shot(at_s=2, grid=mixed)], (region,))
    assert not found.change


@given(
    standing=GRIDS, newest=GRIDS, at_s=MOMENTS, later_s=st.floats(0, 1e6), rest=st.binary(max_size=9)
)  # fmt: skip
def test_memory_is_read_as_it_was_written(
    standing: bytes, newest: bytes, at_s: float, later_s: float, rest: bytes
) -> None:
    memory = Memory(
        standing=Shot(at_s=at_s, grid=standing), newest=Shot(at_s=at_s + later_s, grid=newest)
    )
    assert recall(remember(memory) + rest) == memory


@given(
    memory=st.one_of(
        st.binary(max_size=2000),
        st.binary(min_size=1300, max_size=1300).map(lambda rest: b"kg1" + rest),
    ),
    grid=st.one_of(GRIDS, st.binary(max_size=CELLS)),
    at_s=st.floats(),
)
def test_a_memory_that_is_none_is_never_raised(memory: bytes, grid: bytes, at_s: float) -> None:
    found = compare(memory, [Shot(at_s=at_s, grid=grid)])
    assert found.change is None or found.change >= 0
    assert not is_same_scene(grid, memory[: CELLS - 1])


@given(grid=GRIDS, early_s=st.floats(1, 1e6))
def test_a_memory_from_after_this_look_is_another_clock_s(grid: bytes, early_s: float) -> None:
    kept = compare(b"", [Shot(at_s=early_s * 2, grid=grid)]).memory
    assert compare(kept, [Shot(at_s=early_s, grid=grid)]).change is None


@given(seed=SEEDS, noise=SEEDS, sigma=st.floats(0, 4))
def test_a_scene_is_known_in_its_noise_and_another_one_is_not(
    seed: int, noise: int, sigma: float
) -> None:
    scene = smooth(seed)
    assert is_same_scene(noisy(scene, sigma, noise), scene)
    assert not is_same_scene(bytes(255 - cell for cell in scene), scene)
