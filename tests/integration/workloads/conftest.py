"""A real host to put workloads on: OpenSSH on loopback, and whatever the test starts on it."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keeper.adapters.network import HttpNetwork
from keeper.core.model import InstanceId, Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.ports import Command, CommandResult, Job, Link, Parcel, SendProgress, Upload
from keeper.workloads import Step, Workload, registered
from tests.real_sshd import RealSshd, running_sshd

AT = datetime(2026, 11, 1, tzinfo=UTC)
INSTANCE = InstanceId(7)


@pytest.fixture
async def sshd(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[RealSshd]:
    async with running_sshd(tmp_path / "sshd", free_port()) as server:
        yield server


@pytest.fixture
async def link(sshd: RealSshd) -> AsyncIterator[Link]:
    link = await sshd.link()
    yield link
    await link.close()


@pytest.fixture
async def network() -> AsyncIterator[HttpNetwork]:
    network = HttpNetwork()
    yield network
    await network.close()


@pytest.fixture
def workdir(tmp_path: Path) -> Iterator[Path]:
    """Give a working directory; whatever a background workload left there is ended by its pid."""
    workdir = tmp_path / "a workdir"
    yield workdir
    for file in workdir.glob(".keeper/*.pid"):
        with suppress(ProcessLookupError, ValueError):
            os.killpg(int(file.read_text().split()[0]), signal.SIGKILL)


def build(kind: str, /, **settings: object) -> Workload:
    """Build a workload from its declaration, as the settings file would."""
    plugin = registered()[kind]
    return plugin.build(plugin.settings.model_validate({"kind": kind, **settings}), {})


def sd_turbo(workdir: Path, port: int, **settings: object) -> Workload:
    """Declare the test card on this machine's Python."""
    declared: dict[str, object] = {
        "workdir": str(workdir),
        "port": port,
        "generator": "test-card",
        "python": sys.executable,
        "target_frames_per_s": 10.0,
    }
    return build("sd-turbo", **{**declared, **settings})


async def carry_out(link: Link, steps: tuple[Step, ...]) -> list[CommandResult]:
    """Do as the executor does: each step in order, each command with exit code 0."""
    results = []
    for step in steps:
        if isinstance(step, Upload):
            await link.upload(step)
            continue
        if isinstance(step, Parcel):
            await link.send(step, _hear_nothing)
            continue
        command = step if isinstance(step, Command) else _at_once(step)
        result = await link.run(command)
        assert result.exit_code == 0, f"{step.name}: {result}"
        results.append(result)
    return results


async def _hear_nothing(_: SendProgress) -> None:
    return


def _at_once(job: Job) -> Command:
    return Command(name=job.name, script=job.script, env=job.env, timeout_s=job.timeout_s)


class Sentinel:
    """Reads a sentinel's lines until one says what the test waits for."""

    def __init__(self, workload: Workload, lines: AsyncIterator[str]) -> None:
        self._workload = workload
        self.lines = lines
        self.seen: list[str] = []

    async def until(self, reason: Reason, subject: Subject = Subject.PROCESS) -> Reading:
        """Return the next reading of the subject that has this reason."""
        async for line in self.lines:
            self.seen.append(line)
            for reading in self._workload.interpret(line, INSTANCE, AT):
                if reading.subject is subject and reading.reason is reason:
                    return reading
        pytest.fail(f"the sentinel ended; it said {self.seen}")

    async def until_up(self, after: str = "") -> Reading:
        """Return the next reading of a process that runs, and is not the one before."""
        while True:
            reading = await self.until(Reason.PROCESS_UP)
            assert reading.status is Status.TRUE
            if reading.identity != after:
                return reading


@asynccontextmanager
async def watching(link: Link, workload: Workload, prelude: str = "") -> AsyncIterator[Sentinel]:
    """Run the workload's own sentinel, only faster."""
    script = f"keeper_look_s=0.1\n{prelude}{workload.sentinel()}"
    lines = link.watch(script)
    async with aclosing(lines):  # type: ignore[type-var]
        yield Sentinel(workload, lines)
