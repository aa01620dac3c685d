"""The hosts under the market in real time: one ``LoopbackHost`` for each rental.

Implements ``lifecycle.HostSide`` and the hands that the control API lays on hosts. Nothing here
waits; at the end ``close`` leaves no process, no port and no folder behind.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh

from keeper.sim import disk_verbs, hardware
from keeper.sim.contract import Contract, Endpoints
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.ledger import HostEntry, Ledger
from keeper.sim.relay import Way
from keeper.sim.ssh_door import Sshd
from keeper.sim.ssh_host import Furnish, Gates, LoopbackHost, Proxy
from keeper.sim.tap import Tap, untapped
from keeper.sim.warden import Found

SSH_WAYS = {
    FaultKind.SSH_DEAD_WHILE_RUNNING: Way.CUT,
    FaultKind.SSH_HANG: Way.STALLED,
    FaultKind.BANNER_ONLY: Way.BANNER,
}
# Parameters of those three: how=refused for a port where nothing listens, and entrance=proxy or
# entrance=direct for one way alone.
ENTRANCES = {"proxy": ("proxy",), "direct": ("22/tcp",)}
# The files and words that the bundled test card looks for in its working directory.
FAULT_FILE = "fault"
CRASHLOOP_FILE = "crashloop"
PICTURES = {
    FaultKind.PICTURE_FROZEN: "freeze",
    FaultKind.PICTURE_BLACK: "black",
    FaultKind.NO_FRAMES: "stall",
}
FLAGS = {
    FaultKind.GPU_LOST: hardware.GPU_LOST_FILE,
    FaultKind.DISK_FULL: hardware.DISK_FULL_FILE,
    FaultKind.DISPLAY_LOST: hardware.DISPLAY_LOST_FILE,
}
# What the control API calls the faults that a visitor may want.
VERBS = {
    "kill": FaultKind.PROCESS_KILLED,
    "stop": FaultKind.PROCESS_HUNG,
    "vanish": FaultKind.HOST_VANISHES,
    "offline": FaultKind.HOST_OFFLINE,
    "freeze": FaultKind.PICTURE_FROZEN,
    "black": FaultKind.PICTURE_BLACK,
    "silence": FaultKind.NO_FRAMES,
    "crashloop": FaultKind.CRASH_LOOP,
    "sshhang": FaultKind.SSH_HANG,
    "hostkey": FaultKind.HOST_KEY_CHANGED,
    "diskfull": FaultKind.DISK_FULL,
    "gpulost": FaultKind.GPU_LOST,
}


class LoopbackHosts:
    """Stands under one market. ``present`` is the market's time while it takes a step."""

    def __init__(
        self,
        *,
        folder: Path,
        mark: str,
        luck: random.Random,
        ledger: Ledger,
        present: Callable[[], float],
        clock: Callable[[], float],
        account_keys: Callable[[], Iterable[str]] = tuple,
        key_lag_s: float = 0.0,
        tap: Tap = untapped,
        sshd: Sshd = Sshd.BUILT_IN,
        furnish: Furnish | None = None,
    ) -> None:
        self.mark = mark
        self._sshd = sshd
        self._furnish = furnish
        self._tap = tap
        self._folder = folder
        self._luck = luck
        self._ledger = ledger
        self._present = present
        self._clock = clock
        self._hosts: dict[int, LoopbackHost] = {}
        self._ending: list[LoopbackHost] = []
        self._seen: dict[int, dict[Path, Found]] = {}
        self._account_keys = account_keys
        self._key_lag_s = key_lag_s
        self._keys_since: dict[str, float] = {}  # when the proxy heard of a key of the account
        self._proxy = Proxy(
            # One for every rental: the proxy is the marketplace's machine, not the container's.
            host_key=asyncssh.generate_private_key("ssh-ed25519"),
            known=self._known_to_proxy,
        )

    # --- HostSide -----------------------------------------------------------------------------

    def boot(self, contract: Contract) -> Endpoints:
        """Start the container; after a recycle it is another one."""
        host = self._hosts.get(contract.instance_id)
        if host is None or host.incarnation != contract.incarnation:
            if host is not None:
                self._end(host)
            host = LoopbackHost(
                contract,
                folder=self._folder / f"{contract.instance_id}-{contract.incarnation}",
                mark=self.mark,
                luck=self._luck,
                log=lambda what, detail: self._write(contract.instance_id, what, detail),
                proxy=self._proxy,
                tap=self._tap,
                sshd=self._sshd,
                furnish=self._furnish,
            )
            self._hosts[contract.instance_id] = host
            # A new container's sshd answers before the keys are there.
            opens_at = (self._present() + contract.ssh_ready_at) / 2
        else:
            opens_at = contract.ssh_ready_at
        return host.start(
            Gates(
                is_open=lambda: self._clock() >= opens_at,
                has_keys=lambda: self._clock() >= contract.ssh_ready_at,
            )
        )

    def halt(self, contract: Contract, *, keeps_disk: bool) -> None:
        """End every process; without its disk the host is gone for good."""
        host = self._hosts.get(contract.instance_id)
        if host is None:
            return
        if keeps_disk:
            host.halt(keeps_disk=True)
        else:
            del self._hosts[contract.instance_id]
            self._end(host)

    def set_reachable(self, contract: Contract, *, is_reachable: bool) -> None:
        """Cut or restore the network; processes live on."""
        host = self._hosts.get(contract.instance_id)
        if host is not None and host.is_up:
            host.set_network(Way.OPEN if is_reachable else Way.DARK)

    def readdress(self, contract: Contract) -> Endpoints:
        """Publish the same container on other ports."""
        return self._hosts[contract.instance_id].readdress()

    def strike(self, contract: Contract, fault: Fault) -> bool:
        """Let a fault happen on the host. False: nothing there to strike yet."""
        host = self._hosts.get(contract.instance_id)
        if host is None or not host.is_up or not self._do(host, fault):
            return False
        self._write(contract.instance_id, fault.kind.value, "fault")
        return True

    def heal(self, contract: Contract, kind: FaultKind) -> None:
        """End a fault that lasts."""
        host = self._hosts.get(contract.instance_id)
        if host is None:
            return
        if kind in SSH_WAYS:
            host.set_ssh(Way.OPEN)
        elif kind in PICTURES:
            host.disk.mend_card(FAULT_FILE)
        elif kind is FaultKind.CRASH_LOOP:
            host.disk.mend_card(CRASHLOOP_FILE)
        elif kind in FLAGS:
            host.disk.set_flag(FLAGS[kind], is_set=False)
        elif kind is FaultKind.PROCESS_HUNG:
            _signal(host, signal.SIGCONT)

    def _do(self, host: LoopbackHost, fault: Fault) -> bool:
        kind = fault.kind
        match kind:
            case FaultKind.PROCESS_KILLED:
                return _signal(host, signal.SIGKILL)
            case FaultKind.PROCESS_HUNG:
                return _signal(host, signal.SIGSTOP)
            case FaultKind.CRASH_LOOP:
                return host.disk.break_card(host.mark, CRASHLOOP_FILE) and _signal(
                    host, signal.SIGKILL
                )
            case FaultKind.HOST_KEY_CHANGED:
                host.change_host_key()
            case _ if kind in SSH_WAYS:
                way = Way.REFUSED if fault.params.get("how") == "refused" else SSH_WAYS[kind]
                entrance = str(fault.params.get("entrance", ""))
                host.set_ssh(way, ENTRANCES.get(entrance, ("proxy", "22/tcp")))
            case _ if kind in PICTURES:
                return host.disk.break_card(host.mark, FAULT_FILE, PICTURES[kind])
            case _ if kind in FLAGS:
                host.disk.set_flag(FLAGS[kind], is_set=True)
            case _:
                return False
        return True

    def spoil_keys(self, instance_id: int, *, is_spoilt: bool) -> None:
        """Give the container's authorized_keys modes that sshd refuses, or the right ones."""
        keys = self._hosts[instance_id].keys
        if is_spoilt:
            keys.spoil()
        else:
            keys.mend()

    def _known_to_proxy(self) -> list[str]:
        """Return the account's keys that the proxy lets in; it hears of a new one a moment later."""
        self._hear_of_keys()
        now = self._clock()
        return [key for key, at in self._keys_since.items() if now >= at + self._key_lag_s]

    def _hear_of_keys(self) -> None:
        now = self._clock()
        before = self._keys_since
        self._keys_since = {key: before.get(key, now) for key in self._account_keys()}

    # --- looking ------------------------------------------------------------------------------

    def host(self, instance_id: int) -> LoopbackHost:
        """Return a living host. Raises KeyError."""
        return self._hosts[instance_id]

    def describe(self) -> list[dict[str, Any]]:
        """Return every living host as plain values."""
        return [self._describe(host) for host in self._hosts.values()]

    def _describe(self, host: LoopbackHost) -> dict[str, Any]:
        contract = host.contract
        workloads = {found.pid: str(path) for path, found in host.workloads().items()}
        endpoints = host.endpoints()
        return {
            "instance_id": contract.instance_id,
            "label": contract.label,
            "machine_id": contract.machine.machine_id,
            "is_up": host.is_up,
            "inside": host.inside,
            "public_ip": endpoints.public_ip,
            "ports": dict(endpoints.ports),
            "ssh": f"{endpoints.ssh_host}:{endpoints.ssh_port}",
            "workdir": str(host.home),
            "processes": [
                {
                    "pid": found.pid,
                    "name": found.name,
                    "state": found.state,
                    "start": found.start,
                    "pid_file": workloads.get(found.pid, ""),
                }
                for found in host.processes()
            ],
        }

    def watch(self) -> None:
        """Write down which workload processes began and ended since the last look."""
        self._hear_of_keys()
        for instance_id, host in self._hosts.items():
            now = host.workloads() if host.is_up else {}
            before = self._seen.get(instance_id, {})
            for path, found in before.items():
                if _identity(now.get(path)) != _identity(found):
                    self._write(instance_id, "process.ended", _identity(found))
            for path, found in now.items():
                if _identity(before.get(path)) != _identity(found):
                    self._write(instance_id, "process.started", _identity(found))
            self._seen[instance_id] = now

    def read_logs(self, instance_id: int, lines: int) -> str:
        """Return the end of a container's log."""
        host = self._hosts.get(instance_id)
        return "" if host is None else "\n".join([*host.log_lines][-lines:]) + "\n"

    def execute(self, instance_id: int, command: str) -> str:
        """Do what the marketplace lets one do without SSH, and return what it prints."""
        host = self._hosts.get(instance_id)
        return "" if host is None else disk_verbs.run(host.home, command)

    # --- the end ------------------------------------------------------------------------------

    async def close(self) -> None:
        """End every host."""
        hosts = [*self._hosts.values(), *self._ending]
        self._hosts.clear()
        await asyncio.gather(*(host.end() for host in hosts))

    def _end(self, host: LoopbackHost) -> None:
        self._seen.pop(host.contract.instance_id, None)
        self._ending.append(host)
        host.begin(self._close(host))

    async def _close(self, host: LoopbackHost) -> None:
        await host.end()
        with suppress(ValueError):
            self._ending.remove(host)

    def _write(self, instance_id: int, what: str, detail: str) -> None:
        entry = HostEntry(at=self._present(), instance_id=instance_id, what=what, detail=detail)
        self._ledger.host(entry)


def _identity(found: Found | None) -> str:
    return "" if found is None else f"{found.pid}:{found.start}"


def _signal(host: LoopbackHost, number: signal.Signals) -> bool:
    """Send a signal to the workload's own processes. False: there is none."""
    workloads = host.workloads()
    for found in workloads.values():
        with suppress(ProcessLookupError):
            os.kill(found.pid, number)
    return bool(workloads)
