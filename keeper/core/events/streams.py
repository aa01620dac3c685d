"""Facts about the picture: what is believed of a slot, dark and on air, incidents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.core.events.level import Level
from keeper.core.model import ConditionKind, InstanceId, SlotId, Status, StreamName
from keeper.core.reasons import Reason


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
    """The viewer sees the picture (again).

    ``duration_s`` is how long it was dark: from the first bad look to the first good one. ``started_s``
    is how long it took since the slot was declared; None: it was on air before.
    """

    name: ClassVar[str] = "stream.on_air"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    duration_s: float
    started_s: float | None = None


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
