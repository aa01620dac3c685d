"""An onlooker at the market: what really stood open each time that somebody searched it.

A search may be answered with lies, refused, or filtered wrongly by who asked. The auditor compares with
the marketplace's own books, so that a slot that stays dark beside a good offer is found out.
"""

from __future__ import annotations

from collections.abc import Iterator

from keeper.core.model import OfferNeeds
from keeper.sim.catalog import MIB_PER_GIB, Ask, storage_dollars_per_hour
from keeper.sim.faults import Aim, FaultKind
from keeper.sim.ledger import Stall
from keeper.sim.market import Market

_SEARCH = Aim(endpoint="POST /bundles/")


class Onlooker:
    """Writes into the market's ledger what suits these needs."""

    def __init__(self, market: Market, needs: OfferNeeds) -> None:
        self._market = market
        self._needs = needs
        market.on_search = self.look

    def look(self, now: float) -> None:
        """Write down what stands open now; nothing when the answer will be an empty one."""
        is_lied_to = self._market.faults.active(FaultKind.SEARCH_EMPTY, _SEARCH, now) is not None
        stalls = () if is_lied_to else tuple(self._stalls(now))
        self._market.ledger.looks.append((now, stalls))

    def _stalls(self, now: float) -> Iterator[Stall]:
        for ask in self._market.supply.asks():
            if ask.is_open and self._suits(ask, now):
                machine = ask.machine
                disk = storage_dollars_per_hour(machine, self._needs.disk_gb)
                yield Stall(
                    offer_id=ask.offer_id,
                    machine_id=machine.machine_id,
                    host_id=machine.host_id,
                    dollars_per_hour=ask.gpu_dollars_per_hour + disk,
                    floor_dollars_per_hour=machine.min_bid(ask.gpus),
                    disk_dollars_per_hour=disk,
                )

    def _suits(self, ask: Ask, now: float) -> bool:
        machine, needs = ask.machine, self._needs
        return (
            len(ask.gpus) == needs.gpu_count
            and (machine.has_display or not needs.gpu_display_active)
            and (machine.is_verified or not needs.verified)
            and machine.reliability >= needs.reliability_min
            and machine.gpu.ram_mib >= needs.gpu_ram_min_gb * MIB_PER_GIB
            and machine.disk_gb * len(ask.gpus) / machine.gpu_count >= needs.disk_gb
            and machine.direct_ports >= needs.direct_ports_min
            and machine.cuda_max >= needs.cuda_min
            and machine.inet_up_mbps >= needs.inet_up_min_mbps
            and machine.inet_down_mbps >= needs.inet_down_min_mbps
            and machine.end_at - now >= needs.duration_min_s
        )
