"""SD-Turbo's failure catalogue on a real SSH host with the real process: seen, named, cured.

Each row makes the fault on the host, hears of it by the workload's own sentinel and does what the row's
remedy says. One host for all rows of a worker; the test card stands in for the model, and says word for
word what the libraries would.
"""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from keeper.adapters.network import HttpNetwork
from keeper.core.model import Reading, Remedy, Status, Subject
from keeper.core.reasons import Reason
from keeper.ports import HttpRequest, Link, PortError
from keeper.workloads import Workload
from keeper.workloads.sd_turbo.symptoms import ROWS
from tests.integration.workloads.conftest import Sentinel, carry_out, sd_turbo, watching
from tests.real_sshd import running_sshd
from tests.waiting import eventually, is_running, look_until

pytestmark = [
    pytest.mark.real("sshd"),
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="module"),
]

# No curl in sight of a minute's patience: tight enough to be over soon, loose enough for a busy box.
TIGHT = {"stuck_s": 5, "slow_s": 0, "target_frames_per_s": 10.0, "viewers_max": 20}


@dataclass
class Host:
    """A host on which the workload runs well, and ways to spoil that."""

    workdir: Path
    port: int
    link: Link
    network: HttpNetwork
    workload: Workload
    sentinel: Sentinel

    @property
    def pid(self) -> int:
        return int((self.workdir / ".keeper" / "server.pid").read_text().split()[0])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def break_card(self, word: str) -> None:
        (self.workdir / "fault").write_text(word)

    async def until_named(self, code: str) -> Reading:
        """Return the next reading that names this symptom; the sentinel speaks on change."""
        while True:
            reading = await self.sentinel.until(Reason.SYMPTOM, Subject.WORKLOAD)
            assert reading.symptom is not None
            if reading.symptom.code == code:
                return reading

    async def until_well(self) -> Reading:
        return await self.sentinel.until(Reason.WORKLOAD_WELL, Subject.WORKLOAD)

    async def ask(self, path: str, body: bytes | None = None) -> int:
        """Return the status of an answer; 0: there was none."""
        method = "GET" if body is None else "POST"
        try:
            request = HttpRequest(method=method, url=f"{self.url}{path}", body=body or b"")
            return (await self.network.fetch(request)).status
        except PortError:
            return 0

    async def cure(self, symptom: str, remedy: Remedy) -> None:
        """Do what the daemon would do first."""
        match remedy:
            case Remedy.RESTART_PROCESS:
                await carry_out(self.link, self.workload.restart_process(symptom))
            case Remedy.RESTART_WORKLOAD:
                await carry_out(self.link, self.workload.restart_workload(symptom))
            case Remedy.REBOOT | Remedy.REPLACE | Remedy.PERSON | Remedy.NOTHING:
                # Nothing to be carried out on this host; another one would have no fault, nor has this.
                (self.workdir / "fault").unlink(missing_ok=True)
                await carry_out(self.link, self.workload.restart_process())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    base = tmp_path_factory.mktemp("catalogue")
    workdir = base / "a workdir"
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            ports.append(probe.getsockname()[1])
    network = HttpNetwork()
    async with running_sshd(base / "sshd", ports[0]) as sshd:
        link = await sshd.link()
        workload = sd_turbo(workdir, ports[1], **TIGHT)
        try:
            await carry_out(link, workload.deploy())
            async with watching(link, workload, "keeper_workload_looks=3\n") as sentinel:
                host = Host(workdir, ports[1], link, network, workload, sentinel)
                await host.until_well()
                yield host
        finally:
            os.killpg(
                int((workdir / ".keeper" / "server.pid").read_text().split()[0]), signal.SIGKILL
            )
            await link.close()
            await network.close()


# --- how the faults are made ---------------------------------------------------------------------------


def card(word: str) -> Callable[[Host], Awaitable[None]]:
    async def make(host: Host) -> None:
        host.break_card(word)

    return make


async def damage_a_library(host: Host) -> None:
    """A real ImportError, as a pin that was lost gives one."""
    (host.workdir / "sd_turbo_card.py").write_text("from huggingface_hub import cached_download\n")
    await carry_out(host.link, host.workload.restart_process()[:-1])


async def leave_a_stray(host: Host) -> None:
    """A server that nobody has a pid file for holds the port."""
    await carry_out(host.link, host.workload.restart_process()[:2])
    python = (host.workdir / ".keeper" / "server.python").read_text().strip()
    stray = await asyncio.create_subprocess_exec(
        *(python, "-u", "realtime_stream.py", "--backend", "test-card", "--port", str(host.port)),
        cwd=host.workdir,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def ask() -> int:
        assert stray.returncode is None
        return await host.ask("/")

    await look_until(ask, lambda status: status == 200)
    await carry_out(host.link, host.workload.restart_process()[2:-1])


async def lose_the_files(host: Host) -> None:
    for file in ("realtime_stream.py", "sd_turbo_http.py"):
        (host.workdir / file).unlink()
    os.kill(host.pid, signal.SIGKILL)


async def crash_requests(host: Host) -> None:
    host.break_card("page")
    for _ in range(200):
        await host.ask("/")
        if (host.workdir / "server.log").read_text().count("[http] Error: TypeError") >= 5:
            return
        await asyncio.sleep(0.05)


async def fail_a_prompt(host: Host) -> None:
    host.break_card("prompt")

    async def ask() -> int:
        return await host.ask("/prompt", b'{"prompt":"cat"}')

    await look_until(ask, lambda status: status == 500)


def send(number: signal.Signals) -> Callable[[Host], Awaitable[None]]:
    async def make(host: Host) -> None:
        os.kill(host.pid, number)

    return make


@dataclass(frozen=True)
class Played:
    """A row as it is played."""

    row: str
    make: Callable[[Host], Awaitable[None]]
    code: str
    remedy: Remedy
    said: str = ""


PROCESS, WORKLOAD = Remedy.RESTART_PROCESS, Remedy.RESTART_WORKLOAD
TABLE = (
    Played("B1 errors", card("error other"), "generator_fails", PROCESS, "mat1 and mat2"),
    Played("B1 hangs", card("freeze"), "generator_stuck", PROCESS, "no new picture"),
    Played("B2", card("error oom"), "gpu_memory_full", PROCESS, "out of memory"),
    Played("B3", card("error kernel"), "no_kernel", Remedy.REPLACE, "no kernel image"),
    Played("B3 driver", card("error driver"), "driver_too_old", Remedy.REPLACE, "insufficient"),
    Played("B4", card("error numpy"), "numpy_mismatch", WORKLOAD, "Numpy is not available"),
    Played("B5", damage_a_library, "imports_fail", WORKLOAD, "huggingface_hub"),
    Played("B6 port", leave_a_stray, "port_in_use", PROCESS, "Address already in use"),
    Played("B6 files", lose_the_files, "files_missing", WORKLOAD, "files"),
    Played("B9", crash_requests, "requests_fail", PROCESS, "requests have crashed"),
    Played("B10", fail_a_prompt, "prompts_fail", Remedy.PERSON, "prompts could not be taken"),
    Played("B11", send(signal.SIGSTOP), "server_silent", PROCESS, "suspended"),
    Played("B15", send(signal.SIGKILL), "vanished", PROCESS, "left no word"),
    Played("B16", card("slow"), "slow", Remedy.PERSON, "pictures a second"),
    Played("H7", card("error gpu"), "gpu_lost", Remedy.REBOOT, "unspecified launch failure"),
    Played("H10", card("error disk"), "disk_full", PROCESS, "No space left"),
)
# Played with the real libraries, or in time alone: tests/unit/workloads/test_sd_turbo_symptoms.py.
ELSEWHERE = {"loading", "load_stuck", "model_refused", "model_unavailable", "threads_leak"}
ELSEWHERE |= {"not_listening", "port_of_another"}


@pytest.mark.parametrize("played", TABLE, ids=lambda played: played.row.replace(" ", "-"))
async def test_a_failure_is_named_and_cured(host: Host, played: Played) -> None:
    before = host.pid
    await played.make(host)
    reading = await host.until_named(played.code)
    assert (reading.status, reading.subject) == (Status.FALSE, Subject.WORKLOAD)
    assert reading.symptom is not None
    assert reading.symptom.remedy is played.remedy
    assert played.said in reading.symptom.sentence
    await host.cure(played.code, played.remedy)
    well = await host.until_well()
    assert well.numbers["generated_frames_per_s"] >= 0
    assert host.pid != before
    assert not is_running(before)
    assert await host.ask("/") == 200


async def test_every_symptom_has_its_row() -> None:
    assert {row.code for row in ROWS} == {played.code for played in TABLE} | ELSEWHERE


async def test_no_restart_helps_against_a_torch_that_does_not_know_the_gpu(host: Host) -> None:
    stays = host.workdir / "fault.stays"
    stays.write_text("error kernel")
    try:
        await host.until_named("no_kernel")
        *steps, _ = host.workload.restart_process("no_kernel")
        await carry_out(host.link, tuple(steps))
        await eventually(lambda: not is_running(host.pid))
        note = json.loads((host.workdir / ".keeper" / "server.death").read_text())
        assert (note["kind"], note["code"]) == ("no_kernel", 22)
    finally:
        stays.unlink()
        await carry_out(host.link, host.workload.restart_process())
        await host.until_well()


async def test_viewers_that_leave_leave_nothing_and_too_many_are_turned_away(host: Host) -> None:
    """B12: aborted viewers left a thread each in the original, as long as no frame came."""
    viewers = []
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: any\r\n\r\n")
        assert b"200" in await reader.readline()
        viewers.append(writer)
    assert await host.ask("/stream") == 503
    assert await host.ask("/") == 200
    for writer in viewers:
        writer.transport.abort()

    async def health() -> dict[str, int]:
        reply = await host.network.fetch(HttpRequest(method="GET", url=f"{host.url}/healthz"))
        return json.loads(reply.body)  # type: ignore[no-any-return]

    await look_until(health, lambda seen: not seen["viewers"] and seen["threads"] <= 6)


async def test_nobody_outside_can_post_prompts(host: Host) -> None:
    """B17: it listens on the host's loopback, and no port of it is rented."""
    assert host.workload.rental().ports == ()
    inodes = [
        line.split()[1].partition(":")[0]
        for line in Path(f"/proc/{host.pid}/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{host.port:04X}") and line.split()[3] == "0A"
    ]
    assert inodes == ["0100007F"]


async def test_a_viewers_prompt_outlives_the_process_and_the_host(host: Host) -> None:
    assert await host.ask("/prompt", '{"prompt":"a dög"}'.encode()) == 200
    while not (said := await host.until_well()).keepsake or "dög" not in said.keepsake:
        pass
    await carry_out(host.link, host.workload.restart_process())
    assert "dög" in (await host.until_well()).keepsake
    # Another host knows nothing of it but what keeper tells.
    (host.workdir / ".keeper" / "server.prompt").unlink()
    await carry_out(host.link, host.workload.restart_process())
    while "dög" in (await host.until_well()).keepsake:
        pass
    told = host.workload.remembering(said.keepsake)
    await carry_out(host.link, told.restart_process())
    while "dög" not in (await host.until_well()).keepsake:
        pass
    # And what the operator declares anew is stronger than what a viewer wanted before that.
    declared = sd_turbo(host.workdir, host.port, **TIGHT, prompt="a lighthouse")
    assert declared.remembering(said.keepsake) == declared
