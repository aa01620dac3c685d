"""The failure catalogue of Pixel Streaming, each row on a real host: made, named, cured as it says.

Real supervisord, Caddy and coturn, the signalling server on the published library, an aiortc application;
one host for the whole table. A row whose remedy is no restart shows that its symptom asks for none, and
goes again when what caused it is undone.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from keeper.adapters.network import HttpNetwork
from keeper.core.model import Reading, Remedy, Status, Subject, Symptom
from keeper.core.reasons import Reason
from keeper.daemon.player import Player
from keeper.ports import Link
from keeper.workloads import Workload
from keeper.workloads.managers import payload
from tests.integration.workloads.conftest import AT, INSTANCE, build, carry_out, watching
from tests.standins.pixel.image import AUDIO, COMPONENTS, Image
from tests.waiting import eventually, look_until

pytestmark = [
    pytest.mark.real("sshd", *COMPONENTS),
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("pixel"),
]

TUNNEL = "http://localhost:3000"


@pytest.fixture(scope="module")
def image(free_port: Callable[[], int]) -> Iterator[Image]:
    folder = Path(tempfile.mkdtemp(prefix="k-", dir="/tmp"))
    image = Image(folder=folder, free_port=free_port)
    image.build()
    (folder / "tunnels").mkdir()
    (folder / "tunnels" / "http%3A%2F%2Flocalhost%3A3000").touch()
    image.start()
    yield image
    image.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def workload(image: Image) -> Workload:
    return build("pixel-streaming", **image.declared(tunnel_url=TUNNEL))


class Seen:
    """What the host says, and what a player sees, until one of them is as wanted."""

    def __init__(self, workload: Workload, link: Link, network: HttpNetwork, image: Image) -> None:
        self.workload, self.link, self._network, self._image = workload, link, network, image
        self._clock = _Clock()

    async def by_host(self, holds: Callable[[Symptom | None], bool]) -> Reading:
        """Watch the sentinel until what the host says of itself is so."""
        faster = "keeper_workload_looks=4 keeper_ask_looks=4 pixel_rare_looks=1 keeper_has_gpu=0\n"
        last: Reading | None = None
        async with watching(self.link, self.workload, faster) as sentinel:
            async for line in sentinel.lines:
                for reading in self.workload.interpret(line, INSTANCE, AT):
                    if reading.subject is not Subject.WORKLOAD:
                        continue
                    last = reading
                    if reading.status is not Status.UNKNOWN and holds(reading.symptom):
                        return reading
        pytest.fail(f"the sentinel ended with {last}")

    async def by_player(self, holds: Callable[[Reading, Symptom | None], bool]) -> Reading:
        """Look as the daemon's player does until it sees this."""
        player = Player()
        url = f"http://127.0.0.1:{self._image.ports['page_inside']}"

        async def look() -> tuple[Reading, Symptom | None]:
            reading, _ = await player.look(
                self._network, url, self.workload.view(), INSTANCE, self._clock
            )
            return reading, player.symptom

        seen, _ = await look_until(look, lambda found: holds(*found), every_s=0.1)
        return seen

    async def well(self) -> None:
        """Wait until both say that nothing is the matter."""
        await self.by_host(lambda symptom: symptom is None)
        await self.by_player(lambda reading, _: reading.reason is Reason.LIVE)


class _Clock:
    """The loop's time, as the Clock port tells it."""

    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@pytest.fixture
async def seen(workload: Workload, link: Link, network: HttpNetwork, image: Image) -> "Seen":
    return Seen(workload, link, network, image)


Deed = Callable[[Image], object]


@dataclass(frozen=True, kw_only=True)
class Row:
    id: str
    fault: Deed
    code: str
    remedy: Remedy
    is_seen_by_player: bool = False
    mend: Deed | None = None  # where no restart is asked for
    proof: Deed | None = None  # holds after the cure
    picture: Reason | None = None  # what a player sees of it


def stop(program: str) -> Deed:
    return lambda image: image.control("stop", program)


def freeze(program: str) -> Deed:
    def fault(image: Image) -> None:
        os.killpg(image.pid(program), signal.SIGSTOP)

    return fault


def restart_with(fault: str) -> Deed:
    def make(image: Image) -> None:
        image.fault(fault)
        image.control("restart", "pixel-streaming")

    return make


def restart_without(fault: str) -> Deed:
    def mend(image: Image) -> None:
        (image.folder / "faults" / fault).unlink()
        image.control("restart", "pixel-streaming")

    return mend


def kill_app(image: Image) -> None:
    os.killpg(image.pid("ue-app"), signal.SIGKILL)


def break_app(words: str) -> Deed:
    """The application ends at once, with these words, until supervisord gives up on it."""

    def fault(image: Image) -> None:
        game = image.folder / "workspace" / "project" / "Linux" / "Game.sh"
        game.rename(game.with_suffix(".kept"))
        game.write_text(f"#!/bin/sh\necho '{words}'\nexit 1\n")
        game.chmod(0o755)
        image.control("restart", "ue-app")

    return fault


def mend_app(image: Image) -> None:
    game = image.folder / "workspace" / "project" / "Linux" / "Game.sh"
    game.with_suffix(".kept").rename(game)
    image.control("start", "ue-app")


def break_and_mend_app(image: Image) -> None:
    """It was given up on, for a reason that has passed."""
    break_app("LogInit: something passing")(image)
    image.until(lambda: "FATAL" in image.control("status", "ue-app"))
    game = image.folder / "workspace" / "project" / "Linux" / "Game.sh"
    game.with_suffix(".kept").rename(game)


def say_in_app_log(words: str) -> Deed:
    def fault(image: Image) -> None:
        with (image.folder / "logs" / "ue-app.log").open("a") as log:
            log.write(f"{words}\n")

    return fault


def forget_app(image: Image) -> None:
    (image.folder / "conf.d" / "ue-app.conf").unlink()
    image.control("update", "ue-app")


def with_env(**env: str) -> Deed:
    def fault(image: Image) -> None:
        image.env.update(env)
        image.write_environ()

    return fault


def mark(path: str, text: str = "x") -> Deed:
    return lambda image: (image.folder / path).write_text(text)


def unmark(path: str) -> Deed:
    return lambda image: (image.folder / path).unlink()


def other_token(image: Image) -> None:
    """The proxy lets another one in than the container has."""
    image.write_caddyfile("another")
    image.control("restart", "caddy")


def own_token(image: Image) -> None:
    image.write_caddyfile()
    image.control("restart", "caddy")


def all_sound_is_up(image: Image) -> bool:
    return all(image.pid(name) for name in AUDIO)


ROWS = (
    Row(id="C1 app killed while nobody restarts it", fault=stop("ue-app"), code="app_ended",
        remedy=Remedy.RESTART_PROCESS, picture=Reason.NO_BYTES),
    Row(id="C1 app given up on", fault=break_and_mend_app, code="app_gave_up",
        remedy=Remedy.RESTART_PROCESS, picture=Reason.NO_BYTES),
    Row(id="C2 app hangs and stays listed", fault=freeze("ue-app"), code="offer_missing",
        remedy=Remedy.RESTART_PROCESS, is_seen_by_player=True, picture=Reason.NO_BYTES),
    Row(id="C4 app refuses root", fault=break_app("Refusing to run with the root privileges."),
        code="app_as_root", remedy=Remedy.PERSON, mend=mend_app),
    Row(id="C4 app may not be started", fault=break_app("sh: Game: Permission denied"),
        code="app_not_startable", remedy=Remedy.PERSON, mend=mend_app),
    Row(id="C4 app finds no Vulkan", fault=break_app("LogVulkanRHI: vkCreateInstance failed"),
        code="vulkan_missing", remedy=Remedy.REPLACE, mend=mend_app),
    Row(id="H8 no encoder session", fault=say_in_app_log("LogAVEncoder: OpenEncodeSession failed"),
        code="encoder_spent", remedy=Remedy.RESTART_WORKLOAD),
    Row(id="H9 GPU memory full", fault=say_in_app_log("LogRHI: Out of video memory"),
        code="gpu_memory_full", remedy=Remedy.RESTART_PROCESS),
    Row(id="H15 nobody knows the app after a reboot", fault=forget_app, code="app_not_installed",
        remedy=Remedy.RESTART_WORKLOAD, picture=Reason.NO_BYTES),
    Row(id="C5 signalling respawned under a RUNNING label", fault=restart_with("child"),
        code="signalling_respawned", remedy=Remedy.RESTART_PROCESS, picture=Reason.UNREACHABLE),
    Row(id="C6 signalling ended well", fault=restart_with("exit0"), code="signalling_ended",
        remedy=Remedy.RESTART_PROCESS, picture=Reason.UNREACHABLE),
    Row(id="C7 start hangs", fault=restart_with("hang"), code="start_hangs",
        remedy=Remedy.RESTART_PROCESS, picture=Reason.UNREACHABLE),
    Row(id="C8 driver download failed",
        fault=mark("logs/pixel-streaming.log", "Failed NVIDIA GPU driver download.\n"),
        code="driver_missing", remedy=Remedy.REPLACE, mend=mark("logs/pixel-streaming.log", "")),
    Row(id="C9 signalling hangs behind the proxy", fault=freeze("pixel-streaming"),
        code="signalling_silent", remedy=Remedy.RESTART_PROCESS, picture=Reason.NO_BYTES),
    Row(id="C10 token refused", fault=other_token, code="token_refused", remedy=Remedy.PERSON,
        mend=own_token),
    Row(id="C11 Caddy down", fault=stop("caddy"), code="caddy_down",
        remedy=Remedy.RESTART_PROCESS),
    Row(id="C12 relay down", fault=stop("coturn"), code="relay_down",
        remedy=Remedy.RESTART_PROCESS),
    Row(id="C12 relay hangs", fault=freeze("coturn"), code="relay_failed",
        remedy=Remedy.RESTART_PROCESS, is_seen_by_player=True),
    Row(id="C12 names of the relay differ", fault=with_env(TURN_USERNAME="other"),
        code="relay_names_differ", remedy=Remedy.PERSON, mend=with_env(TURN_USERNAME="user")),
    Row(id="C12 relay's port not mapped", fault=with_env(VAST_UDP_PORT_70000=""),
        code="relay_not_mapped", remedy=Remedy.REPLACE,
        mend=lambda image: with_env(VAST_UDP_PORT_70000=str(image.ports["relay"]))(image)),
    Row(id="C16 provisioning failed", fault=mark("markers/.provisioning_failed"),
        code="boot_failed", remedy=Remedy.REPLACE, mend=unmark("markers/.provisioning_failed")),
    Row(id="C16 still provisioning", fault=mark("markers/.provisioning"), code="provisioning",
        remedy=Remedy.NOTHING, mend=unmark("markers/.provisioning")),
    Row(id="C17 portal.yaml empty", fault=mark("portal.yaml", ""), code="portal_file_empty",
        remedy=Remedy.PERSON, mend=mark("portal.yaml", "applications: {}\n")),
    Row(id="C18 sound lost", fault=stop("pipewire"), code="audio_down",
        remedy=Remedy.RESTART_PROCESS, proof=all_sound_is_up),
    Row(id="portal down", fault=stop("instance_portal"), code="portal_down",
        remedy=Remedy.RESTART_PROCESS),
    Row(id="C20 tunnel gone", fault=lambda image: next((image.folder / "tunnels").iterdir()).unlink(),
        code="tunnel_gone", remedy=Remedy.RESTART_PROCESS),
)  # fmt: skip


async def deployed(seen: Seen) -> None:
    """Deploy once; the rows share the host."""
    await carry_out(seen.link, seen.workload.deploy())
    await seen.well()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
async def test_it_is_named_and_cured(row: Row, seen: Seen, image: Image) -> None:
    if not image.pid("ue-app"):
        await deployed(seen)
    await asyncio.to_thread(row.fault, image)
    try:
        symptom = await symptom_of(row, seen)
        assert symptom.remedy is row.remedy, symptom
        assert 0 < len(symptom.sentence) <= 200
        if row.picture is not None:
            bad = await seen.by_player(lambda reading, _: reading.status is Status.FALSE)
            assert bad.reason is row.picture
        if row.mend is not None:
            await asyncio.to_thread(row.mend, image)
        elif row.remedy is Remedy.RESTART_PROCESS:
            await carry_out(seen.link, seen.workload.restart_process(row.code))
        else:
            await carry_out(seen.link, seen.workload.restart_workload(row.code))
        await seen.by_host(lambda symptom: symptom is None)
        if row.picture is not None or row.is_seen_by_player:
            await seen.by_player(lambda reading, _: reading.reason is Reason.LIVE)
        if row.proof is not None:
            await eventually(lambda: row.proof is not None and row.proof(image))
    except BaseException:
        # The next rows are to begin well.
        image.control("restart", "all")
        raise


async def test_a_host_without_supervisord_is_rebooted(seen: Seen, image: Image) -> None:
    """C19: nothing on the host is looked after, and nothing could be restarted there."""
    if not image.pid("ue-app"):
        await deployed(seen)
    os.kill(int((image.folder / "supervisord.pid").read_text()), signal.SIGKILL)
    said = await seen.by_host(lambda symptom: symptom is not None)
    assert said.symptom is not None
    assert (said.symptom.code, said.symptom.remedy) == ("supervisor_down", Remedy.REBOOT)
    # Rebooted: what supervisord left behind is gone, and the application comes with it by itself (H15).
    await asyncio.to_thread(image.reboot)
    await seen.well()


async def symptom_of(row: Row, seen: Seen) -> Symptom:
    def is_it(symptom: Symptom | None) -> bool:
        return symptom is not None and symptom.code == row.code

    if not row.is_seen_by_player:
        said = await seen.by_host(is_it)
        assert said.symptom is not None
        return said.symptom
    found: list[Symptom] = []

    def holds(_: Reading, symptom: Symptom | None) -> bool:
        if symptom is not None and is_it(symptom):
            found.append(symptom)
        return bool(found)

    await seen.by_player(holds)
    return found[0]


@pytest.mark.parametrize(
    ("state", "words"), [("FATAL", "root root none"), ("RUNNING", "root none none")]
)
def test_what_an_application_ended_by_stands_for_one_ask_more(
    tmp_path: Path, state: str, words: str
) -> None:
    """supervisord is asked before the log is read: by then a person may have started it again."""
    (tmp_path / "questions.sh").write_bytes(payload("pixel_questions.sh"))
    script = f"""
    . ./questions.sh
    pixel_app_log=app.log pixel_start_line='it starts' app_is={state}
    printf 'it starts\\nRefusing to run with the root privileges.\\n' >app.log
    ask_app_log; printf %s "$app"
    echo 'it starts' >>app.log
    ask_app_log; printf ' %s' "${{app:-none}}"
    ask_app_log; printf ' %s' "${{app:-none}}"
    """
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == words, done.stderr
