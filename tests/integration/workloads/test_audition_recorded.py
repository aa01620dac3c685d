"""Answers of real drivers, kept in tests/data/gpu: each must be judged as the machine was known to be.

The folder may be empty (its README says why). That recording works is shown with the simulator's
stand-ins, which play a driver.
"""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keeper.core.model import Status
from keeper.ports import CommandResult
from keeper.sim import hardware
from keeper.workloads.audition import CheckName, judged
from keeper.workloads.audition_checks import AuditionSettings, Demands, audition
from tests.components import REPOSITORY
from tests.unit.sim.a_market import Sim

RECORDED = REPOSITORY / "tests" / "data" / "gpu"
CHECKS = {
    check.name: check
    for check in audition(Demands(workdir=".", renders=True, encodes=True), AuditionSettings())
}
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def expected(text: str) -> dict[CheckName, Status]:
    line = next(line for line in text.splitlines() if line.startswith("# expected: "))
    words = (word.split("=") for word in line.removeprefix("# expected: ").split())
    return {CheckName(name): Status(status) for name, status in words}


def judge(text: str) -> dict[CheckName, Status]:
    """Judge what a file has answers to, and a person has said something of."""
    result = CommandResult(exit_code=0, stdout=text, stderr="")
    return {name: judged(CHECKS[name], result, NOW).status for name in expected(text)}


def test_recorded_drivers_are_judged_as_their_machines_were() -> None:
    for path in sorted(RECORDED.glob("*.txt")):
        text = path.read_text()
        assert expected(text), path.name
        assert judge(text) == expected(text), path.name


async def record(folder: Path, known: str) -> tuple[int, list[Path]]:
    sim = Sim()
    contract = sim.contract(sim.rent_and_boot())
    contract.machine.has_display = True
    (folder / "home/proc/1").mkdir(parents=True)
    hardware.install(folder / "bin", contract)
    process = await asyncio.create_subprocess_exec(
        REPOSITORY / "scripts" / "record-gpu-answers.sh", known, str(folder / "recorded"),
        env={
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "keeper_root": str(hardware.root_of(folder / "bin")),
        },
    )  # fmt: skip
    code = await process.wait()
    return code, sorted((folder / "recorded").glob("*"))


@pytest.mark.real("ffmpeg")
async def test_a_driver_is_recorded_with_what_is_known_of_it(tmp_path: Path) -> None:
    known = {name.value: "true" for name in CHECKS if name not in {CheckName.DISK, CheckName.CLOCK}}
    code, files = await record(tmp_path, " ".join(f"{name}={is_}" for name, is_ in known.items()))
    assert code == 0
    (file,) = files
    assert file.name.startswith("nvidia-")
    text = file.read_text()
    assert judge(text) == expected(text) == {CheckName(name): Status.TRUE for name in known}
    assert len(known) == 7
