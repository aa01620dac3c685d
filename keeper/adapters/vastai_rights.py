"""Why Vast.ai does not accept a key for a call: the right that it lacks, and what its owner can do.

A scoped key has rights by category, and each category opens certain endpoints (Vast API docs,
permissions, read 2026-08). What is not said there comes from the official client (vastai 1.9.1) and
from Vast's own notes for it, read 2026-08. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from keeper.adapters.vastai_spacing import Endpoint
from keeper.ports import Unauthorized

# Vast API docs, permissions, "endpoint reference by category" (read 2026-08).
RIGHT: Final[Mapping[str, str]] = MappingProxyType(
    {
        Endpoint.LIST: "instance_read",
        Endpoint.SHOW: "instance_read",
        Endpoint.SEARCH: "misc",
        Endpoint.CREATE: "instance_write",
        Endpoint.DESTROY: "instance_write",
        Endpoint.SET_STATE: "instance_write",
        Endpoint.REBOOT: "instance_write",
        Endpoint.CHANGE_BID: "instance_write",
        Endpoint.ATTACH_KEY: "instance_write",
        Endpoint.ACCOUNT: "user_read",
        Endpoint.LIST_KEYS: "user_read",
        Endpoint.REGISTER_KEY: "user_write",
    }
)
KEYS_PAGE: Final = "https://cloud.vast.ai/manage-keys/"
_ALL_RIGHTS: Final = ", ".join(dict.fromkeys(RIGHT.values()))


class Why(StrEnum):
    """Why a key is not accepted."""

    WRONG_KEY = "wrong_key"
    LACKS_RIGHT = "lacks_right"
    TWO_FACTOR = "two_factor"
    SESSION_OVER = "session_over"
    TEAM = "team"
    NOT_OURS = "not_ours"
    UNCLEAR = "unclear"
    NOT_THEIR_WORDS = "not_their_words"


# The text comes first here: "auth_error" is a wrapper that all of these have been put into.
BY_TEXT: Final[tuple[tuple[str, Why], ...]] = (
    # A 401: "… requires you to have logged in using Two Factor Authentication."
    ("two factor", Why.TWO_FACTOR),
    ("two-factor", Why.TWO_FACTOR),
    ("2fa", Why.TWO_FACTOR),
    # A 404: "Session expired. Please log in again."
    ("session expired", Why.SESSION_OVER),
    ("session has expired", Why.SESSION_OVER),
    ("team ssh key", Why.TEAM),  # "team SSH keys are not supported" (400)
    # "Your key lacks the machine_read permission group"
    ("permission", Why.LACKS_RIGHT),
    # "Invalid or expired API key" is said of scoped keys too.
    ("invalid or expired api key", Why.UNCLEAR),
    ("invalid user key", Why.WRONG_KEY),
)
BY_SLUG: Final[Mapping[str, Why]] = MappingProxyType(
    {
        "auth_error": Why.WRONG_KEY,
        "forbidden": Why.LACKS_RIGHT,
        "not_authorized": Why.NOT_OURS,
        "unauthorized": Why.UNCLEAR,
    }
)
BY_STATUS: Final[Mapping[int, Why]] = MappingProxyType({403: Why.LACKS_RIGHT})

_GIVE_KEY: Final = (
    "set VAST_API_KEY to a valid key, or use the systemd credential vast_api_key; keys are made at "
    f"{KEYS_PAGE}"
)
_SESSION: Final = (
    "run `vastai tfa login` and give keeper the key of that session, "
    "~/.config/vastai/vast_tfa_key, as VAST_API_KEY; sessions end, so a daemon is better off with "
    "an account without two-factor authentication"
)
# ``{right}`` is what the endpoint needs.
CURE: Final[Mapping[Why, str]] = MappingProxyType(
    {
        Why.WRONG_KEY: _GIVE_KEY,
        Why.LACKS_RIGHT: (
            f"give the key the right {{right}} at {KEYS_PAGE}; keeper uses {_ALL_RIGHTS}"
        ),
        Why.TWO_FACTOR: f"the account asks for two-factor authentication: {_SESSION}",
        Why.SESSION_OVER: f"the session of this key is over: {_SESSION}",
        Why.TEAM: (
            "a team has no SSH keys of its own: use a key of a personal account, or set "
            "vast.register_ssh_key to false; keeper's SSH key is attached to each rental as well, "
            "so only the marketplace's proxy stays shut"
        ),
        Why.NOT_OURS: (
            "it belongs to another account or team, or the key lacks the right {right}: use a key "
            f"of the account that rents here; keys are at {KEYS_PAGE}"
        ),
        Why.UNCLEAR: f"the key is wrong, or it lacks the right {{right}}: {_GIVE_KEY}",
        Why.NOT_THEIR_WORDS: (
            "the refusal is not in the marketplace's own words: check vast.url and what stands "
            f"between (a proxy, a firewall); if all is well there, {_GIVE_KEY}"
        ),
    }
)

# A text may name the right by itself, and then knows better than any table.
_NAMED: Final = re.compile(r"\b(?:instance|user|billing|machine|team)_(?:read|write)\b")


def unauthorized(
    message: str,
    *,
    call: str,
    slug: str = "",
    said: str = "",
    status: int = 0,
    is_json: bool = True,
) -> Unauthorized:
    """Return the refusal of a key with its right and its cure.

    ``call`` is the endpoint, ``slug`` and ``said`` what the answer held, in lower case; ``is_json``:
    whether it was one of the marketplace's own answers.
    """
    why = _why(f"{slug} {said}", slug, status, is_json=is_json)
    named = _NAMED.search(said)
    right = named[0] if named is not None else RIGHT.get(call, "")
    cure = CURE[why].format(right=right or "for this call")
    return Unauthorized(message, right=right if why is Why.LACKS_RIGHT else "", cure=cure)


def _why(said: str, slug: str, status: int, *, is_json: bool) -> Why:
    for piece, why in BY_TEXT:
        if piece in said:
            return why
    if slug in BY_SLUG:
        return BY_SLUG[slug]
    return BY_STATUS.get(status, Why.UNCLEAR) if is_json else Why.NOT_THEIR_WORDS
