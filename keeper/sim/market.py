"""The marketplace: machines on offer, rentals, other renters, money, and what is armed against them.

Pure and synchronous: the clock is a callable, luck comes from one seeded generator, and what is due
happens when somebody next asks. Both faces of the simulator stand on this one model. It speaks the
marketplace's own rows and error bodies, and knows nothing of HTTP, SSH or keeper.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keeper.sim import catalog, search
from keeper.sim.agenda import Agenda
from keeper.sim.billing import Billing
from keeper.sim.catalog import Ask
from keeper.sim.contract import Box, Contract
from keeper.sim.faults import KEEPER_KINDS, RENTAL_KINDS, Aim, Fault, FaultBoard, FaultKind
from keeper.sim.ledger import Ledger
from keeper.sim.lifecycle import HostSide, Lifecycle, PlainHosts, Tempo
from keeper.sim.reads import Reads
from keeper.sim.refusals import Refusal, ReplyLost, check_create, race_lost
from keeper.sim.striking import Striker, aim_of
from keeper.sim.supply import Supply

__all__ = ["Market", "MarketShape", "Refusal", "ReplyLost"]

OFFERS_MAX = 64  # an answer never holds more, whatever ``limit`` says
PUBLIC_KEY = re.compile(r"(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp\d+) AAAA[0-9A-Za-z+/=]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketShape:
    """How large and how lively the market is."""

    machines: int = 80
    display_share: float = 0.25
    display_open_min: int = 4  # other renters leave at least so many offers with a display
    credit_dollars: float = 100.0
    renters_every_s: float = 240.0  # 0: nobody else rents
    renters_hold_s: float = 10_800.0
    price_drift_every_s: float = 3_600.0  # 0: prices stand still
    key_lag_s: float = 0.0  # an attached key works after this
    tempo: Tempo = field(default_factory=Tempo)


class Market:
    """The one model. Times are epoch seconds of ``clock``; rows are the marketplace's JSON."""

    def __init__(
        self,
        *,
        rng: random.Random,
        clock: Callable[[], float],
        shape: MarketShape | None = None,
        hosts: HostSide | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.shape = shape or MarketShape()
        self.ledger = ledger or Ledger()
        self.faults = FaultBoard()
        self._clock = clock
        # One generator per purpose: a call more to the API does not change who boots how fast.
        self._luck, boots, renters, aim = (random.Random(rng.getrandbits(64)) for _ in range(4))
        self._agenda = Agenda(clock())
        self.lifecycle = Lifecycle(
            tempo=self.shape.tempo,
            rng=boots,
            agenda=self._agenda,
            ledger=self.ledger,
            hosts=hosts or PlainHosts(),
            on_change=self._on_change,
        )
        self.contracts: dict[int, Contract] = {}  # every one ever made, by id
        self.account_keys: dict[int, str] = {}
        self._contract_ids = 40_000_000
        self._reads = Reads(self.contracts, self.faults)
        self._billing = Billing(
            agenda=self._agenda,
            credit_dollars=self.shape.credit_dollars,
            live=self._live,
            run_dry=self._stop_all,
        )
        self._striker = Striker(
            board=self.faults,
            lifecycle=self.lifecycle,
            agenda=self._agenda,
            aim=aim,
            live=self._live,
        )
        self.supply = Supply(
            luck=self._luck,
            renters=renters,
            agenda=self._agenda,
            on_freed=self.lifecycle.freed,
            machines=self.shape.machines,
            display_share=self.shape.display_share,
            display_open_min=self.shape.display_open_min,
            renters_every_s=self.shape.renters_every_s,
            renters_hold_s=self.shape.renters_hold_s,
            price_drift_every_s=self.shape.price_drift_every_s,
        )

    # --- time ---------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the marketplace's time, after everything that is due has happened."""
        self._agenda.advance(self._clock())
        return self._agenda.now

    def advance(self) -> None:
        """Let everything happen that is due."""
        self.now()

    @property
    def present(self) -> float:
        """Return the time of the step being taken; unlike ``now`` it lets nothing happen."""
        return self._agenda.now

    def plan(self, at: float, step: Callable[[float], None]) -> None:
        """Let something happen at a time, in order with everything else: for the host side."""
        self._agenda.enter(at, step)

    def next_event_at(self) -> float | None:
        """Return when something will next happen by itself."""
        return self._agenda.next_at()

    # --- what is on offer ---------------------------------------------------------------------

    def search(self, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Answer a search with offer rows. Raises search.BadQuery, Refusal."""
        now = self.now()
        if self.faults.take(FaultKind.SEARCH_QUOTA, Aim(endpoint="POST /bundles/"), now):
            midnight = (now // 86_400 + 1) * 86_400
            raise Refusal(
                429,
                {
                    "success": False,
                    "error": "search_quota_exceeded",
                    "msg": "Daily search quota exceeded.",
                    "reset": midnight,
                },
            )
        is_bid = query.get("type") in {"bid", "interruptible"}
        disk_gb = float(query.get("allocated_storage") or catalog.STORAGE_DEFAULT_GB)
        rows = [self._offer_row(ask, disk_gb, now, is_bid=is_bid) for ask in self.supply.asks()]
        filters = search.check(query, rows[0] if rows else ())
        if self.faults.take(FaultKind.SEARCH_EMPTY, Aim(endpoint="POST /bundles/"), now):
            return []
        found = [row for row in rows if search.is_match(row, filters)]
        order = query.get("order") or [["score", "desc"]]
        ordered = [dict(row) for row in search.in_order(found, order)]
        if query.get("disable_bundling"):
            return ordered
        return ordered[: min(OFFERS_MAX, int(query.get("limit") or OFFERS_MAX))]

    def _offer_row(self, ask: Ask, disk_gb: float, now: float, *, is_bid: bool) -> dict[str, Any]:
        row = catalog.offer_row(ask, disk_gb=disk_gb, now=now, luck=self._luck.random())
        if is_bid:
            row |= catalog.price_row(ask.machine, row["min_bid"], disk_gb)
            row |= {"is_bid": True, "min_bid": row["dph_base"]}
        return row

    def asks(self) -> list[Ask]:
        """Return the open asks, for whoever judges from outside what could have been rented."""
        self.advance()
        return self.supply.open_asks()

    # --- what the account does ----------------------------------------------------------------

    def create(self, offer_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Rent an offer. Raises Refusal (even with a contract made) and ReplyLost."""
        now = self.now()
        check_create(body)
        ask = self.supply.find(offer_id)
        aim = Aim(
            endpoint="PUT /asks/{id}/",
            label=str(body.get("label") or ""),
            offer_id=offer_id,
            machine_id=ask.machine.machine_id if ask else None,
        )
        if ask is None or not ask.is_open or self.faults.take(FaultKind.OFFER_GONE, aim, now):
            raise race_lost(offer_id, self._luck)
        if self.credit(now) <= 0:
            raise Refusal(
                400,
                {"error": "insufficient_credit", "msg": "Your account lacks credit; see billing."},
            )
        if self.faults.take(FaultKind.CREATE_SUCCESS_FALSE_200, aim, now):
            raise Refusal(
                200, {"success": False, "error": "server_error", "msg": "Please try again."}
            )
        self._contract_ids += self._luck.randrange(1, 40)
        contract_id, api_key = self._contract_ids, f"{self._luck.getrandbits(256):064x}"
        answer = {"success": True, "new_contract": contract_id, "instance_api_key": api_key}
        if self.faults.take(FaultKind.CREATE_PHANTOM, aim, now):
            return answer
        self._rent(ask, contract_id, api_key, body, aim, now)
        if self.faults.take(FaultKind.CREATE_REPLY_LOST, aim, now):
            raise ReplyLost
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

    def _rent(
        self,
        ask: Ask,
        contract_id: int,
        api_key: str,
        body: Mapping[str, Any],
        aim: Aim,
        now: float,
    ) -> None:
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
            created_at=now,
            visible_at=now + (late.number("after_s", 60.0) if late else 0.0),
            api_key=api_key,
        )
        contract.keys = [
            *self.account_keys.values(),
            *PUBLIC_KEY.findall(onstart),
            *PUBLIC_KEY.findall(str(variables.get("PUBLIC_KEY", ""))),
        ]
        self.contracts[contract_id] = contract
        self.supply.list_anew(ask.machine, ask.gpus)  # the rented offer id is dead from now on
        self.lifecycle.begin(contract, now)

    def destroy(self, instance_id: int) -> None:
        """End a rental. Raises Refusal when there is none."""
        contract = self._owned(instance_id)
        now, aim = self.now(), self.aim_of(contract)
        if self.faults.take(FaultKind.DESTROY_REFUSED, aim, now):
            raise Refusal(
                400, {"success": False, "error": "server_error", "msg": "Could not destroy."}
            )
        again = self.faults.take(FaultKind.DESTROYED_REAPPEARS, aim, now)
        if again and again.params.get("is_real"):
            # Acknowledged, hidden for a while, and billing all along.
            contract.visible_at = now + again.number("after_s", 60.0)
            return
        if again:
            since = now + again.number("after_s", 60.0)
            self._reads.haunt(instance_id, since, since + again.number("lasts_s", 60.0))
        self.lifecycle.destroy(contract, now)

    def set_state(self, instance_id: int, state: str) -> bool:
        """Start or stop. False: the start is queued because the GPU is taken."""
        contract, now = self._owned(instance_id), self.now()
        if state == "stopped":
            self.lifecycle.stop(contract, now)
            return True
        if self.credit(now) <= 0:
            raise Refusal(400, {"error": "insufficient_credit", "msg": "Your credit is used up."})
        return self.lifecycle.start(contract, now)

    def set_label(self, instance_id: int, label: str) -> None:
        """Name a rental anew; the ledger keeps the first name."""
        self._owned(instance_id).label = label

    def reboot(self, instance_id: int) -> None:
        """Stop and start the container. Raises Refusal when it is stopped."""
        contract = self._owned(instance_id)
        if contract.box is Box.DOWN:
            text = f"Instance {instance_id} is not running."
            raise Refusal(400, {"success": False, "error": "invalid_args", "msg": text})
        self.lifecycle.reboot(contract, self.now())

    def recycle(self, instance_id: int) -> None:
        """Make the container anew."""
        self.lifecycle.recycle(self._owned(instance_id), self.now())

    def attach_key(self, instance_id: int, public_key: str) -> bool:
        """Let a key log in, after the sync delay. False: it could already."""
        contract = self._owned(instance_id)
        if public_key in contract.keys:
            return False
        self._agenda.enter(
            self.now() + self.shape.key_lag_s, lambda _: contract.keys.append(public_key)
        )
        self.advance()
        return True

    # --- what reads show ----------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """Return every rental as the list shows it, oldest first."""
        return self._reads.rows(self.now())

    def row(self, instance_id: int) -> dict[str, Any] | None:
        """Return one rental as the read by id shows it; None when it does not exist."""
        return self._reads.row(instance_id, self.now())

    def fingerprint(self) -> object:
        """Return what a list would show, in short; None while anything lies about it."""
        return self._reads.fingerprint(self.now())

    def credit(self, now: float) -> float:
        """Return what the account has left."""
        return self._billing.credit(now)

    def give_credit(self, dollars: float) -> None:
        """Pay in (or, negative, take away)."""
        self._billing.give(dollars)
        self._billing.watch(self.now())

    def settle(self) -> None:
        """Bring the ledger's dollars of living rentals up to now."""
        now = self.now()
        for contract in self._live():
            contract.bill(now)
            self.ledger.rentals[contract.instance_id].dollars = contract.dollars

    def user(self) -> dict[str, Any]:
        """Return the account as the marketplace shows it, its key included."""
        return self._billing.user(self.now(), next(iter(self.account_keys.values()), ""))

    # --- what goes wrong ----------------------------------------------------------------------

    def arm(self, fault: Fault) -> None:
        """Put a fault on the board. What is aimed at a rental strikes as soon as it finds one."""
        if fault.kind in KEEPER_KINDS:
            raise ValueError(f"{fault.kind} befalls keeper's own box, not the market")
        now = self.now()
        self.faults.arm(fault, now)
        if fault.kind is FaultKind.CREDIT_ZERO:
            self._agenda.enter(now + fault.at, self._take_credit)
        if fault.kind in RENTAL_KINDS:
            self._agenda.enter(now + fault.at, self._striker.strike_waiting)
        self.advance()

    def strike(self, contract: Contract, fault: Fault) -> bool:
        """Let a fault happen to this rental now, and end by itself if it has a length."""
        return self._striker.strike(contract, fault)

    def heal(self, contract: Contract, kind: FaultKind, now: float | None = None) -> None:
        """End a fault that lasts."""
        self._striker.heal(contract, kind, self.now() if now is None else now)

    def aim_of(self, contract: Contract) -> Aim:
        """Return what a fault must be aimed at to hit this rental."""
        return aim_of(contract)

    def _take_credit(self, now: float) -> None:
        if self.faults.take(FaultKind.CREDIT_ZERO, Aim(), now):
            self._billing.give(-max(0.0, self.credit(now)))
            self._billing.watch(now)

    # --- inside -------------------------------------------------------------------------------

    def _live(self) -> list[Contract]:
        return [one for one in self.contracts.values() if one.box is not Box.GONE]

    def _owned(self, instance_id: int) -> Contract:
        now = self.now()
        contract = self.contracts.get(instance_id)
        if contract is None or contract.box is Box.GONE or contract.visible_at > now:
            text = f"Instance {instance_id} not found."
            raise Refusal(404, {"success": False, "error": "no_such_instance", "msg": text})
        return contract

    def _on_change(self, contract: Contract, now: float) -> None:
        if contract.box is Box.GONE:
            self._billing.ended(contract)
        self._billing.watch(now)

    def _stop_all(self, now: float) -> None:
        for contract in self._live():
            if contract.intended != "stopped":
                self.lifecycle.stop(contract, now, by="market")
