"""Whether everything came right in a run of the campaign of real deaths."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import aiohttp

from keeper.sim.audit import audit
from keeper.sim.death_lives import LABEL, SLOT, Life, Scene
from keeper.sim.demo_stage import ActFailed
from keeper.sim.evidence import Bounds, Evidence, Move
from keeper.sim.limits import SPACING_S

_VIEW = "8000/tcp"
_LOOK_S = 10.0
_PICTURES = 3
_PICTURE_BEGINS = b"\xff\xd8\xff"


async def unseen(scene: Scene) -> list[str]:
    """Look at the slot as a viewer does, whatever keeper says of it; returns what is wrong."""
    try:
        instance_id = await scene.stage.instance_of(SLOT)
        hosts = {host["instance_id"]: host for host in scene.stage.sim.describe()}
        host = hosts[instance_id]
        address = f"http://{host['public_ip']}:{host['ports'][_VIEW]}/stream"
        timeout = aiohttp.ClientTimeout(total=_LOOK_S)
        async with aiohttp.ClientSession(timeout=timeout) as viewer, viewer.get(address) as stream:
            picture = b""
            while picture.count(_PICTURE_BEGINS) < _PICTURES:
                if not (chunk := await stream.content.readany()):
                    return ["a viewer's stream has ended in the end"]
                picture += chunk
    except (ActFailed, aiohttp.ClientError, KeyError, OSError, TimeoutError) as problem:
        return [f"a viewer sees nothing in the end: {problem!r}"]
    return []


def judged(scene: Scene, life: Life, began: float, *, is_undisturbed: bool) -> Iterator[str]:
    """Hold what the marketplace wrote down against what was promised."""
    stage, now = scene.stage, time.time()
    stage.sim.market.settle()
    bugs = [
        (now, f"{event['event']}: {event['facts'].get('error')}")
        for event in stage.events
        if event["event"] in {"slot.bug", "task.died"}
    ]
    evidence = Evidence(
        ledger=stage.sim.ledger,
        slot_of=lambda label: m.group(1) if (m := LABEL.fullmatch(label or "")) else None,
        desired={"arena": 1},
        began_at=began,
        calm_at=now,
        ended_at=now,
        labels_written=tuple(
            (_at(event), event["facts"]["label"])
            for event in stage.events
            if event["event"] == "instance.renting"
        ),
        moves=tuple(
            Move(
                at=_at(event),
                label=event["facts"]["label"],
                slot=event["slot"],
                owners=max(1, scene.keeper.owners[event["facts"]["label"]]),
            )
            for event in stage.events
            if event["event"] == "spare.promoted"
        ),
        paused=tuple(scene.paused),
        killed_at=tuple(scene.keeper.killed_at),
        unhandled=tuple(bugs),
        bounds=replace(_BOUNDS, **life.bounds),
    )
    for broken in audit(evidence):
        yield broken.sentence()
    for label, owners in scene.keeper.owners.items():
        if owners > 1:
            yield f"{owners} records held {label} when the process was killed"
    # These hosts are real: they know which processes ran, not what a command was called.
    for entry in stage.sim.ledger.hosts:
        if entry.what == "process.started" and any(a < entry.at < b for a, b in scene.paused):
            yield f"a process was started on {entry.instance_id} while paused"
    alive = [rental.label for rental in stage.rentals if rental.is_live]
    if len(alive) != life.alive:
        yield f"alive are {alive}"
    if is_undisturbed and (lacking := life.lived - {event["event"] for event in stage.events}):
        yield f"this was not the life of {life.name}, for it lacks {sorted(lacking)}"


def _at(event: Any) -> float:  # noqa: ANN401 - JSON of the journal
    return datetime.fromisoformat(event["at"]).timestamp()


_BOUNDS = Bounds(
    restarts_max=20,
    workload_restarts_max=5,
    reboots_max=5,
    replacements_max=10,
    overlap_max_s=300.0,
    settle_s=20.0,
    absence_apart_s=2.0,
    abandoned_s=200.0,
    well_s=300.0,
    spacing_s={
        (method, path): spacing_s
        for endpoint, spacing_s in SPACING_S.items()
        for method, _, path in (endpoint.partition(" "),)
    },
)
