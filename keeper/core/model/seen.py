"""What is seen: the market, rentals, readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from keeper.core.model.desired import Rung
from keeper.core.model.ids import HostId, InstanceId, MachineId, OfferId
from keeper.core.reasons import Reason


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
    WORKLOAD = "workload"  # what the workload says of itself: its own endpoints and logs


class Remedy(StrEnum):
    """What helps against a symptom: the first rung to climb, or none of them."""

    NOTHING = "nothing"  # expected: it ends by itself
    RESTART_PROCESS = "restart_process"
    RESTART_WORKLOAD = "restart_workload"
    REBOOT = "reboot"
    REPLACE = "replace"
    PERSON = "person"  # no act of keeper's helps, and any would cost


class Meaning(StrEnum):
    """What a failed check of a host's audition means for the host."""

    WAIT = "wait"  # it may come right by itself: look again in a while
    FIX = "fix"  # a command on the host may put it right
    REBOOT = "reboot"
    REPLACE = "replace"
    PERSON = "person"  # no host would pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """A failure that a workload knows by name: a row of its catalogue.

    ``remedy`` is the cheapest that can help; what is dearer follows, each under its own cap, up to
    ``dearest``. Where that is not the host's replacement, a person follows it, and nothing is spent.
    """

    code: str  # short, of a bounded set for each workload: becomes a metric label
    sentence: str  # for a person; bounded, may hold what a host has said
    remedy: Remedy
    wait_s: float = 0.0  # so long the workload's own recovery has its turn first
    spoils_view: bool = False  # what viewers see is not the stream, even if the picture moves
    dearest: Rung = Rung.REPLACE  # never cheaper than the remedy
    # No darkness: some viewers see the stream. Where keeper's own look is bad, something else is wrong.
    is_partial: bool = False
    # The picture is good and must be interrupted all the same, now, when viewers lose least by it.
    is_planned: bool = False


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
    symptom: Symptom | None = None  # WORKLOAD: what is wrong, when something is
    # WORKLOAD: what the slot's next host must be told (a viewer's prompt, say); "": nothing new.
    keepsake: str = ""
