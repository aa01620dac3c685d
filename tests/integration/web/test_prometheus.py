"""The metrics, read by the real thing."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from keeper.core.world import Snapshot
from keeper.ports import ChannelNow
from tests.components import REPOSITORY, require
from tests.expressions import asked_by_the_dashboard
from tests.facts import every_event
from tests.integration.web.conftest import Keeper, Serve, Served, rich_snapshot
from tests.prometheus import config_of, prometheus, until
from tests.telling import Teller

RULES = REPOSITORY / "deploy" / "prometheus"


async def lived(serve: Serve, now: datetime) -> Served:
    """A keeper to which everything has happened that can."""
    served = await serve(Keeper(shown=rich_snapshot(at=now)))
    for event in every_event():
        served.metrics.publish(event, at=now, tick=1)
    served.metrics.observe_call("marketplace", "create", "offer_gone", 0.3)
    return served


@pytest.mark.real("promtool")
async def test_promtool_finds_nothing_to_complain_about(serve: Serve, real_now: datetime) -> None:
    served = await lived(serve, real_now)
    async with aiohttp.ClientSession() as session, session.get(f"{served.url}/metrics") as reply:
        text = await reply.read()
    process = await asyncio.create_subprocess_exec(
        str(require("promtool")),
        *("check", "metrics"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(text)
    assert said == b""
    assert process.returncode == 0
    assert b"keeper_stream_on_air" in text


@pytest.mark.real("promtool")
def test_rules_are_valid_and_fire_when_they_should() -> None:
    promtool = require("promtool")
    tests = ("alerts_test.yml", "alerts_days_test.yml", "rules_test.yml")
    for command in (
        ["check", "rules", "alerts.yml", "rules.yml"],
        ["test", "rules", *tests],
        ["check", "config", "prometheus.yml"],
    ):
        answer = subprocess.run(
            [promtool, *command], cwd=RULES, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.real("promtool")
def test_promtool_understands_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"of_the_dashboard:{number}", "expr": expression}
        for number, (_, expression) in enumerate(asked_by_the_dashboard())
    ]
    assert len(rules) > 50
    file = tmp_path / "dashboard.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    answer = subprocess.run(
        [require("promtool"), "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@contextlib.asynccontextmanager
async def exporter() -> AsyncIterator[int]:
    """What a host serves beside its stream; yields its port."""

    async def answer(_request: web.Request) -> web.Response:
        # And what the owner of the machine would like keeper's operator to believe.
        lie = 'keeper_stream_on_air{stream="duel",slot="duel/7"} 0'
        return web.Response(text=f"dcgm_gpu_temp 61\n{lie}\n")

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def with_exporter(shown: Snapshot, port: int) -> Snapshot:
    """The host of duel/0 opens the port; that of duel/1 does not."""
    listing = shown.world.listing
    assert listing is not None
    first, *others = listing.instances
    first = replace(first, public_ip="127.0.0.1", ports={"9400/tcp": port})
    listing = replace(listing, instances=(first, *others))
    return replace(shown, world=replace(shown.world, listing=listing))


async def test_discovery_refuses_nonsense_and_says_nothing_before_it_knows(serve: Serve) -> None:
    """Anything but 200 leaves Prometheus with the list that it had; an empty list would end all targets."""
    served, starting = await serve(), await serve(Keeper(shown=None))
    async with aiohttp.ClientSession() as session:
        for url, port, status in (
            (served.url, "0", 400),
            (served.url, "65536", 400),
            (served.url, "ssh", 400),
            (served.url, "9400", 200),
            (starting.url, "9400", 503),
        ):
            address = f"{url}/api/v1/prometheus/targets?port={port}"
            async with session.get(address) as reply:
                assert reply.status == status
                if status == 200:
                    assert reply.content_type == "application/json"
                    assert await reply.json() == []


@pytest.mark.timeout(180)
@pytest.mark.real("prometheus")
async def test_a_real_prometheus_scrapes_keeper_and_its_hosts_as_the_example_says(
    serve: Serve, free_port: Callable[[], int], tmp_path: Path, real_now: datetime
) -> None:
    """And its rules see that a tick has stalled."""
    served = await lived(serve, real_now)
    # The last tick was long ago: the rule must be on its way to firing.
    old = replace(rich_snapshot(), at=real_now - timedelta(hours=1))
    config = config_of(tmp_path, keeper=served.url.removeprefix("http://"))
    async with (
        exporter() as port,
        prometheus(config, free_port()) as url,
        aiohttp.ClientSession() as session,
    ):
        served.keeper.shown = old = with_exporter(old, port)
        teller = Teller(declared=(ChannelNow(name="text", kind="webhook", pending=2),))
        served.metrics.follow(lambda: old, teller, lambda: 1)
        served.metrics.render(old)
        await until(
            session,
            f"{url}/api/v1/targets",
            lambda answer: (
                {each["labels"]["job"]: each["health"] for each in answer["data"]["activeTargets"]}
                == {"keeper": "up", "gpu-hosts": "up"}
            ),
        )
        found = await until(
            session,
            f"{url}/api/v1/query?query=dcgm_gpu_temp",
            lambda answer: len(answer["data"]["result"]) == 1,
        )
        labels = found["data"]["result"][0]["metric"]
        assert labels == {
            "__name__": "dcgm_gpu_temp", "job": "gpu-hosts", "instance": "duel/0",
            "stream": "duel", "role": "serving", "gpu_name": "RTX 4090",
        }  # fmt: skip
        found = await until(
            session,
            f"{url}/api/v1/query?query=keeper_stream_on_air",
            lambda answer: len(answer["data"]["result"]) == 2,
        )
        seen = {r["metric"]["slot"]: r["value"][1] for r in found["data"]["result"]}
        assert seen == {"duel/0": "1", "duel/1": "0"}
        # What can be parsed can still be nonsense: several series where one is expected.
        for title, expression in asked_by_the_dashboard():
            asked = {"query": expression}
            async with session.get(f"{url}/api/v1/query", params=asked) as reply:
                assert reply.status == 200, (title, expression, await reply.text())
        alerts = await until(
            session,
            f"{url}/api/v1/alerts",
            lambda answer: any(
                a["labels"]["alertname"] == "KeeperTickStalled" for a in answer["data"]["alerts"]
            ),
        )
        (stalled,) = (
            a for a in alerts["data"]["alerts"] if a["labels"]["alertname"] == "KeeperTickStalled"
        )
        assert stalled["state"] == "pending"
        address = "https://git.example.org/keeper/blob/main/docs/runbooks/KeeperTickStalled.md"
        assert stalled["annotations"]["runbook_url"] == address


@pytest.mark.real("amtool")
def test_the_example_of_alertmanager_is_valid() -> None:
    answer = subprocess.run(
        [require("amtool"), "check-config", RULES / "alertmanager.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
