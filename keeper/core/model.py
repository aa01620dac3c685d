"""The nouns of keeper as frozen values: what is desired, what is seen, what is remembered.

It knows nothing of HTTP, SSH, SQL or YAML. Units and bounds are in the names; ``_at`` is an aware
UTC datetime, ``_s`` seconds, ``_dollars_per_hour`` US dollars per hour. See docs/glossary.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from keeper.core.reasons import Reason
from keeper.core.spare import Spares

StreamName = NewType("StreamName", str)
SlotId = NewType("SlotId", str)  # "duel/0": stream name, slash, replica index
InstanceId = NewType("InstanceId", int)
OfferId = NewType("OfferId", int)
MachineId = NewType("MachineId", int)
HostId = NewType("HostId", int)  # the owner's account, not the physical box
IntentId = NewType("IntentId", str)


def slot_id(stream: StreamName, replica: int) -> SlotId:
    """Name the slot of one replica of a stream."""
    return SlotId(f"{stream}/{replica}")


def stream_of(slot: SlotId) -> StreamName:
    """Return the stream a slot belongs to."""
    return StreamName(slot.rpartition("/")[0])


_SPARE = "spare-"


def spare_id(stream: StreamName, number: int) -> SlotId:
    """Name the place of one spare of a stream: "duel/spare-0"."""
    return SlotId(f"{stream}/{_SPARE}{number}")


def is_spare(slot: SlotId) -> bool:
    """Whether this is the place of a spare, and no slot that anybody watches."""
    return slot.rpartition("/")[2].startswith(_SPARE)


# --------------------------------------------------------------------------------------------------
# Desired: what the operator declares. Built by settings.to_desired(), never by hand in production.
# --------------------------------------------------------------------------------------------------


class Mode(StrEnum):
    """How far keeper may go for a stream."""

    OBSERVE = "observe"
    SUGGEST = "suggest"
    ACT = "act"


class Rung(StrEnum):
    """The remedies, from the cheapest to the dearest; replacing the host is the last."""

    RESTART_PROCESS = "restart_process"
    RESTART_WORKLOAD = "restart_workload"
    REBOOT = "reboot"
    REPLACE = "replace"


class OrphanPolicy(StrEnum):
    """What to do with a rental that carries keeper's label but is not in this keeper's journal."""

    ALERT = "alert"
    DESTROY = "destroy"
    ADOPT = "adopt"


class DeployWhen(StrEnum):
    """When a changed workload is put on hosts that are on air."""

    AT_ONCE = "at_once"
    # Where viewers lose nothing: on the next host of a slot, or in a window that allows to replace.
    BOUNDARY = "boundary"


class Pricing(StrEnum):
    """How a host is paid for."""

    ON_DEMAND = "on_demand"  # the owner's price; nobody takes it away
    INTERRUPTIBLE = "interruptible"  # a bid: cheaper, and stopped when somebody bids more
    # A bid where one suits, else on demand; after an outbid for a while the other way round.
    INTERRUPTIBLE_WITH_FALLBACK = "interruptible_with_fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferNeeds:
    """What a host must be. Defaults: policy section 1 (seed provisioner's filters)."""

    gpu_display_active: bool = True
    verified: bool = True
    reliability_min: float = 0.95
    gpu_count: int = 1
    gpu_ram_min_gb: float = 20.0
    disk_gb: float = 120.0
    price_max_dollars_per_hour: float = 2.0
    gpu_names: tuple[str, ...] = ()  # empty: any
    gpu_names_excluded: tuple[str, ...] = ()
    geolocations: tuple[str, ...] = ()  # two-letter codes; empty: anywhere
    inet_up_min_mbps: float = 0.0
    inet_down_min_mbps: float = 0.0
    direct_ports_min: int = 1
    duration_min_s: float = 86_400.0
    cuda_min: float = 0.0
    egress_gb_per_hour: float = 0.0  # bitrate x viewers, priced with the offer's upload cost
    pricing: Pricing = Pricing.ON_DEMAND
    bid_margin_ratio: float = 1.10  # a bid is the offer's floor times this, within the price limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The numbers of one stream. Every default is from policy section 1 and is a setting."""

    fatal_state_s: float = 30.0
    boot_max_s: float = 900.0
    boot_hard_max_s: float = 1800.0
    create_settle_s: float = 120.0  # an unanswered create is looked for this long at least
    absence_apart_s: float = 30.0  # two complete listings this far apart prove absence
    warmup_grace_s: float = 300.0
    warmup_max_s: float = 1200.0
    probe_interval_s: float = 10.0
    probe_timeout_s: float = 5.0
    probe_stale_s: float = 45.0  # a witness silent for this long is Unknown
    failures_to_fail: int = 3
    successes_to_clear: int = 2
    restarts_max: int = 3
    restarts_window_s: float = 1800.0
    restart_backoff_min_s: float = 10.0
    restart_backoff_max_s: float = 300.0
    restart_settle_s: float = 15.0  # after a restart, failures do not count for this long
    restarts_forgiven_s: float = 600.0
    workload_restarts_max: int = 1
    workload_restarts_window_s: float = 3600.0
    reboots_max: int = 1
    reboots_window_s: float = 3600.0
    crash_loop_changes: int = 3
    crash_loop_window_s: float = 300.0
    replace_after_s: float = 180.0
    unreachable_s: float = 300.0
    replacements_max: int = 5
    replacements_window_s: float = 21_600.0
    replacements_apart_s: float = 120.0
    # What a stream may cost without a good minute of picture, over all its hosts, before a person is
    # asked: two hours and a half at the dearest price that is allowed, ten at an ordinary one.
    dark_spend_max_dollars: float = 5.0
    incident_closed_s: float = 3600.0
    handover_good_probes: int = 6
    handover_max_s: float = 900.0
    no_offer_backoff_s: tuple[float, ...] = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0)
    offers_max_age_s: float = 60.0
    deploy_attempts_max: int = 2
    # A changed workload must have been on air for so long on one host before the next one gets it.
    deploy_proof_s: float = 600.0
    deploy_when: DeployWhen = DeployWhen.AT_ONCE
    price_drift_max_ratio: float = 1.25
    contract_ending_s: float = 10_800.0  # a contract that ends sooner is replaced ahead of time
    outbid_fallback_s: float = 21_600.0  # after an outbid, hosts are rented on demand for this long
    rebids_max: int = 3  # per rental; after that an outbid host is replaced
    # A host that has heard no keeper for so long stops itself, with its own key; None: it does not.
    dead_man_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPolicy:
    """The numbers that hold for all streams together."""

    mass_failure_ratio: float = 0.20
    # After a mass failure that lasts, one slot at a time is treated: if it comes right, the cause was
    # not a common one. Without that, two hosts that fail by chance would hold a small fleet for ever.
    mass_failure_trial_s: float = 900.0
    # The same fault on so many hosts within so long is one cause, however few they are.
    common_cause_hosts: int = 2
    common_cause_window_s: float = 300.0
    # For so long a failure counts when a cause is named, and what is named is avoided.
    common_cause_memory_s: float = 21_600.0
    replacements_in_flight_max: int = 3
    spend_max_dollars_per_hour: float = 10.0
    spend_max_dollars_per_day: float | None = None  # UTC; None: no such cap
    spend_max_dollars_per_month: float | None = None
    spend_max_dollars_total: float | None = None
    # What is rented must fit under every cap for so long more: room for the hosts to be of use, and
    # for their end to be pursued while the marketplace answers badly.
    spend_reserve_s: float = 3600.0
    # Hosts are ended when what is left of a cap would pay for them only so long: three quick destroys,
    # and as many more as a quarter of an hour holds.
    spend_end_s: float = 900.0
    spend_warn_ratios: tuple[float, ...] = (0.5, 0.75, 0.9)
    destroy_retry_s: float = 60.0
    destroy_quick_tries: int = 3
    destroy_quick_retry_s: float = 5.0
    destroy_alert_s: float = 300.0
    absence_apart_s: float = 30.0
    quarantine_s: tuple[float, ...] = (21_600.0, 86_400.0, 604_800.0)
    quarantine_host_after: int = 2  # machines of one owner that failed before the owner is avoided
    orphans: OrphanPolicy = OrphanPolicy.ALERT
    list_interval_s: float = 30.0
    list_interval_busy_s: float = 5.0
    listing_stale_s: float = 180.0  # no complete listing for this long: unreadable
    tick_interval_s: float = 30.0
    account_interval_s: float = 300.0
    runway_alert_s: float = 86_400.0  # credit that lasts no longer than this is told ahead of time


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port the container publishes; the host maps it to one of its own."""

    container_port: int
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class RentalSpec:
    """What is rented besides the offer: the container. ``env`` never carries an account secret."""

    image: str
    disk_gb: float
    ports: tuple[Port, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    onstart: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream as declared."""

    name: StreamName
    replicas: int
    mode: Mode
    needs: OfferNeeds
    rental: RentalSpec
    policy: Policy
    rungs: tuple[Rung, ...] = (Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD, Rung.REBOOT)
    spend_max_dollars_per_hour: float = 5.0
    spend_max_dollars_per_day: float | None = None  # UTC; None: no such cap
    spend_max_dollars_per_month: float | None = None
    spend_max_dollars_total: float | None = None
    recycle_after_s: float | None = None  # a host that has served so long is replaced; None: never
    has_replace_windows: bool = False  # windows in which that is to be done
    revision: str = ""  # of the workload and what is rented for it; "": not told
    recipe: str = ""  # by which that revision's workload can be made again; holds no secret
    parts: Mapping[str, str] = field(default_factory=dict)  # of the revision: a mark for each key
    rental_mark: str = ""  # of what is rented for it: another one needs another rental
    spares: Spares = field(default_factory=Spares)

    @property
    def spare_places(self) -> tuple[SlotId, ...]:
        """The places of this stream's spares."""
        return tuple(spare_id(self.name, number) for number in range(self.spares.count))

    @property
    def slots(self) -> tuple[SlotId, ...]:
        """The durable places of this stream, one per replica."""
        return tuple(slot_id(self.name, replica) for replica in range(self.replicas))


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Everything the operator declares, as core values."""

    streams: tuple[Stream, ...]
    fleet: FleetPolicy = field(default_factory=FleetPolicy)


# --------------------------------------------------------------------------------------------------
# Seen: what the marketplace and the witnesses say.
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An ask on the market, stale within minutes. Prices are for the disk asked for.

    Of an interruptible offer (``is_bid``) the GPU's price is the floor below which no bid is taken;
    what will be billed is the bid (see core.market).
    """

    offer_id: OfferId
    machine_id: MachineId
    host_id: HostId
    gpu_name: str
    gpu_count: int
    gpu_ram_gb: float
    gpu_display_active: bool
    verified: bool
    rentable: bool
    reliability: float
    disk_space_gb: float
    inet_up_mbps: float
    inet_down_mbps: float
    inet_up_dollars_per_gb: float
    inet_down_dollars_per_gb: float
    dollars_per_hour: float  # GPU + the disk asked for, as the marketplace totals it
    gpu_dollars_per_hour: float
    disk_dollars_per_hour: float
    direct_port_count: int
    duration_s: float
    geolocation: str  # two-letter code or ""
    cuda_max: float
    is_bid: bool = False
    driver_version: str = ""  # "": not told
    public_ip: str = ""  # "": not told


class MarketState(StrEnum):
    """The marketplace's words for a rental, folded to what keeper tells apart."""

    PENDING = "pending"  # null, created, loading, rebooting, recycling, scheduling
    RUNNING = "running"
    STOPPED = "stopped"  # stopped or exited
    OFFLINE = "offline"
    UNKNOWN = "unknown"  # no recent heartbeat from the host
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A rental, as the marketplace reports it."""

    instance_id: InstanceId
    label: str
    state: MarketState
    is_meant_to_run: bool  # intended_status
    has_daemon_error: bool  # status_msg carries one of the daemon's error texts
    status_text: str  # bounded, hostile, for humans only
    machine_id: MachineId | None
    host_id: HostId | None
    gpu_name: str
    ssh_host: str  # proxy endpoint, "" before it is known
    ssh_port: int
    public_ip: str
    ports: Mapping[str, int]  # "22/tcp" -> port on public_ip
    dollars_per_hour: float
    started_at: datetime | None
    ends_at: datetime | None
    gpu_ram_gb: float = 0.0
    disk_gb: float = 0.0
    geolocation: str = ""  # two-letter code or "", for people
    gpu_dollars_per_hour: float = 0.0  # the parts of dollars_per_hour; 0.0 when not told
    disk_dollars_per_hour: float = 0.0
    is_bid: bool = False
    min_bid_dollars_per_hour: float = 0.0  # what a bid must reach now to run; 0.0 when not told
    is_machine_listed: bool = True  # False: the owner has taken the machine off the market


class Status(StrEnum):
    """Three-valued truth. Unknown is not False."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


class Subject(StrEnum):
    """What a reading is about."""

    LINK = "link"
    PROCESS = "process"
    PICTURE = "picture"
    GPU = "gpu"
    DISK = "disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One answer of one witness about one rental, at one time."""

    instance_id: InstanceId
    subject: Subject
    status: Status
    reason: Reason
    at: datetime
    identity: str = ""  # PROCESS: incarnation ("pid:start"); another one means it was restarted
    restarts: int = 0  # PROCESS: the inner supervisor's own counter
    is_certain: bool = False  # needs no third opinion (a process that is gone is gone)
    detail: str = ""  # bounded text for humans; hostile, escaped at every sink
    numbers: Mapping[str, float] = field(
        default_factory=dict
    )  # unique_frames_per_s, mean_luma, bitrate_bps, …


# --------------------------------------------------------------------------------------------------
# Remembered: durable, one record per slot.
# --------------------------------------------------------------------------------------------------


class ConditionKind(StrEnum):
    """What is judged of a tenure, in the order in which it becomes true."""

    RENTED = "rented"
    REACHABLE = "reachable"
    DEPLOYED = "deployed"
    RUNNING = "running"  # the process, as its manager sees it: a hint
    STREAMING = "streaming"  # the picture, as the viewer sees it: the truth
    HAS_GPU = "has_gpu"  # the GPU answers and drives a display
    HAS_ROOM = "has_room"  # the host's disk is not full


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
    missing_since: datetime | None = None  # first complete listing without it
    missing_listed_at: datetime | None = None  # the latest such listing
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
    # What it may share with others that fail; "": not told.
    network: str = ""  # of its public address
    driver: str = ""
    region: str = ""
    image: str = ""
    revision: str = ""  # of the workload that was put on it last, or that it was rented for
    putting: str = ""  # the revision that is being put on it instead; until that is done, a mixture
    was_dark: bool = False  # when it got that: then it is not to blame for the darkness
    is_guarded: bool = False  # a dead man is there, or is about to be
    prepared_at: datetime | None = None  # a spare's: all is there, and is not started
    ready_at: datetime | None = None  # a spare's: when it could first have taken over


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One sickness of a slot, from the first bad judgement to the first good one."""

    incident_id: str
    opened_at: datetime
    reason: Reason
    dark_since: datetime | None  # when the viewer lost the picture; None: never dark
    acts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRecord:
    """What keeper remembers of a slot; all of it survives a crash."""

    slot: SlotId
    attempt: int = 0  # rentals ever asked for; makes labels unique
    serial: int = 0  # intents ever written; makes intent ids unique
    tenure: Tenure | None = None
    incoming: Tenure | None = None  # the replacement, while handing over
    remedies: tuple[RemedyUse, ...] = ()
    replaced_at: tuple[datetime, ...] = ()
    incident: Incident | None = None
    healthy_since: datetime | None = None
    dark_since: datetime | None = None  # the viewer's side; None while on air or never on air
    ever_on_air: bool = False
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
    recycle_at: datetime | None = None  # no recycle is tried before
    failures: tuple[Failure, ...] = ()  # of its latest hosts, bounded
    proven_revision: str = ""  # of the workload that was last on air for long
    last_decision: str = ""
    last_reason: Reason = Reason.STARTING_UP
    last_act: str = ""  # last decision that did something, for the page and `status`
    last_act_reason: Reason = Reason.STARTING_UP
    last_act_at: datetime | None = None
    took_over_at: datetime | None = None  # the last time that a spare became its host
    took_over_dark_s: float = 0.0  # how long nobody had seen a picture then
    took_over_for: Reason = Reason.VACANT  # why the slot needed another host


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
    listed_at: datetime | None = None  # a listing that showed it; None: it has not come to light
    tries: int = 0
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
    REBOOT = "reboot"
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
