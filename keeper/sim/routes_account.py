"""What each call about the account means: keys, secrets, the user. No transport, no waiting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keeper.sim.calls import OK, Answer, Call, Handler, bad
from keeper.sim.market import Market
from keeper.sim.templates import USER_ID

SECRET_MASK = "*****"  # noqa: S105 - what is shown instead of one
# Fields of an account that have been seen and mean nothing here.
_UNUSED: dict[str, Any] = {
    "autobill_threshold": 0.0,
    "autobill_amount": 0.0,
    "billed_expected": 0.0,
    "billed_verified": 0.0,
    "paid_expected": 0.0,
    "paid_verified": 0.0,
    "got_signup_credit": 0,
}


@dataclass(slots=True)
class AccountRoutes:
    """The table of calls about the account."""

    market: Market
    secrets: dict[str, str] = field(default_factory=dict)

    def table(self) -> Mapping[str, Handler]:
        """Return the calls by their endpoint."""
        return {
            "GET /users/current/": self._user,
            "GET /ssh/": self._keys,
            "POST /ssh/": self._add_key,
            "PUT /ssh/{id}/": self._change_key,
            "DELETE /ssh/{id}/": self._drop_key,
            "GET /secrets/": self._secrets,
            "POST /secrets/": self._add_secret,
            "PUT /secrets/": self._change_secret,
            "DELETE /secrets/": self._drop_secret,
        }

    def _user(self, call: Call) -> Answer:
        return Answer(body=_UNUSED | self.market.user() | {"api_key": call.key})

    def _keys(self, _: Call) -> Answer:
        keys = [_key_row(number, key) for number, key in self.market.account_keys.items()]
        return Answer(body=keys) if keys else Answer(status=404, body={"detail": "Not found"})

    def _add_key(self, call: Call) -> Answer:
        key = _key_of(call)
        if not key:
            return bad("no_ssh_key", "ssh_key is required")
        number = max(self.market.account_keys, default=700) + 1
        self.market.account_keys[number] = bare(key)
        return Answer(body={"success": True, "key": _key_row(number, key)})

    def _change_key(self, call: Call) -> Answer:
        if call.ids[0] not in self.market.account_keys or not _key_of(call):
            return bad("no_ssh_key", "no such key")
        self.market.account_keys[call.ids[0]] = bare(_key_of(call))
        return Answer(body={"success": True, "key": _key_row(call.ids[0], bare(_key_of(call)))})

    def _drop_key(self, call: Call) -> Answer:
        if self.market.account_keys.pop(call.ids[0], None) is None:
            return bad("no_ssh_key", "no such key")
        return OK

    def _secrets(self, _: Call) -> Answer:
        return Answer(body={"success": True, "secrets": dict.fromkeys(self.secrets, SECRET_MASK)})

    def _add_secret(self, call: Call) -> Answer:
        return self._set(call, must_exist=False, verb="added")

    def _change_secret(self, call: Call) -> Answer:
        return self._set(call, must_exist=True, verb="updated")

    def _set(self, call: Call, *, must_exist: bool, verb: str) -> Answer:
        name = str(call.body.get("key") or "").upper()
        if not name or not isinstance(call.body.get("value"), str):
            return bad("missing_input", "Both 'key' and 'value' are required.")
        if must_exist != (name in self.secrets):
            return bad("nonexistent_key" if must_exist else "existing_key", name)
        self.secrets[name] = call.body["value"]
        return Answer(body={"success": True, "msg": f"Environment variable {verb} successfully"})

    def _drop_secret(self, call: Call) -> Answer:
        name = str(call.body.get("key") or "").upper()
        if not name:
            return bad("missing_input", "'key' is required.")
        if self.secrets.pop(name, None) is None:
            return bad("nonexistent_key", name)
        return Answer(body={"success": True, "msg": "Environment variable deleted successfully"})


def bare(key: str) -> str:
    """Return a public key without its comment."""
    return " ".join(key.split()[:2])


def _key_of(call: Call) -> str:
    return str(call.body.get("ssh_key") or "").strip()


def _key_row(number: int, key: str) -> dict[str, Any]:
    return {
        "id": number,
        "user_id": USER_ID,
        "key": key,
        "public_key": key,
        "created_at": "2026-01-01T00:00:00",
        "deleted_at": None,
    }
