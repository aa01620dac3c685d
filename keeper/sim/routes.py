"""The table of calls, and what those about offers mean. No transport, no waiting.

Bodies follow the Vast.ai documents and the official command line (docs and vastai 1.9.1, read
2026-08). An unknown path answers 404 as the live service does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keeper.sim import listing, refusals, search
from keeper.sim.calls import Answer, Call, Handler, bad, numbers_of
from keeper.sim.market import Market, Refusal
from keeper.sim.routes_account import AccountRoutes
from keeper.sim.routes_rentals import RentalRoutes
from keeper.sim.templates import Templates
from keeper.sim.webhooks import Webhooks

__all__ = ["Answer", "Call", "Routes"]


@dataclass(slots=True)
class Routes:
    """Every call that is understood."""

    market: Market
    read_logs: Callable[[int, int], str]  # instance, lines
    execute: Callable[[int, str], str]  # instance, command
    account: AccountRoutes = field(init=False)
    rentals: RentalRoutes = field(init=False)
    templates: Templates = field(default_factory=Templates)
    webhooks: Webhooks = field(default_factory=Webhooks)
    _table: Mapping[str, Handler] = field(init=False)

    def __post_init__(self) -> None:
        self.account = AccountRoutes(self.market)
        self.rentals = RentalRoutes(
            market=self.market,
            read_logs=self.read_logs,
            execute=self.execute,
            templates=self.templates,
        )
        self._table = {
            **self._offer_table(),
            **self.rentals.table(),
            **self.account.table(),
            **self.templates.table(self.market.now),
            **self.webhooks.table(self.market.now),
        }

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Every call that is understood, as "METHOD /path/{id}/"."""
        return tuple(self._table)

    def take(self, endpoint: str, call: Call) -> Answer:
        """Do what a call asks. Raises market.Refusal, market.ReplyLost."""
        handler = self._table.get(endpoint)
        if handler is None:
            return Answer(status=404, body={"detail": "Not found"})
        if not isinstance(call.body, dict):
            if endpoint == "PUT /instances/command/{id}/":
                return bad("invalid_args", "Invalid json_body", status=483)
            return bad("invalid_request", "The request body must be valid JSON.")
        try:
            return handler(call)
        except search.BadQuery as problem:
            slug = "bad_request" if "must be an object" in str(problem) else "invalid_request"
            return bad(slug, str(problem))
        except listing.BadToken:
            return bad("invalid_token", "Invalid pagination token.")

    def result(self, name: str) -> str | None:
        """Return a text that was asked for before; None until it is there."""
        return self.rentals.result(name)

    def _offer_table(self) -> Mapping[str, Handler]:
        return {
            "POST /bundles/": lambda call: self._offers(call.body),
            "GET /bundles/": lambda call: self._offers(_query_of(call)),
            "PUT /search/asks/": self._new_search,
            "GET /gpu_names/unique/": self._gpu_names,
            "PUT /asks/{id}/": lambda call: self._create(call.ids[0], call.body),
            "POST /asks/bulk/": self._create_all,
            "PUT /launch_instance/": self._launch,
        }

    def _offers(self, query: Mapping[str, Any]) -> Answer:
        return Answer(body={"offers": self.market.search(search.with_plain_read(query))})

    def _new_search(self, call: Call) -> Answer:
        query = call.body.get("q") or {}
        if not isinstance(query, dict):
            raise search.BadQuery("q: an object is expected")
        wanted = call.body.get("select_cols") or ["*"]
        columns = [str(name) for name in wanted] if isinstance(wanted, list) else ["*"]
        found = self._offers(query).body["offers"]
        if "*" not in columns:
            found = [{name: row.get(name) for name in columns} for row in found]
        return Answer(body={"offers": found})

    def _gpu_names(self, _: Call) -> Answer:
        names = {machine.gpu.name for machine in self.market.supply.machines.values()}
        return Answer(body={"gpu_names": sorted(names)})

    def _create(self, offer_id: int, body: Mapping[str, Any]) -> Answer:
        merged = self.templates.merged(body)
        if merged is None:
            text = f"template_hash_id: no template {body.get('template_hash_id')}"
            return bad("invalid_args", text)
        ask = self.market.supply.find(offer_id)
        refusals.check_create(merged, has_key=bool(self.market.account_keys))
        if ask is not None and ask.is_open:
            share = len(ask.gpus) / ask.machine.gpu_count
            refusals.check_disk(merged, round(ask.machine.disk_gb * share, 1))
        if self.account.secrets and isinstance(merged.get("env") or {}, dict):
            # The account's variables are injected into new rentals (docs, environment variables).
            merged = {**merged, "env": {**self.account.secrets, **(merged.get("env") or {})}}
        answer = self.market.create(offer_id, merged)
        if contract := self.market.contracts.get(answer.get("new_contract", 0)):
            self.rentals.remember_template(contract.instance_id, body.get("template_hash_id"))
            if merged.get("target_state") == "stopped":
                self.market.set_state(contract.instance_id, "stopped")
        return Answer(body=answer, note="" if "new_contract" in answer else "made")

    def _create_all(self, call: Call) -> Answer:
        """Rent several offers; the answer's shape is a guess, the client prints what comes."""
        ids = numbers_of(call, "ids")
        if ids is None:
            return bad("invalid_args", "ids: a list of offer ids is required")
        made, failed = [], []
        for offer_id in ids:
            try:
                answer = self._create(offer_id, call.body)
            except Refusal as refusal:
                failed.append({"id": offer_id, **refusal.body})
            else:
                made.append({"id": offer_id, **answer.body})
        return Answer(body={"success": not failed, "results": [*made, *failed]})

    def _launch(self, call: Call) -> Answer:
        """Search and rent the first that fits, in one call."""
        query = call.body.get("q") or {}
        if not isinstance(query, dict):
            raise search.BadQuery("q: an object is expected")
        query = dict(query)
        storage = query.get("allocated_storage")
        if isinstance(storage, Mapping):  # the description shows {"gte": 32} here
            query["allocated_storage"] = next(iter(storage.values()), None)
        offers = self._offers(query).body["offers"]
        for row in offers:
            if row["rentable"]:
                return self._create(row["id"], call.body)
        return bad("no_such_ask", "No offers found.", status=404)


def _query_of(call: Call) -> Mapping[str, Any]:
    """Read the older form of a search, one JSON text in the query string."""
    try:
        query = json.loads(call.query.get("q") or "{}")
    except ValueError as error:
        raise search.BadQuery("q: not JSON") from error
    if not isinstance(query, dict):
        raise search.BadQuery("q: an object is expected")
    return query
