"""The paged list of rentals: filters, order, pages, tokens, and the ways in which it can lie.

Parameters and answer follow Vast.ai's ``GET /api/v1/instances/`` (docs, read 2026-08). Pure.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from keeper.sim import search

PAGE_MAX = 25
# Columns that are stored, and so can be filtered by; prices and `num_gpus` are computed and cannot.
STORED = frozenset(
    {
        "id", "label", "actual_status", "intended_status", "cur_state", "next_state", "gpu_name",
        "verification", "machine_id", "host_id", "image_uuid", "start_date", "end_date",
        "geolocation", "is_bid", "disk_space", "template_hash_id",
    }
)  # fmt: skip


class BadToken(ValueError):
    """The page token is not one of ours."""


def page(rows: Sequence[Mapping[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """Answer one page. Raises search.BadQuery, BadToken."""
    filters = _json(query, "select_filters", {})
    for name, conditions in filters.items():
        if name not in STORED:
            raise search.BadQuery(f"select_filters.{name}: not a stored column")
        if not isinstance(conditions, Mapping) or set(conditions) - set(search.OPERATORS):
            raise search.BadQuery(f"select_filters.{name}: an object of operators is expected")
    order = _json(query, "order_by", [{"col": "id", "dir": "asc"}])
    for column, _ in search.columns(order):
        if column not in STORED and not any(column in row for row in rows):
            raise search.BadQuery(f"order_by: unknown column {column}")
    chosen = [row for row in rows if search.is_match(row, filters)]
    ordered = search.in_order(chosen, order)
    start = _start(ordered, order, query.get("after_token"))
    limit = _limit(query.get("limit"))
    shown = ordered[start : start + limit]
    has_more = start + limit < len(ordered)
    return {
        "success": True,
        "instances_found": len(shown),
        "total_instances": len(ordered),
        "label_counts": dict(Counter(str(row.get("label") or "") for row in ordered)),
        "next_token": _token(shown[-1], order) if has_more and shown else None,
        "instances": [_columns_of(row, _json(query, "select_cols", ["*"])) for row in shown],
    }


def repeat_row(answer: dict[str, Any]) -> dict[str, Any]:
    """Show the page's last row twice; the totals stay."""
    rows = answer["instances"]
    return answer | {"instances": [*rows, *rows[-1:]]}


def skip_row(answer: dict[str, Any]) -> dict[str, Any]:
    """Leave the page's first row out; the totals stay."""
    return answer | {"instances": answer["instances"][1:]}


def empty() -> dict[str, Any]:
    """Claim, in good form, that there is nothing."""
    return {
        "success": True,
        "instances_found": 0,
        "total_instances": 0,
        "label_counts": {},
        "next_token": None,
        "instances": [],
    }


def _json(query: Mapping[str, str], name: str, default: Any) -> Any:  # noqa: ANN401 - JSON
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


def _limit(text: str | None) -> int:
    """Return the page size: 25 at most and by default; nothing or less counts as 5."""
    if text is None:
        return PAGE_MAX
    try:
        limit = int(float(text))
    except (ValueError, OverflowError) as error:
        raise search.BadQuery("limit: a number is expected") from error
    return 5 if limit <= 0 else min(limit, PAGE_MAX)


def _token(row: Mapping[str, Any], order: Any) -> str:  # noqa: ANN401 - JSON
    """Return what comes after this row: its place in the order, the id last."""
    values = {column: row.get(column) for column, _ in search.columns(order)}
    values = {**values, "id": int(row["id"])}
    return base64.b64encode(json.dumps({"values": values}).encode()).decode()


def _start(rows: Sequence[Mapping[str, Any]], order: Any, token: str | None) -> int:  # noqa: ANN401
    """Return where the page after this token begins, even if its row is gone by now."""
    if not token:
        return 0
    try:
        values = json.loads(base64.b64decode(token, validate=True))["values"]
        last = int(values["id"])
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError) as error:
        raise BadToken(token) from error
    for index, row in enumerate(rows):
        if int(row["id"]) == last:
            return index + 1
    gone = {**values, "id": last}
    return [row is gone for row in search.in_order([*rows, gone], order)].index(True)


def _columns_of(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the asked columns; an unknown one comes back as null."""
    return dict(row) if "*" in names else {str(name): row.get(str(name)) for name in names}
