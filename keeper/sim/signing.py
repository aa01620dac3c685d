"""How a create becomes a contract, or does not: validation, races, bids, and answers that mislead."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from keeper.sim import catalog
from keeper.sim.auction import Auction
from keeper.sim.catalog import Ask
from keeper.sim.contract import Contract
from keeper.sim.faults import Aim, FaultBoard, FaultKind
from keeper.sim.lifecycle import Lifecycle
from keeper.sim.refusals import Refusal, ReplyLost, check_create, race_lost
from keeper.sim.supply import Supply

PUBLIC_KEY = re.compile(r"(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp\d+) AAAA[0-9A-Za-z+/=]+")


@dataclass(slots=True, kw_only=True)
class Signing:
    """Makes contracts. ``contracts``: every one ever made, by id; new ones are added."""

    contracts: MutableMapping[int, Contract]
    account_keys: Mapping[int, str]
    supply: Supply
    auction: Auction
    lifecycle: Lifecycle
    faults: FaultBoard
    luck: random.Random
    credit: Callable[[float], float]
    understated: Mapping[int, float]  # by offer, what a search said that lied about its price
    latest_id: int = 40_000_000

    def create(self, offer_id: int, body: Mapping[str, Any], now: float) -> dict[str, Any]:
        """Rent an offer; with a ``price`` in the body, as a bid for its GPU part.

        Raises Refusal (even with a contract made: a bid below the floor leaves a stopped one, unless
        ``cancel_unavail`` is true) and ReplyLost.
        """
        check_create(body)
        ask = self.supply.find(offer_id)
        aim = Aim(
            endpoint="PUT /asks/{id}/",
            label=str(body.get("label") or ""),
            offer_id=offer_id,
            machine_id=ask.machine.machine_id if ask else None,
        )
        if ask is None or not ask.is_open or self.faults.take(FaultKind.OFFER_GONE, aim, now):
            raise race_lost(offer_id, self.luck)
        if self.credit(now) <= 0:
            raise Refusal(
                400,
                {"error": "insufficient_credit", "msg": "Your account lacks credit; see billing."},
            )
        if self.faults.take(FaultKind.CREATE_SUCCESS_FALSE_200, aim, now):
            raise Refusal(
                200, {"success": False, "error": "server_error", "msg": "Please try again."}
            )
        is_low = body.get("price") is not None and self._is_too_low(ask, body, aim, now)
        self.latest_id += self.luck.randrange(1, 40)
        contract_id, api_key = self.latest_id, f"{self.luck.getrandbits(256):064x}"
        answer = {"success": True, "new_contract": contract_id, "instance_api_key": api_key}
        if self.faults.take(FaultKind.CREATE_PHANTOM, aim, now):
            return answer
        contract = self._contract(ask, contract_id, api_key, body, aim, now)
        self._begin(contract, aim, now, is_low=is_low)
        if self.faults.take(FaultKind.CREATE_REPLY_LOST, aim, now):
            raise ReplyLost(FaultKind.CREATE_REPLY_LOST.value)
        if is_low:
            said = _too_low(float(body["price"]), ask)
            raise Refusal(400, said | {"new_contract": contract_id})
        if self.faults.take(FaultKind.CREATE_ERROR_BUT_MADE, aim, now):
            text = "error 500/3999: the request could not be completed"
            raise Refusal(
                500,
                {"success": False, "error": "server_error", "msg": text}
                | {"new_contract": contract_id},
            )
        if self.faults.take(FaultKind.CREATE_SUCCESS_WITHOUT_ID, aim, now):
            return {"success": True}
        return answer

    def _is_too_low(self, ask: Ask, body: Mapping[str, Any], aim: Aim, now: float) -> bool:
        """Whether a bid leaves a stopped contract behind. Raises Refusal when it leaves nothing."""
        bid = float(body["price"])
        outdone = self.faults.take(FaultKind.BID_TOO_LOW, aim, now)
        if outdone:
            ask.machine.rival_dollars_per_hour = bid / len(ask.gpus)
        if bid >= ask.machine.min_bid(ask.gpus):
            return False
        if outdone and outdone.params.get("leaves_contract"):
            return True
        if body.get("cancel_unavail"):
            raise Refusal(400, _too_low(bid, ask))
        return True

    def _begin(self, contract: Contract, aim: Aim, now: float, *, is_low: bool) -> None:
        self.contracts[contract.instance_id] = contract
        ask_machine, gpus = contract.machine, contract.gpus
        if is_low:
            contract.is_outbid = True
            self.lifecycle.begin_stopped(contract, now, "stopped")
            return
        self.supply.list_anew(ask_machine, gpus)  # the rented offer id is dead from now on
        if self.faults.active(FaultKind.PLATFORM_INCIDENT, aim, now):
            # Launches of a whole platform came to rest like this (field report, 2026-08).
            self.lifecycle.begin_stopped(contract, now, "loading")
        else:
            self.lifecycle.begin(contract, now)

    def _contract(
        self,
        ask: Ask,
        contract_id: int,
        api_key: str,
        body: Mapping[str, Any],
        aim: Aim,
        now: float,
    ) -> Contract:
        gpu_dollars = ask.gpu_dollars_per_hour
        if changed := self.faults.take(FaultKind.PRICE_CHANGED, aim, now):
            gpu_dollars = round(gpu_dollars * changed.number("factor", 1.3), 6)
        late = self.faults.take(FaultKind.INSTANCE_APPEARS_LATE, aim, now)
        price = body.get("price")
        env = body.get("env")
        onstart = str(body.get("onstart") or "")
        variables = env if isinstance(env, Mapping) else {}
        contract = Contract(
            instance_id=contract_id,
            offer_id=ask.offer_id,
            machine=ask.machine,
            gpus=ask.gpus,
            label=body.get("label"),
            image=str(body.get("image") or "vastai/base-image:cuda-12.4"),
            disk_gb=float(body.get("disk") or catalog.STORAGE_DEFAULT_GB),
            # Vast.ai ignores variables that come as a flag string (docs, read 2026-08).
            env={str(name): str(value) for name, value in variables.items()},
            onstart=onstart,
            runtype=str(body.get("runtype") or "ssh"),
            gpu_dollars_per_hour=gpu_dollars if price is None else float(price),
            is_bid=price is not None,
            offered_dollars_per_hour=_offered(ask, body) if price is None else 0.0,
            understated_dollars_per_hour=self.understated.get(ask.offer_id, 0.0),
            created_at=now,
            visible_at=now + (late.number("after_s", 60.0) if late else 0.0),
            end_at=ask.machine.end_at,
            api_key=api_key,
        )
        contract.keys = [
            *self.account_keys.values(),
            *PUBLIC_KEY.findall(onstart),
            *PUBLIC_KEY.findall(str(variables.get("PUBLIC_KEY", ""))),
        ]
        return contract


def _offered(ask: Ask, body: Mapping[str, Any]) -> float:
    disk_gb = float(body.get("disk") or catalog.STORAGE_DEFAULT_GB)
    return ask.gpu_dollars_per_hour + catalog.storage_dollars_per_hour(ask.machine, disk_gb)


def _too_low(bid: float, ask: Ask) -> dict[str, Any]:
    floor = ask.machine.min_bid(ask.gpus)
    text = f"bid {bid:.4f} is below the minimum of {floor:.4f} for ask {ask.offer_id}"
    return {"success": False, "error": "invalid_price", "msg": text}
