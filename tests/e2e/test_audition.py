"""Auditions through the whole daemon: a host that lacks what it needs is ended, and another goes on air.

There its disk fills up, and a person is told.

The hosts are the simulator's own (keeper/sim/hardware.py: a driver, a browser and a display of stand-ins)
behind real sshd; the first of each fleet lacks something. No check is forced.
"""

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from keeper.core.reasons import Reason
from keeper.sim import hardware
from keeper.sim.ssh_host import LoopbackHost
from tests.components import REPOSITORY
from tests.duel import SECRETS, Stage
from tests.e2e.real_hosts import SLOT, Fleet, Furnish, Spent, put_program
from tests.e2e.test_workload_pixel import Container
from tests.standins.pixel.image import COMPONENTS, Image

pytestmark = [pytest.mark.real("sshd"), pytest.mark.timeout(400)]

DOLLARS_MAX = 0.05
# A failed host is over in seconds; what is avoided must stay so until the next one is rented.
POLICY = {"audition_max_dollars": DOLLARS_MAX, "probe_interval_s": 1.4, "probe_timeout_s": 1.1}
FLEET = {"quarantine_s": [3600]}
# The disk is this box's.
ROOM: dict[str, Any] = {"disk_free_min_ratio": 0}


class FirstLacks:
    """Takes something from the first host of a fleet, and from no other."""

    def __init__(self, take: Furnish, then: Furnish = lambda _: None) -> None:
        self.instance_id = 0
        self._take = take
        self._then = then

    def furnish(self, host: LoopbackHost) -> None:
        number = int(host.contract.instance_id)
        self.instance_id = self.instance_id or number
        if number == self.instance_id:
            self._take(host)
        self._then(host)


def fault(name: str) -> Furnish:
    return lambda host: (host.bin / name).touch()


def misfit_driver(host: LoopbackHost) -> None:
    """Break what only the audition asks for: the sentinel must not be the first who sees it."""
    (host.bin / "nvidia-smi").rename(host.bin / "nvidia-smi.kept")
    put_program(
        host,
        "nvidia-smi",
        """case "$*" in *driver_version*)
    echo 'Failed to initialize NVML: Driver/library version mismatch'
    exit 18
    ;;
esac
exec "$(dirname "$0")/nvidia-smi.kept" "$@"
""",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A workload, what its first host lacks, and the check that says so."""

    workload: dict[str, Any]
    take: Furnish
    check: str
    passed: tuple[str, ...]  # of the second, among what it is told to have shown
    then: Furnish = lambda _: None
    secrets: dict[str, str] | None = None


@asynccontextmanager
async def duel(free_port: Callable[[], int]) -> AsyncIterator[Row]:
    """Its browser finds no GPU; the second host greets a real RTMP server and measures an upload."""
    with tempfile.TemporaryDirectory(prefix="k-", ignore_cleanup_errors=True) as folder:
        stage = Stage(Path(folder), free_port)
        stage.open()
        async with taking_uploads() as address:
            try:
                declared = stage.declared(
                    workdir="hyperscape",
                    secrets_file="secrets.env",
                    deploy_log="log/deploy-vast.log",
                    address="$SERVER_HOST",
                    publish=[stage.port],
                    commit=stage.commit_id,
                    ingest=f"127.0.0.1:{stage.first.port}",
                    bitrate_bps=50_000,
                    disk_gb=2,
                    audition={**ROOM, "upload_test_url": address},
                )
                declared["pm2"] = {**declared["pm2"], "home": ""}
                yield Row(
                    workload=declared,
                    secrets=SECRETS,
                    take=fault("webgpu-lost"),
                    check="webgpu",
                    passed=(
                        "webgpu: headless-vulkan draws on nvidia",
                        "upload: ",
                        f"ingest: 127.0.0.1:{stage.first.port} answers RTMP's greeting",
                        f"port: port {stage.port} can be reached",
                    ),
                )
            finally:
                stage.close()


@asynccontextmanager
async def taking_uploads() -> AsyncIterator[str]:
    async def take(request: web.Request) -> web.Response:
        async for _ in request.content.iter_chunked(65_536):
            pass
        return web.Response()

    app = web.Application(client_max_size=2**24)
    app.router.add_put("/{anything:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/up"
    finally:
        await runner.cleanup()


# What sets up and runs the server: the card draws, as there is no model here.
_PYTHON = """case "$1" in sd_turbo_model.py) exit 0 ;; esac
PYTHONPATH='{payload}' BACKEND=test-card
export PYTHONPATH BACKEND
exec python3 "$@"
"""


@asynccontextmanager
async def sd_turbo(free_port: Callable[[], int]) -> AsyncIterator[Row]:
    """Its driver does not fit its library."""
    payload = REPOSITORY / "keeper" / "workloads" / "payload"

    def furnish(host: LoopbackHost) -> None:
        host.variables["keeper_workload_looks"] = "2"
        put_program(host, "turbo-python", _PYTHON.format(payload=payload))

    yield Row(
        workload={
            "kind": "sd-turbo", "workdir": "turbo", "port": free_port(), "bind": "0.0.0.0",
            "python": "turbo-python", "pins": "custom", "requirements": ["pillow"], "disk_gb": 2,
            "target_frames_per_s": 10.0, "slow_ratio": 0, "audition": ROOM,
        },
        take=misfit_driver,
        check="gpu",
        passed=("gpu: NVIDIA", "port: ", "clock: "),
        then=furnish,
    )  # fmt: skip


@asynccontextmanager
async def pixel(free_port: Callable[[], int]) -> AsyncIterator[Row]:
    """It draws in software."""
    with tempfile.TemporaryDirectory(prefix="k-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        image = Image(folder=Path(folder), free_port=free_port)
        try:
            workload = image.declared(
                player={"sample_s": 1.2, "offer_s": 1.5, "watch_every_s": 5},
                app={"stream_s": 8},
                disk_gb=2,
                audition=ROOM,
            )
            yield Row(
                workload=workload,
                take=fault("software-rendering"),
                check="vulkan",
                passed=("encoder: a second of video", "vulkan: Vulkan draws on NVIDIA", "port: "),
                then=Container(image).furnish,
            )
        finally:
            image.stop()


Made = Callable[[Callable[[], int]], Any]


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(sd_turbo, id="sd-turbo"),
        pytest.param(
            duel,
            id="hyperscape-duel",
            marks=[
                pytest.mark.real("pm2", "node", "ffmpeg", "nginx-rtmp", "curl"),
                pytest.mark.xdist_group("duel and its platform"),
            ],
        ),
        pytest.param(
            pixel,
            id="pixel-streaming",
            marks=[pytest.mark.real(*COMPONENTS), pytest.mark.xdist_group("pixel hosts")],
        ),
    ],
)
async def test_a_host_that_lacks_something_is_ended_and_another_goes_on_air(
    free_port: Callable[[], int], made: Made
) -> None:
    async with made(free_port) as row:
        hosts = FirstLacks(row.take, row.then)
        async with Fleet(
            row.workload, secrets=row.secrets, furnish=hosts.furnish, policy=POLICY, fleet=FLEET
        ) as fleet:
            await _play(fleet, row)
            await _tells_of_a_full_disk(fleet)


async def _tells_of_a_full_disk(fleet: Fleet) -> None:
    """H10, on any host: a person is told before the stream stops, and nothing is spent on it."""
    before, since = fleet.spent(), len(fleet.messages)
    (fleet.host.bin / hardware.DISK_FULL_FILE).touch()

    async def told() -> bool:  # this box's own disk may have been nearly full before
        said = [each["alert"] for message in fleet.messages[since:] for each in message["lines"]]
        wanted = ("KeeperDiskFull", "critical", SLOT)
        return wanted in {(each["name"], each["severity"], each["slot"]) for each in said}

    await fleet.until("the alert of a full disk", told)
    await fleet.ticks(2)
    assert fleet.spent() - before == Spent(), fleet.story()
    assert (await fleet.status())["is_on_air"]


async def _play(fleet: Fleet, row: Row) -> None:
    condemned = await fleet.fact(
        "instance.condemned", since=0, reason=Reason.AUDITION_FAILED, patience_s=120
    )
    first = condemned["facts"]["instance_id"]
    failed = await fleet.fact("audition.ended", since=0, instance_id=first)
    assert (failed["facts"]["meaning"], failed["facts"]["check"]) == ("replace", row.check)
    assert row.check.replace("_", " ") in failed["words"]

    second = await fleet.on_air(patience_s=120)
    assert str(second.instance_id) != str(first)
    passed = await fleet.fact("audition.ended", since=0, instance_id=second.instance_id)
    assert passed["facts"]["meaning"] is None, fleet.story()
    for said in row.passed:
        assert said in passed["facts"]["passed"], passed["facts"]["passed"]
    noted = [e for e in fleet.events if e["event"] == "audition.found"]
    assert {e["facts"]["instance_id"] for e in noted} == {first}, fleet.story()

    ended = await fleet.fact("instance.ended", since=0, instance_id=first)
    assert float(ended["facts"]["dollars"]) <= DOLLARS_MAX
    put_there = [
        e["facts"]["instance_id"] for e in fleet.events if e["event"] == "workload.deployed"
    ]
    assert put_there == [second.instance_id], fleet.story()
    await _avoids_the_machine(fleet, first)


async def _avoids_the_machine(fleet: Fleet, first: int) -> None:
    quarantined = await fleet.fact("machine.quarantined", since=0)
    rentals = fleet.sim.ledger.rentals
    assert len(rentals) == 2
    machines = [rental.machine_id for rental in rentals.values()]
    assert quarantined["facts"]["machine_id"] == machines[0]
    assert machines[1] != machines[0]
    assert not rentals[first].is_live
