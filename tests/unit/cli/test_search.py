"""What is searched for is what keeper would rent now."""

from dataclasses import replace

import pytest

from keeper.cli.search import as_it_rents_now
from keeper.core.model import Pricing, SlotRecord
from keeper.ports import Saved
from tests.builders import NOW, a_stream, ago

BIDDER = replace(
    a_stream(), needs=replace(a_stream().needs, pricing=Pricing.INTERRUPTIBLE_WITH_FALLBACK)
)
(SLOT,) = BIDDER.slots


def searched(*records: SlotRecord) -> Pricing:
    return as_it_rents_now(BIDDER, Saved(keeper_id="k", records=records), NOW).needs.pricing


def test_after_an_outbid_hosts_on_demand_are_shown_and_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert searched(SlotRecord(slot=SLOT, outbid_at=ago(60))) is Pricing.ON_DEMAND
    assert "outbid lately" in capsys.readouterr().err


@pytest.mark.parametrize(
    "records", [(), (SlotRecord(slot=SLOT),), (SlotRecord(slot=SLOT, outbid_at=ago(30_000)),)]
)
def test_else_what_the_stream_asks_for(
    records: tuple[SlotRecord, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert searched(*records) is BIDDER.needs.pricing
    assert capsys.readouterr().err == ""
