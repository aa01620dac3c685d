"""One call of the marketplace's API taken apart, and what its handler says. Values only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keeper.sim import search


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, taken apart."""

    ids: tuple[int, ...]
    query: Mapping[str, str]
    body: Any  # None: not JSON
    key: str
    identity: str
    base_url: str = ""
    is_v0: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A body and how it is sent."""

    body: Any
    status: int = 200
    is_text: bool = False
    note: str = ""


Handler = Callable[[Call], Answer]
OK = Answer(body={"success": True})


def bad(slug: str, text: str, status: int = 400) -> Answer:
    """Refuse in the usual shape."""
    return Answer(status=status, body={"success": False, "error": slug, "msg": text})


def words_of(call: Call, name: str) -> list[Any]:
    """Return a list of the body; what is no list is none."""
    value = call.body.get(name)
    return value if isinstance(value, list) else []


def numbers_of(call: Call, *names: str) -> tuple[int, ...] | None:
    """Return a list of ids under the first of these names; None: there is none that is whole."""
    for name in names:
        if name in call.body:
            found = words_of(call, name)
            if found and all(isinstance(one, int) and not isinstance(one, bool) for one in found):
                return tuple(found)
    return None


def json_of(query: Mapping[str, str], name: str, default: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a query parameter that holds JSON. Raises search.BadQuery."""
    text = query.get(name)
    if not text:
        return default
    try:
        value = json.loads(text)
    except ValueError as error:
        raise search.BadQuery(f"{name}: not JSON") from error
    if not isinstance(value, type(default)):
        raise search.BadQuery(f"{name}: {type(default).__name__} expected")
    return value
