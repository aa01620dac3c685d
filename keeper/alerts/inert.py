"""Text from strangers that no chat can take for markup: the characters that format, mention or link.

They cannot be escaped in most chats, so look-alikes stand for them. Commands that keeper itself writes in
backticks are for whoever words a message to leave alone.
"""

from __future__ import annotations

import re

from keeper.core.text import plain

_LOOK_ALIKES = str.maketrans({"*": "∗", "~": "∼", "`": "ˋ", "@": "＠"})  # noqa: RUF001
_EDGES = re.compile(r"(?<!\w)_+|_+(?!\w)")


def inert(text: str, length_max: int) -> str:
    """Return one line of text in which nothing is bold, struck out, code, or a mention. Never longer.

    Underscores format only at the edge of a word, and are left out there.
    """
    return _EDGES.sub("", plain(text, length_max).translate(_LOOK_ALIKES))


def pieces(text: str, length_max: int) -> list[tuple[str, bool]]:
    """Take keeper's own advice apart: plain text, and what it writes in backticks (True)."""
    parts = plain(text, length_max).split("`")
    if len(parts) % 2 == 0:
        parts[-2:] = ["".join(parts[-2:])]  # one that is not closed was cut, or is not keeper's
    return [(inert(part, length_max), index % 2 == 1) for index, part in enumerate(parts) if part]
