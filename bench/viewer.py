"""Whether looks at pictures are right, and what they cost.

The labelled set, every clip by every way that carries it, is streamed in real time and looked at through the
real network; what the daemon would believe after three looks is held against the label. The confusion matrix
is printed; the two rates become rows.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from bench.measure import Row, absent, now
from bench.viewer_cost import costs
from keeper.core.viewing import Verdict
from tests.clips.airing import on_air
from tests.clips.making import make
from tests.clips.table import all_ways
from tests.clips.watching import (
    BAD,
    GOOD,
    Watched,
    false_alarms,
    is_possible,
    matrix,
    missed,
    watch_all,
)

LOOKS = 3
ROUNDS = 3
# RTMP has to be watched until a keyframe comes: so many networks, so that a round takes a minute.
_NETWORKS = 5


async def measure() -> list[Row]:
    return [*await rates(), *await costs()]


async def rates() -> list[Row]:
    """Look at the labelled set, print the confusion matrix, and return the two rates."""
    if not is_possible():
        why = "needs ffmpeg, and nginx with its RTMP module"
        return [absent("viewer.false_alarms", 0.01, why), absent("viewer.found", 0.99, why)]
    airings = all_ways()
    rows: list[Watched] = []
    with tempfile.TemporaryDirectory(prefix="k-") as scratch:
        folder = Path(scratch)
        make(airings, folder / "clips")
        ports = _ports()
        async with on_air(
            airings, folder / "clips", folder / "air", lambda: next(ports)
        ) as addresses:
            for _ in range(ROUNDS):
                rows += await watch_all(
                    addresses, folder / "clips", looks=LOOKS, apart_s=2.0, networks=_NETWORKS
                )
    _tell(rows)
    good = sum(row.clip.label in GOOD for row in rows)
    bad = sum(row.clip.label in BAD for row in rows)
    alarms, found = len(false_alarms(rows)), bad - len(missed(rows))
    clips = len({row.clip for row in rows})
    return [
        _row("viewer.false_alarms", alarms / good, 0.01, f"{alarms} of {good} good; {clips} clips"),
        _row("viewer.found", found / bad, 0.99, f"{found} of {bad} bad in 3 looks", at_least=True),
    ]


def _row(figure: str, value: float, goal: float, note: str, *, at_least: bool = False) -> Row:
    return Row(
        figure=figure,
        goal=goal,
        value=float(f"{value:.4g}"),
        floor=None,
        peer=None,
        pairs=ROUNDS,
        unit="",
        at=now(),
        note=note,
        at_least=at_least,
    )


def _tell(rows: list[Watched]) -> None:
    print("labelled (down), and what the daemon would believe after three looks (across)")
    print("\n".join(matrix(rows)))
    looks = sum(len(row.readings) + len(row.unknown) for row in rows)
    unknown = sum(len(row.unknown) for row in rows)
    single = [
        reading
        for row in rows
        if row.clip.label in GOOD
        for reading in row.readings
        if reading.status.value == "false"
    ]
    print(f"  {looks} looks; {unknown} told nothing; {len(single)} single ones called live bad")
    for row in rows:
        if not row.is_right:
            print(
                f"  {row.clip.label.value} taken for {row.verdict.value}: {row.clip.name} by {row.way}"
            )
    if any(row.verdict is Verdict.UNKNOWN for row in rows):
        print("  unknown: each look had too little to tell, or failed on this box")


def _ports() -> Iterator[int]:
    """Give loopback ports that are free now."""
    return chain.from_iterable(_free(port) for port in range(21_000, 24_000))


def _free(port: int) -> list[int]:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return []
    return [port]
