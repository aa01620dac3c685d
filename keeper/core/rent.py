"""How a vacant slot is filled: fresh offers, the best that suits, and whether it may be paid for.

A search that finds nothing is explained and repeated with growing pauses; a lost race is not. Nothing
is ever asked for twice: a new attempt has a new label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from keeper.core import recycle
from keeper.core.backoff import longest_s, stepped_s
from keeper.core.bids import needs_in_turn, on_demand
from keeper.core.caps import Crossed
from keeper.core.choice import affordable_for, avoided, choose, looked_at, suiting
from keeper.core.dark import dark_dollars, is_given_up
from keeper.core.decisions import Hold, Rent, Wait
from keeper.core.draft import Draft, Seat
from keeper.core.events import HostRecycling, InstanceRenting
from keeper.core.labels import label_for
from keeper.core.market import (
    Avoided,
    Price,
    price_dollars_per_hour,
    price_of,
)
from keeper.core.model import (
    IntentKind,
    Offer,
    OfferNeeds,
    SlotId,
    SlotRecord,
    Stream,
    Tenure,
    is_spare,
)
from keeper.core.moments import elapsed_s, is_due, later
from keeper.core.reasons import Reason
from keeper.core.room import fits_instead, shut_by
from keeper.core.spare import SpareKind
from keeper.core.world import OfferBook

# A refused create may come with the marketplace's own wish for patience, up to this.
_RETRY_AFTER_MAX_S = 3600.0
# An operator whose offer is gone gets a moment to name another before the ranking goes on.
WISH_DROPPED_S = 30.0
# Nobody waits for a spare, and the searches of a day are counted.
_SPARE_BACKOFF_S = (60.0, 300.0, 900.0, 3600.0)


def fill(
    draft: Draft,
    slot: SlotId,
    stream: Stream,
    seat: Seat,
    reason: Reason,
    break_first: Callable[[], None] | None = None,
) -> bool:
    """Decide how to get a host for a seat; returns whether a rental was asked for.

    ``break_first`` is called instead of holding when two hosts side by side cross a limit that the
    new one alone does not.
    """
    if _is_shut(draft, slot, stream, reason):
        return False
    record, now = draft.records[slot], draft.now
    steps_s = (*stream.policy.no_offer_backoff_s, *_SPARE_BACKOFF_S)
    longest_wait_s = max(longest_s(steps_s), _RETRY_AFTER_MAX_S)
    if not is_due(record.next_rent_at, now, longest_wait_s):
        draft.decide(slot, Wait(slot=slot, reason=record.rent_reason, until=record.next_rent_at))
        return False
    is_optional = reason is Reason.RECYCLE
    book = draft.world.offers.get(stream.name)
    in_turn = needs_in_turn(stream, record.outbid_at, now)
    if is_spare(slot) and stream.spares.kind is SpareKind.STOPPED:
        in_turn = (on_demand(stream),)
    avoiding = avoided(draft, slot)
    if book is None or elapsed_s(book.at, now) > stream.policy.offers_max_age_s:
        still = (
            None if book is None else _still_too_dear(draft, slot, stream, in_turn, book, avoiding)
        )
        if still is None:
            _ask_for_offers(draft, slot, stream)
        else:
            _hold_for(draft, slot, reason, still)
        return False
    if record.offer_asked is not None and not _is_asked_offer_here(draft, slot, stream):
        return False
    choice = choose(draft, slot, stream, in_turn, avoiding)
    offer, too_dear, needs = choice.offer, choice.too_dear, choice.needs
    if is_optional and (offer is None or too_dear is not None):
        recycle.put_off(draft, slot)
        return False
    if offer is None:
        _found_nothing(draft, slot, stream, choice.shortage)
        return False
    if too_dear is not None:
        dollars = price_dollars_per_hour(offer, needs)
        if break_first is not None and fits_instead(draft, slot, stream, dollars):
            break_first()
            return False
        _hold_for(draft, slot, reason, too_dear)
        return False
    _rent(draft, slot, stream, seat, reason, offer, price_of(offer, needs))
    return True


def _is_shut(draft: Draft, slot: SlotId, stream: Stream, reason: Reason) -> bool:
    """Hold where no host would do, whatever its price, so that nobody need search for one."""
    if is_given_up(draft, slot, stream):
        cost, limit = dark_dollars(draft.ledger, stream.name), stream.policy.dark_spend_max_dollars
        held = Hold(slot=slot, reason=Reason.DARK_SPEND, wanted="rent", wanted_reason=reason)
        draft.decide(slot, held, detail=f"${cost:.2f} without a picture, of at most ${limit:.2f}")
        return True
    shut = shut_by(draft, stream)
    if shut is not None:
        _hold_for(draft, slot, reason, shut)
    return shut is not None


def _still_too_dear(
    draft: Draft,
    slot: SlotId,
    stream: Stream,
    in_turn: tuple[OfferNeeds, ...],
    book: OfferBook,
    avoiding: Avoided,
) -> Crossed | None:
    """Say which limit the offers of the last search still cross, if that is what a slot waits for.

    A cap may leave no room for half a day, and the searches of a day are counted. So the market is
    looked at as rarely then as when nothing suits; a limit that is raised is noticed at once.
    """
    record = draft.records[slot]
    again_at = later(book.at, longest_s(stream.policy.no_offer_backoff_s))
    if record.last_reason is not Reason.BUDGET or record.offer_asked or again_at <= draft.now:
        return None
    crossed_by = None
    for needs in in_turn:
        suitable = suiting(draft, stream, needs, avoiding)
        if suitable:
            crossed_by = affordable_for(draft, slot, stream, needs, suitable)[1]
            if crossed_by is None:
                return None
    if crossed_by is not None:
        draft.wake(again_at)
    return crossed_by


def _hold_for(draft: Draft, slot: SlotId, reason: Reason, crossed: Crossed) -> None:
    if not is_spare(slot) and reason is not Reason.NO_SOUND:
        draft.short_of.add(crossed.stream)  # a spare gives way
    held = Hold(
        slot=slot,
        reason=Reason.BUDGET,
        wanted="rent",
        wanted_reason=reason,
        until=crossed.until,
    )
    draft.decide(slot, held, detail=crossed.sentence)


def _ask_for_offers(draft: Draft, slot: SlotId, stream: Stream) -> None:
    """Wait for a search; one that is refused is waited for as long as it is."""
    draft.offers_for.add(stream.name)
    refused = draft.world.search_refused
    if refused is None or (refused.until is not None and refused.until <= draft.now):
        draft.decide(slot, Wait(slot=slot, reason=Reason.OFFERS_STALE))
    else:
        wait = Wait(slot=slot, reason=refused.reason, until=refused.until)
        draft.decide(slot, wait, detail=refused.error)


def _is_asked_offer_here(draft: Draft, slot: SlotId, stream: Stream) -> bool:
    """Say whether the offer that an operator asked for is in the book; an older book does not count.

    One that is not on the market is dropped from the wishes: what comes instead is for the operator
    to say, or for the ranking at the next look.
    """
    record = draft.records[slot]
    if looked_at(draft, slot, stream):
        return True
    book = draft.world.offers[stream.name]
    if record.offer_asked not in book.asked_for:
        _ask_for_offers(draft, slot, stream)
        return False
    _drop_wish(draft, slot, f"offer {record.offer_asked} is not on the market")
    return False


def _drop_wish(draft: Draft, slot: SlotId, why: str) -> None:
    next_rent_at = later(draft.now, WISH_DROPPED_S)
    draft.records[slot] = replace(
        draft.records[slot],
        offer_asked=None,
        next_rent_at=next_rent_at,
        rent_reason=Reason.NO_SUITABLE_OFFER,
        rent_detail=why,
    )
    draft.decide(
        slot, Wait(slot=slot, reason=Reason.NO_SUITABLE_OFFER, until=next_rent_at), detail=why
    )


def _found_nothing(draft: Draft, slot: SlotId, stream: Stream, said: str) -> None:
    record = draft.records[slot]
    if record.offer_asked is not None:
        _drop_wish(draft, slot, f"offer {record.offer_asked} does not suit: {said}")
        return
    steps_s = _SPARE_BACKOFF_S if is_spare(slot) else stream.policy.no_offer_backoff_s
    pause_s = stepped_s(record.offer_misses, steps_s, slot)
    next_rent_at = later(draft.now, pause_s)
    draft.records[slot] = replace(
        record,
        offer_misses=record.offer_misses + 1,
        next_rent_at=next_rent_at,
        rent_reason=Reason.NO_SUITABLE_OFFER,
        rent_detail=said,
        avoid_offers=(),  # what was lost may be free again by the next search
    )
    draft.decide(
        slot,
        Wait(slot=slot, reason=Reason.NO_SUITABLE_OFFER, until=next_rent_at),
        detail=said,
    )


def charged_now(draft: Draft, record: SlotRecord, seat: Seat) -> tuple[datetime, ...]:
    """Count a replacement from now on: it was counted when the host before was given up.

    The allowance is about hosts. One that waited for an offer longer than the window is long would
    otherwise not be in it.
    """
    if seat is Seat.INCOMING or not record.replaced_at:
        return record.replaced_at
    return (*record.replaced_at[:-1], draft.now)


def _rent(
    draft: Draft,
    slot: SlotId,
    stream: Stream,
    seat: Seat,
    reason: Reason,
    offer: Offer,
    price: Price,
) -> None:
    record = draft.records[slot]
    attempt = record.attempt + 1
    label = label_for(draft.world.keeper_id, slot, attempt)
    draft.records[slot] = replace(
        record,
        attempt=attempt,
        next_rent_at=None,
        rent_detail="",
        replaced_at=charged_now(draft, record, seat),
    )
    if reason is Reason.RECYCLE and record.tenure is not None:
        recycle.wait_for_next(draft, slot)
        since = record.tenure.first_live_at or draft.now
        draft.tell(
            HostRecycling(
                slot=slot,
                instance_id=record.tenure.instance_id,
                duration_s=elapsed_s(since, draft.now),
            )
        )
    intent_id = draft.open_intent(IntentKind.RENT, slot, label, None, reason)
    draft.offers_taken.add(offer.offer_id)
    draft.put(
        slot,
        seat,
        Tenure(
            label=label,
            attempt=attempt,
            offer_id=offer.offer_id,
            machine_id=offer.machine_id,
            host_id=offer.host_id,
            gpu_name=offer.gpu_name,
            dollars_per_hour=price.rental_dollars_per_hour,
            requested_at=draft.now,
            is_bid=offer.is_bid,
            bid_dollars_per_hour=price.bid_dollars_per_hour or 0.0,
            offered_dollars_per_hour=price.rental_dollars_per_hour,
            traffic_dollars_per_hour=price.traffic_dollars_per_hour,
            gpu_ram_gb=offer.gpu_ram_gb,
            disk_dollars_per_hour=price.disk_dollars_per_hour,
            driver=offer.driver_version,
            region=offer.geolocation,
            image=stream.rental.image,
        ),
    )
    draft.count_listings()
    draft.tell(
        InstanceRenting(
            slot=slot,
            reason=reason,
            label=label,
            offer_id=offer.offer_id,
            machine_id=offer.machine_id,
            dollars=price.rental_dollars_per_hour,
        )
    )
    draft.decide(
        slot,
        Rent(
            slot=slot,
            reason=reason,
            intent_id=intent_id,
            label=label,
            offer_id=offer.offer_id,
            machine_id=offer.machine_id,
            dollars_per_hour=price.rental_dollars_per_hour,
            spec=stream.rental,
            bid_dollars_per_hour=price.bid_dollars_per_hour,
        ),
    )
