"""Keeps one link to each watched rental, with a sentinel on it.

What the sentinel says is pinned on the board. Losing the link is Unknown; only refused dials are False.
Nothing here decides: it asks, bounded in time and size, and writes down the answer.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from keeper.core.model import InstanceId, Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.daemon.board import Board
from keeper.daemon.redial import DIAL_TIMEOUT_S, pause_s
from keeper.daemon.rest import Rest, last_beat_s
from keeper.daemon.target import Target
from keeper.ports import (
    Address,
    Clock,
    Foresight,
    HostKeyChanged,
    Hosts,
    Link,
    Malformed,
    PortError,
    Transient,
    Unauthorized,
    Unreachable,
)

SILENT_LINK_S = 35.0  # three heartbeats and a little
_HEARTBEAT_S = 10.0
_INSIDE = (Subject.LINK, Subject.PROCESS, Subject.DISK, Subject.GPU, Subject.WORKLOAD)


@dataclass(slots=True)
class _Kept:
    target: Target
    task: asyncio.Task[None] | None = None
    link: Link | None = None
    is_given: bool = False  # the link: somebody else closes it
    forwards: dict[int, Address] = field(default_factory=dict)
    linked: asyncio.Event = field(default_factory=asyncio.Event)
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    deadline: asyncio.Timeout | None = None  # of the sentinel that is listened to
    inside: Rest = field(default_factory=Rest)  # nothing new would be said


class Links:
    """The links to all watched rentals."""

    def __init__(
        self,
        *,
        hosts: Hosts,
        clock: Clock,
        board: Board,
        keep: Callable[..., asyncio.Task[None]],  # a task that is begun again when it dies
        completed: Callable[[Reading], Reading],  # by what the viewer knows of the same
        lost: Callable[[InstanceId], None],
        key_refused: Callable[[InstanceId], None],
        foresight: Foresight | None,
    ) -> None:
        self._hosts = hosts
        self._clock = clock
        self._board = board
        self._keep_going = keep
        self._completed = completed
        self._lost = lost
        self._key_refused = key_refused
        self._foresight = foresight
        self._kept: dict[InstanceId, _Kept] = {}

    def begin(self, target: Target) -> None:
        """Dial a rental from now on, for as long as it is watched."""
        kept = self._kept[target.instance.instance_id] = _Kept(target)
        kept.task = self._keep_going(functools.partial(self._keep, kept), f"link:{target.slot}")

    def change(self, target: Target) -> None:
        """Take what is new about a rental: where it is, or what it is asked."""
        kept = self._kept[target.instance.instance_id]
        before, kept.target = kept.target, target
        if before.entrances != target.entrances:
            kept.moved.set()
        if kept.deadline is not None and _asks_otherwise(before, target):
            # Another workload is there: its own sentinel comes with the next link.
            kept.deadline.reschedule(asyncio.get_running_loop().time())

    def drop(self, instance_id: InstanceId) -> None:
        """Close a rental's link, and dial it no more."""
        kept = self._kept.pop(instance_id)
        kept.inside.end()
        if kept.task is not None:
            kept.task.cancel()

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return what keeps the links."""
        return [kept.task for kept in self._kept.values() if kept.task is not None]

    def now(self, instance_id: InstanceId) -> Link | None:
        """Return the rental's link if it is up."""
        kept = self._kept.get(instance_id)
        return kept.link if kept else None

    async def get(self, instance_id: InstanceId, timeout_s: float) -> Link:
        """Return the rental's link, waiting for it. Raises Unreachable."""
        kept = self._kept.get(instance_id)
        if kept is None:
            raise Unreachable("the rental is not being watched")
        try:
            async with asyncio.timeout(timeout_s):
                while kept.link is None:
                    kept.linked.clear()
                    await kept.linked.wait()
        except TimeoutError as error:
            raise Unreachable("no SSH link to the host") from error
        return kept.link

    def give(self, instance_id: InstanceId) -> Link | None:
        """Give the rental's link away, if it is up: whoever takes it closes it."""
        kept = self._kept.get(instance_id)
        if kept is None or kept.link is None:
            return None
        kept.is_given = True
        return kept.link

    async def forward(self, instance_id: InstanceId, port: int) -> Address | None:
        """Return where this box reaches a port of the host through its link; None: no link is up.

        One way for each port, for as long as the link holds. Raises PortError.
        """
        kept = self._kept.get(instance_id)
        if kept is None or kept.link is None:
            return None
        link, known = kept.link, kept.forwards.get(port)
        if known is None:
            known = await link.forward(port)
            if kept.link is link:  # else it leads nowhere, and another link is up by now
                kept.forwards[port] = known
        return known

    async def _keep(self, kept: _Kept) -> None:
        failures = nonsense = 0
        while True:
            target = kept.target
            entrances = target.entrances
            if not entrances:
                kept.moved.clear()
                await kept.moved.wait()
                continue
            pinned = self._board.host_keys.get(target.instance.instance_id, target.pinned_host_key)
            try:
                link = await self._hosts.connect(
                    entrances, pinned_host_key=pinned, timeout_s=DIAL_TIMEOUT_S
                )
            except PortError as error:
                self._pin(target, *_dial_failure(error), detail=str(error))
                if isinstance(error, Unauthorized):
                    self._key_refused(target.instance.instance_id)
                await self._pause_before_redial(kept, failures)
                failures += 1
                continue
            failures = 0
            self._board.host_keys[target.instance.instance_id] = link.host_key
            kept.link = link
            kept.forwards.clear()
            kept.linked.set()
            try:
                why = await self._listen(kept, link)
            finally:
                kept.link = None
                kept.forwards.clear()
                self._lost(target.instance.instance_id)
                if not kept.is_given:
                    await asyncio.shield(link.close())
                kept.is_given = False
            lost = (Status.UNKNOWN, Reason.LINK_LOST)
            if isinstance(why, HostKeyChanged):
                lost = _dial_failure(why)
            self._pin(kept.target, *lost, detail=str(why))
            # A host that talks nonsense, or without end, is dialled ever less often, like a silent one.
            nonsense = nonsense + 1 if isinstance(why, Malformed) else 0
            await self._pause_before_redial(kept, nonsense)

    async def _listen(self, kept: _Kept, link: Link) -> PortError:
        """Read the sentinel until it ends or falls silent; says why it ended."""
        target = kept.target
        instance_id = target.instance.instance_id
        lines = link.watch(target.workload.sentinel())
        is_first = True
        loop = asyncio.get_running_loop()
        try:
            # One deadline that is moved: a new one for each line costs twice as much as the line.
            async with asyncio.timeout(SILENT_LINK_S) as deadline:
                kept.deadline = deadline
                async for line in lines:
                    deadline.reschedule(loop.time() + SILENT_LINK_S)
                    at = self._clock.now()
                    if is_first:
                        is_first = False
                        self._pin(target, Status.TRUE, Reason.LINK_UP)
                    if line.startswith('{"hb"'):
                        # Nothing changed: that it was said is all there is to know.
                        self._board.heard(instance_id, _INSIDE, at)
                        self._rest_inside(kept, lines, deadline)
                        continue
                    for reading in target.workload.interpret(line, instance_id, at):
                        self._board.pin(self._completed(reading))
                    # After that: what it says now stands above what was said before a silence.
                    self._board.heard(instance_id, _INSIDE, at)
                return Unreachable("the sentinel ended")
        except TimeoutError:
            return Unreachable("the sentinel fell silent")
        except PortError as error:
            return error
        finally:
            kept.deadline = None
            kept.inside.end()
            closing = getattr(lines, "aclose", None)
            if closing is not None:
                await closing()

    def _rest_inside(
        self, kept: _Kept, lines: AsyncIterator[str], deadline: asyncio.Timeout
    ) -> None:
        """Let the sentinel be silent until it has something to say, if it promises that."""
        foresight, loop = self._foresight, asyncio.get_running_loop()
        if foresight is None:
            return
        instance_id, heard_s = kept.target.instance.instance_id, loop.time()

        def wake() -> None:
            beat_s = last_beat_s(heard_s, _HEARTBEAT_S, loop.time())
            deadline.reschedule(beat_s + SILENT_LINK_S)
            at = self._clock.now() - timedelta(seconds=loop.time() - beat_s)
            self._board.unvouch(instance_id, _INSIDE, at)

        if kept.inside.begin(lambda broken: foresight.of_sentinel(lines, broken), wake):
            deadline.reschedule(None)
            self._board.vouch(instance_id, _INSIDE, self._clock.now())

    async def _pause_before_redial(self, kept: _Kept, failures: int) -> None:
        target = kept.target
        seconds = pause_s(target.slot, failures, target.probe_stale_s)
        kept.moved.clear()
        alarm = asyncio.get_running_loop().call_later(seconds, kept.moved.set)
        try:
            await kept.moved.wait()
        finally:
            alarm.cancel()

    def _pin(self, target: Target, status: Status, reason: Reason, detail: str = "") -> None:
        self._board.pin(
            Reading(
                instance_id=target.instance.instance_id,
                subject=Subject.LINK,
                status=status,
                reason=reason,
                at=self._clock.now(),
                detail=detail[:200],
            )
        )


def _asks_otherwise(before: Target, after: Target) -> bool:
    """Whether the sentinel of a host has other questions to ask from now on."""
    return (
        before.workload is not after.workload
        and before.workload.sentinel() != after.workload.sentinel()
    )


def _dial_failure(error: PortError) -> tuple[Status, Reason]:
    if isinstance(error, HostKeyChanged):
        return Status.FALSE, Reason.HOST_KEY_CHANGED
    if isinstance(error, Unauthorized):
        return Status.FALSE, Reason.KEY_REFUSED
    if isinstance(error, Transient):
        return Status.FALSE, Reason.DIAL_REFUSED
    return Status.UNKNOWN, Reason.PROBE_FAILED
