"""A rental on a simulated host, and how to get into it with OpenSSH's own client."""

import asyncio
import subprocess
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from keeper.adapters.ssh import SshHosts
from keeper.ports import Address
from keeper.sim.contract import Contract
from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo
from keeper.sim.ssh_host import LoopbackHost
from tests.waiting import PATIENCE_S, eventually, look_until

SHAPE = MarketShape(renters_every_s=0, price_drift_every_s=0, tempo=quick_tempo(0.3))
# The start that was found to return at once and to leave a pid file.
START = (
    "cd workspace && { nohup python3 -u -m http.server --bind $SERVER_HOST 8000 "
    "> server.log 2>&1 < /dev/null & echo $! > server.pid; }"
)


class TimedSim(SimServer):
    """A marketplace whose clock the test moves: what is to be seen at a moment may take its time."""

    held_at: float | None = None

    @override
    def _clock(self) -> float:
        return super()._clock() if self.held_at is None else self.held_at

    def hold(self) -> None:
        """Stop the clock, for good."""
        self.held_at = self._clock()

    def move_to(self, at: float) -> None:
        """Let it be then."""
        assert self.held_at is not None
        assert at >= self.held_at, "it never steps back"
        self.held_at = at


@dataclass
class Rented:
    """A running host and how to get in."""

    sim: SimServer
    contract: Contract
    key: Path

    @property
    def host(self) -> LoopbackHost:
        return self.sim.hosts.host(self.contract.instance_id)

    def host_is_known(self) -> bool:
        return any(one["instance_id"] == self.contract.instance_id for one in self.sim.describe())

    def port(self, name: str = "22/tcp") -> int:
        assert self.contract.endpoints is not None
        return self.contract.endpoints.ports[name]

    async def ssh(
        self,
        command: str,
        *options: str,
        stdin: bytes = b"",
        port: int = 0,
        by_proxy: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> tuple[int, str, str]:
        """Log in with the real client and run a command; "" is a login shell."""
        address = self.proxy() if by_proxy else Address(host="127.0.0.1", port=port or self.port())
        known_hosts = self.key.with_name("known_hosts")
        process = await asyncio.create_subprocess_exec(
            "ssh", "-F", "none", "-i", str(self.key), "-p", str(address.port),
            "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new",
            "-o", f"UserKnownHostsFile={known_hosts}", *options, f"root@{address.host}", *([command] if command else []),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(patience_s):
                out, err = await process.communicate(stdin)
        except TimeoutError:
            process.kill()
            out, err = await process.communicate()
            err += b"timed out"
        return process.returncode or 0, out.decode(), err.decode()

    def direct(self) -> Address:
        return Address(host="127.0.0.1", port=self.port())

    def proxy(self) -> Address:
        """Return the marketplace's proxy, where the marketplace says it is."""
        endpoints = self.contract.endpoints
        assert endpoints is not None
        port = endpoints.ssh_port + ("jupyter" in self.contract.runtype)
        return Address(host=endpoints.ssh_host, port=port, is_relay=True)

    @property
    def public_key(self) -> str:
        return " ".join(self.key.with_suffix(".pub").read_text().split()[:2])

    def register(self) -> int:
        """Give the account our key, as ``POST /ssh/`` does, and return its number."""
        keys = self.sim.market.account_keys
        number = max(keys, default=0) + 1
        keys[number] = self.public_key
        return number

    def hosts(self) -> SshHosts:
        """Return keeper's own adapter with our key."""
        return SshHosts(private_key_file=self.key)

    async def ready(self) -> None:
        """Wait for SSH, which comes some time after the market says running."""
        await look_until(lambda: self.ssh("true"), lambda said: said[0] == 0)

    async def start_server(self) -> None:
        code, _, err = await self.ssh(START)
        assert code == 0, err
        await eventually(lambda: bool(self.host.workloads()))


def new_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


async def rent(
    sim: SimServer,
    key: Path,
    *,
    runtype: str = "ssh_direct",
    onstart: str = "touch ~/.no_auto_tmux; echo '{key}' >> ~/.ssh/authorized_keys",
) -> Rented:
    """Rent the cheapest offer with our key in onstart, and wait until it is up."""
    offer = sim.market.search({"rentable": {"eq": True}, "order": [["dph_total", "asc"]]})[0]
    public_key = key.with_suffix(".pub").read_text().strip()
    made = sim.market.create(
        offer["id"],
        {
            "image": "vastai/base-image",
            "disk": 32,
            "label": "k:host/0:1",
            "runtype": runtype,
            "env": {"-p 8000:8000": "1", "A": "1"},
            "onstart": onstart.replace("{key}", public_key),
        },
    )
    contract = sim.market.contracts[made["new_contract"]]
    await eventually(lambda: contract.endpoints is not None)
    return Rented(sim, contract, key)
