"""What a person at a terminal may ask of a slot's host, through the daemon that holds its link.

Nothing of it changes anything. What hosts wrote is without the secrets that keeper knows, and plain.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from keeper.core.model import InstanceId, SlotId, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One line of what a workload tells of itself."""

    title: str
    status: Status
    text: str  # may have several lines


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLog:
    """A log file that is on a host now."""

    path: str
    size_bytes: int
    quiet_s: float | None  # since it was written last; None: the host's clock cannot be believed


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPiece:
    """Some lines of a log, or a remark of keeper's about it."""

    instance_id: InstanceId | None  # None: the slot has no host now
    path: str = ""
    lines: tuple[str, ...] = ()
    remark: str = ""


class Asking(Protocol):
    """Asks the hosts of slots. Every wait is bounded.

    Raises Unreachable (no host, or no link to it now), and what ``Link.run`` raises.
    """

    def view_port(self, slot: SlotId) -> int | None:
        """Return the container's port that viewers of a slot look at; None: nothing is declared."""
        ...

    async def report(self, slot: SlotId) -> tuple[Told, ...]:
        """Return what the workload tells of itself; empty when it has nothing to tell."""
        ...

    async def logs(self, slot: SlotId) -> tuple[HostLog, ...]:
        """Return the log files that are there, the best first."""
        ...

    def log(
        self, slot: SlotId, *, name: str, lines_max: int, is_followed: bool
    ) -> AsyncGenerator[LogPiece, None]:
        """Read the end of a log; "" is the best one that is there. Raises Missing: no such log.

        Followed, it goes on over rotation, lost links and changes of the host, with a remark for each,
        until it is closed. A piece without lines and remark says only that it is still there.
        """
        ...

    async def deploy_logs(self, slot: SlotId) -> tuple[HostLog, ...]:
        """Return the logs that deploys of a slot have left, the newest first. Raises Missing."""
        ...

    def deploy_log(
        self, slot: SlotId, *, name: str, lines_max: int, is_followed: bool
    ) -> AsyncGenerator[LogPiece, None]:
        """Read the end of a deploy's log; "" is the newest one. Raises Missing, ArchiveFailed."""
        ...
