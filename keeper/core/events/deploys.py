"""Facts about deploys in the making, and about what is kept of them and of hosts that end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.core.events.level import Level
from keeper.core.model import InstanceId, SlotId, StreamName


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployStepStarted:
    """A step that may take minutes has begun. Quick ones are in the deploy's log alone."""

    name: ClassVar[str] = "deploy.step_started"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    step: str
    number: int  # from 1
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployStepEnded:
    """Such a step is over, or any step has failed; then the error says how and ``log`` where to read."""

    name: ClassVar[str] = "deploy.step_ended"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    step: str
    number: int
    of: int
    duration_s: float
    error: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostMortemKept:
    """What could be had of a host before its end is in the archive."""

    name: ClassVar[str] = "host.post_mortem_kept"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId | None
    instance_id: InstanceId
    bundle: str
    duration_s: float
    detail: str = ""  # what could not be had


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveUnable:
    """A log or a bundle could not be kept; what it is about went on without."""

    name: ClassVar[str] = "archive.unable"
    level: ClassVar[Level] = Level.WARNING
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadDraining:
    """What interrupts viewers waits for what they are watching to come to its end."""

    name: ClassVar[str] = "workload.draining"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    bound_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainEnded:
    """It has come to its end; the workload may have restarted itself with that."""

    name: ClassVar[str] = "workload.drained"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    duration_s: float
    has_restarted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainOverdue:
    """It was not waited for any longer, or not at all; ``then`` is what policy says."""

    name: ClassVar[str] = "workload.drain_overdue"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId
    detail: str
    then: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainRefused:
    """The workload does not let keeper drain it (a wrong code, say): that process is not asked again."""

    name: ClassVar[str] = "workload.drain_refused"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    stream: StreamName
    revision: str
    process: str  # of which rental, and which incarnation there
    detail: str
