"""Hostile text becomes one harmless line."""

import pytest

from keeper.core.text import plain


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
    ],
)
def test_shows_controls_as_text(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_cuts_at_the_bound() -> None:
    assert plain("x" * 600) == "x" * 499 + "…"
    assert plain("abc", 2) == "a…"
