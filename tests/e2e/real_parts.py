"""The parts of a fleet on real OpenSSH: a rented host in one's hands, the daemon, the numbers.

`real_hosts.py` says how they are used.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

from typing_extensions import override

from keeper.adapters.ssh import SshHosts
from keeper.ports import Address, Command, CommandResult, Link, PortError
from keeper.sim.demo_keeper import KeeperProcess
from keeper.sim.ssh_host import LoopbackHost

_LOG_LINES = 12

FLEET: Mapping[str, object] = {
    "list_interval_s": 1,
    "list_interval_busy_s": 0.5,
    "listing_stale_s": 30,
    "absence_apart_s": 1,
    "destroy_quick_retry_s": 1,
    "tick_interval_s": 1,
    "spend_max_dollars_per_hour": 50,
    # One slot, and rows that let its hosts fail alike on purpose.
    "common_cause_hosts": 100,
    "quarantine_s": [1],
    "quarantine_host_after": 100,
}
POLICY: Mapping[str, object] = {
    # Half of the timeout is watched: enough to call an MJPEG picture frozen that is to have ten new
    # frames a second. One without a target needs probe_timeout_s of 2.1. A look ends up to 0.1 s after
    # its time, and must not meet the next one.
    "probe_interval_s": 1.4,
    "probe_timeout_s": 1.1,
    "probe_stale_s": 15,
    "failures_to_fail": 2,
    "successes_to_clear": 1,
    "fatal_state_s": 2,
    "boot_max_s": 60,
    "boot_hard_max_s": 90,
    "create_settle_s": 15,
    "absence_apart_s": 1,
    "warmup_grace_s": 60,
    "warmup_max_s": 120,
    "restarts_max": 2,
    "restarts_forgiven_s": 2,
    "restart_backoff_min_s": 0.2,
    "restart_backoff_max_s": 1,
    "restart_settle_s": 2,
    "workload_restarts_max": 50,
    "reboots_max": 50,
    "crash_loop_changes": 5,
    "crash_loop_window_s": 15,
    "replace_after_s": 4,
    "unreachable_s": 20,
    "replacements_max": 50,
    "replacements_apart_s": 0.5,
    "dark_spend_max_dollars": 100,
    "handover_good_probes": 2,
    "handover_max_s": 60,
    "no_offer_backoff_s": [1, 2],
    "deploy_proof_s": 3,
}
ALERTS: Mapping[str, object] = {
    "group_wait_s": 0.5,
    "group_interval_s": 2,
    "resolved_after_s": 1,
}

# --- what was spent ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What keeper has had done so far, by the books of the marketplace and of the hosts."""

    rented: int = 0
    destroyed: int = 0
    rebooted: int = 0
    deploys: int = 0
    process_restarts: int = 0
    workload_restarts: int = 0

    def __sub__(self, before: Spent) -> Spent:
        """Return what came after."""
        return Spent(
            **{f.name: getattr(self, f.name) - getattr(before, f.name) for f in fields(self)}
        )


# --- hosts ------------------------------------------------------------------------------------


class Host:
    """A rented host as somebody has it who may do anything to it."""

    def __init__(self, inner: LoopbackHost, hosts: SshHosts) -> None:
        self.inner = inner
        self.instance_id = inner.contract.instance_id
        self.home = inner.home
        self.bin = inner.bin
        self.address = inner.inside
        self._hosts = hosts
        self._link: Link | None = None

    async def run(self, script: str, *, timeout_s: float = 30.0, ok: bool = True) -> CommandResult:
        """Run a script in a login of one's own. ``ok``: fail when it does."""
        command = Command(name="fault", script=script, timeout_s=timeout_s)
        try:
            result = await (await self._login()).run(command)
        except PortError:  # a link of before a reboot
            await self.close()
            result = await (await self._login()).run(command)
        assert not ok or result.exit_code == 0, result
        return result

    async def _login(self) -> Link:
        if self._link is None:
            direct = Address(host="127.0.0.1", port=self.published(22))
            self._link = await self._hosts.connect([direct], pinned_host_key="", timeout_s=20)
        return self._link

    def pids(self, words: str) -> list[int]:
        """Return the host's processes that have these words in their command lines."""
        return [pid for pid, line in self._lines() if words in line]

    async def kill(self, words: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to every process that has these words in its command line; there must be one."""
        pids = self.pids(words)
        assert pids, (
            f"no process has {words!r} in its command line; there are {dict(self._lines())}"
        )
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def published(self, port: int) -> int:
        """Return the port of this box that leads to a published port of the host."""
        return self.inner.relays[f"{port}/tcp"].port

    def log(self, path: str, lines: int = 50) -> str:
        """Return the end of a file below the home."""
        with suppress(OSError):
            text = (self.home / path).read_text(errors="replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    async def close(self) -> None:
        """End one's own login."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _lines(self) -> Iterator[tuple[int, str]]:
        for found in self.inner.processes():
            with suppress(OSError):
                raw = Path(f"/proc/{found.pid}/cmdline").read_bytes()
                yield found.pid, raw.replace(b"\0", b" ").decode(errors="replace").strip()


def put_program(host: LoopbackHost, name: str, script: str) -> None:
    """Put a program first on a host's PATH: a stand-in, or a way to a real one (``exec /path "$@"``)."""
    path = host.bin / name
    path.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


# --- the daemon -------------------------------------------------------------------------------


class Daemon(KeeperProcess):
    """The installed command with a configuration of ours."""

    def __init__(self, folder: Path, *, mark: str, environ: Mapping[str, str]) -> None:
        super().__init__(folder, mark=mark)
        self._environ = environ

    @override
    def configure(self, **values: object) -> None:
        self.config.write_text(json.dumps(values, indent=1))  # JSON is YAML

    @override
    def _environment(self) -> dict[str, str]:
        measured = {name: value for name, value in os.environ.items() if name.startswith("COV")}
        return super()._environment() | measured | dict(self._environ)

    def last_words(self) -> str:
        """Return the end of its log."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        return ""
