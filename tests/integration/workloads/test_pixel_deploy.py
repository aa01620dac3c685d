"""Pixel Streaming put onto a real host: its boot, its archive, its program, its report, its drain."""

import asyncio
import hashlib
import os
import pwd
import shutil
import tempfile
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from keeper.core.model import Status
from keeper.ports import Command, Job, Link, LocalFileUnfit, Parcel, SendProgress
from keeper.workloads import Step, Workload
from tests.integration.workloads.conftest import build, carry_out
from tests.standins.pixel.image import COMPONENTS, Image
from tests.waiting import eventually, is_running, look_until

pytestmark = [
    pytest.mark.real("sshd", *COMPONENTS),
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("pixel deploy"),
]


@pytest.fixture(scope="module")
def image(free_port: Callable[[], int]) -> Iterator[Image]:
    folder = Path(tempfile.mkdtemp(prefix="k-", dir="/tmp"))
    folder.chmod(0o755)  # another account is to run the application
    image = Image(folder=folder, free_port=free_port, env={"PIXEL_STREAMING_ARGS": "--rest_api"})
    image.build()
    image.start()
    yield image
    image.stop()
    shutil.rmtree(folder, ignore_errors=True)


def declare(image: Image, **more: Any) -> Workload:
    return build("pixel-streaming", **image.declared(**more))


def project_of(workload: Workload) -> Step:
    (step,) = (
        step for step in workload.deploy() if isinstance(step, Job) and "project" in step.name
    )
    return step


class Shop:
    """A web server that has the archive, whole or in parts, and counts what it gave."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: list[str] = []
        self.url = ""

    async def give(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.headers.get("Range", "all"))
        begin = (
            int(self.asked[-1].removeprefix("bytes=").rstrip("-")) if self.asked[-1] != "all" else 0
        )
        if begin >= len(self.content):
            return web.Response(status=416)
        headers = {"Content-Range": f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}"}
        if begin:
            return web.Response(status=206, body=self.content[begin:], headers=headers)
        return web.Response(body=self.content)


@pytest.fixture
async def shop(image: Image) -> AsyncIterator[Shop]:
    archive, _ = image.project()
    shop = Shop(archive.read_bytes())
    app = web.Application()
    app.router.add_get("/game.tar.gz", shop.give)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    shop.url = f"http://127.0.0.1:{port}/game.tar.gz?key=hidden"
    yield shop
    await runner.cleanup()


def fetched(image: Image, shop: Shop, folder: str, digest: str = "") -> Workload:
    digest = digest or hashlib.sha256(shop.content).hexdigest()
    archive = {"url": shop.url, "sha256": digest}
    return declare(image, archive=archive, app={"folder": folder})


async def test_an_archive_is_fetched_once_and_unpacked(
    link: Link, image: Image, shop: Shop
) -> None:
    workload = fetched(image, shop, "fetched")
    await carry_out(link, (project_of(workload),))
    game = image.folder / "workspace" / "fetched" / "Linux" / "Game.sh"
    assert os.access(game, os.X_OK)
    assert not list((image.folder / "workspace" / ".keeper").glob("archive.*")), "gigabytes of it"
    await carry_out(link, (project_of(workload),))
    assert shop.asked == ["all"]


async def test_a_fetch_that_was_cut_short_goes_on_where_it_ended(
    link: Link, image: Image, shop: Shop
) -> None:
    digest = hashlib.sha256(shop.content).hexdigest()
    folder = image.folder / "workspace" / ".keeper"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"archive.{digest}").write_bytes(shop.content[:100])
    await carry_out(link, (project_of(fetched(image, shop, "resumed")),))
    assert shop.asked == ["bytes=100-"]
    assert (image.folder / "workspace" / "resumed" / "Linux" / "Game.sh").exists()


async def test_another_archive_than_was_declared_is_not_unpacked(
    link: Link, image: Image, shop: Shop
) -> None:
    step = project_of(fetched(image, shop, "wrong", "cd" * 32))
    assert isinstance(step, Job)
    result = await link.run(Command(name=step.name, script=step.script, env=step.env, timeout_s=30))
    assert result.exit_code == 1
    assert "another checksum" in result.stderr
    assert "hidden" not in result.stderr + result.stdout
    assert not (image.folder / "workspace" / "wrong").exists()


async def test_a_zip_on_the_host_will_do(link: Link, image: Image) -> None:
    path = image.folder / "game.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("Linux/Game.sh", "#!/bin/sh\n")
    workload = declare(image, archive={"path": str(path)}, app={"folder": "zipped"})
    await carry_out(link, (project_of(workload),))
    assert (image.folder / "workspace" / "zipped" / "Linux" / "Game.sh").exists()


async def test_an_archive_of_keepers_own_box_is_sent_once_and_unpacked(
    link: Link, image: Image
) -> None:
    packed, digest = image.project()
    archive = Path(shutil.copy(packed, image.folder / "showroom.tar.gz"))
    workload = declare(
        image, archive={"local_path": str(archive), "sha256": digest}, app={"folder": "sent"}
    )
    steps = tuple(
        step
        for step in workload.deploy()
        if isinstance(step, Parcel) or (isinstance(step, Job) and "project" in step.name)
    )
    parcel, _ = steps
    assert isinstance(parcel, Parcel)
    told: list[SendProgress] = []

    async def hear(progress: SendProgress) -> None:
        told.append(progress)

    assert await link.send(parcel, hear)
    await carry_out(link, steps)
    game = image.folder / "workspace" / "sent" / "Linux" / "Game.sh"
    assert os.access(game, os.X_OK)
    assert not list((image.folder / "workspace" / ".keeper").glob("sent-archive*")), "gigabytes"
    # It is in place: nothing is sent again, also when the archive is gone from keeper's box.
    archive.unlink()
    told.clear()
    assert not await link.send(parcel, hear)
    assert told == []
    await carry_out(link, steps)
    # A folder that somebody has removed is put there again.
    shutil.rmtree(game.parent.parent)
    with pytest.raises(LocalFileUnfit):
        await link.send(parcel, hear)


@pytest.mark.parametrize(
    ("marker", "words"),
    [(".provisioning_failed", "provisioning has failed"), (".provisioning", "still runs")],
)
async def test_a_boot_that_does_not_end_is_told(
    link: Link, image: Image, marker: str, words: str
) -> None:
    path = image.folder / "markers" / marker
    path.touch()
    boot, *_ = declare(image, image_layout={"boot_s": 1}).deploy()
    assert isinstance(boot, Job)
    try:
        result = await link.run(Command(name="boot", script=boot.script, timeout_s=30))
    finally:
        path.unlink()
    assert result.exit_code == 1
    assert words in result.stderr


async def test_the_application_runs_as_its_account_and_ends_with_its_group(
    link: Link, image: Image
) -> None:
    is_root = os.geteuid() == 0
    account = "nobody" if is_root else ""
    who = pwd.getpwuid(os.geteuid()).pw_name if not is_root else "nobody"
    game = image.folder / "packed" / "Linux" / "Idle.sh"
    game.parent.mkdir(parents=True, exist_ok=True)
    game.write_text('#!/bin/sh\necho "I am $(id -un) with $SAID"\nsleep 600 & wait\n')
    game.chmod(0o755)
    app = {"program": "idle", "executable": str(game), "account": account, "env": {"SAID": "it's"}}
    workload = declare(image, app=app, archive=None)
    await carry_out(link, workload.deploy())
    log = image.folder / "logs" / "idle.log"
    await eventually(lambda: f"I am {who} with it's" in log.read_text())
    pid = image.pid("idle")
    members = [int(each) for each in await _group(link, pid)]
    assert len(members) >= 2
    await carry_out(link, workload.restart_process("offer_missing"))
    assert image.pid("idle") not in {0, pid}
    await eventually(lambda: not [each for each in members if is_running(each)])
    image.control("stop", "idle")


async def _group(link: Link, pid: int) -> list[str]:
    found = await link.run(Command(name="group", script=f"ps -o pid= -g {pid}; pgrep -g {pid}"))
    return sorted(set(found.stdout.split()))


async def test_an_application_that_cannot_start_fails_the_deploy_with_its_own_words(
    link: Link, image: Image
) -> None:
    game = image.folder / "packed" / "Linux" / "Broken.sh"
    game.parent.mkdir(parents=True, exist_ok=True)
    game.write_text("#!/bin/sh\necho 'LogInit: no content'\nexit 1\n")
    app = {"program": "broken", "executable": str(game)}
    *steps, verify = declare(image, app=app, archive=None).deploy()
    await carry_out(link, tuple(steps))
    assert isinstance(verify, Command)
    result = await link.run(verify)
    assert result.exit_code == 1
    assert "no content" in result.stderr
    image.control("stop", "broken")


async def test_the_report_and_the_drain_of_a_host_on_air(link: Link, image: Image) -> None:
    workload = declare(image)
    await carry_out(link, workload.deploy())
    question = workload.report()
    assert question is not None

    async def ask() -> dict[str, Status]:
        lines = workload.read_report(await link.run(question))
        return {line.title: line.status for line in lines}

    told = await look_until(ask, lambda told: set(told.values()) == {Status.TRUE}, every_s=0.2)
    assert list(told)[:3] == ["Boot", "Signalling", "Application"]
    drain = workload.drain()
    assert drain is not None
    assert (await link.run(drain.look)).exit_code == 0
    # Evidence is had of everything, and holds what the image's programs say.
    looks = [await link.run(each) for each in workload.evidence()]
    assert all(each.exit_code == 0 for each in looks)
    assert "Http server listening" in "".join(each.stdout for each in looks)
    # A server that does not tell who watches.
    image.control("stop", "pixel-streaming")
    assert (await link.run(drain.look)).exit_code == 2
    told = await ask()
    assert told["Signalling"] is Status.FALSE
    assert told["Proxy"] is Status.FALSE
    await asyncio.to_thread(image.control, "start", "pixel-streaming")
