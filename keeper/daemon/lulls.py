"""Looks at hosts whose viewers are waited for, until the core waits no longer (core/lulls.py).

What is waited for is in the records, so a keeper that begins anew looks on where the one before it
stopped. A look asks, and changes nothing. Whoever cannot look says nothing: the bound is the core's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from keeper.core.model import InstanceId, SlotId, SlotRecord
from keeper.core.world import LullLook
from keeper.daemon.archiving import Archiving
from keeper.daemon.waiting import Waiting
from keeper.daemon.watch import Watch
from keeper.ports import Clock, CommandResult, PortError
from keeper.workloads import Drain, Workload, lull_of

_LINK_WAIT_S = 20.0
_LOOK_MIN_S = 0.5
_DEADLINE_S = 60.0  # of one look, above the command's own
_THERE, _NOT_YET = 0, 1  # exit codes, as ``workloads.Drain`` says
_AGAIN_S = 10.0
_HOPELESS_LOOKS = 3  # in a row: it cannot be told, and will not be
_NOBODY_CAN_TELL = CommandResult(exit_code=2, stdout="nobody can tell", stderr="")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A host that waits."""

    slot: SlotId
    instance_id: InstanceId
    drain: Drain | None  # None: what is there now names no such moment


class Lulls:
    """Who looks whether viewers would lose little now."""

    def __init__(
        self,
        watch: Watch,
        archiving: Archiving,
        clock: Clock,
        *,
        workload_of: Callable[[SlotId, str], Workload | None],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[Any]],
        nudge: Callable[[], None],
    ) -> None:
        self._watch = watch
        self._archiving = archiving
        self._waiting = Waiting(archiving, clock)
        self._clock = clock
        self._workload_of = workload_of
        self._spawn = spawn
        self._nudge = nudge
        self._tasks: dict[InstanceId, tuple[asyncio.Task[Any], SlotId]] = {}
        self._seen: dict[InstanceId, LullLook] = {}
        self._records: Mapping[SlotId, SlotRecord] = {}

    @property
    def seen(self) -> Mapping[InstanceId, LullLook]:
        """What was last seen of each host that waits."""
        return dict(self._seen) if self._seen else {}

    def follow(self, records: Mapping[SlotId, SlotRecord]) -> None:
        """Look at these hosts from now on, as far as they wait, and at no others."""
        if records is self._records:
            return  # the quiet case
        self._records = records
        waiting = {
            each.tenure.instance_id: each
            for each in records.values()
            if each.tenure is not None
            and each.tenure.instance_id is not None
            and each.tenure.lull is not None
            and each.tenure.lull.over_at is None
        }
        for instance_id in [known for known in self._tasks if known not in waiting]:
            task, slot = self._tasks.pop(instance_id)
            task.cancel()
            self._seen.pop(instance_id, None)
            self._archiving.hide(slot)  # now: what comes next shows itself in a moment
        for instance_id, record in waiting.items():
            if instance_id in self._tasks or record.tenure is None:
                continue
            workload = self._workload_of(record.slot, record.tenure.revision)
            place = _Place(
                slot=record.slot,
                instance_id=instance_id,
                drain=None if workload is None else lull_of(workload),
            )
            task = self._spawn(self._look_on(place), f"lull:{record.slot}")
            self._tasks[instance_id] = (task, record.slot)

    async def _look_on(self, place: _Place) -> None:
        untold, drain = 0, place.drain
        while True:
            result = _NOBODY_CAN_TELL if drain is None else await self._look(place, drain)
            if isinstance(result, str):
                said = result  # nobody knows: what was seen before grows old
            else:
                said, is_told = self._waiting.said(result), result.exit_code in (_THERE, _NOT_YET)
                untold = 0 if is_told else untold + 1
                self._see(
                    place.instance_id,
                    is_there=result.exit_code == _THERE,
                    is_hopeless=untold >= _HOPELESS_LOOKS,
                    detail=said,
                )
            self._waiting.show(place.slot, place.instance_id, said)
            await asyncio.sleep(max(_LOOK_MIN_S, _AGAIN_S if drain is None else drain.look_s))

    async def _look(self, place: _Place, drain: Drain) -> CommandResult | str:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                link = await self._watch.link(place.instance_id, _LINK_WAIT_S)
                return await link.run(drain.look)
        except (PortError, TimeoutError) as failure:
            return self._waiting.failed(failure)

    def _see(
        self, instance_id: InstanceId, *, is_there: bool, is_hopeless: bool, detail: str
    ) -> None:
        before = self._seen.get(instance_id)
        self._seen[instance_id] = look = LullLook(
            at=self._clock.now(), is_there=is_there, is_hopeless=is_hopeless, detail=detail
        )
        told = None if before is None else (before.is_there, before.is_hopeless)
        if (is_there or is_hopeless) and told != (look.is_there, look.is_hopeless):
            self._nudge()
