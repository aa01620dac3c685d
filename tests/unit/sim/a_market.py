"""A market and the hand on its clock, for the tests of the model."""

import random
from collections.abc import Mapping
from typing import Any

from keeper.sim.contract import Contract
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.lifecycle import PlainHosts
from keeper.sim.market import Market, MarketShape

BEGAN = 1_800_000_000.0
STILL = MarketShape(renters_every_s=0, price_drift_every_s=0, bids_move_every_s=0)
BODY = {"image": "vastai/base-image", "disk": 120, "label": "k:duel/0:1", "runtype": "ssh_direct"}
CHEAPEST = {
    "rentable": {"eq": True},
    "gpu_frac": {"eq": 1.0},
    "num_gpus": {"eq": 1},
    "order": [["dph_total", "asc"]],
    "allocated_storage": 120,
}


class Sim:
    """A market and the hand on its clock."""

    def __init__(self, shape: MarketShape = STILL, seed: int = 7) -> None:
        self.now = BEGAN
        self.hosts = PlainHosts()
        self.market = Market(
            rng=random.Random(seed), clock=lambda: self.now, shape=shape, hosts=self.hosts
        )

    def rent(self, **changes: Any) -> int:
        offer = self.market.search(CHEAPEST)[0]
        contract: int = self.market.create(offer["id"], BODY | changes)["new_contract"]
        return contract

    def run(self, seconds: float) -> None:
        self.now += seconds
        self.market.advance()

    def rent_and_boot(self, **changes: Any) -> int:
        instance_id = self.rent(**changes)
        self.run(300)
        assert self.row(instance_id)["actual_status"] == "running"
        return instance_id

    def row(self, instance_id: int) -> Mapping[str, Any]:
        row = self.market.row(instance_id)
        assert row is not None
        return row

    def contract(self, instance_id: int) -> Contract:
        return self.market.contracts[instance_id]

    def strike(self, kind: FaultKind, **fields: Any) -> None:
        self.market.arm(Fault(kind=kind, **fields))
