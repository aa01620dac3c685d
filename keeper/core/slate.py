"""When keeper's own slate stands in for a stream whose hosts show nothing, and when it makes way.

Two publishers on one ingest make both flicker, or end the broadcast that the slate is to keep open. So it
begins only where nobody is publishing, for certain: there is no host that could, or the ingest itself
says that it has no publisher. A picture that is frozen or black proves the contrary: somebody sends it.
Not knowing is never taken for an empty ingest. An ingest that refuses a second publisher holds off a host
that comes back unasked; for any other it must be certain, too, that none comes.

It makes way in time rather than at the end: for a good look, for a repair, and for a host whose picture is
due, since what such a host is refused by the ingest would be held against it. No repair waits for it.

Durations are of a monotonic clock; the shell counts them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from keeper.core.conditions import GONE, condition_of
from keeper.core.model import (
    Condemned,
    ConditionKind,
    Instance,
    MarketState,
    Policy,
    SlotRecord,
    Status,
    Tenure,
)
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason

# An ingest is empty for a moment whenever a publisher comes again after a loss, and a process manager takes
# about so long to start anew what has ended.
SETTLED_S = 5.0
# Beside a host that may only be waiting for the ingest the slate lets go again after so long: less than a
# host is given before it is replaced, more than what makes a platform end a broadcast costs in gaps.
TURN_S = 60.0
# An act of keeper's on a host has its effect within so long: until then the old process may go on.
_ACT_SETTLES_S = 60.0
# What a process manager says of what it will not start by itself.
_STARTS_NOTHING = (Reason.MANAGER_GAVE_UP, Reason.PROCESS_STOPPED_ON_PURPOSE)
# So long before the picture is due the ingest is the host's: it comes again every few seconds if refused.
_DUE_MARGIN_S = 60.0


class SecondPublisher(StrEnum):
    """What an ingest does with a second publisher under the same key."""

    REFUSED = "refused"  # who is there stays; the other may try again (nginx with its RTMP module)
    REPLACES = "replaces"  # the newest takes over, and the older connection ends
    ACCEPTED = "accepted"  # both go on


class Ingest(StrEnum):
    """Whether somebody publishes, by the ingest's own word."""

    EMPTY = "empty"
    TAKEN = "taken"
    UNKNOWN = "unknown"  # it is not asked, or what it says cannot be read


class Publisher(StrEnum):
    """Whether a stream's hosts can be publishing, the safest first."""

    NONE = "none"  # for certain: no rental runs, or nothing was ever started on it
    DOWN = "down"  # its manager has given up, or was told to stop: it starts nothing by itself
    ENDED = "ended"  # the process is gone, and something there may start it again at any moment
    WARMING = "warming"  # one has been started, and its picture is not due yet
    MAYBE = "maybe"  # one may be, or may want to


class SlateWhy(StrEnum):
    """Why the slate is on or off."""

    DARK = "dark"
    STAYS = "stays"
    ON_AIR = "on_air"
    NOT_YET = "not_yet"
    NOT_CERTAIN = "not_certain"
    TAKEN = "taken"
    BARRED = "barred"
    GOOD_FRAME = "good_frame"
    REPAIR = "repair"
    HOST_DUE = "host_due"
    HOST_TURN = "host_turn"
    TOO_LONG = "too_long"
    RESTING = "resting"


# Nobody publishes, for certain; where a second publisher is refused, whoever comes after that waits.
_IS_SILENT = (Publisher.NONE, Publisher.DOWN, Publisher.ENDED)
# And nobody will before keeper or a person does something.
_STAYS_SILENT = (Publisher.NONE, Publisher.DOWN)

SENTENCES: dict[SlateWhy, str] = {
    SlateWhy.DARK: "no host shows a picture, and none is publishing",
    SlateWhy.STAYS: "no host shows a picture yet",
    SlateWhy.ON_AIR: "a host shows its picture, or did a moment ago",
    SlateWhy.NOT_YET: "the picture is not gone for long enough",
    SlateWhy.NOT_CERTAIN: "a host may be publishing, or begin to: whether the ingest stays free is not certain",
    SlateWhy.TAKEN: "somebody else publishes to the ingest",
    SlateWhy.BARRED: "nothing is done for this stream now: paused, not leading, observed only, or ended",
    SlateWhy.GOOD_FRAME: "a host shows its picture",
    SlateWhy.REPAIR: "a host is about to be started, and gets the ingest",
    SlateWhy.HOST_DUE: "a host's picture is due, and the ingest is its own",
    SlateWhy.HOST_TURN: "a host may only be waiting for the ingest, and has its turn",
    SlateWhy.TOO_LONG: "the slate was on for as long as it may be",
    SlateWhy.RESTING: "the latest slate broke; the next one waits a while",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateTerms:
    """What an operator declares of a stream's slate, as far as it is decided upon."""

    after_s: float = 20.0
    on_max_s: float = 7200.0  # a broadcast that nobody will come back to is not kept open for ever
    second_publisher: SecondPublisher = SecondPublisher.REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateSeen:
    """All that is known of one stream at one moment."""

    is_barred: bool = False
    dark_s: float  # since the latest good look at any host, by its raw reading; before one: since keeper looks
    publisher: Publisher
    publisher_s: float = 0.0  # for how long it is that, of the same processes
    ingest: Ingest = Ingest.UNKNOWN
    ingest_s: float = 0.0  # for how long the ingest says so, without a break
    is_starting: bool = False  # an act is under way that ends in a publisher
    is_restarting: bool = False  # one that ends in it within seconds
    on_s: float | None = None  # for how long the slate is on; None: it is off
    is_spent: bool = False  # it was on for as long as it may be, and no good look has come since
    is_resting: bool = False  # the latest one broke, or was ended by the ingest


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateChoice:
    """Whether there is to be a slate now."""

    is_on: bool
    why: SlateWhy


def choose(seen: SlateSeen, terms: SlateTerms) -> SlateChoice:
    """Say whether the slate is to be on."""
    if seen.is_barred:
        return SlateChoice(is_on=False, why=SlateWhy.BARRED)
    if seen.on_s is None:
        why = _may_begin(seen, terms)
        return SlateChoice(is_on=why is SlateWhy.DARK, why=why)
    why = _must_end(seen, seen.on_s, terms)
    return SlateChoice(is_on=why is SlateWhy.STAYS, why=why)


def _may_begin(seen: SlateSeen, terms: SlateTerms) -> SlateWhy:
    if seen.dark_s < terms.after_s:
        return SlateWhy.ON_AIR if seen.dark_s < SETTLED_S else SlateWhy.NOT_YET
    if seen.is_spent:
        return SlateWhy.TOO_LONG
    if seen.is_resting:
        return SlateWhy.RESTING
    if seen.ingest is Ingest.TAKEN:
        return SlateWhy.TAKEN
    if seen.is_starting:
        return SlateWhy.REPAIR
    return SlateWhy.DARK if _is_free(seen, terms) else SlateWhy.NOT_CERTAIN


def _is_free(seen: SlateSeen, terms: SlateTerms) -> bool:
    """Say whether nobody publishes and, where another one would be let in, nobody comes unasked."""
    is_settled = seen.publisher_s >= SETTLED_S
    # Beside a host the ingest's word holds for as long as the host was free to come: its turn.
    is_left_alone = seen.ingest is Ingest.EMPTY and seen.ingest_s >= max(SETTLED_S, terms.after_s)
    match terms.second_publisher:
        case SecondPublisher.REFUSED:
            return is_left_alone or (is_settled and seen.publisher in _IS_SILENT)
        case SecondPublisher.REPLACES | SecondPublisher.ACCEPTED:
            # A process may have left behind a publisher of its own, which its manager does not know.
            is_down = seen.publisher is Publisher.DOWN and is_left_alone
            return is_settled and (is_down or seen.publisher is Publisher.NONE)
        case _:
            assert_never(terms.second_publisher)


def _must_end(seen: SlateSeen, on_s: float, terms: SlateTerms) -> SlateWhy:
    is_alone = seen.publisher in _STAYS_SILENT
    if seen.dark_s < on_s:
        return SlateWhy.GOOD_FRAME
    if seen.ingest is Ingest.TAKEN:
        return SlateWhy.TAKEN
    if seen.is_restarting:
        return SlateWhy.REPAIR
    if terms.second_publisher is SecondPublisher.ACCEPTED and (seen.is_starting or not is_alone):
        return SlateWhy.REPAIR if seen.is_starting else SlateWhy.HOST_DUE
    if terms.second_publisher is not SecondPublisher.REFUSED:
        # It has come up while the slate was on: what is said of it may be of before.
        is_back = seen.publisher is Publisher.DOWN and seen.publisher_s < on_s
        if is_back or seen.publisher is Publisher.ENDED:
            return SlateWhy.HOST_DUE
    if seen.publisher is Publisher.MAYBE:
        if seen.publisher_s < on_s:  # it has come while the slate was on
            return SlateWhy.HOST_DUE
        if on_s >= TURN_S:
            return SlateWhy.HOST_TURN
    if on_s >= terms.on_max_s:
        return SlateWhy.TOO_LONG
    return SlateWhy.STAYS


# --- whether the hosts can be publishing ------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """One rental of the stream, as it is remembered and as it was listed last."""

    tenure: Tenure
    listed: Instance | None  # None: no fresh list shows it


def publisher_among(
    rentals: Iterable[Rental],
    ending: Iterable[tuple[Condemned, Instance | None]],
    policy: Policy,
    now: datetime,
) -> Publisher:
    """Say whether any of a stream's rentals can be publishing; those that are being ended count too."""
    found = [publisher_of(each.tenure, each.listed, policy, now) for each in rentals]
    for condemned, listed in ending:
        is_down = listed is not None and listed.state is MarketState.STOPPED
        if condemned.absent_since is None and not is_down:
            return Publisher.MAYBE
    return max(found, key=tuple(Publisher).index, default=Publisher.NONE)


def publisher_of(
    tenure: Tenure, listed: Instance | None, policy: Policy, now: datetime
) -> Publisher:
    """Say whether one host can be publishing."""
    if tenure.instance_id is None:
        return Publisher.NONE
    running = condition_of(tenure, ConditionKind.RUNNING)
    is_gone = running is not None and running.status is Status.FALSE and running.reason in GONE
    is_told = running is not None and running.status is not Status.UNKNOWN
    if _is_unused(tenure) and (is_gone or not is_told):
        return Publisher.NONE
    if listed is not None and listed.state is MarketState.STOPPED:
        return Publisher.ENDED if listed.is_meant_to_run else Publisher.NONE
    acted_s = math.inf if tenure.acted_at is None else elapsed_s(tenure.acted_at, now)
    if running is not None and is_gone:
        # What was said before an act may not hold after it.
        is_down = running.reason in _STARTS_NOTHING and acted_s >= _ACT_SETTLES_S
        return Publisher.DOWN if is_down else Publisher.ENDED
    if acted_s < _ACT_SETTLES_S and (tenure.warm_at or tenure.first_live_at) is not None:
        return Publisher.MAYBE
    if not is_told and _is_untouched(tenure) and tenure.running_at is None:
        return Publisher.ENDED  # what comes up again may start by itself what was put there before
    if _is_unused(tenure):
        return Publisher.WARMING  # its first deploy has just started it, and is not over yet
    ends_at = picture_due_at(tenure, policy)
    if ends_at is not None and elapsed_s(now, ends_at) > _DUE_MARGIN_S and now < ends_at:
        return Publisher.WARMING
    return Publisher.MAYBE


def _is_unused(tenure: Tenure) -> bool:
    """Say whether nothing of the stream's was ever started there, nor may have been."""
    is_adopted = not tenure.offer_id  # found, not rented: whatever was there before
    has_booted_once = tenure.booting_since == tenure.rented_at
    has_served = tenure.first_live_at is not None
    return _is_untouched(tenure) and has_booted_once and not has_served and not is_adopted


def _is_untouched(tenure: Tenure) -> bool:
    return (
        tenure.deployed_at is None
        and tenure.deploy_unsure_at is None
        and tenure.deploy_failures == 0
    )


def picture_due_at(tenure: Tenure, policy: Policy) -> datetime | None:
    """Return when a freshly deployed workload must show its picture at the latest; None: it has, or none is there."""
    if tenure.deployed_at is None or tenure.warm_at is not None:
        return None
    grace_s = policy.warmup_grace_s
    if tenure.warmup_s is not None:
        grace_s = min(grace_s, max(policy.restart_settle_s, 2.0 * tenure.warmup_s))
    return later(tenure.deployed_at, grace_s)


# --- how long it may take ---------------------------------------------------------------------------

# About what a boot, a deploy and a first picture take of what they may take at most: hosts that come to
# anything mostly take this long. The number is for viewers; nothing is decided upon it.
_BOOT_SHARE = 0.2
_WARMUP_SHARE = 0.5
_DEPLOY_S = 60.0
_RENT_S = 20.0
_AGAIN_S = 60.0  # a host that has served and is being repaired


def picture_in_s(record: SlotRecord | None, policy: Policy, now: datetime) -> float:
    """Estimate how long it will be until there is a picture; 0.0: any moment now."""
    boot_s = policy.boot_max_s * _BOOT_SHARE
    tenure = None if record is None else record.incoming or record.tenure
    warmup_s = policy.warmup_grace_s * _WARMUP_SHARE
    if tenure is None:
        return _RENT_S + boot_s + _DEPLOY_S + warmup_s
    if tenure.warmup_s is not None:
        warmup_s = tenure.warmup_s
    if tenure.booted_at is None and tenure.deployed_at is None:
        begun_at = tenure.booting_since or tenure.requested_at
        return max(0.0, boot_s - elapsed_s(begun_at, now)) + _DEPLOY_S + warmup_s
    if tenure.deployed_at is None:
        begun_at = tenure.booted_at or now
        return max(0.0, _DEPLOY_S - elapsed_s(begun_at, now)) + warmup_s
    if tenure.warm_at is None:
        return max(0.0, warmup_s - elapsed_s(tenure.deployed_at, now))
    dark_since = None if record is None else record.dark_since
    return _AGAIN_S if dark_since is None else max(0.0, _AGAIN_S - elapsed_s(dark_since, now))


# --- for people -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateShown:
    """How a stream's slate is, for people: nothing is decided upon it."""

    is_on: bool
    why: SlateWhy
    since: datetime  # it is on, or off


def slate_sentence(shown: SlateShown) -> str:
    """Say how a slate is, in a sentence for the page."""
    return f"The slate is {'on' if shown.is_on else 'off'}: {SENTENCES[shown.why]}."
