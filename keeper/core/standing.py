"""What holds from one tick to the next: answers that stand while nothing they follow from has changed.

A memo and no more. ``reconcile`` answers the same with an empty one; only what it costs is another
matter. It holds no wish and no time of its own, and may be thrown away at any moment.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, TypeVarTuple

from keeper.core.decisions import Wait
from keeper.core.flow import Bill
from keeper.core.model import (
    Desired,
    Instance,
    InstanceId,
    Revision,
    SlotId,
    SlotRecord,
    StreamName,
    Subject,
)

Given = TypeVarTuple("Given")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A slot that a whole tick has gone over and found well, and what that was read off.

    While all of it stays as it was, another tick would find the same, up to the moments that are told
    here or follow from when its witnesses were last heard (see undisturbed.py).
    """

    record: SlotRecord
    instance_id: InstanceId
    instance: Instance  # as listed
    host_key: str
    decision: Wait
    bill: Bill
    # Whose silence for so long would make something unknown, and since when that is believed.
    probe_stale_s: float
    witnesses: tuple[tuple[tuple[InstanceId, Subject], datetime], ...]
    recycle_at: datetime | None  # when its host has served its time
    ending_at: datetime | None  # when a listing would show that its contract ends soon


class Standing:
    """What the ticks before have found, for the next one."""

    def __init__(self) -> None:
        self.sound: dict[SlotId, Sound] = {}
        # By which wishes and deploys, and when, they were found so.
        self.desired: Desired | None = None
        self.revisions: Mapping[StreamName, tuple[Revision, ...]] = {}
        self.at: datetime | None = None
        self._answers: dict[Hashable, tuple[Any, Any]] = {}

    def forget(self) -> None:
        """Let everything be worked out anew."""
        self.sound = {}
        self._answers = {}

    def answer(self, work: Callable[[*Given], T], *given: *Given, about: Hashable = None) -> T:
        """Return what a pure function makes of values; its last answer, if they are the same again.

        The values are immutable, and equal ones are as good as the same. ``about``: one of few things
        of which each has a last answer of its own.
        """
        former = self._answers.get((work, about))
        is_same = former is not None and former[0] == given
        found: T = former[1] if former and is_same else work(*given)
        self._answers[work, about] = (
            given,
            found,
        )  # the latest: the same object is compared at once
        return found
