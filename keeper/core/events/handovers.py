"""Facts about planned hand-overs: who publishes in whose place, and what viewers missed by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.core.events.level import Level
from keeper.core.model import InstanceId, Publishers, SlotId
from keeper.core.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverSwapping:
    """One host is about to end its publishing, and another one to begin, in this order."""

    name: ClassVar[str] = "handover.swapping"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId  # who is to publish
    leaving_id: InstanceId  # who ends first
    reason: Reason
    is_back: bool
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverSwapFailed:
    """The one could not be ended, or the other not started; or nobody knows whether they were."""

    name: ClassVar[str] = "handover.swap_failed"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId
    is_back: bool
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverSwapped:
    """Viewers see the new host; ``gap_s`` is what they missed, as the looks at both hosts show it.

    From the last good look at the old host to the first good look at the new one; 0 where they overlap.
    """

    name: ClassVar[str] = "handover.swapped"
    level: ClassVar[Level] = Level.INFO
    slot: SlotId
    instance_id: InstanceId
    leaving_id: InstanceId
    publishers: Publishers
    gap_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverUndone:
    """The new host did not show what it should: the old one is to publish again."""

    name: ClassVar[str] = "handover.undone"
    level: ClassVar[Level] = Level.WARNING
    slot: SlotId
    instance_id: InstanceId  # the new one, which is given up
    leaving_id: InstanceId  # the old one, which publishes again
    reason: Reason
    duration_s: float  # since the swap began
