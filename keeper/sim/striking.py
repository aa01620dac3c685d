"""How faults find the rental they are meant for, happen to it, and end.

What is aimed at a rental waits until there is one that it can strike. The board only holds faults;
what they do is up to the lifecycle (the marketplace's side) and the hosts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import lru_cache

from keeper.sim.agenda import Agenda
from keeper.sim.auction import Auction
from keeper.sim.catalog import Machine
from keeper.sim.contract import Box, Contract
from keeper.sim.faults import (
    BOOT_KINDS,
    HOST_KINDS,
    Aim,
    Fault,
    FaultBoard,
    FaultKind,
    is_hit,
)
from keeper.sim.lifecycle import Lifecycle
from keeper.sim.mishaps import Mishaps

_DISPLAY_AWAY_S = 43_200.0


def aim_of(contract: Contract) -> Aim:
    """Return what a fault must be aimed at to hit this rental."""
    return _aim(contract.label or "", contract.instance_id, contract.machine.machine_id)


@lru_cache(maxsize=1024)
def _aim(label: str, instance_id: int, machine_id: int) -> Aim:
    return Aim(label=label, instance_id=instance_id, machine_id=machine_id)


class Striker:
    """Leads faults to rentals."""

    def __init__(
        self,
        *,
        board: FaultBoard,
        lifecycle: Lifecycle,
        auction: Auction,
        agenda: Agenda,
        aim: random.Random,
        live: Callable[[], Iterable[Contract]],
    ) -> None:
        self._board = board
        self._lifecycle = lifecycle
        self._mishaps = Mishaps(lifecycle)
        self._auction = auction
        self._agenda = agenda
        self._aim = aim
        self._live = live
        self._is_looking = False  # a next look for something to strike is planned

    def strike(self, contract: Contract, fault: Fault) -> bool:
        """Let a fault happen to this rental now, and end by itself if it has a length."""
        now = self._agenda.now
        if fault.kind in HOST_KINDS:
            has_struck = self._lifecycle.hosts.strike(contract, fault)
            if has_struck and fault.kind is FaultKind.DISPLAY_LOST:
                self._lose_display(contract.machine, now)
        elif fault.kind is FaultKind.OUTBID:
            has_struck = self._auction.outdo(contract, fault, now)
        else:
            has_struck = self._mishaps.strike(contract, fault, now)
        if has_struck and fault.for_s is not None:
            self._agenda.enter(now + fault.for_s, lambda at: self.heal(contract, fault.kind, at))
        return has_struck

    def _lose_display(self, machine: Machine, now: float) -> None:
        """Let the offers say so as well, until its owner has looked after it."""
        machine.has_display = False

        def restore(_: float) -> None:
            machine.has_display = True

        self._agenda.enter(now + _DISPLAY_AWAY_S, restore)

    def heal(self, contract: Contract, kind: FaultKind, now: float) -> None:
        """End a fault that lasts."""
        if kind in HOST_KINDS:
            if contract.box is Box.UP:
                self._lifecycle.hosts.heal(contract, kind)
        else:
            self._mishaps.relieve(contract, kind, now)

    def strike_waiting(self, now: float) -> bool:
        """Look for a rental for every fault that waits; while one waits, look again later.

        Returns whether one was found.
        """
        waiting = self._board.waiting(now)
        has_struck = False
        there = self._within_reach() if waiting else []
        for armed in waiting:
            fault = armed.fault
            is_at_boot = fault.kind in BOOT_KINDS
            candidates = [
                contract
                for contract, aim in there
                if (contract.box is Box.UP or is_at_boot) and is_hit(fault, aim)
            ]
            if not candidates:
                continue
            self._aim.shuffle(candidates)
            for contract in candidates:
                if armed.left == 0:
                    break
                if self.strike(contract, fault):
                    self._board.spend(armed)
                    has_struck = True
            if has_struck:
                there = self._within_reach()
        if not self._is_looking and any(armed.left != 0 for armed in waiting):
            self._is_looking = True
            self._agenda.enter(now + self._lifecycle.tempo.strike_retry_s, self._look_again)
        return has_struck

    def _within_reach(self) -> list[tuple[Contract, Aim]]:
        """Return the rentals that could be struck."""
        return [
            (contract, aim_of(contract))
            for contract in self._live()
            if contract.is_reachable and contract.box in (Box.ABSENT, Box.UP)
        ]

    def _look_again(self, now: float) -> bool:
        self._is_looking = False
        return self.strike_waiting(now)
