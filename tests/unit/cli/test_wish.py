"""The one offer that a person names: told what it is, what it misses, and what to write."""

from dataclasses import replace
from typing import Any

import pytest

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.wish import described, looked_up, refused, shortcomings, wished
from keeper.core.market import Avoided, lacks_of
from keeper.core.model import MachineId, Offer, OfferId, OfferNeeds, Pricing
from tests.builders import a_stream, an_offer

STREAM = a_stream(needs=OfferNeeds(egress_gb_per_hour=2.0))
NOBODY = Avoided()


class Counter:
    """A marketplace that answers look-ups of single offers, and nothing else."""

    def __init__(self, *offers: Offer) -> None:
        self.offers = offers
        self.asked: list[OfferId | None] = []

    async def search_offers(
        self, needs: OfferNeeds, *, offer_id: OfferId | None = None
    ) -> tuple[Offer, ...]:
        self.asked.append(offer_id)
        return self.offers


def market(*offers: Offer) -> Any:
    return Counter(*offers)


async def test_an_offer_is_looked_up_by_its_number() -> None:
    counter = market(an_offer(1))
    assert await wished(counter, STREAM, OfferId(101), NOBODY) == an_offer(1)
    assert counter.asked == [101]


@pytest.mark.parametrize("pricing", list(Pricing))
async def test_one_that_can_be_had_both_ways_is_taken_as_keeper_would(pricing: Pricing) -> None:
    both = (an_offer(1), an_offer(1, is_bid=True, gpu_dollars_per_hour=0.2))
    stream = a_stream(needs=OfferNeeds(pricing=pricing))
    for found in (both, both[::-1]):
        offer = await wished(market(*found), stream, OfferId(101), NOBODY)
        assert offer.is_bid == (pricing is not Pricing.ON_DEMAND)
    # Where neither suits, the one that misses least is explained.
    dear = (an_offer(1, reliability=0.1), replace(both[1], reliability=0.1))
    offer = await wished(market(*dear), stream, OfferId(101), NOBODY)
    assert offer.is_bid == (pricing is Pricing.INTERRUPTIBLE) or "fallback" in pricing


@pytest.mark.parametrize("found", [(), (an_offer(2),)])
async def test_one_that_nobody_offers_is_not_found(found: tuple[Offer, ...]) -> None:
    """Also when the marketplace answers with another one."""
    with pytest.raises(Stopped) as stopped:
        await wished(market(*found), STREAM, OfferId(101), NOBODY)
    assert stopped.value.code is ExitCode.NOT_FOUND
    assert "offer 101 is not on the market" in stopped.value.what
    assert stopped.value.cure == "choose from what is there: keeper search duel"


def test_it_is_described_with_its_price_in_parts() -> None:
    assert described(an_offer(1), STREAM.needs) == (
        "offer 101: RTX 4090 in SE, 0.430 $/h (GPU 0.360 + disk 0.050 + traffic 0.020)"
    )
    bid = an_offer(1, is_bid=True, gpu_dollars_per_hour=0.2)
    needs = OfferNeeds(pricing=Pricing.INTERRUPTIBLE)
    assert described(bid, needs) == "offer 101: RTX 4090 in SE, 0.270 $/h (bid 0.220 + disk 0.050)"


def test_a_hostile_name_is_spelled_out() -> None:
    hostile = an_offer(1, gpu_name="\x1b[2J", geolocation="\x07")
    said = described(hostile, STREAM.needs) + "".join(shortcomings(hostile, STREAM.needs, NOBODY))
    assert "\x1b" not in said
    assert "\x07" not in said


def test_what_it_misses_is_named_with_what_it_has_and_what_to_write() -> None:
    offer = an_offer(1, reliability=0.9, dollars_per_hour=2.5)
    assert list(shortcomings(offer, STREAM.needs, NOBODY)) == [
        "reliability: 90.0%; asked for 95.0% or more",
        "price: 2.520 $/h; asked for 2 $/h or less, traffic included",
    ]
    no = refused(offer, STREAM, NOBODY)
    assert no is not None
    assert no.code is ExitCode.REFUSED
    assert no.what == (
        "offer 101 does not suit duel: it fails at reliability, price; nothing was rented"
    )
    assert no.cure == (
        "write under the stream duel: offer.reliability_min: 0.900;"
        " offer.price_max_dollars_per_hour: 2.52"
    )
    cured = replace(STREAM.needs, reliability_min=0.9, price_max_dollars_per_hour=2.52)
    assert lacks_of(offer, cured, NOBODY) == []


def test_no_setting_lets_in_what_keeper_has_learned_to_avoid() -> None:
    no = refused(an_offer(1), STREAM, Avoided(machines=frozenset({MachineId(201)})))
    assert no is not None
    assert "fails at quarantine" in no.what
    assert no.cure.startswith("no setting lets it in")


async def test_one_that_suits_is_said_and_taken(capsys: pytest.CaptureFixture[str]) -> None:
    found = await looked_up(OfferId(101), STREAM, market(an_offer(1)), NOBODY)
    assert found == an_offer(1)
    assert " ".join(capsys.readouterr().err.split()) == (
        "duel: offer 101: RTX 4090 in SE, 0.430 $/h (GPU 0.360 + disk 0.050 + traffic 0.020)"
    )


async def test_one_that_does_not_suit_is_explained_and_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(Stopped, match="does not suit"):
        await looked_up(OfferId(101), STREAM, market(an_offer(1, verified=False)), NOBODY)
    assert "  verification: not verified; asked for a machine" in capsys.readouterr().err
