"""Every fact keeper can state: the vocabulary of the journal, the logs, the metrics and the alerts.

A fact is one frozen dataclass with a literal name ``noun.verb``: -ing before an effect, past tense
after it. ``LEVEL`` is how loud it is in the log. Facts never carry secrets, and everything remote in
them (``detail``) is bounded and still hostile: sinks escape it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, get_args

from keeper.core.model import (
    ConditionKind,
    InstanceId,
    MachineId,
    OfferId,
    Rung,
    SlotId,
    Status,
    StreamName,
)
from keeper.core.reasons import SENTENCE, Reason


class Level(StrEnum):
    """How loud a fact is: debug how, info what changed, warning coped, error could not."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperStarted:
    """The daemon is up, with what it found in its store."""

    name: ClassVar[str] = "keeper.started"
    level: ClassVar[Level] = Level.INFO
    version: str
    slots: int
    tenures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperStopping:
    """The daemon was asked to stop and is draining."""

    name: ClassVar[str] = "keeper.stopping"
    level: ClassVar[Level] = Level.INFO
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigReloaded:
    """A new configuration is in force."""

    name: ClassVar[str] = "config.reloaded"
    level: ClassVar[Level] = Level.INFO
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRejected:
    """A new configuration was bad; the old one stays."""

    name: ClassVar[str] = "config.rejected"
    level: ClassVar[Level] = Level.ERROR
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TickFinished:
    """One reconcile is done. The canonical line of the log; not journalled when nothing changed."""

    name: ClassVar[str] = "tick.finished"
    level: ClassVar[Level] = Level.DEBUG
    tick: int
    acts: int
    duration_s: float
    detail: str  # Plan.sentence()


@dataclass(frozen=True, slots=True, kw_only=True)
class TickFailed:
    """A tick met a bug or a store that cannot write; nothing was executed by it."""

    name: ClassVar[str] = "tick.failed"
    level: ClassVar[Level] = Level.ERROR
    tick: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TickOverran:
    """A tick took longer than the interval."""

    name: ClassVar[str] = "tick.overran"
    level: ClassVar[Level] = Level.WARNING
    tick: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStepped:
    """The wall clock jumped; elapsed times below zero count as zero."""

    name: ClassVar[str] = "clock.stepped"
    level: ClassVar[Level] = Level.WARNING
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketUnreadable:
    """No trustworthy listing: nothing destructive until one comes."""

    name: ClassVar[str] = "market.unreadable"
    level: ClassVar[Level] = Level.WARNING
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketReadable:
    """A complete listing again, after this long without."""

    name: ClassVar[str] = "market.readable"
    level: ClassVar[Level] = Level.INFO
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUnreadable:
    """The API key may not read the account, so nobody knows how long the credit lasts. Told once."""

    name: ClassVar[str] = "account.unreadable"
    level: ClassVar[Level] = Level.WARNING
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRegistered:
    """Keeper's SSH key is now one of the account's: the marketplace's proxy lets keeper in."""

    name: ClassVar[str] = "key.registered"
    level: ClassVar[Level] = Level.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNotRegistered:
    """The account does not take keeper's SSH key: hosts are reached directly or not at all."""

    name: ClassVar[str] = "key.not_registered"
    level: ClassVar[Level] = Level.WARNING
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManArmed:
    """A guard runs on a host: it stops the rental when no keeper has been heard for so long."""

    name: ClassVar[str] = "dead_man.armed"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManRemoved:
    """The guard was taken off a host, because its stream has no dead man any more."""

    name: ClassVar[str] = "dead_man.removed"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManUnable:
    """A host cannot guard itself: without keeper it goes on, and costs."""

    name: ClassVar[str] = "dead_man.unable"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OffersSearched:
    """An offer search came back for a stream that has a vacant slot."""

    name: ClassVar[str] = "offers.searched"
    level: ClassVar[Level] = Level.DEBUG
    stream: StreamName
    found: int
    suitable: int
    detail: str  # which filter removed how many, nearest miss


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchesAllowed:
    """The marketplace lets keeper search again, after so long."""

    name: ClassVar[str] = "offers.allowed"
    level: ClassVar[Level] = Level.INFO
    reason: Reason  # why it did not
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchesRefused:
    """The marketplace lets nobody search: vacant slots stay vacant until it does. Told once."""

    name: ClassVar[str] = "offers.refused"
    level: ClassVar[Level] = Level.WARNING
    reason: Reason
    error: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseTripped:
    """A fleet-wide fuse says no until its cause is gone."""

    name: ClassVar[str] = "fuse.tripped"
    level: ClassVar[Level] = Level.WARNING
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseReset:
    """A fleet-wide fuse lets acts through again."""

    name: ClassVar[str] = "fuse.reset"
    level: ClassVar[Level] = Level.INFO
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseNamed:
    """Hosts that failed share a trait that healthy ones lack; it is avoided where that is possible."""

    name: ClassVar[str] = "cause.named"
    level: ClassVar[Level] = Level.WARNING
    trait: str
    detail: str  # the trait's value and the numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseCleared:
    """A named cause explains nothing any more: its failures are too old, or others have it too."""

    name: ClassVar[str] = "cause.cleared"
    level: ClassVar[Level] = Level.INFO
    trait: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOpened:
    """A maintenance window holds from now on: keeper may do what it allows and no more."""

    name: ClassVar[str] = "window.opened"
    level: ClassVar[Level] = Level.INFO
    window: str
    stream: StreamName | None  # None: the whole fleet
    allow: str
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowClosed:
    """A maintenance window is over, or was taken out of the configuration."""

    name: ClassVar[str] = "window.closed"
    level: ClassVar[Level] = Level.INFO
    window: str
    stream: StreamName | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendCaughtUp:
    """keeper was away while its rentals were not: what they cost meanwhile is in the ledger now."""

    name: ClassVar[str] = "spend.caught_up"
    level: ClassVar[Level] = Level.INFO
    duration_s: float
    dollars: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendDrifted:
    """The account's credit fell by something else than what its rentals are said to cost."""

    name: ClassVar[str] = "spend.drifted"
    level: ClassVar[Level] = Level.WARNING
    fell_dollars: float
    least_dollars: float  # what was expected, at least and at most
    most_dollars: float
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetWarned:
    """So much of a cap is used; told once per period for each share."""

    name: ClassVar[str] = "budget.warned"
    level: ClassVar[Level] = Level.WARNING
    stream: StreamName | None  # None: the fleet's cap
    period: str  # day, month or total
    ratio: float
    dollars: float
    cap_dollars: float
    reached_at: datetime | None  # at the present rate; None: not in this period


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStopped:
    """Hosts end before a cap is crossed; nothing is rented until the period is over or it is raised."""

    name: ClassVar[str] = "budget.stopped"
    level: ClassVar[Level] = Level.ERROR
    stream: StreamName | None
    period: str
    dollars: float
    cap_dollars: float
    detail: str  # what ends, and what cannot and why


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetFreed:
    """A cap that stopped something lets things be rented again."""

    name: ClassVar[str] = "budget.freed"
    level: ClassVar[Level] = Level.INFO
    stream: StreamName | None
    period: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMade:
    """What keeper decided for a slot; recorded when it differs from the decision before."""

    name: ClassVar[str] = "slot.decided"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    decision: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecycling:
    """A host that is well has served its time; another one is rented to take over."""

    name: ClassVar[str] = "host.recycling"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId | None
    duration_s: float  # on air


@dataclass(frozen=True, slots=True, kw_only=True)
class SpareReady:
    """A spare could take over from now on."""

    name: ClassVar[str] = "spare.ready"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId  # the spare's own place
    instance_id: InstanceId
    duration_s: float  # since it was rented


@dataclass(frozen=True, slots=True, kw_only=True)
class SparePromoted:
    """A spare has become a slot's host; nothing had to be rented for it."""

    name: ClassVar[str] = "spare.promoted"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId
    label: str
    spare: SlotId  # the place that it leaves
    reason: Reason  # why the slot needed another host
    duration_s: float  # without a picture until now
    is_beside: bool  # the old host still serves


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRenting:
    """An intent to rent is on disk; the create is about to leave."""

    name: ClassVar[str] = "instance.renting"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    reason: Reason
    label: str
    offer_id: OfferId
    machine_id: MachineId
    dollars: float  # per hour


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRented:
    """The marketplace named the contract."""

    name: ClassVar[str] = "instance.rented"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    label: str
    dollars: float  # per hour


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceAdopted:
    """A rental found by its label was taken into its slot."""

    name: ClassVar[str] = "instance.adopted"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    label: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RentFailed:
    """A create was refused; nothing is rented by it."""

    name: ClassVar[str] = "instance.rent_failed"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    reason: Reason
    label: str
    offer_id: OfferId
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RentUncertain:
    """The answer to a create is unknown; the listing will settle it."""

    name: ClassVar[str] = "instance.rent_uncertain"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    label: str
    offer_id: OfferId
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RentVoided:
    """A create never became a rental: complete listings over the settle time do not show its label."""

    name: ClassVar[str] = "instance.rent_voided"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    label: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceBooted:
    """The marketplace says running and the link is up."""

    name: ClassVar[str] = "instance.booted"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceDrifted:
    """A contract costs another price than the offer that was decided upon."""

    name: ClassVar[str] = "instance.price_drifted"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId
    offered_dollars: float  # per hour, with the disk
    dollars: float  # per hour, as billed


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineUnlisted:
    """A rental's owner has taken the machine off the market: the contract will not outlast its end."""

    name: ClassVar[str] = "instance.machine_unlisted"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    machine_id: MachineId


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractEnding:
    """A listing says that a rental's contract ends soon."""

    name: ClassVar[str] = "instance.contract_ending"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId
    left_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceOutbid:
    """A listing shows an interruptible rental stopped: somebody bids more for its machine."""

    name: ClassVar[str] = "instance.outbid"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId
    bid_dollars: float  # ours, per hour, for the GPU


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRebidding:
    """A higher bid for an interruptible rental is about to leave."""

    name: ClassVar[str] = "instance.rebidding"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    reason: Reason
    bid_dollars: float  # per hour, for the GPU
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRebid:
    """The higher bid was accepted; whether it is enough is for the listings to say."""

    name: ClassVar[str] = "instance.rebid"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceCondemned:
    """A rental must end; from here on only its confirmed absence lets keeper forget it."""

    name: ClassVar[str] = "instance.condemned"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId | None
    instance_id: InstanceId
    label: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceDestroying:
    """A destroy is about to leave."""

    name: ClassVar[str] = "instance.destroying"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId | None
    instance_id: InstanceId
    label: str
    reason: Reason
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceEnded:
    """Confirmed absent twice and by id: no longer billed, now forgotten."""

    name: ClassVar[str] = "instance.ended"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId | None
    instance_id: InstanceId
    label: str
    duration_s: float  # since it was condemned
    dollars: float  # estimated cost of the whole rental
    absent_since: datetime | None  # the first complete listing without it
    absent_again_at: datetime | None  # another one, far enough apart
    by_id_absent_at: datetime | None  # and the look at its id


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceGone:
    """A bound rental vanished without keeper's doing, confirmed."""

    name: ClassVar[str] = "instance.gone"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanSeen:
    """A rental with keeper's label that this keeper's journal does not know."""

    name: ClassVar[str] = "orphan.seen"
    level: ClassVar[Level] = Level.WARNING
    instance_id: InstanceId
    label: str
    dollars: float  # per hour


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanCleared:
    """An orphan seen before is no longer listed."""

    name: ClassVar[str] = "orphan.cleared"
    level: ClassVar[Level] = Level.INFO
    instance_id: InstanceId
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineQuarantined:
    """A machine failed us and is avoided for a while."""

    name: ClassVar[str] = "machine.quarantined"
    level: ClassVar[Level] = Level.WARNING
    machine_id: MachineId
    reason: Reason
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadDeploying:
    """The workload is about to be put on a host."""

    name: ClassVar[str] = "workload.deploying"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    reason: Reason
    revision: str = ""  # what is put there


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadDeployed:
    """The workload is on the host and started."""

    name: ClassVar[str] = "workload.deployed"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    duration_s: float
    revision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadPrepared:
    """The workload is on a spare, and is not started."""

    name: ClassVar[str] = "workload.prepared"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployFailed:
    """A deploy step failed."""

    name: ClassVar[str] = "workload.deploy_failed"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId
    error: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionDeclared:
    """Something else is to be deployed from now on; the detail names the keys that changed."""

    name: ClassVar[str] = "revision.declared"
    level: ClassVar[Level] = Level.INFO
    stream: StreamName
    revision: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionProven:
    """A deploy has been on air for long enough: the other slots may have it."""

    name: ClassVar[str] = "revision.proven"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    stream: StreamName
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionBad:
    """A deploy broke the first slot that got it: it is taken back, and put nowhere else."""

    name: ClassVar[str] = "revision.bad"
    level: ClassVar[Level] = Level.ERROR
    slot: SlotId
    stream: StreamName
    revision: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionPardoned:
    """A bad deploy is tried once more, because a person said so."""

    name: ClassVar[str] = "revision.pardoned"
    level: ClassVar[Level] = Level.INFO
    stream: StreamName
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadRestarting:
    """A restart (of the process or the whole workload) is about to be ordered."""

    name: ClassVar[str] = "workload.restarting"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    rung: Rung
    reason: Reason
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadRestarted:
    """The restart was carried out; whether it helped, the picture will tell."""

    name: ClassVar[str] = "workload.restarted"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    rung: Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartFailed:
    """The restart could not be carried out."""

    name: ClassVar[str] = "workload.restart_failed"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId
    rung: Rung
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRebooting:
    """A reboot of the container is about to be ordered."""

    name: ClassVar[str] = "instance.rebooting"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRebooted:
    """The reboot order was accepted."""

    name: ClassVar[str] = "instance.rebooted"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class ActFailed:
    """A reboot, a bid, a key or a destroy was not accepted; it will be looked at again."""

    name: ClassVar[str] = "act.failed"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId | None
    instance_id: InstanceId | None
    decision: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionChanged:
    """A judged condition of a slot's rental changed."""

    name: ClassVar[str] = "condition.changed"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId | None
    condition: ConditionKind
    status: Status
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOnAir:
    """The viewer sees the picture (again); ``duration_s`` is how long it was dark."""

    name: ClassVar[str] = "stream.on_air"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDark:
    """The viewer has lost the picture."""

    name: ClassVar[str] = "stream.dark"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentOpened:
    """A slot fell sick."""

    name: ClassVar[str] = "incident.opened"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    incident_id: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentClosed:
    """A slot is well again."""

    name: ClassVar[str] = "incident.closed"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    incident_id: str
    duration_s: float
    acts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReported:
    """A stream's day in numbers. Darkness is summed over the slots."""

    name: ClassVar[str] = "stream.reported"
    level: ClassVar[Level] = Level.INFO
    stream: StreamName
    slots: int
    on_air: int
    dark_s: float
    incidents: int
    remedies: int
    rentals: int
    dollars: float  # per hour, now
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKeyChanged:
    """A known rental shows another host key: keeper stops touching it and tells a person."""

    name: ClassVar[str] = "host.key_changed"
    level: ClassVar[Level] = Level.ERROR
    slot: SlotId
    instance_id: InstanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAccepted:
    """An operator's order was taken."""

    name: ClassVar[str] = "order.accepted"
    level: ClassVar[Level] = Level.INFO
    order: str
    slot: SlotId | None
    actor: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseChanged:
    """Keeper was paused or resumed."""

    name: ClassVar[str] = "keeper.pause_changed"
    level: ClassVar[Level] = Level.WARNING
    paused: bool
    slot: SlotId | None  # None: the whole fleet
    until: datetime | None
    actor: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotBug:
    """Keeper failed with a bug while handling one slot; the slot is held, the others are spared."""

    name: ClassVar[str] = "slot.bug"
    level: ClassVar[Level] = Level.ERROR
    slot: SlotId
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeSent:
    """A message reached its channel."""

    name: ClassVar[str] = "notice.sent"
    level: ClassVar[Level] = Level.DEBUG
    channel: str
    alert: str
    kind: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeFailed:
    """A channel did not take a message; it stays in the outbox unless it was refused for good."""

    name: ClassVar[str] = "notice.failed"
    level: ClassVar[Level] = Level.WARNING
    channel: str
    alert: str
    kind: str
    attempt: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDied:
    """A background task ended with an error and is started again (I21: no task dies quietly)."""

    name: ClassVar[str] = "task.died"
    level: ClassVar[Level] = Level.ERROR
    task: str
    error: str


Event = (
    KeeperStarted
    | KeeperStopping
    | ConfigReloaded
    | ConfigRejected
    | TickFinished
    | TickFailed
    | TickOverran
    | ClockStepped
    | MarketUnreadable
    | MarketReadable
    | AccountUnreadable
    | KeyRegistered
    | KeyNotRegistered
    | DeadManArmed
    | DeadManRemoved
    | DeadManUnable
    | OffersSearched
    | SearchesAllowed
    | SearchesRefused
    | FuseTripped
    | FuseReset
    | CauseNamed
    | CauseCleared
    | WindowOpened
    | WindowClosed
    | SpendCaughtUp
    | SpendDrifted
    | BudgetWarned
    | BudgetStopped
    | BudgetFreed
    | DecisionMade
    | HostRecycling
    | SpareReady
    | SparePromoted
    | InstanceRenting
    | InstanceRented
    | InstanceAdopted
    | RentFailed
    | RentUncertain
    | RentVoided
    | InstanceBooted
    | PriceDrifted
    | MachineUnlisted
    | ContractEnding
    | InstanceOutbid
    | InstanceRebidding
    | InstanceRebid
    | InstanceCondemned
    | InstanceDestroying
    | InstanceEnded
    | InstanceGone
    | OrphanSeen
    | OrphanCleared
    | MachineQuarantined
    | WorkloadDeploying
    | WorkloadDeployed
    | WorkloadPrepared
    | DeployFailed
    | RevisionDeclared
    | RevisionProven
    | RevisionBad
    | RevisionPardoned
    | WorkloadRestarting
    | WorkloadRestarted
    | RestartFailed
    | InstanceRebooting
    | InstanceRebooted
    | ActFailed
    | ConditionChanged
    | StreamOnAir
    | StreamDark
    | IncidentOpened
    | IncidentClosed
    | StreamReported
    | HostKeyChanged
    | OrderAccepted
    | PauseChanged
    | SlotBug
    | NoticeSent
    | NoticeFailed
    | TaskDied
)

EVENT_TYPES: tuple[type[Event], ...] = get_args(Event)
# What is JSON already; everything else in a fact is a moment or a StrEnum.
_PLAIN = frozenset({str, int, float, bool, type(None)})
# Looked up once: asking each time is half the cost of a fact.
_FIELDS = {kind: tuple(each.name for each in fields(kind)) for kind in EVENT_TYPES}


def facts(event: Event) -> dict[str, Any]:
    """Flatten an event to plain JSON values, ``event`` first; the form of journal, log and API."""
    flat: dict[str, Any] = {"event": event.name}
    for name in _FIELDS[type(event)]:
        value = getattr(event, name)
        if type(value) not in _PLAIN:
            value = value.isoformat() if isinstance(value, datetime) else value.value
        flat[name] = value
    reason = getattr(event, "reason", None)
    if reason is not None:
        flat["because"] = SENTENCE[reason]
    return flat
