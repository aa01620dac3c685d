"""The guard that stops its own rental, run by real shells against a real HTTP server."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from keeper.core.model import InstanceId
from keeper.ports import Upload
from keeper.workloads.managers import dead_man, payload
from tests.waiting import PATIENCE_S, eventually, is_running

pytestmark = pytest.mark.timeout(180)

KEY = "0f9e8d7c6b5a49388271605f4e3d2c1b"
ID = 40_000_123


@dataclass
class Api:
    """The marketplace, as far as the guard knows it."""

    url: str = ""
    status: int = 200
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        self.asked.append((request.method, request.path, authorization, await request.text()))
        return web.json_response({"success": self.status == 200}, status=self.status)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@dataclass
class Guarded:
    """A folder with a guard in it."""

    folder: Path
    api: Api
    process: asyncio.subprocess.Process | None = None

    def feed(self, *, after_s: int = 2, ago_s: int = 0) -> None:
        up = int(float(Path("/proc/uptime").read_text().split()[0]))
        line = f"{up - ago_s} {after_s} 1 {ID} {self.api.url}\n"
        (self.folder / "new").write_text(line)
        (self.folder / "new").rename(self.folder / "heartbeat")

    async def start(self, *shell: str, path: str = "", **environ: str) -> None:
        (self.folder / "environ").write_text(f"A=b\0CONTAINER_API_KEY={KEY}\0CONTAINER_ID={ID}\0")
        (self.folder / "dead_man.sh").write_bytes(payload("dead_man.sh"))
        usual = {"PATH": path or "/usr/bin:/bin", "keeper_environ": "environ"}
        with (self.folder / "log").open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(shell or ("sh",)), "dead_man.sh", cwd=self.folder, env=usual | environ, stdout=log
            )

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    async def until_asked(self, times: int = 1) -> None:
        await eventually(lambda: len(self.api.asked) >= times)


@pytest.fixture
async def guarded(tmp_path: Path, api: Api) -> AsyncIterator[Guarded]:
    made = Guarded(tmp_path, api)
    yield made
    if made.process is not None:
        with suppress(ProcessLookupError):
            made.process.kill()
        await made.process.wait()


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix")])
async def test_it_stops_its_rental_when_nobody_feeds_it(
    guarded: Guarded, shell: tuple[str, ...]
) -> None:
    guarded.feed(ago_s=5)
    await guarded.start(*shell)
    await guarded.until_asked()
    ((method, path, authorization, body),) = guarded.api.asked
    assert (method, path) == ("PUT", f"/api/v0/instances/{ID}/")
    assert authorization == f"Bearer {KEY}"
    assert json.loads(body) == {"state": "stopped"}
    await eventually(
        lambda: "the marketplace was asked to stop it, and has said yes" in guarded.log
    )
    assert KEY not in guarded.log


async def test_it_is_quiet_while_it_is_fed_and_hears_that_a_keeper_is_back(
    guarded: Guarded,
) -> None:
    guarded.api.status = 503
    guarded.feed(after_s=5)
    await guarded.start("dash")
    for _ in range(12):  # for longer than that
        await asyncio.sleep(0.5)
        guarded.feed(after_s=5)
    assert (guarded.api.asked, guarded.log) == ([], "")
    guarded.feed(after_s=5, ago_s=10)
    await guarded.until_asked()
    guarded.feed(after_s=60)
    await eventually(lambda: "a keeper is heard again" in guarded.log)
    assert len(guarded.api.asked) == 1
    (guarded.folder / "heartbeat").unlink()  # taken away: nothing is guarded any more
    assert guarded.process is not None
    async with asyncio.timeout(PATIENCE_S):
        assert await guarded.process.wait() == 0
    assert len(guarded.api.asked) == 1


async def test_it_tries_again_and_writes_little(guarded: Guarded) -> None:
    guarded.api.status = 401
    guarded.feed(ago_s=5)
    await guarded.start("dash", keeper_wait_s="1", keeper_lines_max="2")
    await guarded.until_asked(2)
    guarded.api.status = 200
    await guarded.until_asked(3)
    assert len(guarded.log.splitlines()) == 2
    assert "not stopped: success: false 401" in guarded.log


async def test_without_curl_it_asks_by_python(guarded: Guarded, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    for name in ("sh", "sed", "tr", "head", "tail", "cut", "date", "sleep"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(Path(found).resolve())
    guarded.feed(ago_s=5)
    await guarded.start(str(tools / "sh"), path=str(tools))
    await guarded.until_asked()
    assert guarded.api.asked[0][:3] == ("PUT", f"/api/v0/instances/{ID}/", f"Bearer {KEY}")


async def test_without_a_key_of_its_own_it_asks_nobody(guarded: Guarded) -> None:
    guarded.feed(ago_s=5)
    await guarded.start("dash", keeper_environ="/nowhere")
    await eventually(lambda: "no key of its own" in guarded.log)
    assert guarded.api.asked == []


async def test_no_argument_of_it_holds_the_key(guarded: Guarded) -> None:
    guarded.feed(ago_s=5)
    seen: set[bytes] = set()
    await guarded.start("dash")
    async with asyncio.timeout(PATIENCE_S):
        while not guarded.api.asked:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(path.read_bytes())
            await asyncio.sleep(0)
    assert [each for each in seen if KEY.encode() in each] == []


async def test_it_begins_again_with_the_container_when_nobody_else_is_there(tmp_path: Path) -> None:
    """What onstart does after a reboot: the same program, found by its pid file, and only once."""

    async def sh(script: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "dash", "-c", script, cwd="/", stdout=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 0, script
        return said.decode()

    assert await sh(dead_man.ONSTART) == "", "there is none: nothing is made"
    assert list(tmp_path.iterdir()) == []
    feed = f"cd\n{dead_man.feed(600.0, InstanceId(ID), 'http://127.0.0.1:9').script}"
    assert await sh(f"({feed})") == "absent\n"
    for step in dead_man.install():
        if isinstance(step, Upload):
            (tmp_path / step.path).write_bytes(step.content)
    for _ in range(2):
        await sh(dead_man.ONSTART)
        assert await sh(f"({feed})") == "armed\n"
    pid_file = tmp_path / dead_man.FOLDER / ".keeper" / "dead_man.pid"
    pid = int(pid_file.read_text().split()[0])
    title = Path(f"/proc/{pid}/cmdline")
    await eventually(lambda: b"dead_man.sh" in title.read_bytes())
    os.kill(pid, signal.SIGKILL)  # the container goes down
    await eventually(lambda: not is_running(pid))
    assert await sh(f"({feed})") == "absent\n"
    await sh(f"{dead_man.ONSTART}\necho the workload follows")
    assert await sh(f"({feed})") == "armed\n"
    await sh(f"cd\n{dead_man.remove().script}")
    assert list(tmp_path.iterdir()) == []
