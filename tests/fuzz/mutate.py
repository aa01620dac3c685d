"""Makes inputs that nobody meant out of inputs that somebody did: of their bytes, and of their JSON.

All luck comes from the ``Random`` that is given, so an input is known by its seed.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

INPUT_MAX_BYTES: Final = 65_536

# Pieces that parsers were seen to stumble over somewhere, put in anywhere.
TOKENS: Final = (
    b"\x00", b"\xff", b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xc0", b"\xff\xc2", b"\xc3(", b"\xed\xa0\x80",
    b"\x1b[31m", b"\x9b", b"\x7f", b"\r\n\r\n", b"\n\n", b"\n", b"--frame", b"--frame\r\n\r\n",
    b"Content-Length: 99999999999\r\n", b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 30, b"9" * 400,
    b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[" * 100, b"[" * 3000, b'{"a":' * 3000, b"]", b"null", b"true", b'""', b",", b":",
    b"<script>alert(1)</script>", b"<!channel>", b"*b* _i_ ~s~ `c` <@U1> &amp;", b"'; rm -rf ~ #",
    b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"0x7f000001", b"127.0.0.1", b"::1", b"%eth0", b"%00",
)  # fmt: skip

VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 0.5, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**30, 10**400, 1e308, -1e308,
    5e-324, float("nan"), float("inf"), "", " ", "0", "-1", "1e308", "NaN", "9" * 40, "9" * 5000, "x" * 3000,
    "a\x00b\x1b[31m\x9b\u202e", "\ud800", "</td><script>alert(1)</script>", "<!channel> *b*", "127.0.0.1",
    "169.254.169.254", "2001:db8::1%eth0", "running", "loading", "Sat, 21 Nov 2026 05:21:51 GMT",
    [], {}, [[]], [None], {"": None}, {"id": 1}, ["x"] * 50, {str(n): n for n in range(50)},
)  # fmt: skip


def mutated(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Return one input: a seed with one to eight changes, by its bytes or by its tree."""
    data = random.choice(seeds)
    for _ in range(1 + int(random.random() ** 3 * 8)):
        if data[:1] in {b"{", b"["} and random.random() < 0.4:
            data = _by_tree(random, data)
        else:
            data = random.choice(_CHANGES)(random, data, seeds)
    return data[:INPUT_MAX_BYTES]


# --- by bytes ----------------------------------------------------------------------------------


def _flip(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return b"\x00"
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def _set(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]


def _delete(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[end:]


def _repeat(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:end] + data[start:end] * random.choice((1, 2, 20)) + data[end:]


def _cut(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _put(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(TOKENS) + data[at:]


def _splice(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    other = random.choice(seeds)
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def _noise(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:start] + random.randbytes(min(64, end - start)) + data[end:]


Change = Callable[[Random, bytes, Sequence[bytes]], bytes]
_CHANGES: Final[tuple[Change, ...]] = (
    _flip,
    _set,
    _delete,
    _repeat,
    _cut,
    _put,
    _put,
    _splice,
    _noise,
)


def _span(random: Random, data: bytes) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 2, 4, 16, 64, 1024)))


# --- by tree -----------------------------------------------------------------------------------


def _by_tree(random: Random, data: bytes) -> bytes:
    """Change one value of a JSON document; what is none stays as it is."""
    try:
        root = [json.loads(data)]
    except (ValueError, RecursionError):
        return data
    holder, key = _place(random, root)
    match random.randrange(5):
        case 0:
            holder[key] = random.choice(VALUES)
        case 1 if holder is not root:
            del holder[key]
        case 2 if isinstance(holder, list):
            holder.insert(key, random.choice(VALUES))
        case 3:
            holder[key] = [holder[key]]
        case _:
            holder[key] = str(holder[key])[:2000]
    try:
        said = json.dumps(root[0]).encode()
    except (ValueError, RecursionError):
        return data
    if random.random() < 0.1 and said[:1] == b"{":  # a name twice: which one counts?
        return said[:-1] + b"," + said[1:]
    return said


def _place(random: Random, root: list[Any]) -> tuple[Any, Any]:
    """Walk down at random; returns a holder and a place in it."""
    here: Any = root
    at: Any = 0
    while random.random() < 0.8:
        value = here[at]
        if isinstance(value, dict) and value:
            here, at = value, random.choice(list(value))
        elif isinstance(value, list) and value:
            here, at = value, random.randrange(len(value))
        else:
            break
    return here, at
