"""keeper watched by a real Prometheus and told of by a real Alertmanager, on what deploy/ ships.

A stream is broken in the simulator. The rule fires, Alertmanager tells a receiver, a silence mutes it, and
when the stream is well again the receiver is told so. Of the shipped files only addresses and durations
are changed (tests/prometheus.py); so are Alertmanager's: it groups for a second, and repeats each second.
"""

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from keeper.telemetry.metrics import METRICS
from tests.components import require
from tests.e2e.conftest import Box
from tests.prometheus import DEPLOYED, config_of, prometheus, until
from tests.waiting import eventually, look_until

pytestmark = [
    pytest.mark.real("prometheus", "alertmanager", "amtool", "promtool"),
    pytest.mark.xdist_group("alertmanager"),
    pytest.mark.timeout(400),
]

DARK = "KeeperStreamDark"
# What a keeper says only once something else has happened, or is declared.
NOT_IN_SUCH_A_LIFE = {
    "keeper_account_runway_seconds",
    "keeper_channel_dropped",
    "keeper_channel_last_drop_timestamp_seconds",
    "keeper_channel_off",
    "keeper_deploy_bad",
    "keeper_deploy_hosts",
    "keeper_feed_taking",
    "keeper_heartbeat_heard",
    "keeper_hints_refused_total",
    "keeper_hints_taken_total",
    "keeper_notices_total",
    "keeper_outbox_oldest_timestamp_seconds",
    "keeper_outbox_pending",
    "keeper_pause_end_timestamp_seconds",
    "keeper_slate_on",
    "keeper_spares",
    "keeper_spare_promotions_total",
    "keeper_spend_cap_dollars",
    "keeper_spend_stopped",
    "keeper_stream_error_budget_burn_ratio",
    "keeper_stream_generated_frames_per_second",
    "keeper_stream_generation_seconds",
    "keeper_stream_keyframe_interval_seconds",
    "keeper_stream_latency_seconds",
    "keeper_stream_newest_frame_age_seconds",
    "keeper_stream_queue_age_seconds",
    "keeper_stream_sound_dbfs",
    "keeper_symptom",
}


@dataclass
class Receiver:
    """Whom Alertmanager tells: every alert of every message, in order, with the way it came."""

    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    told_by_keeper: list[str] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        message = await request.json()
        if request.path == "/own":
            self.told_by_keeper.append(message["data"]["alert"]["name"])
            return web.Response()
        self.heard += [(request.path, alert) for alert in message["alerts"]]
        return web.Response()

    def of(self, name: str, status: str) -> list[dict[str, Any]]:
        return [
            alert
            for _, alert in self.heard
            if alert["labels"]["alertname"] == name and alert["status"] == status
        ]

    async def hears(self, name: str, status: str, more_than: int = 0) -> dict[str, Any]:
        await eventually(lambda: len(self.of(name, status)) > more_than)
        return self.of(name, status)[-1]


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{way}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield receiver, f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def alertmanager(folder: Path, receiver: str, address: str) -> AsyncIterator[None]:
    """Start an Alertmanager on the shipped configuration; only durations and addresses are changed."""
    text = (DEPLOYED / "alertmanager.yml").read_text().replace("127.0.0.1:9099", receiver)
    text = re.sub(r"(group_wait|_interval): \d+[smh]", r"\1: 1s", text)
    file = folder / "alertmanager.yml"
    file.write_text(text)
    process = await asyncio.create_subprocess_exec(
        str(require("alertmanager")),
        f"--config.file={file}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def run(program: str, *arguments: str, given: bytes = b"") -> str:
    process = await asyncio.create_subprocess_exec(
        str(require(program)),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(given)
    assert process.returncode == 0, said.decode()
    return said.decode()


async def scraped(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as reply:
        return await reply.text()


async def test_a_stream_that_breaks_is_told_silenced_and_told_to_be_well(
    box: Box, short_path: Path, free_port: Callable[[], int]
) -> None:
    listen, manager = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    box.configure(listen=listen)
    alerts = f"http://{manager}/api/v2/alerts?filter=alertname%3D{{}}"
    amtool = f"--alertmanager.url=http://{manager}"
    async with (
        receiving() as (receiver, address),
        alertmanager(short_path, address, manager),
        prometheus(
            config_of(short_path, keeper=listen, alertmanager=manager, is_at_once=True), free_port()
        ) as url,
        aiohttp.ClientSession() as session,
    ):
        daemon = await box.daemon(until_on_air=True)
        await until(
            session,
            f"{url}/api/v1/query?query=keeper_stream_on_air==1",
            lambda answer: len(answer["data"]["result"]) == 1,
        )
        # Nobody repairs it: what is told is told of a stream that stays dark.
        assert (await box.keeper("pause", "--reason", "test")).code == 0
        (instance_id,) = box.live()
        assert box.sim.act(instance_id, "kill")

        told = await receiver.hears(DARK, "firing")
        assert told["labels"]["slot"] == "duel/0"
        assert "runbooks" not in told["labels"]
        assert told["annotations"]["runbook_url"] == (
            f"https://git.example.org/keeper/blob/main/docs/runbooks/{DARK}.md"
        )
        assert {way for way, each in receiver.heard if each is told} == {"/pager"}

        await run("amtool", amtool, "silence", "add", f"alertname={DARK}", "-a", "ada",
                  "-c", "known", "-d", "1h")  # fmt: skip
        query = (amtool, "-o", "json", "alert", "query", "--silenced", f"alertname={DARK}")
        await look_until(lambda: run("amtool", *query), lambda said: bool(json.loads(said)))
        # The watchdog's rounds are the time: two for what was on its way, then more in which nothing comes.
        await rounds(receiver, 2)
        muted = len(receiver.of(DARK, "firing"))
        await rounds(receiver, 3)
        assert len(receiver.of(DARK, "firing")) == muted

        (silence,) = (await run("amtool", amtool, "silence", "query", "-q")).split()
        await run("amtool", amtool, "silence", "expire", silence)
        await receiver.hears(DARK, "firing", more_than=muted)

        assert (await box.keeper("resume")).code == 0  # keeper starts it again
        over = await receiver.hears(DARK, "resolved")
        assert over["labels"]["slot"] == "duel/0"

        text = await scraped(f"http://{listen}")
        assert await run("promtool", "check", "metrics", given=text.encode()) == ""
        shown = set(
            re.findall(r"^(keeper_\w+?)(?:_bucket|_count|_sum)?(?:\{| )", text, re.MULTILINE)
        )
        missing = {metric.name for metric in METRICS} - shown
        assert missing <= NOT_IN_SUCH_A_LIFE

        # Nobody is told twice: once keeper tells by itself, Prometheus' way is muted.
        own = f"alerts: {{group_wait_s: 1, channels: [{{kind: webhook, name: own, url: 'http://{address}/own'}}]}}"
        box.configure(own, listen=listen)
        daemon.kill(signal.SIGHUP)
        await daemon.says(r'"event":"config.reloaded"')
        await until(session, alerts.format("KeeperSpeaks"), bool)
        before = len(receiver.of(DARK, "firing"))
        assert (await box.keeper("pause", "--reason", "test")).code == 0
        assert box.sim.act(instance_id, "kill")
        (dark,) = await until(session, alerts.format(DARK), bool)
        assert dark["status"]["state"] == "suppressed"
        assert dark["status"]["inhibitedBy"]
        await eventually(lambda: DARK in receiver.told_by_keeper)
        await rounds(receiver, 2)
        assert len(receiver.of(DARK, "firing")) == before


async def rounds(receiver: Receiver, number: int) -> None:
    """Wait until Alertmanager has told the watchdog so many times more."""
    begun = len(receiver.of("Watchdog", "firing"))
    await receiver.hears("Watchdog", "firing", more_than=begun + number - 1)
