"""Templates: configurations by a hash of their content, and what a create makes of one. Pure.

Fields, identifiers and precedence follow Vast.ai's page on templates and the official client (read
2026-08): the number stays when a template is edited and the hash does not; the request's values win
and ``env`` is merged; a template holds ``env`` as docker flags, a create as an object.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from keeper.sim import search
from keeper.sim.calls import OK, Answer, Call, Handler, bad, json_of

USER_ID = 150_412
_PUBLIC_OWNER = 62_897
_FIELDS = (
    "name", "image", "tag", "href", "repo", "env", "onstart", "runtype", "args_str", "ssh_direct",
    "use_ssh", "jup_direct", "jupyter_dir", "use_jupyter_lab", "docker_login_repo", "extra_filters",
    "recommended_disk_space", "readme", "readme_visible", "desc", "private", "volume_info",
)  # fmt: skip
# What the official client can filter by (docs, templates).
_COLUMNS = frozenset(
    {
        "creator_id", "created_at", "count_created", "default_tag", "docker_login_repo", "id",
        "image", "jup_direct", "hash_id", "name", "recent_create_date", "recommended_disk_space",
        "recommended", "ssh_direct", "tag", "use_ssh", "private",
    }
)  # fmt: skip

Row = dict[str, Any]


def _public() -> dict[int, Row]:
    """Return a template that everybody sees, as the service has many."""
    row = _row(
        101_001,
        {
            "name": "NVIDIA CUDA",
            "image": "vastai/base-image",
            "tag": "@vastai-automatic-tag",
            "env": "-p 1111:1111 -e OPEN_BUTTON_PORT=1111",
            "onstart": "entrypoint.sh",
            "runtype": "ssh",
            "ssh_direct": True,
            "use_ssh": True,
            "recommended_disk_space": 16.0,
            "private": False,
        },
        creator_id=_PUBLIC_OWNER,
        now=1_700_000_000.0,
    )
    return {row["id"]: row | {"recommended": True, "count_created": 90_001}}


@dataclass(slots=True)
class Templates:
    """The templates that the account sees, by number."""

    rows: dict[int, Row] = field(default_factory=_public)

    def table(self, now: Any) -> Mapping[str, Handler]:  # noqa: ANN401 - a clock
        """Return the calls about templates. ``now``: a function."""
        return {
            "GET /template/": self._search,
            "POST /template/": lambda call: self._create(call, now()),
            "PUT /template/": self._edit,
            "DELETE /template/": self._delete,
        }

    def merged(self, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return a create's body with its template's values below it; None: no such template."""
        wanted = body.get("template_hash_id")
        if not wanted:
            return body
        row = next((row for row in self.rows.values() if row["hash_id"] == wanted), None)
        if row is None:
            return None
        row["count_created"] += 1
        env = body.get("env")
        given = {name: value for name, value in body.items() if value is not None}
        below = {
            "image": f"{row['image']}:{row['tag']}" if row.get("tag") else row["image"],
            "disk": row.get("recommended_disk_space"),
            "onstart": row.get("onstart"),
            "args_str": row.get("args_str"),
            "runtype": _runtype(row),
        }
        merged = {name: value for name, value in below.items() if value is not None} | given
        merged["env"] = flags(str(row.get("env") or "")) | (env if isinstance(env, dict) else {})
        return merged

    def _search(self, call: Call) -> Answer:
        filters = json_of(call.query, "select_filters", {})
        for name, conditions in filters.items():
            if name not in _COLUMNS or not isinstance(conditions, Mapping):
                raise search.BadQuery(f"select_filters.{name}: not a column of templates")
            if unknown := set(conditions) - set(search.OPERATORS):
                raise search.BadQuery(f"select_filters.{name}: unknown operator {min(unknown)}")
        columns = [str(name) for name in json_of(call.query, "select_cols", ["*"])]
        found = [row for row in self.rows.values() if search.is_match(row, filters)]
        if order := call.query.get("order_by"):
            found = [dict(row) for row in search.in_order(found, [[order, "asc"]])]
        shown = [
            row if "*" in columns else {name: row.get(name) for name in columns} for row in found
        ]
        return Answer(body={"success": True, "templates_found": len(shown), "templates": shown})

    def _create(self, call: Call, now: float) -> Answer:
        for name in ("name", "image"):
            if not isinstance(call.body.get(name), str) or not call.body[name]:
                return bad("invalid_args", f"Template {name} is required")
        row = _row(max(self.rows) + 1, call.body, creator_id=USER_ID, now=now)
        for known in self.rows.values():
            if (known["hash_id"], known["creator_id"]) == (row["hash_id"], USER_ID):
                text = f"Template already exists. Template ID: {known['id']}"
                return Answer(body={"success": True, "msg": text, "template": dict(known)})
        self.rows[row["id"]] = row
        text = f"Template Created Successfully! New Template ID: {row['id']}"
        return Answer(body={"success": True, "msg": text, "template": dict(row)})

    def _edit(self, call: Call) -> Answer:
        row = self._own(call.body.get("id"), call.body.get("hash_id"))
        if row is None:
            return _absent()
        changed = {name: call.body[name] for name in _FIELDS if name in call.body}
        row |= changed
        row["recommended_disk_space"] = _gb(row["recommended_disk_space"])
        row["hash_id"] = _hash(row)
        return Answer(body={"success": True, "msg": "Template updated.", "template": dict(row)})

    def _delete(self, call: Call) -> Answer:
        row = self._own(call.body.get("template_id"), call.body.get("hash_id"))
        if row is None:
            return _absent()
        del self.rows[row["id"]]
        return OK

    def _own(self, number: Any, hash_id: Any) -> Row | None:  # noqa: ANN401 - JSON
        """Return a template of the account by its number or else its hash."""
        for row in self.rows.values():
            is_meant = row["id"] == number or (number is None and row["hash_id"] == hash_id)
            if is_meant and row["creator_id"] == USER_ID:
                return row
        return None


def flags(text: str) -> dict[str, str]:
    """Read docker flags as an object: "-e A=1 -p 80:80" becomes {"A": "1", "-p 80:80": "1"}."""
    try:
        words = shlex.split(text)
    except ValueError:
        return {}
    found: dict[str, str] = {}
    for flag, value in pairwise(words):
        if flag == "-e" and "=" in value:
            name, _, content = value.partition("=")
            found[name] = content
        elif flag in {"-p", "-v", "-n"}:
            found[f"{flag} {value}"] = "1"
        elif flag == "-h":
            found["-h"] = value
    return found


def _row(number: int, body: Mapping[str, Any], *, creator_id: int, now: float) -> Row:
    row: Row = {name: body.get(name) for name in _FIELDS}
    row |= {
        "tag": row["tag"] or "latest",
        "runtype": row["runtype"] or "args",
        "recommended_disk_space": _gb(row["recommended_disk_space"]),
        "extra_filters": row["extra_filters"] or {},
        "private": row["private"] is not False,
    }
    row |= {name: bool(row[name]) for name in ("ssh_direct", "use_ssh", "jup_direct")}
    row |= {
        "id": number,
        "creator_id": creator_id,
        "default_tag": row["tag"],
        "created_at": now,
        "recent_create_date": now,
        "count_created": 0,
        "recommended": False,
    }
    return row | {"hash_id": _hash(row)}


def _gb(value: Any) -> float:  # noqa: ANN401 - JSON
    """Read a size that the official client sends as text."""
    try:
        return float(value or 8.0)
    except (TypeError, ValueError):
        return 8.0


def _hash(row: Mapping[str, Any]) -> str:
    content = json.dumps({name: row.get(name) for name in _FIELDS}, sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _runtype(row: Mapping[str, Any]) -> str:
    """Return a template's launch mode in the words of a create."""
    if row["runtype"] == "jupyter":
        return (
            "jupyter_direc ssh_direc ssh_proxy" if row["jup_direct"] else "jupyter_proxy ssh_proxy"
        )
    if row["runtype"] == "ssh" or row["use_ssh"]:
        return "ssh_direc ssh_proxy" if row["ssh_direct"] else "ssh_proxy"
    return "args"


def _absent() -> Answer:
    return bad("not_found", "Template not found.", status=404)
