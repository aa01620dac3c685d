"""The API's questions to hosts: where a slot is, what its workload tells, what its logs say.

They are for who may order: a question makes a host work, and a log is for few eyes. What the answers
hold is without keeper's secrets and plain when it comes here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import orjson
from aiohttp import web

from keeper.core.model import ConditionKind, SlotId, Status, Subject
from keeper.core.text import plain
from keeper.core.world import Snapshot
from keeper.ports import ArchiveFailed, Missing, PortError, Transient, Uncertain
from keeper.ports.asking import Asking, HostLog, LogPiece
from keeper.web.answers import (
    CONTROL,
    IS_LOCAL,
    Problem,
    allow_order,
    json_answer,
    now_of,
    snapshot_of,
)
from keeper.web.api import FOLLOWERS, no_such_slot, number
from keeper.web.explain import explain
from keeper.web.shapes import Explained
from keeper.web.view_shapes import ViewStatus
from keeper.web.way import way_of

_READERS_MAX = 8  # each asks its host once a second
_LINES_DEFAULT = 200
_LINES_MAX = 1000
_RECENT_MAX = 300


@dataclass(slots=True)
class Hosts:
    """Who can be asked, and by whom logs are being read."""

    asked: Asking | None
    key_file: str = ""
    readers: set[asyncio.Task[object]] = field(default_factory=set)


HOSTS: Final = web.AppKey("hosts", Hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldStatus:
    """One line of what is told of a stream."""

    title: str
    status: Status
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReport:
    """What is told of a slot: by its workload, or else by keeper itself."""

    slot: str
    instance_id: int | None
    at: datetime
    is_on_air: bool
    is_from_host: bool  # False: from what keeper knows without asking anew
    why: str  # why the host itself tells nothing; "": it does
    lines: tuple[ToldStatus, ...]
    view: ViewStatus | None = None  # what viewers see; null: of a spare


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLogs:
    """The log files on a slot's host, the best first."""

    slot: str
    logs: tuple[HostLog, ...]


async def get_way(request: web.Request) -> web.Response:
    """Where a slot is now, and how to get there."""
    allow_order(request)
    slot = _slot(request)
    port, key_file = _hosts(request).view_port(slot), request.app[HOSTS].key_file
    way = way_of(snapshot_of(request), slot, port, key_file if request.app[IS_LOCAL] else "")
    if way is None:
        raise no_such_slot(request, slot)
    return json_answer(way)


async def get_report(request: web.Request) -> web.Response:
    """What the workload of a slot tells of itself now; what keeper knows of it, if that is nothing."""
    allow_order(request)
    slot = _slot(request)
    snapshot = snapshot_of(request)
    explained = explain(snapshot, slot, now_of(request), request.app[CONTROL])
    if explained is None:
        raise no_such_slot(request, slot)
    hosts, why = _hosts(request), ""
    told: tuple[ToldStatus, ...] = ()
    known = tuple(_known(explained))
    try:
        told = tuple(
            ToldStatus(title=line.title, status=line.status, text=line.text)
            for line in await hosts.report(slot)
        )
        if not told:
            known += await _recent(hosts, slot)
    except PortError as error:
        why = plain(str(error), 300)
    record = snapshot.records[slot]
    return json_answer(
        StreamReport(
            slot=slot,
            instance_id=record.tenure.instance_id if record.tenure is not None else None,
            at=now_of(request),
            is_on_air=explained.slot.is_on_air,
            is_from_host=bool(told),
            why=why,
            lines=told or known,
            view=explained.slot.view,
        )
    )


# What keeper judges, as a person would call it, and the witness whose words belong to it.
_KNOWN: Final = (
    (ConditionKind.RENTED, "Rental", None),
    (ConditionKind.REACHABLE, "Link", Subject.LINK),
    (ConditionKind.DEPLOYED, "Deploy", None),
    (ConditionKind.RUNNING, "Process", Subject.PROCESS),
    (ConditionKind.STREAMING, "Picture", Subject.PICTURE),
    (ConditionKind.HAS_GPU, "GPU", Subject.GPU),
    (ConditionKind.HAS_ROOM, "Disk", Subject.DISK),
    (ConditionKind.WORKING, "Workload", Subject.WORKLOAD),
)


def _known(explained: Explained) -> Iterator[ToldStatus]:
    """Say what keeper knows of a slot's host, from its conditions and the witnesses' own words."""
    slot = explained.slot
    if not slot.conditions:
        yield ToldStatus(title="Rental", status=Status.FALSE, text=slot.why or slot.state)
    judged = {each.condition: each for each in slot.conditions}
    instance_id = slot.host.instance_id if slot.host is not None else None
    said = {each.subject: each for each in explained.readings if each.instance_id == instance_id}
    for kind, title, witness in _KNOWN:
        condition = judged.get(kind)
        reading = said.get(witness) if witness is not None else None
        if condition is None or (witness is Subject.WORKLOAD and reading is None):
            continue
        detail = f" ({reading.detail})" if reading is not None and reading.detail else ""
        yield ToldStatus(title=title, status=condition.status, text=f"{condition.because}{detail}")


async def _recent(hosts: Asking, slot: SlotId) -> tuple[ToldStatus, ...]:
    """Return the end of the best log, if there is one."""
    lines: list[str] = []
    try:
        async with aclosing(hosts.log(slot, name="", lines_max=5, is_followed=False)) as pieces:
            async for piece in pieces:
                lines += piece.lines
    except PortError:
        return ()
    text = "\n".join(plain(line, _RECENT_MAX) for line in lines)
    return (ToldStatus(title="Recent logs", status=Status.TRUE, text=text),) if lines else ()


async def get_host_logs(request: web.Request) -> web.Response:
    """Which log files are on a slot's host."""
    allow_order(request)
    slot = _declared_slot(request, snapshot_of(request))
    hosts = _hosts(request)
    try:
        logs = await (hosts.deploy_logs(slot) if _of_deploys(request) else hosts.logs(slot))
    except PortError as error:
        raise _problem(error, request) from error
    return json_answer(HostLogs(slot=slot, logs=logs))


async def get_log(request: web.Request) -> web.StreamResponse:
    """The end of a log, and what follows: one JSON object a line."""
    allow_order(request)
    slot = _declared_slot(request, snapshot_of(request))
    is_followed = request.query.get("follow", "") in {"1", "true"}
    readers = request.app[HOSTS].readers
    if len(readers) >= _READERS_MAX:
        raise Problem(503, "too many logs are being read", cure="end one of the others")
    hosts = _hosts(request)
    pieces = (hosts.deploy_log if _of_deploys(request) else hosts.log)(
        slot,
        name=request.query.get("file", "")[:1000],
        lines_max=number(request, "lines", _LINES_DEFAULT, 0, _LINES_MAX),
        is_followed=is_followed,
    )
    task = asyncio.current_task()
    assert task is not None
    readers.add(task)
    request.app[FOLLOWERS].add(task)
    try:
        async with aclosing(pieces):
            return await _sent(request, pieces)
    finally:
        readers.discard(task)
        request.app[FOLLOWERS].discard(task)


async def _sent(request: web.Request, pieces: AsyncIterator[LogPiece]) -> web.StreamResponse:
    """Send pieces as they come. What goes wrong before the first is a problem like any other."""
    response = web.StreamResponse(
        headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"}
    )
    try:
        async for piece in pieces:
            if not response.prepared:
                await response.prepare(request)
            await response.write(orjson.dumps(piece) + b"\n")
    except PortError as error:
        if not response.prepared:
            raise _problem(error, request) from error
        said = LogPiece(instance_id=None, remark=plain(str(error), 300))
        await response.write(orjson.dumps(said) + b"\n")
    except ConnectionResetError:
        return response  # the reader has gone
    if not response.prepared:
        await response.prepare(request)
    return response


def _of_deploys(request: web.Request) -> bool:
    """Whether the logs that deploys have left are meant, and not those on the host."""
    match request.query.get("of", "host"):
        case "host":
            return False
        case "deploy":
            return True
        case _:
            raise Problem(400, "of is host or deploy")


def _hosts(request: web.Request) -> Asking:
    asked = request.app[HOSTS].asked
    if asked is None:
        raise Problem(503, "no host can be asked here")
    return asked


def _problem(error: PortError, request: web.Request) -> Problem:
    said, slot = plain(str(error), 500), plain(request.query.get("slot", ""), 100)
    match error:
        case Missing():
            return Problem(404, "no such log", said, cure=f"keeper logs {slot} --list")
        case ArchiveFailed():
            return Problem(503, "the archive cannot be read", said, cure="look at disk and log")
        case Transient() | Uncertain():
            return Problem(503, "the host cannot be asked now", said, cure=f"keeper status {slot}")
        case _:
            return Problem(502, "the host gives no usable answer", said, cure=f"keeper ssh {slot}")


def _slot(request: web.Request) -> SlotId:
    slot = request.query.get("slot", "")
    if not slot:
        raise Problem(400, "which slot?", "give ?slot=STREAM/REPLICA")
    return SlotId(slot)


def _declared_slot(request: web.Request, snapshot: Snapshot) -> SlotId:
    slot = _slot(request)
    if slot not in snapshot.records:
        raise no_such_slot(request, slot)
    return slot
