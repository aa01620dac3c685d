"""One simulated host in real time: a home folder, an SSH server, real processes, published ports.

Everything listens on loopback. The host has an address of its own in 127.77.0.0/16, which its
processes find in SERVER_HOST; what is published leads there through a relay. It knows nothing of
the market but the rental that it stands for.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
from typing_extensions import override

from keeper.sim import hardware, warden
from keeper.sim.contract import Contract, Endpoints
from keeper.sim.relay import Relay, Way
from keeper.sim.ssh_session import Mount, run_session

SSH_PORT = 2222
CLAIM_PORT = 2221  # bound for as long as the address is ours, so that no other simulator takes it
SUPERVISORS = frozenset({"supervisord.pid", "pm2.pid"})
BANNER = (
    "Welcome to vast.ai. If authentication fails, try again after a few seconds, and double check "
    "your ssh key.\r\nHave fun!\r\n"
)
Log = Callable[[str, str], None]


class LoopbackHost:
    """A host. ``start`` and ``halt`` do not wait; what they begin is awaited by ``end``."""

    def __init__(
        self, contract: Contract, *, folder: Path, mark: str, luck: random.Random, log: Log
    ) -> None:
        self.contract = contract
        self.incarnation = contract.incarnation
        self.home = folder / "home"
        self.is_up = False
        self._has_ended = False
        self.relays: dict[str, Relay] = {}
        self.log_lines: deque[str] = deque(maxlen=500)
        self._folder = folder
        self._bin = folder / "bin"
        self._mark = mark
        self._boots = 0
        self._luck = luck
        self._log = log
        self._claim, self.inside = _claim_address(luck)
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._server: asyncssh.SSHAcceptor | None = None
        self._clients: set[asyncssh.SSHServerConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        for path in (self.home / "tmp", self.home / "workspace"):
            path.mkdir(parents=True)
        if "no_auto_tmux" in contract.onstart:
            (self.home / ".no_auto_tmux").touch()
        hardware.install(self._bin, contract)

    # --- life ---------------------------------------------------------------------------------

    def start(self, is_ssh_ready: Callable[[], bool]) -> Endpoints:
        """Boot: open the published ports and begin to serve SSH. Ports stay over a reboot."""
        self._boots += 1
        self.is_up = True
        if not self.relays:
            self._publish(is_ssh_ready)
        for relay in self.relays.values():
            relay.set_way(Way.OPEN)
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
        """Where it can be reached."""
        return Endpoints(
            public_ip="127.0.0.1",
            ports={name: relay.port for name, relay in self.relays.items() if name != "proxy"},
            ssh_host="127.0.0.1",
            ssh_port=self.relays["proxy"].port,
        )

    def readdress(self, is_ssh_ready: Callable[[], bool]) -> Endpoints:
        """Publish everything elsewhere; open connections end."""
        for relay in self.relays.values():
            self.begin(relay.close())
        self._publish(is_ssh_ready)
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

    def _publish(self, is_ssh_ready: Callable[[], bool]) -> None:
        ssh = (self.inside, SSH_PORT)
        self.relays = {"proxy": Relay(ssh, luck=self._luck, is_ready=is_ssh_ready)}
        for name in self.contract.published_ports:
            inner, _, protocol = name.partition("/")
            if protocol != "tcp":
                continue
            if inner == "22":
                self.relays[name] = Relay(ssh, luck=self._luck, is_ready=is_ssh_ready)
            else:
                self.relays[name] = Relay((self.inside, int(inner)), luck=self._luck)

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

    def set_ssh(self, way: Way) -> None:
        """Change the two ways to the SSH server."""
        for name in ("proxy", "22/tcp"):
            if name in self.relays:
                self.relays[name].set_way(way)

    def change_host_key(self) -> None:
        """Show another key from now on; who is connected is cut."""
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._end_ssh()
        self.begin(self._serve_ssh())

    # --- SSH ----------------------------------------------------------------------------------

    async def _serve_ssh(self) -> None:
        boots = self._boots
        options = {
            "server_host_keys": [self._host_key],
            "process_factory": self._run,
            "encoding": None,
            "sftp_factory": self._sftp,
            "allow_scp": True,
            "agent_forwarding": False,
            "x11_forwarding": False,
            "line_editor": False,
            "keepalive_interval": 0,
            "login_timeout": 20,
        }
        for _ in range(100):
            try:
                server = await asyncssh.create_server(
                    lambda: _Door(self), self.inside, SSH_PORT, reuse_address=True, **options
                )
                break
            except OSError:  # the server before this one has not let go yet
                await asyncio.sleep(0.02)
        else:
            self.note("sshd: cannot bind")
            return
        if boots != self._boots or not self.is_up:
            server.close()
            return
        self._server = server
        self.note("sshd: listening")

    def _end_ssh(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for client in tuple(self._clients):
            client.abort()
        self._clients.clear()

    def admit(self, client: asyncssh.SSHServerConnection) -> None:
        """Remember a connection, to be cut with the host."""
        self._clients.add(client)

    def dismiss(self, client: asyncssh.SSHServerConnection) -> None:
        """Forget a connection."""
        self._clients.discard(client)

    def note(self, line: str) -> None:
        """Write a line to the container's log, which the marketplace can show."""
        self.log_lines.append(line)

    def _sftp(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(self.home).encode())

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
        await run_session(process, self.spawn, Mount(str(self.home)))

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
        path = [str(self._bin), str(Path(sys.executable).parent)]
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
            warden.MARK: self.mark,
        }

    # --- the workload -------------------------------------------------------------------------

    def processes(self) -> list[warden.Found]:
        """Return everything that runs here."""
        return list(warden.marked(self.mark))

    def workloads(self) -> dict[Path, warden.Found]:
        """Return the workload's living processes by pid file; a supervisor's children by theirs."""
        found: dict[Path, warden.Found] = {}
        supervisors: dict[Path, int] = {}
        for path in self.home.glob("**/*.pid"):
            with suppress(OSError, ValueError):
                pid = int(path.read_text().split()[0])
                process = warden.look(pid)
                if process is None or not warden.has_mark(pid, self.mark):
                    continue
                if path.name in SUPERVISORS:
                    supervisors[path] = pid
                else:
                    found[path] = process
        if not found:
            for path, pid in supervisors.items():
                for child in warden.children(pid):
                    found[path.parent / f"{child.pid}"] = child
        return found

    def break_card(self, name: str, word: str = "") -> bool:
        """Write the file by which a test card is told to go wrong. False: there is none."""
        folders = {Path(f"/proc/{found.pid}/cwd").readlink() for found in self.workloads().values()}
        for folder in folders:
            (folder / name).write_text(word)
        return bool(folders)

    def mend_card(self, *names: str) -> None:
        """Take those files away."""
        for name in names:
            for path in self.home.glob(f"**/{name}"):
                path.unlink(missing_ok=True)

    def set_flag(self, name: str, *, is_set: bool) -> None:
        """Change the hardware that the stand-ins report."""
        path = self._bin / name
        if is_set:
            path.touch()
        else:
            path.unlink(missing_ok=True)


class _Door(asyncssh.SSHServer):
    """Lets the rental's keys in, and leads forwards to the inside."""

    def __init__(self, host: LoopbackHost) -> None:
        self._host = host
        self._client: asyncssh.SSHServerConnection | None = None

    @override
    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._client = conn
        self._host.admit(conn)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._client is not None:
            self._host.dismiss(self._client)

    @override
    def begin_auth(self, username: str) -> bool:
        assert self._client is not None
        self._client.send_auth_banner(BANNER)
        return True

    @override
    def public_key_auth_supported(self) -> bool:
        return True

    @override
    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        shown = " ".join(key.export_public_key().decode().split()[:2])
        is_known = username == "root" and shown in self._host.contract.keys
        if not is_known:
            self._host.note(f"sshd: refused publickey for {username}")
        return is_known

    @override
    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Any:
        if dest_host not in {"localhost", "127.0.0.1", "::1", "0.0.0.0"}:  # noqa: S104
            return False
        assert self._client is not None
        return self._client.forward_connection(self._host.inside, dest_port)


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
