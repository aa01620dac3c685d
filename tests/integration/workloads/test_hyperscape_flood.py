"""A duel's server that answers with too much: the next look still has room for what this one has to remember."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from aiohttp import web

from keeper.workloads.hyperscape_duel import scripts
from keeper.workloads.hyperscape_duel.facts import read_facts
from keeper.workloads.hyperscape_duel.settings import HyperscapeDuelSettings
from tests.components import require

pytestmark = pytest.mark.timeout(120)

_MUCH = "x" * 60_000


async def _state(_: web.Request) -> web.Response:
    agent = {"hp": _MUCH, "attacksLanded": 1, "name": _MUCH}
    cycle = {
        "phase": "FIGHTING",
        "cycleId": _MUCH,
        "phaseVersion": _MUCH,
        "agent1": agent,
        "agent2": agent,
    }
    return web.json_response({"cycle": cycle})


async def _bridge(_: web.Request) -> web.Response:
    health = {"ready": False, "degradedReason": _MUCH}
    outputs = [{"name": _MUCH, "error": _MUCH}] * 3
    return web.json_response(
        {"stats": {"bytesReceived": 1}, "rendererHealth": health, "destinations": outputs}
    )


async def test_what_is_remembered_of_a_look_is_bounded(tmp_path: Path) -> None:
    """It goes to the next look by environment, where 128 KB are the end: then nobody would look again."""
    node = str(require("node"))
    app = web.Application()
    app.router.add_get("/api/streaming/state", _state)
    app.router.add_get("/api/streaming/rtmp/status", _bridge)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = HyperscapeDuelSettings(
        kind="hyperscape-duel", port=runner.addresses[0][1], workdir=str(tmp_path)
    )
    memory = "{}"
    for _ in range(3):
        process = await asyncio.create_subprocess_exec(
            node, "-e", scripts.program("look"), stdout=asyncio.subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"], "HOME": str(tmp_path), "keeper_memory": memory,
                "keeper_config": scripts.config(settings, {}), "keeper_process": "up",
            },
        )  # fmt: skip
        said, _ = await process.communicate()
        memory, _, line = said.decode().strip().partition("\n")
        assert len(memory) < 8192
        assert json.loads(memory)["looks"] >= 1
        assert len(line) < 3000
        facts = read_facts(line.encode())
        assert facts is not None
        assert facts.state.phase == "FIGHTING"
    await runner.cleanup()
