"""The installed command as processes, against a marketplace of our own: nobody's money."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo
from tests.waiting import eventually, look_until

KEEPER = shutil.which("keeper", path=str(Path(sys.executable).parent)) or "keeper"
API_KEY = "the-right-key"
# A command may provision a host in it, on a machine that does much else.
PATIENCE_S = 150.0
# Production's rules with a test's patience.
CONFIG = """\
vast: {{url: "{url}", timeout_s: 10}}
state_dir: {state}
socket: {socket}
http: {{listen: "{listen}"}}
canary: {{addresses: []}}
fleet:
  list_interval_s: 2
  list_interval_busy_s: 1
  listing_stale_s: 30
  absence_apart_s: 2
  destroy_quick_retry_s: 2
  tick_interval_s: 2
policy:
  probe_interval_s: 1
  probe_timeout_s: 0.8
  probe_stale_s: 20
  absence_apart_s: 2
  create_settle_s: 20
  restart_backoff_min_s: 1
  restart_backoff_max_s: 2
  restart_settle_s: 2
  replacements_apart_s: 1
streams:
  - name: duel
    workload: {{kind: sd-turbo, generator: test-card, bind: 0.0.0.0, workdir: duel, target_frames_per_s: 8}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(slots=True, kw_only=True)
class Running:
    """A command that goes on, and what it has said so far."""

    process: asyncio.subprocess.Process
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    def kill(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, timeout_s: float = PATIENCE_S) -> int:
        async with asyncio.timeout(timeout_s):
            code = await self.process.wait()
            await asyncio.gather(*self.readers)
        return code

    async def says(
        self, pattern: str, *, stream: str = "out", timeout_s: float = PATIENCE_S
    ) -> str:
        """Wait for a line."""
        lines = self.out if stream == "out" else self.err

        async def look() -> str:
            is_over = self.process.returncode is not None
            if is_over:  # what it said last may still be on its way
                await asyncio.gather(*self.readers)
            if found := [line for line in lines if re.search(pattern, line)]:
                return found[0]
            if is_over:
                pytest.fail(f"it ended without {pattern!r}:\n{self.everything()}")
            return ""

        try:
            return await look_until(look, patience_s=timeout_s)
        except TimeoutError:
            pytest.fail(f"waited {timeout_s:.0f} s in vain for {pattern!r}:\n{self.everything()}")

    def everything(self) -> str:
        return "".join([*self.out[-200:], *self.err[-200:]])


class Box:
    """An ops box: a configuration, a state folder, an environment, and the command."""

    keeper_path = KEEPER

    def __init__(self, folder: Path, sim: SimServer) -> None:
        self.folder = folder
        self.sim = sim
        self.state = folder / "state"
        self.socket = folder / "keeper.sock"
        self.config = folder / "keeper.yaml"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "VAST_API_KEY": API_KEY,
            "KEEPER_CONFIG": str(self.config),
        }
        # Measuring coverage reaches into processes by its own variables.
        self.environ |= {k: v for k, v in os.environ.items() if k.startswith("COV")}
        self.configure()
        self._running: list[Running] = []

    def configure(self, *more: str, listen: str = "127.0.0.1:0") -> None:
        """Write the configuration, and lines of one's own below it."""
        text = CONFIG.format(url=self.sim.url, state=self.state, socket=self.socket, listen=listen)
        self.config.write_text("\n".join([text, *more]))

    async def start(self, *arguments: str, environ: dict[str, str] | None = None) -> Running:
        """Start a command that goes on; it is ended with the test."""
        return await self._spawn(KEEPER, *arguments, environ=environ)

    async def _spawn(self, *words: str, environ: dict[str, str] | None = None) -> Running:
        process = await asyncio.create_subprocess_exec(
            *words,
            env=self.environ | (environ or {}),
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        running = Running(process=process)
        assert process.stdout is not None
        assert process.stderr is not None
        running.readers = [
            asyncio.create_task(_read(process.stdout, running.out)),
            asyncio.create_task(_read(process.stderr, running.err)),
        ]
        self._running.append(running)
        return running

    async def keeper(
        self, *arguments: str, environ: dict[str, str] | None = None, timeout_s: float = PATIENCE_S
    ) -> Done:
        """Run a command to its end."""
        running = await self.start(*arguments, environ=environ)
        code = await running.ended(timeout_s)
        done = Done(code=code, out="".join(running.out), err="".join(running.err))
        assert "Traceback" not in done.err, done.err
        return done

    async def shell(self, script: str) -> Done:
        """Run a script that starts a command in its own way."""
        running = await self._spawn("sh", "-c", script)
        code = await running.ended()
        return Done(code=code, out="".join(running.out), err="".join(running.err))

    async def daemon(self, *, until_on_air: bool = False, **environ: str) -> Running:
        """Start the daemon, and wait until it answers, or until the stream is on air."""
        running = await self.start("run", "--log-format", "json", environ=environ)
        await self.until(self.socket.exists, running=running)
        if until_on_air:
            await running.says(r'"event":"stream.on_air"')
        return running

    async def until(
        self,
        holds: Callable[[], bool],
        *,
        running: Running | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> None:
        def is_so() -> bool:
            if holds():
                return True
            if running is not None and running.process.returncode is not None:
                pytest.fail(f"it ended meanwhile:\n{running.everything()}")
            return False

        await eventually(is_so, patience_s=timeout_s)

    def creates(self) -> list[Any]:
        """Return the requests to rent that have reached the marketplace."""
        requests = self.sim.ledger.plain()["requests"]
        return [each for each in requests if each["endpoint"].startswith("/asks/")]

    def live(self) -> list[int]:
        """Return the rentals that are billed now."""
        rentals = self.sim.ledger.plain()["rentals"]
        return [each["instance_id"] for each in rentals if each["ended_at"] is None]

    async def close(self) -> None:
        for running in self._running:
            if running.process.returncode is None:
                with suppress(ProcessLookupError):
                    running.process.kill()
                await running.process.wait()
            for reader in running.readers:
                reader.cancel()


async def _read(stream: asyncio.StreamReader, lines: list[str]) -> None:
    while line := await stream.readline():
        lines.append(line.decode(errors="replace"))


@pytest.fixture
async def sim(short_path: Path) -> AsyncIterator[SimServer]:
    """A marketplace whose hosts boot in a second.

    Nobody takes an offer but whom a test lets: however long a busy machine needs, two looks show the
    same.
    """
    shape = MarketShape(
        tempo=quick_tempo(1.0), renters_every_s=0, price_drift_every_s=0, bids_move_every_s=0
    )
    async with SimServer(state_dir=short_path / "sim", api_key=API_KEY, shape=shape) as server:
        yield server


@pytest.fixture
async def box(short_path: Path, sim: SimServer) -> AsyncIterator[Box]:
    """An ops box with one declared stream."""
    made = Box(short_path, sim)
    yield made
    await made.close()
