"""The feed, taken by the real thing: seen, silenced, ended, and over by itself when keeper is dead."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from keeper.adapters.network import HttpNetwork
from keeper.alerts import Alert, DeliveryKind
from keeper.alerts.channels.alertmanager import Alertmanager, AlertmanagerSettings
from tests.components import require
from tests.unit.alerts.channels.notices import HOSTILE, NEEDED, alert
from tests.waiting import look_until

# An alert that is shown no more is over after three of these; a box that stalls for longer only makes
# Alertmanager tell it again.
INTERVAL_S = 2.0


class Receiver:
    """Whoever Alertmanager tells: which alert fires or is resolved, in the order of its messages."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    async def take(self, request: web.Request) -> web.Response:
        for told in (await request.json())["alerts"]:
            self.heard.append((told["labels"]["about"], told["status"]))
        return web.Response()


@contextlib.asynccontextmanager
async def listening(receiver: Receiver, port: int) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def alertmanager(folder: Path, port: int, tells: int) -> AsyncIterator[str]:
    """Start one that tells at once, each alert for itself."""
    (folder / "am.yml").write_text(
        f"""
route: {{receiver: hook, group_by: [about], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: hook
    webhook_configs: [{{url: "http://127.0.0.1:{tells}/", send_resolved: true}}]
"""
    )
    process = await asyncio.create_subprocess_exec(
        str(require("alertmanager")),
        f"--config.file={folder / 'am.yml'}",
        f"--storage.path={folder / 'am'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def amtool(url: str, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        str(require("amtool")),
        f"--alertmanager.url={url}",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said
    return said.decode()


class Keeper:
    """Shows what holds, as the daemon does; what it shows can be changed meanwhile."""

    def __init__(self, url: str) -> None:
        self.feed = Alertmanager(
            AlertmanagerSettings(
                kind="alertmanager",
                name="am",
                url=url,
                interval_s=INTERVAL_S,
                labels={"team": "streams"},
            )
        )
        self.network = HttpNetwork()
        self.holding: list[Alert] = []

    async def show(self, *ended: Alert) -> DeliveryKind:
        request = self.feed.compose(tuple(self.holding), ended, now=datetime.now(UTC))
        return self.feed.classify(await self.network.fetch(request)).kind

    async def live(self) -> None:
        while True:
            await self.show()
            await asyncio.sleep(INTERVAL_S / 2)


@pytest.mark.timeout(240)
@pytest.mark.real("alertmanager", "amtool")
async def test_seen_silenced_ended_and_over_by_itself_when_keeper_dies(
    free_port: Callable[[], int], tmp_path: Path
) -> None:
    receiver, hook = Receiver(), free_port()
    now = datetime.now(UTC)
    dark = alert(since=now, needs_human=NEEDED)
    muted = alert(about="duel/1", since=now)
    lasting = alert("KeeperNoOffer", "duel", since=now, summary=HOSTILE[0], why=HOSTILE[3])
    async with (
        listening(receiver, hook),
        alertmanager(tmp_path, free_port(), hook) as url,
        contextlib.AsyncExitStack() as stack,
    ):
        keeper = Keeper(url)
        stack.push_async_callback(keeper.network.close)

        async def is_up() -> bool:
            with contextlib.suppress(Exception):
                return await keeper.show() is DeliveryKind.DELIVERED
            return False

        await look_until(is_up, every_s=0.1)
        await amtool(url, "silence", "add", "--comment=known", "slot=duel/1")
        keeper.holding = [dark, muted, lasting]
        assert await keeper.show() is DeliveryKind.DELIVERED
        living = asyncio.create_task(keeper.live())

        async def seen() -> dict[str, Any]:
            found = json.loads(await amtool(url, "alert", "query", "-a", "-s", "-o", "json"))
            return {each["labels"]["about"]: each for each in found}

        found = await look_until(seen, lambda found: len(found) == 3, every_s=0.2)
        assert found["duel/0"]["labels"]["team"] == "streams"
        assert found["duel/0"]["annotations"]["needs_human"] == NEEDED
        assert found["duel/1"]["status"]["state"] == "suppressed"
        await heard(receiver, ("duel/0", "firing"))
        await heard(receiver, ("duel", "firing"))

        # What ends is told at once, though it was shown with an end some seconds ahead.
        keeper.holding = [muted, lasting]
        assert await keeper.show(dark) is DeliveryKind.DELIVERED
        await heard(receiver, ("duel/0", "resolved"))

        # keeper dies: nobody says that anything is over, and it is over all the same.
        living.cancel()
        await heard(receiver, ("duel", "resolved"))
        assert "duel/1" not in {about for about, _ in receiver.heard}, "it was silenced"


async def heard(receiver: Receiver, what: tuple[str, str]) -> None:
    async def look() -> bool:
        return what in receiver.heard

    await look_until(look, every_s=0.05)
