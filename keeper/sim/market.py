"""The marketplace: machines on offer, rentals, other renters, money, and what is armed against them.

Pure and synchronous: the clock is a callable, luck comes from one seeded generator, and what is due
happens when somebody next asks. Both faces of the simulator stand on this one model. It speaks the
marketplace's own rows and error bodies, and knows nothing of HTTP, SSH or keeper.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from keeper.sim.agenda import Agenda
from keeper.sim.auction import Auction
from keeper.sim.billing import Billing
from keeper.sim.catalog import Ask
from keeper.sim.contract import Box, Contract
from keeper.sim.faults import KEEPER_KINDS, RENTAL_KINDS, Aim, Fault, FaultBoard, FaultKind
from keeper.sim.ledger import Ledger
from keeper.sim.lifecycle import HostSide, Lifecycle, PlainHosts, Tempo
from keeper.sim.reads import Reads
from keeper.sim.refusals import Refusal, ReplyLost
from keeper.sim.shelf import Shelf
from keeper.sim.signing import Signing
from keeper.sim.striking import Striker, aim_of
from keeper.sim.supply import Supply

__all__ = ["Market", "MarketShape", "Refusal", "ReplyLost"]

NOTHING_DOLLARS = 1e-6  # the account is shown to this grain
BID_MIN, BID_MAX = 0.001, 128.0  # dollars an hour (docs, change bid, read 2026-08)


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
    bids_move_every_s: float = 1_800.0  # 0: nobody bids but the account
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
        self.on_search: Callable[[float], None] | None = None  # is told of each that arrives
        self._clock = clock
        # One generator per purpose: a call more to the API does not change who boots how fast.
        luck, boots, renters, aim, rivals, dirt = (
            random.Random(rng.getrandbits(64)) for _ in range(6)
        )
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
        self._not_gone: list[Contract] = []
        self._looked_at = 0  # contracts, in the order in which they were made
        self._reads = Reads(self.contracts, self.faults, self._live)
        self._billing = Billing(
            agenda=self._agenda,
            credit_dollars=self.shape.credit_dollars,
            live=self._live,
            run_dry=self._stop_all,
        )
        self.supply = Supply(
            luck=luck,
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
        self.auction = Auction(
            rng=rivals,
            agenda=self._agenda,
            supply=self.supply,
            lifecycle=self.lifecycle,
            live=self._live,
            move_every_s=self.shape.bids_move_every_s,
        )
        self._striker = Striker(
            board=self.faults,
            lifecycle=self.lifecycle,
            auction=self.auction,
            agenda=self._agenda,
            aim=aim,
            live=self._live,
        )
        self._shelf = Shelf(supply=self.supply, faults=self.faults, luck=luck, dirt=dirt)
        self._signing = Signing(
            contracts=self.contracts,
            account_keys=self.account_keys,
            supply=self.supply,
            auction=self.auction,
            lifecycle=self.lifecycle,
            faults=self.faults,
            luck=luck,
            credit=self.credit,
            understated=self._shelf.understated,
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
    def changes(self) -> int:
        """Count the things that have happened by themselves."""
        return self._agenda.changes

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
        if self.on_search is not None:
            self.on_search(now)
        return self._shelf.search(query, now)

    def asks(self) -> list[Ask]:
        """Return the open asks, for whoever judges from outside what could have been rented."""
        self.advance()
        return self.supply.open_asks()

    # --- what the account does ----------------------------------------------------------------

    def create(self, offer_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Rent an offer, or bid for it; see Signing. Raises Refusal (also made) and ReplyLost."""
        return self._signing.create(offer_id, body, self.now())

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
            self.ledger.rentals[instance_id].hidden.append((now, contract.visible_at))
            return
        if again:
            since = now + again.number("after_s", 60.0)
            self._reads.haunt(instance_id, since, since + again.number("lasts_s", 60.0))
        self.lifecycle.destroy(contract, now)

    def stop_by_own_key(self, instance_id: int) -> bool:
        """Stop a rental for its own container. False: there is none to stop."""
        contract = self.contracts.get(instance_id)
        if contract is None or contract.box is Box.GONE:
            return False
        self.lifecycle.stop(contract, self.present, "own key")
        return True

    def set_state(self, instance_id: int, state: str) -> bool:
        """Start or stop. False: the start is queued because the GPU is taken. Raises ReplyLost."""
        contract, now = self._owned(instance_id), self.now()
        is_done = self._stop(contract, now) if state == "stopped" else self._start(contract, now)
        if self.faults.take(FaultKind.STATE_REPLY_LOST, self.aim_of(contract), now):
            raise ReplyLost(FaultKind.STATE_REPLY_LOST.value)
        return is_done

    def _stop(self, contract: Contract, now: float) -> bool:
        """Take the order; it may take long to stick, or never do (field notes, read 2026-08)."""
        slow = self.faults.take(FaultKind.STOP_DOES_NOT_STICK, self.aim_of(contract), now)
        takes_s = slow.params.get("after_s") if slow else None
        if slow is None or takes_s is not None:
            self.lifecycle.stop(contract, now, takes_s=takes_s)
        if again := self.faults.take(FaultKind.STARTED_BY_OTHERS, self.aim_of(contract), now):
            at = now + again.number("after_s", 600.0)
            self._agenda.enter(at, lambda then: self._start_by_others(contract, then))
        return True

    def _start_by_others(self, contract: Contract, now: float) -> None:
        """Start what stands still, on the console say, or by an order of long ago."""
        if contract.box is Box.DOWN and not contract.is_expired and self.credit(now) > 0:
            self.lifecycle.start(contract, now)

    def _start(self, contract: Contract, now: float) -> bool:
        self._check_start(contract, now)
        stands = contract.box is Box.DOWN and contract.machine.is_free(contract.gpus)
        if stands and self.faults.take(FaultKind.START_TOO_LATE, self.aim_of(contract), now):
            self.supply.let(contract.machine, contract.gpus, now)
        if not self.auction.is_high_enough(contract):
            contract.intended = "running"  # it comes up when its bid wins again
            return False
        contract.is_outbid = False
        return self.lifecycle.start(contract, now)

    def change_bid(self, instance_id: int, dollars_per_hour: float | None) -> None:
        """Bid this for the GPU part of an interruptible rental; None: what wins now.

        One that was outbid comes up again when the bid reaches the floor and the GPU is free, and
        waits in the queue when it is let; one that runs is stopped by too low a bid. Raises Refusal.
        """
        contract, now = self._owned(instance_id), self.now()
        if dollars_per_hour is not None and not BID_MIN <= dollars_per_hour <= BID_MAX:
            text = f"price {dollars_per_hour} is out of range"
            raise Refusal(400, {"success": False, "error": "invalid_args", "msg": text})
        if not contract.is_bid:
            return  # a rental on demand has a price, and nothing to bid for
        self._check_start(contract, now)
        self.auction.bid(contract, dollars_per_hour, now)

    def _check_start(self, contract: Contract, now: float) -> None:
        """Refuse what cannot be started at all."""
        if self.credit(now) <= 0:
            raise Refusal(400, {"error": "insufficient_credit", "msg": "Your credit is used up."})
        if contract.is_expired:
            text = f"The contract {contract.instance_id} has expired."
            raise Refusal(400, {"success": False, "error": "invalid_args", "msg": text})
        if self.faults.active(FaultKind.PLATFORM_INCIDENT, self.aim_of(contract), now):
            text = "Required resources are currently unavailable."
            raise Refusal(400, {"success": False, "error": "resources_unavailable", "msg": text})

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
        now = self.now()
        self._billing.give(dollars)
        self._watch_credit(now)

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
        if struck := self.faults.take(FaultKind.CREDIT_ZERO, Aim(), now):
            self._billing.give(min(0.0, struck.number("dollars", 0.0) - self.credit(now)))
            self._watch_credit(now)

    # --- inside -------------------------------------------------------------------------------

    def _live(self) -> list[Contract]:
        """Return what is rented, oldest first. What has ended stays so, and need not be asked."""
        made = len(self.contracts)
        if made > self._looked_at:
            self._not_gone += islice(self.contracts.values(), self._looked_at, None)
            self._looked_at = made
        self._not_gone = [one for one in self._not_gone if one.box is not Box.GONE]
        return self._not_gone

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
        self._watch_credit(now)

    def _watch_credit(self, now: float) -> None:
        self._billing.watch(now)
        self.ledger.empty(now, is_empty=self.credit(now) < NOTHING_DOLLARS)

    def _stop_all(self, now: float) -> None:
        self.ledger.empty(now, is_empty=True)
        for contract in self._live():
            if contract.intended != "stopped":
                self.lifecycle.stop(contract, now, by="market")
