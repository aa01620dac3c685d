"""Makes what strangers wrote safe to show: whatever a host or the marketplace sends is hostile.

It knows control characters and lengths. Each sink escapes for its own markup (HTML, Slack, JSON)
on top of this.
"""

from __future__ import annotations

import re

# C0 and C1 controls (ANSI escapes live there, 0x9b included), DEL, line and paragraph separators,
# invisible and direction-changing marks ("Trojan Source", CVE-2021-42574), the byte order mark, tags
# (a second text inside the first, seen by programs alone), and lone surrogates, which no UTF-8 encoder
# takes: Unicode 15's categories Cc, Cf, Cs, Zl and Zp.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
_LATIN_MAX = 0xFF
_BASIC_MAX = 0xFFFF
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": " "}

TEXT_MAX = 500  # a line that a person reads in one look


def plain(text: str, length_max: int = TEXT_MAX) -> str:
    r"""Return the text in one line, controls shown as ``\x1b``, cut at a bound with an ellipsis."""
    text = _cut(text, length_max)
    if text.isascii() and text.isprintable():  # the common case, at a fraction of the cost
        return text
    return _cut(_UNSAFE.sub(_shown, text), length_max)


def sold_gb(gpu_ram_gb: float) -> int:
    """Return a card's memory as cards are sold.

    The marketplace tells MiB and calls a thousand of them a GB: 24.564 for a card of 24, whose
    driver keeps a little of it back. A GB of a card has 1024.
    """
    return round(gpu_ram_gb * 1000 / 1024)


def _cut(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else text[: max(0, length_max - 1)] + "…"


def _shown(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if code > _BASIC_MAX:
        return f"\\U{code:08x}"
    return _NAMED.get(character) or (f"\\x{code:02x}" if code <= _LATIN_MAX else f"\\u{code:04x}")
