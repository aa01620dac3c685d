"""Carries out the steps of a deploy or a restart on a host's link, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keeper.ports import Command, CommandFailed, Job, Link, Upload
from keeper.workloads import Step

_TAIL_CHARACTERS = 400


class Putting:
    """What goes onto hosts."""

    def __init__(self, *, redact: Callable[[str], str]) -> None:
        self._redact = redact

    async def put(self, link: Link, steps: Sequence[Step]) -> None:
        """Do each step in order. Raises CommandFailed at the first that does not end well."""
        for step in steps:
            match step:
                case Upload():
                    await link.upload(step)
                case Job():
                    # TODO: once jobs run apart from the link, run it so (daemon/jobs.py).
                    command = Command(
                        name=step.name, script=step.script, env=step.env, timeout_s=step.timeout_s
                    )
                    await self._run_checked(link, command)
                case Command():
                    await self._run_checked(link, step)

    async def _run_checked(self, link: Link, command: Command) -> None:
        result = await link.run(command)
        if result.exit_code != 0:
            # Before anything is cut off: half a secret would not be recognised any more.
            said = self._redact(result.stderr or result.stdout).strip()[-_TAIL_CHARACTERS:]
            raise CommandFailed(
                f"{command.name} ended with {result.exit_code}: {' | '.join(said.splitlines())}"
            )
