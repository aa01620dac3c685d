"""Who may ask what: keys, their rights, two-factor sessions and teams. Pure.

Categories and what they cover follow Vast.ai's page on permissions; the refusals follow field
reports and the official client (all read 2026-08). A contract's own key reaches its contract alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from keeper.sim.exchange import ApiReply
from keeper.sim.limits import SEARCHES
from keeper.sim.shapes import MENU

RIGHTS = frozenset(
    {
        "instance_read", "instance_write", "user_read", "user_write", "billing_read",
        "billing_write", "machine_read", "machine_write", "misc", "team_read", "team_write",
    }
)  # fmt: skip

# The official client asks these without a key.
OPEN = frozenset({"GET /gpu_names/unique/"})

# A contract's own key can start, stop and destroy it (docs, introduction to the API, read 2026-08), and
# the official client in a container shows it.
_OWN = frozenset({"GET /instances/{id}/", "PUT /instances/{id}/", "DELETE /instances/{id}/"})

# What the page on permissions lists beside the plain rule of `right_for`.
_READS = frozenset({"PUT /instances/request_logs/{id}/"})


class Session(StrEnum):
    """How the second factor stands with a key."""

    NONE = "none"  # the account has no second factor, or the session lives
    NEEDED = "needed"
    EXPIRED = "expired"  # said with 401
    EXPIRED_404 = "expired_404"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one key may."""

    rights: frozenset[str] = RIGHTS
    is_team: bool = False
    session: Session = Session.NONE
    instance_id: int | None = None  # the only rental that it reaches

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Grant:
        """Read a grant from plain values. Raises ValueError in plain words."""
        known = {"key", "rights", "team", "session", "instance_id"}
        if unknown := sorted(set(row) - known):
            raise ValueError(f"unknown: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        rights = row.get("rights", sorted(RIGHTS))
        if not isinstance(rights, list) or set(rights) - RIGHTS:
            raise ValueError(f"rights: a list out of {', '.join(sorted(RIGHTS))}")
        try:
            session = Session(str(row.get("session", "none")))
        except ValueError as error:
            raise ValueError(f"session: one of {', '.join(Session)}") from error
        instance_id = row.get("instance_id")
        return cls(
            rights=frozenset(rights),
            is_team=bool(row.get("team", False)),
            session=session,
            instance_id=None if instance_id is None else int(instance_id),
        )


FULL = Grant()
_SESSIONS: Mapping[Session, str] = MappingProxyType(
    {
        Session.NEEDED: "two_factor",
        Session.EXPIRED: "session_expired_401",
        Session.EXPIRED_404: "session_expired_404",
    }
)


def right_for(endpoint: str) -> str:
    """Return the category that a call needs. ``endpoint``: "METHOD /path/{id}/"."""
    method, _, path = endpoint.partition(" ")
    first = path.strip("/").partition("/")[0]
    is_read = method == "GET" or endpoint in _READS
    match first:
        case "bundles" | "search":
            return "misc"
        case "asks" | "launch_instance":
            return "instance_write"
        case "instances" | "volumes":
            return "instance_read" if is_read else "instance_write"
        case _:
            return "user_read" if is_read else "user_write"


class Keyring:
    """The keys of the account. An empty ``only``: any key that is not empty opens everything."""

    def __init__(self, only: str = "") -> None:
        self._only = only
        self._grants: dict[str, Grant] = {}
        self._gone: set[str] = set()

    def give(self, key: str, grant: Grant) -> None:
        """Make a key, or change what it may."""
        self._grants[key] = grant
        self._gone.discard(key)

    def take(self, key: str) -> bool:
        """Delete a key, which opens nothing from now on; False: there was none."""
        if self.grant_of(key) is None:
            return False
        self._grants.pop(key, None)
        self._gone.add(key)
        return True

    def grant_of(self, key: str) -> Grant | None:
        """Return what a key may; None: it is no key."""
        if key in self._grants:
            return self._grants[key]
        is_known = bool(key) and key not in self._gone and self._only in {"", key}
        return FULL if is_known else None

    def refusal(self, key: str, endpoint: str, instance_id: int | None) -> ApiReply | None:
        """Return why a call is refused; None: it may go on."""
        if endpoint in OPEN:
            return None
        grant = self.grant_of(key)
        if grant is None:
            return bad_key(endpoint)
        if grant.session is not Session.NONE and right_for(endpoint) != "misc":
            # Search still works without a session; most reads of the account do not.
            return _reply(_SESSIONS[grant.session])
        if right_for(endpoint) not in grant.rights:
            return _reply(
                "forbidden", msg=f"Your key lacks the {right_for(endpoint)} permission group"
            )
        if grant.instance_id is not None and (
            instance_id != grant.instance_id or endpoint not in _OWN
        ):
            return _reply("forbidden", msg="This key belongs to one instance.")
        if grant.is_team and endpoint in {"POST /ssh/", "PUT /ssh/{id}/"}:
            return _reply("team_ssh_keys")
        return None


def bad_key(endpoint: str) -> ApiReply:
    """Refuse a key. A search answers 404 to it (docs and field reports agree)."""
    return _reply("key_404" if endpoint in SEARCHES else "key_401")


def _reply(name: str, **changed: str) -> ApiReply:
    shape = MENU[name]
    return ApiReply(status=shape.status, body={**shape.body, **changed})
