"""One simulated host in real time: a home folder, an SSH server, real processes, published ports.

Everything listens on loopback. The host has an address of its own in 127.77.0.0/16, which its
processes find in SERVER_HOST; what is published leads there through a relay. There are two ways in
by SSH, as on Vast.ai: the container's own server and the marketplace's proxy. It knows nothing of
the market but the rental that it stands for.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, assert_never

import asyncssh

from keeper.sim import hardware, warden
from keeper.sim.contract import Contract, Endpoints
from keeper.sim.relay import Relay, Way
from keeper.sim.ssh_disk import NO_AUTO_TMUX, ContainerDisk
from keeper.sim.ssh_door import Door, Entrance, Sshd
from keeper.sim.ssh_files import Files
from keeper.sim.ssh_keys import AuthorizedKeys
from keeper.sim.ssh_openssh import SshdEntrance
from keeper.sim.ssh_session import Mount, run_session
from keeper.sim.tap import Edge, Tap, untapped

SSH_PORT = 2222
PROXY_PORT = 2220
CLAIM_PORT = 2221  # bound for as long as the address is ours, so that no other simulator takes it
PROXY_HOST = "localhost"  # another name than the host's own address, as sshN.vast.ai is
# Of what a real sshd says: who was not let in, and what is wrong with itself.
_REFUSALS = re.compile(r"Failed|Invalid user|not allowed|[Rr]efused|^error|^fatal")
Log = Callable[[str, str], None]
# What an image brings along and starts: done to a host at each of its starts, before anybody comes in.
Furnish = Callable[["LoopbackHost"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """When SSH works after a boot: first connections are cut, then keys are refused, then it works.

    The marketplace calls a container running before its sshd is up, and the keys come some seconds
    later still (docs, SSH connection, and field reports, read 2026-08).
    """

    is_open: Callable[[], bool]
    has_keys: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """What the marketplace's SSH proxy has of its own: its host key, and the account's keys."""

    host_key: asyncssh.SSHKey
    known: Callable[[], list[str]]  # the keys that it has heard of


class LoopbackHost:
    """A host. ``start`` and ``halt`` do not wait; what they begin is awaited by ``end``."""

    def __init__(
        self,
        contract: Contract,
        *,
        folder: Path,
        mark: str,
        luck: random.Random,
        log: Log,
        proxy: Proxy,
        tap: Tap = untapped,
        sshd: Sshd = Sshd.BUILT_IN,
        furnish: Furnish | None = None,
    ) -> None:
        self._tap = tap
        self._furnish = furnish
        self.variables: dict[str, str] = {}  # what its image adds to what a session sees
        self._kind = sshd
        self.contract = contract
        self.incarnation = contract.incarnation
        self.disk = ContainerDisk(folder)
        self.home = self.disk.home
        self.bin = self.disk.bin
        self.is_up = False
        self._has_ended = False
        self.relays: dict[str, Relay] = {}
        self.log_lines: deque[str] = deque(maxlen=500)
        self._folder = folder
        self._mark = mark
        self._boots = 0
        self._luck = luck
        self._log = log
        self._claim, self.inside = _claim_address(luck)
        self._tasks: set[asyncio.Task[None]] = set()
        self._gates = Gates(is_open=lambda: False, has_keys=lambda: False)
        self.keys = AuthorizedKeys(self.home)
        self._sshd = self._entrance(
            SSH_PORT,
            host_key=asyncssh.generate_private_key("ssh-ed25519"),
            refusal=self._refusal,
            keys=self._container_keys,
        )
        self._proxy = self._entrance(
            PROXY_PORT,
            host_key=proxy.host_key,
            refusal=lambda user, key: self._proxy_refusal(proxy, user, key),
            keys=lambda: proxy.known() if self._gates.has_keys() else [],
        )
        hardware.install(self.bin, contract)

    # --- life ---------------------------------------------------------------------------------

    def start(self, gates: Gates) -> Endpoints:
        """Boot: open the published ports and begin to serve SSH. Ports stay over a reboot."""
        self._boots += 1
        self.is_up = True
        self._gates = gates
        if not self.relays:
            self._publish()
        ports = {name: relay.port for name, relay in self.relays.items() if name != "proxy"}
        self.disk.run_onstart(self.contract, ports)
        for relay in self.relays.values():
            relay.set_way(Way.OPEN)
        if self._furnish is not None:
            self._furnish(self)
        if self.contract.runtype != "args":  # the image's own entrypoint, and no sshd is added
            self.begin(self._serve_ssh())
        self._log("booted", f"{self.inside} #{self._boots}")
        return self.endpoints()

    def halt(self, *, keeps_disk: bool) -> None:
        """Kill every process and stop listening, now; the disk goes with the last of them."""
        self.is_up = False
        for relay in self.relays.values():
            relay.set_way(Way.REFUSED)
        self._end_ssh()
        self._log("halted", "" if keeps_disk else "and wiped")
        self.begin(self._sweep(self.mark, removes_folder=not keeps_disk))

    def endpoints(self) -> Endpoints:
        """Where it can be reached. With a jupyter runtype SSH is behind the proxy's next port."""
        is_jupyter = "jupyter" in self.contract.runtype
        return Endpoints(
            public_ip="127.0.0.1",
            ports={name: relay.port for name, relay in self.relays.items() if name != "proxy"},
            ssh_host=PROXY_HOST,
            ssh_port=self.relays["proxy"].port - is_jupyter,
        )

    def readdress(self) -> Endpoints:
        """Publish everything elsewhere; open connections end."""
        for relay in self.relays.values():
            self.begin(relay.close())
        self._publish()
        return self.endpoints()

    async def end(self) -> None:
        """End everything, remove the folder, give the address back. May be repeated."""
        if not self._has_ended:
            self._has_ended = True
            self.halt(keeps_disk=False)
        for relay in self.relays.values():
            await relay.close()
        me = asyncio.current_task()
        while others := [task for task in self._tasks if task is not me]:
            await asyncio.gather(*others, return_exceptions=True)
        self._claim.close()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside; ``end`` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def mark(self) -> str:
        """What the processes of this boot carry in their environment."""
        return f"{self._mark}/{self.contract.instance_id}-{self.incarnation}/{self._boots}/"

    def _publish(self) -> None:
        def is_open(door: Door) -> bool:
            if not self._gates.is_open():
                return False
            door.refresh()
            return True

        proxy, by_proxy = (self.inside, PROXY_PORT), partial(is_open, self._proxy)
        direct = partial(is_open, self._sshd)
        dial, view = (partial(self._tap, call) for call in ("ssh dial", "viewer"))
        self.relays = {"proxy": Relay(proxy, luck=self._luck, is_ready=by_proxy, tap=dial)}
        for name in self.contract.published_ports:
            inner, _, protocol = name.partition("/")
            if protocol != "tcp":
                continue
            if inner == "22":
                ssh = (self.inside, SSH_PORT)
                self.relays[name] = Relay(ssh, luck=self._luck, is_ready=direct, tap=dial)
            else:
                self.relays[name] = Relay((self.inside, int(inner)), luck=self._luck, tap=view)

    async def _sweep(self, mark: str, *, removes_folder: bool) -> None:
        """Kill until nothing is left: a process may fork between the look and the kill."""
        for _ in range(warden.SWEEPS * 5):
            living = list(warden.marked(mark))
            if not living:
                break
            for found in living:
                with suppress(ProcessLookupError):
                    os.kill(found.pid, signal.SIGKILL)
            await asyncio.sleep(0.02)
        if removes_folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- network trouble ----------------------------------------------------------------------

    def set_network(self, way: Way) -> None:
        """Change every published port."""
        for relay in self.relays.values():
            relay.set_way(way)

    def set_ssh(self, way: Way, entrances: Sequence[str] = ("proxy", "22/tcp")) -> None:
        """Change the ways to SSH; either may fail alone."""
        for name in entrances:
            if name in self.relays:
                self.relays[name].set_way(way)

    def change_host_key(self, host_key: asyncssh.SSHKey | None = None) -> asyncssh.SSHKey:
        """Show another key of the container from now on; who is connected is cut.

        Returns the one that was shown until now. None: a new one.
        """
        self._end_ssh()
        before = self._sshd.host_key
        self._sshd.host_key = host_key or asyncssh.generate_private_key("ssh-ed25519")
        self.begin(self._serve_ssh())
        return before

    # --- SSH ----------------------------------------------------------------------------------

    def _entrance(
        self,
        port: int,
        *,
        host_key: asyncssh.SSHKey,
        refusal: Callable[[str, str], str],
        keys: Callable[[], list[str]],
    ) -> Door:
        """Make a way in that shows this key; ``refusal`` and ``keys`` say the same, each its way."""
        address = (self.inside, port)
        match self._kind:
            case Sshd.BUILT_IN:
                return Entrance(
                    address,
                    host_key=host_key,
                    refusal=refusal,
                    session=self._run,
                    sftp=self._sftp,
                )
            case Sshd.OPENSSH:
                return SshdEntrance(
                    address,
                    folder=self._folder / f"sshd-{port}",
                    home=self.home,
                    host_key=host_key,
                    keys=keys,
                    environment=self._own_environment,
                    heard=self._hear_sshd,
                    begin=self.begin,
                )
            case _:
                assert_never(self._kind)

    async def _serve_ssh(self) -> None:
        boots = self._boots

        def is_wanted() -> bool:
            return self.is_up and boots == self._boots

        if await self._sshd.open(is_wanted):
            self.note("sshd: listening")
        await self._proxy.open(is_wanted)

    def _end_ssh(self) -> None:
        self._sshd.close()
        self._proxy.close()

    def _refusal(self, user: str, key: str) -> str:
        """Say why the container does not let a key in. The caller never learns it, the log does."""
        if self._gates.has_keys():
            self.keys.deliver(self.contract.keys)
        why = self.keys.refusal(key) if user == "root" else f"Invalid user {user}"
        if why:
            self.note(f"sshd: {why}")
        return why

    def _proxy_refusal(self, proxy: Proxy, user: str, key: str) -> str:
        """Say why the proxy does not: it asks for the account's keys and never the container's."""
        is_known = user == "root" and self._gates.has_keys() and key in proxy.known()
        return "" if is_known else "not a key of the account"

    def _container_keys(self) -> list[str]:
        """Return the lines by which the container's own sshd lets in; none if it would not read them."""
        if self._gates.has_keys():
            self.keys.deliver(self.contract.keys)
        if why := self.keys.complaint():
            self.note(f"sshd: {why}")
            return []
        return self.keys.lines()

    def _hear_sshd(self, line: str) -> None:
        """Take what a real sshd says; most of it is about what goes well."""
        if line.startswith("Starting session"):
            self._log("session", "of OpenSSH")
        elif _REFUSALS.search(line):
            self.note(f"sshd: {line}")

    def note(self, line: str) -> None:
        """Write a line to the container's log, which the marketplace can show."""
        self.log_lines.append(line)

    def _sftp(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        self._tap("ssh upload", Edge.ARRIVED)
        return Files(channel, str(self.home))

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run one session. asyncssh starts it and waits for nobody, so it is remembered here."""
        if process.subsystem:
            process.exit(1)
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._log("session", (process.command or "shell")[:200])
        if not self._tap("ssh command", Edge.ARRIVED):
            return
        await run_session(
            process,
            self.spawn,
            Mount(str(self.home)),
            is_trapped=not (self.home / NO_AUTO_TMUX).exists(),
            acted=lambda: self._tap("ssh command", Edge.ACTED),
        )
        self._tap("ssh command", Edge.ANSWERED)

    async def spawn(
        self,
        *command: str,
        stdin: int,
        stdout: int,
        stderr: int,
        extra: dict[str, str] | None = None,
    ) -> asyncio.subprocess.Process:
        """Start a process of this host, in a session and a group of its own."""
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=self.home,
            env=self.environment() | (extra or {}),
            start_new_session=True,
        )

    def environment(self) -> dict[str, str]:
        """Return what a session sees. Nothing of the simulator's own environment is in it."""
        return self.disk.exported() | self._own_environment()

    def _own_environment(self) -> dict[str, str]:
        path = [str(self.bin), str(Path(sys.executable).parent)]
        path += ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        return {
            "HOME": str(self.home),
            "USER": "root",
            "LOGNAME": "root",
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "PATH": os.pathsep.join(path),
            "TMPDIR": str(self.home / "tmp"),
            "SERVER_HOST": self.inside,
            "keeper_root": str(
                hardware.root_of(self.bin)
            ),  # where its own /dev, /sys and /proc are
            **self.variables,
            warden.MARK: self.mark,
        }

    # --- what lives here ----------------------------------------------------------------------

    def processes(self) -> list[warden.Found]:
        """Return everything that runs here."""
        return list(warden.marked(self.mark))

    def workloads(self) -> dict[Path, warden.Found]:
        """Return the workload's living processes by pid file; a supervisor's children by theirs."""
        return self.disk.workloads(self.mark)


def _claim_address(luck: random.Random) -> tuple[socket.socket, str]:
    """Take a loopback address that nobody else on this machine uses as a host."""
    for _ in range(200):
        address = f"127.77.{luck.randrange(1, 255)}.{luck.randrange(1, 255)}"
        claim = socket.socket()
        try:
            claim.bind((address, CLAIM_PORT))
        except OSError:
            claim.close()
            continue
        return claim, address
    raise OSError("no free loopback address for a host")
