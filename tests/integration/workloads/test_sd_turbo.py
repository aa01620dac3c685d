"""SD-Turbo's stand-in on a real SSH host: deployed, seen, broken, cured."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from keeper.adapters.network import HttpNetwork
from keeper.core.model import Reading, Status
from keeper.core.reasons import Reason
from keeper.ports import HttpRequest, Link, PictureLimits
from keeper.probes.picture import read_picture
from keeper.workloads import Workload
from tests.integration.workloads.conftest import (
    AT,
    INSTANCE,
    carry_out,
    sd_turbo,
    watching,
)
from tests.waiting import eventually, is_running

pytestmark = [pytest.mark.real("sshd"), pytest.mark.timeout(120)]

LIMITS = PictureLimits(sample_s=1.5, timeout_s=4.0)


class OnAir:
    """A deployed test card, and a viewer who looks through the link."""

    def __init__(self, workload: Workload, link: Link, network: HttpNetwork, port: int) -> None:
        self.workload, self.link, self.network, self.port = workload, link, network, port

    async def look(self) -> Reading:
        view = self.workload.view()
        address = await self.link.forward(self.port)
        url = f"http://{address.host}:{address.port}{view.path}"
        sample = await self.network.sample_mjpeg(url, LIMITS)
        return read_picture(sample, view, INSTANCE, AT)

    async def look_until(self, reason: Reason) -> Reading:
        """Look again until the picture is so: the generator reads its faults once a second."""
        async with asyncio.timeout(60):
            while (reading := await self.look()).reason is not reason:
                pass
        return reading


@pytest.fixture
async def on_air(
    link: Link, network: HttpNetwork, workdir: Path, free_port: Callable[[], int]
) -> OnAir:
    port = free_port()
    workload = sd_turbo(workdir, port, prompt="a 'quoted' $HOME cat")
    await carry_out(link, workload.deploy())
    on_air = OnAir(workload, link, network, port)
    await on_air.look_until(Reason.LIVE)
    return on_air


async def test_deploys_and_the_viewer_sees_it_move(on_air: OnAir) -> None:
    reading = await on_air.look_until(Reason.LIVE)
    assert reading.status is Status.TRUE
    assert reading.numbers["unique_frames_per_s"] > 1
    assert reading.numbers["mean_luma"] > 20


async def test_the_log_tells_of_viewers_and_not_of_keepers_looks(
    on_air: OnAir, workdir: Path
) -> None:
    log = workdir / "server.log"
    await on_air.look_until(Reason.LIVE)
    assert "Client" not in log.read_text()
    address = await on_air.link.forward(on_air.port)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await reader.readuntil(b"--frame")
    writer.close()
    await eventually(lambda: "Client disconnected" in log.read_text())
    assert "Client connected" in log.read_text()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("freeze", Reason.FROZEN), ("black", Reason.BLACK), ("stall", Reason.NO_BYTES)],
)
async def test_restart_of_the_process_cures_a_bad_picture(
    on_air: OnAir, workdir: Path, fault: str, reason: Reason
) -> None:
    async with watching(on_air.link, on_air.workload) as sentinel:
        before = await sentinel.until_up()
        (workdir / "fault").write_text(fault)
        assert (await on_air.look_until(reason)).status is Status.FALSE
        await carry_out(on_air.link, on_air.workload.restart_process())
        await sentinel.until_up(after=before.identity)
    await on_air.look_until(Reason.LIVE)
    assert (workdir / "server.log.1").exists()


async def test_crash_is_seen_from_inside_and_outside(on_air: OnAir, workdir: Path) -> None:
    async with watching(on_air.link, on_air.workload) as sentinel:
        await sentinel.until_up()
        (workdir / "fault").write_text("crash")
        reading = await sentinel.until(Reason.PROCESS_GONE)
    assert reading.status is Status.FALSE
    assert reading.is_certain
    await on_air.look_until(Reason.UNREACHABLE)
    await carry_out(on_air.link, on_air.workload.restart_workload())
    await on_air.look_until(Reason.LIVE)


async def test_stopped_process_is_visible_and_is_ended_for_certain(
    on_air: OnAir, workdir: Path
) -> None:
    """SIGTERM waits for ever at a process that SIGSTOP holds."""
    pid = int((workdir / ".keeper" / "server.pid").read_text().split()[0])
    async with watching(on_air.link, on_air.workload) as sentinel:
        await sentinel.until_up()
        os.kill(pid, signal.SIGSTOP)
        reading = await sentinel.until(Reason.PROCESS_UP)
        assert reading.detail == "suspended by a signal"
        assert (await on_air.look()).reason is Reason.NO_BYTES
        await carry_out(on_air.link, on_air.workload.restart_process())
        await sentinel.until_up(after=reading.identity)
    await on_air.look_until(Reason.LIVE)


async def test_deploying_twice_leaves_one_server(on_air: OnAir, workdir: Path) -> None:
    first = (workdir / ".keeper" / "server.pid").read_text()
    await carry_out(on_air.link, on_air.workload.deploy())
    assert (workdir / ".keeper" / "server.pid").read_text() != first
    await eventually(lambda: not is_running(int(first.split()[0])))
    await on_air.look_until(Reason.LIVE)


async def test_prompt_is_taken_and_answered_exactly(on_air: OnAir) -> None:
    address = await on_air.link.forward(on_air.port)
    base = f"http://{address.host}:{address.port}"
    ok = await on_air.network.fetch(
        HttpRequest(method="POST", url=f"{base}/prompt", body=b'{"prompt":"d\\u00f6g"}')
    )
    missing = await on_air.network.fetch(
        HttpRequest(method="POST", url=f"{base}/prompt", body=b"{}")
    )
    page = await on_air.network.fetch(HttpRequest(method="GET", url=f"{base}/"))
    none = await on_air.network.fetch(HttpRequest(method="GET", url=f"{base}/health"))
    assert (ok.status, ok.body) == (200, b'{"status":"ok","prompt":"d\\u00f6g"}')
    assert (missing.status, missing.body) == (400, b'{"error":"prompt missing"}')
    assert page.status == 200
    assert b'<img src="/stream"' in page.body
    assert none.status == 404


async def test_start_that_dies_at_once_says_why(
    link: Link, workdir: Path, free_port: Callable[[], int]
) -> None:
    workload = sd_turbo(workdir, free_port(), env={"SERVER_HOST": "203.0.113.1"})
    *steps, verify = workload.deploy()
    await carry_out(link, tuple(steps))
    pid = int((workdir / ".keeper" / "server.pid").read_text().split()[0])
    await eventually(lambda: not is_running(pid))  # on a busy machine Python is long in starting
    result = await link.run(verify)  # type: ignore[arg-type]
    assert result.exit_code == 1
    assert "Cannot assign requested address" in result.stderr


async def test_crash_loop_for_demonstrations_survives_restarts(
    link: Link, workdir: Path, free_port: Callable[[], int]
) -> None:
    workdir.mkdir()
    (workdir / "crashloop").touch()
    workload = sd_turbo(workdir, free_port())
    *steps, _ = workload.deploy()
    async with watching(link, workload) as sentinel:
        await sentinel.until(Reason.PROCESS_GONE)
        await carry_out(link, tuple(steps))
        first = await sentinel.until_up()
        await sentinel.until(Reason.PROCESS_GONE)
        await carry_out(link, workload.restart_process()[:-1])
        await sentinel.until_up(after=first.identity)
        await sentinel.until(Reason.PROCESS_GONE)
