"""Looks at clips on air as the daemon does, and says what it would come to believe of each."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image
from typing_extensions import override

from keeper.adapters.network import HttpNetwork
from keeper.core.belief import Belief
from keeper.core.conditions import STREAMING
from keeper.core.model import InstanceId, Policy, Reading, Status
from keeper.core.viewing import Verdict, verdict_of
from keeper.ports import MediaKind, MediaSource, PictureLimits
from keeper.probes.grid import COLUMNS, ROWS
from keeper.probes.picture import read_picture
from keeper.workloads import Scene, View, ViewKind
from tests import builders
from tests.clips.airing import Airing
from tests.clips.table import MJPEG, RTMP, Clip
from tests.components import COMPONENTS

BAD = (Verdict.FROZEN, Verdict.BLACK, Verdict.SILENT)  # to be found within three looks
GOOD = (Verdict.LIVE, Verdict.STATIC)  # never to be taken for broken
_PLAYERS = 4  # that one network plays at once
_TRIES_MAX = 9
# Heads of the matrix's columns: all of it fits into a terminal of 80.
_SHORT = {
    Verdict.STUTTERING: "stutt.",
    Verdict.CORRUPT: "corr.",
    Verdict.NO_BYTES: "none",
    Verdict.UNREACHABLE: "away",
    Verdict.UNKNOWN: "?",
}


@dataclass(kw_only=True)
class Watched:
    """What was seen of one clip."""

    clip: Clip
    way: str
    readings: list[Reading] = field(default_factory=list)  # without those that tell nothing
    unknown: list[str] = field(default_factory=list)
    believed: Status = Status.UNKNOWN

    @property
    def verdict(self) -> Verdict:
        """What is believed in the end, in a word."""
        good = Status.FALSE if self.believed is Status.FALSE else Status.TRUE
        told = [each for each in self.readings if each.status is good]
        return verdict_of(told[-1]) if told else Verdict.UNKNOWN

    @property
    def is_right(self) -> bool:
        """Whether that is the label, or as good."""
        return self.verdict is self.clip.label

    @override
    def __str__(self) -> str:
        looks = ", ".join(f"{verdict_of(each)} ({each.detail})" for each in self.readings)
        return f"{self.clip.name} by {self.way}: {looks}; unknown: {self.unknown}"


def view_of(clip: Clip, way: str, clips: Path) -> View:
    """Return what the clip's operator would have declared."""
    declared: dict[str, Any] = dict(clip.declared)
    if clip.scene:
        with Image.open(clips / f"{clip.scene}.png") as image:
            grid = image.convert("L").resize((COLUMNS, ROWS), Image.Resampling.BOX).tobytes()
        declared["scenes"] = (Scene(name=clip.scene, grid=grid),)
    return View(kind=ViewKind(way), container_port=0, **declared)


async def watch_all(
    addresses: Mapping[Airing, str], clips: Path, *, looks: int, apart_s: float, networks: int = 1
) -> list[Watched]:
    """Look at everything that is on air, ``looks`` times, through real networks."""
    made = [HttpNetwork() for _ in range(networks)]
    turns = [asyncio.Semaphore(_PLAYERS) for _ in made]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    _watch(
                        airing,
                        url,
                        clips,
                        made[at % networks],
                        turns[at % networks],
                        looks=looks,
                        apart_s=apart_s,
                    )
                )
                for at, (airing, url) in enumerate(addresses.items())
            ]
    finally:
        for network in made:
            await network.close()
    return [task.result() for task in tasks]


async def _watch(
    airing: Airing,
    url: str,
    clips: Path,
    network: HttpNetwork,
    turns: asyncio.Semaphore,
    *,
    looks: int,
    apart_s: float,
) -> Watched:
    clip, way = airing
    watched = Watched(clip=clip, way=way)
    view = view_of(clip, way, clips)
    started_at = datetime(2026, 11, 22, tzinfo=UTC)
    belief = Belief(replace(builders.a_tenure(), conditions=()), Policy(), started_at, None)
    memory = b""
    for _ in range(_TRIES_MAX):
        limits = PictureLimits(ignored=view.ignored, memory=memory, wants_frame=False)
        async with turns if way == RTMP else nullcontext():
            sample = await (
                network.sample_mjpeg(url, limits)
                if way == MJPEG
                else network.sample_media(MediaSource(kind=MediaKind(way), url=url), limits)
            )
        memory = sample.memory
        reading = read_picture(sample, view, InstanceId(7), started_at)
        if reading.status is Status.UNKNOWN:
            watched.unknown.append(reading.detail)
        else:
            watched.readings.append(reading)
            belief.read(reading)
            # A verdict that was once reached counts, even where the next look takes it back.
            if belief.conditions[STREAMING].status is not Status.UNKNOWN:
                is_worse = watched.believed is not Status.FALSE
                watched.believed = belief.conditions[STREAMING].status if is_worse else Status.FALSE
        if len(watched.readings) == looks:
            break
        await asyncio.sleep(apart_s)
    return watched


def is_possible() -> bool:
    """Whether what streams the clips is on this machine."""
    return COMPONENTS["ffmpeg"]() is not None and COMPONENTS["nginx-rtmp"]() is not None


def false_alarms(rows: Sequence[Watched]) -> list[Watched]:
    """Return the clips that a viewer would call good and that were taken for broken."""
    return [row for row in rows if row.clip.label in GOOD and row.believed is Status.FALSE]


def missed(rows: Sequence[Watched]) -> list[Watched]:
    """Return the frozen, black and silent clips that were not found in the looks that were taken."""
    return [row for row in rows if row.clip.label in BAD and row.believed is not Status.FALSE]


def matrix(rows: Sequence[Watched]) -> list[str]:
    """Return the confusion matrix as lines: what it is, down; what it was taken for, across."""
    counts = Counter((row.clip.label, row.verdict) for row in rows)
    labels = [each for each in Verdict if any(row.clip.label is each for row in rows)]
    found = [each for each in Verdict if any(row.verdict is each for row in rows)]
    lines = [f"{'':<11}" + "".join(f"{_SHORT.get(each, each.value):>7}" for each in found)]
    for label in labels:
        cells = "".join(f"{counts[label, each] or '.':>7}" for each in found)
        lines.append(f"{label.value:<11}{cells}")
    return lines
