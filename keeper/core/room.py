"""What limits leave room for: dollars per hour and the caps, of a stream and of the fleet (I4).

Everything that may still bill counts: what is rented, in doubt, condemned, or ours and in no slot.
"""

from __future__ import annotations

from collections.abc import Mapping

from keeper.core.caps import Crossed, caps_of, crossed
from keeper.core.draft import Draft
from keeper.core.market import price_dollars_per_hour
from keeper.core.model import Offer, OfferNeeds, SlotId, Stream, StreamName, stream_of
from keeper.core.spend import committed_by_stream, record_dollars_per_hour


def shut_by(draft: Draft, stream: Stream) -> Crossed | None:
    """Say which limit not even a host for nothing would fit, so that nobody need search for one."""
    return _crossed(draft, stream, {}, 0.0)


def affordable(
    draft: Draft, stream: Stream, needs: OfferNeeds, suitable: tuple[Offer, ...]
) -> tuple[Offer | None, Crossed | None]:
    """Return the best offer that the limits leave room for; or the cheapest and which it crosses.

    The best is not always the cheapest: a bid comes before on demand, a free machine before one in use.
    """
    if not suitable:
        return None, None
    committed = _committed(draft)
    priced = [(price_dollars_per_hour(offer, needs), offer) for offer in suitable]
    least, cheapest = min(priced, key=lambda each: each[0])
    too_dear = _crossed(draft, stream, committed, least)
    if too_dear is not None:
        return cheapest, too_dear  # and then all are: none need be tried one by one
    fitting = (o for dollars, o in priced if _crossed(draft, stream, committed, dollars) is None)
    return next(fitting, cheapest), None


def crosses_a_limit(
    draft: Draft,
    stream: Stream,
    dollars: float,
    reserve_s: float | None = None,
    once_dollars: float = 0.0,
) -> Crossed | None:
    """Say which limit one more rental would cross, counting everything that may still bill (I4).

    ``reserve_s`` says for how long everything must fit under the caps, if not as for any rental;
    ``once_dollars`` what it costs beside its rate.
    """
    return _crossed(draft, stream, _committed(draft), dollars, reserve_s, once_dollars)


def _committed(draft: Draft) -> dict[StreamName | None, float]:
    """Return all that may bill, by stream: also what is ours and sits in no slot, not yet condemned."""
    committed = committed_by_stream(draft.records.values(), draft.condemned.values())
    for instance, slot, _ in draft.unbound:
        if instance.instance_id not in draft.condemned:
            owner = None if slot is None else stream_of(slot)
            committed[owner] = committed.get(owner, 0.0) + instance.dollars_per_hour
    return committed


def _crossed(
    draft: Draft,
    stream: Stream,
    committed: Mapping[StreamName | None, float],
    dollars: float,
    reserve_s: float | None = None,
    once_dollars: float = 0.0,
) -> Crossed | None:
    of_stream = committed.get(stream.name, 0.0) + dollars
    of_fleet = sum(committed.values()) + dollars
    if of_stream > stream.spend_max_dollars_per_hour:
        limit = stream.spend_max_dollars_per_hour
        return Crossed(
            sentence=f"{of_stream:.3f} of {limit:.3f} $/h for {stream.name}", stream=stream.name
        )
    if of_fleet > draft.fleet.spend_max_dollars_per_hour:
        limit = draft.fleet.spend_max_dollars_per_hour
        return Crossed(sentence=f"{of_fleet:.3f} of {limit:.3f} $/h for the fleet")
    caps = (*caps_of(stream), *caps_of(draft.fleet))
    if not caps:
        return None
    ahead_s = draft.fleet.spend_reserve_s if reserve_s is None else reserve_s
    return crossed(draft.ledger, caps, committed, dollars, draft.now, ahead_s, once_dollars)


def fits_instead(draft: Draft, slot: SlotId, stream: Stream, dollars: float) -> bool:
    """Say whether one more rental fits every limit once the slot's present one is gone, and only then.

    What is condemned already makes room by itself, and a picture is not given up for that (I11).
    """
    lasting = committed_by_stream(draft.records.values(), ())
    if _crossed(draft, stream, lasting, dollars) is None:
        return False
    freed = record_dollars_per_hour(draft.records[slot])
    return crosses_a_limit(draft, stream, dollars - freed) is None
