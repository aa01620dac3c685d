"""The duel's acts on a host whose clock is set while they wait: by real Node, against a server that says so."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from keeper.adapters.clock import SystemClock
from keeper.ports import Command
from keeper.workloads import Drain, registered
from keeper.workloads.hyperscape_duel import deploy, scripts
from keeper.workloads.hyperscape_duel.facts import Facts, read_facts
from keeper.workloads.hyperscape_duel.settings import HyperscapeDuelSettings, PatienceSettings
from tests.components import require
from tests.waiting import look_until

pytestmark = pytest.mark.timeout(120)

# A clock that is set forward by what a file says, or by an hour once a program has looked at it.
_SET_CLOCK = """
const fs = require("fs"), real = Date.now;
let looks = 0;
Date.now = () => real() + Number(fs.readFileSync(`${__dirname}/ahead_ms`, "utf8")) * (looks++ >= FIRST ? 1 : 0);
"""


@dataclass
class Server:
    """What of the duel's server these acts ask."""

    port: int = 0
    uptime_s: float = 900.0
    answers_after_s: float = 0.0
    silent_answers: int = 0
    ordered: list[Any] = field(default_factory=list)
    phase_ends_in_s: float = 60.0

    async def state(self, _: web.Request) -> web.Response:
        """Say which phase is on, and when it ends by the host's clock as it was when it began."""
        ends_at = SystemClock().now().timestamp() + self.phase_ends_in_s
        cycle = {
            "phase": "FIGHTING",
            "cycleId": "one",
            "phaseVersion": 1,
            "phaseEndTime": ends_at * 1000,
        }
        return web.json_response({"cycle": cycle})

    async def health(self, _: web.Request) -> web.Response:
        """Answer, after so many times at which it is not ready yet."""
        self.silent_answers -= 1
        return web.json_response({}, status=503 if self.silent_answers >= 0 else 200)

    async def status(self, _: web.Request) -> web.Response:
        """Say for how long it has been up; the answer may be on its way for long."""
        uptime_s = self.uptime_s
        await asyncio.sleep(self.answers_after_s)
        return web.json_response({"uptime": uptime_s})

    async def restart(self, request: web.Request) -> web.Response:
        """Take the order."""
        self.ordered.append(await request.read())
        return web.json_response({"currentPhase": "FIGHTING", "pendingRestart": True})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    it = Server()
    app = web.Application()
    app.router.add_get("/health", it.health)
    app.router.add_get("/api/streaming/state", it.state)
    app.router.add_get("/status", it.status)
    app.router.add_get("/admin/restart-status", it.restart)
    app.router.add_post("/admin/graceful-restart", it.restart)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    it.port = runner.addresses[0][1]
    yield it
    await runner.cleanup()


@dataclass
class Host:
    """A folder, and a Node whose clock can be set."""

    folder: Path
    port: int

    def settings(self, *, clock_from_look: int = 0) -> HyperscapeDuelSettings:
        """Declare a duel here; the clock is ahead from so many looks on."""
        program = self.folder / "clock.js"
        program.write_text(_SET_CLOCK.replace("FIRST", str(clock_from_look)))
        return HyperscapeDuelSettings(
            kind="hyperscape-duel",
            port=self.port,
            workdir=str(self.folder / "checkout"),
            runtime=f"node -r {program}",
            path="",
            verify_timeout_s=30,
            patience=PatienceSettings(phase_margin_s=1.0),
        )

    def set_clock(self, ahead_s: float) -> None:
        """Set the clock."""
        (self.folder / "ahead_ms").write_text(str(round(ahead_s * 1000)))

    async def looks(self, memory: str) -> tuple[str, Facts]:
        """Look once, as the sentinel does; returns the memory for the next look, and what was seen."""
        settings = self.settings()
        program = scripts.program("look")
        process = await asyncio.create_subprocess_exec(
            *settings.runtime.split(), "-e", program, stdout=asyncio.subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"], "HOME": str(self.folder), "keeper_memory": memory,
                "keeper_config": scripts.config(settings, {}), "keeper_process": "up",
            },
        )  # fmt: skip
        said, _ = await process.communicate()
        memory, _, line = said.decode().strip().partition("\n")
        facts = read_facts(line.encode())
        assert facts is not None
        return memory, facts

    async def ends(self, command: Command) -> tuple[int, str]:
        """Run a command as a host does."""
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", command.script, env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **command.env},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()


@pytest.fixture
def host(tmp_path: Path, server: Server) -> Host:
    require("node")
    (tmp_path / "checkout").mkdir()
    it = Host(tmp_path, server.port)
    it.set_clock(0)
    return it


def _drain(settings: HyperscapeDuelSettings) -> Drain:
    drain = registered()["hyperscape-duel"].build(settings, {"ADMIN_CODE": "code"}).drain()
    assert drain is not None
    return drain


@pytest.mark.parametrize("ahead_s", [3600.0, -3600.0])
async def test_a_clock_that_is_set_neither_ends_a_wait_nor_makes_it_endless(
    host: Host, server: Server, ahead_s: float
) -> None:
    host.set_clock(ahead_s)
    server.silent_answers = 2
    verify = deploy.verify(host.settings(clock_from_look=1), {}, "verify")
    code, said = await host.ends(verify)
    assert (code, said.split(",")[0]) == (0, "healthy")


async def test_a_clock_that_is_set_restarts_nothing(host: Host, server: Server) -> None:
    """keeper would take the drain for done, and the next thing on the list would cut a fight in two."""
    drain = _drain(host.settings())
    assert (await host.ends(drain.begin[0]))[0] == 0
    host.set_clock(3600)
    assert (await host.ends(drain.look))[0] == 1
    server.uptime_s = 0.5
    assert (await host.ends(drain.look))[0] == 0


async def test_an_answer_that_was_long_on_its_way_restarts_nothing(
    host: Host, server: Server
) -> None:
    drain = _drain(host.settings())
    assert (await host.ends(drain.begin[0]))[0] == 0
    server.answers_after_s = 2.0
    assert (await host.ends(drain.look))[0] == 1


async def test_a_clock_that_is_set_makes_no_phase_late(host: Host, server: Server) -> None:
    """The bridge would be ended in the middle of a fight."""
    memory, facts = await host.looks("{}")
    assert facts.state.late_s == 0
    host.set_clock(3600)
    _, facts = await host.looks(memory)
    assert facts.state.late_s == 0


async def test_a_phase_that_does_not_end_is_late(host: Host, server: Server) -> None:
    server.phase_ends_in_s = -600.0
    memory = "{}"

    async def look() -> float:
        nonlocal memory
        memory, facts = await host.looks(memory)
        return facts.state.late_s

    late_s = await look_until(look)
    assert 0 < late_s < 600
