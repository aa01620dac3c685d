"""keeper's player against the published signalling library, an aiortc application, and real coturn."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from keeper.adapters.network import HttpNetwork
from keeper.bootstrap import open_daemon
from keeper.core.model import InstanceId, Reading, Status
from keeper.core.reasons import Reason
from keeper.ports import ConfigError, PlayerLimits, PlayerSample, Reached
from keeper.probes.grid import recall
from keeper.probes.player import read_player, symptom_of
from keeper.settings import load_settings
from keeper.workloads import PlayerView, Scene, View, ViewKind
from tests.components import require
from tests.waiting import eventually, look_until

pytestmark = [
    pytest.mark.real("node", "pixel-library", "turnserver"),
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("pixel player"),
]

HERE = Path(__file__).resolve().parents[2] / "standins" / "pixel"
VIEW = View(kind=ViewKind.WEBRTC, container_port=13000)
ME = InstanceId(7)
AT = datetime(2026, 11, 1, tzinfo=UTC)
LIST = PlayerLimits(timeout_s=30)  # it ends when it has the list
# The application and the player may each be slow on a busy box.
WATCH = PlayerLimits(
    is_subscribing=True, streamer_id="Game", offer_s=20, sample_s=0.6, timeout_s=40
)
# Long enough to tell a standstill without a target.
STARE = replace(WATCH, sample_s=1.3)


class Server:
    """The signalling server, its relay and its application, as processes."""

    def __init__(self, folder: Path, free_port: Callable[[], int]) -> None:
        self.folder = folder
        self.page, self.streamer, self.relay_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.page}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def _start(self, name: str, *words: object) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        environ = {**os.environ, "PIXEL_LIBRARY": str(require("pixel-library"))}
        self._running[name] = subprocess.Popen(
            [str(word) for word in words], stdout=log, stderr=log, env=environ
        )
        log.close()

    def relay(self, password: str = "pw") -> None:
        self._start(
            "relay", require("turnserver"), "-n", "-a", "--log-file=stdout", "--lt-cred-mech",
            "--fingerprint", "--no-stun", "--no-multicast-peers", "--no-cli", "--realm=vast.ai",
            f"--user=user:{password}", "-p", self.relay_port, "--listening-ip=127.0.0.1",
            "--relay-ip=127.0.0.1", "--allow-loopback-peers", f"--pidfile={self.folder}/turn.pid",
        )  # fmt: skip

    def signalling(self, *more: str) -> None:
        self._start(
            "signalling", require("node"), HERE / "signalling.cjs", "--player_port", self.page,
            "--streamer_port", self.streamer, "--turn", f"127.0.0.1:{self.relay_port}",
            "--turn-user", "user", "--turn-pass", "pw", *more,
        )  # fmt: skip

    def app(self, name: str = "app", streamer_id: str = "Game") -> None:
        self._start(
            name, sys.executable, HERE / "unreal_app.py", "-RenderOffscreen",
            f"-PixelStreamingURL=ws://127.0.0.1:{self.streamer}",
            f"-PixelStreamingID={streamer_id}", f"-Mood={self.folder}/mood",
        )  # fmt: skip

    def mood(self, mood: str) -> None:
        (self.folder / "mood").write_text(mood)

    def send(self, name: str, number: signal.Signals) -> None:
        self._running[name].send_signal(number)

    def end(self, name: str) -> None:
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def close(self) -> None:
        for name in list(self._running):
            self.end(name)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("pixel"), free_port)
    server.relay()
    server.signalling("--rest_api")
    server.app()
    yield server
    server.close()


@pytest.fixture
async def network() -> AsyncIterator[HttpNetwork]:
    network = HttpNetwork()
    yield network
    await network.close()


@pytest.fixture(autouse=True)
async def well(server: Server, network: HttpNetwork) -> None:
    """Begin each test with one live streamer that nobody watches."""
    server.mood("live")
    await listed(server, network, "Game")


async def listed(server: Server, network: HttpNetwork, *names: str) -> None:
    async def look() -> tuple[str, ...]:
        return (await network.sample_webrtc(server.url, LIST)).streamers

    await look_until(look, lambda found: sorted(found) == sorted(names), every_s=0.05)


def judged(sample: PlayerSample) -> Reading:
    reading = read_player(sample, VIEW, ME, AT)
    assert reading is not None
    return reading


@asynccontextmanager
async def viewer(server: Server, streamer_id: str = "Game") -> AsyncIterator[None]:
    """Somebody who watches, as far as the server can tell."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(server.url) as socket,
    ):
        await socket.send_json({"type": "subscribe", "streamerId": streamer_id})
        async for message in socket:
            if message.json()["type"] == "offer":
                break
        yield


async def watchers(server: Server) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{server.url}/api/streamers") as reply,
    ):
        return sum(len(each["subscribers"]) for each in await reply.json())


async def test_a_live_stream_is_seen_to_move_and_its_relay_gives_a_place(
    server: Server, network: HttpNetwork
) -> None:
    sample = await network.sample_webrtc(server.url, WATCH)
    assert (sample.reached, sample.watched, sample.has_relay) == (Reached.MEDIA, "Game", True)
    assert judged(sample).reason is Reason.LIVE
    assert sample.picture is not None
    assert sample.picture.newest_frame.startswith(b"\xff\xd8")
    assert sample.picture.bytes_read > 0
    assert (sample.picture.bright_luma or 0.0) > (sample.picture.mean_luma or 0.0), "a white square"
    assert (sample.picture.has_sound, sample.picture.sound_dbfs) == (False, None)
    heard = read_player(sample, replace(VIEW, expects_sound=True), ME, AT)
    assert heard is not None
    assert (heard.reason, heard.detail) == (Reason.NO_SOUND, "a picture, and no track of sound")
    assert symptom_of(sample, PlayerView(streamer_id="Game")) is None
    # It has taken its leave: the application counts no player that is gone.
    await look_until(lambda: watchers(server), lambda count: count == 0)


async def test_a_look_that_lists_is_noticed_by_no_application(
    server: Server, network: HttpNetwork
) -> None:
    before = (server.folder / "app.log").read_text()
    sample = await network.sample_webrtc(server.url, LIST)
    assert (sample.reached, sample.streamers) == (Reached.LISTED, ("Game",))
    assert read_player(sample, VIEW, ME, AT) is None
    assert await watchers(server) == 0
    assert (server.folder / "app.log").read_text() == before


@pytest.mark.parametrize(
    ("mood", "reason"),
    [("frozen", Reason.FROZEN), ("black", Reason.BLACK), ("silent", Reason.NO_BYTES)],
)
async def test_a_picture_that_is_none_is_told(
    server: Server, network: HttpNetwork, mood: str, reason: Reason
) -> None:
    """C3: process, server and list all stay green over it."""
    server.mood(mood)
    reading = judged(await network.sample_webrtc(server.url, STARE))
    assert (reading.status, reading.reason) == (Status.FALSE, reason)


async def test_a_scene_that_stands_is_known_to_a_player(
    server: Server, network: HttpNetwork
) -> None:
    server.mood("frozen")
    sample = await network.sample_webrtc(server.url, STARE)
    assert judged(sample).reason is Reason.FROZEN
    assert sample.picture is not None
    kept = recall(sample.picture.memory)
    assert kept is not None
    view = replace(VIEW, scenes=(Scene(name="menu", grid=kept.newest.grid),))
    reading = read_player(sample, view, ME, AT)
    assert reading is not None
    assert (reading.reason, reading.detail) == (Reason.STATIC_BY_DESIGN, "it shows menu")


@pytest.mark.parametrize(
    ("mood", "low", "high"),
    [("tone", -30.0, -10.0), ("hush", -120.0, -90.0), ("mute", -120.0, -120.0)],
)
async def test_what_is_heard_is_measured_and_silence_is_found_where_sound_is_expected(
    server: Server, network: HttpNetwork, mood: str, low: float, high: float
) -> None:
    """Over silence the picture moves, and every light is green."""
    server.mood(mood)
    sample = await network.sample_webrtc(server.url, replace(WATCH, sample_s=1.0))
    assert sample.picture is not None
    assert sample.picture.has_sound
    assert sample.picture.sound_dbfs is not None
    assert low <= sample.picture.sound_dbfs <= high
    assert judged(sample).reason is Reason.LIVE, "nobody expects sound unless it is declared"
    heard = read_player(sample, replace(VIEW, expects_sound=True), ME, AT)
    assert heard is not None
    assert heard.reason is (Reason.LIVE if mood == "tone" else Reason.NO_SOUND)


async def test_an_application_that_hangs_stays_listed_and_is_found(
    server: Server, network: HttpNetwork
) -> None:
    server.send("app", signal.SIGSTOP)
    try:
        assert (await network.sample_webrtc(server.url, LIST)).streamers == ("Game",)
        sample = await network.sample_webrtc(server.url, replace(WATCH, offer_s=1.5))
    finally:
        server.send("app", signal.SIGCONT)
    assert sample.reached is Reached.SUBSCRIBED
    assert judged(sample).reason is Reason.NO_BYTES
    symptom = symptom_of(sample, PlayerView())
    assert symptom is not None
    assert symptom.code == "offer_missing"


async def test_it_stays_away_while_somebody_watches(server: Server, network: HttpNetwork) -> None:
    async with viewer(server):
        limits = PlayerLimits(is_subscribing=True, has_rest=True, timeout_s=30)
        sample = await network.sample_webrtc(server.url, limits)
        assert await watchers(server) == 1
    assert (sample.has_left, sample.others, sample.reached) == (True, 1, Reached.LISTED)
    assert read_player(sample, VIEW, ME, AT) is None
    assert symptom_of(sample, PlayerView()) is None


async def test_it_leaves_as_soon_as_somebody_begins_to_watch(
    server: Server, network: HttpNetwork
) -> None:
    limits = PlayerLimits(is_subscribing=True, has_rest=True, sample_s=8.0, timeout_s=20)

    async def come() -> None:
        await look_until(lambda: watchers(server), lambda count: count == 1)
        async with viewer(server):
            await look_until(lambda: watchers(server), lambda count: count == 1)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(network.sample_webrtc(server.url, limits))
        group.create_task(come())
    sample = looking.result()
    assert sample.has_left
    assert sample.picture is None or sample.picture.sampled_s < 7
    assert not sample.is_own_fault


async def sockets(server: Server) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/api/status") as reply:
        return int((await reply.json())["player_count"])


async def gets_in(server: Server, told: list[str]) -> None:
    """Play as a page does that asks again when it was refused, and stay for a moment."""
    async with aiohttp.ClientSession() as session, session.ws_connect(server.url) as socket:
        await socket.send_json({"type": "subscribe", "streamerId": "Game"})
        async for message in socket:
            said = message.json()["type"]
            if said in {"offer", "subscribeFailed"}:
                told.append(said)
            if said == "offer":
                await look_until(lambda: watchers(server), lambda count: count == 1)
                return
            if said == "subscribeFailed":
                await asyncio.sleep(0.1)
                await socket.send_json({"type": "subscribe", "streamerId": "Game"})


async def test_the_one_place_of_a_server_is_given_up_for_whoever_comes_while_keeper_watches(
    network: HttpNetwork, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    server = Server(tmp_path, free_port)
    server.signalling("--rest_api", "--max_players", "1")
    server.app()
    limits = PlayerLimits(
        is_subscribing=True, has_rest=True, places=1, offer_s=20, sample_s=60.0, timeout_s=90
    )
    try:
        await listed(server, network, "Game")
        told: list[str] = []

        async def come() -> None:
            await look_until(lambda: watchers(server), lambda count: count == 1)
            await gets_in(server, told)

        async with asyncio.TaskGroup() as group:
            looking = group.create_task(network.sample_webrtc(server.url, limits))
            group.create_task(come())
        sample = looking.result()
        assert told[-1] == "offer"  # refused before that, or not: the two race
        assert (sample.has_left, sample.others) == (True, 1)
        assert not sample.is_own_fault

        # Nor is it taken while somebody is about to: connected, and not asked for it yet.
        await look_until(lambda: sockets(server), lambda count: count == 0)
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url):
            sample = await network.sample_webrtc(server.url, limits)
            assert (sample.has_left, sample.reached) == (True, Reached.LISTED)
            assert await watchers(server) == 0

        # And a look leaves the server's counts as they were.
        await look_until(lambda: sockets(server), lambda count: count == 0)
        sample = await network.sample_webrtc(server.url, replace(limits, sample_s=0.6))
        assert (sample.reached, sample.has_left) == (Reached.MEDIA, False)
        await look_until(lambda: watchers(server), lambda count: count == 0)
        await look_until(lambda: sockets(server), lambda count: count == 0)
    finally:
        server.close()


async def test_an_application_that_ends_under_the_look_is_no_fault_of_this_box(
    server: Server, network: HttpNetwork
) -> None:
    async def end() -> None:
        await look_until(lambda: watchers(server), lambda count: count == 1)
        server.end("app")

    limits = PlayerLimits(is_subscribing=True, sample_s=8.0, timeout_s=20)
    try:
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(network.sample_webrtc(server.url, limits))
            group.create_task(end())
        assert not looking.result().is_own_fault
        sample = await network.sample_webrtc(server.url, WATCH)
        assert (sample.reached, sample.streamers) == (Reached.LISTED, ())
        assert judged(sample).status is Status.FALSE
    finally:
        server.app()


async def test_two_of_one_name_are_told_and_the_one_that_is_there_is_watched(
    server: Server, network: HttpNetwork
) -> None:
    """C15: an application that came back before its old socket was gone has a digit more."""
    server.app("second")
    try:
        await listed(server, network, "Game", "Game1")
        server.send("app", signal.SIGSTOP)  # the old one
        other = PlayerLimits(
            is_subscribing=True, streamer_id="Game1", offer_s=1.5, sample_s=0.6, timeout_s=9
        )
        sample = await network.sample_webrtc(server.url, other)
        assert judged(sample).reason is Reason.LIVE
        symptom = symptom_of(sample, PlayerView(streamer_id="Game"))
        assert symptom is not None
        assert symptom.code == "two_streamers"
    finally:
        server.send("app", signal.SIGCONT)
        server.end("second")


async def test_a_relay_that_refuses_or_is_gone_is_told_though_the_picture_moves(
    server: Server, network: HttpNetwork
) -> None:
    """C12: who looks from nearby needs no relay, and sees nothing of it."""
    try:
        for password in ("another", ""):
            server.end("relay")
            if password:
                server.relay(password)
            sample = await network.sample_webrtc(server.url, WATCH)
            assert (sample.reached, sample.has_relay) == (Reached.MEDIA, False)
            assert judged(sample).reason is Reason.LIVE
            symptom = symptom_of(sample, PlayerView())
            assert symptom is not None
            assert (symptom.code, symptom.spoils_view) == ("relay_failed", True)
            assert symptom_of(sample, PlayerView(needs_relay=False)) is None
            if not password:
                server.relay()
    finally:
        with suppress(KeyError):
            server.end("relay")
        server.relay()


async def test_a_full_server_and_one_that_says_nothing_are_told_apart(
    network: HttpNetwork, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """C14 is no fault; C9 is one: the kernel accepts for a server that hangs."""
    server = Server(tmp_path, free_port)
    server.signalling("--max_players", "1")
    server.app()
    try:
        await listed(server, network, "Game")
        async with viewer(server):
            sample = await network.sample_webrtc(server.url, WATCH)
        assert sample.is_full
        assert read_player(sample, VIEW, ME, AT) is None
        symptom = symptom_of(sample, PlayerView())
        assert symptom is not None
        assert (symptom.code, sample.places) == ("server_full", 1)

        # It takes so many, and does not say who watches: a place that may be a person's is left alone.
        before = (server.folder / "app.log").read_text()
        sample = await network.sample_webrtc(server.url, replace(WATCH, has_rest=True, places=1))
        assert (sample.has_left, sample.reached) == (True, Reached.LISTED)
        assert sample.error == "the server does not say whether a place is free"
        assert (server.folder / "app.log").read_text() == before

        server.send("signalling", signal.SIGSTOP)
        sample = await network.sample_webrtc(server.url, LIST)
        server.send("signalling", signal.SIGCONT)
        assert sample.reached is Reached.CONNECTED
        assert judged(sample).reason is Reason.NO_BYTES

        server.end("signalling")
        sample = await network.sample_webrtc(server.url, LIST)
        assert (sample.reached, sample.error) == (Reached.NOWHERE, "refused")
        server.signalling("--mute")
        await eventually(lambda: "listening" in (tmp_path / "signalling.log").read_text()[-200:])
    finally:
        server.close()


async def test_a_box_without_the_extra_can_list_and_says_that_it_cannot_watch(
    server: Server, network: HttpNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiortc", None)  # as if it were not there
    assert (await network.sample_webrtc(server.url, LIST)).streamers == ("Game",)
    sample = await network.sample_webrtc(server.url, WATCH)
    assert sample.is_own_fault
    assert judged(sample).status is Status.UNKNOWN
    assert "webrtc" in judged(sample).detail


async def test_a_keeper_without_the_extra_does_not_start_for_such_a_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiortc", None)
    config = tmp_path / "keeper.yaml"
    config.write_text(
        f"{{state_dir: {tmp_path}/state, vast: {{url: 'http://127.0.0.1:9'}}, streams: [{{"
        "name: show, workload: {kind: pixel-streaming, app: {executable: Game.sh}}}]}"
    )
    settings = load_settings(config, {"VAST_API_KEY": "k"})
    with pytest.raises(ConfigError, match="extra webrtc"):
        async with open_daemon(settings, check_key=False):
            pass


# --- servers that are no servers ----------------------------------------------------------------------

CONFIG = {"type": "config", "peerConnectionOptions": {"iceServers": []}}


async def _garbage(socket: web.WebSocketResponse) -> None:
    for _ in range(50):
        await socket.send_str("\x00{not json")
    await asyncio.sleep(30)


async def _endless(socket: web.WebSocketResponse) -> None:
    for _ in range(5000):
        await socket.send_json({"type": "pong", "time": 1})


async def _huge(socket: web.WebSocketResponse) -> None:
    await socket.send_str("x" * 3_000_000)
    await asyncio.sleep(30)


async def _deep(socket: web.WebSocketResponse) -> None:
    for _ in range(20):
        await socket.send_str("[" * 100_000)
    await asyncio.sleep(30)


async def _bad_offer(socket: web.WebSocketResponse, sdp: str = "v=0\r\nm=nonsense") -> None:
    await socket.send_json(
        {**CONFIG, "peerConnectionOptions": {"iceServers": [{"urls": ["turn::0", "turn:x:99999"]}]}}
    )
    await socket.send_json({"type": "streamerList", "ids": ["\x1b[31mA", "B"]})
    await socket.send_json({"type": "offer", "sdp": sdp})
    await asyncio.sleep(30)


async def _huge_offer(socket: web.WebSocketResponse) -> None:
    await _bad_offer(socket, "v=0\r\n" + "a=x\r\n" * 40_000)


async def _nameless(socket: web.WebSocketResponse) -> None:
    await socket.send_json(CONFIG)
    await socket.send_json({"type": "streamerList", "ids": ["x" * 5000] * 40})
    await asyncio.sleep(30)


HOSTILE: dict[str, tuple[Callable[[web.WebSocketResponse], Any], Reached]] = {
    "garbage": (_garbage, Reached.CONNECTED),
    "endless": (_endless, Reached.CONNECTED),
    "huge message": (_huge, Reached.CONNECTED),
    "deep": (_deep, Reached.CONNECTED),
    "bad offer": (_bad_offer, Reached.OFFERED),
    "huge offer": (_huge_offer, Reached.SUBSCRIBED),
    "huge names": (_nameless, Reached.LISTED),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_stranger_on_the_port_holds_nothing_up(name: str, network: HttpNetwork) -> None:
    talk, reached = HOSTILE[name]

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        with suppress(ConnectionError):
            await talk(socket)
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        limits = PlayerLimits(is_subscribing=True, greeting_s=1.0, offer_s=1.0, timeout_s=30)
        sample = await network.sample_webrtc(f"http://127.0.0.1:{port}", limits)
    finally:
        await runner.cleanup()
    assert sample.reached is reached, sample
    reading = judged(sample)
    assert reading.status is not Status.TRUE
    assert len(reading.detail) <= 200
    assert reading.detail.isprintable()
    assert all(name.isprintable() and len(name) <= 80 for name in sample.streamers)
    assert not [pid for pid in _players() if pid]


def _players() -> list[int]:
    """The players that this process has left behind."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            fields = stat.read_text().rpartition(") ")[2].split()
            if int(fields[1]) == os.getpid() and fields[0] != "Z":
                line = (stat.parent / "cmdline").read_bytes()
                if b"webrtc_player" in line:
                    found.append(int(stat.parent.name))
    return found
