"""An audition of a host of the simulator, over SSH as keeper holds it: by default it passes."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from keeper.core.model import Meaning, Status
from keeper.ports import Command, Link
from keeper.sim.ssh_door import Sshd
from keeper.workloads.audition import Check, CheckName, Finding, judged, rounds
from keeper.workloads.audition_checks import AuditionSettings, Demands, audition
from tests.integration.sim.rented import Rented

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.parametrize(
        "sshd",
        [Sshd.BUILT_IN, pytest.param(Sshd.OPENSSH, marks=pytest.mark.real("sshd"))],
        ids=str,
    ),
]
DEMANDS = Demands(
    workdir="workspace",
    renders=True,
    encodes=True,
    x_display=":99",
    webgpu=True,
    names=("live.example.com",),
    shm_min_gb=1,
)


async def show(link: Link, checks: Iterable[Check]) -> dict[CheckName, Finding]:
    found: dict[CheckName, Finding] = {}
    for look, those in rounds(checks):
        assert isinstance(look, Command)
        result = await link.run(look)
        for check in those:
            found[check.name] = judged(check, result, datetime.now(UTC))
    return found


async def test_a_simulated_host_passes_and_a_card_without_a_display_does_not(
    rented: Rented,
) -> None:
    checks = audition(DEMANDS, AuditionSettings(disk_free_min_ratio=0))
    link = await rented.hosts().connect([rented.direct()], pinned_host_key="", timeout_s=20)
    try:
        found = await show(link, checks)
        displays = {CheckName.DISPLAY, CheckName.NVIDIA_DRM, CheckName.DEV_DRI}
        if not rented.contract.machine.has_display:
            assert {found[name].meaning for name in displays} == {Meaning.REPLACE}
        failing = {name for name, each in found.items() if each.status is not Status.TRUE}
        assert failing - displays == set()
        # What was chosen is on the host's own disk.
        assert (rented.host.home / "workspace/.keeper/webgpu.env").is_file()
    finally:
        await link.close()
