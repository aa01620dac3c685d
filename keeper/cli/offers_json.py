"""What `keeper search --json` prints: a list, one Found per stream. Names and units do not change.

Keys may be added; none is renamed or removed without a note for operators in the changelog.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from keeper.cli.offers import Look
from keeper.core.market import price_of
from keeper.core.model import Offer, OfferNeeds
from keeper.core.shortage import Miss

_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundOffer:
    """One offer, priced for the disk that the stream asks for and the traffic that it expects."""

    offer_id: int
    machine_id: int
    host_id: int  # the owner's account
    gpu_name: str
    gpu_count: int
    gpu_ram_gb: float
    disk_space_gb: float
    geolocation: str  # two-letter code or ""
    reliability: float  # 0…1
    inet_up_mbps: float
    inet_down_mbps: float
    duration_s: float  # how long the owner offers it
    is_bid: bool  # interruptible
    dollars_per_hour: float  # all in all: the sum of the three below
    gpu_dollars_per_hour: float  # of an interruptible offer: what keeper would bid
    disk_dollars_per_hour: float
    traffic_dollars_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMiss:
    """One filter that keeps offers out, and the offer that comes nearest to passing it."""

    filter: str
    asked: str  # in words
    removed: int  # offers that it removes first, in the order of the filters
    fails: int  # offers that fail it at all
    alone: int  # offers that fail nothing else
    nearest: FoundOffer | None  # of those that fail nothing else
    has: str  # in words, of the nearest
    setting: str  # what to change below streams[]; "" where no setting would help
    value: str  # as it is written in YAML
    more_dollars_per_hour: float | None  # than the best that suits; null when nothing suits


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One look at the market for one stream."""

    stream: str
    found: int  # offers looked at
    is_wide: bool  # also at offers that the needs exclude: with --explain, or when nothing suits
    suitable: tuple[FoundOffer, ...]  # in the order in which keeper would take them
    removed: dict[str, int]  # filter: offers that it removes first
    misses: tuple[FoundMiss, ...]  # in the order of the filters; only those that keep something out
    closest: FoundOffer | None  # when nothing suits and no offer fails at a single filter
    closest_lacks: tuple[str, ...]
    sentence: str  # as in the decision and in the alert


def as_json(look: Look) -> dict[str, Any]:
    """Return everything as JSON values."""
    shortage = look.shortage
    closest = shortage.closest
    return asdict(
        Found(
            stream=look.stream,
            found=shortage.found,
            is_wide=look.is_wide,
            suitable=tuple(_offer(offer, look.needs) for offer in look.suitable),
            removed={miss.what: miss.removed for miss in shortage.misses if miss.removed},
            misses=tuple(_miss(miss, look.needs) for miss in shortage.misses),
            closest=_offer(closest, look.needs) if closest is not None else None,
            closest_lacks=shortage.closest_lacks,
            sentence=shortage.sentence(),
        )
    )


def _miss(miss: Miss, needs: OfferNeeds) -> FoundMiss:
    more = miss.more_dollars_per_hour
    return FoundMiss(
        filter=miss.what,
        asked=miss.asked,
        removed=miss.removed,
        fails=miss.fails,
        alone=miss.alone,
        nearest=_offer(miss.nearest, needs) if miss.nearest is not None else None,
        has=miss.has,
        setting=miss.setting,
        value=miss.value,
        more_dollars_per_hour=None if more is None else round(more, _DIGITS),
    )


def _offer(offer: Offer, needs: OfferNeeds) -> FoundOffer:
    price = price_of(offer, needs)
    return FoundOffer(
        offer_id=int(offer.offer_id),
        machine_id=int(offer.machine_id),
        host_id=int(offer.host_id),
        gpu_name=offer.gpu_name,
        gpu_count=offer.gpu_count,
        gpu_ram_gb=offer.gpu_ram_gb,
        disk_space_gb=offer.disk_space_gb,
        geolocation=offer.geolocation,
        reliability=offer.reliability,
        inet_up_mbps=offer.inet_up_mbps,
        inet_down_mbps=offer.inet_down_mbps,
        duration_s=offer.duration_s,
        is_bid=offer.is_bid,
        dollars_per_hour=round(price.dollars_per_hour, _DIGITS),
        gpu_dollars_per_hour=round(price.gpu_dollars_per_hour, _DIGITS),
        disk_dollars_per_hour=round(price.disk_dollars_per_hour, _DIGITS),
        traffic_dollars_per_hour=round(price.traffic_dollars_per_hour, _DIGITS),
    )
