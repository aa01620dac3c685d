"""``keeper demo``: the real daemon against the bundled simulator, and a bad night in nine acts.

Sets the stage on loopback, plays the acts, then holds what happened against what was promised: the
auditor reads the marketplace's ledger, the acts name what did not come. Leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from keeper.sim.audit import audit
from keeper.sim.demo_acts import ACTS, SLOTS
from keeper.sim.demo_keeper import KeeperProcess
from keeper.sim.demo_stage import ActFailed, Stage
from keeper.sim.demo_voice import Voice
from keeper.sim.evidence import Bounds, Evidence
from keeper.sim.limits import SPACING_S
from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo

_BOOT_S = 2.0
_VISITOR_LOOK_S = 1.0
_TEMP_PATH_MAX = 70  # a unix socket's path has room for 107 bytes
_LABEL = re.compile(r"keeper:[0-9a-z]+:([a-z0-9-]+/\d+):\d+")


def main(*, once: bool, as_json: bool, port: int) -> int:
    """Play the demo; returns the exit code: 0 only if every promise held."""
    try:
        return asyncio.run(_play(once=once, as_json=as_json, port=port))
    except KeyboardInterrupt:
        return 130


async def _play(*, once: bool, as_json: bool, port: int) -> int:
    voice = Voice(as_json=as_json)
    async with AsyncExitStack() as stack:
        stage = await _set_stage(stack, voice, port=_port(port, voice))
        status = await _play_acts(stage, voice)
        if once or not stage.keeper.is_running:
            return status
        await _welcome(stage, voice)
    return status


async def _set_stage(stack: AsyncExitStack, voice: Voice, *, port: int) -> Stage:
    """Open marketplace, webhook and keeper; everything ends with ``stack``."""
    folder = _folder()
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    sim = SimServer(
        seed=7,
        state_dir=folder / "sim",
        shape=MarketShape(tempo=quick_tempo(_BOOT_S)),
    )
    await sim.start()
    stack.push_async_callback(sim.stop)
    messages: list[Mapping[str, Any]] = []
    webhook = await _open_webhook(stack, voice, messages)
    keeper = KeeperProcess(folder, mark=f"{sim.hosts.mark}/keeper")
    keeper.configure(url=sim.url, port=port, webhook=webhook)
    await keeper.start()
    stack.push_async_callback(keeper.stop)
    voice.say(f"a marketplace is open at {sim.url}: nobody's money, loopback only")
    voice.say(f"keeper runs, and shows the pictures at http://127.0.0.1:{port}/")
    return Stage(sim=sim, keeper=keeper, tell=voice.fact, messages=messages)


async def _play_acts(stage: Stage, voice: Voice) -> int:
    began = time.time()
    broken: list[str] = []
    promises: dict[str, bool] = {}
    for act in ACTS:
        dollars = stage.dollars
        voice.begin(act)
        failure = ""
        try:
            await act.play(stage)
        except ActFailed as error:
            failure = f"act {act.number}: {error}"
            broken.append(failure)
        promises[f"act_{act.number}_{_slug(act.title)}"] = not failure
        voice.end(stage.dollars - dollars, failure)
    found = [each.sentence() for each in audit(_evidence(stage, began))]
    promises["nothing_leaked_nothing_rented_twice"] = not found
    alive = [r for r in stage.rentals if r.is_live]
    promises["one_rental_a_stream_is_left"] = len(alive) == len(SLOTS)
    broken.extend(found)
    if len(alive) != len(SLOTS):
        broken.append(f"{len(alive)} rentals are live where there must be {len(SLOTS)}")
    voice.finish(promises, broken)
    return 1 if broken else 0


def _evidence(stage: Stage, began: float) -> Evidence:
    """What the auditor gets: the ledger, and the demo's own numbers."""
    now = time.time()
    return Evidence(
        ledger=stage.sim.ledger,
        slot_of=lambda label: m.group(1) if (m := _LABEL.fullmatch(label or "")) else None,
        desired={slot.rpartition("/")[0]: 1 for slot in SLOTS},
        began_at=began,
        calm_at=now,
        ended_at=now,
        # The tick that writes a label commits before it lets the create leave; its facts carry the
        # moment at which the tick began.
        labels_written=tuple(
            (datetime.fromisoformat(event["at"]).timestamp(), event["facts"]["label"])
            for event in stage.events
            if event["event"] == "instance.renting"
        ),
        bounds=Bounds(
            # The demo forgives after 20 s and plays nine nights in three minutes.
            restarts_max=len(ACTS),
            workload_restarts_max=2,
            reboots_max=2,
            replacements_max=10,
            overlap_max_s=90.0,
            settle_s=20.0,
            absence_apart_s=2.0,
            abandoned_s=60.0,
            converge_s=60.0,
            well_s=300.0,  # its hosts are ordered away and lied about in between
            spacing_s={_call(endpoint): spacing_s for endpoint, spacing_s in SPACING_S.items()},
        ),
    )


async def _open_webhook(
    stack: AsyncExitStack, voice: Voice, messages: list[Mapping[str, Any]]
) -> str:
    """Be the person who is told: receive what keeper sends, and say it aloud."""

    async def take(request: web.Request) -> web.Response:
        with suppress(ValueError, LookupError, TypeError):
            notice = (await request.json())["data"]
            messages.append(notice)
            voice.message(_headline(notice))
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}/hook"


def _headline(notice: Mapping[str, Any]) -> str:
    """What a person reads first of a notice."""
    alert = notice["alert"]
    if notice["kind"] == "resolved":
        dark_s = float(notice["dark_s"])
        return f"over: {alert['summary']}" + (f"; dark for {dark_s:.0f} s" if dark_s else "")
    return f"{alert['severity']}: {alert['summary']}: {alert['why']}; {alert['did']}"


async def _welcome(stage: Stage, voice: Voice) -> None:
    """Stay up for the visitor to break things, telling what comes of it, until Ctrl-C."""
    voice.say("")
    voice.say("The story is over; the streams stay on air until you press Ctrl-C. Break something:")
    for verb in ("kill", "freeze", "vanish"):
        host = await stage.instance_of(SLOTS[0])
        voice.say(f"  curl -X POST {stage.sim.url}/sim/hosts/{host}/{verb}")
    voice.say(f"  curl {stage.sim.url}/sim/ledger        what everybody did, and what it cost")
    voice.say(f"  .venv/bin/keeper status --config {stage.keeper.config}")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    while not stop.is_set() and stage.keeper.is_running:
        await stage.look()
        with suppress(TimeoutError):
            async with asyncio.timeout(_VISITOR_LOOK_S):
                await stop.wait()
    voice.say("ending the streams, the hosts and the marketplace")


def _folder() -> Path:
    """Make the demo's folder; not too deep for the path of keeper's socket."""
    is_deep = len(tempfile.gettempdir()) > _TEMP_PATH_MAX
    return Path(tempfile.mkdtemp(prefix="keeper-demo-", dir="/tmp" if is_deep else None))  # noqa: S108


def _port(wanted: int, voice: Voice) -> int:
    """Return the port for the page; another one when somebody else, perhaps a keeper, is there."""
    for port in (wanted, 0):
        with socket.socket() as trial, suppress(OSError):
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.0.0.1", port))
            return int(trial.getsockname()[1])
        voice.say(f"port {wanted} is taken; the page goes elsewhere")
    return 0


def _call(endpoint: str) -> tuple[str, str]:
    method, _, path = endpoint.partition(" ")
    return method, path


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
