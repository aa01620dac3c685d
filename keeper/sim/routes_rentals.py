"""What each call about rentals means: lists, changes, bids, deposits. No transport, no waiting."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keeper.sim import listing, refusals
from keeper.sim.calls import OK, Answer, Call, Handler, bad, numbers_of
from keeper.sim.contract import Box, Contract
from keeper.sim.faults import Aim, FaultKind
from keeper.sim.market import Market, Refusal
from keeper.sim.routes_account import bare
from keeper.sim.templates import Templates, flags

LABEL_MAX = 1024
COMMAND_MAX = 512
BID_MAX_PER_GPU = 32.0  # of a changed bid; a first one may go to 128 (docs, change bid)
COMMANDS_ALLOWED = frozenset({"ls", "rm", "du"})
RESULT_AFTER_S = 0.5  # logs take a while to be uploaded; until then the result is not there
STATES = frozenset({"running", "stopped"})
QUEUED = "Required resources are currently unavailable, state change queued."
HOURS_PER_MONTH = 720.0
# Months that a deposit covers, and the discount it is worth (docs, prepay).
DISCOUNTS = ((3.0, 0.3), (1.0, 0.2))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """A text that can be fetched later without a key."""

    ready_at: float
    text: str


@dataclass(slots=True)
class RentalRoutes:
    """The table of calls about rentals."""

    market: Market
    read_logs: Callable[[int, int], str]  # instance, lines
    execute: Callable[[int, str], str]  # instance, command
    templates: Templates
    results: dict[str, _Result] = field(default_factory=dict)
    deposits: dict[int, float] = field(default_factory=dict)  # dollars, by contract
    _from_template: dict[int, str] = field(default_factory=dict)  # hash, by contract

    def table(self) -> Mapping[str, Handler]:
        """Return the calls by their endpoint."""
        one = "/instances/{id}/"
        return {
            "GET /instances/": self._list,
            "GET /instances/filters/": self._filters,
            "GET /instances/pending-price-increases/": _no_proposals,
            "PUT /instances/accept-price-increase/": _no_proposal,
            "PUT /instances/reject-price-increase/": _no_proposal,
            "PUT /instances/": self._set_states,
            "POST /instances/start/": self._start_all,
            "DELETE /instances/": self._destroy_all,
            f"GET {one}": self._show,
            f"PUT {one}": self._manage,
            f"DELETE {one}": self._destroy,
            "PUT /instances/reboot/{id}/": self._reboot,
            "PUT /instances/recycle/{id}/": self._recycle,
            "PUT /instances/update_template/{id}/": self._update,
            "PUT /instances/bid_price/{id}/": self._bid,
            "PUT /instances/prepay/{id}/": self._prepay,
            "GET /instances/balance/{id}/": self._balance,
            "PUT /instances/command/{id}/": self._execute,
            "PUT /instances/request_logs/{id}/": self._logs,
            f"POST {one}ssh/": self._attach,
            f"GET {one}ssh/": self._attached,
            f"DELETE {one}ssh/{{id}}/": self._detach,
        }

    def remember_template(self, instance_id: int, hash_id: str | None) -> None:
        """Show from now on which template a rental was made of."""
        if hash_id:
            self._from_template[instance_id] = hash_id

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
            rows = self._rows()
            return Answer(body={"instances_found": len(rows), "instances": rows})
        is_stale = faults.active(FaultKind.LIST_STALE, aim, now)
        answer = listing.page(self._rows(), call.query)
        if faults.take(FaultKind.LIST_PAGE_REPEATS, aim, now):
            return Answer(body=listing.repeat_row(answer), note="list_page_repeats")
        if faults.take(FaultKind.LIST_SKIPS_ROW, aim, now):
            return Answer(body=listing.skip_row(answer), note="list_skips_row")
        return Answer(body=answer, note="list_stale" if is_stale else "")

    def _rows(self) -> list[dict[str, Any]]:
        rows = self.market.rows()
        return [self._with_template(row) for row in rows] if self._from_template else rows

    def _with_template(self, row: dict[str, Any]) -> dict[str, Any]:
        """Name the template that a rental was made of, if the row tells that much."""
        hash_id = self._from_template.get(int(row["id"]))
        if hash_id is None or "template_hash_id" not in row:
            return row
        known = (one for one in self.templates.rows.values() if one["hash_id"] == hash_id)
        found = next(known, {"id": None, "name": None})  # it may be deleted or edited by now
        more = {"template_id": found["id"], "template_name": found["name"]}
        return row | {"template_hash_id": hash_id} | more

    def _filters(self, _: Call) -> Answer:
        """Return the distinct values that a table could be filtered by."""
        rows = self.market.rows()
        names = ("gpu_name", "actual_status", "label", "verification")
        filters = [
            {"col": name, "values": sorted({str(row[name]) for row in rows if row.get(name)})}
            for name in names
        ]
        return Answer(body={"success": True, "filters": filters if rows else []})

    def _show(self, call: Call) -> Answer:
        row = self.market.row(call.ids[0])
        if row is not None:
            row = {k: v for k, v in self._with_template(row).items() if k != "volume_info"}
        return Answer(body={"instances": row})  # `volume_info` is only in the list

    # --- changes ------------------------------------------------------------------------------

    def _manage(self, call: Call) -> Answer:
        instance_id, body = call.ids[0], call.body
        if "label" in body:
            label = str(body["label"] or "")
            if len(label) > LABEL_MAX:
                return bad("label_too_long", f"label is longer than {LABEL_MAX}")
            self.market.set_label(instance_id, label)
            return Answer(body={"success": True, "msg": "label updated"})
        state = body.get("state")
        if str(state) not in STATES:
            return bad("invalid_args", "state must be running or stopped")
        return OK if self.market.set_state(instance_id, state) else _queued()

    def _set_states(self, call: Call) -> Answer:
        state = call.body.get("state")
        if str(state) not in STATES:
            return bad("invalid_args", "state must be running or stopped")
        return self._each(call, lambda one: self.market.set_state(one, state))

    def _start_all(self, call: Call) -> Answer:
        return self._each(call, lambda one: self.market.set_state(one, "running"))

    def _destroy(self, call: Call) -> Answer:
        self._end(call.ids[0])
        return Answer(body={"success": True, "msg": "Instance destroyed."})

    def _destroy_all(self, call: Call) -> Answer:
        def end(instance_id: int) -> bool:
            self._end(instance_id)
            return True

        return self._each(call, end)

    def _end(self, instance_id: int) -> None:
        self.market.destroy(instance_id)
        if left := self.deposits.pop(instance_id, 0.0):
            self.market.give_credit(left)

    def _each(self, call: Call, act: Callable[[int], bool]) -> Answer:
        """Do it to every rental of a list; the first that is none ends it."""
        ids = numbers_of(call, "ids", "IDs", "instance_ids")
        if ids is None:
            return bad("missing_input", "a list of instance ids is required")
        done = [act(instance_id) for instance_id in ids]
        return OK if all(done) else _queued()

    def _reboot(self, call: Call) -> Answer:
        self._owned(call, refusal=refusals.NO_REBOOT)
        self.market.reboot(call.ids[0])
        return OK

    def _recycle(self, call: Call) -> Answer:
        self._owned(call, refusal=refusals.NO_RECYCLE)
        self.market.recycle(call.ids[0])
        return OK

    def _update(self, call: Call) -> Answer:
        """Give a rental another image, variables or start script: its container is made anew."""
        contract = self._owned(call)
        body = self.templates.merged(call.body)
        if body is None:
            return bad("invalid_args", "template_hash_id: no such template")
        env = body.get("env")
        env = flags(env) if isinstance(env, str) else env
        if isinstance(body.get("image"), str):
            contract.image = body["image"]
        if isinstance(body.get("onstart"), str):
            contract.onstart = body["onstart"]
        if isinstance(env, Mapping):
            contract.env = {**contract.env, **{str(k): str(v) for k, v in env.items()}}
        self.remember_template(contract.instance_id, call.body.get("template_hash_id"))
        self.market.recycle(contract.instance_id)
        return OK

    # --- money --------------------------------------------------------------------------------

    def _bid(self, call: Call) -> Answer:
        price = call.body.get("price")
        if price is not None and (isinstance(price, bool) or not isinstance(price, int | float)):
            return bad("invalid_args", "Please set a bid price >= 0.001.")
        most = BID_MAX_PER_GPU * len(self._owned(call).gpus)
        if price is not None and price > most:
            return bad("invalid_args", f"Please set a bid price <= {most:g}.")
        self.market.change_bid(call.ids[0], None if price is None else float(price))
        return OK

    def _prepay(self, call: Call) -> Answer:
        """Move credit into a deposit for one rental; it comes back when that one is destroyed."""
        amount = call.body.get("amount")
        if self.market.row(call.ids[0]) is None:
            return Answer(status=400, body={"success": False, "msg": "No such instance"})
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not amount > 0:
            return bad("invalid_args", "amount: dollars above 0 are required")
        if amount > self.market.credit(self.market.now()):
            return Answer(status=411, body={"success": False, "msg": "Insufficient credit"})
        self.market.give_credit(-amount)
        self.deposits[call.ids[0]] = self.deposits.get(call.ids[0], 0.0) + amount
        months, rate = self._discount(self._owned(call))
        return Answer(body={"success": True, "timescale": months, "discount_rate": rate})

    def _balance(self, call: Call) -> Answer:
        contract = self._owned(call)
        months, rate = self._discount(contract)
        deposit = self.deposits.get(contract.instance_id, 0.0)
        return Answer(
            body={
                "success": True,
                "refundable_deposit": round(deposit, 6),
                "total_discount": round(rate * deposit, 6),
                "discount_months": int(months),
            }
        )

    def _discount(self, contract: Contract) -> tuple[float, float]:
        """Return the months that a deposit covers, and what discount goes with them."""
        deposit = self.deposits.get(contract.instance_id, 0.0)
        months = deposit / (contract.dollars_per_hour * HOURS_PER_MONTH)
        return round(months, 3), next((rate for least, rate in DISCOUNTS if months >= least), 0.0)

    # --- logs and commands --------------------------------------------------------------------

    def _logs(self, call: Call) -> Answer:
        contract = self._owned(call)
        tail = str(call.body.get("tail") or 1000)
        if not tail.isdecimal():
            return bad("invalid_args", "tail: a number of lines is expected")
        text = self.read_logs(contract.instance_id, int(tail)) or "Error: no such container\n"
        if str(call.body.get("daemon_logs") or "").lower() == "true":
            text = f"{contract.message or ''}\n"
        if wanted := str(call.body.get("filter") or ""):
            text = "".join(line for line in text.splitlines(keepends=True) if wanted in line)
        return self._later(call, text)

    def _execute(self, call: Call) -> Answer:
        contract = self._owned(call)
        command = str(call.body.get("command") or "")
        words = command.split()
        if len(command) > COMMAND_MAX or not words or words[0] not in COMMANDS_ALLOWED:
            return bad("invalid_args", "Invalid command given.")
        if contract.box is Box.ABSENT:
            return bad("invalid_container_id", "The instance has no container.")
        answer = self._later(call, self.execute(contract.instance_id, command) or "\n")
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

    # --- keys ---------------------------------------------------------------------------------

    def _attach(self, call: Call) -> Answer:
        self._owned(call)
        key = str(call.body.get("ssh_key") or "").strip()
        if not key.startswith(("ssh-", "ecdsa-")):
            return bad("no_ssh_key", "A public SSH key is required.")
        if not self.market.attach_key(call.ids[0], bare(key)):
            text = "SSH key already associated with instance."
            return Answer(body={"success": False, "msg": text})
        return Answer(body={"success": True, "msg": "SSH key added to instance."})

    def _attached(self, call: Call) -> Answer:
        keys = [
            {"id": number, "public_key": key}
            for number, key in enumerate(self._owned(call).keys, 1)
        ]
        return Answer(body={"success": True, "ssh_keys": json.dumps(keys)})

    def _detach(self, call: Call) -> Answer:
        contract, number = self._owned(call), call.ids[1]
        if not 1 <= number <= len(contract.keys):
            return bad("no_such_ssh_key", "no key", status=404)
        del contract.keys[number - 1]
        return Answer(body={"success": True, "msg": "SSH key detached."})

    def _owned(self, call: Call, refusal: tuple[int, str, str] = refusals.NO_INSTANCE) -> Contract:
        """Return the rental that a call is about. Raises Refusal."""
        contract = self.market.contracts.get(call.ids[0])
        if contract is None or self.market.row(call.ids[0]) is None:
            status, slug, text = refusal
            body = {"success": False, "error": slug, "msg": text.format(call.ids[0])}
            raise Refusal(status, body)
        return contract


def _no_proposals(_: Call) -> Answer:
    """Owners here raise a price without asking; see FaultKind.PRICE_RAISED."""
    body = {"success": True, "count": 0, "truncated": False, "pending_price_increases": []}
    return Answer(body=body)


def _no_proposal(_: Call) -> Answer:
    body = {"success": False, "error": "no_pending_price_increase"}
    return Answer(status=404, body=body)


def _queued() -> Answer:
    return Answer(body={"success": False, "error": "resources_unavailable", "msg": QUEUED})
