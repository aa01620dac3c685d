"""Pixel Streaming through the whole daemon: rented, auditioned, deployed, on air, cured, on one host.

The image is below a folder of this box, with real supervisord, Caddy, coturn and the published signalling
library (tests/standins/pixel); keeper enters by a real sshd and looks by its own player.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from keeper.core.model import Remedy
from keeper.core.reasons import Reason
from keeper.sim.ssh_host import LoopbackHost
from keeper.workloads import registered
from tests.e2e.real_hosts import Fleet, Row, play
from tests.standins.pixel.image import COMPONENTS, Image

pytestmark = [
    pytest.mark.real("sshd", *COMPONENTS),
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("pixel hosts"),
]


class Container:
    """The image of whichever host fills the slot: a reboot keeps its files, another host has its own."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self._instance = 0

    def furnish(self, host: LoopbackHost) -> None:
        number = int(host.contract.instance_id)
        if number == self._instance:
            self.image.reboot()
        else:
            self.image.replace()
        self._instance = number


@pytest.fixture
def image(free_port: Callable[[], int]) -> Iterator[Image]:
    with tempfile.TemporaryDirectory(prefix="k-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        image = Image(folder=Path(folder), free_port=free_port)
        yield image
        image.stop()


def declared(image: Image) -> dict[str, object]:
    """The workload, sent by keeper; its host has no GPU, and the audition says so and lets it pass."""
    workload = image.declared(
        player={"sample_s": 1.2, "offer_s": 1.5, "watch_every_s": 5}, app={"stream_s": 8}
    )
    archive = workload["archive"]
    workload["archive"] = {"local_path": archive["path"], "sha256": archive["sha256"]}
    plugin = registered()["pixel-streaming"]
    checks = plugin.build(plugin.settings.model_validate(workload), {}).audition()
    return {**workload, "audition": {"force": sorted({check.name for check in checks})}}


def of(image: Image, deed: Callable[[Image], object]) -> Callable[[Fleet], Awaitable[object]]:
    async def fault(fleet: Fleet) -> None:
        await asyncio.to_thread(deed, image)

    return fault


def freeze_app(image: Image) -> None:
    os.killpg(image.pid("ue-app"), signal.SIGSTOP)


def end_app(image: Image) -> None:
    os.killpg(image.pid("ue-app"), signal.SIGKILL)


def game_of(image: Image) -> Path:
    return image.folder / "workspace" / "project" / "Linux" / "Game.sh"


def break_app(image: Image, words: str = "LogInit: something passing") -> None:
    game = game_of(image)
    game.rename(game.with_suffix(".kept"))
    game.write_text(f"#!/bin/sh\necho '{words}'\nexit 1\n")
    game.chmod(0o755)
    end_app(image)
    image.until(lambda: "FATAL" in image.control("status", "ue-app"))


def mend_app(image: Image) -> None:
    game_of(image).with_suffix(".kept").rename(game_of(image))


def start_mended_app(image: Image) -> None:
    mend_app(image)
    image.control("start", "ue-app")


def give_up_on_app(image: Image) -> None:
    break_app(image)
    mend_app(image)


def end_signalling_well(image: Image) -> None:
    image.fault("exit0")
    os.killpg(image.pid("pixel-streaming"), signal.SIGKILL)


def hang_signalling_start(image: Image) -> None:
    image.fault("hang")
    os.killpg(image.pid("pixel-streaming"), signal.SIGKILL)


def another_token(image: Image) -> None:
    image.write_caddyfile("another")
    image.control("restart", "caddy")


def the_token(image: Image) -> None:
    image.write_caddyfile()
    image.control("restart", "caddy")


def lose_supervisord(image: Image) -> None:
    """It was killed for memory, and the application with it."""
    pid = image.pid("ue-app")
    os.kill(int((image.folder / "supervisord.pid").read_text()), signal.SIGKILL)
    os.killpg(pid, signal.SIGKILL)


def lose_driver(image: Image) -> None:
    log = image.folder / "logs" / "pixel-streaming.log"
    log.write_text("Failed NVIDIA GPU driver download.\n")
    break_app(image, "LogVulkanRHI: Vulkan device not available")


def table(image: Image) -> tuple[Row, ...]:
    async def is_up(fleet: Fleet) -> bool:
        return "RUNNING" in await asyncio.to_thread(image.control, "status", "ue-app")

    return (
        Row(
            id="C1 supervisord brings the application back", fault=of(image, end_app),
            remedy=Remedy.NOTHING, proof=is_up,
        ),
        Row(
            id="C1 application given up on", fault=of(image, give_up_on_app),
            remedy=Remedy.RESTART_PROCESS,
        ),
        Row(
            id="C2 application hangs, and stays listed", fault=of(image, freeze_app),
            remedy=Remedy.RESTART_PROCESS, reason=Reason.NO_BYTES,
        ),
        Row(
            id="C3 frozen", fault=of(image, lambda image: image.mood("frozen")),
            remedy=Remedy.RESTART_PROCESS, reason=Reason.FROZEN,
        ),
        Row(
            id="C3 black", fault=of(image, lambda image: image.mood("black")),
            remedy=Remedy.RESTART_PROCESS, reason=Reason.BLACK,
        ),
        Row(
            id="C4 application refuses root",
            fault=of(image, lambda image: break_app(image, "Refusing to run with the root privileges.")),
            remedy=Remedy.PERSON, symptom="app_as_root",
            mend=of(image, start_mended_app),
        ),
        Row(
            id="C6 signalling ended well", fault=of(image, end_signalling_well),
            remedy=Remedy.RESTART_PROCESS, symptom="signalling_ended",
        ),
        Row(
            id="C7 start hangs", fault=of(image, hang_signalling_start),
            remedy=Remedy.RESTART_PROCESS, symptom="start_hangs",
        ),
        Row(
            id="C10 token refused", fault=of(image, another_token), remedy=Remedy.PERSON,
            symptom="token_refused", mend=of(image, the_token),
        ),
        Row(
            id="C11 Caddy down", fault=of(image, lambda image: image.control("stop", "caddy")),
            remedy=Remedy.RESTART_PROCESS, reason=Reason.SYMPTOM, symptom="caddy_down",
        ),
        Row(
            id="C12 relay down", fault=of(image, lambda image: image.control("stop", "coturn")),
            remedy=Remedy.RESTART_PROCESS, symptom="relay_down",
        ),
        Row(
            id="C18 sound lost", fault=of(image, lambda image: image.control("stop", "pipewire")),
            remedy=Remedy.RESTART_PROCESS, symptom="audio_down",
        ),
        Row(
            id="C19 supervisord dead", fault=of(image, lose_supervisord), remedy=Remedy.REBOOT,
            symptom="supervisor_down",
        ),
        Row(
            id="C8 driver not to be had", fault=of(image, lose_driver), remedy=Remedy.REPLACE,
            symptom="driver_missing",
        ),
    )  # fmt: skip


async def test_an_application_is_put_on_air_and_kept_there(image: Image) -> None:
    container = Container(image)
    policy = {"probe_interval_s": 0.8, "probe_timeout_s": 0.5}
    async with Fleet(
        declared(image), furnish=container.furnish, policy=policy, look_s=0.3
    ) as fleet:
        await fleet.on_air()
        await play(fleet, table(image))
        assert fleet.spent().rented == 2
