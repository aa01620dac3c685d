"""One field of a JSON answer at a time, made into everything that it should not be.

A mutation is the raw text that stands where the value stood, because half of them are nothing that a
JSON library would write: endless numbers, ten thousand brackets, half a surrogate.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

# The steps from the outside to a field: a name in an object, a place in an array.
Path = tuple[str | int, ...]

_DEPTH = 10_000
_MARK = "\uf8ff mutated here \uf8ff"  # of the private use area: no answer holds it


@dataclass(frozen=True, slots=True)
class Mutation:
    """What becomes of a field. ``token`` is raw JSON, or nearly; None: the field is missing."""

    name: str
    token: bytes | None = field(repr=False)


def _text(value: str) -> bytes:
    return json.dumps(value).encode()


MUTATIONS: Final = (
    Mutation("missing", None),
    Mutation("null", b"null"),
    # Another type. None of these numbers is an id, a port, a price or a moment that could be meant.
    Mutation("empty text", b'""'),
    Mutation("a text", b'"spoiled"'),
    Mutation("zero", b"0"),
    Mutation("a fraction", b"0.5"),
    Mutation("true", b"true"),
    Mutation("false", b"false"),
    Mutation("empty array", b"[]"),
    Mutation("an array", b'["spoiled", null]'),
    Mutation("an array of arrays", b"[[]]"),
    Mutation("empty object", b"{}"),
    Mutation("an object", b'{"spoiled": {"id": null}}'),
    # Numbers that nobody means.
    Mutation("minus one", b"-1"),
    Mutation("1e308", b"1e308"),
    Mutation("-1e308", b"-1e308"),
    Mutation("beyond all floats", b"1e999"),
    Mutation("10**40", b"1" + 40 * b"0"),
    Mutation("-10**40", b"-1" + 40 * b"0"),
    Mutation("10**40 as text", b'"1' + 40 * b"0" + b'"'),
    Mutation("1e308 as text", b'"1e308"'),
    Mutation("NaN", b"NaN"),
    Mutation("Infinity", b"-Infinity"),
    # Texts with intentions.
    Mutation("a megabyte", b'"' + 2**20 * b"A" + b'"'),
    Mutation("a megabyte of digits", b'"' + 2**20 * b"9" + b'"'),
    Mutation("a million digits", 10**6 * b"9"),
    Mutation("control characters", _text("a\x00b\x1b[31mc\r\nd\x7f\x9b\u202ee\u2028f")),
    Mutation("raw control characters", b'"a\x00b\x1b[31mc\r\nd"'),
    Mutation("broken UTF-8", b'"a\xff\xfe\xc3("'),
    Mutation("HTML", _text("</td><script>alert(1)</script><img src=x onerror=alert(2)>&#0;")),
    Mutation("Slack markup", _text("<!channel> <https://evil.example|console> *b* `c` :x: <@U1>")),
    Mutation("shell", _text("'; rm -rf ~; $(reboot) `id` && true | tee /x > y\nfoo=bar #")),
    Mutation("half a surrogate", b'"a\\ud800b"'),
    Mutation("the other half", b'"\\udfff"'),
    Mutation(
        "what a host's daemon says",
        _text("Error response from daemon: OCI runtime create failed: no space left on device"),
    ),
    Mutation("deep arrays", _DEPTH * b"[" + _DEPTH * b"]"),
    Mutation("deep objects", _DEPTH * b'{"a":' + b"1" + _DEPTH * b"}"),
    Mutation("arrays without an end", _DEPTH * b"["),
)


def paths(document: Any, here: Path = ()) -> Iterator[Path]:
    """Yield the whole, each field and each first element; what is alike stands for all."""
    yield here
    if isinstance(document, dict):
        for name, value in document.items():
            yield from paths(value, (*here, name))
    elif isinstance(document, list) and document:
        yield from paths(document[0], (*here, 0))


def at(document: Any, path: Path) -> Any:
    """Return what stands at a path."""
    for step in path:
        document = document[step]
    return document


def is_plausible(value: Any, mutation: Mutation) -> bool:
    """Whether the mutated field is just another answer, such as a price of nothing."""
    if isinstance(value, bool):
        return mutation.name in ("true", "false", "zero")
    if isinstance(value, int | float):
        return mutation.name in ("zero", "a fraction")
    return False


def said(path: Path) -> str:
    """Write a path as a reader would."""
    return ".".join(map(str, path)) or "(all)"


def spoil(body: bytes, path: Path, mutation: Mutation) -> bytes:
    """Return the answer with one field mutated."""
    if mutation.token is not None:
        before, after = _around(body, path)
        return before + mutation.token + after
    if not path:
        return b""
    document = json.loads(body)
    del at(document, path[:-1])[path[-1]]
    return json.dumps(document).encode()


@lru_cache(maxsize=8)
def _around(body: bytes, path: Path) -> tuple[bytes, bytes]:
    """Return what stands before and after a field."""
    if not path:
        return b"", b""
    document = json.loads(body)
    at(document, path[:-1])[path[-1]] = _MARK
    before, _, after = json.dumps(document).encode().partition(_text(_MARK))
    return before, after
