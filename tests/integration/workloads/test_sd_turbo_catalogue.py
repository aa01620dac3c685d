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
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import pytest
import pytest_asyncio

from keeper.adapters.network import HttpNetwork
from keeper.core.model import Reading, Remedy, Status, Subject
from keeper.core.reasons import Reason
from keeper.ports import Command, HttpRequest, Link, PortError
from keeper.workloads import Workload
from keeper.workloads.managers import payload, workload_facts
from keeper.workloads.sd_turbo.facts import read_facts
from keeper.workloads.sd_turbo.symptoms import ROWS
from tests.integration.workloads.conftest import Sentinel, carry_out, sd_turbo, watching
from tests.real_sshd import running_sshd
from tests.sd_turbo import ELSEWHERE, FAULTS, TIGHT, TIGHT_ENV, Fault
from tests.waiting import eventually, is_running, look_until

pytestmark = [
    pytest.mark.real("sshd"),
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("sd-turbo"),
    pytest.mark.asyncio(loop_scope="module"),
]


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

    async def make(self, script: str) -> None:
        text = f"cd -- {quote(str(self.workdir))} || exit 1\nurl={self.url}\n{script}"
        await carry_out(self.link, (Command(name="fault", script=text, timeout_s=30),))

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
        workload = sd_turbo(workdir, ports[1], **TIGHT, env=TIGHT_ENV)
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


# --- the table ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.row)
async def test_a_failure_is_named_and_cured(host: Host, fault: Fault) -> None:
    before = host.pid
    await host.make(fault.make)
    await cured(host, fault.symptom, fault.remedy, fault.said)
    assert host.pid != before
    assert not is_running(before)


async def cured(host: Host, symptom: str, remedy: Remedy, said: str) -> None:
    """Hear of it, do what it says, and see it gone."""
    reading = await host.until_named(symptom)
    assert (reading.status, reading.subject) == (Status.FALSE, Subject.WORKLOAD)
    assert reading.symptom is not None
    assert reading.symptom.remedy is remedy
    assert said in reading.symptom.sentence
    await host.cure(symptom, remedy)
    await host.until_well()
    assert await host.ask("/") == 200


async def test_a_library_that_is_really_broken_is_brought_again(host: Host) -> None:
    """B5: by a real ImportError, as a pin that was lost gives one."""
    (host.workdir / "sd_turbo_card.py").write_text("from huggingface_hub import cached_download\n")
    await carry_out(host.link, host.workload.restart_process()[:-1])
    await cured(host, "imports_fail", Remedy.RESTART_WORKLOAD, "huggingface_hub")


async def test_a_stray_server_that_holds_the_port_is_ended(host: Host) -> None:
    """B6: one that nobody has a pid file for; and nobody's shell is ended for having its name."""
    await carry_out(host.link, host.workload.restart_process()[:2])
    python = (host.workdir / ".keeper" / "server.python").read_text().strip()
    stray = await asyncio.create_subprocess_exec(
        *(python, "-u", "realtime_stream.py", "--backend", "test-card", "--port", str(host.port)),
        cwd=host.workdir,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    bystander = await asyncio.create_subprocess_exec(
        *("sh", "-c", "sleep 100; : realtime_stream.py "), cwd=host.workdir
    )

    async def ask() -> int:
        assert stray.returncode is None
        return await host.ask("/")

    await look_until(ask, lambda status: status == 200)
    await carry_out(host.link, host.workload.restart_process()[2:-1])
    await cured(host, "port_in_use", Remedy.RESTART_PROCESS, "Address already in use")
    assert await stray.wait() != 0
    assert bystander.returncode is None
    bystander.kill()
    await bystander.wait()


async def test_every_symptom_has_its_row() -> None:
    assert {row.code for row in ROWS} == {fault.symptom for fault in FAULTS} | ELSEWHERE


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
    declared = sd_turbo(host.workdir, host.port, **TIGHT, env=TIGHT_ENV, prompt="a lighthouse")
    assert declared.remembering(said.keepsake) == declared


async def test_the_report_is_one_question_on_the_host(host: Host) -> None:
    question = host.workload.report()
    assert question is not None
    lines = {each.title: each for each in host.workload.read_report(await host.link.run(question))}
    assert list(lines) == [
        "Server",
        "Generator",
        "Prompt",
        "Viewers",
        "Errors",
        "GPU",
        "Recent logs",
    ]
    assert lines["Server"].status is Status.TRUE
    assert lines["Server"].text.startswith("generating, test-card, up ")
    assert "[gen] starting loop" in (host.workdir / "server.log").read_text()


@pytest.mark.parametrize("is_there", [True, False], ids=["answers", "refuses"])
async def test_a_host_without_curl_is_asked_by_its_python(
    host: Host, tmp_path: Path, is_there: bool
) -> None:
    for tool in ("sh", "tr", "head", "tail", "cat", "true"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    port = host.port if is_there else 1
    script = (
        f"PATH={tmp_path}\nbounded() {{ \"$@\"; }}\nstate=up workload=''\n"
        f"keeper_workdir={quote(str(host.workdir))} keeper_server_port={port}\n"
        f"{payload('sd_turbo_questions.sh').decode()}\n"
        'ask_workload; ask_workload; printf %s "$workload"'
    )
    result = await host.link.run(Command(name="ask", script=script, timeout_s=30))
    raw = workload_facts('{"seq":1,"facts":{' + result.stdout + "}}")
    assert raw is not None, result
    facts = read_facts(raw)
    assert facts is not None
    assert (facts.health is not None, facts.how) == (is_there, "" if is_there else "refused")
