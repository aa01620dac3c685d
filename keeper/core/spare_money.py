"""What spares may cost: their own cap, and every other one as if each spare lived its whole life.

A spare is the first thing that goes when money is short. So it is rented only where all that runs, and
it, fit under every cap until it expires or the period ends; and it is given up as soon as the caps
leave less room than a slot would want, a slot is held back by a limit, or the credit runs low.

One that is to stand still costs its whole price while it comes up, and its disk alone for the rest of
its life. The spares' own cap holds for both.
"""

from __future__ import annotations

from math import fsum

from keeper.core.caps import Crossed
from keeper.core.draft import Draft
from keeper.core.market import Price, price_of
from keeper.core.model import Offer, OfferNeeds, SlotId, Stream, is_spare, stream_of
from keeper.core.room import crosses_a_limit
from keeper.core.spare import SpareKind
from keeper.core.spend import burn_dollars_per_hour, record_dollars_per_hour, runway_s

# Sums of binary fractions: less than this is no crossing.
_GRAIN_DOLLARS = 1e-9
# Of the runway that is told of: below it no spare is rented, below this share of it none is kept.
_RUNWAY_SHARE = 0.5
_HOUR_S = 3600.0


def spare_dollars_per_hour(draft: Draft, stream: Stream) -> float:
    """Return what a stream's spares cost, those that must end included."""
    ending = [
        each.dollars_per_hour
        for each in draft.condemned.values()
        if each.slot is not None and is_spare(each.slot) and stream_of(each.slot) == stream.name
    ]
    return fsum((*_rented(draft, stream).values(), *ending))


def _rented(draft: Draft, stream: Stream) -> dict[SlotId, float]:
    """Return what each place costs per hour."""
    return {
        place: record_dollars_per_hour(record)
        for place, record in draft.records.items()
        if is_spare(place) and stream_of(place) == stream.name
    }


def affordable(
    draft: Draft, stream: Stream, needs: OfferNeeds, suitable: tuple[Offer, ...]
) -> tuple[Offer | None, Crossed | None]:
    """Return the best offer for a spare that every limit leaves room for, as room.py does for a slot."""
    if not suitable:
        return None, None
    priced = [(price_of(offer, needs), offer) for offer in suitable]
    for price, offer in priced:
        if crossed(draft, stream, price) is None:
            return offer, None
    least, cheapest = min(priced, key=lambda each: each[0].dollars_per_hour)
    return cheapest, crossed(draft, stream, least)


def crossed(draft: Draft, stream: Stream, price: Price) -> Crossed | None:
    """Say which limit a spare of this price would cross, or come near."""
    limit, dollars = stream.spares.max_dollars_per_hour, price.dollars_per_hour
    total = spare_dollars_per_hour(draft, stream) + dollars
    if total > limit + _GRAIN_DOLLARS:
        text = f"{total:.3f} of {limit:.3f} $/h for the spares of {stream.name}"
        return Crossed(sentence=text, stream=stream.name)
    if is_low(draft, 1.0):
        return Crossed(sentence="the account's credit does not last long enough for spares")
    life_s = max(draft.fleet.spend_reserve_s, stream.spares.expire_after_s)
    if stream.spares.kind is SpareKind.WARM:
        return crosses_a_limit(draft, stream, dollars, life_s)
    up_s = max(draft.fleet.spend_reserve_s, stream.policy.coming_up_max_s)
    disk = price.disk_dollars_per_hour
    once_dollars = max(0.0, dollars - disk) * up_s / _HOUR_S
    return crosses_a_limit(draft, stream, dollars, up_s) or crosses_a_limit(
        draft, stream, disk, life_s, once_dollars
    )


def is_short(draft: Draft, place: SlotId, stream: Stream) -> bool:
    """Whether a spare's money is needed elsewhere, or is about to be."""
    if stream.name in draft.short_of or None in draft.short_of:
        return True
    rented = _rented(draft, stream)
    if fsum(rented.values()) > stream.spares.max_dollars_per_hour + _GRAIN_DOLLARS:
        # One at a time, and what ends already is given up: else all would go for one that is too dear.
        return place == max(rented, key=lambda each: (rented[each], each))
    if is_low(draft, _RUNWAY_SHARE):
        return True
    # Twice what a slot must leave, so that the spare's end is over before a slot needs the room.
    return crosses_a_limit(draft, stream, 0.0, 2.0 * draft.fleet.spend_reserve_s) is not None


def is_low(draft: Draft, share: float) -> bool:
    """Whether the account's credit lasts for less than a share of what people are told of."""
    burn = burn_dollars_per_hour(draft.world, draft.records)
    left_s = runway_s(draft.world.account, burn)
    return left_s is not None and left_s < draft.fleet.runway_alert_s * share
