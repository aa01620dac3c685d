"""Durations as people write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.settings import parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 90.0),
        ("0.5", 0.5),
        ("90s", 90.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("2d", 172_800.0),
        ("1d2h3m4s5ms", 93_784.005),
        ("1.5h", 5400.0),
        ("250ms", 0.25),
        (" 5m ", 300.0),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_read(written: str, seconds: float) -> None:
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written", ["", " ", "s", "5q", "30m1h", "5m5m", "-5s", "1h 30m", "5 m", "1e3", "٣s", "5M", "."]
)
def test_what_is_no_duration_is_refused_by_its_own_words(written: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write 90"):
        parse_duration(written)


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_parts_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    written = f"{days}d{hours}h{minutes}m{seconds}s"
    assert parse_duration(written) == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_value_error(written: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_duration(written) >= 0
