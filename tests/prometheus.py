"""A real Prometheus that runs on deploy/prometheus itself, only faster.

What is changed of it for a test, and nothing else: addresses; how often is scraped, discovered and
evaluated (each second); and how long an alert must hold before it fires (``for``: at once,
where asked). No expression is touched.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.components import REPOSITORY, require
from tests.waiting import look_until

DEPLOYED = REPOSITORY / "deploy" / "prometheus"
EVERY = "1s"


def config_of(
    folder: Path, *, keeper: str, alertmanager: str = "127.0.0.1:1", is_at_once: bool = False
) -> Path:
    """Write the shipped configuration and rules into a folder, as a test needs them."""
    for name in ("rules.yml", "alerts.yml"):
        text = (DEPLOYED / name).read_text()
        if is_at_once:
            text = re.sub(r"^(\s+)for: \w+$", rf"\1for: {EVERY}", text, flags=re.MULTILINE)
        (folder / name).write_text(text)
    text = (DEPLOYED / "prometheus.yml").read_text()
    assert text.count("127.0.0.1:9877") == 2
    text = text.replace("127.0.0.1:9877", keeper).replace("127.0.0.1:9093", alertmanager)
    text = re.sub(r"_interval: \d+s", f"_interval: {EVERY}", text)
    text = text.replace("scrape_timeout: 10s", f"scrape_timeout: {EVERY}")
    file = folder / "prometheus.yml"
    file.write_text(text)
    return file


@contextlib.asynccontextmanager
async def prometheus(config: Path, port: int) -> AsyncIterator[str]:
    """Start a Prometheus beside its configuration; yields its address."""
    process = await asyncio.create_subprocess_exec(
        str(require("prometheus")),
        f"--config.file={config}",
        f"--storage.tsdb.path={config.parent / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        # An alert is sent again after this, or when it changes.
        "--rules.alert.resend-delay=1s",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def until(session: aiohttp.ClientSession, url: str, holds: Callable[[Any], bool]) -> Any:
    """Ask until the answer is as wanted; whoever does not listen yet is asked again."""

    async def look() -> Any:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(url) as reply:
                if reply.status == 200 and holds(answer := await reply.json()):
                    return answer
        return None

    return await look_until(look, every_s=0.2)
