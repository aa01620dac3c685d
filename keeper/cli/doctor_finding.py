"""What `keeper doctor` finds, and how a rule makes a finding of a fact. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from string import Formatter
from typing import Any, Generic, TypeVar

from typing_extensions import override

_F = TypeVar("_F")


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARN = "warn"  # it works, and will not always
    FAIL = "fail"  # it does not work
    UNKNOWN = "unknown"  # it could not be seen; that is not ill


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was seen of one thing, and the command that cures it."""

    check: str
    level: Level
    seen: str
    cure: str = ""  # a command line for a shell
    advice: str = ""  # where no command is enough
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[_F]):
    """One rule: when it holds of a fact, what is said. The first that holds is the finding.

    Texts are templates over the fact ``f``; ``{f.path!q}`` is a word of a shell.
    """

    when: Callable[[_F], bool]
    level: Level
    seen: str
    cure: str = ""
    advice: str = ""


class _Words(Formatter):
    """Templates with ``!q``: quoted for a shell."""

    @override
    def convert_field(self, value: Any, conversion: str | None) -> Any:
        if conversion != "q":
            return super().convert_field(value, conversion)
        from shlex import quote

        return quote(str(value))


_WORDS = _Words()


def judged(check: str, fact: _F, rows: tuple[Row[_F], ...]) -> Finding:
    """Say what the first rule that holds says. One always holds."""
    row = next(row for row in rows if row.when(fact))
    words: Mapping[str, Any] = {"f": fact}
    return Finding(
        check=check,
        level=row.level,
        seen=_WORDS.vformat(row.seen, (), words),
        cure=_WORDS.vformat(row.cure, (), words),
        advice=_WORDS.vformat(row.advice, (), words),
    )
