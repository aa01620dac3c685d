"""Hostile text becomes one harmless line."""

import sys
import unicodedata

import pytest

from keeper.core.text import plain, sold_gb


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("all is well", "all is well"),
        ("größer – ✓ 漢字", "größer – ✓ 漢字"),
        ("\x1b[2J\x1b[31mred", r"\x1b[2J\x1b[31mred"),
        ("a\nb\r\nc\td", r"a\nb\r\nc d"),
        ("\x9b31m and \x7f", r"\x9b31m and \x7f"),
        ("user\u202etxt.exe", r"user\u202etxt.exe"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("lone \ud800 surrogate", r"lone \ud800 surrogate"),
        ("a tag \U000e0041", r"a tag \U000e0041"),
        ("a note \ufff9", r"a note \ufff9"),
    ],
)
def test_shows_controls_as_text(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_nothing_that_nobody_sees_is_left() -> None:
    unseen = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    left = {c for c in plain(everything, 10**8) if unicodedata.category(c) in unseen}
    assert left == set()


def test_cuts_at_the_bound() -> None:
    assert plain("x" * 600) == "x" * 499 + "…"
    assert plain("abc", 2) == "a…"


@pytest.mark.parametrize(
    ("mib", "sold_as"),
    [(10240, 10), (16376, 16), (24564, 24), (32607, 32), (49140, 48), (81559, 80), (98304, 96)],
)
def test_video_memory_is_said_as_cards_are_sold(mib: int, sold_as: int) -> None:
    assert sold_gb(mib / 1000) == sold_as
