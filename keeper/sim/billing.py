"""The account that rents: what it has left, what it burns, and what happens when that is nothing.

At zero the marketplace stops every rental; their disks go on costing, so the balance goes below
zero, and reads still work (Vast.ai docs, billing, read 2026-08).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from keeper.sim.agenda import Agenda
from keeper.sim.contract import HOUR_S, Contract


class Billing:
    """The account's money. ``live``: the contracts that may bill; ``run_dry``: stop them all."""

    def __init__(
        self,
        *,
        agenda: Agenda,
        credit_dollars: float,
        live: Callable[[], Iterable[Contract]],
        run_dry: Callable[[float], None],
    ) -> None:
        self._agenda = agenda
        self._live = live
        self._run_dry = run_dry
        self._given = credit_dollars
        self._spent_before = 0.0  # by contracts that ended
        self._watches = 0

    def credit(self, now: float) -> float:
        """Return what is left; below zero it is owed."""
        spent = self._spent_before
        for contract in self._live():
            contract.bill(now)
            spent += contract.dollars
        return self._given - spent

    def give(self, dollars: float) -> None:
        """Pay in (or, negative, take away)."""
        self._given += dollars

    def ended(self, contract: Contract) -> None:
        """Remember what a contract cost that bills no more."""
        self._spent_before += contract.dollars

    def watch(self, now: float) -> None:
        """Plan the moment at which the credit is used up, as things stand."""
        self._watches += 1
        watch = self._watches
        burn = sum(contract.burn_dollars_per_hour for contract in self._live())
        left = self.credit(now)
        if burn <= 0:
            return

        def run_dry(at: float) -> None:
            if watch == self._watches:
                self._run_dry(at)

        self._agenda.enter(now + max(0.0, left / burn * HOUR_S), run_dry)

    def user(self, now: float, ssh_key: str) -> dict[str, Any]:
        """Return the account as the marketplace shows it."""
        credit = self.credit(now)
        return {
            "id": 150_412,
            "username": "operator",
            "fullname": "Simulated Operator",
            "email": "operator@example.com",
            "email_verified": True,
            "created_at": 1_700_000_000.0,
            "sid": "S0",
            "key_id": 7_001,
            "ssh_key": ssh_key,
            "can_pay": True,
            "has_billing": True,
            "billing_creditonly": True,
            "balance": 0 if credit >= 0 else round(credit, 6),
            "credit": round(max(0.0, credit), 6),
            "balance_threshold": 5.0,
            "balance_threshold_enabled": False,
            "total_spend": round(credit - self._given, 6),
            "has_rented": True,
            "host_only": False,
            "host_agreement_accepted": False,
            "has_payout": False,
            "last4": None,
            "rights": {},
        }
