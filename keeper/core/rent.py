"""How a vacant slot is filled: fresh offers, the best that suits, and whether it may be paid for.

A search that finds nothing is explained and repeated with growing pauses; a lost race is not. Nothing
is ever asked for twice: a new attempt has a new label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from math import inf

from keeper.core import recycle, suspects
from keeper.core.backoff import longest_s, stepped_s
from keeper.core.bids import needs_in_turn
from keeper.core.caps import Crossed, caps_of, crossed
from keeper.core.dark import dark_dollars, is_given_up
from keeper.core.decisions import Hold, Rent, Wait
from keeper.core.draft import Draft, Seat
from keeper.core.events import HostRecycling, InstanceRenting, OffersSearched
from keeper.core.labels import label_for
from keeper.core.market import (
    Avoided,
    Funnel,
    Price,
    avoided_by_quarantine,
    merged,
    price_dollars_per_hour,
    price_of,
    search,
)
from keeper.core.model import (
    IntentKind,
    MachineId,
    Offer,
    OfferNeeds,
    SlotId,
    SlotRecord,
    Stream,
    StreamName,
    Tenure,
    stream_of,
)
from keeper.core.moments import elapsed_s, is_due, later
from keeper.core.reasons import Reason
from keeper.core.shortage import explain
from keeper.core.spend import committed_by_stream, record_dollars_per_hour
from keeper.core.world import OfferBook

# A refused create may come with the marketplace's own wish for patience, up to this.
_RETRY_AFTER_MAX_S = 3600.0
# An operator whose offer is gone gets a moment to name another before the ranking goes on.
WISH_DROPPED_S = 30.0
_DETAIL_MAX = 600


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
    longest_wait_s = max(longest_s(stream.policy.no_offer_backoff_s), _RETRY_AFTER_MAX_S)
    if not is_due(record.next_rent_at, now, longest_wait_s):
        draft.decide(slot, Wait(slot=slot, reason=record.rent_reason, until=record.next_rent_at))
        return False
    is_optional = reason is Reason.RECYCLE
    book = draft.world.offers.get(stream.name)
    in_turn = needs_in_turn(stream, record.outbid_at, now)
    avoided = _avoided(draft, slot)
    if book is None or elapsed_s(book.at, now) > stream.policy.offers_max_age_s:
        still = (
            None if book is None else _still_too_dear(draft, slot, stream, in_turn, book, avoided)
        )
        if still is None:
            _ask_for_offers(draft, slot, stream)
        else:
            _hold_for(draft, slot, reason, still)
        return False
    if record.offer_asked is not None and not _is_asked_offer_here(draft, slot, stream):
        return False
    needs, funnel, shortage = _search_in_turn(draft, slot, stream, in_turn, avoided)
    if not funnel.suitable and is_optional:
        recycle.put_off(draft, slot)
        return False
    if not funnel.suitable:
        _found_nothing(draft, slot, stream, shortage)
        return False
    offer, too_dear = _affordable(draft, stream, needs, funnel.suitable)
    dollars = price_dollars_per_hour(offer, needs)
    if too_dear is not None and is_optional:
        recycle.put_off(draft, slot)
        return False
    if too_dear is not None:
        if break_first is not None and _fits_instead(draft, slot, stream, dollars):
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
    shut = _crossed(draft, stream, {}, 0.0)
    if shut is not None:
        _hold_for(draft, slot, reason, shut)
    return shut is not None


def _still_too_dear(
    draft: Draft,
    slot: SlotId,
    stream: Stream,
    in_turn: tuple[OfferNeeds, ...],
    book: OfferBook,
    avoided: Avoided,
) -> Crossed | None:
    """Say which limit the offers of the last search still cross, if that is what a slot waits for.

    A cap may leave no room for half a day, and the searches of a day are counted. So the market is
    looked at as rarely then as when nothing suits; a limit that is raised is noticed at once.
    """
    record = draft.records[slot]
    again_at = later(book.at, longest_s(stream.policy.no_offer_backoff_s))
    if record.last_reason is not Reason.BUDGET or record.offer_asked or again_at <= draft.now:
        return None
    for needs in in_turn:
        suitable = search(book.offers, needs, avoided, _machines_in_use(draft)).suitable
        if suitable:
            break
    else:
        return None
    crossed_by = _affordable(draft, stream, needs, suitable)[1]
    if crossed_by is not None:
        draft.wake(again_at)
    return crossed_by


def _hold_for(draft: Draft, slot: SlotId, reason: Reason, crossed: Crossed) -> None:
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


def _looked_at(draft: Draft, slot: SlotId, stream: Stream) -> tuple[Offer, ...]:
    """Return the offers a slot chooses from: the one an operator asked for, or all that are fresh."""
    book = draft.world.offers[stream.name]
    age_s = inf if book.around_at is None else elapsed_s(book.around_at, draft.now)
    is_fresh = age_s <= stream.policy.offers_max_age_s
    return _asked_for(draft, slot, merged(book.around if is_fresh else (), book.offers))


def _known(draft: Draft, slot: SlotId, stream: Stream) -> tuple[Offer, ...]:
    """Return every offer that can explain why none suits, those of an older look around included."""
    book = draft.world.offers[stream.name]
    return _asked_for(draft, slot, merged(book.around, book.offers))


def _asked_for(draft: Draft, slot: SlotId, offers: tuple[Offer, ...]) -> tuple[Offer, ...]:
    asked = draft.records[slot].offer_asked
    return offers if asked is None else tuple(each for each in offers if each.offer_id == asked)


def _is_asked_offer_here(draft: Draft, slot: SlotId, stream: Stream) -> bool:
    """Say whether the offer that an operator asked for is in the book; an older book does not count.

    One that is not on the market is dropped from the wishes: what comes instead is for the operator
    to say, or for the ranking at the next look.
    """
    record = draft.records[slot]
    if _looked_at(draft, slot, stream):
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


def _avoided(draft: Draft, slot: SlotId) -> Avoided:
    quarantine = {**draft.world.quarantine, **draft.struck}
    machines, hosts = avoided_by_quarantine(
        quarantine, draft.now, draft.fleet.quarantine_host_after
    )
    return Avoided(
        offers=frozenset(draft.records[slot].avoid_offers) | draft.offers_taken,
        machines=machines,
        hosts=hosts,
        traits=suspects.avoided(draft.causes),
    )


def _search(
    draft: Draft, slot: SlotId, stream: Stream, needs: OfferNeeds, avoided: Avoided
) -> tuple[Funnel, str]:
    """Return what suits, best first; and where nothing does, why."""
    question = (stream.name, needs, avoided, draft.records[slot].offer_asked)
    if question in draft.fruitless:
        funnel, shortage = draft.fruitless[question]
    else:
        offers = _looked_at(draft, slot, stream)
        funnel, shortage = search(offers, needs, avoided, _machines_in_use(draft)), ""
        if not funnel.suitable:
            known = _known(draft, slot, stream)
            shortage = explain(known, needs, avoided).sentence()[:_DETAIL_MAX]
            draft.fruitless[question] = funnel, shortage
    return funnel, shortage


def _search_in_turn(
    draft: Draft,
    slot: SlotId,
    stream: Stream,
    in_turn: tuple[OfferNeeds, ...],
    avoided: Avoided,
) -> tuple[OfferNeeds, Funnel, str]:
    """Return the first of these needs that something suits, else the last, and what came of it."""
    needs = in_turn[0]
    funnel, shortage = _search(draft, slot, stream, needs, avoided)
    if not funnel.suitable and in_turn[-1] != needs:
        needs = in_turn[-1]
        funnel, shortage = _search(draft, slot, stream, needs, avoided)
    draft.tell(
        OffersSearched(
            stream=stream.name,
            found=funnel.found,
            suitable=len(funnel.suitable),
            detail=funnel.sentence(),
        )
    )
    return needs, funnel, shortage


def _machines_in_use(draft: Draft) -> frozenset[MachineId]:
    return frozenset(
        tenure.machine_id
        for record in draft.records.values()
        for tenure in (record.tenure, record.incoming)
        if tenure is not None
    )


def _found_nothing(draft: Draft, slot: SlotId, stream: Stream, said: str) -> None:
    record = draft.records[slot]
    if record.offer_asked is not None:
        _drop_wish(draft, slot, f"offer {record.offer_asked} does not suit: {said}")
        return
    pause_s = stepped_s(record.offer_misses, stream.policy.no_offer_backoff_s, slot)
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


def _charged_now(draft: Draft, record: SlotRecord, seat: Seat) -> tuple[datetime, ...]:
    """Count a replacement from now on: it was counted when the host before was given up.

    The allowance is about hosts. One that waited for an offer longer than the window is long would
    otherwise not be in it.
    """
    if seat is Seat.INCOMING or not record.replaced_at:
        return record.replaced_at
    return (*record.replaced_at[:-1], draft.now)


def _affordable(
    draft: Draft, stream: Stream, needs: OfferNeeds, suitable: tuple[Offer, ...]
) -> tuple[Offer, Crossed | None]:
    """Return the best offer that the limits leave room for; or the cheapest and which it crosses.

    The best is not always the cheapest: a bid comes before on demand, a free machine before one in use.
    """
    committed = _committed(draft)
    priced = [(price_dollars_per_hour(offer, needs), offer) for offer in suitable]
    for dollars, offer in priced:
        if _crossed(draft, stream, committed, dollars) is None:
            return offer, None
    least, cheapest = min(priced, key=lambda each: each[0])
    return cheapest, _crossed(draft, stream, committed, least)


def crosses_a_limit(draft: Draft, stream: Stream, dollars: float) -> Crossed | None:
    """Say which limit one more rental would cross, counting everything that may still bill (I4)."""
    return _crossed(draft, stream, _committed(draft), dollars)


def _committed(draft: Draft) -> dict[StreamName | None, float]:
    """Return all that may bill, by stream: also what is ours and sits in no slot, not yet condemned."""
    committed = committed_by_stream(draft.records.values(), draft.condemned.values())
    for instance, slot, _ in draft.unbound:
        if instance.instance_id not in draft.condemned:
            owner = None if slot is None else stream_of(slot)
            committed[owner] = committed.get(owner, 0.0) + instance.dollars_per_hour
    return committed


def _crossed(
    draft: Draft, stream: Stream, committed: Mapping[StreamName | None, float], dollars: float
) -> Crossed | None:
    of_stream = committed.get(stream.name, 0.0) + dollars
    of_fleet = sum(committed.values()) + dollars
    if of_stream > stream.spend_max_dollars_per_hour:
        limit = stream.spend_max_dollars_per_hour
        return Crossed(sentence=f"{of_stream:.3f} of {limit:.3f} $/h for {stream.name}")
    if of_fleet > draft.fleet.spend_max_dollars_per_hour:
        limit = draft.fleet.spend_max_dollars_per_hour
        return Crossed(sentence=f"{of_fleet:.3f} of {limit:.3f} $/h for the fleet")
    caps = (*caps_of(stream), *caps_of(draft.fleet))
    if not caps:
        return None
    reserve_s = draft.fleet.spend_reserve_s
    return crossed(draft.ledger, caps, committed, dollars, draft.now, reserve_s)


def _fits_instead(draft: Draft, slot: SlotId, stream: Stream, dollars: float) -> bool:
    """Say whether one more rental fits every limit once the slot's present one is gone, and only then.

    What is condemned already makes room by itself, and a picture is not given up for that (I11).
    """
    lasting = committed_by_stream(draft.records.values(), ())
    if _crossed(draft, stream, lasting, dollars) is None:
        return False
    freed = record_dollars_per_hour(draft.records[slot])
    return crosses_a_limit(draft, stream, dollars - freed) is None


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
        replaced_at=_charged_now(draft, record, seat),
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
    draft.is_busy = True
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
