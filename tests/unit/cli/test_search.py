"""What is searched for is what keeper would rent now."""

from dataclasses import replace
from pathlib import Path

import pytest

from keeper.cli.offers import Look
from keeper.cli.search import look_for, needs_it_looks_by
from keeper.core.market import price_dollars_per_hour
from keeper.core.model import Pricing, SlotRecord
from keeper.ports import Saved
from keeper.settings import load_settings
from keeper.sim.loop import VirtualClock, run
from keeper.sim.memory import MemoryMarketplace
from keeper.sim.power import Power
from keeper.sim.universe import Universe
from tests.builders import NOW, a_stream, ago

BIDDER = replace(
    a_stream(), needs=replace(a_stream().needs, pricing=Pricing.INTERRUPTIBLE_WITH_FALLBACK)
)
(SLOT,) = BIDDER.slots


def searched(*records: SlotRecord) -> list[Pricing]:
    in_turn = needs_it_looks_by(BIDDER, Saved(keeper_id="k", records=records), NOW)
    return [needs.pricing for needs in in_turn]


def test_after_an_outbid_hosts_on_demand_come_first() -> None:
    outbid = SlotRecord(slot=SLOT, outbid_at=ago(60))
    assert searched(outbid) == [Pricing.ON_DEMAND, BIDDER.needs.pricing]


@pytest.mark.parametrize(
    "records", [(), (SlotRecord(slot=SLOT),), (SlotRecord(slot=SLOT, outbid_at=ago(30_000)),)]
)
def test_else_what_the_stream_asks_for(records: tuple[SlotRecord, ...]) -> None:
    assert searched(*records) == [BIDDER.needs.pricing]


def looked(config: Path, *, outbid: bool, price_max: float | None = None) -> Look:
    """Look at a simulated market with the real adapter, as the verb does."""
    config.write_text("streams: []\n")
    settings = load_settings(config, {"VAST_API_KEY": "k"})
    needs = BIDDER.needs
    if price_max is not None:
        needs = replace(needs, price_max_dollars_per_hour=price_max)

    async def main() -> Look:
        clock = VirtualClock()
        marketplace = MemoryMarketplace(Universe(1), Power(), clock=clock)
        outbid_at = clock.now() if outbid else None
        saved = Saved(keeper_id="k", records=(SlotRecord(slot=SLOT, outbid_at=outbid_at),))
        return await look_for(replace(BIDDER, needs=needs), marketplace, saved, settings, clock)

    return run(main())


def test_after_an_outbid_bids_are_shown_where_nothing_on_demand_suits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`keeper search` shows what it would take now: keeper bids again before a stream stays dark."""
    config = tmp_path / "keeper.yaml"
    best = looked(config, outbid=False)
    assert best.suitable[0].is_bid
    assert capsys.readouterr().err == ""
    on_demand = looked(config, outbid=True)
    assert not any(offer.is_bid for offer in on_demand.suitable)
    assert "outbid lately, so hosts are rented on demand" in capsys.readouterr().err
    dear = min(price_dollars_per_hour(offer, on_demand.needs) for offer in on_demand.suitable)
    bids = looked(config, outbid=True, price_max=dear - 0.001)
    assert bids.suitable
    assert all(offer.is_bid for offer in bids.suitable)
    assert "outbid lately, nothing on demand suits now, so it bids" in capsys.readouterr().err
