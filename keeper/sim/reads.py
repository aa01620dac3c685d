"""What reads of the account's rentals show, which is not always what is true.

A row may appear late, stay after its end, or lie about a state; the truth is the contract's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from keeper.sim.contract import Box, Contract, instance_row
from keeper.sim.faults import RENTAL_KINDS, Aim, Fault, FaultBoard, FaultKind
from keeper.sim.striking import aim_of

# What waits for another call, and leaves the list and the account alone.
SPARE_READS = RENTAL_KINDS | frozenset(
    {
        FaultKind.CREATE_REPLY_LOST,
        FaultKind.CREATE_ERROR_BUT_MADE,
        FaultKind.CREATE_SUCCESS_WITHOUT_ID,
        FaultKind.CREATE_SUCCESS_FALSE_200,
        FaultKind.CREATE_PHANTOM,
        FaultKind.OFFER_GONE,
        FaultKind.PRICE_CHANGED,
        FaultKind.INSTANCE_APPEARS_LATE,
        FaultKind.DESTROYED_REAPPEARS,
        FaultKind.DESTROY_REFUSED,
        FaultKind.SEARCH_EMPTY,
        FaultKind.SEARCH_QUOTA,
        FaultKind.OFFERS_DIRTY,
        FaultKind.OFFERS_LOOSE,
        FaultKind.BID_TOO_LOW,
        FaultKind.STATE_REPLY_LOST,
        FaultKind.STOP_DOES_NOT_STICK,
        FaultKind.START_TOO_LATE,
        FaultKind.STARTED_BY_OTHERS,
        FaultKind.PLATFORM_INCIDENT,
        FaultKind.CREDIT_ZERO,
        FaultKind.AUDITION_FAILS,
    }
)
LISTING_AIM = Aim(endpoint="GET /instances/")
_AS_TEXT = ("id", "machine_id", "dph_total", "start_date", "ssh_port", "gpu_ram")


class Reads:
    """The rentals as they are shown. ``contracts``: every one ever made, by id."""

    def __init__(
        self,
        contracts: Mapping[int, Contract],
        faults: FaultBoard,
        live: Callable[[], Collection[Contract]],
    ) -> None:
        self._contracts = contracts
        self._live = live
        self._faults = faults
        self._stale: tuple[Fault, list[dict[str, Any]]] | None = None  # shown again and again
        self._ghosts: dict[int, tuple[float, float]] = {}  # destroyed, but listed for a while

    def haunt(self, instance_id: int, since: float, until: float) -> None:
        """List a rental for a while although it is gone."""
        self._ghosts[instance_id] = (since, until)

    def rows(self, now: float) -> list[dict[str, Any]]:
        """Return every rental as the list shows it, oldest first."""
        stale = self._faults.active(FaultKind.LIST_STALE, LISTING_AIM, now)
        if stale is None:
            self._stale = None
        elif self._stale is None or self._stale[0] is not stale:
            self._stale = stale, self._rows(now)
        return self._rows(now) if self._stale is None else list(self._stale[1])

    def _rows(self, now: float) -> list[dict[str, Any]]:
        return [
            self._read(contract, now)
            for contract in self._contracts.values()
            if self._is_listed(contract, now)
        ]

    def row(self, instance_id: int, now: float) -> dict[str, Any] | None:
        """Return one rental as the read by id shows it; None when it does not exist."""
        contract = self._contracts.get(instance_id)
        if contract is None or contract.box is Box.GONE or contract.visible_at > now:
            return None
        return self._read(contract, now)

    def fingerprint(self, now: float) -> object:
        """Return what a list would show, in short.

        None while anything lies about it, or a row will come or go by time alone.
        """
        if self._faults.is_live_beyond(SPARE_READS, now):
            return None
        if self._ghosts and any(now < until for _, until in self._ghosts.values()):
            return None
        there = self._live()
        if any(one.visible_at > now for one in there):
            return None
        return [
            (
                one.instance_id,
                one.label,
                one.box,
                (one.actual, one.intended, one.current, one.upcoming, one.message),
                one.endpoints,
                frozenset(one.overlays),
                one.gpu_dollars_per_hour,
                one.end_at,
                (one.machine.is_listed, one.machine.min_bid(one.gpus)),
            )
            for one in there
        ]

    def _is_listed(self, contract: Contract, now: float) -> bool:
        since, until = self._ghosts.get(contract.instance_id, (0.0, 0.0))
        if since <= now < until:
            return True
        return contract.box is not Box.GONE and contract.visible_at <= now

    def _read(self, contract: Contract, now: float) -> dict[str, Any]:
        row = instance_row(contract, now)
        if self._faults.active(FaultKind.NUMBER_AS_STRING, aim_of(contract), now):
            for name in _AS_TEXT:
                if row.get(name) is not None:
                    row[name] = str(row[name])
        return row
