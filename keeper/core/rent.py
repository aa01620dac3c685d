"""How a vacant slot is filled: fresh offers, the best that suits, and whether it may be paid for.

A search that finds nothing is explained and repeated with growing pauses; a lost race is not. Nothing
is ever asked for twice: a new attempt has a new label.
"""

from __future__ import annotations

from dataclasses import replace

from keeper.core.backoff import longest_s, stepped_s
from keeper.core.decisions import Hold, Rent, Wait
from keeper.core.draft import Draft, Seat
from keeper.core.events import InstanceRenting, OffersSearched
from keeper.core.labels import label_for
from keeper.core.market import (
    Avoided,
    Funnel,
    avoided_by_quarantine,
    price_dollars_per_hour,
    search,
)
from keeper.core.model import IntentKind, MachineId, Offer, SlotId, Stream, Tenure
from keeper.core.moments import elapsed_s, is_due, later
from keeper.core.reasons import Reason
from keeper.core.spend import committed_by_stream

# A refused create may come with the marketplace's own wish for patience, up to this.
_RETRY_AFTER_MAX_S = 3600.0


def fill(draft: Draft, slot: SlotId, stream: Stream, seat: Seat, reason: Reason) -> bool:
    """Decide how to get a host for a seat; returns whether a rental was asked for."""
    record, now = draft.records[slot], draft.now
    longest_wait_s = max(longest_s(stream.policy.no_offer_backoff_s), _RETRY_AFTER_MAX_S)
    if not is_due(record.next_rent_at, now, longest_wait_s):
        draft.decide(slot, Wait(slot=slot, reason=record.rent_reason, until=record.next_rent_at))
        return False
    book = draft.world.offers.get(stream.name)
    if book is None or elapsed_s(book.at, now) > stream.policy.offers_max_age_s:
        draft.offers_for.add(stream.name)
        draft.decide(slot, Wait(slot=slot, reason=Reason.OFFERS_STALE))
        return False
    funnel = _search(draft, slot, stream)
    if not funnel.suitable:
        _found_nothing(draft, slot, stream, funnel)
        return False
    offer = funnel.suitable[0]
    dollars = price_dollars_per_hour(offer, stream.needs)
    if (too_dear := crosses_a_limit(draft, stream, dollars)) is not None:
        draft.decide(
            slot,
            Hold(slot=slot, reason=Reason.BUDGET, wanted="rent", wanted_reason=reason),
            detail=too_dear,
        )
        return False
    _rent(draft, slot, stream, seat, reason, offer)
    return True


def _search(draft: Draft, slot: SlotId, stream: Stream) -> Funnel:
    quarantine = {**draft.world.quarantine, **draft.struck}
    machines, hosts = avoided_by_quarantine(
        quarantine, draft.now, draft.fleet.quarantine_host_after
    )
    avoided = Avoided(
        offers=frozenset(draft.records[slot].avoid_offers) | draft.offers_taken,
        machines=machines,
        hosts=hosts,
    )
    funnel = search(
        draft.world.offers[stream.name].offers, stream.needs, avoided, _machines_in_use(draft)
    )
    draft.tell(
        OffersSearched(
            stream=stream.name,
            found=funnel.found,
            suitable=len(funnel.suitable),
            detail=funnel.sentence(),
        )
    )
    return funnel


def _machines_in_use(draft: Draft) -> frozenset[MachineId]:
    return frozenset(
        tenure.machine_id
        for record in draft.records.values()
        for tenure in (record.tenure, record.incoming)
        if tenure is not None
    )


def _found_nothing(draft: Draft, slot: SlotId, stream: Stream, funnel: Funnel) -> None:
    record = draft.records[slot]
    pause_s = stepped_s(record.offer_misses, stream.policy.no_offer_backoff_s, slot)
    next_rent_at = later(draft.now, pause_s)
    draft.records[slot] = replace(
        record,
        offer_misses=record.offer_misses + 1,
        next_rent_at=next_rent_at,
        rent_reason=Reason.NO_SUITABLE_OFFER,
        avoid_offers=(),  # what was lost may be free again by the next search
    )
    draft.decide(
        slot,
        Wait(slot=slot, reason=Reason.NO_SUITABLE_OFFER, until=next_rent_at),
        detail=funnel.sentence(),
    )


def crosses_a_limit(draft: Draft, stream: Stream, dollars: float) -> str | None:
    """Say which limit one more rental would cross, counting everything that may still bill (I4)."""
    committed = committed_by_stream(draft.records.values(), draft.condemned.values())
    of_stream = committed.get(stream.name, 0.0) + dollars
    of_fleet = sum(committed.values()) + dollars
    if of_stream > stream.spend_max_dollars_per_hour:
        return f"{of_stream:.3f} of {stream.spend_max_dollars_per_hour:.3f} $/h for {stream.name}"
    if of_fleet > draft.fleet.spend_max_dollars_per_hour:
        return f"{of_fleet:.3f} of {draft.fleet.spend_max_dollars_per_hour:.3f} $/h for the fleet"
    return None


def _rent(
    draft: Draft, slot: SlotId, stream: Stream, seat: Seat, reason: Reason, offer: Offer
) -> None:
    record = draft.records[slot]
    attempt = record.attempt + 1
    label = label_for(draft.world.keeper_id, slot, attempt)
    draft.records[slot] = replace(record, attempt=attempt, next_rent_at=None)
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
            dollars_per_hour=offer.dollars_per_hour,
            requested_at=draft.now,
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
            dollars=offer.dollars_per_hour,
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
            dollars_per_hour=offer.dollars_per_hour,
            spec=stream.rental,
        ),
    )
