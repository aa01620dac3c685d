"""What each call of the marketplace's API means, in its own shapes. No transport, no waiting.

Bodies follow the Vast.ai documents and the official command line (docs and vastai 1.9.1, read
2026-08). An unknown path answers 404 as the live service does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keeper.sim import listing, search
from keeper.sim.contract import Contract
from keeper.sim.faults import Aim, FaultKind
from keeper.sim.market import Market, Refusal

LABEL_MAX = 1024
COMMANDS_ALLOWED = frozenset({"ls", "rm", "du"})
RESULT_AFTER_S = 0.5  # logs take a while to be uploaded; until then the result is not there
QUEUED = "Required resources are currently unavailable, state change queued."


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """A text that can be fetched later without a key."""

    ready_at: float
    text: str


Handler = Callable[[Call], Answer]
OK = Answer(body={"success": True})


@dataclass(slots=True)
class Routes:
    """The table of calls."""

    market: Market
    read_logs: Callable[[int, int], str]  # instance, lines
    secrets: dict[str, str] = field(default_factory=dict)
    results: dict[str, _Result] = field(default_factory=dict)

    def take(self, endpoint: str, call: Call) -> Answer:
        """Do what a call asks. Raises market.Refusal, market.ReplyLost."""
        handler = self._table().get(endpoint)
        if handler is None:
            return Answer(status=404, body={"detail": "Not found"})
        if not isinstance(call.body, dict):
            return _bad("invalid_request", "The request body must be valid JSON.")
        try:
            return handler(call)
        except search.BadQuery as problem:
            slug = "bad_request" if "must be an object" in str(problem) else "invalid_request"
            return _bad(slug, str(problem))
        except listing.BadToken:
            return _bad("invalid_token", "Invalid pagination token.")

    def _table(self) -> dict[str, Handler]:
        one = "/instances/{id}/"
        return {
            "POST /bundles/": lambda call: self._offers(call.body),
            "GET /bundles/": lambda call: self._offers(_query_of(call)),
            "PUT /search/asks/": lambda call: self._offers(call.body.get("q") or {}),
            "PUT /asks/{id}/": self._create,
            "GET /instances/": self._list,
            "GET /instances/filters/": lambda _: Answer(body={"success": True, "filters": []}),
            "PUT /instances/": self._set_states,
            "POST /instances/start/": self._start_all,
            "DELETE /instances/": self._destroy_all,
            f"GET {one}": self._show,
            f"PUT {one}": self._manage,
            f"DELETE {one}": self._destroy,
            "PUT /instances/reboot/{id}/": self._reboot,
            "PUT /instances/recycle/{id}/": self._recycle,
            "PUT /instances/bid_price/{id}/": self._bid,
            "GET /instances/balance/{id}/": self._balance,
            "PUT /instances/command/{id}/": self._execute,
            "PUT /instances/request_logs/{id}/": self._logs,
            f"POST {one}ssh/": self._attach,
            f"GET {one}ssh/": self._attached,
            f"DELETE {one}ssh/{{id}}/": self._detach,
            "GET /ssh/": self._keys,
            "POST /ssh/": self._add_key,
            "PUT /ssh/{id}/": self._change_key,
            "DELETE /ssh/{id}/": self._drop_key,
            "GET /users/current/": self._user,
            "GET /secrets/": lambda _: Answer(
                body={"success": True, "secrets": dict.fromkeys(self.secrets, "*****")}
            ),
            "POST /secrets/": self._set_secret,
            "PUT /secrets/": self._set_secret,
            "DELETE /secrets/": self._drop_secret,
            "GET /template/": lambda _: Answer(
                body={"success": True, "templates_found": 0, "templates": []}
            ),
        }

    # --- the market ---------------------------------------------------------------------------

    def _offers(self, query: Mapping[str, Any]) -> Answer:
        return Answer(body={"offers": self.market.search(query)})

    def _create(self, call: Call) -> Answer:
        answer = self.market.create(call.ids[0], call.body)
        return Answer(body=answer, note="" if "new_contract" in answer else "made")

    # --- reads --------------------------------------------------------------------------------

    def _list(self, call: Call) -> Answer:
        now, aim, faults = self.market.now(), Aim(endpoint="GET /instances/"), self.market.faults
        if faults.take(FaultKind.DEPRECATED_ENDPOINT, aim, now) or faults.take(
            FaultKind.LIST_WITHOUT_ARRAY, aim, now
        ):
            body = {"success": False, "error": "deprecated_endpoint", "msg": "Use the new list."}
            return Answer(body=body, note="list_without_array")
        if faults.take(FaultKind.LIST_EMPTY, aim, now):
            return Answer(body=listing.empty(), note="list_empty")
        if call.is_v0:
            # Called deprecated, and still in use by the marketplace's own tools.
            rows = self.market.rows()
            return Answer(body={"instances_found": len(rows), "instances": rows})
        is_stale = faults.active(FaultKind.LIST_STALE, aim, now)
        answer = listing.page(self.market.rows(), call.query)
        if faults.take(FaultKind.LIST_PAGE_REPEATS, aim, now):
            return Answer(body=listing.repeat_row(answer), note="list_page_repeats")
        if faults.take(FaultKind.LIST_SKIPS_ROW, aim, now):
            return Answer(body=listing.skip_row(answer), note="list_skips_row")
        return Answer(body=answer, note="list_stale" if is_stale else "")

    def _show(self, call: Call) -> Answer:
        return Answer(body={"instances": self.market.row(call.ids[0])})

    def _user(self, call: Call) -> Answer:
        return Answer(body=self.market.user() | {"api_key": call.key})

    def _balance(self, call: Call) -> Answer:
        self._contract(call)
        return Answer(body={"success": True, "balance": 0.0, "deposit": 0.0})

    # --- changes ------------------------------------------------------------------------------

    def _manage(self, call: Call) -> Answer:
        instance_id, body = call.ids[0], call.body
        if "label" in body:
            label = str(body["label"] or "")
            if len(label) > LABEL_MAX:
                return _bad("label_too_long", f"label is longer than {LABEL_MAX}")
            self.market.set_label(instance_id, label)
            return Answer(body={"success": True, "msg": "label updated"})
        state = body.get("state")
        if state not in {"running", "stopped"}:
            return _bad("invalid_args", "state must be running or stopped")
        if not self.market.set_state(instance_id, state):
            return Answer(body={"success": False, "error": "resources_unavailable", "msg": QUEUED})
        return OK

    def _set_states(self, call: Call) -> Answer:
        for instance_id in call.body.get("ids") or ():
            self.market.set_state(int(instance_id), str(call.body.get("state")))
        return OK

    def _start_all(self, call: Call) -> Answer:
        for instance_id in call.body.get("IDs") or ():
            self.market.set_state(int(instance_id), "running")
        return OK

    def _destroy(self, call: Call) -> Answer:
        self.market.destroy(call.ids[0])
        return Answer(body={"success": True, "msg": "Instance destroyed."})

    def _destroy_all(self, call: Call) -> Answer:
        for instance_id in call.body.get("instance_ids") or ():
            self.market.destroy(int(instance_id))
        return OK

    def _reboot(self, call: Call) -> Answer:
        self.market.reboot(call.ids[0])
        return OK

    def _recycle(self, call: Call) -> Answer:
        self.market.recycle(call.ids[0])
        return OK

    def _bid(self, call: Call) -> Answer:
        price = call.body.get("price")
        self.market.change_bid(call.ids[0], None if price is None else float(price))
        return OK

    # --- logs and commands --------------------------------------------------------------------

    def _logs(self, call: Call) -> Answer:
        contract = self._contract(call)
        tail = int(call.body.get("tail") or 1000)
        text = self.read_logs(contract.instance_id, tail)
        return self._later(call, text or "Error: no such container\n")

    def _execute(self, call: Call) -> Answer:
        self._contract(call)
        words = str(call.body.get("command") or "").split()
        if not words or words[0] not in COMMANDS_ALLOWED:
            allowed = ", ".join(sorted(COMMANDS_ALLOWED))
            return _bad("invalid_args", f"only {allowed} are allowed")
        answer = self._later(call, "\n")
        return Answer(body=answer.body | {"writeable_path": f"/var/lib/docker/{call.ids[0]}"})

    def _later(self, call: Call, text: str) -> Answer:
        now = self.market.now()
        name = f"{call.ids[0]}-{len(self.results)}"
        self.results[name] = _Result(ready_at=now + RESULT_AFTER_S, text=text)
        url = f"{call.base_url}/sim/results/{name}"
        return Answer(body={"success": True, "result_url": url, "msg": "requested"})

    def result(self, name: str) -> str | None:
        """Return a text that was asked for before; None until it is there."""
        found = self.results.get(name)
        return found.text if found and self.market.now() >= found.ready_at else None

    # --- keys and secrets ---------------------------------------------------------------------

    def _attach(self, call: Call) -> Answer:
        self._contract(call)
        key = str(call.body.get("ssh_key") or "").strip()
        if not key.startswith(("ssh-", "ecdsa-")):
            return _bad("no_ssh_key", "A public SSH key is required.")
        if not self.market.attach_key(call.ids[0], _bare(key)):
            text = "SSH key already associated with instance."
            return Answer(body={"success": False, "msg": text})
        return Answer(body={"success": True, "msg": "SSH key added to instance."})

    def _attached(self, call: Call) -> Answer:
        keys = [
            {"id": number, "public_key": key}
            for number, key in enumerate(self._contract(call).keys, 1)
        ]
        return Answer(body={"success": True, "ssh_keys": json.dumps(keys)})

    def _detach(self, call: Call) -> Answer:
        contract, number = self._contract(call), call.ids[1]
        if not 1 <= number <= len(contract.keys):
            return Answer(
                status=404, body={"success": False, "error": "no_such_ssh_key", "msg": "no key"}
            )
        del contract.keys[number - 1]
        return OK

    def _keys(self, _: Call) -> Answer:
        keys = [_key_row(number, key) for number, key in self.market.account_keys.items()]
        return Answer(body=keys) if keys else Answer(status=404, body={"detail": "Not found"})

    def _add_key(self, call: Call) -> Answer:
        key = str(call.body.get("ssh_key") or "").strip()
        if not key:
            return _bad("no_ssh_key", "ssh_key is required")
        number = max(self.market.account_keys, default=700) + 1
        self.market.account_keys[number] = _bare(key)
        return Answer(body={"success": True, "key": _key_row(number, key)})

    def _change_key(self, call: Call) -> Answer:
        if call.ids[0] not in self.market.account_keys:
            return _bad("no_ssh_key", "no such key")
        self.market.account_keys[call.ids[0]] = _bare(str(call.body.get("ssh_key") or ""))
        return OK

    def _drop_key(self, call: Call) -> Answer:
        if self.market.account_keys.pop(call.ids[0], None) is None:
            return _bad("no_ssh_key", "no such key")
        return OK

    def _set_secret(self, call: Call) -> Answer:
        self.secrets[str(call.body.get("key", "")).upper()] = str(call.body.get("value", ""))
        return OK

    def _drop_secret(self, call: Call) -> Answer:
        self.secrets.pop(str(call.body.get("key", "")).upper(), None)
        return OK

    def _contract(self, call: Call) -> Contract:
        """Return the rental that a call is about. Raises Refusal."""
        contract = self.market.contracts.get(call.ids[0])
        if contract is None or self.market.row(call.ids[0]) is None:
            text = f"Instance {call.ids[0]} not found."
            raise Refusal(404, {"success": False, "error": "no_such_instance", "msg": text})
        return contract


def _bad(slug: str, text: str) -> Answer:
    return Answer(status=400, body={"success": False, "error": slug, "msg": text})


def _query_of(call: Call) -> Mapping[str, Any]:
    """Read the older form of a search, one JSON text in the query string."""
    try:
        query = json.loads(call.query.get("q") or "{}")
    except ValueError as error:
        raise search.BadQuery("q: not JSON") from error
    if not isinstance(query, dict):
        raise search.BadQuery("q: an object is expected")
    return query


def _bare(key: str) -> str:
    """Return a public key without its comment."""
    return " ".join(key.split()[:2])


def _key_row(number: int, key: str) -> dict[str, Any]:
    return {
        "id": number,
        "user_id": 150_412,
        "key": key,
        "public_key": key,
        "created_at": "2026-01-01T00:00:00",
        "deleted_at": None,
    }
