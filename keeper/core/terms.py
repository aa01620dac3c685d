"""What listings say of a rental's terms: its price, its end, its bid. Pure.

All of them move money, so one odd value moves nothing: what follows from a term is only believed
when listings at least ``absence_apart_s`` apart agree. A value that is not told keeps the last one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from math import ceil

from keeper.core.events import (
    ContractEnding,
    Event,
    InstanceOutbid,
    MachineUnlisted,
    PriceDrifted,
)
from keeper.core.model import (
    Instance,
    InstanceId,
    MarketState,
    OfferNeeds,
    Policy,
    SlotId,
    Tenure,
)
from keeper.core.moments import elapsed_s, later

# Prices are rounded on their way; less than this is no other price.
_SAME_DOLLARS = 0.0005
# A contract's end is told to the second, and differs by less from listing to listing.
_SAME_END_S = 60.0
_READING_S = 1.0  # a listing takes about so long


def followed(
    tenure: Tenure,
    instance: Instance,
    listed_at: datetime,
    policy: Policy,
    needs: OfferNeeds,
    *,
    is_starved: bool = False,
) -> Tenure:
    """Take over what a listing says of the terms; the same object when nothing is new.

    ``is_starved`` says that the account was empty when the rental went down: then that, and no higher
    bid, is why it stands still.
    """
    dollars = _committed(tenure, instance)
    if tenure.stop_asked_at is not None:
        dollars = max(dollars, tenure.dollars_per_hour)  # the row may show what its disk costs
    ends_at = tenure.ends_at
    if instance.ends_at is not None and not _is_same_end(ends_at, instance.ends_at):
        ends_at = instance.ends_at
    outbid_since = None if is_starved else _outbid_since(tenure, instance, listed_at)
    is_dear = dollars > price_limit(tenure, policy, needs)
    dear_since = (tenure.dear_since or listed_at) if is_dear else None
    is_soon = _is_soon(tenure, ends_at, listed_at, policy)
    ending_since = (tenure.ending_since or listed_at) if is_soon else None
    is_listed = instance.is_machine_listed
    unlisted_since = None if is_listed else (tenure.unlisted_since or listed_at)
    if (
        dollars == tenure.dollars_per_hour
        and ends_at is tenure.ends_at
        and outbid_since is tenure.outbid_since
        and dear_since is tenure.dear_since
        and ending_since is tenure.ending_since
        and unlisted_since is tenure.unlisted_since
    ):
        return tenure
    return replace(
        tenure,
        dollars_per_hour=dollars,
        ends_at=ends_at,
        outbid_since=outbid_since,
        dear_since=dear_since,
        ending_since=ending_since,
        unlisted_since=unlisted_since,
    )


def price_limit(tenure: Tenure, policy: Policy, needs: OfferNeeds) -> float:
    """Return the price above which a contract is not what was agreed to.

    The offer that was decided upon with the drift that is tolerated, but at least the grain of a
    cent; without one (adopted, or of an earlier version) the stream's limit with the same drift.
    """
    base = tenure.offered_dollars_per_hour or needs.price_max_dollars_per_hour
    if tenure.rebids:
        # What we bid ourselves since is no drift.
        base = max(base, needs.price_max_dollars_per_hour)
    return base * policy.price_drift_max_ratio + _SAME_DOLLARS


def margin_s(tenure: Tenure, ends_at: datetime, policy: Policy) -> float:
    """Return how long before its end a contract is replaced.

    Never more than half of its length: else a host with a short contract would be replaced as soon
    as it serves, and its successor after it.
    """
    length_s = elapsed_s(tenure.rented_at or tenure.requested_at, ends_at)
    return min(policy.contract_ending_s, length_s / 2)


def ending_known_at(
    tenure: Tenure, listed_at: datetime, policy: Policy, list_interval_s: float
) -> datetime | None:
    """Return when a listing will first show that a contract ends soon; None: it does, or never will.

    Nothing in the listing changes with it, so nobody else would call for a look.
    """
    soon_at = ending_soon_at(tenure, policy)
    return None if soon_at is None else first_listing_after(soon_at, listed_at, list_interval_s)


def ending_soon_at(tenure: Tenure, policy: Policy) -> datetime | None:
    """Return when a contract's end begins to be near; None: it is, or it has no end."""
    if tenure.ends_at is None or tenure.ending_since is not None:
        return None
    if tenure.ends_at <= (tenure.rented_at or tenure.requested_at):
        return None
    return later(tenure.ends_at, -margin_s(tenure, tenure.ends_at, policy))


def first_listing_after(
    at: datetime, listed_at: datetime, list_interval_s: float
) -> datetime | None:
    """Return when a listing of the quiet beat will have been read that is newer than a moment."""
    if list_interval_s <= 0:
        return None
    listings = ceil(max(0.0, (at - listed_at).total_seconds()) / list_interval_s)
    return later(listed_at, max(1, listings) * list_interval_s + _READING_S)


def is_confirmed(since: datetime | None, listed_at: datetime | None, policy: Policy) -> bool:
    """Say whether listings far enough apart agree on something that was first seen at ``since``."""
    if since is None or listed_at is None:
        return False
    return elapsed_s(since, listed_at) >= policy.absence_apart_s


def told(
    slot: SlotId, instance_id: InstanceId, before: Tenure, after: Tenure, listed_at: datetime
) -> tuple[Event, ...]:
    """Return the facts that lie in a change of the terms."""
    if before is after:
        return ()
    events: list[Event] = []
    offered, billed = before.offered_dollars_per_hour, after.dollars_per_hour
    is_news = before.listed_at is None or billed != before.dollars_per_hour
    if offered and is_news and not before.rebids and abs(billed - offered) > _SAME_DOLLARS:
        events.append(
            PriceDrifted(
                slot=slot, instance_id=instance_id, offered_dollars=offered, dollars=billed
            )
        )
    if before.outbid_since is None and after.outbid_since is not None:
        bid = after.bid_dollars_per_hour
        events.append(InstanceOutbid(slot=slot, instance_id=instance_id, bid_dollars=bid))
    if before.unlisted_since is None and after.unlisted_since is not None:
        # An announcement, on which nothing is decided: when it ends, the contract's end says.
        events.append(
            MachineUnlisted(slot=slot, instance_id=instance_id, machine_id=after.machine_id)
        )
    if before.ending_since is None and after.ending_since is not None and after.ends_at is not None:
        left_s = elapsed_s(listed_at, after.ends_at)
        events.append(ContractEnding(slot=slot, instance_id=instance_id, left_s=left_s))
    return tuple(events)


def _committed(tenure: Tenure, instance: Instance) -> float:
    """Return what a rental may cost: what is listed, and never less than what we bid for it.

    A listing may be older than our latest bid, or show what a stopped rental costs; another slot must
    not spend the difference meanwhile (I4).
    """
    dollars = instance.dollars_per_hour or tenure.dollars_per_hour
    if not tenure.bid_dollars_per_hour:
        return dollars
    bid = tenure.bid_dollars_per_hour + instance.disk_dollars_per_hour
    return bid if bid > dollars + _SAME_DOLLARS else dollars


def _is_same_end(before: datetime | None, now: datetime) -> bool:
    return before is not None and abs((now - before).total_seconds()) < _SAME_END_S


def _outbid_since(tenure: Tenure, instance: Instance, listed_at: datetime) -> datetime | None:
    """Return since when a bid is beaten: the rental stands still, whatever it is meant to do.

    Both forms were seen: meant to run and stopped, or meant to be stopped (field reports and Vast's
    notes, read 2026-08). A host that reports nothing says nothing about bids.
    """
    if not (tenure.is_bid or instance.is_bid):
        return None
    if tenure.booting_since is not None and listed_at <= tenure.booting_since:
        return tenure.outbid_since  # listed before the latest bid
    if tenure.stop_asked_at is not None and not instance.is_meant_to_run:
        return None  # keeper itself has stopped it
    match instance.state:
        case MarketState.STOPPED if not instance.has_daemon_error:
            return tenure.outbid_since or listed_at
        case MarketState.OFFLINE | MarketState.UNKNOWN | MarketState.OTHER:
            return tenure.outbid_since
        case _:
            return None


def _is_soon(tenure: Tenure, ends_at: datetime | None, listed_at: datetime, policy: Policy) -> bool:
    if ends_at is None or ends_at <= (tenure.rented_at or tenure.requested_at):
        return False  # an end before the beginning says nothing
    return elapsed_s(listed_at, ends_at) <= margin_s(tenure, ends_at, policy)
