"""What rentals cost, in parts and so far, and how long the account can pay: for people. Pure.

Nothing is decided upon these: budgets count in core.spend, the marketplace keeps the true account.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isinf

from keeper.core.labels import is_keepers
from keeper.core.model import Instance, Tenure
from keeper.core.moments import elapsed_s
from keeper.core.spend import burn_dollars_per_hour, runway_s
from keeper.core.world import Snapshot
from keeper.web.shapes import AccountStatus, OthersStatus

_HOUR_S = 3600.0
_EXACT_HOURS = 100
# The end of a credit that lasts for centuries is no date.
_RUNWAY_MAX_S = 10 * 365 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a contract costs per hour, as far as it is known; without the viewers' traffic."""

    dollars_per_hour: float
    gpu_dollars_per_hour: float | None
    disk_dollars_per_hour: float | None


def parts_of(tenure: Tenure, listed: Instance | None) -> Parts:
    """Take a price apart: as listed, else as bid or as offered. What nobody tells stays unknown."""
    total = tenure.dollars_per_hour
    gpu = disk = None
    if listed is not None:
        total = listed.dollars_per_hour or total
        gpu = listed.gpu_dollars_per_hour or None
        disk = listed.disk_dollars_per_hour or None
    if gpu is None and tenure.is_bid and tenure.bid_dollars_per_hour:
        gpu = tenure.bid_dollars_per_hour
    if gpu is None and disk is None and listed is None:
        disk = min(tenure.disk_dollars_per_hour, total) or None
    if gpu is None and disk is not None:
        gpu = max(0.0, total - disk)
    if disk is None and gpu is not None:
        disk = max(0.0, total - gpu)
    return Parts(dollars_per_hour=total, gpu_dollars_per_hour=gpu, disk_dollars_per_hour=disk)


def spent_dollars(tenure: Tenure, parts: Parts, now: datetime) -> float:
    """Estimate what a rental has cost so far, at the price of now.

    The disk is billed from the create on, the GPU only while the container runs, and loading is free
    (Vast.ai docs, billing and managing instances, read 2026-08). Where the parts are not told, all of
    the price counts as the GPU's.
    """
    if tenure.rented_at is None:
        return 0.0
    disk = parts.disk_dollars_per_hour or 0.0
    gpu = parts.dollars_per_hour - disk
    spent = disk * elapsed_s(tenure.rented_at, now)
    until = min(tenure.outbid_since or tenure.stopped_at or now, now)
    if tenure.running_at is not None:
        spent += gpu * elapsed_s(tenure.running_at, until)
    if tenure.first_live_at is not None:
        spent += tenure.traffic_dollars_per_hour * elapsed_s(tenure.first_live_at, until)
    return tenure.gpu_spent_dollars + spent / _HOUR_S


def account_of(snapshot: Snapshot, now: datetime) -> AccountStatus | None:
    """Say what the account can pay and for how long; None when nobody could ask."""
    seen = snapshot.world.account
    if seen is None:
        return None
    burn = burn_dollars_per_hour(snapshot.world, snapshot.records)
    lasts_s = runway_s(seen, burn)
    empty_at = None
    left_s = None
    if lasts_s is not None and not isinf(lasts_s):
        left_s = max(0.0, lasts_s - elapsed_s(seen.at, now))
        if left_s < _RUNWAY_MAX_S:
            empty_at = now + timedelta(seconds=left_s)
    return AccountStatus(
        spendable_dollars=seen.spendable_dollars,
        seen_at=seen.at,
        dollars_per_hour=burn,
        runway_s=left_s,
        empty_at=empty_at,
        is_low=left_s is not None and left_s <= snapshot.desired.fleet.runway_alert_s,
    )


def hours(seconds: float) -> str:
    """Say a runway in hours, as one thinks of it when money has to be moved."""
    number = seconds / _HOUR_S
    return f"{number:.1f} h" if number < _EXACT_HOURS else f"{number:,.0f} h"


def others_of(snapshot: Snapshot) -> OthersStatus | None:
    """Return the rentals of the account that no keeper made; None when there are none."""
    listing = snapshot.world.listing
    if listing is None:
        return None
    ours = {each.instance_id for each in snapshot.plan.condemned}
    for record in snapshot.records.values():
        for tenure in (record.tenure, record.incoming):
            if tenure is not None and tenure.instance_id is not None:
                ours.add(tenure.instance_id)
    found = [
        each
        for each in listing.instances
        if each.instance_id not in ours and not is_keepers(each.label)
    ]
    if not found:
        return None
    return OthersStatus(
        instance_ids=tuple(sorted(int(each.instance_id) for each in found)),
        dollars_per_hour=sum(each.dollars_per_hour for each in found),
    )
