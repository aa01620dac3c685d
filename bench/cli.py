"""What it costs to ask the command line anything: CPU of whole processes, the interpreter's included.

The peer imports the library that keeper reads its settings with, and does nothing. The vendor's own
client was measured beside it once, outside of this suite: see docs/performance.md.
"""

from __future__ import annotations

import asyncio
import resource
import sys

from bench.measure import Row, Side, against, in_turn

_RUNS = 3


async def measure() -> list[Row]:
    ours, peer, empty = await in_turn(
        _side("-m", "keeper", "--help"),
        _side("-c", "import pydantic_settings"),
        _side("-c", "pass"),
    )
    unit = "ms CPU a call"
    return [
        against(
            "cli.pydantic_settings",
            ours,
            peer,
            goal=None,
            unit=unit,
            note="keeper --help; peer: import pydantic_settings",
            is_peer=True,
        ),
        against(
            "cli.floor",
            ours,
            empty,
            goal=None,
            unit=unit,
            note="keeper --help; floor: an interpreter that does nothing",
        ),
    ]


def _side(*arguments: str) -> Side:
    async def side() -> float:
        before = _children_s()
        for _ in range(_RUNS):
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL
            )
            assert await process.wait() == 0
        return (_children_s() - before) / _RUNS * 1e3

    return side


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
