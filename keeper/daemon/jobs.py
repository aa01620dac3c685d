"""Sees a job on a host through: begun once, asked after until it ends, its output told line by line.

The job does not need us: a lost link or a restart of keeper leaves it running, and whoever asks for
the same again attaches to it or takes its result. Its own time limit is kept on the host.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from keeper.daemon.relink import Relink, linked_again
from keeper.ports import (
    Clock,
    Command,
    CommandFailed,
    Job,
    Link,
    PortError,
    Transient,
    Uncertain,
)
from keeper.workloads import jobs
from keeper.workloads.jobs import JobReply, JobState

POLL_S = 2.0
# A link comes back within seconds, or after a reboot of the network between. Longer than this, and
# the act has failed for lack of a link; the job goes on, and the next try attaches to it.
LINK_PATIENCE_S = 120.0
_OVERTIME_S = 60.0  # the host ends it at its limit; much later it has not, and is told to
_NONSENSE_MAX = 3
_MUCH = jobs.POLL_MAX_BYTES // 4  # characters: there is more, and it is asked for without a pause
_AT_ONCE_MAX = 2 * jobs.LOG_MAX_BYTES  # of one job; then no more than an answer each pause
_LINE_MAX = 4_096
_TAIL_LINES = 12

Heard = Callable[[Sequence[str]], Awaitable[None]]
"""Takes lines of output as they come, hostile and with whatever secrets they hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How a job ended."""

    exit_code: int | None  # None: its time was up and it was ended
    was_done: bool  # under an earlier try: nothing was run now
    tail: str  # the end of what it printed


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """Carries jobs out."""

    clock: Clock
    poll_s: float = POLL_S
    link_patience_s: float = LINK_PATIENCE_S

    async def run(self, job: Job, link: Link, relink: Relink, heard: Heard) -> JobEnd:
        """See the job through. Raises CommandFailed (it cannot be run or followed), Unreachable.

        ``relink`` gives the link that is up now, or raises Unreachable.
        """
        return await _Talk(self, job, link, relink).through(heard)


class _Talk:
    """One job, one host."""

    def __init__(self, jobs_: Jobs, job: Job, link: Link, relink: Relink) -> None:
        self._jobs = jobs_
        self._job = job
        self._link = link
        self._relink = relink
        # Not for secrecy: to know our own try again when the answer to its begin was lost.
        self._attempt = f"{jobs_.clock.now():%Y%m%dT%H%M%S.%f}"
        self._until_s = jobs_.clock.monotonic() + job.timeout_s + _OVERTIME_S
        self._lines = Lines()

    async def through(self, heard: Heard) -> JobEnd:
        reply = await self._begin(heard)
        if reply.state is JobState.ENDED and reply.attempt != self._attempt:
            return JobEnd(exit_code=reply.exit_code, was_done=True, tail="")
        attempt, offset, is_told_to_end, read = reply.attempt, 0, False, 0
        while True:
            if reply.offset > offset:
                await heard([f"… {reply.offset - offset} bytes were thrown away unread"])
            offset = reply.next_offset
            if lines := self._lines.take(reply.text):
                await heard(lines)
            # By what has come, not by what the host says of it; and not for ever at once.
            read += len(reply.text)
            is_behind = len(reply.text) >= _MUCH and read < _AT_ONCE_MAX
            if reply.state is JobState.ENDED and not is_behind:
                break
            if reply.state not in {JobState.RUNNING, JobState.ENDED}:
                raise CommandFailed(
                    f"{self._job.name} was cut short on the host: it was killed, or the host rebooted"
                )
            if self._jobs.clock.monotonic() > self._until_s:
                if is_told_to_end:
                    raise CommandFailed(f"{self._job.name} ran out of time and cannot be ended")
                is_told_to_end = True
                await self._ask(jobs.end(self._job, attempt), is_read=False)
            if not is_behind:
                await asyncio.sleep(self._jobs.poll_s)
            reply = await self._look(offset)
        if rest := self._lines.rest():
            await heard([rest])
        with suppress(PortError):  # only a note for the next one
            await self._link.run(jobs.end(self._job, attempt))
        return JobEnd(exit_code=reply.exit_code, was_done=False, tail=self._lines.tail())

    async def _begin(self, heard: Heard) -> JobReply:
        is_said = False
        while True:
            reply = await self._look_with(jobs.begin(self._job, self._attempt))
            match reply.state:
                case JobState.BUSY:
                    if not is_said:
                        is_said = True
                        await heard([f"waiting for another job on this host: {reply.text.strip()}"])
                    if self._jobs.clock.monotonic() > self._until_s:
                        raise CommandFailed(f"{self._job.name}: another job holds this host")
                    await asyncio.sleep(self._jobs.poll_s)
                case JobState.UNABLE:
                    raise CommandFailed(f"{self._job.name}: {reply.text.strip()[:200]}")
                case _:
                    return reply

    async def _look(self, offset: int) -> JobReply:
        return await self._look_with(jobs.poll(self._job, offset))

    async def _look_with(self, command: Command) -> JobReply:
        reply = await self._ask(command)
        assert reply is not None
        return reply

    async def _ask(self, command: Command, *, is_read: bool = True) -> JobReply | None:
        """Ask until there is an answer. Every question here may be repeated, an unanswered one too."""
        nonsense, began_s = 0, self._jobs.clock.monotonic()
        while True:
            try:
                result = await self._link.run(command)
            except (Transient, Uncertain) as lost:
                await self._link_again(lost, began_s)
                continue
            reply = jobs.read(result)
            if reply is not None or not is_read:
                return reply
            nonsense += 1
            if nonsense >= _NONSENSE_MAX:
                said = (result.stderr or result.stdout).strip()[:200]
                raise CommandFailed(
                    f"{command.name}: the answer cannot be read ({result.exit_code}): {said}"
                )
            await asyncio.sleep(self._jobs.poll_s)

    async def _link_again(self, lost: PortError, began_s: float) -> None:
        """Wait for a link that answers. Raises Unreachable when that takes too long."""
        self._link = await linked_again(
            self._relink,
            lost,
            what=self._job.name,
            clock=self._jobs.clock,
            until_s=began_s + self._jobs.link_patience_s,
            poll_s=self._jobs.poll_s,
        )


class Lines:
    """Output that comes in pieces, as whole lines: a secret cut in two would not be recognised."""

    def __init__(self) -> None:
        self._left = ""
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def take(self, text: str) -> list[str]:
        """Take a piece and return the lines that are whole now. Of progress bars the last state."""
        *whole, self._left = (self._left + text).split("\n")
        if len(self._left) > _LINE_MAX:
            whole.append(self._left)
            self._left = ""
        lines = [line.rstrip("\r").rpartition("\r")[2][:_LINE_MAX] for line in whole]
        self._tail.extend(line for line in lines if line.strip())
        return lines

    def rest(self) -> str:
        """Return the last line, which was never ended."""
        left, self._left = self._left[:_LINE_MAX], ""
        if left.strip():
            self._tail.append(left)
        return left

    def tail(self) -> str:
        """Return the end of it all."""
        return "\n".join(self._tail)
