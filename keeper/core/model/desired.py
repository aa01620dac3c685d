"""What an operator declares, as core values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from keeper.core.model.ids import SlotId, StreamName, slot_id, spare_id
from keeper.core.spare import Spares


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


class DrainThen(StrEnum):
    """What follows where a restart, or a deploy on a host on air, can wait for viewers no longer."""

    RESTART = "restart"
    LEAVE = "leave"  # it goes on as it is


class DeployWhen(StrEnum):
    """When a changed workload is put on hosts that are on air."""

    AT_ONCE = "at_once"
    # Where viewers lose nothing: on the next host of a slot, or in a window that allows to replace.
    BOUNDARY = "boundary"


class Publishers(StrEnum):
    """How many hosts may send a stream to where it is watched, at the same moment."""

    ONE = "one"  # most platforms: one stream key, one publisher
    SEVERAL = "several"  # a primary and a backup ingest, or viewers come to the host itself


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
    create_settle_s: float = 120.0  # a create is looked for so long; lists may lag so far
    absence_apart_s: float = 30.0  # two complete listings this far apart prove absence
    warmup_grace_s: float = 300.0
    warmup_max_s: float = 1200.0
    probe_interval_s: float = 10.0
    probe_timeout_s: float = 5.0
    probe_stale_s: float = 45.0  # a witness silent for this long is Unknown
    failures_to_fail: int = 3
    successes_to_clear: int = 2
    stuttering_alert_s: float = 300.0  # a picture that stutters is touched by nobody, and told
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
    # One publisher only: a host that was started in the other's place shows its picture within this, or
    # the other one publishes again. Twice what the other took to show its own, where that is longer.
    swap_max_s: float = 120.0
    no_offer_backoff_s: tuple[float, ...] = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0)
    offers_max_age_s: float = 60.0
    deploy_attempts_max: int = 2
    # A host that may still pass its audition is looked at again after a while, until it has cost so
    # much in all since it was rented, or has failed for so long.
    audition_retry_s: float = 30.0
    audition_max_s: float = 600.0
    audition_max_dollars: float = 0.50
    # A changed workload must have been on air for so long on one host before the next one gets it.
    deploy_proof_s: float = 600.0
    deploy_when: DeployWhen = DeployWhen.AT_ONCE
    drain_then: DrainThen = DrainThen.RESTART
    price_drift_max_ratio: float = 1.25
    contract_ending_s: float = 10_800.0  # a contract that ends sooner is replaced ahead of time
    outbid_fallback_s: float = 21_600.0  # after an outbid, hosts are rented on demand for this long
    rebids_max: int = 3  # per rental; after that an outbid host is replaced
    # A host that has heard no keeper for so long stops itself, with its own key; None: it does not.
    dead_man_after_s: float | None = None

    @property
    def coming_up_max_s(self) -> float:
        """Return how long a new host may take until it has proven itself, at most."""
        return self.boot_hard_max_s + self.warmup_max_s + self.handover_max_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What a stream promises its viewers: a good picture for such a share of time."""

    ratio: float = 0.995  # in thirty days three hours and a half of each slot may be dark
    window_days: int = 30  # UTC days, today included


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
    lull_max_s: float = 0.0  # how long its viewers are waited for before a host on air is touched
    recycle_after_s: float | None = None  # a host that has served so long is replaced; None: never
    has_replace_windows: bool = False  # windows in which that is to be done
    revision: str = ""  # of the workload and what is rented for it; "": not told
    recipe: str = ""  # by which that revision's workload can be made again; holds no secret
    parts: Mapping[str, str] = field(default_factory=dict)  # of the revision: a mark for each key
    rental_mark: str = ""  # of what is rented for it: another one needs another rental
    spares: Spares = field(default_factory=Spares)
    objective: Objective = field(default_factory=Objective)
    publishers: Publishers = Publishers.SEVERAL

    @property
    def takes_one_publisher(self) -> bool:
        """Whether a second host that publishes at the same moment would disturb the first."""
        return self.publishers is Publishers.ONE

    @property
    def spare_places(self) -> tuple[SlotId, ...]:
        """The places of this stream's spares."""
        return _spare_places(self.name, self.spares.count)

    @property
    def slots(self) -> tuple[SlotId, ...]:
        """The durable places of this stream, one per replica."""
        return _slots(self.name, self.replicas)


# Both are asked of each stream many times a tick, and named by two small values: made once.
@lru_cache(maxsize=1024)
def _slots(name: StreamName, count: int) -> tuple[SlotId, ...]:
    return tuple(slot_id(name, replica) for replica in range(count))


@lru_cache(maxsize=1024)
def _spare_places(name: StreamName, count: int) -> tuple[SlotId, ...]:
    return tuple(spare_id(name, number) for number in range(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Everything the operator declares, as core values."""

    streams: tuple[Stream, ...]
    fleet: FleetPolicy = field(default_factory=FleetPolicy)
