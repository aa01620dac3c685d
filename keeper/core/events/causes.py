"""Facts about what fails alike: fuses, causes, machines that are avoided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.core.events.level import Level
from keeper.core.model import MachineId
from keeper.core.reasons import Reason


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
class MachineQuarantined:
    """A machine failed us and is avoided for a while."""

    name: ClassVar[str] = "machine.quarantined"
    level: ClassVar[Level] = Level.WARNING
    machine_id: MachineId
    reason: Reason
    duration_s: float
