"""Carries out the steps of a deploy or a restart on a host's link, one after another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import assert_never

from keeper.daemon.jobs import Jobs
from keeper.ports import Command, CommandFailed, Job, Link, Upload
from keeper.workloads import Step

_TAIL_CHARACTERS = 400


class Putting:
    """What goes onto hosts."""

    def __init__(self, *, redact: Callable[[str], str], jobs: Jobs) -> None:
        self._redact = redact
        self._jobs = jobs

    async def put(
        self,
        link: Link,
        steps: Sequence[Step],
        *,
        relink: Callable[[], Awaitable[Link]] | None = None,
    ) -> None:
        """Do each step in order. Raises CommandFailed at the first that does not end well.

        ``relink`` gives the link that is up now: a job outlives the one that it was begun over.
        """

        async def the_same() -> Link:
            return link

        again = relink or the_same
        for step in steps:
            match step:
                case Upload():
                    await link.upload(step)
                case Job():
                    await self._see_through(link, step, again)
                    link = await again()
                case Command():
                    await self._run_checked(link, step)
                case _:
                    assert_never(step)

    async def _see_through(
        self, link: Link, job: Job, relink: Callable[[], Awaitable[Link]]
    ) -> None:
        ended = await self._jobs.run(job, link, relink, _nobody_listens)
        if ended.exit_code is None:
            raise self._failed(f"{job.name} was ended after {job.timeout_s:.0f} s", ended.tail)
        if ended.exit_code != 0:
            raise self._failed(f"{job.name} ended with {ended.exit_code}", ended.tail)

    async def _run_checked(self, link: Link, command: Command) -> None:
        result = await link.run(command)
        if result.exit_code != 0:
            said = result.stderr or result.stdout
            raise self._failed(f"{command.name} ended with {result.exit_code}", said)

    def _failed(self, what: str, said: str) -> CommandFailed:
        # Before anything is cut off: half a secret would not be recognised any more.
        end = self._redact(said).strip()[-_TAIL_CHARACTERS:]
        return CommandFailed(f"{what}: {' | '.join(end.splitlines())}")


async def _nobody_listens(_: str) -> None:
    return
