"""keeper and the official client walk the same life, and the marketplace's book is the same in kind."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keeper.sim.ledger import Rental
from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo
from tests.e2e.conftest import API_KEY, Box
from tests.e2e.official import Official, new_key, public, ssh
from tests.waiting import eventually, look_until

pytestmark = [pytest.mark.real("vastai", "sshd"), pytest.mark.timeout(300)]

PATIENCE_S = 120.0
SHAPE = MarketShape(renters_every_s=0, price_drift_every_s=0, tempo=quick_tempo(1.0))
LIFE = [
    ("created", "account"),
    ("running", "host"),
    ("rebooting", "account"),
    ("running", "host"),
    ("destroyed", "account"),
]
# What changes something, in the order in which it was first done; a retry is not another kind.
CALLS = [
    "PUT /asks/{id}/",
    "POST /instances/{id}/ssh/",
    "PUT /instances/reboot/{id}/",
    "DELETE /instances/{id}/",
]
# Reboot is the first remedy left, so that keeper comes to it within the test.
POLICY = """\
    policy: {restarts_max: 0, workload_restarts_max: 0, replace_after_s: 3m}
"""


def server(folder: Path) -> SimServer:
    return SimServer(seed=5, state_dir=folder, api_key=API_KEY, shape=SHAPE)


async def until(holds: Callable[[], bool]) -> None:
    await eventually(holds, patience_s=PATIENCE_S)


def changes(rental: Rental) -> list[tuple[str, str]]:
    return [(one.what, one.by) for one in rental.changes]


def calls(sim: SimServer) -> list[str]:
    """Return what was asked for about rentals and granted, each kind once."""
    made = [
        f"{one.method} {one.endpoint}"
        for one in sim.ledger.requests
        if one.is_mutating and one.status == 200 and one.endpoint != "/ssh/"
    ]
    return list(dict.fromkeys(made))


def boots(sim: SimServer) -> list[str]:
    """Return what the host went through."""
    return [one.what for one in sim.ledger.hosts if one.what in {"booted", "halted"}]


def started(sim: SimServer) -> bool:
    """Whether a workload's process was seen to run."""
    return any(one.what == "process.started" for one in sim.ledger.hosts)


async def the_only_rental_and_its_end(sim: SimServer) -> Rental:
    """Return the one rental there ever was: ended, gone from the host side, and billed no more."""
    (rental,) = sim.ledger.rentals.values()
    assert not rental.is_live
    await until(lambda: sim.describe() == [])
    assert sim.market.rows() == []
    dollars, credit = rental.dollars, sim.market.credit(sim.market.now())
    assert dollars > 0
    assert credit == pytest.approx(SHAPE.credit_dollars - dollars)
    await asyncio.sleep(0.5)
    sim.market.settle()
    assert (rental.dollars, sim.market.credit(sim.market.now())) == (dollars, credit)
    return rental


async def keepers_walk(folder: Path) -> tuple[SimServer, Rental, float]:
    """Rent, attach the key, boot, deploy and serve; reboot for a cause; destroy."""
    async with server(folder / "sim") as sim:
        box = Box(folder, sim)
        box.configure(POLICY)
        try:
            daemon = await box.daemon(until_on_air=True)
            (instance_id,) = box.live()
            contract = sim.market.contracts[instance_id]
            assert sim.act(instance_id, "kill")
            await daemon.says(r'"event":"instance.rebooting"', timeout_s=PATIENCE_S)
            await until(lambda: changes(sim.ledger.rentals[instance_id])[-1][0] == "running")
            await until(lambda: len([x for x in daemon.out if '"event":"stream.on_air"' in x]) > 1)
            done = await box.keeper("destroy", "duel", "--yes")
            assert done.code == 0, done.err
            return sim, await the_only_rental_and_its_end(sim), contract.disk_gb
        finally:
            await box.close()


async def official_walk(
    folder: Path, *, machine_id: int, disk_gb: float
) -> tuple[SimServer, Rental]:
    """Do the same by hand: the same offer of the same market, and the same steps."""
    key = new_key(folder / "id")
    async with server(folder / "sim") as sim:
        vastai = Official(sim.url, API_KEY, folder / "home")
        query = f"machine_id={machine_id} num_gpus=1 rentable=true"
        (offer, *_) = await vastai.raw("search", "offers", "-n", "-o", "id", query)
        instance_id = await vastai.create(
            offer["id"],
            *("--image", "vastai/base-image", "--disk", str(disk_gb)),
            *("--ssh", "--direct", "--label", "by-hand", "--cancel-unavail"),
            *("--onstart-cmd", "touch ~/.no_auto_tmux"),
        )

        async def shown() -> dict[str, Any]:
            row: dict[str, Any] = await vastai.raw("show", "instance", instance_id)
            await asyncio.sleep(2.1)  # the marketplace's own spacing of this read
            return row

        async def enter(command: str) -> str:
            said = await look_until(
                lambda: ssh(url, key, command),
                lambda said: said.code != 255,
                every_s=0.2,
                patience_s=PATIENCE_S,
            )
            assert said.code == 0, said.err
            return said.out

        while (await shown())["actual_status"] != "running":
            pass
        said = await vastai("attach", "ssh", instance_id, public(key))
        assert "SSH key added to instance." in said.out
        url = (await vastai("ssh-url", instance_id)).out.strip()
        await enter(
            "cd workspace && { nohup sleep 1000 > log 2>&1 < /dev/null & echo $! > server.pid; }"
        )
        await until(lambda: started(sim))
        said = await vastai("reboot", "instance", instance_id)
        assert said.out == f"Rebooting instance {instance_id}.\n"
        rental = sim.ledger.rentals[instance_id]
        await until(lambda: changes(rental)[-1][0] == "running")
        assert await enter("ls workspace/server.pid") == "workspace/server.pid\n"
        said = await vastai("destroy", "instance", instance_id, "-y")
        assert said.out == f"destroying instance {instance_id}.\n"
        return sim, await the_only_rental_and_its_end(sim)


async def test_both_leave_the_same_in_the_marketplaces_book(short_path: Path) -> None:
    (short_path / "k").mkdir()
    (short_path / "v").mkdir()
    ours, rental, disk_gb = await keepers_walk(short_path / "k")
    theirs, other = await official_walk(
        short_path / "v", machine_id=rental.machine_id, disk_gb=disk_gb
    )
    assert changes(rental) == changes(other) == LIFE
    assert calls(ours) == calls(theirs) == CALLS
    assert boots(ours) == boots(theirs)
    assert started(ours)
    assert started(theirs)
    assert rental.machine_id == other.machine_id
    assert rental.dollars_per_hour == pytest.approx(other.dollars_per_hour)
