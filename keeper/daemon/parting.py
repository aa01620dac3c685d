"""Takes down what a host knows before it is destroyed, for those who ask later what went wrong.

Hard bounds: a host that hangs, a disk that hangs or a bug here delays the end of a rental by seconds
and never prevents it. Where money must stop at once, or there is no link, only what is known already
is kept. Nothing here is ever decided upon. Only the first try of a destroy finds anything to take.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from keeper import __version__
from keeper.core.decisions import Destroy
from keeper.core.events import ArchiveUnable, PostMortemKept
from keeper.core.model import Reading, Subject
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.strip import Strip
from keeper.core.text import plain
from keeper.core.viewing import verdict_of
from keeper.daemon.archiving import Archiving
from keeper.daemon.board import Board
from keeper.daemon.error_line import describe
from keeper.daemon.frames import Frame
from keeper.daemon.ground import Ground
from keeper.daemon.target import Target
from keeper.daemon.watch import Watch
from keeper.ports import Clock, Command, CommandResult, Link, PortError, Store
from keeper.workloads.managers.evidence import FRAMES, FRAMES_MAX_BYTES

IN_ALL_S = 20.0
_ASKING_S = 14.0  # the host; what is left is for the store and the archive
_CLOSING_S = 1.0
_JOURNAL_MAX = 200
_LOG_TAIL_BYTES = 65_536
_WHY_MAX = 200
_TEXT_MAX_BYTES = 262_144  # of one answer; a bundle has a handful
_IN_HURRY = frozenset({Reason.BUDGET, Reason.DARK_SPEND, Reason.OUT_OF_CREDIT})


@dataclass(slots=True, kw_only=True)
class Leaving:
    """A rental that ends, as it was known in the moment in which that was decided."""

    act: Destroy
    at: datetime
    target: Target
    link: Link | None  # ours to close
    frames: tuple[Frame, ...]  # as a viewer saw them, the oldest first
    readings: tuple[Reading, ...]
    record: object
    strip: (
        Strip  # what viewers saw in the last half hour; of a host to come, what it showed to nobody
    )
    files: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    deploy_log: str = ""  # its name in the archive


class Parting:
    """Who says goodbye."""

    def __init__(
        self,
        ground: Ground,
        archiving: Archiving,
        *,
        watch: Watch,
        board: Board,
        store: Store,
        clock: Clock,
        spawn: Callable[..., asyncio.Task[None]],
    ) -> None:
        self._ground = ground
        self._archiving = archiving
        self._watch = watch
        self._board = board
        self._store = store
        self._clock = clock
        self._spawn = spawn

    def take(self, act: Destroy) -> Leaving | None:
        """Take what is known of a rental, and its link, before nobody watches it any more.

        None: nothing is known (it was never watched, or this is not the first try), or nothing is kept.
        """
        target = self._watch.target(act.instance_id)
        if target is None or not self._archiving.is_there:
            return None
        is_in_hurry = act.reason in _IN_HURRY
        instance_id = act.instance_id
        latest = self._board.latest
        snapshot = self._ground.snapshot
        records = {} if snapshot is None else snapshot.world.records  # before it was decided
        return Leaving(
            act=act,
            at=self._clock.now(),
            target=target,
            link=None if is_in_hurry else self._watch.release(instance_id),
            frames=self._board.frames.of(instance_id),
            readings=tuple(
                latest[instance_id, subject]
                for subject in Subject
                if (instance_id, subject) in latest
            ),
            record=records.get(target.slot),
            strip=self._board.strips.of_rental(act.instance_id),
        )

    async def keep(self, leaving: Leaving) -> None:
        """Gather what can be had and keep it. Ends within its bound and raises nothing."""
        task = self._spawn_quietly(self._gather(leaving))
        _, late = await asyncio.wait({task}, timeout=IN_ALL_S)
        if late:
            task.cancel()
            await asyncio.wait({task}, timeout=_CLOSING_S)
            self._tell(f"no bundle about rental {leaving.act.instance_id}: it took too long")

    def _spawn_quietly(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._spawn(work, "parting")

    async def _gather(self, leaving: Leaving) -> None:
        began_s = self._clock.monotonic()
        try:
            await self._ask_the_host(leaving)
        finally:
            if leaving.link is not None:
                await asyncio.wait({self._spawn(leaving.link.close(), "parting")}, timeout=1.0)
        await self._add_what_is_known(leaving)
        act = leaving.act
        name = await self._archiving.keep(
            leaving.target.slot, act.instance_id, {**leaving.files, **self._manifest(leaving)}
        )
        if name:
            self._archiving.note(
                PostMortemKept(
                    slot=act.slot,
                    instance_id=act.instance_id,
                    bundle=name,
                    duration_s=self._clock.monotonic() - began_s,
                    detail=plain("; ".join(leaving.missing), 400),
                )
            )

    async def _ask_the_host(self, leaving: Leaving) -> None:
        link = leaving.link
        if link is None:
            hurry = leaving.act.reason in _IN_HURRY
            leaving.missing.append(
                "the host was not asked: " + ("money had to stop" if hurry else "no link to it")
            )
            return
        looks = leaving.target.workload.evidence()
        waiting = {look.name for look in looks}

        async def ask(look: Command) -> None:
            try:
                result = await link.run(look)
            except PortError as failure:
                leaving.missing.append(f"{look.name}: {describe(failure)}")
            else:
                if look.name.startswith(FRAMES):
                    self._add_frames(leaving, look.name, result)
                else:
                    self._add_text(leaving, f"{look.name}.txt", result.stdout + result.stderr)
            waiting.discard(look.name)

        try:
            async with asyncio.timeout(_ASKING_S), asyncio.TaskGroup() as group:
                for look in looks:
                    group.create_task(ask(look))
        except TimeoutError:
            leaving.missing += [f"{name}: no answer in time" for name in sorted(waiting)]

    async def _add_what_is_known(self, leaving: Leaving) -> None:
        slot = leaving.target.slot
        for frame in leaving.frames:
            leaving.files[_frame_name(frame)] = frame.jpeg
        if not leaving.frames and not any(name.startswith(FRAMES) for name in leaving.files):
            leaving.missing.append("no frame was seen")
        self._add_json(leaving, "seen.json", _seen(leaving))
        self._add_json(leaving, "readings.json", leaving.readings)
        self._add_json(leaving, "record.json", leaving.record)
        try:
            rows = await self._store.journal(slot=slot, limit=_JOURNAL_MAX)
        except PortError as failure:
            leaving.missing.append(f"journal: {describe(failure)}")
        else:
            lines = [msgspec.json.encode({"at": row.at, **row.facts}) for row in rows]
            self._add_text(leaving, "journal.jsonl", b"\n".join(lines).decode())
        log = leaving.deploy_log = self._archiving.log_of(leaving.act.label)
        if text := await self._archiving.tail(log, _LOG_TAIL_BYTES):
            self._add_text(leaving, "deploy.log", text)
        else:
            leaving.missing.append("no deploy to this rental has left a log")

    def _manifest(self, leaving: Leaving) -> dict[str, bytes]:
        act, target = leaving.act, leaving.target
        manifest = {
            "slot": target.slot,
            "instance_id": act.instance_id,
            "label": act.label,
            "machine_id": target.instance.machine_id,
            "gpu": target.instance.gpu_name,
            "workload": target.workload.kind,
            "reason": act.reason,
            "because": SENTENCE[act.reason],
            "at": leaving.at,
            "keeper": __version__,
            "frames_seen_at": {_frame_name(frame): frame.at for frame in leaving.frames},
            "deploy_log": leaving.deploy_log,
            "files": sorted(leaving.files),
            "missing": leaving.missing,
        }
        text = msgspec.json.format(msgspec.json.encode(manifest)).decode()
        return {"manifest.json": self._archiving.redact(text).encode()}

    def _add_frames(self, leaving: Leaving, name: str, result: CommandResult) -> None:
        """Add the last pictures, as bytes: whatever they are, nobody here looks into them."""
        try:
            frames = base64.b64decode("".join(result.stdout.split()), validate=True)
        except ValueError:
            frames = b""
        if frames and result.exit_code == 0 and not result.is_truncated:
            leaving.files[name] = frames[:FRAMES_MAX_BYTES]
        else:
            said = self._archiving.redact(result.stderr.strip()) or "no readable answer"
            leaving.missing.append(f"{name}: {plain(said, _WHY_MAX)}")

    def _add_json(self, leaving: Leaving, name: str, value: object) -> None:
        text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str)).decode()
        self._add_text(leaving, name, text)

    def _add_text(self, leaving: Leaving, name: str, text: str) -> None:
        cleared = self._archiving.redact(text).encode("utf-8", "replace")
        leaving.files[name] = cleared[-_TEXT_MAX_BYTES:]

    def _tell(self, error: str) -> None:
        self._archiving.note(ArchiveUnable(error=error))


def _frame_name(frame: Frame) -> str:
    """Name a frame by when it was seen first, so that a folder lists them in their order."""
    return f"last-frame-{frame.at:%Y%m%dT%H%M%S}.{frame.at.microsecond // 1000:03}Z.jpg"


def _seen(leaving: Leaving) -> dict[str, Any]:
    """Tell what viewers saw, run by run, with what was measured when each began, and the latest look."""
    runs, latest = leaving.strip.runs, leaving.strip.latest
    ends = (*(run.since for run in runs[1:]), leaving.at)
    return {
        "at": leaving.at,
        "runs": [
            {
                "verdict": "no host" if run.verdict is None else run.verdict,
                "since": run.since,
                "until": until,
                "detail": run.detail,
                "numbers": run.numbers,
            }
            for run, until in zip(runs, ends, strict=False)  # no run, no end
        ],
        "latest_look": latest
        and {
            "verdict": verdict_of(latest),
            "at": latest.at,
            "reason": latest.reason,
            "because": SENTENCE[latest.reason],
            "detail": latest.detail,
            "numbers": latest.numbers,
        },
    }
