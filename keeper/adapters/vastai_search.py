"""What keeper asks Vast.ai about offers: the search, the look-up of one offer, the look around.

A search is priced on demand or for bids, never both, so needs that take either are searched twice.
The filters are sent but not believed; core.market looks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from keeper.adapters.vastai_calls import Calls, decoded
from keeper.adapters.vastai_offers import cheapest_first, offers_of, totals_of
from keeper.adapters.vastai_rows import MIB_PER_GB
from keeper.adapters.vastai_spacing import Endpoint
from keeper.adapters.vastai_wire import Offers
from keeper.core.model import Offer, OfferId, OfferNeeds, Pricing
from keeper.core.moments import elapsed_s, later
from keeper.ports import Invalid, QuotaSpent

# The server caps an answer at 64 rows whatever is asked for (reports from the field, 2026-08). They
# come cheapest first, so what is cut off is dearer than everything that was seen. The switch that
# lifts the cap answers with thousands of rows of 4 kB, which is more than keeper takes in.
OFFERS_MAX: Final = 64
# A card sold as 24 GB reports 24564 MiB, one sold as 20 GB 20470, and some hold back a little for
# themselves. The filter lets those through; core.market looks again.
_GPU_RAM_MARGIN: Final = 0.95
# A look around takes so many searches at most, six seconds apart, and so many for one of its views.
# What is dearer than what they show is not needed to say what came nearest.
SURVEY_SEARCHES_MAX: Final = 6
_VIEW_PAGES_MAX: Final = 3

# The words for a price basis. The documents say "ondemand", the official client sends "on-demand";
# both are in use (read 2026-08).
_ON_DEMAND: Final = "on-demand"
_BID: Final = "bid"
_BASES: Final[Mapping[Pricing, tuple[str, ...]]] = {
    Pricing.ON_DEMAND: (_ON_DEMAND,),
    Pricing.INTERRUPTIBLE: (_BID,),
    Pricing.INTERRUPTIBLE_WITH_FALLBACK: (_BID, _ON_DEMAND),
}

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One direction of a look around: what is asked for, on which basis, and how far down."""

    filters: Body
    basis: str
    pages_max: int = 1


class OfferSearch:
    """The market's part of the Marketplace port."""

    def __init__(self, calls: Calls, now: Callable[[], datetime]) -> None:
        self._calls = calls
        self._now = now
        self._shut_until_s = 0.0  # for a spent quota; by the loop's clock, which nobody sets back

    async def search(self, needs: OfferNeeds, offer_id: OfferId | None) -> tuple[Offer, ...]:
        """Return offers near the needs, or one offer, cheapest first, priced for their disk."""
        filters = filters_of(needs) if offer_id is None else one_offer(offer_id)
        found: list[Offer] = []
        for basis in _BASES[needs.pricing]:
            answer = await self._ask(priced(filters, needs, basis))
            found += offers_of(answer, needs.disk_gb, is_bid=basis == _BID)
        # Filters are not always applied (field reports, 2026-08).
        return cheapest_first(o for o in found if offer_id in (None, o.offer_id))

    async def survey(self, needs: OfferNeeds) -> tuple[Offer, ...]:
        """Look around the needs, cheapest first. All views or nothing: a part would mislead."""
        found: list[Offer] = []
        left = SURVEY_SEARCHES_MAX
        for view in views_of(needs):
            page = 0
            floor: float | None = None
            while left and page < view.pages_max:
                answer = await self._ask(priced(view.filters, needs, view.basis, floor))
                page, left = page + 1, left - 1
                found += offers_of(answer, needs.disk_gb, is_bid=view.basis == _BID)
                floor = next_floor(answer, floor)
                if floor is None:
                    break
        return cheapest_first(found)

    async def _ask(self, body: Body) -> Offers:
        """Search once. A spent quota is not asked again before its reset."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._shut_until_s:
            until = _to_the_second(later(self._now(), self._shut_until_s - loop.time()))
            raise QuotaSpent(f"{Endpoint.SEARCH}: not sent", until=until)
        try:
            reply = await self._calls.read(
                Endpoint.SEARCH, "/api/v0/bundles/", body=body, allows=(Invalid, QuotaSpent)
            )
        except QuotaSpent as spent:
            if spent.until is not None:
                self._shut_until_s = loop.time() + elapsed_s(self._now(), spent.until)
            raise
        return decoded(reply, Offers, Endpoint.SEARCH)


def _to_the_second(at: datetime) -> datetime:
    """Say the same moment each time; two clocks that are read one after the other differ a little."""
    return later(at, 0.5).replace(microsecond=0)


# --------------------------------------------------------------------------------------------------
# What is sent. Pure.
# --------------------------------------------------------------------------------------------------


def priced(filters: Body, needs: OfferNeeds, basis: str, floor: float | None = None) -> Body:
    """Return the search with these filters, cheapest first, on one basis, from a price upwards."""
    body = dict(filters)
    if floor is not None:
        body["dph_total"] = body.get("dph_total", {}) | {"gte": floor}
    return body | {
        "order": [["dph_total", "asc"]],
        "type": basis,
        "limit": OFFERS_MAX,
        # The price depends on it; without it the answer is for 8 GB.
        "allocated_storage": needs.disk_gb,
    }


def filters_of(needs: OfferNeeds) -> Body:
    """Return these needs as filters: every one an object of operator and value.

    Filters that a server may add by itself are sent too, so that its defaults do not matter. Only
    ``verified`` is left out when it does not matter to us: then a third party's exporter, in use for
    years, gets both kinds (read 2026-08).
    """
    filters: Body = dict(_AVAILABLE) | {
        "num_gpus": {"eq": needs.gpu_count},
        "gpu_ram": {"gte": round(needs.gpu_ram_min_gb * MIB_PER_GB * _GPU_RAM_MARGIN)},
        "reliability": {"gte": needs.reliability_min},
        "disk_space": {"gte": needs.disk_gb},
        "dph_total": {"lte": needs.price_max_dollars_per_hour},
        "direct_port_count": {"gte": needs.direct_ports_min},
        "duration": {"gte": needs.duration_min_s},
    }
    if needs.gpu_display_active:
        filters["gpu_display_active"] = {"eq": True}
    if needs.verified:
        filters["verified"] = {"eq": True}
    names: dict[str, list[str]] = {}
    if needs.gpu_names:
        names["in"] = [_market_name(name) for name in needs.gpu_names]
    if needs.gpu_names_excluded:
        names["notin"] = [_market_name(name) for name in needs.gpu_names_excluded]
    if names:
        filters["gpu_name"] = names
    if needs.geolocations:
        filters["geolocation"] = {"in": [code.upper() for code in needs.geolocations]}
    for key, least in (
        ("inet_up", needs.inet_up_min_mbps),
        ("inet_down", needs.inet_down_min_mbps),
        ("cuda_max_good", needs.cuda_min),
    ):
        if least > 0:
            filters[key] = {"gte": least}
    return filters


_AVAILABLE: Final[Mapping[str, Any]] = {
    "rentable": {"eq": True},
    "rented": {"eq": False},
    "external": {"eq": False},
}


def one_offer(offer_id: OfferId) -> Body:
    """Return the filter for one offer. One on ``id`` matches nothing (field reports, 2026-08)."""
    return {"ask_contract_id": {"eq": int(offer_id)}}


def views_of(needs: OfferNeeds) -> tuple[View, ...]:
    """Return where to look for the nearest misses, the most telling view first.

    An offer that misses one need alone is in one of them: it has what is scarcest and misses
    something else, or it misses just that, or it is only priced on the other basis.
    """
    filters = filters_of(needs)
    scarcest = _scarcest(needs)
    has_it = dict(_AVAILABLE) | {scarcest: filters[scarcest]}
    lacks_it = {name: value for name, value in filters.items() if name != scarcest}
    asked = _BASES[needs.pricing]
    other = [basis for basis in (_BID, _ON_DEMAND) if basis not in asked]
    return (
        *(View(filters=has_it, basis=basis, pages_max=_VIEW_PAGES_MAX) for basis in asked[-1:]),
        *(View(filters=lacks_it, basis=basis) for basis in asked),
        *(View(filters=filters, basis=basis) for basis in other),
        *(View(filters=has_it, basis=basis, pages_max=_VIEW_PAGES_MAX) for basis in asked[:-1]),
    )


def _scarcest(needs: OfferNeeds) -> str:
    """Name the filter that fewest offers pass: a display, else the GPU's name, else its memory.

    Hardly any host drives a display (none in the samples of 2026-08).
    """
    if needs.gpu_display_active:
        return "gpu_display_active"
    return "gpu_name" if needs.gpu_names else "gpu_ram"


def next_floor(answer: Offers, floor: float | None) -> float | None:
    """Return the price from which the next page goes on; None when this one was the last.

    The dearest row is asked for again, with whatever else costs the same. Where more than a page
    costs the same, the rest of it stays unseen.
    """
    totals = totals_of(answer)
    if len(answer.offers) < OFFERS_MAX or not totals:
        return None
    dearest = max(totals)
    return dearest if floor is None or dearest > floor else None


def _market_name(gpu_name: str) -> str:
    """Vast's command line writes RTX_4090 where the market says "RTX 4090"; both are accepted."""
    return gpu_name.replace("_", " ").strip()
