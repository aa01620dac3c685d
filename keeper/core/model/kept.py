"""What keeper remembers: conditions, tenures, slots, intents. All of it survives a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from keeper.core.model.desired import RentalSpec, Rung
from keeper.core.model.ids import (
    HostId,
    InstanceId,
    IntentId,
    MachineId,
    OfferId,
    SlotId,
    StreamName,
)
from keeper.core.model.seen import Meaning, Status, Symptom
from keeper.core.reasons import Reason


class ConditionKind(StrEnum):
    """What is judged of a tenure, in the order in which it becomes true."""

    RENTED = "rented"
    REACHABLE = "reachable"
    DEPLOYED = "deployed"
    RUNNING = "running"  # the process, as its manager sees it: a hint
    STREAMING = "streaming"  # the picture, as the viewer sees it: the truth
    HAS_GPU = "has_gpu"  # the GPU answers and drives a display
    HAS_ROOM = "has_room"  # the host's disk is not full
    WORKING = "working"  # what the workload says of itself: a hint, and why


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A judged fact with its reason and how long it has held.

    The streaks are capped at the thresholds, so that a steady condition is an unchanged value.
    """

    kind: ConditionKind
    status: Status
    reason: Reason
    since: datetime
    bad_streak: int = 0
    good_streak: int = 0
    streak_since: datetime | None = None  # the first look of the streak that was counted last
    # STREAMING: looks in a row that give another reason, of those that are not believed at once.
    other_streak: int = 0
    reason_since: datetime | None = None  # since when it has this reason; None: as long as it holds
    symptom: Symptom | None = (
        None  # WORKING: what is wrong; ``since`` is then since when it is that
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Audition:
    """What a host showed when it was last looked at before a deploy: the gravest finding, or none."""

    meaning: Meaning | None  # None: it passed
    at: datetime
    since: datetime  # when it failed first
    check: str = ""
    saw: str = ""  # bounded and plain
    expected: str = ""
    is_machine_at_fault: bool = True  # False: another container on the same machine may pass
    passed: str = ""  # what the checks saw that were as expected; bounded and plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Lull:
    """The wait for a moment at which viewers of a host lose least by what keeper is about to do."""

    since: datetime
    bound_s: float
    over_at: datetime | None = None  # when it came, or was waited for no longer
    left_until: datetime | None = None  # it did not come, and policy leaves the host as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """One rental's time in a slot, from the intent to rent until it is condemned."""

    label: str
    attempt: int
    offer_id: OfferId
    machine_id: MachineId
    host_id: HostId
    gpu_name: str
    dollars_per_hour: float
    requested_at: datetime
    instance_id: InstanceId | None = None  # None: the create's answer is not known yet
    rented_at: datetime | None = None
    running_at: datetime | None = None  # first seen running by the marketplace
    deployed_at: datetime | None = None
    first_live_at: datetime | None = None
    deploy_failures: int = 0
    audition: Audition | None = None  # None: not held yet
    deploy_unsure_at: datetime | None = None  # since when a deploy may have started something
    process_before: str = ""  # what ran when the latest deploy began; "": nothing was seen to
    missing_since: datetime | None = None  # first complete listing without it
    missing_listed_at: datetime | None = None  # the latest such listing
    absent_by_id_at: datetime | None = None  # when the answer by id said so, too
    dead_since: datetime | None = None  # first listing with a fatal state
    conditions: tuple[Condition, ...] = ()
    process_identity: str = ""
    process_changed_at: tuple[datetime, ...] = ()  # bounded; restarts keeper did not order
    host_key: str = ""  # pinned at first contact
    good_in_a_row: int = 0  # viewer probes, capped at handover_good_probes
    listed_at: datetime | None = None  # first complete listing that showed it
    booting_since: datetime | None = None  # when it was rented, or the last reboot of it
    booted_at: datetime | None = None  # first seen running with a link; None again after a reboot
    acted_at: datetime | None = None  # keeper's latest act on it, or doubt about its create
    warm_at: datetime | None = None  # first picture since the workload was put there
    warmup_s: float | None = None  # how long its first warm-up took, to bound the later ones
    process_restarts: int = -1  # the inner supervisor's counter, as last read; -1: not yet
    is_bid: bool = False
    bid_dollars_per_hour: float = 0.0  # the GPU part that was bid
    outbid_since: datetime | None = None  # first listing that showed it stopped by a higher bid
    rebids: int = 0
    is_bid_unsure: bool = False  # the latest bid may never have arrived
    is_left_stopped: bool = False  # keeper's own restart broke off: nobody else stopped the process
    offered_dollars_per_hour: float = 0.0  # as decided upon, to tell a drift of the contract
    traffic_dollars_per_hour: float = 0.0  # expected, beside dollars_per_hour
    dear_since: datetime | None = None  # first listing with a price above the limit
    ends_at: datetime | None = None  # of the contract, as last listed
    ending_since: datetime | None = None  # first listing by which it ends soon
    unlisted_since: datetime | None = (
        None  # first listing by which its machine takes no more renters
    )
    # As offered: for people, where no listing tells. 0: not told.
    gpu_ram_gb: float = 0.0
    disk_dollars_per_hour: float = 0.0
    gpu_spent_dollars: float = 0.0  # about, by its runs before the present one; for people, too
    keepsake: str = ""  # as its workload said last
    is_left_to_person: bool = False  # for a symptom that only a person cures, and has not yet
    # What it may share with others that fail; "": not told.
    network: str = ""  # of its public address
    driver: str = ""
    region: str = ""
    image: str = ""
    revision: str = ""  # of the workload that was put on it last, or that it was rented for
    putting: str = ""  # the revision that is being put on it instead; until that is done, a mixture
    was_dark: bool = False  # when it got that: then it is not to blame for the darkness
    lull: Lull | None = None  # what is waited for before the host is touched, or ends
    is_guarded: bool = False  # a dead man is there, or is about to be
    prepared_at: datetime | None = None  # a spare's: all is there, and is not started
    ready_at: datetime | None = None  # a spare's: when it could first have taken over
    # A spare's that is stopped by keeper, and pays for its disk alone until it is started.
    stop_asked_at: datetime | None = None  # the latest order to stop; None: it is meant to run
    stop_tries: int = 0  # such orders since it last ran
    stopped_at: datetime | None = None  # first listing that has confirmed it
    start_asked_at: datetime | None = None  # an order to start that is not settled
    start_queued_at: datetime | None = None  # since when that order is known to wait for the GPU
    start_refused: Reason | None = None  # why the latest order to start came to nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A host that failed, and what it had in common with others: what a cause is named from."""

    label: str  # of the rental; one rental is one failure
    machine_id: MachineId
    at: datetime  # when it was last seen to fail
    reason: Reason  # the deepest failing condition's, else that of its end
    traits: Mapping[str, str] = field(default_factory=dict)  # by cause.Trait


@dataclass(frozen=True, slots=True, kw_only=True)
class RemedyUse:
    """A rung that was used, for the caps."""

    rung: Rung
    at: datetime
    symptom: str = ""  # the code of what it was to cure; "": none that the workload named


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One sickness of a slot, from the first bad judgement to the first good one."""

    incident_id: str
    opened_at: datetime
    reason: Reason
    dark_since: datetime | None  # when the viewer lost the picture; None: never dark
    acts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapping:
    """One publisher only: a slot's two hosts change places. Who is to publish is seated as its tenure.

    The other one, as incoming, is told to end first, and kept until the new one has proven itself.
    """

    since: datetime  # when it was decided
    reason: Reason  # why the slot gets another host; of a swap back, why it does not
    bound_s: float  # what was started must show its picture within this
    is_back: bool = False  # the new host did not show its picture: the old one publishes again
    tries: int = 1
    done_at: datetime | None = None  # when the one had ended and the other was started
    ended_at: datetime | None = None  # when the one had ended
    last_good_at: datetime | None = None  # the last good look before that
    good_at: tuple[datetime, ...] = ()  # good looks at the new one while nobody knew; bounded
    first_good_at: datetime | None = None  # the first good look after that

    @property
    def is_gap(self) -> bool:
        """Whether one host has ended and nobody has seen the other's picture yet."""
        return self.ended_at is not None and self.first_good_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRecord:
    """What keeper remembers of a slot; all of it survives a crash."""

    slot: SlotId
    attempt: int = 0  # rentals ever asked for; makes labels unique
    serial: int = 0  # intents ever written; makes intent ids unique
    tenure: Tenure | None = None
    incoming: Tenure | None = None  # the replacement, while handing over
    swap: Swapping | None = (
        None  # the two change places: ``incoming`` is then the one that has ended
    )
    remedies: tuple[RemedyUse, ...] = ()
    replaced_at: tuple[datetime, ...] = ()
    incident: Incident | None = None
    healthy_since: datetime | None = None
    # The first look that saw what is believed by now; None while on air or never on air.
    dark_since: datetime | None = None
    ever_on_air: bool = False
    wanted_since: datetime | None = None  # when it was declared; None: by an earlier keeper
    offer_misses: int = 0  # searches in a row that found nothing suitable
    next_rent_at: datetime | None = None
    rent_reason: Reason = Reason.BACKING_OFF  # why next_rent_at lies ahead
    rent_detail: str = ""  # why the last search found nothing, for the alert; bounded
    avoid_offers: tuple[OfferId, ...] = ()  # lost races, bounded
    offer_asked: OfferId | None = None  # an operator's choice, for the next rental only
    outbid_at: datetime | None = None  # the last time a rental of this slot was outbid
    replace_asked_at: datetime | None = None  # an operator's order, until it is done
    replace_asked_attempt: int | None = None  # rentals asked for when it was given
    restart_asked_at: datetime | None = None  # the same
    destroy_asked_at: datetime | None = None  # the same
    deploy_asked_at: datetime | None = None  # the same: the declared deploy, now
    is_at_once: bool = False  # the order to replace or to deploy waits for no viewer
    recycle_at: datetime | None = None  # no recycle is tried before
    failures: tuple[Failure, ...] = ()  # of its latest hosts, bounded
    keepsake: str = ""  # of its last host: what the next one must be told
    proven_revision: str = ""  # of the workload that was last on air for long
    last_decision: str = ""
    last_reason: Reason = Reason.STARTING_UP
    last_act: str = ""  # last decision that did something, for the page and `status`
    last_act_reason: Reason = Reason.STARTING_UP
    last_act_at: datetime | None = None
    last_act_why: str = ""  # the workload's own sentence, where the act was for what it said
    took_over_at: datetime | None = None  # the last time that a spare became its host
    took_over_dark_s: float = 0.0  # how long nobody had seen a picture then
    took_over_for: Reason = Reason.VACANT  # why the slot needed another host
    undone_at: datetime | None = None  # the last time that a hand-over was taken back
    undone_for: Reason = Reason.VACANT  # what was wrong with the new host
    # When its host was restarted for what a restart cured, and that no longer counts; bounded.
    forgiven_at: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What was declared to be put on a stream's hosts, by its fingerprint, and what came of it."""

    stream: StreamName
    name: str
    declared_at: datetime  # first
    recipe: str = ""  # by which its workload can be made again; holds no secret
    parts: Mapping[str, str] = field(default_factory=dict)  # a mark for each key
    rental_mark: str = ""
    proven_at: datetime | None = None  # when a host had been on air with it for long enough
    bad_at: datetime | None = None  # when it was found to be bad; None: it may be good
    bad_reason: Reason | None = None
    bad_slot: SlotId | None = None  # where
    # When that was taken back once, for nothing at all could be put on the host.
    acquitted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Makeable:
    """A revision whose workload is at hand, and what is rented for it."""

    rental: RentalSpec
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condemned:
    """A rental that must end. It is forgotten only after two separated, confirmed absences."""

    label: str
    instance_id: InstanceId
    slot: SlotId | None
    reason: Reason
    condemned_at: datetime
    dollars_per_hour: float
    rented_at: datetime | None = None
    # About, until it was condemned; None: all the time at that price.
    spent_dollars: float | None = None
    listed_at: datetime | None = None  # a listing that showed it; None: it has not come to light
    tries: int = 0
    tries_unsent: int = 0  # of these, those of which the marketplace cannot have heard
    next_try_at: datetime | None = None
    absent_since: datetime | None = None
    absent_listed_at: datetime | None = None
    by_id_absent_at: datetime | None = None
    accepted_at: datetime | None = None  # the latest destroy that was answered with yes


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """A machine that failed us and is avoided until a time."""

    machine_id: MachineId
    host_id: HostId
    strikes: int
    until: datetime
    reason: Reason


class IntentKind(StrEnum):
    """Effects that are written down before they are tried."""

    RENT = "rent"
    DEPLOY = "deploy"
    PREPARE = "prepare"  # of a spare: all of a deploy but the start
    RESTART = "restart"
    SWAP = "swap"
    REBOOT = "reboot"
    STOP = "stop"
    START = "start"
    REBID = "rebid"
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Written before an effect; closed when its outcome is known."""

    intent_id: IntentId
    kind: IntentKind
    slot: SlotId | None
    label: str
    instance_id: InstanceId | None
    opened_at: datetime
    reason: Reason
