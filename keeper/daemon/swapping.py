"""Ends the workload on one host for certain, and starts it on another: one act with two halves, in order.

Both links are there before anything is touched: a host that is ended while nobody can start the other
would leave viewers with nothing. What fails, or is cut short, is settled by the core, which orders it
again or turns it back; each half may be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from keeper.core.decisions import Swap
from keeper.core.model import IntentId, SlotId
from keeper.daemon.putting import Putting
from keeper.daemon.watch import Watch
from keeper.ports import Clock, Refused, Upload
from keeper.workloads import Step, Workload

_LINK_WAIT_S = 20.0
# Above what the steps say together: their own limits come first, and say why.
_SLACK_S = 60.0
_DEADLINE_MAX_S = 7200.0


class Swapper:
    """The swaps under way."""

    def __init__(
        self,
        watch: Watch,
        putting: Putting,
        clock: Clock,
        workload_of: Callable[[SlotId, str], Workload],
    ) -> None:
        self._watch = watch
        self._putting = putting
        self._clock = clock
        self._workload_of = workload_of
        self._ended_at: dict[IntentId, datetime] = {}

    def ended_at(self, intent_id: IntentId) -> datetime | None:
        """Return when the one host had ended, and forget it; None: it is not known to have."""
        return self._ended_at.pop(intent_id, None)

    async def swap(self, act: Swap) -> None:
        """Do both halves. Raises what a host says against either, or Unreachable before the first."""
        stop = self._workload_of(act.slot, act.leaving_revision).stop()
        start = self._workload_of(act.slot, act.revision).start()
        if not stop:
            message = (
                "nothing on the host can end this workload: it has no manager that keeper knows"
            )
            raise Refused(message)
        async with asyncio.timeout(_LINK_WAIT_S * 2):
            coming = await self._watch.link(act.instance_id, _LINK_WAIT_S)
            leaving = await self._watch.link(act.leaving_id, _LINK_WAIT_S)
        async with asyncio.timeout(_deadline_s(stop)):
            await self._putting.put(leaving, stop)
        self._ended_at[act.intent_id] = self._clock.now()
        async with asyncio.timeout(min(_deadline_s(start), act.within_s)):
            await self._putting.put(coming, start)


def _deadline_s(steps: Sequence[Step]) -> float:
    said_s = sum(step.timeout_s for step in steps if not isinstance(step, Upload))
    return min(said_s + _SLACK_S, _DEADLINE_MAX_S)
