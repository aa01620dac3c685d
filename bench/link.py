"""What it costs to know how fifty hosts are, over connections that are kept, to a real sshd.

Keeper has two ways: a sentinel's line, taken by the daemon's own watch, and a command on a channel.
Beside them is what others would do: asyncssh's ``conn.run`` in a loop, and ``ssh`` started for each.
The CPU is the client's alone.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import resource
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import cast

import asyncssh

from bench.measure import Cpu, Row, Side, absent, against, in_turn
from keeper.adapters.clock import SystemClock
from keeper.adapters.ssh import SshHosts
from keeper.core.events import TaskDied
from keeper.core.model import Instance, InstanceId, Reading, SlotId, Status
from keeper.daemon.board import Board
from keeper.daemon.target import Target
from keeper.daemon.tasks import Tasks
from keeper.daemon.watch import Watch
from keeper.daemon.wheel import Wheel
from keeper.ports import Command, Link, Network
from keeper.workloads import Workload
from keeper.workloads.managers import read_line
from tests.builders import an_instance
from tests.components import locate
from tests.real_sshd import RealSshd, running_sshd

_HOSTS = 50
_SWEEPS = 4
_LINE_SWEEPS = 20
_SPAWNS = 8
_CIPHER = "aes128-gcm@openssh.com"
_LINE = (
    '{"seq":%d,"facts":{"process":{"state":"up","pid":4242,"start":"8812345","restarts":0,'
    '"why":""},"disk":{"free_mb":81234},"gpu":{"ok":true,"display":true}}}\n'
)
_UNIT = "ms CPU a check"

Sweep = Callable[[], Awaitable[None]]


async def measure() -> list[Row]:
    if locate("sshd") is None:
        return [absent("link.exec", 1.25, "sshd is not installed: make system")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            # A login shell that reads its owner's settings would be measured with them.
            more = f"SetEnv HOME={folder}"
            port = _free_port()
            sshd = await stack.enter_async_context(running_sshd(folder / "sshd", port, more=more))
            return await _measure(folder, sshd, stack)


async def _measure(folder: Path, sshd: RealSshd, stack: AsyncExitStack) -> list[Row]:
    (folder / "answer").write_text(_LINE % 1)
    hosts = sshd.hosts()
    bare = await _connected(sshd, stack)
    pipes = [_Pipe(folder / f"pipe-{at}") for at in range(2 * _HOSTS)]
    ours = _cpu(await _channels(hosts, sshd, folder, stack))
    run = _cpu(_runs(bare, folder))
    sentinels = _cpu(await _sentinels(hosts, sshd, pipes[:_HOSTS], stack), _LINE_SWEEPS)
    loops = _cpu(await _loops(bare, pipes[_HOSTS:], stack), _LINE_SWEEPS)
    line, channel, floor, loop = await in_turn(sentinels, ours, run, loops)
    mine, default, quick = await in_turn(
        ours,
        _spawned(folder, sshd),
        _spawned(folder, sshd, "-o", "KexAlgorithms=curve25519-sha256"),
    )
    conn_run = f"floor: bare asyncssh conn.run, AES-GCM, {_HOSTS} kept connections"
    return [
        against(
            "link.sentinel", line, floor, goal=1.25, unit=_UNIT, note=f"sentinel's line; {conn_run}"
        ),
        against("link.exec", channel, floor, goal=1.25, unit=_UNIT, note=f"command; {conn_run}"),
        against(
            "link.loop",
            line,
            loop,
            goal=None,
            unit=_UNIT,
            note=f"sentinel's line; floor: bare asyncssh readline on {_HOSTS} remote loops",
        ),
        against(
            "link.ssh",
            mine,
            default,
            goal=1 / 100,
            unit=_UNIT,
            note=f"command; peer: ssh started for each of {_SPAWNS}, as it comes",
            is_peer=True,
        ),
        against(
            "link.ssh.curve25519",
            mine,
            quick,
            goal=1 / 15,
            unit=_UNIT,
            note=f"command; peer: ssh started for each of {_SPAWNS}, curve25519",
            is_peer=True,
        ),
    ]


def _cpu(sweep: Sweep, sweeps: int = _SWEEPS) -> Side:
    async def side() -> float:
        with Cpu() as cpu:
            for _ in range(sweeps):
                await sweep()
        return cpu.us_each(sweeps * _HOSTS) / 1e3

    return side


# --- a command on a channel ---------------------------------------------------------------------------


async def _channels(hosts: SshHosts, sshd: RealSshd, folder: Path, stack: AsyncExitStack) -> Sweep:
    links = await asyncio.gather(
        *(hosts.connect([sshd.address], pinned_host_key="", timeout_s=60.0) for _ in range(_HOSTS))
    )
    for link in links:
        stack.push_async_callback(link.close)
    command = Command(name="bench", script=f"cat {folder}/answer")

    async def ask(link: Link) -> None:
        result = await link.run(command)
        assert result.exit_code == 0, result

    async def sweep() -> None:
        await asyncio.gather(*(ask(link) for link in links))

    return sweep


async def _connected(sshd: RealSshd, stack: AsyncExitStack) -> list[asyncssh.SSHClientConnection]:
    key = asyncssh.import_private_key(sshd.private_key)
    found = []
    for _ in range(_HOSTS):
        connection = await asyncssh.connect(
            sshd.address.host,
            sshd.address.port,
            username=getpass.getuser(),
            client_keys=[key],
            known_hosts=None,
            config=None,
            encryption_algs=[_CIPHER],
        )
        stack.callback(connection.close)
        found.append(connection)
    return found


def _runs(connections: list[asyncssh.SSHClientConnection], folder: Path) -> Sweep:
    async def ask(connection: asyncssh.SSHClientConnection) -> None:
        result = await connection.run(f"cat {folder}/answer")
        assert result.exit_status == 0, result

    async def sweep() -> None:
        await asyncio.gather(*(ask(connection) for connection in connections))

    return sweep


# --- lines that are pushed ----------------------------------------------------------------------------


class _Pipe:
    """Makes one host speak when it is told to, at no cost to speak of on either side."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.script = f'while read -r line; do echo "$line"; done <{path}'
        self._descriptor = os.open(path, os.O_RDWR)

    def say(self, line: str) -> None:
        os.write(self._descriptor, line.encode())


@dataclass
class _Heard:
    """Counts lines, and tells when all hosts have spoken."""

    left: int = 0
    all: asyncio.Event = field(default_factory=asyncio.Event)

    def one(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.all.set()

    async def after(self, pipes: list[_Pipe], number: int) -> None:
        self.left = len(pipes)
        self.all.clear()
        for pipe in pipes:
            pipe.say(_LINE % number)
        await self.all.wait()


@dataclass(frozen=True)
class _Speaking:
    """A workload whose sentinel says what is written into a pipe; read as every sentinel is."""

    pipe: _Pipe
    heard: _Heard

    def sentinel(self) -> str:
        return self.pipe.script

    def interpret(self, line: str, instance_id: InstanceId, at: datetime) -> tuple[Reading, ...]:
        self.heard.one()
        found = read_line(line, instance_id, at, needs_display=True)
        assert len(found) == 3, line
        return found


async def _sentinels(
    hosts: SshHosts, sshd: RealSshd, pipes: list[_Pipe], stack: AsyncExitStack
) -> Sweep:
    clock, heard = SystemClock(), _Heard()
    group = await stack.enter_async_context(asyncio.TaskGroup())
    tasks = Tasks(_tell)
    tasks.own(group)
    watch = Watch(
        hosts=hosts,
        network=cast("Network", None),
        clock=clock,
        board=Board(lambda: None),
        wheel=Wheel(clock),
        spawn=tasks.once,
        keep=tasks.for_ever,
        key_refused=lambda _: None,
        own_network=lambda: Status.UNKNOWN,
    )
    stack.callback(tasks.cancel_all)
    watch.follow(
        {
            InstanceId(at): Target(
                slot=SlotId(f"bench/{at}"),
                instance=_instance(at, sshd),
                workload=cast("Workload", _Speaking(pipe, heard)),
                pinned_host_key="",
                is_deployed=False,
                probe_interval_s=10.0,
                probe_timeout_s=5.0,
                probe_stale_s=45.0,
            )
            for at, pipe in enumerate(pipes, start=1)
        }
    )

    async def sweep() -> None:
        async with asyncio.timeout(60):
            await heard.after(pipes, 2)

    return sweep


def _tell(died: TaskDied) -> None:
    print(died, file=sys.stderr)


def _instance(at: int, sshd: RealSshd) -> Instance:
    return an_instance(
        at,
        public_ip=sshd.address.host,
        ports={"22/tcp": sshd.address.port},
        ssh_host="",
        ssh_port=0,
    )


async def _loops(
    connections: list[asyncssh.SSHClientConnection], pipes: list[_Pipe], stack: AsyncExitStack
) -> Sweep:
    """Do the same with nothing around it: a remote loop on each connection, read line by line."""
    heard = _Heard()

    async def listen(connection: asyncssh.SSHClientConnection, pipe: _Pipe) -> None:
        # Not waited for at the end: the remote loop ends only when its pipe does.
        process = await connection.create_process(pipe.script)
        async for _ in process.stdout:
            heard.one()

    group = await stack.enter_async_context(asyncio.TaskGroup())
    for connection, pipe in zip(connections, pipes, strict=True):
        stack.callback(group.create_task(listen(connection, pipe)).cancel)

    async def sweep() -> None:
        async with asyncio.timeout(60):
            await heard.after(pipes, 2)

    return sweep


# --- ssh, started each time ---------------------------------------------------------------------------


def _spawned(folder: Path, sshd: RealSshd, *more: str) -> Side:
    key = folder / "key"
    key.write_bytes(sshd.private_key)
    key.chmod(0o600)
    command = [
        "ssh", "-F", "none", "-i", str(key), "-p", str(sshd.address.port), "-o", "BatchMode=yes",
        "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
        "-o", "UserKnownHostsFile=/dev/null", *more, f"{getpass.getuser()}@{sshd.address.host}",
        f"cat {folder}/answer",
    ]  # fmt: skip

    async def one() -> None:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
        )
        assert await process.wait() == 0

    async def side() -> float:
        before = _children_s()
        await asyncio.gather(*(one() for _ in range(_SPAWNS)))
        return (_children_s() - before) / _SPAWNS * 1e3

    return side


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
