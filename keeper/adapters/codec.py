"""Frozen values to JSON and back, by their type hints alone.

It serves what is written down (records, intents, notices) and knows nothing of SQL. A reader is
tolerant in the two ways that an upgrade and a downgrade need: keys that it does not know are
passed over, and absent ones take the field's default. Anything else that does not fit is an error.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, NewType, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import orjson

from keeper.core.reasons import Reason
from keeper.ports import NoticeKind

# A word that a newer keeper has added and this one reads after a downgrade. Neutral by meaning.
_UNKNOWN_WORD: Mapping[type[Enum], Enum] = {
    Reason: Reason.NOT_ASKED,
    NoticeKind: NoticeKind.UPDATE,
}

_Decoder = Callable[[Any], Any]
_T = TypeVar("_T")


class Unreadable(ValueError):
    """A stored value does not fit its type; the message names the place."""


def encode(value: Any) -> str:
    """Write a value of ours as JSON text. Moments become ISO 8601 with their offset."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # Remote text may hold half a surrogate pair, which no UTF-8 can carry, and a remote number
        # more digits than any machine word. Neither must be able to stop a commit.
        return orjson.dumps(_cleaned(value), option=orjson.OPT_NON_STR_KEYS).decode()


def clean(text: str) -> str:
    """Make remote text storable: no half surrogates and no NUL (PostgreSQL refuses it)."""
    return text.encode("utf-8", "replace").decode().replace("\0", "�")


def decode(kind: type[_T], text: str | bytes) -> _T:
    """Read what ``encode`` wrote. Raises Unreadable."""
    try:
        reader = _decoder(cast("Any", kind))
        value: _T = reader(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error}") from error
    return value


def _plain(value: Any) -> Any:
    """Turn what orjson does not know into something that it does."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _cleaned(value: Any) -> Any:
    """Copy a value as plain JSON values with storable text."""
    match value:
        case str():
            return clean(value)
        case int() if not isinstance(value, bool):
            return max(min(value, 2**63 - 1), -(2**63))
        case Mapping():
            return {_cleaned(key): _cleaned(item) for key, item in value.items()}
        case list() | tuple():
            return [_cleaned(item) for item in value]
        case set() | frozenset():
            return [_cleaned(item) for item in sorted(value)]
        case _ if is_dataclass(value):
            return {field.name: _cleaned(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value


# --- reading: one small function per type, made once --------------------------------------------


@cache
def _decoder(kind: Any) -> _Decoder:
    """Make the function that reads one type. TypeError: a type that no durable value may hold."""
    if kind is Any:
        return lambda data: data
    if isinstance(kind, NewType):
        return _decoder(kind.__supertype__)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda data: _word(kind, data)
    if isinstance(kind, type) and is_dataclass(kind):
        return _record(kind)
    if kind in _SCALARS:
        return _SCALARS[kind]
    return _composite(kind)


def _composite(kind: Any) -> _Decoder:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType) and type(None) in inner and len(inner) == 2:  # noqa: PLR2004 - T | None
        some = _decoder(next(part for part in inner if part is not type(None)))
        return lambda data: None if data is None else some(data)
    if origin is tuple and inner[1:] == (...,):
        item = _decoder(inner[0])
        return lambda data: tuple(item(part) for part in _typed(list, data))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        key, item = _decoder(inner[0]), _decoder(inner[1])
        is_number = _base(inner[0]) is int
        return lambda data: {
            key(int(name) if is_number else name): item(part)
            for name, part in _typed(dict, data).items()
        }
    raise TypeError(f"{kind} has no place in a durable value")


def _record(kind: type) -> _Decoder:
    """Read a dataclass field by field, with the place in every complaint."""
    hints = get_type_hints(kind)
    readers = {field.name: _decoder(hints[field.name]) for field in fields(kind) if field.init}
    required = [
        field.name
        for field in fields(kind)
        if field.init and field.default is MISSING and field.default_factory is MISSING
    ]
    optional = {name for name in required if type(None) in get_args(hints[name])}

    def read(data: Any) -> Any:
        given = _typed(dict, data)
        values: dict[str, Any] = dict.fromkeys(optional - given.keys())
        for name, reader in readers.items():
            if name in given:
                try:
                    values[name] = reader(given[name])
                except (ValueError, TypeError) as error:
                    raise Unreadable(f"{kind.__name__}.{name}: {error}") from error
        if absent := [name for name in required if name not in values]:
            raise Unreadable(f"{kind.__name__} lacks {', '.join(absent)}")
        return kind(**values)

    return read


def _base(kind: Any) -> Any:
    """Look through a NewType."""
    return _base(kind.__supertype__) if isinstance(kind, NewType) else kind


def _word(kind: type[Enum], data: Any) -> Enum:
    try:
        return kind(data)
    except ValueError:
        if isinstance(data, str) and kind in _UNKNOWN_WORD:
            return _UNKNOWN_WORD[kind]
        raise


def _typed(kind: type[_T], data: Any) -> _T:
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise Unreadable(f"expected {kind.__name__}, found {type(data).__name__}")
    return data


def _moment(data: Any) -> datetime:
    moment = datetime.fromisoformat(_typed(str, data))
    if moment.tzinfo is None:
        raise Unreadable("a moment without an offset")
    return moment.astimezone(UTC)


def _number(data: Any) -> float:
    return float(_typed(int, data) if isinstance(data, int) else _typed(float, data))


_SCALARS: Mapping[Any, _Decoder] = {
    str: lambda data: _typed(str, data),
    bool: lambda data: _typed(bool, data),
    int: lambda data: _typed(int, data),
    float: _number,
    datetime: _moment,
}
