"""The documented JSON of the API: a field is never renamed and never removed, only added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from keeper.core.model import ConditionKind, Mode, Status, Subject
from keeper.core.viewing import Verdict
from keeper.core.windows import Allowance
from keeper.core.world import OrderKind
from keeper.web.telling_shapes import AlertStatus, ChannelStatus, SilenceStatus
from keeper.web.tone import Tone
from keeper.web.view_shapes import ObjectiveStatus, RunStatus, ViewStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Because:
    """A reason and its sentence."""

    reason: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """The rental that fills a slot, or is about to."""

    instance_id: int | None
    label: str
    machine_id: int
    host_id: int
    gpu_name: str
    geolocation: str
    public_ip: str
    market_state: str
    market_text: str
    dollars_per_hour: float
    requested_at: datetime
    rented_at: datetime | None
    deployed_at: datetime | None
    first_live_at: datetime | None
    ends_at: datetime | None
    # To log in: "host:port", the direct way before the marketplace's proxy, and the pinned key.
    ssh_addresses: tuple[str, ...] = ()
    host_key: str = ""
    gpu_ram_gb: float | None = None  # None: not told
    disk_gb: float | None = None
    # The parts of dollars_per_hour; None: not told. Of an interruptible rental the GPU's is our bid.
    gpu_dollars_per_hour: float | None = None
    disk_dollars_per_hour: float | None = None
    traffic_dollars_per_hour: float = 0.0  # the viewers', as expected; comes on top
    is_bid: bool = False
    min_bid_dollars_per_hour: float | None = None  # what a bid must reach now
    running_at: datetime | None = None  # first seen running
    spent_dollars: float = 0.0  # an estimate, of the whole rental
    outbid_since: datetime | None = None  # stopped, because somebody bids more
    ending_since: datetime | None = None  # known since then that ends_at is near
    offer_id: int | None = None  # what was rented; None: taken over from another keeper
    revision: str = ""  # what is deployed there, since deployed_at
    putting: str = ""  # what is being put there instead; until it is, nobody knows what is there


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionStatus:
    """A judged condition."""

    condition: ConditionKind
    status: Status
    reason: str
    because: str
    since: datetime
    symptom: str = ""  # the code of what the workload says is wrong with it


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentStatus:
    """A sickness that is not over."""

    incident_id: str
    opened_at: datetime
    reason: str
    because: str
    acts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActStatus:
    """The last thing that was done."""

    decision: str
    reason: str
    because: str
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionStatus:
    """What keeper decided for a slot. ``wanted`` is what a hold refused."""

    slot: str | None
    decision: str
    reason: str
    because: str
    wanted: str
    until: datetime | None
    is_act: bool
    instance_id: int | None
    label: str
    dollars_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseStatus:
    """An operator's pause."""

    since: datetime
    until: datetime | None
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowStatus:
    """A maintenance window that is open. ``stream`` None: of the whole fleet."""

    name: str
    stream: str | None
    allow: Allowance
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressStatus:
    """A deploy under way."""

    instance_id: int
    began_at: datetime
    number: int  # of the step, from 1; 0: none has begun
    of: int
    step: str
    since: datetime  # when the step began
    line: str  # the last one it has printed
    log: str  # its name in the archive; "": none


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStatus:
    """One slot."""

    slot: str
    stream: str
    replica: int
    phase: str
    tone: Tone
    state: str  # in plain words, for a card
    why: str
    since: datetime | None  # how long it has been so
    is_on_air: bool
    dark_since: datetime | None
    dark_s: float
    frames_per_s: float | None
    verdict: Verdict | None  # of the latest look; None: nobody has looked, or there is no host
    dollars_per_hour: float
    host: HostStatus | None
    incoming: HostStatus | None
    conditions: tuple[ConditionStatus, ...]
    incident: IncidentStatus | None
    decision: DecisionStatus | None
    last_act: ActStatus | None
    next_check_at: datetime | None
    pause: PauseStatus | None
    destroy_asked_at: datetime | None = None  # an operator's order that is not carried out yet
    offer_asked: int | None = None  # an operator's choice for the next rental, not rented yet
    rent_detail: str = ""  # why the last search or create came to nothing
    progress: ProgressStatus | None = None  # of the deploy under way
    deploy_log: str = ""  # of the last deploy that failed, by its name in the archive
    post_mortem: str = ""  # the bundle about the last host that has ended, by its name there
    view: ViewStatus | None = None  # what viewers see; null: of a spare, which has none
    has_given_way: bool = False  # ``incoming`` is the old host: it has ended, and is kept for now


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployStatus:
    """What a stream is to run, by its fingerprint, and how far it has come."""

    stream: str
    revision: str
    declared_at: datetime
    proven_at: datetime | None  # None: on trial
    bad_at: datetime | None  # None: it may be good
    because: str  # why it is bad
    slot: str | None  # where
    before: str  # what it follows; "": nothing
    changed: str  # the keys by which the two differ, and never a value
    hosts: int  # that have something deployed
    hosts_to_come: int  # of those, that are still to get it
    needs_another_rental: bool  # they get it by handing over


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatus:
    """One stream."""

    stream: str
    mode: Mode
    replicas: int
    on_air: int
    dollars_per_hour: float
    spend_max_dollars_per_hour: float
    is_declared: bool  # False: removed from the configuration, not yet ended
    slots: tuple[SlotStatus, ...]
    deploy: DeployStatus | None = None  # None: removed, or its deploys have no names
    spares: tuple[SlotStatus, ...] = ()  # hosts that would take over; nobody watches them
    spare_max_dollars_per_hour: float | None = None  # None: no spares are declared
    strip: tuple[RunStatus, ...] = ()  # of all slots together: at each moment the gravest
    objective: ObjectiveStatus | None = None  # null: removed, or nobody has looked for long enough
    slate: str = ""  # a sentence; "": none is declared, or it is not called for


@dataclass(frozen=True, slots=True, kw_only=True)
class CondemnedStatus:
    """A rental that must end and is not confirmed gone."""

    instance_id: int
    label: str
    slot: str | None
    reason: str
    because: str
    condemned_at: datetime
    tries: int
    dollars_per_hour: float
    accepted_at: datetime | None = None  # the latest destroy that was answered with yes
    absent_since: datetime | None = None  # the first complete listing without it
    absent_listed_at: datetime | None = None  # the latest


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanStatus:
    """A rental with keeper's label that no journal explains, and the commands for it."""

    instance_id: int
    label: str
    dollars_per_hour: float
    started_at: datetime | None = None  # None: not told
    spent_dollars: float = 0.0  # an estimate, since then
    gpu_name: str = ""
    slot: str | None = None  # that its label names
    is_confirmed: bool = False  # a second listing has shown it too: orders for it are taken
    to_end: str = ""
    to_adopt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStatus:
    """How well the marketplace can be read."""

    is_readable: bool
    listed_at: datetime | None
    unreadable_since: datetime | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatus:
    """What the marketplace account can pay, and for how long."""

    spendable_dollars: float
    seen_at: datetime
    dollars_per_hour: float | None  # all that is rented on the account; None: not known
    runway_s: float | None  # None: not known, or for ever because nothing is rented
    empty_at: datetime | None  # when the credit is used up, if all stays as it is
    is_low: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OthersStatus:
    """Rentals of the account that carry no label of keeper's: never touched."""

    instance_ids: tuple[int, ...]
    dollars_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStatus:
    """Everything, at one moment. ``at`` is the time of the tick, ``now`` that of the answer."""

    at: datetime
    now: datetime
    tick: int
    tone: Tone
    sentence: str  # the fleet in one sentence
    doing: str  # what the last tick decided
    slots: int
    on_air: int
    dollars_per_hour: float
    spend_max_dollars_per_hour: float
    pause: PauseStatus | None
    fuses: tuple[Because, ...]
    market: MarketStatus
    alerts: tuple[AlertStatus, ...]
    streams: tuple[StreamStatus, ...]
    condemned: tuple[CondemnedStatus, ...]
    orphans: tuple[OrphanStatus, ...]
    account: AccountStatus | None = None  # None: not asked yet, or the key may not ask
    others: OthersStatus | None = None  # None: there are none, or no listing yet
    windows: tuple[WindowStatus, ...] = ()  # open ones
    channels: tuple[ChannelStatus, ...] = ()  # through which people are told; none: not known
    silences: tuple[SilenceStatus, ...] = ()  # that hold


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStatus:
    """What the last tick decided, and why."""

    at: datetime
    tick: int
    sentence: str
    fuses: tuple[Because, ...]
    decisions: tuple[DecisionStatus, ...]
    next_check_at: datetime | None
    deploys: tuple[DeployStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingStatus:
    """The newest answer of a witness."""

    instance_id: int
    subject: Subject
    status: Status
    reason: str
    because: str
    at: datetime
    detail: str
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowanceStatus:
    """What a fuse still lets through. ``more_at``: when the oldest use is forgotten."""

    name: str
    used: float
    limit: float
    window_s: float | None = None
    more_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditionStatus:
    """What the slot's host showed before it got the workload."""

    instance_id: int
    at: datetime
    meaning: str  # of its gravest failure; "": it has passed
    check: str  # the gravest failure's, with what it saw and what was expected
    saw: str
    expected: str
    passed: str  # what was as expected: each check and what it saw


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Why keeper does, or does not, act for a slot."""

    at: datetime
    now: datetime
    tick: int
    slot: SlotStatus
    auditions: tuple[AuditionStatus, ...]  # of the host in the slot, and of the one to come
    readings: tuple[ReadingStatus, ...]
    allowances: tuple[AllowanceStatus, ...]
    fuses: tuple[str, ...]
    is_act_in_flight: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStatus:
    """One fact of the journal; ``words`` is its sentence, ``facts`` its values."""

    seq: int
    at: datetime
    tick: int
    event: str
    level: str
    slot: str | None
    words: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Facts, oldest first. Ask again with ``after=next_after`` for newer ones."""

    events: tuple[EventStatus, ...]
    next_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatus:
    """An order that was accepted; the next tick acts on it."""

    order_id: str
    kind: OrderKind
    slot: str | None
    actor: str
    until: datetime | None
    offer_id: int | None = None  # rent: this one and no other
    instance_id: int | None = None  # adopt, end: this stray and no other
    stream: str | None = None  # pause, resume: all its slots


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadStatus:
    """What a reload changed."""

    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A problem by RFC 9457. ``cure`` is what the caller can do about it."""

    title: str
    status: int
    detail: str
    cure: str = ""
