"""Takes secrets out of text on its way to a log: the values keeper was given, and what looks like one.

Secrets are `SecretStr` already; this is the second net, for the exception text, the URL or the remote
line that quotes one. It must never be the reason that a line is lost.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from keeper.telemetry.secret_forms import (
    encoded_of,
    forms_of,
    grams_of,
    head_of,
    longest_first,
    parts_of,
)

HIDDEN = "[redacted]"

# How deep a value may nest; deeper ones are shown as text. Logs of ours are two levels deep.
_DEPTH_MAX = 6

# What follows is what looks like a secret. `_HINTS` are lower-case pieces, one of which is in every
# match: looking for them costs a tenth of the patterns, and nearly no line has one.
_HINTS = (
    "key", "token", "secret", "passw", "bearer", "basic", "auth", "admin", "rtmp", "slack.com",
    "whsec_", "cookie", "@",
)  # fmt: skip
_VALUE = r"(?!\[redacted\])[^\s\"'&,;<>\\}\])]+"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A whole private key, also when its line breaks are escaped.
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|$)", re.DOTALL),
        HIDDEN,
    ),
    (re.compile(rf"(?i)\b(bearer|basic)\s+{_VALUE}"), rf"\1 {HIDDEN}"),
    # The last part of an RTMP address is the stream key; some services put it into the query. ffmpeg puts a
    # stroke between several addresses.
    (
        re.compile(r"(?i)\b(rtmp[a-z]{0,8}://[^\s/|\"'<>]+/(?:[^\s/|\"'<>?]+/)*)[^\s|\"'<>/]+"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://)[^\s/@\"'<>]+@"), rf"\1{HIDDEN}@"),
    (re.compile(rf"(?i)(hooks\.slack\.com/)(?:services|workflows|triggers)/{_VALUE}"), rf"\1{HIDDEN}"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=]+"), HIDDEN),
    # name=value, name: value, "name": "value", and headers. What stands before the name (VAST_ in
    # VAST_API_KEY) is left to the reader: looked for, it cost 30 s in 60 kB of one long word, and a host
    # can send that.
    (
        re.compile(
            r"(?i)((?:api[_-]?key|access[_-]?key|token|secret|passw(?:or)?d|passwd"
            r"|admin[_-]?code|stream[_-]?key|authorization|cookie)[\"']?\s*[=:]\s*[\"']?)"
            rf"(?!(?:bearer|basic)\s){_VALUE}"
        ),
        rf"\1{HIDDEN}",
    ),
)  # fmt: skip
_SECRET_KEY = re.compile(
    r"(?i)(api[_-]?key|token|secret|passw(or)?d|authorization|admin[_-]?code|private[_-]?key"
    r"|stream[_-]?key|^key$)"
)


class Redactor:
    """Knows the secrets of this process and what secrets look like."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        """Learn the values, in every form that one may take, and by their ends where they are cut."""
        parts = {part for secret in secrets for part in parts_of(secret)}
        forms = {form for part in parts for form in forms_of(part)}
        encoded = {form for part in parts for form in encoded_of(part)} - forms
        # The longest first: one secret may be the beginning of another.
        self._known = longest_first(forms | encoded)
        grams: dict[str, list[tuple[str, int]]] = {}
        # First as they are: other forms agree with them in pieces only.
        for form in sorted(self._known, key=lambda form: form not in parts):
            for gram, begin in head_of(form) if form in encoded else grams_of(form):
                grams.setdefault(gram, []).append((form, begin))
        self._grams = grams
        # Whoever holds a whole form holds one of its pieces.
        pieces = {each for at in grams.values() for each, _ in at}
        self._signs = (*grams, *(form for form in self._known if form not in pieces))

    def is_suspect(self, text: str) -> bool:
        """Whether a closer look is worth its cost. Never False for something ``text()`` would hide."""
        lower = text.lower()
        for hint in _HINTS:  # a loop: any() over a generator costs twice as much, on every line
            if hint in lower:
                return True
        return any(map(text.__contains__, self._signs))

    def known(self, text: str) -> str:
        """Return the text without the values that were given, whatever else looks like a secret."""
        if any(map(text.__contains__, self._signs)):
            for form in self._known:
                text = text.replace(form, HIDDEN)
            for gram, forms in self._grams.items():
                if gram in text:
                    text = _without_pieces(text, gram, forms)
        return text

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        if not text:
            return text
        text = self.known(text)
        lower = text.lower()
        if any(map(lower.__contains__, _HINTS)):
            for pattern, instead in _PATTERNS:
                text = pattern.sub(instead, text)
        return text

    def value(self, value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - whatever is logged
        """Return a JSON-like value without secrets, names of keys included."""
        match value:
            case str():
                return self.text(value)
            case None | bool() | int() | float():
                return value
            case Mapping() if depth < _DEPTH_MAX:
                return {
                    self.text(str(key)): HIDDEN
                    if _SECRET_KEY.search(str(key)) and isinstance(each, str) and each
                    else self.value(each, depth + 1)
                    for key, each in value.items()
                }
            case list() | tuple() | set() | frozenset() if depth < _DEPTH_MAX:
                return [self.value(each, depth + 1) for each in value]
            case _:
                return self.text(str(value))


def _without_pieces(text: str, gram: str, forms: list[tuple[str, int]]) -> str:
    """Hide what is left of a secret that was cut, from the piece outwards as far as it agrees."""
    begin = text.find(gram)
    while begin >= 0:
        left, right = begin, begin + len(gram)
        for form, offset in forms:
            low, high = begin, begin + len(gram)
            while (
                low and offset - (begin - low) and text[low - 1] == form[offset - (begin - low) - 1]
            ):
                low -= 1
            while (
                high < len(text)
                and offset + high - begin < len(form)
                and text[high] == form[offset + high - begin]
            ):
                high += 1
            left, right = min(left, low), max(right, high)
        text = text[:left] + HIDDEN + text[right:]
        begin = text.find(gram, left + len(HIDDEN))
    return text
