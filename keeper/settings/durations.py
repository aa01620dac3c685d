"""Durations and plain numbers as an operator writes them: 90, "90s", "5m", "1h30m"."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

_UNIT_S: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
# From the largest unit to the smallest, each at most once, so that "30m1h" is a typing mistake.
_PATTERN: Final = (
    r"^(?=[0-9])(?:[0-9]+(?:\.[0-9]+)?d)?(?:[0-9]+(?:\.[0-9]+)?h)?(?:[0-9]+(?:\.[0-9]+)?m)?"
    r"(?:[0-9]+(?:\.[0-9]+)?s)?(?:[0-9]+(?:\.[0-9]+)?ms)?$"
)
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")


def parse_duration(written: str) -> float:
    """Turn "1h30m" into 5400.0; a bare number is seconds. Raises ValueError."""
    text = written.strip()
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", text):
        return float(text)
    if not re.fullmatch(_PATTERN, text):
        raise ValueError(f'{written!r} is not a duration: write 90, "90s", "5m" or "1h30m"')
    return sum(float(number) * _UNIT_S[unit] for number, unit in _PART.findall(text))


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return _not_bool(value)
    try:
        return parse_duration(value)
    except ValueError as error:
        raise PydanticCustomError("duration", "{why}", {"why": str(error)}) from error


def _not_bool(value: Any) -> Any:
    """Refuse ``true`` where a number is meant, which Python would take for 1."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "expected a number")
    return value


Duration = Annotated[
    float,
    Field(ge=0.0),
    BeforeValidator(_seconds),
    WithJsonSchema(
        {
            "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": _PATTERN}],
            "description": 'seconds, or a duration like "90s", "5m", "1h30m"',
        }
    ),
]
Number = Annotated[float, BeforeValidator(_not_bool)]
Whole = Annotated[int, BeforeValidator(_not_bool)]
