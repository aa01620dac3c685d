"""What keeper asks Vast.ai about the account itself: its money, and whose SSH keys let in.

Vast.ai's proxy lets in the keys of the account; a host lets in those, and the ones attached to the
rental. So keeper's key goes to both.
"""

from __future__ import annotations

from keeper.adapters.vastai_calls import Calls, decoded
from keeper.adapters.vastai_errors import is_already_attached
from keeper.adapters.vastai_reply import Effect
from keeper.adapters.vastai_rows import account_of
from keeper.adapters.vastai_spacing import Endpoint
from keeper.adapters.vastai_wire import User
from keeper.core.model import InstanceId
from keeper.ports import Account


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
        if error is not None and not is_already_attached(reply):
            raise error

    async def register_key(self, public_key: str) -> bool:
        """Register this SSH public key with the account; False: it was there."""
        reply = await self._calls.send(
            Endpoint.REGISTER_KEY,
            "/api/v0/ssh/",
            body={"ssh_key": " ".join(public_key.split())},
            effect=Effect.REPEATABLE,
        )
        error = self._calls.failure(reply, Endpoint.REGISTER_KEY, Effect.REPEATABLE)
        if error is not None:
            raise error
        return True
