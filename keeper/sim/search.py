"""The filter language of searches and lists: operators, order, limit. Pure.

Operators, the exact-object rule for filters, the cap and the dead ``id`` filter follow Vast.ai's
search as documented and observed (read 2026-08).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

Row = Mapping[str, Any]
R = TypeVar("R", bound=Row)
_NUMBER_MAX = 1e9

# Switches and plain values beside the filters of a search.
PLAIN_KEYS = frozenset(
    {
        "order", "type", "limit", "allocated_storage", "disable_bundling", "select_cols",
        "sort_option", "resource_type", "use_templates", "q", "api_key", "client_id", "extra_ids",
    }
)  # fmt: skip

# Filters that have no field of the same name and value on an offer.
SWITCHES = frozenset({"verified", "external", "datacenter", "rented", "ubuntu_version"})


# "on-demand" is what the official client sends, the documents print the others.
TYPES = frozenset({"on-demand", "ondemand", "ask", "bid", "interruptible", "reserved"})


class BadQuery(ValueError):
    """The filter is not understood; the message goes into the answer."""


def _number_of(value: Any) -> float | None:  # noqa: ANN401 - JSON enters here
    """Read a number that may come as text, as the command line sends it."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _same(have: Any, want: Any) -> bool:  # noqa: ANN401 - JSON enters here
    if have is None or want is None:
        return have is want
    left, right = _number_of(have), _number_of(want)
    if left is not None and right is not None:
        return left == right
    return str(have).strip() == str(want).strip()


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[Any, Any], bool]:
    def matches(have: Any, want: Any) -> bool:  # noqa: ANN401 - JSON enters here
        left, right = _number_of(have), _number_of(want)
        return left is not None and right is not None and compare(left, right)

    return matches


def _listed(want: Any) -> Sequence[Any]:  # noqa: ANN401 - JSON enters here
    return want if isinstance(want, list | tuple) else [want]


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": _same,
    "neq": lambda have, want: not _same(have, want),
    "gt": _ordered(lambda left, right: left > right),
    "gte": _ordered(lambda left, right: left >= right),
    "lt": _ordered(lambda left, right: left < right),
    "lte": _ordered(lambda left, right: left <= right),
    "in": lambda have, want: any(_same(have, one) for one in _listed(want)),
    "notin": lambda have, want: not any(_same(have, one) for one in _listed(want)),
}


_ELSEWHERE = frozenset(
    {"verified", "external", "datacenter", "geolocation", "driver_version", "ubuntu_version"}
)


def value_of(row: Row, name: str) -> Any:  # noqa: ANN401 - JSON leaves here
    """Return what a filter of this name looks at."""
    if name not in _ELSEWHERE:
        return row.get(name)
    match name:
        case "verified":
            return row.get("verification") == "verified"
        case "external":
            return bool(row.get("external"))
        case "datacenter":
            return row.get("hosting_type") == 1
        case "geolocation":
            # Filters take the two-letter code; the field says "Texas, US".
            return (row.get("geolocation") or "").rpartition(",")[2].strip()
        case "driver_version":
            return row.get("driver_vers")
        case "ubuntu_version":
            return row.get("os_version")
        case _:
            return row.get(name)


def with_plain_read(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return a query whose plain values are what they should be. Raises BadQuery."""
    found = dict(query)
    kind = query.get("type")
    if kind is not None and str(kind) not in TYPES:
        raise BadQuery(f"q.type: {kind!r} is none")
    for name in ("limit", "allocated_storage"):
        value = query.get(name)
        number = 0.0 if value is None else _number_of(value)
        if number is None or isinstance(value, bool) or not 0 <= number <= _NUMBER_MAX:
            raise BadQuery(f"q.{name}: a number is expected")
        if value is not None:
            found[name] = int(number) if name == "limit" else number
    return found


def check(query: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Return the filters of a query, each an object of known operators on a known field."""
    known = set(fields) | SWITCHES
    filters: dict[str, Mapping[str, Any]] = {}
    for name, conditions in query.items():
        if name in PLAIN_KEYS and not (isinstance(conditions, Mapping) and name in known):
            continue
        if name not in known:
            raise BadQuery(f"q.{name}: unknown field")
        if not isinstance(conditions, Mapping):
            raise BadQuery(f"q.{name}: a filter must be an object of operators")
        for operator in conditions:
            if operator not in OPERATORS:
                raise BadQuery(f"q.{name}: unknown operator {operator}")
        filters[name] = conditions
    for column, _ in columns(query.get("order")):
        if column not in known:
            raise BadQuery(f"order: unknown column {column}")
    return filters


def is_match(row: Row, filters: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a row passes every condition."""
    return matcher(filters)(row)


def matcher(
    filters: Mapping[str, Mapping[str, Any]], about: Callable[[str], bool] = lambda _: True
) -> Callable[[Row], bool]:
    """Return what says whether a row passes every condition; for many rows and one search.

    ``about``: only the conditions on these fields.
    """
    conditions = [
        (name, OPERATORS[operator], want)
        for name, wanted in filters.items()
        if about(name)
        and name != "rented"  # true means "also where I rent already", which is never narrower
        for operator, want in wanted.items()
    ]
    has_id = "id" in filters

    def is_passed(row: Row) -> bool:
        if has_id and "ask_contract_id" in row:
            return False  # on the live service this filter matches nothing
        return all(compare(value_of(row, name), want) for name, compare, want in conditions)

    return is_passed


def in_order(rows: Iterable[R], order: Any, tiebreak: str = "id") -> list[R]:  # noqa: ANN401
    """Sort by ``[["column", "asc" | "desc"], …]`` (or objects with col and dir); nulls last."""
    result = sorted(rows, key=lambda row: _sortable(row.get(tiebreak) or 0))
    for column, direction in reversed(columns(order)):
        is_down = direction == "desc"
        present = [row for row in result if row.get(column) is not None]
        absent = [row for row in result if row.get(column) is None]
        present.sort(key=lambda row: _sortable(row[column]), reverse=is_down)
        result = present + absent
    return result


def columns(order: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - JSON enters here
    """Read an order into pairs of column and direction. Raises BadQuery."""
    found: list[tuple[str, str]] = []
    if not isinstance(order or [], list | tuple):
        raise BadQuery("order: a list is expected")
    for entry in order or ():
        match entry:
            case [str(column), str(direction)]:
                found.append((column, direction))
            case {"col": str(column), "dir": str(direction)}:
                found.append((column, direction))
            case _:
                raise BadQuery("order: pairs of column and direction are expected")
    return found


def _sortable(value: Any) -> tuple[int, float, str]:  # noqa: ANN401 - JSON enters here
    number = _number_of(value)
    return (1, 0.0, str(value)) if number is None else (0, number, "")
