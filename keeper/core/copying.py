"""Copies of frozen values with some fields changed, in a third of the time of ``dataclasses.replace``.

A tenure has seventy fields, and every tick copies some. ``dataclasses.replace`` asks for each field by
itself and hands all of them to the constructor. Here they go from slot to slot. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:  # the type checker knows what each field of this one takes
    from dataclasses import replace as replace  # noqa: PLC0414 - and so it is exported
else:

    def replace(value: T, /, **changes: object) -> T:
        """Return a copy of a dataclass instance with these fields changed."""
        kind = type(value)
        if hasattr(kind, "__post_init__"):
            return dataclasses.replace(value, **changes)
        read, write = _slots_of(kind)
        copy = object.__new__(kind)
        for put, kept in zip(write.values(), read(value), strict=True):
            put(copy, kept)
        for name, given in changes.items():
            write[name](copy, given)
        return copy


@cache
def _slots_of(
    kind: type,
) -> tuple[Callable[[object], tuple[object, ...]], Mapping[str, Callable[[object, object], None]]]:
    """Return what reads all fields of a class at once, and what writes each of them."""
    names = [field.name for field in dataclasses.fields(kind)]
    read = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)
    return read, {name: getattr(kind, name).__set__ for name in names}
