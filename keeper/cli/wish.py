"""What a person wants of a provision, and the one offer that they name: what it is, what it misses, and what would let it in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.offers import gpu
from keeper.cli.terminal import say
from keeper.core.market import Avoided, Price, lacks_of, price_of, search
from keeper.core.model import Offer, OfferId, OfferNeeds, Stream
from keeper.core.shortage import WORDS
from keeper.core.text import plain

if TYPE_CHECKING:
    from keeper.ports import Marketplace


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was said on the command line of a provision."""

    offer: OfferId | None
    yes: bool
    dry_run: bool
    timeout_s: float

    @property
    def reason(self) -> str:
        """What the journal is told of the orders it gives."""
        return f"keeper provision --offer {self.offer}" if self.offer else "keeper provision"


async def wished(
    marketplace: Marketplace, stream: Stream, wish: OfferId, avoided: Avoided
) -> Offer:
    """Look one offer up. Raises Stopped (not found) when nobody offers it now.

    One that can be had for a bid as well as on demand is taken as keeper would take it.
    """
    needs = stream.needs
    found = await marketplace.search_offers(needs, offer_id=wish)
    ways = [each for each in found if each.offer_id == wish]
    if not ways:
        raise Stopped(
            ExitCode.NOT_FOUND,
            f"offer {int(wish)} is not on the market: it is taken, or never was; nothing was rented",
            f"choose from what is there: keeper search {stream.name}",
        )
    suitable = search(ways, needs, avoided).suitable
    return suitable[0] if suitable else min(ways, key=lambda o: len(lacks_of(o, needs, avoided)))


def described(offer: Offer, needs: OfferNeeds) -> str:
    """Say in one line what an offer is and costs, part by part."""
    place = plain(offer.geolocation, 8) or "?"
    return (
        f"offer {int(offer.offer_id)}: {gpu(offer)} in {place}, {in_parts(price_of(offer, needs))}"
    )


def in_parts(price: Price) -> str:
    """Say a price and its parts."""
    what = "bid" if price.bid_dollars_per_hour is not None else "GPU"
    parts = [f"{what} {price.gpu_dollars_per_hour:.3f}", f"disk {price.disk_dollars_per_hour:.3f}"]
    if price.traffic_dollars_per_hour:
        parts.append(f"traffic {price.traffic_dollars_per_hour:.3f}")
    return f"{price.dollars_per_hour:.3f} $/h ({' + '.join(parts)})"


def shortcomings(offer: Offer, needs: OfferNeeds, avoided: Avoided) -> Iterator[str]:
    """Say for each filter that an offer does not pass what it has and what was asked for."""
    for what in lacks_of(offer, needs, avoided):
        words = WORDS[what]
        has = words.has(offer, needs)
        said = f"{has}; asked for " if has else "asked for "
        yield f"{what}: {said}{words.asked(needs)}"


def refused(offer: Offer, stream: Stream, avoided: Avoided) -> Stopped | None:
    """Say why an offer may not be rented for a stream, and what to write so that it may."""
    lacks = lacks_of(offer, stream.needs, avoided)
    if not lacks:
        return None
    cures = [
        f"{WORDS[what].setting}: {WORDS[what].value(offer, stream.needs)}"
        for what in lacks
        if WORDS[what].setting
    ]
    if len(cures) < len(lacks):
        # A quarantine, for example: no setting lets in what keeper has learned to avoid.
        cure = f"no setting lets it in; choose another: keeper search {stream.name}"
    else:
        cure = f"write under the stream {stream.name}: {'; '.join(cures)}"
    return Stopped(
        ExitCode.REFUSED,
        f"offer {int(offer.offer_id)} does not suit {stream.name}: it fails at {', '.join(lacks)};"
        " nothing was rented",
        cure,
    )


async def looked_up(
    wish: OfferId, stream: Stream, marketplace: Marketplace, avoided: Avoided
) -> Offer:
    """Look the named offer up, say what it is, and go on only when it suits. Raises Stopped."""
    offer = await wished(marketplace, stream, wish, avoided)
    say(f"{stream.name}: {described(offer, stream.needs)}")
    no = refused(offer, stream, avoided)
    if no is not None:
        for line in shortcomings(offer, stream.needs, avoided):
            say(f"  {line}")
        raise no
    return offer
