"""What all tests against hostile hosts share: strangers in a process of their own, and our own measures."""

import asyncio
import gc
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.components import REPOSITORY

MIB = 1024 * 1024
# What a hostile host may make keeper use beside what it uses anyway. The tricks send hundreds of MiB.
GROWTH_MAX_BYTES = 64 * MIB
# Deadlines of the tests' settings end everything in seconds; one that is not kept lasts for ever. A
# busy box may take a minute for what takes one of those seconds.
ENDS_WITHIN_S = 90.0
CHECKS_MIN = 2


def resident_bytes() -> int:
    """Return what this process has in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@dataclass
class Strangers:
    """Servers by name, and what they saw."""

    ports: dict[str, int]
    said: list[str] = field(default_factory=list)

    def told(self, name: str) -> list[str]:
        """Return what one of them saw."""
        return [line.partition(": ")[2] for line in self.said if line.startswith(f"{name}: ")]


@asynccontextmanager
async def strangers(module: str) -> AsyncIterator[Strangers]:
    """Run a module's servers until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        cwd=REPOSITORY, limit=4 * MIB,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    found = Strangers(json.loads(await process.stdout.readline()))

    async def listen(reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            found.said.append(line.decode().rstrip("\n"))

    listening = asyncio.get_running_loop().create_task(listen(process.stderr))
    try:
        yield found
    finally:
        process.kill()
        await process.wait()
        await listening


@dataclass
class Measured:
    """How it went beside the trick."""

    checks: int = 0  # of another host, in the meantime
    growth_bytes: int = 0
    errors: list[str] = field(default_factory=list)  # of tasks and callbacks that nobody awaited


@asynccontextmanager
async def measured(check: Callable[[], Awaitable[object]]) -> AsyncIterator[Measured]:
    """Check another host over and over, and watch memory and stray exceptions, during a block."""
    gc.collect()
    before, seen = resident_bytes(), Measured()
    loop, enough = asyncio.get_running_loop(), asyncio.Event()
    loop.set_exception_handler(lambda _, what: seen.errors.append(str(what)))

    async def go_on() -> None:
        while True:
            await check()
            await asyncio.sleep(0.02)  # or it would be a flood itself
            seen.checks += 1
            if seen.checks >= CHECKS_MIN:
                enough.set()
            seen.growth_bytes = max(seen.growth_bytes, resident_bytes() - before)

    going = loop.create_task(go_on())
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            yield seen
            waiting = loop.create_task(enough.wait())
            await asyncio.wait([going, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
    finally:
        going.cancel()
        await asyncio.wait([going])
        if not going.cancelled() and (error := going.exception()):
            raise error
        gc.collect()
        loop.set_exception_handler(None)
