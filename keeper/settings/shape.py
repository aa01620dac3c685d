"""Walks the types of the configuration beside its values: which keys may stand at a place.

For did-you-mean, for reading environment variables by the type of their key, and for knowing what
is secret before anything is printed.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from keeper.settings.document import NOTHING, Place, value_at
from keeper.settings.mirror import AsCore
from keeper.settings.plugins import OfKind
from keeper.settings.tree import Settings


def field_at(place: Place, values: Any) -> FieldInfo | None:
    """Find the field that a place names; None when there is no such key."""
    *above, name = place
    model = model_at(tuple(above), values)
    return model.model_fields.get(str(name)) if model else None


def model_at(place: Place, values: Any) -> type[BaseModel] | None:
    """Find the model of the mapping at a place; the values say which plug-in is meant."""
    found: Any = Settings
    metadata: Sequence[Any] = ()
    for key in place:
        values = value_at(values, (key,))
        if isinstance(key, int):
            found, metadata = _item_of(found)
        elif isinstance(found, type) and issubclass(found, BaseModel):
            info = found.model_fields.get(key)
            if info is None:
                return None
            found, metadata = info.annotation, info.metadata
        else:
            return None
        found = _resolved(found, metadata, values)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _item_of(annotation: Any) -> tuple[Any, Sequence[Any]]:
    """Give the type of a list's items, and what it is annotated with."""
    inner: Any = next(iter(get_args(annotation)), None)
    return (inner.__origin__, inner.__metadata__) if hasattr(inner, "__metadata__") else (inner, ())


def _resolved(annotation: Any, metadata: Sequence[Any], values: Any) -> Any:
    """Look through mirrors, plug-ins and ``| None``."""
    for note in metadata:
        if isinstance(note, AsCore):
            return note.section
        if isinstance(note, OfKind):
            kind = values.get("kind") if isinstance(values, Mapping) else None
            return note.models().get(kind) if isinstance(kind, str) else None
    if get_origin(annotation) in (Union, types.UnionType):
        choices = [part for part in get_args(annotation) if part is not type(None)]
        return next((part for part in choices if _is_of_kind(part, values)), choices[0])
    return annotation


def _is_of_kind(choice: Any, values: Any) -> bool:
    """Whether values name this member of a union that is told apart by ``kind``."""
    if not (isinstance(choice, type) and issubclass(choice, BaseModel)):
        return False
    info = choice.model_fields.get("kind")
    kind = value_at(values, ("kind",))
    return info is not None and kind in get_args(info.annotation)


def place_of(error: ErrorDetails, values: Any) -> Place:
    """Say where in the values an error is.

    pydantic puts the names of union members and of its own steps between the keys; an operator has
    written none of those.
    """
    *above, last = error["loc"] or ("",)
    place: Place = ()
    for key in (*above, last):
        inner = value_at(values, (key,))
        if inner is not NOTHING:
            place, values = (*place, key), inner
    return (*place, last) if error["type"] == "missing" else place


def is_secret(info: FieldInfo | None) -> bool:
    """Whether a field holds a secret."""
    return info is not None and _mentions(info.annotation, SecretStr)


def is_structured(info: FieldInfo | None) -> bool:
    """Whether a field takes a list or a mapping, so that a variable must be read as YAML."""
    if info is None:
        return False
    if any(isinstance(note, (AsCore, OfKind)) for note in info.metadata):
        return True
    return any(
        get_origin(part) in (tuple, list, dict, Mapping)
        or (isinstance(part, type) and issubclass(part, BaseModel))
        for part in (info.annotation, *get_args(info.annotation))
    )


def _mentions(annotation: Any, wanted: type) -> bool:
    return annotation is wanted or any(_mentions(part, wanted) for part in get_args(annotation))


def key_places(model: type[BaseModel] = Settings, above: Place = ()) -> Iterator[Place]:
    """Name every key that has one place: all but those inside lists."""
    for name, info in model.model_fields.items():
        place = (*above, name)
        yield place
        inner = _resolved(info.annotation, info.metadata, None)
        if isinstance(inner, type) and issubclass(inner, BaseModel) and inner is not BaseModel:
            yield from key_places(inner, place)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Say " (did you mean 'x'?)", or nothing when nothing is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f" (did you mean '{close[0]}'?)" if close else ""


def dotted(place: Place) -> str:
    """Say a place as an operator would: streams[0].workload.port."""
    text = ""
    for key in place:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text
