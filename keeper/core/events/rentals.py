"""Facts about rentals: asked for, rented, changed on their way, ended; and strays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from keeper.core.events.level import Level
from keeper.core.model import InstanceId, MachineId, OfferId, SlotId
from keeper.core.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMade:
    """What keeper decided for a slot; recorded when it differs from the decision before."""

    name: ClassVar[str] = "slot.decided"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    decision: str
    reason: Reason
    detail: str
    symptom: str = ""  # the code of the workload's symptom, where that is the reason


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
    symptom: str = ""


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
class InstanceRebooting:
    """A reboot of the container is about to be ordered."""

    name: ClassVar[str] = "instance.rebooting"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    reason: Reason
    symptom: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRebooted:
    """The reboot order was accepted."""

    name: ClassVar[str] = "instance.rebooted"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStopping:
    """A rental is about to be told to stand still."""

    name: ClassVar[str] = "instance.stopping"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    reason: Reason
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStopped:
    """A listing shows that a rental stands still, as ordered: it costs its disk alone."""

    name: ClassVar[str] = "instance.stopped"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    duration_s: float  # since it was ordered last


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFoundRunning:
    """A listing shows a rental running that stood still, and nobody here has started it."""

    name: ClassVar[str] = "instance.found_running"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStarting:
    """A rental that stands still is about to be started; from here on it counts in full."""

    name: ClassVar[str] = "instance.starting"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStarted:
    """A listing shows that a rental runs, as ordered."""

    name: ClassVar[str] = "instance.started"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    duration_s: float  # since it was ordered


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStartQueued:
    """A start waits for a GPU that is let to another. It may come up days later, and cost."""

    name: ClassVar[str] = "instance.start_queued"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId
