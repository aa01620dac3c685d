"""An archive in memory, which survives the keeper that writes to it; it can be full."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from keeper.adapters.archive import bundled
from keeper.core.model import InstanceId, SlotId
from keeper.ports import ArchiveFailed, Clock, Kept


class MemoryArchive:
    """The Archive port."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.files: dict[str, bytes] = {}
        self._kept_at: dict[str, datetime] = {}
        self.is_full = False
        self.is_stuck = False  # bundles are never written, and nobody is told

    async def open_log(self, slot: SlotId, label: str) -> str:
        """Begin another log."""
        self._check()
        stem = f"deploys/{slot.replace('/', '.')}/{label}"
        number = 1
        while f"{stem}-{number}.log" in self.files:
            number += 1
        return self._put(f"{stem}-{number}.log", b"")

    async def append(self, name: str, text: str) -> None:
        """Write at the end of a log."""
        self._check()
        self._put(name, self.files[name] + text.encode())

    async def keep(
        self,
        slot: SlotId | None,
        instance_id: InstanceId,
        at: datetime,
        files: Mapping[str, bytes],
    ) -> str:
        """Keep a bundle."""
        self._check()
        if self.is_stuck:
            await asyncio.get_running_loop().create_future()
        owner = "none" if slot is None else slot.replace("/", ".")
        stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        return self._put(
            f"post-mortems/{stamp}-{owner}-{int(instance_id)}.tar.gz", bundled(files, at)
        )

    async def kept(self) -> tuple[Kept, ...]:
        """Return what there is, oldest first."""
        return tuple(
            Kept(name=name, size_bytes=len(content), kept_at=self._kept_at[name])
            for name, content in self.files.items()
        )

    async def tail(self, name: str, bytes_max: int) -> str:
        """Return the end of a log."""
        return self.files.get(name, b"")[-bytes_max:].decode("utf-8", "replace")

    def _put(self, name: str, content: bytes) -> str:
        self.files[name] = content
        self._kept_at[name] = self._clock.now()
        return name

    def _check(self) -> None:
        if self.is_full:
            raise ArchiveFailed("No space left on device")
