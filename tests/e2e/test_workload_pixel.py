"""Pixel Streaming through the whole daemon: rented, auditioned, deployed, on air, cured row by row.

The image is below a folder of this box, with real supervisord, Caddy, coturn and the published signalling
library (tests/standins/pixel); keeper enters by a real sshd and looks by its own player. The rows are in two
tables, each on a host of its own: what a player tells and what needs a person, and what the host tells.
No fault waits for what keeper may cure meanwhile.
"""

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from keeper.core.model import Remedy
from keeper.core.reasons import Reason
from keeper.sim.ssh_host import LoopbackHost
from keeper.workloads import registered
from tests.e2e.real_hosts import Fleet, Row, play
from tests.standins.pixel.image import COMPONENTS, Image
from tests.waiting import look_until

pytestmark = [
    pytest.mark.real("sshd", *COMPONENTS),
    pytest.mark.timeout(600),
]

TUNNEL = "http://localhost:3000"
NAME = "Game"
PATIENCE_S = 150.0  # a reboot, or another host, and all that is put there


class Container:
    """The image of whichever host fills the slot: a reboot keeps its files, another host has its own."""

    def __init__(self, image: Image, *, is_spoilt_at_first: bool = False) -> None:
        self.image = image
        self._instance = 0
        self._is_spoilt = is_spoilt_at_first

    def furnish(self, host: LoopbackHost) -> None:
        # Let the sentinel ask often: what the host says must be here before viewers agree.
        host.variables |= {"keeper_ask_looks": "3", "keeper_workload_looks": "3"}
        host.variables["pixel_rare_looks"] = "1"
        number = int(host.contract.instance_id)
        if number == self._instance:
            self.image.reboot()
            return
        self.image.replace()
        if self._is_spoilt:
            (self.image.folder / "markers" / ".provisioning_failed").touch()
            (self.image.folder / "logs" / "boot_failures").write_text("provision.sh: exit 7\n")
        self._is_spoilt, self._instance = False, number


@pytest.fixture
def image(free_port: Callable[[], int]) -> Iterator[Image]:
    with tempfile.TemporaryDirectory(prefix="k-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        more = {"PIXEL_STREAMING_ARGS": "--rest_api --max_players=2"}
        image = Image(folder=Path(folder), free_port=free_port, env=more, tunnels=(TUNNEL,))
        yield image
        image.stop()


def declared(image: Image, **more: Any) -> dict[str, object]:
    """The workload, sent by keeper; its host has no GPU, and the audition says so and lets it pass.

    An application may take long until it is listed: who has just been restarted is not restarted again.
    """
    workload = image.declared(app={"start_s": 2, "stream_s": 60}, **more)
    archive = workload["archive"]
    workload["archive"] = {"local_path": archive["path"], "sha256": archive["sha256"]}
    plugin = registered()["pixel-streaming"]
    checks = plugin.build(plugin.settings.model_validate(workload), {}).audition()
    return {**workload, "audition": {"force": sorted({check.name for check in checks})}}


@asynccontextmanager
async def on_air(
    image: Image, workload: Mapping[str, object], *, looks: int, **more: Any
) -> AsyncIterator[Fleet]:
    """Put it on air; so many looks of a viewer must agree that it is bad."""
    policy = {
        "probe_interval_s": 0.8, "probe_timeout_s": 0.5, "failures_to_fail": looks,
        "replace_after_s": 10, "restarts_forgiven_s": 1,
    }  # fmt: skip
    container = Container(image, **more)
    async with Fleet(workload, furnish=container.furnish, policy=policy, look_s=0.3) as fleet:
        await fleet.on_air(patience_s=PATIENCE_S)
        yield fleet


def of(deed: Callable[[], object]) -> Callable[[Fleet], Awaitable[object]]:
    async def made(fleet: Fleet) -> None:
        await asyncio.to_thread(deed)

    return made


# --- faults -------------------------------------------------------------------------------------------


def game_of(image: Image) -> Path:
    return image.folder / "workspace" / "project" / "Linux" / "Game.sh"


def break_app(image: Image, words: str) -> None:
    """Let it end at each start with these words."""
    game = game_of(image)
    broken = game.with_suffix(".new")
    broken.write_text(f"#!/bin/sh\necho '{words}'\nexit 1\n")
    broken.chmod(0o755)
    game.rename(game.with_suffix(".kept"))
    broken.rename(game)
    image.signal("ue-app", signal.SIGKILL)


def mend_app(image: Image) -> None:
    game_of(image).with_suffix(".kept").rename(game_of(image))


def refuse_root(image: Image) -> None:
    """Until supervisord has given up: a person is told, and keeper leaves it as it is."""
    break_app(image, "Refusing to run with the root privileges.")
    image.until(lambda: "FATAL" in image.control("status", "ue-app"))


def start_mended_app(image: Image) -> None:
    mend_app(image)
    image.control("start", "ue-app")


def lose_driver(image: Image) -> None:
    """Nothing is waited for here: keeper takes another host as soon as the picture is gone."""
    with (image.folder / "logs" / "pixel-streaming.log").open("a") as log:
        log.write("Failed NVIDIA GPU driver download.\n")
    break_app(image, "LogVulkanRHI: Vulkan device not available")


def restart_signalling_with(image: Image, fault: str) -> None:
    """It was killed, and its next start goes wrong."""
    image.fault(fault)
    image.signal("pixel-streaming", signal.SIGKILL)


def take_token(image: Image, *token: str) -> None:
    image.write_caddyfile(*token)
    image.control("restart", "caddy")


# --- guests -------------------------------------------------------------------------------------------


class Guests:
    """Real players and a second streamer, who come and go by the published protocol."""

    def __init__(self, image: Image) -> None:
        self._ports = image.ports
        self._stack = AsyncExitStack()

    async def _connect(self, port: str) -> aiohttp.ClientWebSocketResponse:
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        address = f"ws://127.0.0.1:{self._ports[port]}"
        return await self._stack.enter_async_context(session.ws_connect(address))

    async def play(self, fleet: Fleet) -> None:
        """Watch: keeper's own look may hold the last place for a moment."""
        socket = await self._connect("page_inside")

        async def subscribe() -> str:
            await socket.send_json({"type": "subscribe", "streamerId": NAME})
            while True:
                told: dict[str, Any] = await socket.receive_json(timeout=60)
                if told["type"] in {"offer", "subscribeFailed"}:
                    return str(told["type"])

        await look_until(subscribe, lambda said: said == "offer", every_s=0.1, patience_s=60)

    async def play_and_leave(self, fleet: Fleet) -> None:
        """Do as the page does when nobody has moved the mouse for two minutes."""
        await self.play(fleet)
        await self.leave(fleet)

    async def fill(self, fleet: Fleet) -> None:
        await self.play(fleet)
        await self.play(fleet)

    async def stream(self, fleet: Fleet) -> None:
        """Take the name that is taken: the server adds a digit."""
        socket = await self._connect("streamer")
        await socket.send_json({"type": "endpointId", "id": NAME, "protocolVersion": "1.3.0"})
        while (told := await socket.receive_json(timeout=60))["type"] != "endpointIdConfirm":
            pass
        assert told["committedId"] == f"{NAME}1"

    async def leave(self, fleet: Fleet) -> None:
        await self._stack.aclose()


# --- the tables ---------------------------------------------------------------------------------------

PROCESS, PERSON, NOTHING = Remedy.RESTART_PROCESS, Remedy.PERSON, Remedy.NOTHING


def seen_or_left(image: Image, guests: Guests) -> tuple[Row, ...]:
    """Return what a player tells, what passes by itself, and what needs a person."""

    async def is_up(fleet: Fleet) -> bool:
        return "RUNNING" in await asyncio.to_thread(image.control, "status", "ue-app")

    return (
        Row(
            id="C1 supervisord brings the application back",
            fault=of(lambda: image.signal("ue-app", signal.SIGKILL)),
            remedy=NOTHING, proof=is_up, alert="KeeperStreamDark",  # it may take its time
        ),
        Row(
            id="C1 application given up on",
            fault=of(lambda: break_app(image, "LogInit: something passing")),
            remedy=PROCESS, causes=frozenset({"app_gave_up"}), mend=of(lambda: mend_app(image)),
        ),
        Row(
            id="C2 application hangs, and stays listed",
            fault=of(lambda: image.signal("ue-app", signal.SIGSTOP)),
            remedy=PROCESS, causes=frozenset({"offer_missing"}),
        ),
        Row(
            id="C3 frozen", fault=of(lambda: image.mood("frozen")), remedy=PROCESS,
            causes=frozenset({Reason.FROZEN}),
        ),
        Row(
            id="C3 black", fault=of(lambda: image.mood("black")), remedy=PROCESS,
            causes=frozenset({Reason.BLACK}),
        ),
        Row(
            id="C4 application refuses root", fault=of(lambda: refuse_root(image)),
            remedy=PERSON, symptom="app_as_root", mend=of(lambda: start_mended_app(image)),
        ),
        Row(
            id="C10 token refused", fault=of(lambda: take_token(image, "another")),
            remedy=PERSON, symptom="token_refused", mend=of(lambda: take_token(image)),
        ),
        Row(
            id="C12 relay down", fault=of(lambda: image.control("stop", "coturn")),
            remedy=PROCESS, causes=frozenset({"relay_down"}),
        ),
        Row(id="C13 viewer sent away when idle", fault=guests.play_and_leave, remedy=NOTHING),
        Row(
            id="C14 server full", fault=guests.fill, remedy=NOTHING, symptom="server_full",
            mend=guests.leave,
        ),
        Row(
            id="C15 two streamers stay listed", fault=guests.stream, remedy=PERSON,
            symptom="two_streamers", mend=guests.leave,
        ),
    )  # fmt: skip


def told_by_host(image: Image) -> tuple[Row, ...]:
    """Return what the host itself names."""

    def stop(program: str) -> Callable[[Fleet], Awaitable[object]]:
        return of(lambda: image.control("stop", program))

    def restart_with(fault: str) -> Callable[[Fleet], Awaitable[object]]:
        return of(lambda: restart_signalling_with(image, fault))

    # Rows that end the signalling server lie apart: what is ended twice in a short time keeps being started
    # again, which is C5, and nothing of that is left after a reboot.
    return (
        Row(
            id="C6 signalling ended well", fault=restart_with("exit0"),
            remedy=PROCESS, causes=frozenset({"signalling_ended"}),
        ),
        Row(
            id="C11 Caddy down", fault=stop("caddy"),
            remedy=PROCESS, causes=frozenset({"caddy_down"}),
        ),
        Row(
            id="C7 start hangs", fault=restart_with("hang"),
            remedy=PROCESS, causes=frozenset({"start_hangs"}),
        ),
        Row(
            id="C17 portal.yaml empty",
            fault=of(lambda: (image.folder / "portal.yaml").write_text("")),
            remedy=PERSON, symptom="portal_file_empty", mend=of(image.write_portal_file),
        ),
        Row(
            id="C9 placeholder: nobody behind the proxy", fault=restart_with("idle"),
            remedy=PROCESS, causes=frozenset({"page_down"}),
        ),
        Row(
            id="C18 sound lost", fault=stop("pipewire"),
            remedy=PROCESS, causes=frozenset({"audio_down"}),
        ),
        Row(
            id="C9 signalling hangs behind the proxy",
            fault=of(lambda: image.signal("pixel-streaming", signal.SIGSTOP)),
            remedy=PROCESS, causes=frozenset({"signalling_silent"}),
        ),
        Row(
            id="C20 tunnel gone", fault=of(lambda: image.tunnel(TUNNEL).unlink()),
            remedy=PROCESS, causes=frozenset({"tunnel_gone"}),
        ),
        Row(
            id="C5 signalling respawned under a RUNNING label", fault=restart_with("child"),
            remedy=PROCESS, causes=frozenset({"signalling_respawned"}),
        ),
        Row(
            id="C19 supervisord dead", fault=of(lambda: image.kill_supervisord_and("ue-app")),
            remedy=Remedy.REBOOT, causes=frozenset({"supervisor_down"}), patience_s=PATIENCE_S,
        ),
        Row(
            id="C8 driver not to be had", fault=of(lambda: lose_driver(image)),
            remedy=Remedy.REPLACE, causes=frozenset({"driver_missing"}), patience_s=PATIENCE_S,
        ),
    )  # fmt: skip


# Played before the table: the first host's provisioning has failed.
AT_FIRST = "C16 provisioning failed"


@pytest.mark.xdist_group("pixel and its players")
async def test_what_players_see_is_cured_and_what_needs_a_person_is_left(image: Image) -> None:
    workload = declared(
        image,
        # keeper looks beside viewers here: where it makes room for them, it is told of no full house.
        player={
            "sample_s": 1.2, "offer_s": 3, "watch_every_s": 5, "target_frames_per_s": 6,
            "rest_api": False,
        },
        image_layout={"caddy_restart_s": 60},  # the proxy is restarted by a person here
    )  # fmt: skip
    guests = Guests(image)
    async with on_air(image, workload, looks=3) as fleet:
        await play(fleet, seen_or_left(image, guests))
        assert fleet.spent().rented == 1


@pytest.mark.xdist_group("pixel and its host")
async def test_what_the_host_names_is_cured_there_or_left_for_another(image: Image) -> None:
    workload = declared(image, player={"offer_s": 4}, tunnel_url=TUNNEL)
    async with on_air(image, workload, looks=6, is_spoilt_at_first=True) as fleet:
        # C16: with the same script on another host, it goes well.
        assert fleet.spent().rented == 2
        left = await fleet.fact("instance.condemned", since=0)
        assert left["facts"]["reason"] == Reason.DEPLOY_FAILED
        failed = [each for each in fleet.events if each["event"] == "workload.deploy_failed"]
        assert failed
        assert all("provisioning has failed" in str(each["facts"]) for each in failed), failed
        await play(fleet, told_by_host(image))
        assert fleet.spent().rented == 3
