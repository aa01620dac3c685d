"""Which offers suit, which is best, and why the others do not: a pure filter and ranking.

The marketplace filters too, but is not believed: what is rented has passed here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from keeper.core.bids import bid_dollars_per_hour
from keeper.core.cause import Trait
from keeper.core.model import (
    HostId,
    MachineId,
    Offer,
    OfferId,
    OfferNeeds,
    Pricing,
    Quarantine,
)
from keeper.core.spread import Apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Avoided:
    """What must not be rented whatever it offers."""

    offers: frozenset[OfferId] = frozenset()
    machines: frozenset[MachineId] = frozenset()
    hosts: frozenset[HostId] = frozenset()
    # Suspected causes, by cause.Trait: ranked last, so that a wrong name never empties the market.
    traits: tuple[tuple[Trait, str], ...] = ()
    apart: Apart | None = None  # of a spare: what the stream's other hosts have already


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """One filter of the funnel and how many offers it removed, counted by the first that bites."""

    what: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """One search, explained."""

    found: int
    suitable: tuple[Offer, ...]  # best first
    removed: tuple[Removed, ...]
    nearest: Offer | None  # the cheapest of those that only one filter removes
    nearest_lacks: str
    suspect: int = 0  # of the suitable ones; ranked last
    suspect_what: str = ""

    def sentence(self) -> str:
        """Say which filter removed how many, and what came closest."""
        parts = [f"{each.count} by {each.what}" for each in self.removed]
        text = f"{len(self.suitable)} of {self.found} offers suit"
        if parts:
            text += "; removed " + ", ".join(parts)
        if self.suspect:
            text += f"; {self.suspect} ranked last for {self.suspect_what}"
        if self.nearest is not None:
            text += (
                f"; nearest miss: offer {self.nearest.offer_id} ({self.nearest.gpu_name},"
                f" {self.nearest.dollars_per_hour:.3f} $/h) but for {self.nearest_lacks}"
            )
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What an offer will cost per hour, in its parts."""

    gpu_dollars_per_hour: float  # of an interruptible one: our bid
    disk_dollars_per_hour: float
    traffic_dollars_per_hour: float  # the viewers', as expected
    bid_dollars_per_hour: float | None = None  # None: on demand

    @property
    def rental_dollars_per_hour(self) -> float:
        """What the contract costs, without traffic."""
        return self.gpu_dollars_per_hour + self.disk_dollars_per_hour

    @property
    def dollars_per_hour(self) -> float:
        """All of it."""
        return self.rental_dollars_per_hour + self.traffic_dollars_per_hour


def price_of(offer: Offer, needs: OfferNeeds) -> Price:
    """Return what an offer will really cost: GPU or bid, the disk asked for, the viewers' traffic.

    A bid that finds no room under the limit is shown as what it would have to be.
    """
    gpu, traffic, bid = _priced(offer, needs)
    return Price(
        gpu_dollars_per_hour=gpu,
        disk_dollars_per_hour=offer.disk_dollars_per_hour,
        traffic_dollars_per_hour=traffic,
        bid_dollars_per_hour=bid,
    )


def price_dollars_per_hour(offer: Offer, needs: OfferNeeds) -> float:
    """Return what an offer will really cost, all in all."""
    gpu, traffic, _ = _priced(offer, needs)
    return gpu + offer.disk_dollars_per_hour + traffic


def _priced(offer: Offer, needs: OfferNeeds) -> tuple[float, float, float | None]:
    """Return dollars per hour: of the GPU, of the traffic, and the bid."""
    traffic = needs.egress_gb_per_hour * offer.inet_up_dollars_per_gb
    disk = offer.disk_dollars_per_hour
    if not offer.is_bid:
        # The total is the marketplace's own; its parts may have been rounded.
        return max(0.0, offer.dollars_per_hour - disk), traffic, None
    least = offer.gpu_dollars_per_hour
    bid = bid_dollars_per_hour(least, disk + traffic, needs)
    return least if bid is None else bid, traffic, bid


def _is_payable(offer: Offer, needs: OfferNeeds) -> bool:
    gpu, traffic, bid = _priced(offer, needs)
    dollars = gpu + offer.disk_dollars_per_hour + traffic
    has_bid = not offer.is_bid or bid is not None
    return has_bid and round(dollars, 9) <= needs.price_max_dollars_per_hour


# How an offer says what a rental's traits will be.
TRAIT_OF_OFFER: Mapping[Trait, Callable[[Offer], str]] = {
    Trait.OWNER: lambda o: str(o.host_id),
    Trait.DRIVER: lambda o: o.driver_version,
    Trait.GPU: lambda o: o.gpu_name,
    Trait.REGION: lambda o: o.geolocation,
}
_Filter = tuple[str, Callable[[Offer, OfferNeeds], bool]]

# In the order of how telling they are: the first that bites gets the blame.
_FILTERS: tuple[_Filter, ...] = (
    ("rentable", lambda o, _: o.rentable),
    ("pricing", lambda o, n: o.is_bid in BASES[n.pricing]),
    ("display", lambda o, n: o.gpu_display_active or not n.gpu_display_active),
    ("verification", lambda o, n: o.verified or not n.verified),
    ("GPU name", lambda o, n: not n.gpu_names or o.gpu_name in n.gpu_names),
    ("excluded GPU name", lambda o, n: o.gpu_name not in n.gpu_names_excluded),
    ("GPU count", lambda o, n: o.gpu_count == n.gpu_count),
    ("GPU memory", lambda o, n: o.gpu_ram_gb >= n.gpu_ram_min_gb),
    ("disk", lambda o, n: o.disk_space_gb >= n.disk_gb),
    ("reliability", lambda o, n: o.reliability >= n.reliability_min),
    ("place", lambda o, n: not n.geolocations or o.geolocation in n.geolocations),
    ("upload", lambda o, n: o.inet_up_mbps >= n.inet_up_min_mbps),
    ("download", lambda o, n: o.inet_down_mbps >= n.inet_down_min_mbps),
    ("direct ports", lambda o, n: o.direct_port_count >= n.direct_ports_min),
    ("duration", lambda o, n: o.duration_s >= n.duration_min_s),
    ("CUDA", lambda o, n: o.cuda_max >= n.cuda_min),
    ("price", _is_payable),
)
FILTERS = tuple(name for name, _ in _FILTERS)
# Which bases of price suit: a bid, or not.
BASES: Mapping[Pricing, tuple[bool, ...]] = {
    Pricing.ON_DEMAND: (False,),
    Pricing.INTERRUPTIBLE: (True,),
    Pricing.INTERRUPTIBLE_WITH_FALLBACK: (True, False),
}


def merged(*looks: Iterable[Offer]) -> tuple[Offer, ...]:
    """Put looks at the market together, each offer once; where they differ, the last one counts.

    One ask is two offers where it can be had for a bid as well as on demand.
    """
    known = {(offer.offer_id, offer.is_bid): offer for look in looks for offer in look}
    return tuple(known.values())


def search(
    offers: Iterable[Offer],
    needs: OfferNeeds,
    avoided: Avoided,
    machines_in_use: Collection[MachineId] = (),
) -> Funnel:
    """Filter and rank offers; the same offers in any order give the same answer.

    Machines that already carry one of our rentals come last: two replicas on one box die together.
    """
    suitable: list[Offer] = []
    removed: dict[str, int] = {}
    near: list[tuple[float, OfferId, Offer, str]] = []
    found = 0
    for offer in offers:
        found += 1
        lacks = lacks_of(offer, needs, avoided)
        if not lacks:
            suitable.append(offer)
            continue
        removed[lacks[0]] = removed.get(lacks[0], 0) + 1
        if len(lacks) == 1:
            near.append((price_dollars_per_hour(offer, needs), offer.offer_id, offer, lacks[0]))
    nearest = min(near, key=lambda each: (*each[:2], each[2].is_bid), default=None)
    return Funnel(
        found=found,
        suitable=tuple(sorted(suitable, key=lambda o: _rank(o, needs, avoided, machines_in_use))),
        suspect=sum(_is_suspect(offer, avoided.traits) for offer in suitable),
        suspect_what=", ".join(f"{trait} {value}" for trait, value in avoided.traits),
        removed=tuple(Removed(what=what, count=removed[what]) for what in sorted(removed)),
        nearest=nearest[2] if nearest else None,
        nearest_lacks=nearest[3] if nearest else "",
    )


def suits(offer: Offer, needs: OfferNeeds, avoided: Avoided) -> bool:
    """Say whether an offer lacks nothing; quicker than asking what it lacks."""
    return (
        offer.offer_id not in avoided.offers
        and offer.machine_id not in avoided.machines
        and offer.host_id not in avoided.hosts
        and (avoided.apart is None or not avoided.apart.lacks(offer))
        and all(passes(offer, needs) for _, passes in _FILTERS)
    )


def all_that_suit(
    offers: tuple[Offer, ...], needs: OfferNeeds, avoided: Avoided
) -> tuple[Offer, ...]:
    """Return the offers that lack nothing, in the order in which they came."""
    return tuple(offer for offer in offers if suits(offer, needs, avoided))


def lacks_of(offer: Offer, needs: OfferNeeds, avoided: Avoided) -> list[str]:
    """Return the filters that an offer does not pass, in their order."""
    lacks = []
    if offer.offer_id in avoided.offers:
        lacks.append("a lost race")
    if offer.machine_id in avoided.machines or offer.host_id in avoided.hosts:
        lacks.append("quarantine")
    if avoided.apart is not None and (shared := avoided.apart.lacks(offer)):
        lacks.append(shared)
    lacks.extend(what for what, passes in _FILTERS if not passes(offer, needs))
    return lacks


def _is_suspect(offer: Offer, traits: tuple[tuple[Trait, str], ...]) -> bool:
    """Say whether an offer has a trait that explains why others failed."""
    return any(TRAIT_OF_OFFER[trait](offer) == value for trait, value in traits)


def _rank(
    offer: Offer, needs: OfferNeeds, avoided: Avoided, machines_in_use: Collection[MachineId]
) -> tuple[bool, bool, bool, float, float, int]:
    return (
        offer.machine_id in machines_in_use,
        _is_suspect(offer, avoided.traits),
        not offer.is_bid,  # where both bases suit, on demand is the fallback
        price_dollars_per_hour(offer, needs),
        -offer.reliability,
        offer.offer_id,
    )


def avoided_by_quarantine(
    quarantine: Mapping[MachineId, Quarantine], now: datetime, hosts_after: int
) -> tuple[frozenset[MachineId], frozenset[HostId]]:
    """Return the machines that are avoided now, and the owners with too many of them."""
    machines = set()
    strikes: dict[HostId, int] = {}
    for each in quarantine.values():
        if each.until > now:
            machines.add(each.machine_id)
            strikes[each.host_id] = strikes.get(each.host_id, 0) + 1
    # Host 0 stands for "not told": nobody is punished for sharing it.
    hosts = {host for host, count in strikes.items() if host and count >= hosts_after}
    return frozenset(machines), frozenset(hosts)
