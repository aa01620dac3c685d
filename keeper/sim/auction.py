"""The market of interruptible rentals: floors, rivals who bid, and who is stopped for it.

A bid runs while it reaches the floor: the owner's, or a rival's bid and a little more. Rivals come,
go and bid otherwise by their own luck; a renter on demand takes the GPU from any bid. An outbid
rental is stopped and its disk goes on billing; it comes up again when its bid wins once more
(Vast.ai docs, instances and pricing; field reports, read 2026-08). It knows nothing of keeper.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from keeper.sim.agenda import Agenda
from keeper.sim.contract import Box, Contract
from keeper.sim.faults import Fault
from keeper.sim.lifecycle import Lifecycle
from keeper.sim.supply import Supply

MOVING_SHARE = 8  # one machine in so many gets another rival, or loses it, at a time
_RIVALS_SHARE = 0.45  # of the machines that somebody bids for
_RIVAL_BIDS = (0.5, 0.98)  # as a share of the price on demand
_TAKEN_SHARE = 0.01  # of the bids that lose their GPU to a renter on demand, at each move
_OUTDONE_BY = (1.02, 1.3)  # what a rival bids who means to win


class Auction:
    """Rivals, and what their bids do to ours. A period of 0 means that nobody moves."""

    def __init__(
        self,
        *,
        rng: random.Random,
        agenda: Agenda,
        supply: Supply,
        lifecycle: Lifecycle,
        live: Callable[[], Iterable[Contract]],
        move_every_s: float,
    ) -> None:
        self._rng = rng
        self._agenda = agenda
        self._supply = supply
        self._lifecycle = lifecycle
        self._live = live
        self._move_every_s = move_every_s
        self._is_over = False
        if move_every_s > 0:
            agenda.enter(agenda.now + move_every_s, self._move)

    def rest(self) -> None:
        """Let nobody be outbid from now on: rivals leave and do not come back."""
        self._is_over = True
        for machine in self._supply.machines.values():
            machine.rival_dollars_per_hour = 0.0
        self.settle(self._agenda.now)

    def is_high_enough(self, contract: Contract) -> bool:
        """Whether a rental may run as far as bids go."""
        return not contract.is_bid or self._is_over or contract.bid_reaches_floor

    def bid(self, contract: Contract, dollars_per_hour: float | None, now: float) -> None:
        """Take another bid for a rental, None for what wins now; it runs or stops accordingly."""
        floor = contract.machine.min_bid(contract.gpus)
        contract.reprice(floor if dollars_per_hour is None else dollars_per_hour, now)
        self._lifecycle.repriced(contract, now, "bid", "account")
        if contract.is_outbid and self.is_high_enough(contract):
            contract.is_outbid = False
            self._lifecycle.start(contract, now)
        elif not self.is_high_enough(contract):
            self._outbid(contract, now)

    def outdo(self, contract: Contract, fault: Fault, now: float) -> bool:
        """Let somebody win against this bid: a rival, or with ``by: renter`` one on demand."""
        if not contract.is_bid or contract.is_outbid:
            return False
        if fault.params.get("by") == "renter":
            self._take_away(contract, now)
        else:
            self.raise_floor(contract)
            self._outbid(contract, now)
        return True

    def raise_floor(self, contract: Contract) -> None:
        """Let a rival bid more than this rental does."""
        bid = contract.gpu_dollars_per_hour / len(contract.gpus)
        contract.machine.rival_dollars_per_hour = round(bid * self._rng.uniform(*_OUTDONE_BY), 6)

    def settle(self, now: float) -> None:
        """Stop the bids that are too low, and start those that win again."""
        for contract in tuple(self._live()):
            if not contract.is_bid or not contract.is_reachable:
                continue
            if not self.is_high_enough(contract):
                self._outbid(contract, now)
            elif self._waits_no_longer(contract):
                contract.is_outbid = False
                self._lifecycle.start(contract, now)

    def _waits_no_longer(self, contract: Contract) -> bool:
        """Whether an outbid rental that is still meant to run can."""
        is_meant_to_run = contract.is_outbid and contract.intended == "running"
        return is_meant_to_run and contract.machine.is_free(contract.gpus)

    def _outbid(self, contract: Contract, now: float) -> None:
        if not contract.is_outbid:
            # Both pictures were seen: still meant to run, or meant to be stopped.
            keeps_intent = self._rng.random() < 0.5
            self._lifecycle.outbid(contract, now, keeps_intent=keeps_intent)

    def _take_away(self, contract: Contract, now: float) -> None:
        """Let somebody rent the GPU on demand, whatever is bid for it."""
        self._outbid(contract, now)

        def move_in(at: float) -> None:
            if contract.machine.is_free(contract.gpus):
                self._supply.let(contract.machine, contract.gpus, at)

        self._agenda.enter(now + self._lifecycle.tempo.stop_s, move_in)

    def _move(self, now: float) -> None:
        if self._is_over:
            return
        count = len(self._supply.machines) // MOVING_SHARE
        for machine_id in self._rng.sample(sorted(self._supply.machines), count):
            machine = self._supply.machines[machine_id]
            share = self._rng.uniform(*_RIVAL_BIDS)
            has_rival = self._rng.random() < _RIVALS_SHARE
            dollars = machine.gpu_dollars_per_hour * share if has_rival else 0.0
            machine.rival_dollars_per_hour = round(dollars, 6)
        for contract in tuple(self._live()):
            is_running = contract.is_bid and contract.box is Box.UP and contract.is_reachable
            if is_running and self._rng.random() < _TAKEN_SHARE:
                self._take_away(contract, now)
        self.settle(now)
        self._agenda.enter(now + self._move_every_s, self._move)
