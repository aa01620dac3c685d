"""Which offer a vacant slot takes: the best that suits, is not avoided, and may be paid for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from keeper.core import spare_money, suspects
from keeper.core.caps import Crossed
from keeper.core.draft import Draft
from keeper.core.events import OffersSearched
from keeper.core.market import Avoided, Funnel, all_that_suit, avoided_by_quarantine, merged, search
from keeper.core.model import InstanceId, MachineId, Offer, OfferNeeds, SlotId, Stream
from keeper.core.moments import elapsed_s
from keeper.core.room import affordable
from keeper.core.shortage import explain
from keeper.core.spread import Apart, apart_from

_DETAIL_MAX = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a look at the market came to."""

    needs: OfferNeeds  # by which it was looked for
    funnel: Funnel
    shortage: str  # why nothing suits; "" when something does
    offer: Offer | None  # None: nothing suits
    too_dear: Crossed | None  # not even the cheapest fits: the limit that it crosses

    @property
    def may_be_taken(self) -> bool:
        """Whether there is an offer, and room for it."""
        return self.offer is not None and self.too_dear is None


def choose(
    draft: Draft,
    slot: SlotId,
    stream: Stream,
    in_turn: tuple[OfferNeeds, ...],
    avoiding: Avoided,
) -> Choice:
    """Return the best by the first of these needs by which something suits and may be paid for.

    A bid that fits is better than a stream that stays dark because nothing on demand does (I18).
    """
    choice, passed_over = _best(draft, slot, stream, in_turn[0], avoiding), ""
    for needs in in_turn[1:]:
        if choice.may_be_taken:
            break
        if choice.too_dear is not None:
            basis = choice.needs.pricing.value.replace("_", " ")
            passed_over = f"; no room {basis}: {choice.too_dear.sentence}"
        choice = _best(draft, slot, stream, needs, avoiding)
    funnel = choice.funnel
    draft.tell(
        OffersSearched(
            stream=stream.name,
            found=funnel.found,
            suitable=len(funnel.suitable),
            detail=funnel.sentence() + passed_over,
        )
    )
    return choice


def _best(
    draft: Draft, slot: SlotId, stream: Stream, needs: OfferNeeds, avoiding: Avoided
) -> Choice:
    funnel, shortage = _search(draft, slot, stream, needs, avoiding)
    offer, too_dear = affordable_for(draft, slot, stream, needs, funnel.suitable)
    return Choice(needs=needs, funnel=funnel, shortage=shortage, offer=offer, too_dear=too_dear)


def affordable_for(
    draft: Draft, slot: SlotId, stream: Stream, needs: OfferNeeds, suitable: tuple[Offer, ...]
) -> tuple[Offer | None, Crossed | None]:
    """Return the best offer that may be paid for; for a spare by stricter limits than for a slot."""
    within = spare_money.affordable if slot in draft.spares else affordable
    return within(draft, stream, needs, suitable)


def looked_at(draft: Draft, slot: SlotId, stream: Stream) -> tuple[Offer, ...]:
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


def avoided(draft: Draft, slot: SlotId) -> Avoided:
    """Return what a slot must not rent now: quarantined, lost, or taken in this very tick."""
    quarantine = {**draft.world.quarantine, **draft.struck}
    machines, hosts = avoided_by_quarantine(
        quarantine, draft.now, draft.fleet.quarantine_host_after
    )
    found = Avoided(
        offers=frozenset(draft.records[slot].avoid_offers) | draft.offers_taken,
        machines=machines,
        hosts=hosts,
        traits=suspects.avoided(draft.causes),
    )
    return found if slot not in draft.spares else replace(found, apart=_apart(draft, slot))


def _apart(draft: Draft, place: SlotId) -> Apart:
    """Return what the stream's hosts and other spares have, as far as this spare must differ."""
    stream = draft.spares[place]
    others = [
        (tenure, _address(draft, tenure.instance_id))
        for each in (*stream.slots, *stream.spare_places)
        if each != place
        for tenure in (draft.records[each].tenure, draft.records[each].incoming)
        if tenure is not None
    ]
    return apart_from(others, stream.spares.spread)


def _address(draft: Draft, instance_id: InstanceId | None) -> str:
    instance = None if instance_id is None else draft.listed.get(instance_id)
    return "" if instance is None else instance.public_ip


def _search(
    draft: Draft, slot: SlotId, stream: Stream, needs: OfferNeeds, avoiding: Avoided
) -> tuple[Funnel, str]:
    """Return what suits, best first; and where nothing does, why."""
    machines = machines_in_use(draft)
    question = (stream.name, needs, avoiding, draft.records[slot].offer_asked, machines)
    if question not in draft.looks:
        offers = looked_at(draft, slot, stream)
        about, shortage = (stream.name, needs.pricing), ""
        funnel = draft.standing.answer(search, offers, needs, avoiding, machines, about=about)
        if not funnel.suitable:
            known = _known(draft, slot, stream)
            shortage = explain(known, needs, avoiding).sentence()[:_DETAIL_MAX]
        draft.looks[question] = funnel, shortage
    return draft.looks[question]


def suiting(
    draft: Draft, stream: Stream, needs: OfferNeeds, avoiding: Avoided
) -> tuple[Offer, ...]:
    """Return what suits of a stream's last search, however long ago that was, in any order."""
    question = (stream.name, needs, avoiding)
    if question not in draft.suiting:
        offers = draft.world.offers[stream.name].offers
        about = (stream.name, needs.pricing)
        draft.suiting[question] = draft.standing.answer(
            all_that_suit, offers, needs, avoiding, about=about
        )
    return draft.suiting[question]


def machines_in_use(draft: Draft) -> frozenset[MachineId]:
    """Return the machines that carry a rental of ours: they are ranked last."""
    return frozenset(
        tenure.machine_id
        for record in draft.records.values()
        for tenure in (record.tenure, record.incoming)
        if tenure is not None
    )
