"""The logs that deploys have left in the archive, for a person at a terminal: also while one is written.

Their secrets were taken out before they were written; they are made plain here like everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from keeper.core.model import SlotId
from keeper.core.text import plain
from keeper.ports import Archive, Clock, Kept, Missing
from keeper.ports.asking import HostLog, LogPiece

_APART_S = 1.0
_LINE_MAX = 2000
_READ_MAX_BYTES = 256_000
_TRIES = 3


class DeployLogs:
    """Reads what the archive has of a slot's deploys. Raises ArchiveFailed, and Missing: there is none."""

    def __init__(
        self,
        archive: Archive | None,
        clock: Clock,
        *,
        redact: Callable[[str], str],
        apart_s: float = _APART_S,
    ) -> None:
        self._archive = archive
        self._clock = clock
        self._redact = redact
        self._apart_s = apart_s

    async def logs(self, slot: SlotId) -> tuple[HostLog, ...]:
        """Return the logs of a slot's deploys, the newest first."""
        now = self._clock.now()
        return tuple(
            HostLog(
                path=each.name,
                size_bytes=each.size_bytes,
                quiet_s=max(0.0, (now - each.kept_at).total_seconds()),
            )
            for each in await self._kept(slot)
        )

    async def log(
        self, slot: SlotId, *, name: str, lines_max: int, is_followed: bool
    ) -> AsyncGenerator[LogPiece, None]:
        """Read the end of a log, the newest unless one is named; followed, on to the next deploy's."""
        chosen = _named(slot, name, await self._kept(slot))
        path, offset, has_begun = chosen.name, 0, False
        while True:
            if not name and has_begun:
                newest = (await self._kept(slot))[0]
                if newest.name != path:
                    path, offset = newest.name, 0
                    yield LogPiece(
                        instance_id=None, path=path, remark=f"another deploy writes {path}"
                    )
            offset, lines, skipped = await self._read(slot, path, offset, is_last=not is_followed)
            if skipped and has_begun:
                yield LogPiece(instance_id=None, path=path, remark=f"{skipped} bytes are left out")
            if not has_begun:
                lines = lines[-lines_max:] if lines_max else []
            has_begun = True
            yield LogPiece(instance_id=None, path=path, lines=tuple(lines))
            if not is_followed:
                return
            await asyncio.sleep(self._apart_s)

    async def _read(
        self, slot: SlotId, path: str, offset: int, *, is_last: bool
    ) -> tuple[int, list[str], int]:
        """Return how far a log was read now, the lines behind ``offset``, and how many bytes were skipped."""
        assert self._archive is not None, "a log was found in it"
        for _ in range(_TRIES):
            size = await self._size(slot, path)
            most = min(size - offset, _READ_MAX_BYTES)
            if most <= 0:
                return offset, [], 0
            text = await self._archive.tail(path, most)
            if await self._size(slot, path) == size:
                break  # the end that was read is the end that was measured
        else:
            return offset, [], 0  # it grows too fast to be measured: at the next look
        skipped = size - most - offset
        if skipped:
            text = text.partition("\n")[2]  # half a line tells less than none
        whole, newline, rest = text.rpartition("\n")
        if is_last and rest:
            whole, newline, rest = text, "\n", ""
        lines = self._redact(whole).split("\n") if newline else []
        return (
            size - len(rest.encode()),
            [plain(line.rstrip("\r"), _LINE_MAX) for line in lines],
            skipped,
        )

    async def _size(self, slot: SlotId, path: str) -> int:
        return next((each.size_bytes for each in await self._kept(slot) if each.name == path), 0)

    async def _kept(self, slot: SlotId) -> list[Kept]:
        """Return a slot's logs, the newest first. Raises Missing when there is none."""
        kept = await self._archive.kept() if self._archive is not None else ()
        folder = f"deploys/{slot.replace('/', '.')}/"
        found = [each for each in reversed(kept) if each.name.startswith(folder)]
        if not found:
            raise Missing(f"no deploy of {slot} has left a log")
        return found


def _named(slot: SlotId, name: str, kept: list[Kept]) -> Kept:
    for each in kept:
        if name in {"", each.name, each.name.rpartition("/")[2]}:
            return each
    there = ", ".join(each.name.rpartition("/")[2] for each in kept[:10])
    raise Missing(f"no deploy of {slot} has left a log {plain(name, 100)!r}; there are: {there}")
