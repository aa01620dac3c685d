"""Lets viewers see the end of what they watch before a restart that is ordered, or planned.

The workload says how (``Workload.drain``); here it is asked, within its bound. What follows when the
bound passes, or when the workload cannot or will not be asked, is the policy's ``drain_then``. Remedies
of keeper's own are not drained for: nobody sees the picture that they are to bring back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

from keeper.core.decisions import Restart
from keeper.core.events import DrainEnded, DrainOverdue, DrainRefused, WorkloadDraining
from keeper.core.model import DrainThen, Policy, SlotId, Status, StreamName, Subject, stream_of
from keeper.core.reasons import Reason
from keeper.core.world import Order, OrderKind
from keeper.daemon.archiving import Archiving
from keeper.daemon.board import Board
from keeper.daemon.waiting import Waiting
from keeper.ports import Clock, Command, CommandFailed, CommandResult, Link, PortError, Store
from keeper.workloads import Drain, Workload

BOUND_MAX_S = 3600.0
_LOOK_MIN_S = 0.1
_DONE, _NOT_YET, _REFUSED = 0, 1, 3  # exit codes, as ``workloads.Drain`` says
_REFUSED_MAX = 1000
_JOURNAL_MAX = 1000


class Drained(StrEnum):
    """What is left to do."""

    GO_ON = "go_on"  # with the restart
    HAS_RESTARTED = "has_restarted"  # by itself


class Draining:
    """Who waits for viewers."""

    def __init__(
        self,
        archiving: Archiving,
        *,
        board: Board,
        clock: Clock,
        store: Store,
        policy_of: Callable[[SlotId], Policy],
    ) -> None:
        self._archiving = archiving
        self._waiting = Waiting(archiving, clock)
        self._board = board
        self._clock = clock
        self._store = store
        self._policy_of = policy_of
        self._at_once: set[SlotId] = set()
        # What will not be asked again: a wrong code locks out people, too. By stream, revision and
        # process: another process may have been given the right one.
        self._refused: dict[tuple[StreamName, str, str], str] = {}

    def ordered(self, orders: tuple[Order, ...]) -> None:
        """Remember which restarts are to wait for nobody."""
        for order in orders:
            if order.kind is OrderKind.RESTART and order.slot is not None:
                (self._at_once.add if order.is_now else self._at_once.discard)(order.slot)

    async def before(
        self, act: Restart, workload: Workload, link: Callable[[], Awaitable[Link]]
    ) -> Drained:
        """Wait until a restart costs viewers least. Raises CommandFailed where it is to be left."""
        is_at_once = act.slot in self._at_once
        self._at_once.discard(act.slot)
        drain = workload.drain()
        is_meant = act.reason is Reason.OPERATOR_ASKED or act.is_planned
        if not is_meant or is_at_once or drain is None:
            return Drained.GO_ON
        seen = self._board.latest.get((act.instance_id, Subject.PICTURE))
        if seen is None or seen.status is not Status.TRUE:
            return Drained.GO_ON  # nobody watches anything
        known = await self._known_refusal(act)
        if known is not None:
            return self._otherwise(act, f"it has refused before: {known}")
        bound_s = min(drain.bound_s, BOUND_MAX_S)
        began_s = self._clock.monotonic()
        self._archiving.note(
            WorkloadDraining(slot=act.slot, instance_id=act.instance_id, bound_s=bound_s)
        )
        self._waiting.show(act.slot, act.instance_id, "")
        try:
            why = await self._drain(act, drain, link, bound_s)
        finally:
            self._archiving.hide(act.slot)
        if why:
            return self._otherwise(act, why)
        self._archiving.note(
            DrainEnded(
                slot=act.slot,
                instance_id=act.instance_id,
                duration_s=self._clock.monotonic() - began_s,
                has_restarted=drain.is_restart,
            )
        )
        return Drained.HAS_RESTARTED if drain.is_restart else Drained.GO_ON

    async def _drain(
        self, act: Restart, drain: Drain, link: Callable[[], Awaitable[Link]], bound_s: float
    ) -> str:
        """Ask, and look until it is done; returns why it is not, or "" when it is."""
        last = ""
        try:
            async with asyncio.timeout(bound_s):
                for command in drain.begin:
                    result = await self._ask(command, link)
                    while not isinstance(result, str) and result.exit_code == _NOT_YET:
                        self._waiting.show(
                            act.slot, act.instance_id, last := self._waiting.said(result)
                        )
                        await asyncio.sleep(max(_LOOK_MIN_S, drain.look_s))
                        result = await self._ask(command, link)
                    if isinstance(result, str):
                        return f"it could not be asked: {result}"
                    if result.exit_code == _REFUSED:
                        return self._remember_refusal(act, result)
                    if result.exit_code != _DONE:
                        return f"it could not be asked: {self._waiting.said(result)}"
                while True:
                    result = await self._ask(drain.look, link)
                    if isinstance(result, str):
                        last = result
                    elif result.exit_code == _DONE:
                        return ""
                    elif result.exit_code == _REFUSED:
                        return self._remember_refusal(act, result)
                    else:
                        last = self._waiting.said(result)
                    self._waiting.show(act.slot, act.instance_id, last)
                    await asyncio.sleep(max(_LOOK_MIN_S, drain.look_s))
        except TimeoutError:
            return f"not within {bound_s:.0f} s" + (f": {last}" if last else "")

    async def _ask(
        self, command: Command, link: Callable[[], Awaitable[Link]]
    ) -> CommandResult | str:
        try:
            return await (await link()).run(command)
        except PortError as failure:
            return self._waiting.failed(failure)

    async def _known_refusal(self, act: Restart) -> str | None:
        """Return what was said to keeper, or to the one before it: the journal has that of this slot."""
        process = self._process(act)
        known = self._refused.get((stream_of(act.slot), act.revision, process))
        if known is not None:
            return known
        try:
            rows = await self._store.journal(slot=act.slot, limit=_JOURNAL_MAX)
        except PortError:
            return None  # it costs one more question
        return next(
            (
                str(row.facts.get("detail", ""))
                for row in rows
                if row.event == DrainRefused.name
                and (row.facts.get("revision"), row.facts.get("process")) == (act.revision, process)
            ),
            None,
        )

    def _process(self, act: Restart) -> str:
        """Name the process that is asked, as far as it is known."""
        seen = self._board.latest.get((act.instance_id, Subject.PROCESS))
        return f"{act.instance_id}:{'' if seen is None else seen.identity}"

    def _remember_refusal(self, act: Restart, result: CommandResult) -> str:
        said = self._waiting.said(result)
        stream = stream_of(act.slot)
        process = self._process(act)
        kept = list(self._refused.items())[-_REFUSED_MAX + 1 :]
        self._refused = {**dict(kept), (stream, act.revision, process): said}
        self._archiving.note(
            DrainRefused(
                slot=act.slot, stream=stream, revision=act.revision, process=process, detail=said
            )
        )
        return f"it refuses: {said}"

    def _otherwise(self, act: Restart, why: str) -> Drained:
        """Do what policy says where viewers cannot be waited for."""
        then = self._policy_of(act.slot).drain_then
        self._archiving.note(
            DrainOverdue(slot=act.slot, instance_id=act.instance_id, detail=why, then=then.value)
        )
        if then is DrainThen.LEAVE:
            raise CommandFailed(f"left running, as drain_then says: {why}")
        return Drained.GO_ON
