"""What became of a create: the rental it made, a refusal, or a doubt that only listings settle.

A create is sent once (I1-I3). Its answer may be lost, may name a rental in spite of an error, and may
name one that is somebody else's; the label that went with it tells in every case.
"""

from __future__ import annotations

from datetime import datetime

from keeper.core.backoff import stepped_s
from keeper.core.conditions import in_the_past
from keeper.core.copying import replace
from keeper.core.decisions import Adopt
from keeper.core.draft import Draft, Seat
from keeper.core.events import (
    InstanceAdopted,
    InstanceRented,
    RentFailed,
    RentUncertain,
    RentVoided,
)
from keeper.core.model import InstanceId, Intent, IntentKind, Policy, SlotId, SlotRecord, Tenure
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason
from keeper.core.rent import WISH_DROPPED_S
from keeper.core.world import Listing, Outcome, OutcomeKind

# Lost races that are remembered per slot; older offers have left the market by then.
_AVOIDED_OFFERS_MAX = 20
# So many lost one after the other are no bad luck: the next one waits like any fruitless search.
_RACES_MAX = 10


def answered(draft: Draft, intent: Intent, outcome: Outcome) -> None:
    """Write down the answer to a create: taken in, refused, or in doubt."""
    found = draft.seat_of_label(intent.slot, intent.label)
    if found is None or intent.slot is None or found[1].instance_id is not None:
        draft.closed.add(intent.intent_id)
        named = outcome.instance_id
        if found is None and named is not None and not _is_anothers(draft, named, intent):
            # The slot has moved on; nothing may be left behind.
            draft.condemn(
                named, slot=intent.slot, label=intent.label,
                reason=Reason.STRAY_RENTAL, dollars_per_hour=0.0, rented_at=outcome.at,
            )  # fmt: skip
        return
    seat, tenure = found
    if outcome.instance_id is not None and _is_anothers(draft, outcome.instance_id, intent):
        # Whatever it means, it is not the rental that we asked for: the listing has to say (I8).
        why = f"the answer names rental {outcome.instance_id}, which is another one"
        doubt(draft, intent.slot, seat, tenure, at=outcome.at, error=why)
    elif outcome.kind is OutcomeKind.DONE and outcome.instance_id is not None:
        draft.closed.add(intent.intent_id)
        take_in(draft, intent.slot, seat, replace(
            tenure, instance_id=outcome.instance_id, rented_at=outcome.at,
            booting_since=outcome.at,
        ))  # fmt: skip
        draft.tell(
            InstanceRented(
                slot=intent.slot,
                instance_id=outcome.instance_id,
                label=tenure.label,
                dollars=tenure.dollars_per_hour,
            )
        )
    elif outcome.kind is OutcomeKind.FAILED or outcome.instance_id is not None:
        draft.closed.add(intent.intent_id)
        _rent_failed(draft, intent.slot, seat, tenure, outcome)
    else:
        doubt(draft, intent.slot, seat, tenure, at=outcome.at, error=outcome.error)


def _is_anothers(draft: Draft, instance_id: InstanceId, intent: Intent) -> bool:
    """Say whether an id that a create's answer names is known to be something else.

    It was listed before the create was sent, or it is listed with another label, or keeper has it in
    another place already; or another rental is listed with the label that the create was given.
    """
    if instance_id in draft.condemned:
        return True
    if any(tenure.instance_id == instance_id for _, _, tenure in draft.seated()):
        return True
    row, listing = draft.listed.get(instance_id), draft.world.listing
    if row is None or listing is None or row.label == intent.label:
        return False
    return bool(row.label) or listing.at <= intent.opened_at or is_listed(draft, label=intent.label)


def is_listed(draft: Draft, *, label: str) -> bool:
    """Say whether a rental carries a label. A label may come late; it does not come to another one."""
    return any(each.label == label for each in draft.listed.values())


def take_in(draft: Draft, slot: SlotId, seat: Seat, tenure: Tenure) -> None:
    """Seat a rental that now has an id; a slot that found a host starts its search anew."""
    draft.put(slot, seat, tenure)
    draft.records[slot] = without_search(draft.records[slot])
    if seat is Seat.INCOMING:
        count_replacement(draft, slot)
    elif (used := draft.records[slot].replaced_at)[-1:] == (tenure.requested_at,):
        # Counted when it was decided on; the create may have waited its turn since then, and the
        # next host is to come so much later after this one, not after the wish for it.
        draft.records[slot] = replace(draft.records[slot], replaced_at=(*used[:-1], draft.now))


def without_search(record: SlotRecord) -> SlotRecord:
    """Return a record as it is when no host is looked for; the same object when none was."""
    if not (
        record.offer_misses or record.next_rent_at or record.avoid_offers or record.offer_asked
    ):
        return record
    return replace(
        record,
        offer_misses=0,
        next_rent_at=None,
        rent_detail="",
        avoid_offers=(),
        offer_asked=None,
    )


def count_replacement(draft: Draft, slot: SlotId) -> None:
    """Use up one of the slot's replacements; those outside the window are forgotten here."""
    record = draft.records[slot]
    window_s = draft.policy(slot).replacements_window_s
    recent = tuple(at for at in record.replaced_at if elapsed_s(at, draft.now) < window_s)
    draft.records[slot] = replace(record, replaced_at=(*recent, draft.now))


def _rent_failed(draft: Draft, slot: SlotId, seat: Seat, tenure: Tenure, outcome: Outcome) -> None:
    reason = outcome.reason or Reason.BACKING_OFF
    draft.tell(
        RentFailed(
            slot=slot,
            reason=reason,
            label=tenure.label,
            offer_id=tenure.offer_id,
            error=outcome.error,
        )
    )
    if outcome.instance_id is not None:
        # An error answer that still made a contract (policy section 4).
        draft.condemn(
            outcome.instance_id, slot=slot, label=tenure.label, reason=Reason.STRAY_RENTAL,
            dollars_per_hour=tenure.dollars_per_hour, rented_at=outcome.at,
        )  # fmt: skip
    draft.put(slot, seat, None)
    record = draft.records[slot]
    avoid = record.avoid_offers
    if reason in (Reason.OFFER_GONE, Reason.NO_SUITABLE_OFFER):
        avoid = (*avoid, tenure.offer_id)[-_AVOIDED_OFFERS_MAX:]
    was_asked = record.offer_asked == tenure.offer_id
    why = outcome.error
    if was_asked:
        # This one and no other: what comes instead is for the operator to say, within a moment.
        why = f"offer {tenure.offer_id} could not be rented: {outcome.error or reason.value}"
        record = replace(record, offer_asked=None)
    elif reason is Reason.OFFER_GONE and len(avoid) >= _RACES_MAX:
        reason = Reason.NO_SUITABLE_OFFER
        why = f"{len(avoid)} offers in a row were gone, the last one so: {outcome.error}"
    if reason is Reason.OFFER_GONE and not was_asked:
        draft.records[slot] = replace(record, avoid_offers=avoid, next_rent_at=None)
        return
    draft.records[slot] = replace(record, avoid_offers=avoid)
    least_s = max(outcome.retry_after_s or 0.0, WISH_DROPPED_S if was_asked else 0.0)
    _search_later(draft, slot, reason, why, least_s)


def _count_void(draft: Draft, slot: SlotId, label: str) -> None:
    """Go on at once after the first create that came to nothing unheard; after more, more slowly."""
    record = draft.records[slot]
    if record.offer_misses:
        why = f"create {label} was never answered, and its rental never appeared"
        _search_later(draft, slot, Reason.BACKING_OFF, why)
    else:
        draft.records[slot] = replace(record, offer_misses=1)


def _search_later(
    draft: Draft, slot: SlotId, reason: Reason, why: str, least_s: float = 0.0
) -> None:
    """Count a create that came to nothing like a fruitless search: each waits longer for the next."""
    record = draft.records[slot]
    steps = draft.policy(slot).no_offer_backoff_s
    pause_s = max(stepped_s(record.offer_misses, steps, slot), least_s)
    draft.records[slot] = replace(
        record,
        offer_misses=record.offer_misses + 1,
        next_rent_at=later(draft.now, pause_s),
        rent_reason=reason,
        rent_detail=why,
    )


def doubt(
    draft: Draft, slot: SlotId, seat: Seat, tenure: Tenure, *, at: datetime, error: str
) -> None:
    """Note once from when on the listing has to answer for a create."""
    if tenure.acted_at is not None:
        return
    draft.put(slot, seat, replace(tenure, acted_at=at))
    draft.tell(RentUncertain(slot=slot, label=tenure.label, offer_id=tenure.offer_id, error=error))


def look_for(draft: Draft, slot: SlotId, seat: Seat, tenure: Tenure) -> None:
    """Adopt a doubtful create that a complete listing shows, or void it when time has told."""
    listing = draft.world.listing
    if (present := in_the_past(tenure, draft.now)) is not tenure:
        tenure = present
        draft.put(slot, seat, tenure)
    if listing is None or listing.at <= tenure.requested_at:
        draft.count_listings()
        return
    shown = [i for i in listing.instances if i.label == tenure.label]
    shown = [i for i in shown if i.instance_id not in draft.condemned]
    if shown:
        instance = min(shown, key=lambda each: each.instance_id)
        began_at = tenure.requested_at
        take_in(draft, slot, seat, replace(
            tenure, instance_id=instance.instance_id, rented_at=began_at, booting_since=began_at,
            missing_since=None, missing_listed_at=None,
        ))  # fmt: skip
        _close_rent(draft, tenure.label)
        draft.decided.add(slot)
        found = Reason.FOUND_BY_LABEL
        draft.tell(
            InstanceAdopted(
                slot=slot, instance_id=instance.instance_id, label=tenure.label, reason=found
            )
        )
        draft.decide(
            slot,
            Adopt(slot=slot, reason=found, instance_id=instance.instance_id, label=tenure.label),
        )
        return
    since = tenure.acted_at or tenure.requested_at
    if listing.at <= since:
        draft.count_listings(since)
        return  # the create may have waited for its turn and left after this was asked
    started_at = draft.world.started_at
    if started_at is not None:
        # Time that nobody has watched, or that a clock has made up by a step, settles nothing.
        since = max(since, started_at)
    tenure = note_missing(tenure, listing, started_at)
    draft.put(slot, seat, tenure)
    policy = draft.policy(slot)
    draft.count_listings(absence_settled_at(tenure, policy, started_at))
    if absent_for(tenure, since) >= policy.create_settle_s and (
        absence_span_s(tenure) >= policy.absence_apart_s
    ):
        draft.put(slot, seat, None)
        _close_rent(draft, tenure.label)
        _count_void(draft, slot, tenure.label)
        draft.tell(
            RentVoided(
                slot=slot,
                label=tenure.label,
                duration_s=elapsed_s(tenure.requested_at, draft.now),
            )
        )


def note_missing(tenure: Tenure, listing: Listing, started_at: datetime | None) -> Tenure:
    """Write down that a complete listing lacks the rental; the same listing counts once.

    The first counts from its answer on, the second from when it was asked for: so far they lie apart.
    """
    if begins_anew(tenure.missing_since, listing, started_at):
        return replace(tenure, missing_since=listing.taken_by, missing_listed_at=listing.at)
    if tenure.missing_listed_at is None or tenure.missing_listed_at < listing.at:
        return replace(tenure, missing_listed_at=listing.at)
    return tenure


def begins_anew(
    missing_since: datetime | None, listing: Listing, started_at: datetime | None
) -> bool:
    """Whether a listing without a rental is the first of its kind, as far as time can be believed.

    Two of them prove an absence only if they lie apart. How far one of before keeper's start, or
    before a step of the clock, lies from one after it, nobody knows.
    """
    return (
        missing_since is None
        or missing_since > listing.taken_by
        or (started_at is not None and missing_since < started_at <= listing.at)
    )


def absent_for(tenure: Tenure, since: datetime) -> float:
    """Return how long after ``since`` the latest listing without the rental was taken, in seconds."""
    return 0.0 if tenure.missing_listed_at is None else elapsed_s(since, tenure.missing_listed_at)


def absence_settled_at(
    tenure: Tenure, policy: Policy, started_at: datetime | None
) -> datetime | None:
    """Return from when on a listing without the rental could settle its absence.

    One that never was listed gets the time that a create may take; any other must only be missed
    twice. Earlier listings say the same.
    """
    if tenure.missing_since is None:
        return None
    apart_at = later(tenure.missing_since, policy.absence_apart_s)
    if tenure.listed_at is not None:
        return apart_at
    since = tenure.rented_at or tenure.acted_at or tenure.requested_at
    if started_at is not None:
        since = max(since, started_at)
    return max(apart_at, later(since, policy.create_settle_s))


def is_absent_by_id(tenure: Tenure) -> bool:
    """Whether the answer by id has said that it does not exist, since lists began to lack it."""
    since, at = tenure.missing_since, tenure.absent_by_id_at
    return since is not None and at is not None and at >= since


def absence_span_s(tenure: Tenure) -> float:
    """Return how far apart the first and the latest listing without the rental are."""
    if tenure.missing_since is None or tenure.missing_listed_at is None:
        return 0.0
    return elapsed_s(tenure.missing_since, tenure.missing_listed_at)


def _close_rent(draft: Draft, label: str) -> None:
    for intent in draft.world.intents:
        if intent.kind is IntentKind.RENT and intent.label == label:
            draft.closed.add(intent.intent_id)
