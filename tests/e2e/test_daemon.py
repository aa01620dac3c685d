"""The daemon as a service manager, a scraper and an operator's shell meet it."""

import asyncio
import json
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conftest import Box
from tests.waiting import eventually, state_of

pytestmark = pytest.mark.timeout(300)


class Manager:
    """A service manager: it gives a socket and notes what it is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._told: list[str] = []

    @property
    def told(self) -> list[str]:
        """Everything so far, a variable each."""
        while True:
            try:
                self._told += self._socket.recv(65_536).decode().splitlines()
            except BlockingIOError:
                return self._told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(short_path: Path) -> Iterator[Manager]:
    with closing(Manager(short_path / "notify.sock")) as made:
        yield made


async def test_a_stop_drains_and_leaves_the_stream_on_air(box: Box) -> None:
    daemon = await box.daemon(until_on_air=True)
    rentals = box.live()
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0
    assert not box.socket.exists()
    assert box.live() == rentals
    # The next one takes it up and touches nothing.
    before = len(box.sim.ledger.plain()["requests"])
    again = await box.daemon(until_on_air=False)
    await box.until(lambda: len(box.sim.ledger.plain()["requests"]) > before + 3, running=again)
    mutating = [r for r in box.sim.ledger.plain()["requests"][before:] if r["is_mutating"]]
    assert mutating == []
    assert box.live() == rentals
    again.kill(signal.SIGINT)
    assert await again.ended() == 0


async def test_a_killed_keeper_is_followed_by_one_that_adopts(box: Box) -> None:
    daemon = await box.daemon()
    await daemon.says(r'"event":"instance.renting"')
    daemon.kill(signal.SIGKILL)
    await daemon.ended()
    again = await box.daemon(until_on_air=True)
    assert len(box.live()) == 1
    assert len(box.creates()) == 1
    again.kill(signal.SIGTERM)
    assert await again.ended() == 0


async def test_the_service_manager_is_told(box: Box, manager: Manager) -> None:
    """The watchdog is fed by finished ticks, and READY comes after the first of them."""
    daemon = await box.start(
        "run",
        environ={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "30000000"},
    )
    await box.until(lambda: "WATCHDOG=1" in manager.told, running=daemon)
    assert manager.told.index("READY=1") <= manager.told.index("WATCHDOG=1")
    fed = manager.told.count("WATCHDOG=1")
    await box.until(lambda: manager.told.count("WATCHDOG=1") > fed + 1, running=daemon)
    daemon.kill(signal.SIGSTOP)  # no tick, no food
    await eventually(lambda: state_of(daemon.process.pid) == "T")
    fed = manager.told.count("WATCHDOG=1")
    await asyncio.sleep(3.0)
    assert manager.told.count("WATCHDOG=1") == fed
    daemon.kill(signal.SIGCONT)
    daemon.kill(signal.SIGHUP)
    await box.until(lambda: "RELOADING=1" in manager.told, running=daemon)
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0
    assert "STOPPING=1" in manager.told
    assert any(each.startswith("STATUS=") for each in manager.told)


async def test_a_watchdog_is_not_fed_while_the_disk_is_full(box: Box, manager: Manager) -> None:
    """Ticks that cannot write have not happened."""
    box.environ |= {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "30000000"}
    daemon = await box.daemon()
    await box.until(lambda: "WATCHDOG=1" in manager.told, running=daemon)
    limit = await asyncio.create_subprocess_exec(
        "prlimit", f"--pid={daemon.process.pid}", "--fsize=4096:4096"
    )
    assert await limit.wait() == 0
    await daemon.says(r'"event":"tick.failed"')
    fed = manager.told.count("WATCHDOG=1")
    await asyncio.sleep(3.0)
    assert manager.told.count("WATCHDOG=1") == fed
    assert len(box.live()) <= 1
    daemon.kill(signal.SIGTERM)
    await daemon.ended()


# The site's own module: a SIGHUP in the moment in which the socket is there.
EARLY = """\
import os, signal, sys
if "run" in sys.orig_argv:
    from aiohttp import web
    opened = web.UnixSite.start
    async def start(self):
        await opened(self)
        os.kill(os.getpid(), signal.SIGHUP)
    web.UnixSite.start = start
"""


async def test_a_changed_file_is_taken_up_and_a_bad_one_is_not(box: Box) -> None:
    (box.folder / "sitecustomize.py").write_text(EARLY)
    daemon = await box.daemon(PYTHONPATH=str(box.folder))
    await daemon.says(r'"event":"config.reloaded".*"nothing changed"')
    box.configure("    replicas: 0")
    daemon.kill(signal.SIGHUP)
    await daemon.says(r'"event":"config.reloaded".*"detail":"(?!nothing)')
    box.configure("    replicsa: 0")
    daemon.kill(signal.SIGHUP)
    line = json.loads(await daemon.says(r'"event":"config.rejected"'))
    assert "did you mean 'replicas'" in line["detail"]
    plan = await box.keeper("plan", "--json", "--socket", str(box.socket))
    assert plan.json()["tick"] > 0
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0


async def test_metrics_health_and_page_are_served(box: Box, free_port: Callable[[], int]) -> None:
    port = free_port()
    box.configure(listen=f"127.0.0.1:{port}")
    await box.daemon(until_on_air=True)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for path in ("/-/healthy", "/-/ready", "/"):
            async with session.get(path) as reply:
                assert reply.status == 200, path
        async with session.get("/metrics") as reply:
            metrics = await reply.text()
        assert re.search(r"^keeper_last_tick_timestamp_seconds \d", metrics, re.MULTILINE)
        async with session.get("/api/v1/status") as reply:
            assert (await reply.json())["on_air"] == 1
        async with session.post("/api/v1/orders", json={"kind": "pause"}) as reply:
            assert reply.status == 403, "orders need a token on TCP"


async def test_status_tells_people_and_programs(box: Box) -> None:
    assert (await box.keeper("status", "--exit-code")).code == 7
    await box.daemon(until_on_air=True)
    done = await box.keeper("status")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split()[:6] == ["SLOT", "STATE", "FOR", "FPS", "ID", "GPU"]
    assert lines[1].startswith("duel/0  on air")
    assert "\x1b" not in done.out
    assert done.err == ""
    assert (await box.keeper("status", "--exit-code")).code == 0
    status = (await box.keeper("status", "--json")).json()
    slot = status["streams"][0]["slots"][0]
    assert status["is_live"]
    assert slot["is_on_air"]
    assert slot["host"]["instance_id"] in box.live()
    host = slot["host"]
    parts = host["gpu_dollars_per_hour"] + host["disk_dollars_per_hour"]
    assert host["dollars_per_hour"] == pytest.approx(parts)
    assert (host["gpu_ram_gb"] >= 20, host["disk_gb"], host["is_bid"]) == (True, 120, False)
    assert 0 < host["spent_dollars"] < 0.1
    account = status["account"]
    assert account["dollars_per_hour"] == pytest.approx(host["dollars_per_hour"])
    lasts_h = account["spendable_dollars"] / account["dollars_per_hour"]
    assert account["runway_s"] == pytest.approx(lasts_h * 3600, rel=0.01)
    assert "of credit, " in done.out
    assert (await box.keeper("status", "deul")).code == 5
    one = await box.keeper("status", "duel", "--json")
    assert [stream["stream"] for stream in one.json()["streams"]] == ["duel"]


async def test_status_exit_code_is_3_when_a_slot_is_dark(box: Box) -> None:
    await box.daemon(until_on_air=True)
    assert (await box.keeper("pause", "--reason", "test")).code == 0
    instance_id = box.live()[0]
    box.sim.act(instance_id, "kill")
    for _ in range(60):  # each takes most of a second
        if (await box.keeper("status", "--exit-code")).code == 3:
            break
    shown = await box.keeper("status")
    assert "DARK" in shown.out
    assert "PAUSED by local:" in shown.out


async def test_orders_are_taken_and_told(box: Box) -> None:
    daemon = await box.daemon(until_on_air=True)
    assert (await box.keeper("pause", "duel/9")).code == 5
    assert (await box.keeper("pause", "--for", "soon")).code == 2
    done = await box.keeper("pause", "--for", "1h", "--reason", "marketplace works")
    assert re.match(r"pause of the fleet is ordered until .* UTC \(by local:", done.out)
    await daemon.says(r'"event":"keeper.pause_changed"')
    assert (await box.keeper("resume")).code == 0
    done = await box.keeper("pause", "duel", "--for", "ever")
    assert re.match(r"pause of duel is ordered \(by local:", done.out)
    assert (await box.keeper("resume", "duel")).code == 0
    assert (await box.keeper("restart", "duel", "--dry-run")).code == 0
    done = await box.keeper("restart", "duel")
    assert done.out.startswith("restart of duel/0 is ordered")
    await daemon.says(r'"event":"workload.restarted"')
    done = await box.keeper("drain", "duel")
    assert done.out.startswith("drain of duel/0 is ordered (by local:")
    assert (await box.keeper("drain", "duel/9")).code == 5
    assert (await box.keeper("restart", "duel/0", "--now")).code == 0
    done = await box.keeper("replace", "duel")
    assert (done.code, done.out) == (6, "")
    assert "look with --dry-run, then repeat it with --yes" in done.err
    events = await box.keeper("events", "--slot", "duel", "--limit", "200", "--json")
    names = [json.loads(line)["event"] for line in events.out.splitlines()]
    assert "order.accepted" in names
    assert "workload.restarted" in names
    explained = (await box.keeper("explain", "duel", "--json")).json()
    assert explained["slot"]["slot"] == "duel/0"
    assert "Allowed" in (await box.keeper("explain", "duel")).out


async def test_verbs_for_a_running_keeper_say_that_there_is_none(box: Box) -> None:
    for words in (("pause",), ("restart", "duel"), ("explain", "duel/0")):
        done = await box.keeper(*words)
        assert (done.code, done.out) == (7, ""), words
        assert f"no keeper is running behind {box.socket}" in done.err


async def test_events_are_read_from_the_store_while_no_keeper_runs(box: Box) -> None:
    done = await box.keeper("events")
    assert (done.code, done.out) == (0, "")
    assert "no keeper is running: this is read from its store, which is new" in done.err
    daemon = await box.daemon(until_on_air=True)
    live = await box.keeper("events", "--slot", "duel", "--json")
    assert live.err == ""
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0
    left = await box.keeper("events", "--slot", "duel", "--json")
    assert left.code == 0
    assert re.search(r"read from its store, last written at \d{4}-\d\d-\d\d \d\d:", left.err)
    assert left.out.splitlines()[: len(live.out.splitlines())] == live.out.splitlines()
    people = await box.keeper("events", "--limit", "1")
    assert "keeper is stopping" in people.out or "decided to hold" in people.out
    assert (await box.keeper("events", "--slot", "deul/0")).code == 5


async def test_who_follows_events_hears_of_the_next_keeper_too(box: Box) -> None:
    following = await box.start("events", "--follow", "--json")
    await following.says("no keeper is running", stream="err")
    daemon = await box.daemon()
    await following.says('"event": "keeper.started"')
    await following.says('"event": "stream.on_air"')
    daemon.kill(signal.SIGTERM)
    await daemon.ended()
    await following.says('"event": "keeper.stopping"')

    def notes() -> int:
        return sum("no keeper is running" in line for line in following.err)

    await box.until(lambda: notes() > 1, running=following)
    following.kill(signal.SIGINT)
    assert await following.ended() == 0
    told = [json.loads(line)["seq"] for line in following.out]
    assert told == sorted(set(told)), "every fact once, in order"
    assert notes() == 2


async def test_a_slot_that_was_destroyed_is_held_until_somebody_says_so(box: Box) -> None:
    await box.daemon(until_on_air=True)
    assert (await box.keeper("destroy", "duel", "--yes", "--reason", "over")).code == 0
    assert box.live() == []
    await asyncio.sleep(3.0)
    assert box.live() == []
    assert len(box.creates()) == 1
    await box.keeper("resume", "duel")
    await box.until(lambda: len(box.live()) == 1)
