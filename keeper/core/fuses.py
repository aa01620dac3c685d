"""Fifth step: what may not be done now, whatever a rule wants. A no always comes with its reason.

Fuses of the whole fleet come first: when too many are sick at once, suspect the observer. Then the
slot's own: its pause, its mode, its allowance of replacements. Money is in rent.py, where a price is
known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import ceil

from keeper.core.case import Proposal, Wish
from keeper.core.conditions import status_of
from keeper.core.draft import Draft
from keeper.core.events import FuseReset, FuseTripped
from keeper.core.model import ConditionKind, Mode, Policy, SlotId, SlotRecord, Status
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.world import Pause

# What ends or begins a rental, or goes through the marketplace: never on a blind guess.
_NEEDS_MARKET = (Wish.RENT, Wish.REBOOT, Wish.REPLACE, Wish.FORGET, Wish.PROMOTE)
# Listings that may be missed in a row before the fleet is told that the marketplace is unreadable;
# acts that need it are held from the first one on.
_LISTINGS_MISSED = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A no, why, and until when if that is known."""

    reason: Reason
    until: datetime | None = None


def trip(draft: Draft) -> None:
    """Work out the fleet's fuses for this tick and state which changed."""
    world = draft.world
    tripped = []
    if not world.is_leader:
        tripped.append(Reason.NOT_LEADER)
    if is_paused(world.pause, draft.now):
        tripped.append(Reason.PAUSED)
        if world.pause is not None:
            draft.wake(world.pause.until)
    if world.own_network is Status.FALSE:
        tripped.append(Reason.OWN_NETWORK_DOWN)
    if is_market_lost(draft):
        tripped.append(Reason.MARKET_UNREADABLE)
    sick = _sick_slots(draft)
    if len(sick) > _sick_max(draft):
        tripped.append(Reason.MASS_FAILURE)
    draft.fuses = tuple(tripped)
    if draft.fuses or world.fuses_known:
        _tell_changes(draft, sick)


def is_paused(pause: Pause | None, now: datetime) -> bool:
    """Say whether a pause holds; one whose time has passed does not."""
    return pause is not None and (pause.until is None or pause.until > now)


def is_market_lost(draft: Draft) -> bool:
    """Say whether the listing is too old to say anything about now."""
    world = draft.world
    if world.listing is None:
        return world.unreadable_since is not None
    age_s = elapsed_s(world.listing.at, draft.now)
    if world.unreadable_since is not None:
        return age_s > min(
            draft.fleet.list_interval_s * _LISTINGS_MISSED, draft.fleet.listing_stale_s
        )
    return age_s > draft.fleet.listing_stale_s


def refuse(draft: Draft, slot: SlotId, proposal: Proposal) -> Refusal | None:
    """Return why a proposal may not be carried out now; None when nothing stands in the way."""
    world = draft.world
    if world.is_stopping:
        return Refusal(reason=Reason.STOPPING)
    if not world.is_leader:
        return Refusal(reason=Reason.NOT_LEADER)
    if proposal.is_ordered:
        return None  # a person has looked at it (I12)
    return (
        _refuse_by_operator(draft, slot)
        or _refuse_by_fleet(draft)
        or (_refuse_by_market(draft) if proposal.wish in _NEEDS_MARKET else None)
        or _refuse_by_allowance(draft, slot, proposal)
    )


def _refuse_by_operator(draft: Draft, slot: SlotId) -> Refusal | None:
    pauses = (draft.world.pause, draft.world.slot_pauses.get(slot))
    for pause in pauses:
        if pause is not None and is_paused(pause, draft.now):
            return Refusal(reason=Reason.PAUSED, until=pause.until)
    stream = draft.slots.get(slot)
    if stream is not None and stream.mode is not Mode.ACT:
        return Refusal(reason=Reason.OBSERVE_ONLY)
    return None


def _refuse_by_fleet(draft: Draft) -> Refusal | None:
    for reason in (Reason.OWN_NETWORK_DOWN, Reason.MASS_FAILURE):
        if reason in draft.fuses:
            return Refusal(reason=reason)
    return None


def _refuse_by_market(draft: Draft) -> Refusal | None:
    world = draft.world
    is_of_before = (
        world.listing is not None
        and world.started_at is not None
        and world.listing.at < world.started_at
    )
    if world.unreadable_since is None and (world.listing is None or is_of_before):
        return Refusal(reason=Reason.STARTING_UP)
    if world.unreadable_since is not None or is_market_lost(draft):
        return Refusal(reason=Reason.MARKET_UNREADABLE)
    return None


# --- mass failure -----------------------------------------------------------------------------------


def _sick_max(draft: Draft) -> int:
    # Rounded first: 0.2 x 15 is a little more than 3 in binary, and must not become 4.
    return max(1, ceil(round(draft.fleet.mass_failure_ratio * len(draft.slots), 9)))


def _sick_slots(draft: Draft) -> list[SlotId]:
    return [
        slot
        for slot in draft.slots
        if (record := draft.records[slot]).ever_on_air and _is_sick(record)
    ]


def _is_sick(record: SlotRecord) -> bool:
    """Whether a host that was good has stopped being so, by evidence.

    A slot whose bad host was given up already is not counted: it is under repair, and must not stop
    the repair of another.
    """
    tenure = record.tenure
    if tenure is None or tenure.first_live_at is None:
        return False
    streaming = status_of(tenure, ConditionKind.STREAMING)
    if streaming is not Status.UNKNOWN:
        return streaming is Status.FALSE
    return (
        tenure.dead_since is not None
        or tenure.missing_since is not None
        or status_of(tenure, ConditionKind.REACHABLE) is Status.FALSE
        or record.dark_since is not None
    )


def _tell_changes(draft: Draft, sick: list[SlotId]) -> None:
    known = draft.world.fuses_known
    for reason in draft.fuses:
        if reason not in known:
            detail = SENTENCE[reason]
            if reason is Reason.MASS_FAILURE:
                detail = f"{len(sick)} of {len(draft.slots)} slots are sick: {', '.join(sick[:10])}"
            elif reason is Reason.MARKET_UNREADABLE:
                detail = draft.world.unreadable_error or detail
            draft.tell(FuseTripped(reason=reason, detail=detail))
    for reason in sorted(known - set(draft.fuses)):
        draft.tell(FuseReset(reason=reason))


# --- replacements -----------------------------------------------------------------------------------


def _refuse_by_allowance(draft: Draft, slot: SlotId, proposal: Proposal) -> Refusal | None:
    record, policy = draft.records[slot], draft.policy(slot)
    used = [
        at for at in record.replaced_at if elapsed_s(at, draft.now) < policy.replacements_window_s
    ]
    if proposal.wish is Wish.RENT and record.tenure is None:
        # The host before was given up already and that was counted: this rental is what was paid
        # for. Failed boots are given up without asking, so here is where they are stopped.
        if len(used) > policy.replacements_max:
            return _spent(used, policy)
        used = used[:-1]
        is_replacement = record.ever_on_air
    elif proposal.wish is Wish.RENT or (
        proposal.wish is Wish.REPLACE
        and not proposal.is_incoming
        and record.tenure is not None
        and record.tenure.first_live_at is not None
        and record.incoming is None
    ):
        if len(used) >= policy.replacements_max:
            return _spent(used, policy)
        is_replacement = True
    else:
        return None
    if used and elapsed_s(used[-1], draft.now) < policy.replacements_apart_s:
        return Refusal(
            reason=Reason.REPLACEMENT_TOO_SOON,
            until=later(used[-1], policy.replacements_apart_s),
        )
    if is_replacement and _replacing(draft, slot) >= draft.fleet.replacements_in_flight_max:
        return Refusal(reason=Reason.TOO_MANY_REPLACEMENTS_IN_FLIGHT)
    return None


def _spent(used: list[datetime], policy: Policy) -> Refusal:
    # The allowance comes back one by one as the oldest uses leave the window.
    leaving = used[len(used) - policy.replacements_max] if policy.replacements_max else used[-1]
    return Refusal(
        reason=Reason.REPLACEMENTS_SPENT, until=later(leaving, policy.replacements_window_s)
    )


def _replacing(draft: Draft, but: SlotId) -> int:
    """Count the other slots that are between two hosts."""
    return sum(
        record.incoming is not None
        or (
            record.ever_on_air and record.tenure is not None and record.tenure.first_live_at is None
        )
        for slot, record in draft.records.items()
        if slot != but
    )
