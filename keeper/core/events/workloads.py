"""Facts about what is done on hosts: deploys, revisions, restarts, guards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.core.events.level import Level
from keeper.core.model import InstanceId, Meaning, Rung, SlotId, Status, StreamName
from keeper.core.reasons import Reason


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
class WorkloadDeploying:
    """The workload is about to be put on a host."""

    name: ClassVar[str] = "workload.deploying"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    reason: Reason
    revision: str = ""  # what is put there


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditionFinding:
    """A check of a host's audition saw something else than was expected, or could not tell."""

    name: ClassVar[str] = "audition.found"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    check: str
    status: Status
    saw: str
    expected: str
    meaning: Meaning | None  # None: it condemns nobody
    is_forced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditionEnded:
    """A host has shown whether it can run the workload."""

    name: ClassVar[str] = "audition.ended"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    meaning: Meaning | None  # None: it passed
    check: str  # the gravest failure's; "" when there is none
    saw: str
    expected: str
    passed: str = ""  # what was as expected: check and what it saw, the most telling first


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
class RevisionAcquitted:
    """A bad deploy is tried once more: what worked before could not be put on its host, either."""

    name: ClassVar[str] = "revision.acquitted"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
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
    symptom: str = ""  # the code of what is to be cured, where the workload has named it


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
class ActFailed:
    """A reboot, a bid, a key or a destroy was not accepted; it will be looked at again."""

    name: ClassVar[str] = "act.failed"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId | None
    instance_id: InstanceId | None
    decision: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKeyChanged:
    """A known rental shows another host key: keeper stops touching it and tells a person."""

    name: ClassVar[str] = "host.key_changed"
    level: ClassVar[Level] = Level.ERROR
    slot: SlotId
    instance_id: InstanceId
