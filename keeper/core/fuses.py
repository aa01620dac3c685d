"""Fifth step: what may not be done now, whatever a rule wants. A no always comes with its reason.

Fuses of the whole fleet come first: when too many are sick at once, suspect the observer. Then the
slot's own: its pause, its mode, its allowance of replacements. Money is in rent.py, where a price is
known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from keeper.core import revisions, suspects
from keeper.core.case import Proposal, Wish
from keeper.core.credit import is_out_of_credit
from keeper.core.draft import Draft
from keeper.core.events import FuseReset, FuseTripped
from keeper.core.model import (
    Failure,
    Mode,
    Policy,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    StreamName,
    is_spare,
    stream_of,
)
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.sickness import (
    burst_trial_at,
    find_bursts,
    mass_trial_at,
    sick_max,
    sick_slots,
    unseen_slots,
)
from keeper.core.windows import Allowance, Window, strictest
from keeper.core.world import Pause

# What ends or begins a rental, or goes through the marketplace: never on a blind guess.
_NEEDS_MARKET = (
    Wish.RENT,
    Wish.REBOOT,
    Wish.STOP,
    Wish.REBID,
    Wish.REPLACE,
    Wish.FORGET,
    Wish.PROMOTE,
)
# What spends. Without credit it fails at best, and a host given up for it could not be followed.
_NEEDS_CREDIT = (Wish.RENT, Wish.REBID, Wish.REPLACE)
# Ends that nothing has to follow: they go on when the account is empty, for they stop the spending.
_ENDS_ONLY = (
    Reason.BUDGET,
    Reason.STREAM_REMOVED,
    Reason.STRAY_RENTAL,
    Reason.DUPLICATE_RENTAL,
    Reason.OPERATOR_ASKED,
)
# What nothing brings back: such a host is of no use to anybody, and costs on. It goes although none may
# follow it yet; to rent the next one is what uses the allowance.
_OF_NO_USE = (Reason.GPU_LOST, Reason.DISPLAY_LOST)
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
    if world.pause is not None and is_paused(world.pause, draft.now):
        tripped.append(Reason.PAUSED)
        draft.wake(world.pause.until)
    if world.own_network is Status.FALSE:
        tripped.append(Reason.OWN_NETWORK_DOWN)
    if is_market_lost(draft):
        tripped.append(Reason.MARKET_UNREADABLE)
    elif world.unreadable_since is not None and world.listing is not None:
        draft.wake(later(world.listing.at, _lost_after_s(draft)))
    if is_out_of_credit(world.account, draft.now):
        tripped.append(Reason.OUT_OF_CREDIT)
    sick = sick_slots(draft)
    suspects.suspect(draft)
    if len(sick) + len(unseen_slots(draft)) > sick_max(draft):
        tripped.append(Reason.MASS_FAILURE)
    elif sick and find_bursts(draft, sick):
        tripped.append(Reason.COMMON_CAUSE)
    draft.wake(world.windows_change_at)
    draft.fuses = tuple(tripped)
    if draft.fuses or world.fuses_known:
        _tell_changes(draft, sick)


def is_paused(pause: Pause, now: datetime) -> bool:
    """Say whether a pause holds; one whose time has passed does not."""
    return pause.until is None or pause.until > now


def is_market_lost(draft: Draft) -> bool:
    """Say whether the listing is too old to say anything about now."""
    world = draft.world
    if world.listing is None:
        return world.unreadable_since is not None
    age_s = elapsed_s(world.listing.at, draft.now)
    if world.unreadable_since is not None:
        return age_s >= _lost_after_s(draft)
    return age_s > draft.fleet.listing_stale_s


def _lost_after_s(draft: Draft) -> float:
    """Return how old a listing may be while newer ones fail."""
    return min(draft.fleet.list_interval_s * _LISTINGS_MISSED, draft.fleet.listing_stale_s)


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
        _refuse_by_operator(draft, slot, proposal)
        or _refuse_by_window(draft, slot, proposal)
        or _refuse_by_fleet(draft, slot, proposal)
        or (_refuse_by_market(draft) if _needs_market(proposal) else None)
        or _refuse_by_credit(draft, slot, proposal)
        or _refuse_by_deploy(draft, slot, proposal)
        or _refuse_by_allowance(draft, slot, proposal)
    )


def _needs_market(proposal: Proposal) -> bool:
    """Whether something must wait for a good listing. Money that runs out does not wait for one."""
    return proposal.wish in _NEEDS_MARKET and proposal.reason is not Reason.BUDGET


def _refuse_by_operator(draft: Draft, slot: SlotId, proposal: Proposal) -> Refusal | None:
    pauses = (draft.world.pause, draft.world.slot_pauses.get(slot))
    for pause in pauses:
        if pause is not None and is_paused(pause, draft.now):
            return Refusal(reason=Reason.PAUSED, until=pause.until)
    stream = draft.slots.get(slot) or _declared(draft, stream_of(slot))
    if stream is None or stream.mode is Mode.ACT or _is_asked_for(draft, slot, proposal):
        return None
    is_silent = stream.mode is Mode.OBSERVE
    return Refusal(reason=Reason.OBSERVE_ONLY if is_silent else Reason.SUGGEST_ONLY)


def _declared(draft: Draft, name: StreamName) -> Stream | None:
    """Return a stream by its name: its mode counts for a slot that fewer replicas leave out, too."""
    return next((each for each in draft.streams if each.name == name), None)


def _refuse_by_window(draft: Draft, slot: SlotId, proposal: Proposal) -> Refusal | None:
    if not draft.world.windows or _is_asked_for(draft, slot, proposal):
        return None
    window = strictest(draft.world.windows, stream_of(slot), draft.now)
    if window is None or not _forbids(window, slot, proposal):
        return None
    return Refusal(reason=Reason.MAINTENANCE_WINDOW, until=window.until)


def _forbids(window: Window, slot: SlotId, proposal: Proposal) -> bool:
    """Whether a window stands in the way of what would be done; a hard stop of money goes on.

    That a spare goes before money is short is none: curb ends it, like any host, when it is.
    """
    is_ahead_of_time = is_spare(slot) and not proposal.is_incoming
    if proposal.reason is Reason.BUDGET and not is_ahead_of_time:
        return False
    if window.allow is not Allowance.REPAIR:
        return window.allow is Allowance.OBSERVE
    # What begins a rental or gives one up. A hand-over that has begun is brought to its end.
    return proposal.wish is Wish.RENT or (
        proposal.wish is Wish.REPLACE and not proposal.is_incoming
    )


def _is_asked_for(draft: Draft, slot: SlotId, proposal: Proposal) -> bool:
    """Whether a person has ordered another host or deploy for a slot, and it is not there yet.

    Such an order stands above the mode and above what is suspected (I12): a person has looked. It does
    not stand above a pause, blindness or money.
    """
    record = draft.records.get(slot)
    if record is None:
        return False
    is_deploy = proposal.reason is Reason.ROLLOUT and record.deploy_asked_at is not None
    return is_deploy or record.replace_asked_at is not None


def _refuse_by_fleet(draft: Draft, slot: SlotId, proposal: Proposal) -> Refusal | None:
    if Reason.OWN_NETWORK_DOWN in draft.fuses:
        return Refusal(reason=Reason.OWN_NETWORK_DOWN)
    if _is_asked_for(draft, slot, proposal):
        return None
    if Reason.MASS_FAILURE in draft.fuses:
        trial_at = mass_trial_at(draft, slot)
        if trial_at is None or trial_at > draft.now:
            return Refusal(reason=Reason.MASS_FAILURE, until=trial_at)
    if Reason.COMMON_CAUSE in draft.fuses and proposal.wish in _NEEDS_MARKET:
        # Nothing that ends or begins a rental; a restart of the process may well be the cure.
        trial_at = burst_trial_at(draft, slot)
        if trial_at is None or trial_at > draft.now:
            return Refusal(reason=Reason.COMMON_CAUSE, until=trial_at)
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


def _refuse_by_credit(draft: Draft, slot: SlotId, proposal: Proposal) -> Refusal | None:
    """Spend nothing on an empty account: Vast.ai has stopped every rental of it (docs, billing)."""
    spends = proposal.wish in _NEEDS_CREDIT and proposal.reason not in _ENDS_ONLY
    spends = spends and not _is_one_of_two(draft, slot, proposal)
    if spends and Reason.OUT_OF_CREDIT in draft.fuses:
        return Refusal(reason=Reason.OUT_OF_CREDIT)
    return None


def _is_one_of_two(draft: Draft, slot: SlotId, proposal: Proposal) -> bool:
    """Whether what is given up leaves its slot another rental: none has to follow, and its disk costs on."""
    record = draft.records.get(slot)
    incoming = None if record is None else record.incoming
    is_given_up = proposal.wish is Wish.REPLACE
    return is_given_up and incoming is not None and incoming.instance_id is not None


def _refuse_by_deploy(draft: Draft, slot: SlotId, proposal: Proposal) -> Refusal | None:
    """Rent and give up nothing for a workload that fails wherever it goes: that costs, and cures not.

    What never showed a picture may be ended: it is of no use to anybody. Nor is what has lost its GPU.
    And where hosts get what worked before again, another one does help.
    """
    stream = draft.slots.get(slot)
    is_stuck = stream is not None and revisions.is_stuck(draft, stream)
    bad = None if stream is None else draft.bad_deploys.get(stream.name)
    if bad and stream is not None and _gets_another(draft, slot, stream, proposal):
        bad = None
    if (not bad and not is_stuck) or proposal.reason in _ENDS_ONLY:
        return None
    tenure = draft.records[slot].tenure
    has_served = tenure is not None and tenure.first_live_at is not None
    has_served = has_served and proposal.reason not in _OF_NO_USE
    gives_up = proposal.wish is Wish.REPLACE and not proposal.is_incoming and has_served
    is_fresh = proposal.wish is Wish.DEPLOY and is_stuck
    if proposal.wish is Wish.RENT or gives_up:
        until = _acquitted_at(draft, bad) if bad and not is_stuck else None
        return Refusal(reason=Reason.BAD_DEPLOY, until=until)
    return Refusal(reason=Reason.BAD_DEPLOY) if is_fresh else None


def _gets_another(draft: Draft, slot: SlotId, stream: Stream, proposal: Proposal) -> bool:
    """Whether the next host of a slot gets something else than what is declared, if anything."""
    if proposal.reason in (Reason.ROLLOUT, Reason.ROLLBACK):
        given = revisions.target(draft, stream)
    else:
        given = revisions.for_a_fresh_host(draft, slot, stream)
    return given != stream.revision


def _acquitted_at(draft: Draft, bad: tuple[Failure, ...]) -> datetime:
    """Return when too few machines will have failed lately to blame what was deployed."""
    latest = sorted({each.machine_id: each.at for each in bad}.values())  # of each, oldest first
    return later(latest[-draft.fleet.common_cause_hosts], draft.fleet.common_cause_memory_s)


# --- telling ----------------------------------------------------------------------------------------


def _tell_changes(draft: Draft, sick: list[SlotId]) -> None:
    known = draft.world.fuses_known
    for reason in draft.fuses:
        if reason not in known:
            detail = SENTENCE[reason]
            if reason is Reason.MASS_FAILURE:
                detail = f"{len(sick)} of {len(draft.slots)} slots are sick: {', '.join(sick[:10])}"
            elif reason is Reason.COMMON_CAUSE:
                detail = draft.alike
            elif reason is Reason.MARKET_UNREADABLE:
                detail = draft.world.unreadable_error or detail
            draft.tell(FuseTripped(reason=reason, detail=detail))
    for reason in sorted(known - set(draft.fuses)):
        draft.tell(FuseReset(reason=reason))


# --- replacements -----------------------------------------------------------------------------------


def _refuse_by_allowance(draft: Draft, slot: SlotId, proposal: Proposal) -> Refusal | None:
    record = draft.records.get(slot)
    if record is None or not _uses_allowance(record, proposal):
        return None
    policy = draft.policy(slot)
    used = [
        at for at in record.replaced_at if elapsed_s(at, draft.now) < policy.replacements_window_s
    ]
    is_replacement = True
    if record.tenure is None:
        # The host before was given up already and that was counted: this rental is what was paid
        # for. Failed boots are given up without asking, so here is where they are stopped.
        if len(used) > policy.replacements_max:
            return _spent(used, len(used) - 1 - policy.replacements_max, policy)
        used = used[:-1]
        is_replacement = record.ever_on_air
    elif len(used) >= policy.replacements_max:
        return _spent(used, len(used) - policy.replacements_max, policy)
    if used and elapsed_s(used[-1], draft.now) < policy.replacements_apart_s:
        return Refusal(
            reason=Reason.REPLACEMENT_TOO_SOON,
            until=later(used[-1], policy.replacements_apart_s),
        )
    if is_replacement and _replacing(draft, slot) >= draft.fleet.replacements_in_flight_max:
        return Refusal(reason=Reason.TOO_MANY_REPLACEMENTS_IN_FLIGHT)
    if record.tenure is not None and proposal.wish is Wish.RENT and _hands_over(draft, slot):
        return Refusal(reason=Reason.ANOTHER_HANDS_OVER)
    return None


def _hands_over(draft: Draft, slot: SlotId) -> bool:
    """Whether another slot of the stream has two hosts: one more than declared, and not two (I5)."""
    stream = stream_of(slot)
    return any(
        record.incoming is not None
        for other, record in draft.records.items()
        if other != slot and stream_of(other) == stream
    )


def _uses_allowance(record: SlotRecord, proposal: Proposal) -> bool:
    """Whether a proposal begins a replacement, or goes on with one by renting."""
    if proposal.wish is Wish.RENT:
        return True
    return (
        proposal.wish is Wish.REPLACE
        and proposal.reason is not Reason.SPARE_NOT_STARTED  # it may bill any day
        and proposal.reason not in _OF_NO_USE
        and not proposal.is_incoming
        and record.tenure is not None
        and record.tenure.first_live_at is not None  # a host that never served is just a bad draw
        and record.incoming is None  # its replacement is here already
    )


def _spent(used: list[datetime], over: int, policy: Policy) -> Refusal:
    """Say no until so many uses more than one have left the window: they come back one by one.

    With an allowance of none, none comes back.
    """
    until = later(used[over], policy.replacements_window_s) if over < len(used) else None
    return Refusal(reason=Reason.REPLACEMENTS_SPENT, until=until)


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
