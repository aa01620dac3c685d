"""Whether nobody answers because the host is gone, or because it is elsewhere, or we are cut off.

Ports move while a container lives, lists lag behind, and this box can lose its own network. So that
nobody answers the viewer is a sign against a host only once he has looked where it is now.
"""

from __future__ import annotations

from datetime import datetime

from keeper.core.case import Case, dark_since, process_is_down
from keeper.core.model import Policy, Status, Subject
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason
from keeper.core.world import Listing

# What a viewer finds where a host was: nobody, or somebody who says nothing.
NOBODY_THERE = (Reason.UNREACHABLE, Reason.NO_BYTES)
# A link that came up so shortly before the picture was lost was cut with it.
CUT_S = 60.0


def unreached_since(case: Case) -> datetime:
    """Return since when neither SSH nor the viewer has found anybody; one who could not look finds nobody.

    A host whose SSH has long been dead, or shows another key, is out of reach only once its picture is gone,
    too; and then it may be this box that is cut off. (A host on air was given up for 47 s of that.)
    """
    since, streaming = case.reachable.since, case.streaming
    is_unseen = streaming.status is Status.UNKNOWN or streaming.reason in NOBODY_THERE
    return max(since, streaming.since) if is_unseen else since


def may_have_moved(case: Case) -> bool:
    """Whether the viewer may have looked where the host was before its connections were cut.

    Ports move while a container lives, and what is connected is cut. Until the list has been read
    since, and the viewer has looked again, that nobody answers there says nothing of the host. Nor while
    that list may be one of before, told again.
    """
    if not _shows_nobody(case):
        return False
    listing, linked_at = case.world.listing, case.reachable.since
    if listing is None or listing.at <= linked_at:
        return True
    if elapsed_s(linked_at, dark_since(case)) > CUT_S:
        return False  # it was connected all the time: nothing has moved
    if case.now < lists_are_new_at(case) and not _is_first_link(case):
        return True
    return not _looked_in_vain(case, looks_count_from(listing, linked_at, case.policy))


def _is_first_link(case: Case) -> bool:
    """Whether nothing has been cut: it is the link with which a new host was found to be up."""
    tenure = case.tenure
    return (
        tenure.booted_at is not None
        and case.reachable.since <= tenure.booted_at
        and tenure.booting_since == tenure.rented_at
    )


def lists_are_new_at(case: Case) -> datetime:
    """Return when no list tells any more where a host was before it fell dark: they may lag so far behind."""
    return later(dark_since(case), case.policy.create_settle_s)


def may_be_elsewhere(case: Case) -> bool:
    """Whether nobody answered the viewer where the host was, and he has not looked where it is now."""
    if case.streaming.reason not in NOBODY_THERE:
        return False
    listing = case.world.listing
    if listing is None or listing.at <= dark_since(case):
        return True  # no list has said since whether it has moved
    return not _looked_in_vain(case, looks_anew_from(listing, case.policy))


def _shows_nobody(case: Case) -> bool:
    """Whether the viewer finds nobody at a host that has a link, and does not say itself that nothing runs."""
    return case.streaming.reason in NOBODY_THERE and case.is_reachable and not process_is_down(case)


def _looked_in_vain(case: Case, from_at: datetime) -> bool:
    """Whether the viewer has looked after a moment, and there is no picture yet."""
    looked_at = case.heard_at(Subject.PICTURE)
    return looked_at is not None and looked_at > from_at and case.streaming.good_streak == 0


def looks_anew_from(listing: Listing, policy: Policy) -> datetime:
    """Return by when the last look has ended that may have gone where a list before said otherwise."""
    return later(listing.places_known_at, policy.probe_timeout_s)


def looks_count_from(listing: Listing, linked_at: datetime, policy: Policy) -> datetime:
    """Return after which moment a look says something of a host whose connections were cut.

    One that was made before its link was up again says nothing, wherever it went.
    """
    return max(looks_anew_from(listing, policy), linked_at)


def may_be_cut_off(case: Case) -> bool:
    """Whether nobody answers the viewer, and the host has not been heard since he first found nobody.

    He needs half a minute for his verdict, a link as long to be called lost, this box's canary longer than
    both. Until one of them has spoken it may be this box that is cut off. (A good deploy was called bad for it.)
    """
    if not _shows_nobody(case):
        return False
    heard_at = case.heard_at(Subject.PROCESS)
    looks_s = (case.policy.failures_to_fail - 1) * case.policy.probe_interval_s
    return heard_at is not None and heard_at < later(case.streaming.since, -looks_s)
