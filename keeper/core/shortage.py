"""Why the market does not fit, and what it would take: each filter with its nearest miss. Pure.

The same offers in any order give the same report. `keeper search`, the decision and the alert say it
in the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil, floor, inf

from keeper.core import spread
from keeper.core.market import FILTERS, Avoided, lacks_of, merged, price_dollars_per_hour
from keeper.core.model import Offer, OfferNeeds, Pricing
from keeper.core.spare import Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """One filter: what it keeps out, and the offer that comes nearest to passing it."""

    what: str
    asked: str
    removed: int  # offers that it removes first, in the order of the funnel
    fails: int  # offers that fail it at all
    alone: int  # offers that fail nothing else
    nearest: Offer | None = None  # of those that fail nothing else
    has: str = ""
    setting: str = ""  # what to change so that the nearest one passes; "" when nothing would
    value: str = ""
    dollars_per_hour: float = 0.0  # of the nearest, all in all
    more_dollars_per_hour: float | None = None  # than the best that suits; None: nothing suits


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """One look at the market, explained."""

    found: int
    suitable: int
    misses: tuple[Miss, ...]  # in the order of the filters; only those that keep something out
    closest: Offer | None = None  # when no offer fails at a single filter: the one with the fewest
    closest_lacks: tuple[str, ...] = ()

    @property
    def cures(self) -> tuple[Miss, ...]:
        """The filters whose relaxation lets an offer in, the cheapest first."""
        able = [miss for miss in self.misses if miss.setting and miss.nearest is not None]
        return tuple(sorted(able, key=lambda miss: (miss.dollars_per_hour, miss.what)))

    def sentence(self, cures_max: int = 3) -> str:
        """Say it in one line: the funnel, and what would let an offer in."""
        text = f"{self.suitable} of {self.found} offers suit"
        removed = [f"{miss.removed} by {miss.what}" for miss in self.misses if miss.removed]
        if removed:
            text += "; removed " + ", ".join(removed)
        cures = [cure_of(miss) for miss in self.cures[:cures_max]]
        if cures:
            text += "; would suit with " + ", or ".join(cures)
        elif self.closest is not None:
            lacks = ", ".join(self.closest_lacks)
            text += f"; the closest is offer {int(self.closest.offer_id)}, which fails at {lacks}"
        return text


def cure_of(miss: Miss) -> str:
    """Say what to write, which offer that lets in, and what it costs."""
    assert miss.nearest is not None
    more = ""
    if miss.more_dollars_per_hour is not None:
        more = f", {miss.more_dollars_per_hour:+.3f}"
    return (
        f"{miss.setting}: {miss.value} (offer {int(miss.nearest.offer_id)},"
        f" {miss.dollars_per_hour:.3f} $/h{more})"
    )


def explain(offers: Iterable[Offer], needs: OfferNeeds, avoided: Avoided) -> Shortage:
    """Explain a look at the market."""
    looked = sorted(merged(offers), key=lambda o: (o.offer_id, o.is_bid))
    lacking = [(offer, lacks_of(offer, needs, avoided)) for offer in looked]
    prices = [price_dollars_per_hour(offer, needs) for offer, lacks in lacking if not lacks]
    best = min(prices, default=None)
    names = ("a lost race", "quarantine", *spread.WORDS, *FILTERS)
    misses = tuple(
        _miss(name, lacking, needs, best) for name in names if any(name in ls for _, ls in lacking)
    )
    closest = None
    if not prices and not any(miss.alone for miss in misses):
        # The price only breaks ties: of two that miss as much, the cheaper one is closer.
        closest = min(
            lacking,
            key=lambda each: (len(each[1]), price_dollars_per_hour(each[0], needs)),
            default=None,
        )
    return Shortage(
        found=len(looked),
        suitable=len(prices),
        misses=misses,
        closest=closest[0] if closest else None,
        closest_lacks=tuple(closest[1]) if closest else (),
    )


def _miss(
    name: str, lacking: list[tuple[Offer, list[str]]], needs: OfferNeeds, best: float | None
) -> Miss:
    only = [offer for offer, lacks in lacking if lacks == [name]]
    row = WORDS[name]
    nearest = min(
        only,
        key=lambda o: (row.gap(o, needs), price_dollars_per_hour(o, needs), o.offer_id),
        default=None,
    )
    dollars = 0.0 if nearest is None else price_dollars_per_hour(nearest, needs)
    return Miss(
        what=name,
        asked=row.asked(needs),
        removed=sum(lacks[:1] == [name] for _, lacks in lacking),
        fails=sum(name in lacks for _, lacks in lacking),
        alone=len(only),
        nearest=nearest,
        has="" if nearest is None else row.has(nearest, needs),
        setting="" if nearest is None else row.setting,
        value="" if nearest is None else row.value(nearest, needs),
        dollars_per_hour=dollars,
        more_dollars_per_hour=None if best is None or nearest is None else dollars - best,
    )


# --- the words of each filter -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How a filter is spoken of, how far an offer is from passing it, and what would let it in."""

    asked: Callable[[OfferNeeds], str]
    has: Callable[[Offer, OfferNeeds], str] = lambda _o, _n: ""
    gap: Callable[[Offer, OfferNeeds], float] = lambda _o, _n: 0.0  # 0…1 and beyond, of the limit
    setting: str = ""
    value: Callable[[Offer, OfferNeeds], str] = lambda _o, _n: ""


def _short(has: float, least: float) -> float:
    return inf if least <= 0 else max(0.0, (least - has) / least)


def _down(value: float, digits: int) -> str:
    """Round so that the offer itself still passes."""
    scale = 10**digits
    return f"{floor(round(value * scale, 6)) / scale:.{digits}f}"


def _up(value: float, digits: int) -> str:
    scale = 10**digits
    return f"{ceil(round(value * scale, 6)) / scale:.{digits}f}"


def _listed(words: Iterable[str]) -> str:
    return f"[{', '.join(words)}]"


WORDS: Mapping[str, Words] = {
    "a lost race": Words(asked=lambda _: "not taken by somebody else a moment ago"),
    "quarantine": Words(asked=lambda _: "a machine that has not failed keeper lately"),
    spread.MACHINE: Words(asked=lambda _: "another machine than the stream's other hosts"),
    spread.OWNER: Words(
        asked=lambda _: "another owner than the stream's other hosts have",
        setting="spares.spread",
        value=lambda _o, _n: Spread.MACHINE.value,
    ),
    spread.NETWORK: Words(
        asked=lambda _: "another network than the stream's other hosts are in",
        setting="spares.spread",
        value=lambda _o, _n: Spread.OWNER.value,
    ),
    "rentable": Words(asked=lambda _: "not rented by somebody else"),
    "pricing": Words(
        asked=lambda n: n.pricing.value.replace("_", " "),
        has=lambda o, _: "interruptible" if o.is_bid else "on demand",
        setting="offer.pricing",
        value=lambda _o, _n: Pricing.INTERRUPTIBLE_WITH_FALLBACK.value,
    ),
    "display": Words(
        asked=lambda _: "a GPU that drives a display",
        has=lambda _o, _n: "no display",
        setting="offer.gpu_display_active",
        value=lambda _o, _n: "false",
    ),
    "verification": Words(
        asked=lambda _: "a machine verified by the marketplace",
        has=lambda _o, _n: "not verified",
        setting="offer.verified",
        value=lambda _o, _n: "false",
    ),
    "GPU name": Words(
        asked=lambda n: ", ".join(n.gpu_names),
        has=lambda o, _: o.gpu_name,
        setting="offer.gpu_names",
        value=lambda o, n: _listed((*n.gpu_names, o.gpu_name)),
    ),
    "excluded GPU name": Words(
        asked=lambda n: f"not {', '.join(n.gpu_names_excluded)}",
        has=lambda o, _: o.gpu_name,
        setting="offer.gpu_names_excluded",
        value=lambda o, n: _listed(name for name in n.gpu_names_excluded if name != o.gpu_name),
    ),
    "GPU count": Words(
        asked=lambda n: f"exactly {n.gpu_count}",
        has=lambda o, _: f"{o.gpu_count}",
        gap=lambda o, n: abs(o.gpu_count - n.gpu_count) / max(1, n.gpu_count),
        setting="offer.gpu_count",
        value=lambda o, _: f"{o.gpu_count}",
    ),
    "GPU memory": Words(
        asked=lambda n: f"{n.gpu_ram_min_gb:g} GB or more",
        has=lambda o, _: f"{o.gpu_ram_gb:g} GB",
        gap=lambda o, n: _short(o.gpu_ram_gb, n.gpu_ram_min_gb),
        setting="offer.gpu_ram_min_gb",
        value=lambda o, _: _down(o.gpu_ram_gb, 1),
    ),
    "disk": Words(
        asked=lambda n: f"{n.disk_gb:g} GB or more",
        has=lambda o, _: f"{o.disk_space_gb:g} GB",
        gap=lambda o, n: _short(o.disk_space_gb, n.disk_gb),
        setting="offer.disk_gb",
        value=lambda o, _: _down(o.disk_space_gb, 0),
    ),
    "reliability": Words(
        asked=lambda n: f"{n.reliability_min:.1%} or more",
        has=lambda o, _: f"{o.reliability:.1%}",
        gap=lambda o, n: _short(o.reliability, n.reliability_min),
        setting="offer.reliability_min",
        value=lambda o, _: _down(o.reliability, 3),
    ),
    "place": Words(
        asked=lambda n: ", ".join(n.geolocations),
        has=lambda o, _: o.geolocation or "unknown",
        setting="offer.geolocations",
        value=lambda o, n: _listed((*n.geolocations, o.geolocation)) if o.geolocation else "[]",
    ),
    "upload": Words(
        asked=lambda n: f"{n.inet_up_min_mbps:g} Mbit/s or more",
        has=lambda o, _: f"{o.inet_up_mbps:g} Mbit/s",
        gap=lambda o, n: _short(o.inet_up_mbps, n.inet_up_min_mbps),
        setting="offer.inet_up_min_mbps",
        value=lambda o, _: _down(o.inet_up_mbps, 0),
    ),
    "download": Words(
        asked=lambda n: f"{n.inet_down_min_mbps:g} Mbit/s or more",
        has=lambda o, _: f"{o.inet_down_mbps:g} Mbit/s",
        gap=lambda o, n: _short(o.inet_down_mbps, n.inet_down_min_mbps),
        setting="offer.inet_down_min_mbps",
        value=lambda o, _: _down(o.inet_down_mbps, 0),
    ),
    "direct ports": Words(
        asked=lambda n: f"{n.direct_ports_min} or more",
        has=lambda o, _: f"{o.direct_port_count}",
        gap=lambda o, n: _short(o.direct_port_count, n.direct_ports_min),
        setting="offer.direct_ports_min",
        value=lambda o, _: f"{o.direct_port_count}",
    ),
    "duration": Words(
        asked=lambda n: f"{n.duration_min_s / 3600:g} h or more",
        has=lambda o, _: f"{o.duration_s / 3600:.1f} h",
        gap=lambda o, n: _short(o.duration_s, n.duration_min_s),
        setting="offer.duration_min_s",
        value=lambda o, _: _down(o.duration_s, 0),
    ),
    "CUDA": Words(
        asked=lambda n: f"{n.cuda_min:g} or newer",
        has=lambda o, _: f"{o.cuda_max:g}",
        gap=lambda o, n: _short(o.cuda_max, n.cuda_min),
        setting="offer.cuda_min",
        value=lambda o, _: _down(o.cuda_max, 1),
    ),
    "price": Words(
        asked=lambda n: f"{n.price_max_dollars_per_hour:g} $/h or less, traffic included",
        has=lambda o, n: f"{price_dollars_per_hour(o, n):.3f} $/h",
        gap=lambda o, n: price_dollars_per_hour(o, n) / n.price_max_dollars_per_hour - 1,
        setting="offer.price_max_dollars_per_hour",
        value=lambda o, n: _up(price_dollars_per_hour(o, n), 2),
    ),
}
