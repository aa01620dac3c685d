"""The loudest tenth of a second, by sums of squares."""

import pytest

from keeper.adapters.loudness import SILENCE_DBFS, Loudness

RATE = 48_000
FRAME = 960


def heard(*powers: float) -> Loudness:
    """Tenths of a second, each of one mean power."""
    loudness = Loudness()
    for power in powers:
        for _ in range(5):
            loudness.take(power * FRAME, FRAME, RATE)
    return loudness


@pytest.mark.parametrize(
    ("powers", "dbfs"),
    [
        ((0.0,), SILENCE_DBFS),
        ((0.0, 0.01, 0.0), -20.0),  # one click is no silence
        ((1.0, 0.01), 0.0),  # full scale, and then less
        ((1e-30,), SILENCE_DBFS),
        ((float("nan"),), SILENCE_DBFS),
        ((float("inf"),), SILENCE_DBFS),
    ],
)
def test_the_loudest_tenth_of_a_second_is_what_counts(
    powers: tuple[float, ...], dbfs: float
) -> None:
    assert heard(*powers).loudest_dbfs == pytest.approx(dbfs)


def test_nothing_is_said_of_what_was_not_heard_and_little_is_better_than_nothing() -> None:
    loudness = Loudness()
    loudness.end_window()
    assert loudness.loudest_dbfs is None
    loudness.take(0.01 * FRAME, FRAME, RATE)
    assert loudness.loudest_dbfs is None
    loudness.end_window()
    assert loudness.loudest_dbfs == pytest.approx(-20.0)


def test_a_second_that_is_loud_is_enough_and_one_of_silence_is_not() -> None:
    assert heard(*[1.0] * 10).is_settled
    assert not heard(*[1.0] * 9).is_settled
    assert not heard(*[0.0] * 30).is_settled
