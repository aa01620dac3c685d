"""What to bid for an interruptible host: above the floor, under the stream's price limit. Pure.

Vast.ai takes bids in dollars per hour for the whole chunk of a machine, at least 0.001 (docs, create
instance and change bid, read 2026-08).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from math import ceil, floor

from keeper.core.model import OfferNeeds, Pricing, Stream
from keeper.core.moments import elapsed_s

GRAIN_DOLLARS_PER_HOUR = 0.001
# Prices are binary fractions: 0.22 / 0.001 is a little more than 220 and must not become 221.
_DIGITS = 6


def needs_now(stream: Stream, outbid_at: datetime | None, now: datetime) -> OfferNeeds:
    """Return what to look for first; a slot outbid lately falls back to on demand if it may."""
    if (
        stream.needs.pricing is Pricing.INTERRUPTIBLE_WITH_FALLBACK
        and outbid_at is not None
        and elapsed_s(outbid_at, now) < stream.policy.outbid_fallback_s
    ):
        return replace(stream.needs, pricing=Pricing.ON_DEMAND)
    return stream.needs


def needs_in_turn(
    stream: Stream, outbid_at: datetime | None, now: datetime
) -> tuple[OfferNeeds, ...]:
    """Return what to look for, one after the other until something suits.

    A slot that was outbid lately bids again at once where nothing on demand suits: to be outbid once
    more is better than hours without a picture (I18).
    """
    return tuple(dict.fromkeys((needs_now(stream, outbid_at, now), stream.needs)))


def on_demand(stream: Stream) -> OfferNeeds:
    """Return what to look for where a bid will not do: one that is stopped would have to be won again."""
    return replace(stream.needs, pricing=Pricing.ON_DEMAND)


def bid_dollars_per_hour(
    floor_dollars_per_hour: float, beside_dollars_per_hour: float, needs: OfferNeeds
) -> float | None:
    """Return the bid for the GPU part, or None when even the floor does not fit the price limit.

    ``floor`` is what a bid must reach now, ``beside`` what disk and traffic cost on top.
    """
    wanted = _up(floor_dollars_per_hour * needs.bid_margin_ratio)
    room = _down(needs.price_max_dollars_per_hour - beside_dollars_per_hour)
    bid = min(wanted, room)
    if bid < GRAIN_DOLLARS_PER_HOUR or bid < round(floor_dollars_per_hour, _DIGITS):
        return None
    return bid


def _up(dollars: float) -> float:
    return round(ceil(round(dollars / GRAIN_DOLLARS_PER_HOUR, _DIGITS)) * GRAIN_DOLLARS_PER_HOUR, 3)


def _down(dollars: float) -> float:
    return round(
        floor(round(dollars / GRAIN_DOLLARS_PER_HOUR, _DIGITS)) * GRAIN_DOLLARS_PER_HOUR, 3
    )
