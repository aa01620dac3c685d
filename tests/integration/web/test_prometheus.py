"""The metrics, read by the real thing."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.components import REPOSITORY, require
from tests.facts import every_event
from tests.integration.web.conftest import Keeper, Serve, Served, rich_snapshot
from tests.waiting import look_until

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


@contextlib.asynccontextmanager
async def prometheus(target: str, port: int, folder: Path) -> AsyncIterator[str]:
    """Start a Prometheus that scrapes the target each second and evaluates keeper's rules."""
    (folder / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{RULES / "alerts.yml"}", "{RULES / "rules.yml"}"]
scrape_configs:
  - job_name: keeper
    static_configs: [{{targets: ["{target}"]}}]
"""
    )
    process = await asyncio.create_subprocess_exec(
        str(require("prometheus")),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def until(session: aiohttp.ClientSession, url: str, holds: Callable[[Any], bool]) -> Any:
    """Ask until the answer is as wanted; the test's own time-out ends it."""

    async def look() -> Any:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(url) as reply:
                if reply.status == 200 and holds(answer := await reply.json()):
                    return answer
        return None

    return await look_until(look, every_s=0.2, patience_s=90.0)


@pytest.mark.timeout(120)
@pytest.mark.real("prometheus")
async def test_a_real_prometheus_scrapes_and_its_rules_see_a_stalled_tick(
    serve: Serve, free_port: Callable[[], int], tmp_path: Path, real_now: datetime
) -> None:
    served = await lived(serve, real_now)
    # The last tick was long ago: the rule must be on its way to firing.
    old = replace(rich_snapshot(), at=real_now - timedelta(hours=1))
    served.metrics.follow(lambda: old)
    served.metrics.render(old)
    target = served.url.removeprefix("http://")
    async with (
        prometheus(target, free_port(), tmp_path) as url,
        aiohttp.ClientSession() as session,
    ):
        targets = await until(
            session,
            f"{url}/api/v1/targets",
            lambda answer: [t["health"] for t in answer["data"]["activeTargets"]] == ["up"],
        )
        assert targets["data"]["activeTargets"][0]["lastError"] == ""
        found = await until(
            session,
            f"{url}/api/v1/query?query=keeper_stream_on_air",
            lambda answer: len(answer["data"]["result"]) == 2,
        )
        seen = {r["metric"]["slot"]: r["value"][1] for r in found["data"]["result"]}
        assert seen == {"duel/0": "1", "duel/1": "0"}
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
        assert stalled["annotations"]["runbook_url"].endswith("KeeperTickStalled.md")
