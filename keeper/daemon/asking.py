"""Asks the hosts of slots what a person at a terminal wants to know, over the links that are there.

Nothing here changes anything on a host, and nothing is decided by it. What a host says is taken whole
lines at a time, without the secrets that keeper knows, and is made plain before it leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Protocol
from weakref import WeakValueDictionary

from keeper.core.model import InstanceId, SlotId
from keeper.core.text import plain
from keeper.daemon.deploy_logs import DeployLogs
from keeper.daemon.ground import Ground
from keeper.ports import (
    Archive,
    Clock,
    Command,
    CommandFailed,
    CommandResult,
    Link,
    Malformed,
    Missing,
    PortError,
    Transient,
    Uncertain,
    Unreachable,
)
from keeper.ports.asking import HostLog, LogPiece, Told
from keeper.probes.log_file import (
    PREVIOUS,
    Chunk,
    LogFile,
    Mark,
    Turn,
    look_for,
    look_into,
    read_chunk,
    read_list,
    with_previous,
)
from keeper.workloads import Workload

_LINK_WAIT_S = 5.0
_REPORT_S = 30.0
_LOOK_S = 15.0
_APART_S = 1.0
_LINE_MAX = 2000
_TITLE_MAX = 40
_REPORT_LINES = 40


class Links(Protocol):
    """The links that the watch keeps."""

    async def link(self, instance_id: InstanceId, timeout_s: float) -> Link:
        """Return a rental's link, waiting for it. Raises Unreachable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a slot is now."""

    instance_id: InstanceId
    workload: Workload


@dataclass(slots=True, kw_only=True)
class _Reader:
    """How far a log was read, and where."""

    place: _Place | None = None
    path: str = ""
    mark: Mark = field(default_factory=Mark)
    is_absent: bool = False  # it was read, and is not there now
    trouble: str = ""  # what was said last, so that it is said once
    has_begun: bool = False  # what comes from now on is wanted whole


class HostsAsked:
    """Implements ports.asking.Asking on the links that there are."""

    def __init__(
        self,
        ground: Ground,
        links: Links,
        clock: Clock,
        *,
        workload_of: Callable[[SlotId, str], Workload | None],
        archive: Archive | None = None,
        apart_s: float = _APART_S,
    ) -> None:
        self._ground = ground
        self._links = links
        self._clock = clock
        self._workload_of = workload_of
        self._apart_s = apart_s
        self._turns: WeakValueDictionary[tuple[InstanceId, str], asyncio.Lock] = (
            WeakValueDictionary()
        )
        self._deploys = DeployLogs(archive, clock, redact=ground.hide, apart_s=apart_s)

    def view_port(self, slot: SlotId) -> int | None:
        """See Asking."""
        record = self._ground.memory.records.get(slot) if self._ground.has_memory else None
        tenure = record.tenure if record is not None else None
        workload = self._workload_of(slot, tenure.revision if tenure is not None else "")
        port = workload.view().container_port if workload is not None else 0
        return port or None  # 0: its picture is looked at elsewhere

    async def report(self, slot: SlotId) -> tuple[Told, ...]:
        """See Asking."""
        place = self._place(slot)
        question = place.workload.report()
        if question is None:
            return ()
        result = await self._ask(slot, place, question, _REPORT_S)
        return tuple(
            Told(
                title=plain(self._ground.hide(line.title), _TITLE_MAX),
                status=line.status,
                text="\n".join(self._plain_lines(line.text)[:_REPORT_LINES]),
            )
            for line in place.workload.read_report(result)
        )

    async def logs(self, slot: SlotId) -> tuple[HostLog, ...]:
        """See Asking."""
        place = self._place(slot)
        now_s = self._clock.now().timestamp()
        return tuple(
            HostLog(
                path=each.path,
                size_bytes=each.size_bytes,
                quiet_s=quiet_s if (quiet_s := now_s - each.changed_at_s) >= 0 else None,
            )
            for each in await self._listed(slot, place)
        )

    async def log(
        self, slot: SlotId, *, name: str, lines_max: int, is_followed: bool
    ) -> AsyncGenerator[LogPiece, None]:
        """See Asking."""
        reader = _Reader()
        if not is_followed:
            async for piece in self._look(slot, reader, name, lines_max, is_followed=False):
                yield piece
            return
        while True:
            try:
                async for piece in self._look(slot, reader, name, lines_max, is_followed=True):
                    yield piece
            except Missing:
                raise
            except PortError as error:
                said = self._plain_lines(str(error))[0]
                if said != reader.trouble:
                    reader.trouble = said
                    yield self._remark(reader, f"{said}; waiting")
            yield self._remark(reader, "")
            await asyncio.sleep(self._apart_s)

    async def deploy_logs(self, slot: SlotId) -> tuple[HostLog, ...]:
        """See Asking."""
        return await self._deploys.logs(slot)

    def deploy_log(
        self, slot: SlotId, *, name: str, lines_max: int, is_followed: bool
    ) -> AsyncGenerator[LogPiece, None]:
        """See Asking."""
        return self._deploys.log(slot, name=name, lines_max=lines_max, is_followed=is_followed)

    async def _look(
        self, slot: SlotId, reader: _Reader, name: str, lines_max: int, *, is_followed: bool
    ) -> AsyncGenerator[LogPiece, None]:
        """Look into the log once; say what has changed about it since the last look."""
        place = self._place(slot)
        before = reader.place
        if before is None or before.instance_id != place.instance_id:
            reader.place, reader.path, reader.mark, reader.is_absent = place, "", Mark(), False
            if before is not None:
                moved = f"{slot} has moved from instance {int(before.instance_id)} to"
                yield self._remark(reader, f"{moved} instance {int(place.instance_id)}")
        if not reader.path:
            reader.path = await self._chosen(slot, place, name, is_followed=is_followed)
        question = look_into(reader.path, reader.mark)
        result = await self._ask(slot, place, question, _LOOK_S)
        chunk = read_chunk(result, reader.mark)
        if chunk is None:
            why = self._plain_lines(result.stderr or "no readable answer")[0]
            raise Malformed(f"{reader.path} could not be read: {why}")
        if chunk.turn is Turn.UNREADABLE:
            raise CommandFailed(f"{reader.path} may not be read by keeper's login")
        if reader.trouble:
            reader.trouble = ""
            yield self._remark(reader, "it can be read again")
        for remark in _remarks(reader, chunk):
            yield self._remark(reader, remark)
        is_first, reader.mark = not reader.mark.inode, chunk.mark
        reader.is_absent = chunk.turn is Turn.ABSENT
        lines = self._plain_lines(chunk.text if is_followed else chunk.text + chunk.unfinished)
        if not reader.has_begun:
            lines = lines[-lines_max:] if lines_max else []
        reader.has_begun = True
        if lines:
            yield LogPiece(instance_id=place.instance_id, path=reader.path, lines=tuple(lines))
        elif is_first and chunk.turn is Turn.NEW and not chunk.text:
            yield self._remark(reader, f"{reader.path} is empty")

    async def _chosen(self, slot: SlotId, place: _Place, name: str, *, is_followed: bool) -> str:
        """Return the path that is meant. Raises Missing, and Unreachable when it is not there yet."""
        known = place.workload.logs()
        if not known:
            raise Missing(f"the workload of {slot} names no log")
        found = await self._listed(slot, place)
        if name:
            return _named(name, known, found)
        fresh = [each for each in found if not each.path.endswith(PREVIOUS)]
        if not fresh and (is_followed or not found):  # between two logs, the next is waited for
            why = f"no log of {slot} is on instance {int(place.instance_id)} yet"
            raise (Unreachable(why) if is_followed else Missing(why))
        # The best that says something: of a workload that is well, a log of errors is empty for ever.
        best = fresh or found
        return next((each.path for each in best if each.size_bytes), best[0].path)

    async def _listed(self, slot: SlotId, place: _Place) -> tuple[LogFile, ...]:
        paths = place.workload.logs()
        if not paths:
            return ()
        return read_list(paths, await self._ask(slot, place, look_for(paths), _LOOK_S))

    async def _ask(
        self, slot: SlotId, place: _Place, question: Command, deadline_s: float
    ) -> CommandResult:
        # One of each kind at a time: a link has few channels, and keeper's own acts need them more.
        kind = question.name.partition(".")[0]
        turn = self._turns.setdefault((place.instance_id, kind), asyncio.Lock())
        try:
            async with asyncio.timeout(deadline_s), turn:
                link = await self._links.link(place.instance_id, _LINK_WAIT_S)
                return await link.run(question)
        except TimeoutError as error:
            raise Unreachable(f"the host of {slot} did not answer in {deadline_s:.0f} s") from error
        except (Transient, Uncertain) as error:
            # What only reads may be asked again, whatever became of it.
            why = str(error).removeprefix(f"{question.name}: ")
            where = f"{slot} is on instance {int(place.instance_id)}"
            raise Unreachable(f"{where}, and {why}") from error

    def _place(self, slot: SlotId) -> _Place:
        """Return where a slot is. Raises Unreachable when it has no host."""
        record = self._ground.memory.records.get(slot) if self._ground.has_memory else None
        tenure = record.tenure if record is not None else None
        if tenure is None or tenure.instance_id is None:
            raise Unreachable(f"{slot} has no host now")
        workload = self._workload_of(slot, tenure.revision)
        if workload is None:
            raise Unreachable(f"{slot} is no longer in the configuration")
        return _Place(instance_id=tenure.instance_id, workload=workload)

    def _plain_lines(self, text: str) -> list[str]:
        """Take the secrets out while the text is whole, then make each line safe to show."""
        lines = self._ground.hide(text).replace("\r\n", "\n").split("\n")
        if lines[-1] == "":
            lines.pop()
        # A progress bar writes over its own line: what stood there last is what a person has seen.
        return [plain(line.rstrip("\r").rpartition("\r")[2], _LINE_MAX) for line in lines]

    def _remark(self, reader: _Reader, text: str) -> LogPiece:
        at = reader.place.instance_id if reader.place is not None else None
        return LogPiece(instance_id=at, path=reader.path, remark=text)


def _named(name: str, known: tuple[str, ...], found: tuple[LogFile, ...]) -> str:
    """Return the log of this name, which may be its last part. Only what the workload names is read."""
    there = [each.path for each in found]
    for paths in (there, with_previous(known)):
        for path in paths:
            if name in {path, path.rpartition("/")[2]}:
                return path
    names = ", ".join(there) or "none yet"
    raise Missing(f"there is no log {plain(name, 100)!r}; there are: {names}")


def _remarks(reader: _Reader, chunk: Chunk) -> list[str]:
    """Say what happened to a log between two looks."""
    said = []
    match chunk.turn:
        case Turn.ABSENT if reader.mark.inode and not reader.is_absent:
            said.append(f"{reader.path} is not there any more; waiting for a new one")
        case Turn.ROTATED:
            said.append(f"{reader.path} begins anew: a new file has taken its place")
        case Turn.TRUNCATED:
            said.append(f"{reader.path} begins anew: it was truncated")
        case Turn.MORE if reader.is_absent:
            said.append(f"{reader.path} is there again")
        case _:
            pass
    if chunk.skipped and chunk.turn is not Turn.NEW:
        said.append(f"{chunk.skipped} bytes came too fast and are left out")
    return said
