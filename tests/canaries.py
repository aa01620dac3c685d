"""Secrets made to be found again: what to plant, every shape in which to look for it, and where.

Shares nothing with keeper's own redaction: it would not see what that has forgotten.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
# A thief who has this much of one in a row has too much of it.
WINDOW = 12


def canary(name: str, odd: str = "") -> str:
    """Make a secret of high entropy, the same in every run; ``odd`` characters stand inside it."""
    text = base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode().rstrip("=")
    text = text.replace("-", "x").replace("_", "y")
    return f"{text[:20]}{odd}{text[20:]}"


def key_of(name: str) -> str:
    """Make a secret as the marketplace writes keys: 64 hexadecimal digits."""
    return hashlib.sha256(name.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Flock:
    """Canaries by the names of the places where they were put."""

    planted: Mapping[str, str | bytes]

    def found(self, text: str | bytes, *, allowed: Iterable[str] = ()) -> list[str]:
        """Name the canaries of which anything is in a text, and how it is written there."""
        data = text if isinstance(text, bytes) else text.encode(errors="surrogateescape")
        return [
            f"{name} as {shape}"
            for name, secret in self.planted.items()
            if name not in set(allowed)
            for shape, needles in _shapes(secret).items()
            if any(needle in data for needle in needles)
        ]

    def found_in_files(
        self, folder: Path, *, besides: Iterable[str] = (), allowed: Iterable[str] = ()
    ) -> dict[str, list[str]]:
        """Look through every file below a folder, names included: also free pages of a store."""
        spared = set(besides)
        seen = {}
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_file() and name not in spared:
                try:
                    content = path.read_bytes()
                except FileNotFoundError:  # a temporary one, gone meanwhile
                    continue
                if here := self.found(name.encode() + b"\0" + content, allowed=allowed):
                    seen[name] = here
        return seen

    def found_in_processes(self, top: int) -> dict[str, list[str]]:
        """Look at the command lines of a process and of all below it, and at the environments of those.

        Its own environment is where it may have been given them.
        """
        seen = {}
        below = processes_below(top)
        looks = [(pid, "cmdline") for pid in (top, *below)] + [(pid, "environ") for pid in below]
        for pid, what in looks:
            with suppress(OSError):  # over meanwhile
                if here := self.found(Path(f"/proc/{pid}/{what}").read_bytes()):
                    seen[f"{pid} {what}"] = here
        return seen


def processes_below(top: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    found = [top]
    for pid in found:
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found.extend(int(each) for each in (task / "children").read_text().split())
    return found[1:]


def _shapes(secret: str | bytes) -> dict[str, list[bytes]]:
    raw = secret if isinstance(secret, bytes) else secret.encode()
    shapes = {
        "itself": _windows(raw),
        "hex": _windows(raw.hex().encode()),
        "HEX": _windows(raw.hex().upper().encode()),
    }
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)[(0, 2, 3)[before] :].rstrip(b"=")[:-2]
        shapes[f"base64 after {before}"] = _windows(encoded)
        shapes[f"URL-safe base64 after {before}"] = _windows(encoded.translate(_URL_SAFE))
    if isinstance(secret, str):
        for shape, text in {
            "JSON": json.dumps(secret)[1:-1],
            "an address": urllib.parse.quote(secret, safe=""),
            "a form": urllib.parse.quote_plus(secret),
            "markup": html.escape(secret),
            "its bare letters": re.sub(r"\W", "", secret),
        }.items():
            shapes[shape] = [text[:WINDOW].encode(), text[-WINDOW:].encode()]
    return shapes


def _windows(data: bytes) -> list[bytes]:
    return sorted({data[at : at + WINDOW] for at in range(max(1, len(data) - WINDOW + 1))})
