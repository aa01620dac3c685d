"""The shapes in which a known secret may turn up in text, whole or cut. Pure arithmetic of strings.

What a host repeats has often been encoded, quoted or cut before keeper sees it: a tail of a log, a
"why" of 120 characters. So a secret is known by its ends as well as by its whole.
"""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, urlsplit

# A shorter "secret" would be found in ordinary words and hide the log instead of the secret.
SECRET_MIN = 4
# So much of a secret's beginning or end is hidden when the rest is not there. Less is no use to a
# thief: 7 characters of 20 or more.
_END = 8
# The same for an end that reads like a word: "streamin" would hide every "streaming".
_WORDLIKE_END = 12
# A part of a secret that is a secret itself: a line of a key, the token in a webhook's address.
_PART_MIN = 8
# Long secrets are also known by what stands at every so many characters: both ends may be cut off.
_STRIDE = 64
# What the sentinel lets through of a manager's free text (payload/sentinel.sh, `plain`).
_SENTINEL_DROPS = re.compile(r"[^A-Za-z0-9 _.,:/()=+-]")
_ADDRESS = re.compile(r"(?i)^[a-z][a-z0-9+.-]*://")


def parts_of(secret: str) -> Iterator[str]:
    """Yield a secret and those of its parts that are secret by themselves."""
    whole = secret.strip()
    if len(whole) < SECRET_MIN:
        return
    yield whole
    lines = whole.splitlines()
    if len(lines) > 1:  # a private key: its lines come apart
        bare = (line.strip() for line in lines if not line.startswith("-----"))
        yield from (line for line in bare if len(line) >= _PART_MIN)
    elif _ADDRESS.match(whole):
        yield from in_address(whole)
    elif whole.startswith("whsec_"):
        yield whole.removeprefix("whsec_")


def in_address(address: str, *, word_min: int = _PART_MIN) -> Iterator[str]:
    """Yield what may be secret in an address: password, words of the path, values of the query."""
    try:
        split = urlsplit(address)
    except ValueError:  # no address after all
        return
    password = split.password or ""
    words = [*split.path.split("/"), *re.split(r"[&=;]", split.query), split.fragment]
    for word in words:
        if len(word) >= word_min and not _is_wordlike(word):
            yield from dict.fromkeys((word, unquote(word)))
    if len(password) >= SECRET_MIN:
        yield from dict.fromkeys((password, unquote(password)))


def forms_of(secret: str) -> frozenset[str]:
    """Return a secret as it is, and as JSON, addresses, shells and markup write it."""
    # What is left of it may be a word: then it is not hidden, or the log would be.
    left = _SENTINEL_DROPS.sub("", secret)
    return frozenset(
        form
        for form in (
            secret,
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            quote(secret, safe="", errors="replace"),
            quote(secret, errors="replace"),
            quote_plus(secret, errors="replace"),
            html.escape(secret),
            shlex.quote(secret).strip("'"),
            left if len(left) > _END and not _is_wordlike(left) else "",
        )
        if len(form) >= SECRET_MIN
    )


def encoded_of(secret: str) -> Iterator[str]:
    """Yield a secret in hex, and as it looks inside base64, wherever in the encoded text it stands."""
    data = secret.encode("utf-8", "surrogatepass")
    yield data.hex()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        # The first characters depend on what is before it, the last ones on what comes after.
        inner = encoded[(0, 2, 3)[before] :].rstrip("=")
        inner = inner[: len(inner) - (1 if (before + len(data)) % 3 else 0)]
        if len(inner) >= _END:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")


def head_of(form: str) -> Iterator[tuple[str, int]]:
    """Yield the piece by which an encoded form is recognised, whole or cut: its beginning."""
    if len(form) > _END:
        yield form[:_END], 0


def grams_of(form: str) -> Iterator[tuple[str, int]]:
    """Yield pieces of a form, and where in it they stand, by which a cut one is recognised."""
    if len(form) <= _END or _ADDRESS.match(form):
        return
    last = len(form)
    for begin in range(0, last - _END, _STRIDE):
        if piece := _piece(form, begin, begin + _END, begin + _WORDLIKE_END):
            yield piece, begin
    if piece := _piece(form, last - _END, last, last):
        yield piece, last - _END
    elif len(form) > _WORDLIKE_END:
        yield form[-_WORDLIKE_END:], last - _WORDLIKE_END


def _piece(form: str, begin: int, end: int, end_if_wordlike: int) -> str:
    piece = form[begin:end]
    if not _is_wordlike(piece):
        return piece
    longer = form[begin:end_if_wordlike]
    return longer if len(longer) >= _WORDLIKE_END and len(form) > len(longer) else ""


def _is_wordlike(piece: str) -> bool:
    """Whether a piece could stand in ordinary text: no digit, and not of mixed case."""
    has_digit = any(each.isdigit() for each in piece)
    return not has_digit and (piece.lower() == piece or piece.upper() == piece or piece.istitle())


def longest_first(forms: Iterable[str]) -> tuple[str, ...]:
    """Order forms so that a secret which begins with another is hidden as a whole."""
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))
