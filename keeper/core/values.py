"""Frozen dataclasses that are made, and made again with changes, several times quicker.

The standard library's own ``__init__`` must go around the guard of a frozen class for every field: 5
microseconds for a rental's record, 8 to replace one field of it, a seventh of a simulated week. Here a
class has a twin of the same shape without the guard. A value is filled as one of the twin's and becomes
one of its class with the last step; afterwards it is as frozen as any, and nothing else differs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dataclasses import dataclass, replace
else:
    T = TypeVar("T")

    def dataclass(**options: bool) -> Callable[[type[T]], type[T]]:
        """Decorate as the standard library's does."""
        standard = dataclasses.dataclass(**options)
        is_quick = all(options.get(name) for name in ("frozen", "slots", "kw_only"))
        return (lambda cls: _quickened(standard(cls))) if is_quick else standard

    def replace(value: T, /, **changes: object) -> T:
        """Return a value with some of its fields changed."""
        copied = _COPY.get(type(value))
        if copied is None:
            return dataclasses.replace(value, **changes)
        new = copied(value)
        for name, each in changes.items():
            setattr(new, name, each)
        new.__class__ = type(value)
        return new


__all__ = ["dataclass", "replace"]

# By class, how its values are copied into the twin's shape.
_COPY: dict[type, Callable[[Any], Any]] = {}

_INIT = """
def __init__({parameters}):
    become(self, "__class__", twin)
    {fill}
    self.__class__ = own
    {finish}
"""
_COPIED = """
def copied(value):
    new = made(twin)
    {fill}
    return new
"""


def _quickened(own: Any) -> Any:  # noqa: ANN401 - any class
    """Let a frozen class be filled in another way, which is worked out when it is first made."""
    standard = own.__init__

    @wraps(standard)
    def first(self: Any, **given: Any) -> None:  # noqa: ANN401 - any value
        own.__init__ = _init_of(own, standard)
        own.__init__(self, **given)

    own.__init__ = first
    return own


def _init_of(own: Any, standard: Any) -> Any:  # noqa: ANN401 - any class
    twin = type(
        own.__name__,
        own.__bases__,
        {"__slots__": own.__dict__["__slots__"], "__setattr__": object.__setattr__},
    )
    every = dataclasses.fields(own)
    given = [each for each in every if each.init]
    names: dict[str, Any] = {
        "own": own,
        "twin": twin,
        "become": object.__setattr__,
        "made": object.__new__,
        "absent": dataclasses._HAS_DEFAULT_FACTORY,  # type: ignore[attr-defined] # noqa: SLF001
    }
    fill = []
    for each in every:
        value = each.name
        if each.default_factory is not dataclasses.MISSING:
            names[f"make_{value}"] = each.default_factory
            else_given = f" if {value} is absent else {value}" if each.init else ""
            value = f"make_{value}(){else_given}"
        if each.init or value != each.name:
            fill.append(f"self.{each.name} = {value}")
    has_more = hasattr(own, "__post_init__")
    source = _INIT.format(
        parameters=", ".join(["self", *(["*"] if given else []), *(each.name for each in given)]),
        fill="\n    ".join(fill),
        finish="self.__post_init__()" if has_more else "",
    )
    copying = "\n    ".join(f"new.{each.name} = value.{each.name}" for each in every)
    exec(source + _COPIED.format(fill=copying), names)  # noqa: S102 - as the standard library does
    if len(given) == len(every) and not has_more:
        _COPY[own] = names["copied"]
    init = names["__init__"]
    init.__kwdefaults__ = standard.__kwdefaults__
    return wraps(standard)(init)
