"""One immutable reading of everything: the only thing, besides Desired and now, that is decided on.

The shell builds a World once per tick; ``reconcile`` answers with a Plan; a Snapshot of both is what
the page, the metrics and the alerts look at until the next tick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from keeper.core.decisions import Plan
from keeper.core.drift import Compared
from keeper.core.meter import Meter
from keeper.core.model import (
    Audition,
    Condemned,
    Desired,
    Instance,
    InstanceId,
    Intent,
    IntentId,
    IntentKind,
    MachineId,
    Makeable,
    Offer,
    OfferId,
    Quarantine,
    Reading,
    Revision,
    SlotId,
    SlotRecord,
    Status,
    StreamName,
    Subject,
    is_spare,
)
from keeper.core.reasons import Reason
from keeper.core.silences import Silence
from keeper.core.slate import SlateShown
from keeper.core.under_way import DeployProgress, KeptFor
from keeper.core.well import is_well
from keeper.core.windows import Window

# An answer that takes longer was not asked for at once: the marketplace had refused to be asked, or it
# came in many pages.
_AT_ONCE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A complete, well-formed list of the account's rentals. Anything less never becomes one (I9).

    A list is of some moment between its question and its answer, and nobody knows of which. So what
    happened after ``at`` may not be in it, nobody could go by it before ``known_at``, and what a
    second list must confirm counts from ``taken_by``.
    """

    instances: tuple[Instance, ...]
    at: datetime  # when it was asked for
    came_at: datetime | None = None  # when it was answered; None: at once
    # When the first list came that has all rentals where this one has them; None: with this one.
    placed_at: datetime | None = None
    before_at: datetime | None = None  # when the list before it was asked for; None: there was none

    @property
    def known_at(self) -> datetime:
        """Return from when on anybody could go by it."""
        return self.at if self.came_at is None else max(self.at, self.came_at)

    @property
    def taken_by(self) -> datetime:
        """Return by when it was taken: one that waited for its turn may be as young as its answer."""
        has_waited = (self.known_at - self.at).total_seconds() > _AT_ONCE_S
        return self.known_at if has_waited else self.at

    @property
    def places_known_at(self) -> datetime:
        """Return from when on anybody could know where each rental is: an earlier list may have said it."""
        return self.known_at if self.placed_at is None else min(self.placed_at, self.known_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferBook:
    """The answer to one search, with its age.

    ``around`` is what a wider search found when nothing suited: offers that miss the needs here and
    there. They explain; while they are as fresh as the rest they are chosen from like all others.
    """

    offers: tuple[Offer, ...]
    at: datetime
    around: tuple[Offer, ...] = ()
    around_at: datetime | None = None  # when they were asked for; it may be a look before this one
    asked_for: frozenset[OfferId] = frozenset()  # single offers that were looked up too


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRefused:
    """Nobody of this account can search the market, for a while or until a cure."""

    reason: Reason  # SEARCH_QUOTA_SPENT, UNAUTHORIZED or SEARCH_FAILS
    until: datetime | None
    error: str  # bounded, redacted


class OutcomeKind(StrEnum):
    """How an act ended."""

    DONE = "done"
    FAILED = "failed"
    UNCERTAIN = "uncertain"  # the effect may have happened: never repeated, settled by observing


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one intent, as the shell saw it."""

    intent_id: IntentId
    intent: IntentKind
    kind: OutcomeKind
    slot: SlotId | None
    at: datetime
    duration_s: float
    instance_id: InstanceId | None = (
        None  # RENT, DONE: the new contract (also: made despite an error)
    )
    reason: Reason | None = None  # FAILED: OFFER_GONE, OUT_OF_CREDIT, UNAUTHORIZED, BUDGET, …
    error: str = ""  # error class and text, bounded, redacted
    retry_after_s: float | None = None
    audition: Audition | None = (
        None  # DEPLOY, PREPARE: what the host showed; None: it was not asked
    )
    ended_at: datetime | None = None  # SWAP: when the one host had ended; None: nobody knows


class OrderKind(StrEnum):
    """What an operator may order of a running keeper."""

    RESTART = "restart"
    REPLACE = "replace"
    DESTROY = "destroy"  # end the slot's rental; the slot is held until `resume`
    PAUSE = "pause"
    RESUME = "resume"
    ADOPT = "adopt"  # take the stray ``instance_id`` into the slot
    END = "end"  # end the stray ``instance_id``
    RENT = "rent"  # fill the vacant slot, with ``offer_id`` when one is named
    DEPLOY = "deploy"  # put what is declared on the slot's host now, also what was found to be bad
    SILENCE = "silence"  # tell nobody of what ``silence`` matches, for a while
    UNSILENCE = "unsilence"  # end the silence ``silence_id``


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An operator's order. PAUSE and RESUME without a slot or stream are for the whole fleet."""

    order_id: str
    kind: OrderKind
    slot: SlotId | None
    actor: str
    reason: str
    at: datetime
    until: datetime | None = None  # PAUSE: ends by itself
    offer_id: OfferId | None = None  # RENT: this one and no other
    instance_id: InstanceId | None = None  # ADOPT, END: this one and no other
    stream: StreamName | None = None  # PAUSE, RESUME: all its slots, later ones too
    is_now: bool = False  # RESTART, REPLACE, DEPLOY: viewers are not waited for
    silence: Silence | None = None  # SILENCE
    silence_id: str = ""  # UNSILENCE


# A pause that nobody said an end for: a morning's or an evening's work. It must not be forgotten.
PAUSE_DEFAULT_S = 14_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Observe and alert, mutate nothing."""

    since: datetime
    until: datetime | None
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSeen:
    """What the account could spend when it was last asked. A debt makes it negative."""

    spendable_dollars: float
    at: datetime
    empty_at: datetime | None = None  # the last time it was seen without any
    compared: Compared | None = None  # the latest comparison of its fall with what rentals cost


@dataclass(frozen=True, slots=True, kw_only=True)
class LullLook:
    """One look whether viewers of a host would lose little now."""

    at: datetime
    is_there: bool
    is_hopeless: bool = False  # it cannot be asked, and need not be waited for
    detail: str = ""  # what was seen; bounded, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything known at the start of a tick."""

    keeper_id: str  # random, made with the store; part of every label we issue
    records: Mapping[SlotId, SlotRecord]
    listing: Listing | None = None  # the last complete one, however old
    unreadable_since: datetime | None = None  # first failed listing since the last complete one
    unreadable_error: str = ""
    shown: Mapping[InstanceId, Instance | None] = field(
        default_factory=dict
    )  # by-id reads, this tick
    offers: Mapping[StreamName, OfferBook] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()  # since the last tick, oldest first
    heard_at: Mapping[tuple[InstanceId, Subject], datetime] = field(default_factory=dict)
    host_keys: Mapping[InstanceId, str] = field(default_factory=dict)  # as shown at first contact
    # Whether a dead man is on a host, or is about to be, where that was found out.
    guards: Mapping[InstanceId, bool] = field(default_factory=dict)
    # What was last seen of the viewers of hosts that wait for them.
    lulls: Mapping[InstanceId, LullLook] = field(default_factory=dict)
    condemned: tuple[Condemned, ...] = ()
    intents: tuple[Intent, ...] = ()  # open ones
    outcomes: tuple[Outcome, ...] = ()  # since the last tick
    in_flight: frozenset[SlotId] = frozenset()  # slots with an act under way in this process
    in_flight_instances: frozenset[InstanceId] = frozenset()  # destroys under way
    quarantine: Mapping[MachineId, Quarantine] = field(default_factory=dict)
    orphans_known: frozenset[InstanceId] = frozenset()  # already told
    orphans_seen_at: Mapping[InstanceId, datetime] = field(default_factory=dict)  # first listing
    fuses_known: frozenset[Reason] = frozenset()  # tripped at the last tick
    windows: tuple[Window, ...] = ()  # open ones
    windows_ahead: tuple[Window, ...] = ()  # the next opening of each, also of an open one
    windows_change_at: datetime | None = None  # the next time that one opens or closes
    causes_known: frozenset[tuple[str, str]] = frozenset()  # trait and value, named last tick
    orders: tuple[Order, ...] = ()  # new ones
    pause: Pause | None = None  # of the whole fleet
    # Of slots one by one, and of streams under their own keys (pauses.py).
    slot_pauses: Mapping[SlotId, Pause] = field(default_factory=dict)
    held_slots: frozenset[SlotId] = frozenset()  # held by a bug of ours
    is_leader: bool = True
    is_stopping: bool = False
    own_network: Status = Status.UNKNOWN  # the ops box's canary; only FALSE stops anything
    started_at: datetime | None = None  # of this process, or of its return from being away
    search_refused: SearchRefused | None = None  # the answer to the latest search
    account: AccountSeen | None = None  # None: not asked yet, or the key may not ask
    meter: Meter = field(default_factory=Meter)  # as last written
    silences: tuple[Silence, ...] = ()  # of alerts; nothing is decided by them
    revisions: Mapping[StreamName, tuple[Revision, ...]] = field(default_factory=dict)
    # Which of them can be put on a host by this process, besides the declared ones.
    makeable: Mapping[StreamName, Mapping[str, Makeable]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the sinks look at between two ticks."""

    desired: Desired
    world: World
    plan: Plan
    records: Mapping[SlotId, SlotRecord]  # after the plan
    at: datetime
    tick: int
    latest: Mapping[tuple[InstanceId, Subject], Reading] = field(default_factory=dict)
    # For people only: nothing is decided upon these.
    deploys: Mapping[SlotId, DeployProgress] = field(default_factory=dict)  # under way
    slates: Mapping[StreamName, SlateShown] = field(default_factory=dict)  # declared ones
    kept: Mapping[SlotId, KeptFor] = field(default_factory=dict)  # in the archive
    ailing: Mapping[SlotId, SlotRecord] = field(
        init=False
    )  # the records of slots that are not well

    def __post_init__(self) -> None:
        ailing = {
            slot: record
            for slot, record in self.records.items()
            if not is_well(record) and not is_spare(slot)
        }
        object.__setattr__(self, "ailing", ailing)

    @property
    def revisions(self) -> Mapping[StreamName, tuple[Revision, ...]]:
        """What is known of deploys, after the plan."""
        return {**self.world.revisions, **self.plan.revisions}
