"""Carries out the steps of a deploy or a restart on a host's link, one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import assert_never

from keeper.daemon.deploy_log import DeployLog
from keeper.daemon.jobs import Jobs, Lines
from keeper.daemon.letting_go import LettingGo
from keeper.daemon.relink import Relink
from keeper.daemon.sending import Senders
from keeper.ports import Command, CommandFailed, Job, Link, Parcel, PortError, Upload
from keeper.workloads import Step

_TAIL_CHARACTERS = 400
_SLOW_S = 60.0  # a command that may take longer is told of while it runs


class Putting:
    """What goes onto hosts."""

    def __init__(
        self,
        *,
        redact: Callable[[str], str],
        jobs: Jobs,
        senders: Senders | None = None,
        letting_go: LettingGo | None = None,
    ) -> None:
        self._redact = redact
        self._jobs = jobs
        self._senders = senders or Senders(clock=jobs.clock)
        self._letting_go = letting_go or LettingGo()

    async def put(
        self,
        link: Link,
        steps: Sequence[Step],
        *,
        relink: Relink | None = None,
        log: DeployLog | None = None,
    ) -> None:
        """Do each step in order. Raises CommandFailed at the first that does not end well.

        What closes (``Command.is_closing``) is done after a failure, too. ``relink`` gives the link
        that is up now: a job outlives the one that it was begun over. ``log`` is told of everything.
        """

        async def the_same() -> Link:
            return link

        again = relink or the_same
        for number, step in enumerate(steps, 1):
            try:
                link = await self._tell(number, step, link, again, log)
            except PortError:
                await self._close(number, steps, again, log)
                raise

    async def _close(
        self, failed: int, steps: Sequence[Step], relink: Relink, log: DeployLog | None
    ) -> None:
        """Do what closes of the steps after the one that has failed, for what it is worth."""
        for number, step in enumerate(steps[failed:], failed + 1):
            if isinstance(step, Command) and step.is_closing:
                with suppress(PortError):  # the log has it
                    await self._tell(number, step, await relink(), relink, log)

    async def _tell(
        self, number: int, step: Step, link: Link, relink: Relink, log: DeployLog | None
    ) -> Link:
        """Do a step and tell of it; returns the link that is up after it."""
        if log is not None:
            await log.step_started(number, _name_of(step), is_slow=_is_slow(step))
        try:
            link = await self._do(step, link, relink, log)
        except PortError as failure:
            if log is not None:
                await log.step_ended(self._redact(str(failure)))
            raise
        if log is not None:
            await log.step_ended()
        return link

    async def _do(self, step: Step, link: Link, relink: Relink, log: DeployLog | None) -> Link:
        """Do a step; returns the link that is up after it."""
        match step:
            case Upload():
                await link.upload(step)
            case Job():
                await self._apart(self._see_through(step, link, relink, log), log)
                return await relink()
            case Parcel():
                await self._apart(self._send(step, link, relink, log), log)
                return await relink()
            case Command():
                await self._run_checked(link, step, log)
            case _:
                assert_never(step)
        return link

    async def _see_through(
        self, job: Job, link: Link, relink: Relink, log: DeployLog | None
    ) -> None:
        async def heard(lines: Sequence[str]) -> None:
            if log is not None:
                await log.heard(lines)

        ended = await self._jobs.run(job, link, relink, heard)
        if ended.was_done:
            await heard([f"{job.name} has succeeded here before, and is not run again"])
        if ended.exit_code is None:
            raise self._failed(f"{job.name} was ended after {job.timeout_s:.0f} s", ended.tail)
        if ended.exit_code != 0:
            raise self._failed(f"{job.name} ended with {ended.exit_code}", ended.tail)

    async def _apart(self, doing: Awaitable[None], log: DeployLog | None) -> None:
        """Wait for what goes on without keeper, or can be gone on with; not when keeper stops."""
        with self._letting_go.waiting():
            try:
                await doing
            except asyncio.CancelledError:
                if log is not None and self._letting_go.is_asked:
                    await log.remark("keeper stops, and takes this up again when it is back")
                raise

    async def _send(
        self, parcel: Parcel, link: Link, relink: Relink, log: DeployLog | None
    ) -> None:
        async def tell(line: str, *, is_kept: bool = True) -> None:
            if log is not None and is_kept:
                await log.heard([line])
            elif log is not None:
                log.shows(line)

        await self._senders.run(parcel, link, relink, tell)

    async def _run_checked(self, link: Link, command: Command, log: DeployLog | None) -> None:
        lines = Lines()

        async def heard(text: str) -> None:
            if log is not None and (said := [one for one in lines.take(text) if one.strip()]):
                await log.heard(said)

        result = await link.run(command, heard)
        if log is not None and result.is_truncated:
            await log.remark(f"… more than {command.output_max_bytes} bytes: the rest is left out")
        if result.exit_code != 0:
            said_last = result.stderr or result.stdout
            raise self._failed(f"{command.name} ended with {result.exit_code}", said_last)

    def _failed(self, what: str, said: str) -> CommandFailed:
        # Before anything is cut off: half a secret would not be recognised any more.
        end = self._redact(said).strip()[-_TAIL_CHARACTERS:]
        return CommandFailed(f"{what}: {' | '.join(end.splitlines())}")


def _name_of(step: Step) -> str:
    return f"upload of {step.path}" if isinstance(step, Upload) else step.name


def _is_slow(step: Step) -> bool:
    return isinstance(step, Job | Parcel) or (
        isinstance(step, Command) and step.timeout_s > _SLOW_S
    )
