"""The bundled workload on a simulated host: deployed by its own steps over the real SSH adapter."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncssh
import pytest

from keeper.adapters.clock import SystemClock
from keeper.adapters.network import HttpNetwork
from keeper.adapters.ssh import SshHosts
from keeper.daemon.jobs import Jobs
from keeper.daemon.putting import Putting
from keeper.ports import Address, Link, PictureLimits, PictureSample, PortError
from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo
from keeper.workloads import Step, Workload, registered
from tests.waiting import eventually

SHAPE = MarketShape(renters_every_s=0, price_drift_every_s=0, tempo=quick_tempo(0.2))
PATIENCE_S = 40.0


class OnAir:
    """A test card on a rented host, and a viewer."""

    def __init__(self, sim: SimServer, instance_id: int, link: Link, workload: Workload) -> None:
        self.sim = sim
        self.instance_id = instance_id
        self.link = link
        self.workload = workload
        self.network = HttpNetwork()

    async def carry_out(self, steps: tuple[Step, ...]) -> None:
        await Putting(redact=str, jobs=Jobs(clock=SystemClock())).put(self.link, steps)

    async def look(self) -> PictureSample:
        endpoints = self.sim.market.contracts[self.instance_id].endpoints
        assert endpoints is not None
        view = self.workload.view()
        url = f"http://127.0.0.1:{endpoints.ports[f'{view.container_port}/tcp']}{view.path}"
        return await self.network.sample_mjpeg(url, PictureLimits(sample_s=0.7, timeout_s=3))

    async def sees(self, what: str) -> None:
        """Look until the picture is as said."""
        tests: dict[str, Callable[[PictureSample], bool]] = {
            "live": lambda seen: seen.unique_frames > 2,
            "frozen": lambda seen: seen.frames > 2 and seen.unique_frames == 1,
            "black": lambda seen: seen.mean_luma is not None and seen.mean_luma < 2,
            "nothing": lambda seen: seen.frames == 0,
        }
        seen = None
        for _ in range(int(PATIENCE_S)):
            seen = await self.look()
            if tests[what](seen):
                return
            await asyncio.sleep(0.2)
        pytest.fail(f"{what} was not seen, but {seen}")

    def act(self, verb: str) -> bool:
        return self.sim.act(self.instance_id, verb)


@pytest.fixture
async def on_air(tmp_path: Path) -> AsyncIterator[OnAir]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    hosts = SshHosts(private_key_file=None, private_key=key.export_private_key())
    kind = registered()["sd-turbo"]
    declared = {"kind": "sd-turbo", "generator": "test-card", "bind": "0.0.0.0", "workdir": "card"}
    settings = kind.settings.model_validate({**declared, "target_frames_per_s": 10.0})
    workload = kind.build(settings, {})
    async with SimServer(seed=7, spacing_scale=0, shape=SHAPE) as sim:
        spec = workload.rental()
        offer = sim.market.search({"rentable": {"eq": True}, "order": [["dph_total", "asc"]]})[0]
        made = sim.market.create(
            offer["id"],
            {
                "image": spec.image,
                "disk": spec.disk_gb,
                "label": "k:card/0:1",
                "runtype": "ssh_direct",
                "env": {
                    f"-p {port.container_port}:{port.container_port}": "1" for port in spec.ports
                },
                "onstart": f"echo {hosts.public_key}",
            },
        )
        contract = sim.market.contracts[made["new_contract"]]
        link = await connected(sim, contract.instance_id, hosts)
        stage = OnAir(sim, contract.instance_id, link, workload)
        await stage.carry_out(workload.deploy())
        await stage.sees("live")
        yield stage
        await stage.network.close()
        await link.close()


async def connected(sim: SimServer, instance_id: int, hosts: SshHosts) -> Link:
    """Dial as soon as there is an address, until somebody answers."""
    contract = sim.market.contracts[instance_id]
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if contract.endpoints is not None:
                address = Address(host="127.0.0.1", port=contract.endpoints.ports["22/tcp"])
                try:
                    return await hosts.connect([address], pinned_host_key="", timeout_s=5)
                except PortError:
                    pass
            await asyncio.sleep(0.05)


async def test_the_picture_fails_while_the_process_lives(on_air: OnAir) -> None:
    for verb, what in (("freeze", "frozen"), ("black", "black")):
        assert on_air.act(verb)
        await on_air.sees(what)
    (process,) = on_air.sim.hosts.host(on_air.instance_id).workloads().values()
    assert on_air.act("silence")
    on_air.act("clear")
    await on_air.sees("live")
    (still,) = on_air.sim.hosts.host(on_air.instance_id).workloads().values()
    assert (still.pid, still.start) == (process.pid, process.start)


async def test_a_killed_or_hung_process_comes_back_by_the_first_rung(on_air: OnAir) -> None:
    for verb in ("kill", "stop"):
        assert on_air.act(verb)
        await on_air.sees("nothing")
        await on_air.carry_out(on_air.workload.restart_process())
        await on_air.sees("live")


async def test_a_crash_loop_survives_restarts_until_it_is_cleared(on_air: OnAir) -> None:
    assert on_air.act("crashloop")
    host = on_air.sim.hosts.host(on_air.instance_id)
    for _ in range(2):
        for command in on_air.workload.restart_process():
            await on_air.link.run(command)  # the last one may see it die, and says so
        await eventually(lambda: not host.workloads())
    on_air.act("clear")
    await on_air.carry_out(on_air.workload.restart_process())
    await on_air.sees("live")
