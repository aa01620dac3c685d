"""What keeper asks Vast.ai about the account itself: its money, and whose SSH keys let in.

Vast.ai's proxy lets in the keys of the account; a host lets in those, and the ones attached to the
rental. So keeper's key goes to both.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

import msgspec

from keeper.adapters.vastai_calls import Calls, decoded
from keeper.adapters.vastai_errors import fits_port, is_already_there
from keeper.adapters.vastai_reply import Effect, Reply, read_complaint, says_no, slug_of
from keeper.adapters.vastai_rows import account_of
from keeper.adapters.vastai_spacing import Endpoint
from keeper.adapters.vastai_wire import User, moment
from keeper.core.model import InstanceId
from keeper.ports import Account, Malformed, Missing


class VastAccount:
    """The account's part of the Marketplace port."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def account(self) -> Account:
        """Return what is left to spend."""
        reply = await self._calls.read(Endpoint.ACCOUNT, "/api/v0/users/current")
        return account_of(decoded(reply, User, Endpoint.ACCOUNT))

    async def attach_key(self, instance_id: InstanceId, public_key: str) -> None:
        """Let this SSH public key log in. May be repeated: a key that is there already is fine."""
        path = f"/api/v0/instances/{instance_id}/ssh/"
        body = {"ssh_key": " ".join(public_key.split())}
        reply = await self._calls.send(
            Endpoint.ATTACH_KEY, path, body=body, effect=Effect.REPEATABLE
        )
        error = self._calls.failure(reply, Endpoint.ATTACH_KEY, Effect.REPEATABLE)
        if error is not None and not is_already_there(reply):
            raise error

    async def register_key(self, public_key: str) -> bool:
        """Register this SSH public key with the account; False: it was there.

        May be repeated: the keys that are there are read first, since the marketplace takes the
        same key twice without a word. A list that is not understood registers nothing.
        """
        if identity_of(public_key) in await self._registered():
            return False
        reply = await self._calls.send(
            Endpoint.REGISTER_KEY,
            "/api/v0/ssh/",
            body={"ssh_key": " ".join(public_key.split())},
            effect=Effect.REPEATABLE,
        )
        error = self._calls.failure(reply, Endpoint.REGISTER_KEY, Effect.REPEATABLE)
        if error is not None and not is_already_there(reply):
            raise error
        return error is None

    async def knows_key(self, public_key: str) -> bool:
        """Whether this SSH public key is registered with the account. Reads only."""
        return identity_of(public_key) in await self._registered()

    async def _registered(self) -> frozenset[tuple[str, str]]:
        """Return the keys of the account."""
        reply = await self._calls.send(Endpoint.LIST_KEYS, "/api/v0/ssh/", effect=Effect.READ)
        if reply.is_ok and reply.is_json and not says_no(read_complaint(reply)):
            return frozenset(identity_of(key) for key in keys_of(reply.body))
        error = self._calls.failure(reply, Endpoint.LIST_KEYS, Effect.READ)
        if isinstance(error, Missing) or says_no_key(reply):
            return frozenset()
        raise fits_port(error or Malformed(f"{Endpoint.LIST_KEYS}: no list of keys"))


def says_no_key(reply: Reply) -> bool:
    """Whether an account has no key at all: a 404, for which the documents name no body (2026-08)."""
    if reply.status != HTTPStatus.NOT_FOUND:
        return False
    return not reply.body.strip() or slug_of(read_complaint(reply)) == "no_ssh_key"


class _KeyRow(msgspec.Struct):
    """A key of the account, under either of the two names seen."""

    key: Any = None
    public_key: Any = None
    deleted_at: Any = None


_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ROWS: Final = msgspec.json.Decoder(list[_KeyRow])


def keys_of(body: bytes) -> tuple[str, ...]:
    """Read a bare array of keys. Raises Malformed: one key that cannot be read may be ours."""
    try:
        rows = _ROWS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed(f"{Endpoint.LIST_KEYS}: the answer is no list of keys") from None
    found: list[str] = []
    for row in rows:
        written = [each for each in (row.key, row.public_key) if each is not None]
        texts = [each for each in written if isinstance(each, str)]
        if not texts or len(texts) != len(written):
            raise Malformed(f"{Endpoint.LIST_KEYS}: a key without its text")
        if not _is_moment(row.deleted_at):
            found += texts
    return tuple(dict.fromkeys(found))


def _is_moment(value: Any) -> bool:
    """Whether a key was deleted at some time: "2026-01-01T…" or seconds."""
    if isinstance(value, str) and _DAY.match(value):
        return True
    return moment(value) is not None


def identity_of(public_key: str) -> tuple[str, str]:
    """Return what makes a key: its type and its bits. The comment is anybody's.

    Accounts hold odd strings too: the official client registers whatever it is given.
    """
    kind, _, rest = public_key.strip().partition(" ")
    return kind, rest.strip().partition(" ")[0]
