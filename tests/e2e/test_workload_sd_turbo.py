"""SD-Turbo through the whole daemon: rented, set up over SSH, on air, cured row by row.

The rows are those of `tests/sd_turbo.py`. They share a host, because a host is the dear part; those that end
one come last.
"""

import json
from typing import Any

import pytest

from keeper.core.model import Remedy
from keeper.sim.ssh_door import Sshd
from keeper.sim.ssh_host import LoopbackHost
from tests.e2e.real_hosts import Fleet, Row, play
from tests.sd_turbo import FAULTS, TIGHT, TIGHT_ENV, Fault

pytestmark = [
    pytest.mark.real("sshd"),
    pytest.mark.timeout(600),
]

WORKDIR = "turbo"


UNPUBLISHED: dict[str, Any] = {
    "kind": "sd-turbo", **TIGHT, "workdir": WORKDIR, "env": TIGHT_ENV,
}  # fmt: skip


def declared() -> dict[str, Any]:
    # Hosts of real sshd share this box's loopback, so the server is published here.
    return {**UNPUBLISHED, "bind": "0.0.0.0"}


def furnish(host: LoopbackHost) -> None:
    """Let the sentinel ask often."""
    host.variables["keeper_workload_looks"] = "2"


def row_of(fault: Fault) -> Row:
    """Make a row that the harness can play."""
    enter = f"cd -- {WORKDIR} || exit 1\nurl=http://$SERVER_HOST:8000\n"

    async def made(fleet: Fleet) -> None:
        await fleet.host.run(enter + fault.make)

    async def mended(fleet: Fleet) -> None:
        await fleet.host.run(enter + fault.mend)

    is_quiet = fault.remedy is Remedy.PERSON
    # What a restart of the process cures, a viewer may tell first; nothing else is a cause for it.
    is_race = fault.remedy is Remedy.RESTART_PROCESS
    causes = {fault.symptom, *((fault.seen,) if fault.seen and is_race else ())}
    return Row(
        id=fault.row,
        fault=made,
        remedy=fault.remedy,
        symptom="" if is_race else fault.symptom,
        causes=frozenset(causes),
        mend=mended if is_quiet else None,
    )


# Forgiven soon, so that a row does not wait for the one before.
POLICY = {"restarts_forgiven_s": 1}


async def health(fleet: Fleet) -> dict[str, Any]:
    """Ask the server on its host."""
    said = await fleet.host.run("curl -s --noproxy '*' http://$SERVER_HOST:8000/healthz")
    found: dict[str, Any] = json.loads(said.stdout)
    return found


ENDS_A_HOST = {Remedy.REBOOT, Remedy.REPLACE}


SURVIVED = [row_of(each) for each in FAULTS if each.remedy not in ENDS_A_HOST]


async def test_by_default_nothing_is_published_and_the_picture_is_seen_through_the_link() -> None:
    """B17: nobody outside may change the prompt. Behind a door of the simulator's own each host has its
    loopback to itself.
    """
    async with Fleet(UNPUBLISHED, furnish=furnish, sshd=Sshd.BUILT_IN) as fleet:
        host = await fleet.on_air()
        assert "8000/tcp" not in host.inner.relays


# In two halves, so that nobody waits for one long test at the end.
@pytest.mark.parametrize("rows", [SURVIVED[::2], SURVIVED[1::2]], ids=["these", "those"])
async def test_every_row_that_its_host_survives_is_cured_there(rows: list[Row]) -> None:
    async with Fleet(declared(), furnish=furnish, policy=POLICY) as fleet:
        await fleet.on_air()
        assert (await health(fleet))["backend"] == "test-card"
        await play(fleet, rows)
        assert fleet.spent().rented == 1


async def test_what_no_restart_cures_is_left_behind_and_the_prompt_comes_along() -> None:
    """The one thing that a viewer has made outlives even the host it was made on."""
    async with Fleet(declared(), furnish=furnish, policy=POLICY) as fleet:
        first = await fleet.on_air()
        body = '{"prompt":"a dög on the moon"}'
        await fleet.host.run(f"curl -s --noproxy '*' -d '{body}' http://$SERVER_HOST:8000/prompt")
        await play(fleet, [row_of(each) for each in FAULTS if each.remedy in ENDS_A_HOST])
        second = await fleet.on_air()
        assert second.instance_id != first.instance_id
        assert (await health(fleet))["prompt"] == "a dög on the moon"
