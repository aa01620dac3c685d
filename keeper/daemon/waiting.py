"""How it is told that viewers are waited for, and what a host said of it last."""

from __future__ import annotations

from keeper.core.model import InstanceId, SlotId
from keeper.core.text import plain
from keeper.core.under_way import DeployProgress
from keeper.daemon.archiving import Archiving
from keeper.daemon.error_line import describe
from keeper.ports import Clock, CommandResult

_SAID_MAX = 200


class Waiting:
    """Who tells of it. Whatever a host says is without secrets, plain and short here."""

    def __init__(self, archiving: Archiving, clock: Clock) -> None:
        self._archiving = archiving
        self._clock = clock

    def show(self, slot: SlotId, instance_id: InstanceId, line: str) -> None:
        """Show that a slot's viewers are waited for, since when, and what was said last."""
        before = self._archiving.deploys.get(slot)
        now = self._clock.now()
        self._archiving.show(
            DeployProgress(
                slot=slot,
                instance_id=instance_id,
                began_at=before.began_at if before is not None else now,
                number=1,
                of=2,
                step="wait for viewers",
                since=before.since if before is not None else now,
                line=line,
            )
        )

    def said(self, result: CommandResult) -> str:
        """Return the last line of an answer, or its exit code."""
        said = (result.stdout or result.stderr).strip().splitlines()
        text = plain(self._archiving.redact(said[-1] if said else ""), _SAID_MAX)
        return text or f"exit code {result.exit_code}"

    def failed(self, failure: BaseException) -> str:
        """Return why there was no answer."""
        return plain(self._archiving.redact(describe(failure)), _SAID_MAX)
