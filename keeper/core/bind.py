"""Second step: which listed rental belongs to which slot, and which belongs to none.

Only a complete listing speaks, each one once; a stale, failed or partial one is never absence (I9).
Rentals without keeper's label do not exist for keeper (I8).
"""

from __future__ import annotations

from math import inf

from keeper.core import stillness, terms
from keeper.core.cause import network_of
from keeper.core.conditions import is_as_ordered, is_fatal
from keeper.core.copying import replace
from keeper.core.creates import (
    absence_settled_at,
    absence_span_s,
    begins_anew,
    is_absent_by_id,
    is_listed,
    note_missing,
    without_search,
)
from keeper.core.credit import is_out_of_credit, was_starved
from keeper.core.decisions import Wait
from keeper.core.draft import Draft
from keeper.core.events import InstanceAdopted, OrphanCleared, OrphanSeen, RentUncertain
from keeper.core.labels import is_keepers, parse
from keeper.core.meter import GAP_MAX_S, charged
from keeper.core.model import (
    Condemned,
    HostId,
    Instance,
    InstanceId,
    MachineId,
    MarketState,
    OfferId,
    OfferNeeds,
    OrphanPolicy,
    SlotId,
    Tenure,
    is_spare,
    stream_of,
)
from keeper.core.moments import elapsed_s
from keeper.core.reasons import Reason
from keeper.core.world import Listing, Order, OrderKind

# What may not be forgotten yet is asked for by its id so often, in case it is there after all.
_ASKED_AGAIN_S = 60.0
# A rental of a stream that is no longer declared is ended anyway, whatever it costs.
_NO_LIMIT = OfferNeeds(price_max_dollars_per_hour=inf)


def bind(draft: Draft) -> None:
    """Bring tenures, condemned rentals and everything else that carries our label up to date."""
    listing = draft.world.listing
    if listing is None:
        return
    bound = {sound.instance_id for sound in draft.undisturbed.values()}
    for slot, seat, tenure in draft.attended():
        if tenure.instance_id is None:
            continue
        bound.add(tenure.instance_id)
        after = _bind_tenure(draft, slot, tenure, tenure.instance_id, listing)
        if after is not tenure:
            draft.put(slot, seat, after)
    if draft.condemned:
        _confirm_condemned(draft, listing)
    bound |= draft.condemned.keys()
    if not draft.listed.keys() <= bound:
        _sort_out_unbound(draft, listing, bound)
    if draft.world.orphans_known:
        _clear_orphans(draft, bound)


def _bind_tenure(
    draft: Draft, slot: SlotId, tenure: Tenure, instance_id: InstanceId, listing: Listing
) -> Tenure:
    if listing.at <= (tenure.rented_at or tenure.requested_at):
        return tenure  # asked before the rental was made: it can say nothing about it
    instance = draft.listed.get(instance_id)
    if instance is None:
        # A listing may skip a row; the answer by id settles it, either way.
        instance = draft.world.shown.get(instance_id)
        if instance is not None:
            draft.listed = {**draft.listed, instance_id: instance}
    if instance is not None and _is_stranger(draft, tenure, instance):
        return _let_go(draft, slot, tenure, instance)
    if instance is not None:
        return _follow(draft, slot, tenure, instance, listing)
    tenure = note_missing(tenure, listing, draft.world.started_at)
    policy, started_at = draft.policy(slot), draft.world.started_at
    draft.count_listings(absence_settled_at(tenure, policy, started_at))
    apart_s = policy.absence_apart_s
    if instance_id in draft.world.shown:
        tenure = replace(tenure, absent_by_id_at=draft.now)
    elif tenure.listed_at is not None and absence_span_s(tenure) >= apart_s:
        asked_at = tenure.absent_by_id_at if is_absent_by_id(tenure) else None
        if asked_at is None or elapsed_s(asked_at, draft.now) >= _ASKED_AGAIN_S:
            draft.show_ids.add(instance_id)
    return tenure


def _is_stranger(draft: Draft, tenure: Tenure, instance: Instance) -> bool:
    """Say whether a rental shows, at first sight, that it is not ours; later a person relabelled it.

    One without a label may yet get ours, unless another rental carries it.
    """
    if tenure.listed_at is not None or instance.label == tenure.label:
        return False
    return instance.label != "" or is_listed(draft, label=tenure.label)


def _let_go(draft: Draft, slot: SlotId, tenure: Tenure, instance: Instance) -> Tenure:
    """Take back that a create's answer named this rental: its label is somebody else's (I8)."""
    error = f"rental {instance.instance_id}, named by the answer, carries another label"
    draft.tell(RentUncertain(slot=slot, label=tenure.label, offer_id=tenure.offer_id, error=error))
    draft.count_listings()
    return replace(
        tenure,
        instance_id=None,
        rented_at=None,
        booting_since=None,
        missing_since=None,
        missing_listed_at=None,
        acted_at=draft.now,
    )


def _follow(
    draft: Draft, slot: SlotId, tenure: Tenure, instance: Instance, listing: Listing
) -> Tenure:
    stream = draft.slots.get(slot)
    needs = _NO_LIMIT if stream is None else stream.needs
    account = draft.world.account
    is_starved = is_out_of_credit(account, draft.now) or was_starved(account, tenure)
    termed = terms.followed(
        tenure, instance, listing.at, draft.policy(slot), needs, is_starved=is_starved
    )
    for event in terms.told(slot, instance.instance_id, tenure, termed, listing.at):
        draft.tell(event)
    if termed.dollars_per_hour > tenure.dollars_per_hour and tenure.listed_at is not None:
        _count_rise(draft, slot, termed.dollars_per_hour - tenure.dollars_per_hour, listing)
    draft.wake(
        terms.ending_known_at(termed, listing.at, draft.policy(slot), draft.fleet.list_interval_s)
    )
    still = stillness.followed(draft, slot, termed, instance, listing.at)
    return _seen(still, instance, listing)


def _count_rise(draft: Draft, slot: SlotId, more_dollars_per_hour: float, listing: Listing) -> None:
    """Count a price that has risen since it was last seen: nobody knows when it rose."""
    since = listing.before_at or draft.world.meter.metered_at or listing.at
    hours = min(elapsed_s(since, listing.at), GAP_MAX_S) / 3600.0
    stream, is_for_spare = stream_of(slot), is_spare(slot)
    dollars = more_dollars_per_hour * hours
    draft.note(charged(draft.ledger, stream, dollars, draft.now, is_for_spare=is_for_spare))


def _seen(tenure: Tenure, instance: Instance, listing: Listing) -> Tenure:
    """Take over what a listing says of a bound rental; the same object when nothing is new."""
    is_dead = is_fatal(instance) and not is_as_ordered(tenure, instance)
    is_current = tenure.booting_since is None or listing.at > tenure.booting_since
    is_running = instance.state is MarketState.RUNNING
    if (
        tenure.listed_at is not None
        and tenure.missing_since is None
        and (tenure.running_at is not None or not is_running)
        and (tenure.dead_since is not None) is is_dead
        and instance.machine_id in (tenure.machine_id, None)
        and (tenure.network or not instance.public_ip)
    ):
        return tenure
    dead_since = tenure.dead_since if is_dead else None
    if is_dead and dead_since is None and is_current:
        dead_since = listing.taken_by
    running_at = tenure.running_at
    if running_at is None and is_running and is_current:
        running_at = listing.at
    after = replace(
        tenure,
        listed_at=tenure.listed_at or listing.at,
        missing_since=None,
        missing_listed_at=None,
        running_at=running_at,
        dead_since=dead_since,
        machine_id=tenure.machine_id if instance.machine_id is None else instance.machine_id,
        host_id=tenure.host_id if instance.host_id is None else instance.host_id,
        network=tenure.network or network_of(instance.public_ip),
    )
    return tenure if after == tenure else after


def _confirm_condemned(draft: Draft, listing: Listing) -> None:
    """Write down presence and absence of condemned rentals; each listing counts once."""
    for instance_id, each in draft.condemned.items():
        found = draft.listed.get(instance_id) or draft.world.shown.get(instance_id)
        if found is not None:
            after = each
            # A stray's offer may have lied; what stood still costs its disk alone unless it runs again.
            is_owed = each.spent_dollars is None or found.state is MarketState.RUNNING
            if is_owed and found.dollars_per_hour > each.dollars_per_hour:
                after = replace(after, dollars_per_hour=found.dollars_per_hour)
            if each.absent_since is not None or each.by_id_absent_at is not None:
                # It is back: whatever was believed of its end was wrong.
                after = replace(
                    after, absent_since=None, absent_listed_at=None, by_id_absent_at=None,
                    next_try_at=draft.now,
                )  # fmt: skip
            if each.listed_at is None:
                after = replace(after, listed_at=listing.at)
            if after is not each:
                draft.condemned[instance_id] = after
            continue
        if listing.at <= each.condemned_at or _may_come_to_light(draft, each, listing):
            continue
        after = each
        if begins_anew(each.absent_since, listing, draft.world.started_at):
            after = replace(each, absent_since=listing.taken_by, absent_listed_at=listing.at)
        elif each.absent_listed_at is None or each.absent_listed_at < listing.at:
            after = replace(each, absent_listed_at=listing.at)
        if instance_id in draft.world.shown and each.by_id_absent_at is None:
            after = replace(after, by_id_absent_at=draft.now)
        if after is not each:
            draft.condemned[instance_id] = after


def _may_come_to_light(draft: Draft, each: Condemned, listing: Listing) -> bool:
    """Whether a rental made moments ago may not be shown yet: a list without it proves nothing."""
    if each.listed_at is not None:
        return False
    since = min(each.rented_at or each.condemned_at, each.condemned_at)
    if draft.world.started_at is not None:
        # Time that nobody has watched, or that a clock has made up by a step, brings nothing to light.
        since = max(since, draft.world.started_at)
    return elapsed_s(since, listing.at) < draft.policy(each.slot or SlotId("")).create_settle_s


def _sort_out_unbound(draft: Draft, listing: Listing, bound: set[InstanceId]) -> None:
    for instance_id in sorted(draft.listed):
        instance = draft.listed[instance_id]
        if instance_id in bound or not is_keepers(instance.label):
            continue
        label = parse(instance.label)
        slot = None if label is None else label.slot
        record = None if slot is None else draft.records.get(slot)
        if label is not None and record is not None and slot is not None:
            if slot in draft.world.held_slots:
                continue
            if label.keeper_id == draft.world.keeper_id and label.attempt <= record.attempt:
                found = draft.seat_of_label(slot, instance.label)
                if found is None:
                    draft.unbound.append((instance, slot, Reason.STRAY_RENTAL))
                elif any(each.instance_id == found[1].instance_id for each in listing.instances):
                    # Two at once. A label that has moved to another id is a question, not a second
                    # rental: the first one's absence answers it.
                    draft.unbound.append((instance, slot, Reason.DUPLICATE_RENTAL))
                # Otherwise its create is still under way or in doubt: settle decides, not we.
                continue
        _see_orphan(draft, listing, instance, slot)
        if label is not None and label.keeper_id == draft.world.keeper_id:
            _keep_place(draft, label.slot)


def _see_orphan(draft: Draft, listing: Listing, instance: Instance, slot: SlotId | None) -> None:
    instance_id = instance.instance_id
    is_adopting = draft.fleet.orphans is OrphanPolicy.ADOPT
    first = draft.world.orphans_seen_at.get(instance_id)
    is_new = first is None or listing.at <= first
    if is_adopting and is_new and slot is not None:
        _keep_place(draft, slot)  # else a second rental would be there before the next listing
    if instance_id not in draft.world.orphans_known:
        draft.tell(
            OrphanSeen(
                instance_id=instance_id,
                label=instance.label,
                dollars=instance.dollars_per_hour,
            )
        )
        return
    if is_new:
        return  # one listing alone could be a slip
    order = next((o for o in draft.world.orders if o.instance_id == instance_id), None)
    if order is not None:
        _treat_as_ordered(draft, order, instance, listing)
    elif draft.fleet.orphans is OrphanPolicy.DESTROY:
        draft.unbound.append((instance, None, Reason.STRAY_RENTAL))
    elif is_adopting and slot is not None:
        _adopt_orphan(draft, slot, instance, listing)


def _treat_as_ordered(draft: Draft, order: Order, instance: Instance, listing: Listing) -> None:
    """End or adopt one orphan because a person said so: the label and the order are the witnesses."""
    if order.kind is OrderKind.END:
        draft.unbound.append((instance, None, Reason.OPERATOR_ASKED))
    elif order.kind is OrderKind.ADOPT and order.slot is not None:
        _adopt_orphan(draft, order.slot, instance, listing)


def _keep_place(draft: Draft, slot: SlotId) -> None:
    """Rent nothing for a slot that an orphan was rented for.

    One with this very keeper's id proves that the store is older than the truth: a copy was restored,
    or its last commits were lost. Beside it a second host would be rented under the same label.
    """
    if _is_open(draft, slot):
        draft.decide(slot, Wait(slot=slot, reason=Reason.FOUND_BY_LABEL))
        draft.decided.add(slot)


def _is_open(draft: Draft, slot: SlotId) -> bool:
    """Whether a declared slot is empty and this tick has not decided on it."""
    record = draft.records.get(slot)
    return (
        draft.declared(slot) is not None
        and slot not in draft.decided
        and slot not in draft.world.held_slots
        and slot not in draft.world.in_flight
        and record is not None
        and record.tenure is None
        and record.incoming is None
    )


def _adopt_orphan(draft: Draft, slot: SlotId, instance: Instance, listing: Listing) -> None:
    """Seat an orphan in a slot, that of its label or an ordered one, if it is declared and empty."""
    record = draft.records.get(slot)
    label = parse(instance.label)
    is_empty = record is not None and record.tenure is None and record.incoming is None
    if not is_empty or record is None or slot not in draft.slots:
        return
    attempt = record.attempt if label is None else label.attempt
    tenure = Tenure(
        label=instance.label,
        attempt=attempt,
        offer_id=OfferId(0),
        machine_id=instance.machine_id or MachineId(0),
        host_id=instance.host_id or HostId(0),
        gpu_name=instance.gpu_name,
        dollars_per_hour=instance.dollars_per_hour,
        is_bid=instance.is_bid,
        requested_at=draft.now,
        instance_id=instance.instance_id,
        rented_at=draft.now,
        booting_since=draft.now,
        listed_at=listing.at,
        gpu_ram_gb=instance.gpu_ram_gb,
        disk_dollars_per_hour=instance.disk_dollars_per_hour,
        region=instance.geolocation,
    )
    draft.records[slot] = replace(
        without_search(record),
        attempt=max(record.attempt, attempt),
        tenure=tenure,
        replace_asked_at=None,  # an order to rent was for an empty slot
    )
    draft.tell(
        InstanceAdopted(
            slot=slot,
            instance_id=instance.instance_id,
            label=instance.label,
            reason=Reason.FOUND_BY_LABEL,
        )
    )


def _clear_orphans(draft: Draft, bound: set[InstanceId]) -> None:
    for instance_id in sorted(draft.world.orphans_known):
        seats = any(t.instance_id == instance_id for _, _, t in draft.seated())
        if instance_id not in draft.listed or instance_id in bound or seats:
            draft.tell(OrphanCleared(instance_id=instance_id, label=""))
