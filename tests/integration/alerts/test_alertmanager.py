"""The feed, taken by the real thing: seen, silenced, ended, and over by itself when keeper is dead."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from keeper.adapters.clock import SystemClock
from keeper.adapters.network import HttpNetwork
from keeper.alerts import Alert, Severity
from keeper.alerts.channels.alertmanager import Alertmanager, AlertmanagerSettings
from keeper.alerts.dispatch import Numbers, dispatch
from keeper.core.events import Event
from keeper.daemon.declared import Declared
from keeper.daemon.feed import Feeds, _Shown
from keeper.daemon.ground import Ground
from keeper.daemon.memory import Memory
from keeper.ports import Saved
from tests.builders import a_desire
from tests.components import require
from tests.unit.alerts.channels.notices import HOSTILE, NEEDED, alert
from tests.waiting import look_until

# An alert that is shown no more is over after three of these; a box that stalls for longer only makes
# Alertmanager tell it again.
INTERVAL_S = 2.0
AT_ONCE = Numbers(group_wait_s=0, group_interval_s=0, resolved_after_s=0)


class Receiver:
    """Whoever Alertmanager tells: what fires or is resolved, and how bad it is, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str]] = []

    async def take(self, request: web.Request) -> web.Response:
        for told in (await request.json())["alerts"]:
            labels = told["labels"]
            self.heard.append((labels.get("about", ""), told["status"], labels["severity"]))
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
route: {{receiver: hook, group_by: [about, severity], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
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
    """What shows a feed what holds, with the memory that it reads."""

    def __init__(self, url: str) -> None:
        settings = AlertmanagerSettings(
            kind="alertmanager",
            name="am",
            url=url,
            interval_s=INTERVAL_S,
            labels={"team": "streams"},
        )
        feed = Alertmanager(settings)
        self.network = HttpNetwork()
        self.facts: list[Event] = []
        self._state: Mapping[str, Any] = {}
        self._ground = Ground(Declared(desired=a_desire(), workloads={}, feeds=(feed,)))
        self.feeds = Feeds(
            network=self.network,
            clock=SystemClock(),
            ground=self._ground,
            publish=self.facts.append,
            redact=str,
        )

    def hold(self, *alerts: Alert) -> None:
        """Let people be told of these, and of the end of all others, as a tick does."""
        now = datetime.now(UTC)
        self._state, _ = dispatch(self._state, alerts, now, AT_ONCE)
        self._state, _ = dispatch(self._state, alerts, now, AT_ONCE)  # what is quiet is over
        self._ground.remember(Memory.of(Saved(keeper_id="k", alert_state=self._state), now))
        self._ground.tell_changed()


async def test_what_turns_worse_is_over_as_what_it_was(free_port: Callable[[], int]) -> None:
    """Or it would be there twice until the milder one has had its three intervals."""
    keeper, shown = Keeper(f"http://127.0.0.1:{free_port()}"), _Shown()
    mild = alert(since=datetime.now(UTC))
    keeper.hold(mild)
    shown.alerts = {each.key: each for each in keeper.feeds._compared(shown)[0]}
    keeper.hold(replace(mild, severity=Severity.CRITICAL))
    holding, ended = keeper.feeds._compared(shown)
    assert [each.severity for each in holding] == [Severity.CRITICAL]
    assert [each.severity for each in ended] == [Severity.WARNING]
    await keeper.network.close()


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
            return (await keeper.feeds.test("am")).is_delivered

        await look_until(is_up, every_s=0.1)
        await amtool(url, "silence", "add", "--comment=known", "slot=duel/1")
        keeper.hold(dark, muted, lasting)
        living = asyncio.create_task(keeper.feeds.run())

        async def seen() -> dict[tuple[str, str], Any]:
            found = json.loads(await amtool(url, "alert", "query", "-a", "-s", "-o", "json"))
            return {
                (each["labels"].get("about"), each["labels"]["severity"]): each for each in found
            }

        found = await look_until(seen, lambda found: len(found) >= 3, every_s=0.2)
        shown = found["duel/0", "warning"]
        assert shown["labels"]["team"] == "streams"
        assert shown["annotations"]["needs_human"] == NEEDED
        assert found["duel/1", "warning"]["status"]["state"] == "suppressed"
        await heard(receiver, ("duel/0", "firing", "warning"))
        await heard(receiver, ("duel", "firing", "warning"))

        # What turns worse is another alert to Alertmanager: the one it was is over.
        keeper.hold(replace(dark, severity=Severity.CRITICAL), muted, lasting)
        await heard(receiver, ("duel/0", "firing", "critical"))
        await heard(receiver, ("duel/0", "resolved", "warning"))

        # What ends is told at once, though it was shown with an end some seconds ahead.
        keeper.hold(muted, lasting)
        await heard(receiver, ("duel/0", "resolved", "critical"))

        # keeper dies: nobody says that anything is over, and it is over all the same.
        living.cancel()
        await heard(receiver, ("duel", "resolved", "warning"))
        assert "duel/1" not in {about for about, _, _ in receiver.heard}, "it was silenced"


async def heard(receiver: Receiver, what: tuple[str, str, str]) -> None:
    async def look() -> bool:
        return what in receiver.heard

    await look_until(look, every_s=0.05)
