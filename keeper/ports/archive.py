"""What is kept for those who ask later: logs of deploys, and bundles about hosts that have ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from keeper.core.model import InstanceId, SlotId


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One file of the archive. Its name is a path below the state folder, and safe to show."""

    name: str
    size_bytes: int
    kept_at: datetime


class Archive(Protocol):
    """Files that people read. Bounded: the oldest go first. Nothing in it is ever decided upon.

    What comes in has had its secrets taken out. Every method may raise ArchiveFailed (a full disk,
    say): whoever calls goes on without it.
    """

    async def open_log(self, slot: SlotId, label: str) -> str:
        """Begin another log of a rental's deploys; returns its name."""
        ...

    async def append(self, name: str, text: str) -> None:
        """Write at the end of a log. What is over its bound is left out, and that is said once."""
        ...

    async def keep(
        self,
        slot: SlotId | None,
        instance_id: InstanceId,
        at: datetime,
        files: Mapping[str, bytes],
    ) -> str:
        """Keep files about a rental that ends as one bundle (tar.gz); returns its name."""
        ...

    async def kept(self) -> tuple[Kept, ...]:
        """Return what there is, oldest first."""
        ...

    async def tail(self, name: str, bytes_max: int) -> str:
        """Return the end of a log; "" when there is none of that name."""
        ...
