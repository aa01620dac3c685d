"""A simulated host passes a whole audition, and fails each check by a fault of its own."""

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keeper.core.model import Meaning, Status
from keeper.ports import Command, Link
from keeper.sim import hardware
from keeper.workloads.audition import (
    Check,
    CheckName,
    Finding,
    after_fix,
    is_machine_to_blame,
    judged,
    rounds,
    worst,
)
from keeper.workloads.audition_checks import AuditionSettings, Demands, Ingest, audition
from tests.integration.workloads.test_audition_webgpu import left_behind
from tests.unit.sim.a_market import Sim
from tests.waiting import eventually

pytestmark = [pytest.mark.timeout(180), pytest.mark.real("sshd", "curl", "ffmpeg")]

FIX, REBOOT, REPLACE, PERSON = Meaning.FIX, Meaning.REBOOT, Meaning.REPLACE, Meaning.PERSON


class SimulatedHost:
    """The furniture of a simulated host, below a folder of its own."""

    def __init__(self, folder: Path, link: Link) -> None:
        self.folder, self.link = folder, link
        sim = Sim()
        contract = sim.contract(sim.rent_and_boot())
        contract.machine.has_display = True
        (folder / "home" / "proc" / "1").mkdir(parents=True)
        (folder / "home" / "proc" / "1" / "environ").write_text("A=b\0")
        hardware.install(folder / "bin", contract)
        self.env = {
            "PATH": f"{folder}/bin:{Path(sys.executable).parent}:/usr/bin:/bin",
            "TMPDIR": str(folder),
            "HOME": str(folder / "home"),
            "keeper_root": str(hardware.root_of(folder / "bin")),
        }

    def strike(self, fault: str) -> None:
        (self.folder / "bin" / fault).touch()

    async def show(self, checks: Iterable[Check]) -> dict[CheckName, Finding]:
        """Go through the checks as the daemon does; ports are not its affair."""
        findings: dict[CheckName, Finding] = {}
        for look, those in rounds(checks):
            assert isinstance(look, Command)
            for check, finding in zip(those, await self._look(look, those), strict=True):
                findings[check.name] = finding
                if finding.meaning is FIX:
                    assert check.fix is not None
                    await self.link.run(replace(check.fix, env=self.env))
                    (again,) = await self._look(look, (check,))
                    findings[check.name] = after_fix(check, again)
        return findings

    async def _look(self, look: Command, those: tuple[Check, ...]) -> list[Finding]:
        result = await self.link.run(replace(look, env={**look.env, **self.env}))
        return [judged(check, result, datetime.now(UTC)) for check in those]


@pytest.fixture
def host(short_path: Path, link: Link) -> Iterator[SimulatedHost]:
    yield SimulatedHost(short_path / "host", link)
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"keeper_root={short_path}/".encode() in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGKILL)


def checks(host: SimulatedHost, *names: CheckName) -> list[Check]:
    made = audition(
        Demands(
            workdir=str(host.folder / "work"),
            renders=True,
            encodes=True,
            x_display=":99",
            webgpu=True,
            ingest=Ingest(host="live.example.com", port=9),
            bitrate_bps=1e6,
            shm_min_gb=1,
        ),
        AuditionSettings(upload_test_url="http://127.0.0.1:9/", disk_free_min_ratio=0),
    )
    return [check for check in made if not names or check.name in names]


async def test_it_passes_an_audition_by_default(host: SimulatedHost) -> None:
    # A listening ingest and upload server are not part of a host.
    wanted = set(CheckName) - {CheckName.INGEST, CheckName.UPLOAD, CheckName.PORT}
    findings = await host.show(checks(host, *wanted))
    assert {name for name, each in findings.items() if each.status is not Status.TRUE} == set()
    assert set(findings) == wanted
    assert worst(list(findings.values())) is None
    await eventually(lambda: not left_behind(host.folder / "work"))


@pytest.mark.parametrize(
    ("fault", "check", "meaning"),
    [
        (hardware.GPU_LOST_FILE, CheckName.GPU, REBOOT),
        (hardware.DISPLAY_LOST_FILE, CheckName.NVIDIA_DRM, REPLACE),
        (hardware.DISPLAY_LOST_FILE, CheckName.DEV_DRI, REPLACE),
        (hardware.DISPLAY_LOST_FILE, CheckName.DISPLAY, REPLACE),
        (hardware.DISK_FULL_FILE, CheckName.DISK, REPLACE),
        ("compute-only", CheckName.VULKAN_ICD, REPLACE),
        ("compute-only", CheckName.VULKAN, REPLACE),
        ("icd-missing", CheckName.VULKAN_ICD, None),  # put right by the fix
        ("software-rendering", CheckName.VULKAN, REPLACE),
        ("software-rendering", CheckName.WEBGPU, REPLACE),
        ("webgpu-lost", CheckName.WEBGPU, REPLACE),
        ("x-dead", CheckName.X_SERVER, None),  # put right by the fix
        ("encoder-full", CheckName.ENCODER, REBOOT),
        ("upload-slow", CheckName.UPLOAD, REPLACE),
        ("names-lost", CheckName.DNS, REPLACE),
        ("clock-wrong", CheckName.CLOCK, PERSON),
        ("shm-small", CheckName.SHM, None),  # a note
    ],
)
async def test_it_fails_each_check_by_a_fault(
    host: SimulatedHost, fault: str, check: CheckName, meaning: Meaning | None
) -> None:
    host.strike(fault)
    # The driver is asked first, as in a whole audition: with it the faults reach the files.
    findings = await host.show(checks(host, CheckName.GPU, check))
    assert findings[check].meaning is meaning
    is_mended = fault in {"icd-missing", "x-dead"}
    assert (findings[check].status is Status.TRUE) is is_mended


async def test_a_container_for_computing_is_not_held_against_its_machine(
    host: SimulatedHost,
) -> None:
    host.strike("compute-only")
    wanted = (CheckName.GPU, CheckName.VULKAN_ICD, CheckName.VULKAN, CheckName.WEBGPU)
    findings = tuple((await host.show(checks(host, *wanted))).values())
    assert worst(findings) is REPLACE
    assert not is_machine_to_blame(findings)


def test_every_fault_file_is_tried() -> None:
    tried = {
        row[0]
        for mark in test_it_fails_each_check_by_a_fault.pytestmark  # type: ignore[attr-defined]
        for row in mark.args[1]
    }
    assert set(hardware.FAULT_FILES) <= tried
