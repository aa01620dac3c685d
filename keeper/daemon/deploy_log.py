"""Tells of one deploy while it happens: a log to read later, facts, and how far it is.

A deploy goes on whether or not its log can be written. Whatever a host prints is hostile: secrets are
taken out, controls are shown, and everything is bounded before it goes anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keeper.core.events import DeployStepEnded, DeployStepStarted
from keeper.core.model import InstanceId, SlotId
from keeper.core.text import plain
from keeper.core.under_way import DeployProgress
from keeper.daemon.archiving import Archiving
from keeper.ports import Clock

_LINE_MAX = 2_000  # in the log
_SHOWN_MAX = 160  # of the last line, on a page
_FACT_MAX = 500


class DeployLog:
    """One deploy's teller."""

    def __init__(
        self,
        archiving: Archiving,
        clock: Clock,
        *,
        slot: SlotId,
        instance_id: InstanceId,
        what: str,
    ) -> None:
        self._archiving = archiving
        self._clock = clock
        self._what = what
        now = clock.now()
        self._told = DeployProgress(
            slot=slot, instance_id=instance_id, began_at=now, number=0, of=0, step="", since=now
        )
        self._is_slow = False

    @property
    def name(self) -> str:
        """The log's name in the archive; "" when there is none."""
        return self._told.log

    async def open(self, label: str, of: int) -> None:
        """Begin the log of so many steps."""
        log = await self._archiving.open_log(self._told.slot, label)
        self._show(replace(self._told, of=of, log=log))
        await self._write(
            f"{self._what}: {of} steps, on rental {self._told.instance_id} ({label}),"
            f" {self._clock.now():%Y-%m-%d} UTC"
        )

    async def step_started(self, number: int, step: str, *, is_slow: bool) -> None:
        """Tell of a step that begins."""
        self._is_slow = is_slow
        self._show(replace(self._told, number=number, step=step, since=self._clock.now(), line=""))
        await self._write(f"step {number} of {self._told.of}: {step}")
        if is_slow:
            told = self._told
            self._archiving.note(
                DeployStepStarted(
                    slot=told.slot,
                    instance_id=told.instance_id,
                    step=step,
                    number=number,
                    of=told.of,
                )
            )

    async def heard(self, lines: Sequence[str]) -> None:
        """Tell of what a step has printed."""
        # Together: a secret of several lines is not recognised by one of them.
        cleared = self._archiving.redact("\n".join(lines)).split("\n")
        shown = [plain(line, _LINE_MAX) for line in cleared]
        last = next((line for line in reversed(shown) if line.strip()), "")
        if last:
            self._show(replace(self._told, line=plain(last.strip(), _SHOWN_MAX)))
        await self._write(*(f"| {line}" for line in shown))

    def shows(self, line: str) -> None:
        """Show a line that is not worth keeping: the next one replaces it."""
        cleared = plain(self._archiving.redact(line), _SHOWN_MAX)
        self._show(replace(self._told, line=cleared))

    async def remark(self, line: str) -> None:
        """Write down something of keeper's own about the step."""
        await self._write(f"| {line}")

    async def step_ended(self, error: str = "") -> None:
        """Tell how the step ended; the error's secrets are taken out."""
        told = self._told
        duration_s = max(0.0, (self._clock.now() - told.since).total_seconds())
        await self._write(f"step {told.number} {error or f'done after {duration_s:.0f} s'}")
        if error:
            self._archiving.failed(told.slot, told.log)
        if self._is_slow or error:
            self._archiving.note(
                DeployStepEnded(
                    slot=told.slot,
                    instance_id=told.instance_id,
                    step=told.step,
                    number=told.number,
                    of=told.of,
                    duration_s=duration_s,
                    error=plain(error, _FACT_MAX),
                    log=told.log if error else "",
                )
            )

    def close(self) -> None:
        """Show it no longer."""
        if self._archiving.deploys.get(self._told.slot) is self._told:
            self._archiving.hide(self._told.slot)

    def _show(self, told: DeployProgress) -> None:
        self._told = told
        self._archiving.show(told)

    async def _write(self, *lines: str) -> None:
        at = f"{self._clock.now():%H:%M:%S}"
        await self._archiving.append(self._told.log, "".join(f"{at} {line}\n" for line in lines))
