"""Answers on demand: what the next calls of an endpoint are told, whatever is true.

A cue is data: which calls, which shape or which bytes, how often, how late, and whether what was
asked for is done all the same. Cues are kept apart from the board of faults, which strikes by plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from keeper.sim.exchange import ApiReply, Delivery
from keeper.sim.shapes import MENU, Shape

STATUSES = range(100, 600)
DELAY_MAX_S = 600.0
_KEYS = frozenset(
    {"endpoint", "answer", "status", "body", "text", "headers", "count", "skip", "after", "delay_s"}
)


@dataclass(slots=True, kw_only=True)
class Cue:
    """One wish. ``shape`` None: the true answer, only later or with more headers."""

    endpoint: str = "*"  # a glob over "METHOD /path/{id}/"
    name: str = ""
    shape: Shape | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    left: int = 1  # 0: for as long as it stands
    skip: int = 0  # so many calls pass before the first is hit, as pages of a list

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Cue:
        """Read a cue from plain values. Raises ValueError in plain words."""
        if not isinstance(row, Mapping):
            raise ValueError("a cue is a mapping")  # noqa: TRY004 - for a user
        if unknown := sorted(set(row) - _KEYS):
            raise ValueError(f"unknown: {', '.join(unknown)}; there are {', '.join(sorted(_KEYS))}")
        shape, name = _shape(row)
        headers = row.get("headers") or {}
        if not isinstance(headers, Mapping):
            raise ValueError("headers: a mapping is expected")  # noqa: TRY004
        delay_s = _number(row, "delay_s", 0.0, most=DELAY_MAX_S)
        if shape is None and not delay_s and not headers:
            raise ValueError("say an answer, a status, a body, a text, headers or a delay_s")
        return cls(
            endpoint=str(row.get("endpoint") or "*"),
            name=name,
            shape=shape,
            headers={str(key): str(value) for key, value in headers.items()},
            delay_s=delay_s,
            left=int(_number(row, "count", 1, most=1_000_000)),
            skip=int(_number(row, "skip", 0, most=1_000_000)),
        )

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "endpoint": self.endpoint,
            "answer": self.name,
            "count": self.left,
            "skip": self.skip,
            "after": self.is_after,
            "delay_s": self.delay_s,
        }

    @property
    def is_after(self) -> bool:
        """Whether what was asked for is done."""
        shape = self.shape
        return shape is None or shape.is_after or shape.delivery is Delivery.CUT

    @property
    def note(self) -> str:
        """How the ledger calls it."""
        return f"answer:{self.name}"

    def reply(self, truth: ApiReply | None, *, number: int, url: str) -> ApiReply:
        """Return what is told instead of the truth; None: nothing was done."""
        shape = self.shape
        if shape is None or shape.delivery is Delivery.CUT:
            assert truth is not None
            return ApiReply(
                status=truth.status,
                body=truth.body,
                is_text=truth.is_text,
                headers={**truth.headers, **self.headers},
                delivery=truth.delivery if shape is None else Delivery.CUT,
                delay_s=self.delay_s,
                note=self.note,
            )
        headers = {name: text.replace("{url}", url) for name, text in shape.headers.items()}
        return ApiReply(
            status=shape.status,
            body=_filled(shape.body, number),
            is_text=shape.is_text,
            headers={**headers, **self.headers},
            delivery=shape.delivery,
            delay_s=self.delay_s,
            note=self.note,
        )


class Script:
    """The cues that stand, in the order in which they came."""

    def __init__(self) -> None:
        self._cues: list[Cue] = []

    def add(self, cue: Cue) -> None:
        """Let a cue stand behind those that came before."""
        self._cues.append(cue)

    def take(self, endpoint: str) -> Cue | None:
        """Return the first cue for a call and use it up by one. A last slash says nothing."""
        bare = endpoint.rstrip("/")
        for cue in self._cues:
            if any(fnmatchcase(each, cue.endpoint) for each in (f"{bare}/", bare)):
                if cue.skip:
                    cue.skip -= 1
                    continue
                if cue.left == 1:
                    self._cues.remove(cue)
                elif cue.left:
                    cue.left -= 1
                return cue
        return None

    def plain(self) -> list[dict[str, Any]]:
        """Return what stands, as plain values."""
        return [cue.plain() for cue in self._cues]

    def clear(self) -> int:
        """Forget all; returns how many stood."""
        count = len(self._cues)
        self._cues.clear()
        return count


def read(path: Path) -> tuple[Cue, ...]:
    """Read cues from a file: a YAML or JSON list. Raises ValueError in plain words."""
    try:
        rows = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    except YAMLError as error:
        raise ValueError(f"{path}: is neither YAML nor JSON: {error}") from error
    if not isinstance(rows, list):
        raise ValueError(f"{path}: a list of answers is expected")  # noqa: TRY004 - for a user
    cues = []
    for number, row in enumerate(rows, start=1):
        try:
            cues.append(Cue.parse(row))
        except ValueError as error:
            raise ValueError(f"{path}: entry {number}: {error}") from error
    return tuple(cues)


def _shape(row: Mapping[str, Any]) -> tuple[Shape | None, str]:
    """Return what is to be told, and its name."""
    name = str(row.get("answer") or "")
    if name and name not in MENU:
        raise ValueError(f"no answer is called {name!r}; GET /sim/shapes lists them")
    if "body" in row and "text" in row:
        raise ValueError("say body (JSON) or text, not both")
    shape = MENU.get(name)
    has_own = {"status", "body", "text"} & set(row)
    if not has_own and "after" not in row:
        return shape, name or "later"
    if shape is None and not has_own:
        raise ValueError("after: only beside an answer, a status, a body or a text")
    base = shape or Shape(status=200, body={})
    body = str(row["text"]) if "text" in row else row.get("body", base.body)
    if isinstance(row.get("body"), str):
        raise ValueError("body: say text for plain bytes")  # noqa: TRY004 - for a user
    status = int(_number(row, "status", base.status or 200, most=STATUSES.stop - 1))
    if status and status not in STATUSES:
        raise ValueError(f"status: {status} is none")
    return (
        Shape(
            status=status,
            body=body,
            headers=base.headers,
            delivery=base.delivery,
            is_after=bool(row.get("after", base.is_after)),
        ),
        name or f"own_{status}",
    )


def _number(row: Mapping[str, Any], name: str, default: float, *, most: float) -> float:
    value = row.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{name}: a number from 0 to {most:g} is expected, not {value!r}")
    return value


def _filled(value: Any, number: int) -> Any:  # noqa: ANN401 - JSON
    """Put the number of the path where "{id}" stands."""
    if value == "{id}":
        return number
    if isinstance(value, str):
        return value.replace("{id}", str(number))
    if isinstance(value, Mapping):
        return {name: _filled(one, number) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, number) for one in value]
    return value
