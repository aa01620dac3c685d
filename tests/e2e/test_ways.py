"""ssh, tunnel, logs and stream-status as processes, on hosts of real OpenSSH under the real daemon."""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from keeper.cli.client import local_keeper
from keeper.cli.errors import Stopped
from keeper.sim.faults import Fault, FaultKind
from tests.e2e.conftest import KEEPER, PATIENCE_S, Box, Done, Running, _read
from tests.e2e.real_hosts import Fleet
from tests.e2e.test_secrets_verbs import Case, said_by
from tests.e2e.test_terminal import Terminal
from tests.waiting import look_until

pytestmark = pytest.mark.timeout(300)

SERVER = "http.server"
SECRET = "sk_live_0123456789abcdefXYZ"
# It says its secret, and an escape that would clear a terminal; then a line for every visitor.
START = """\
printf 'publishing to rtmp://live.example/app/%s \\033[2J\\n' "$STREAM_KEY"
exec python3 -u -m http.server 8000 --bind "$SERVER_HOST"
"""
WORKLOAD = {
    "kind": "command",
    "image": "vastai/base-image:test",
    "workdir": "duel",
    "start": START,
    "manager": {"kind": "background", "name": "server"},
    "view": {"kind": "http", "port": 8000, "path": "/"},
}


class Verbs:
    """An operator's shell on the box where keeper runs."""

    def __init__(self, fleet: Fleet) -> None:
        self.folder = fleet.folder
        self.socket = str(fleet.keeper.socket)
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(fleet.folder),
            "LANG": "C.UTF-8",
            # Whoever may talk to keeper need not have its configuration, nor its secrets.
            "KEEPER_CONFIG": "/nowhere/keeper.yaml",
            "XDG_RUNTIME_DIR": str(fleet.folder),
            "SSH_AUTH_SOCK": "/nowhere",
        }
        self.environ |= {k: v for k, v in os.environ.items() if k.startswith("COV")}
        self._running: list[Running] = []

    async def start(self, *words: str) -> Running:
        process = await asyncio.create_subprocess_exec(
            *words,
            env=self.environ,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        running = Running(process=process)
        running.readers = [
            asyncio.create_task(_read(process.stdout, running.out)),
            asyncio.create_task(_read(process.stderr, running.err)),
        ]
        self._running.append(running)
        return running

    async def run(self, *words: str) -> Done:
        running = await self.start(*words)
        code = await running.ended()
        done = Done(code=code, out="".join(running.out), err="".join(running.err))
        assert "Traceback" not in done.err, done.err
        return done

    async def keeper(self, verb: str, *words: str) -> Done:
        return await self.run(KEEPER, verb, "--socket", self.socket, *words)

    async def begin(self, verb: str, *words: str) -> Running:
        return await self.start(KEEPER, verb, "--socket", self.socket, *words)

    async def close(self) -> None:
        for running in self._running:
            with suppress(ProcessLookupError):
                running.process.kill()
            await running.process.wait()
            await asyncio.gather(*running.readers)


async def first_bytes(local: str) -> bytes:
    """Ask for the stream through a tunnel, and return how the answer begins."""
    host, _, port = local.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"GET /stream HTTP/1.0\r\n\r\n")
        async with asyncio.timeout(20):
            return await reader.readexactly(12)
    except (OSError, asyncio.IncompleteReadError):
        return b""
    finally:
        writer.transport.abort()


# --- on hosts of real OpenSSH ---------------------------------------------------------------------------


@pytest.mark.real("sshd")
@pytest.mark.xdist_group("real hosts")
async def test_verbs_go_to_the_host_and_follow_the_stream_to_the_next() -> None:
    async with Fleet(WORKLOAD, secrets={"STREAM_KEY": SECRET}) as fleet:
        await fleet.on_air()
        verbs = Verbs(fleet)
        try:
            await logged_in(verbs)
            await at_a_terminal(verbs)
            await told_of(verbs)
            await followed(fleet, verbs)
        finally:
            await verbs.close()


async def logged_in(verbs: Verbs) -> None:
    done = await verbs.keeper("ssh", "duel", "--", "echo $HOME; exit 7")
    assert (done.code, done.err) == (7, "")
    assert "/home\n" in done.out
    printed = await verbs.keeper("ssh", "duel/0", "--print")
    assert printed.code == 0
    words = shlex.split(printed.out)
    (known_hosts,) = re.findall(r'UserKnownHostsFile="([^"]+)"', printed.out)
    assert Path(known_hosts).parent.stat().st_mode & 0o777 == 0o700
    assert (await verbs.run(*words, "echo pasted")).out == "pasted\n"
    # With another key for the same address nobody is let in, by ssh itself.
    pinned = Path(known_hosts).read_text()
    other = "AAAAC3NzaC1lZDI1NTE5AAAAIJ" + "A" * 42
    Path(known_hosts).write_text(re.sub(r"ssh-ed25519 \S+", f"ssh-ed25519 {other}", pinned))
    assert (await verbs.run(*words, "echo in")).out == ""


async def at_a_terminal(verbs: Verbs) -> None:
    """The client has taken over: it is on the terminal, and what is typed reaches the host."""
    terminal = Terminal(verbs)  # type: ignore[arg-type]
    try:
        await terminal.start("ssh", "duel", "--socket", verbs.socket)
        await terminal.sees("duel/0 is on instance")
        terminal.type("test -t 0 && echo a-$((40 + 2))-terminal; exit 5\r")
        assert await terminal.ended() == 5, terminal.text
        assert "a-42-terminal" in terminal.text
    finally:
        await terminal.close()


async def told_of(verbs: Verbs) -> None:
    done = await verbs.keeper("logs", "duel", "-n", "1000")
    assert done.code == 0, done.err
    assert "publishing to rtmp://live.example/app/[redacted] \\x1b[2J\n" in done.out
    assert SECRET not in done.out
    listed = await verbs.keeper("logs", "duel", "--list", "--json")
    assert [each["path"] for each in listed.json()["logs"]] == ["duel/server.log"]
    deployed = await verbs.keeper("logs", "duel", "--deploy")
    assert (deployed.code, SECRET in deployed.out) == (0, False), deployed.err
    assert "deploy.start" in deployed.out
    missing = await verbs.keeper("logs", "duel", "--file", "/etc/passwd")
    assert missing.code == 5
    assert "there is no log '/etc/passwd'; there are: duel/server.log" in missing.err
    done = await verbs.keeper("stream-status", "duel", "--exit-code")
    assert done.code == 0, done.out
    assert re.search(r"^  Picture +ok  ", done.out, re.MULTILINE)
    assert "Recent logs  ok  " in done.out
    assert "\x1b" not in done.out
    (report,) = (await verbs.keeper("stream-status", "--json")).json()
    assert (report["slot"], report["is_on_air"]) == ("duel/0", True)


async def followed(fleet: Fleet, verbs: Verbs) -> None:
    """One tunnel and one log over a restart of the process and a change of the host."""
    old = fleet.host.instance_id
    # What listens on 127.0.0.1 is there on every host of this box.
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tunnel = await verbs.begin("tunnel", "duel", f":{port}", "--json")
    log = await verbs.begin("logs", "duel", "-f", "-n", "1")
    listening = json.loads(await tunnel.says('"listening"'))
    await tunnel.says('"linked"')
    local = listening["local"]
    assert listening["remote_port"] == port
    assert await first_bytes(local) == b"HTTP/1.0 200"
    assert await in_use(verbs, local) == 75
    await log.says("GET / HTTP")
    await fleet.host.kill(SERVER)
    await log.says("duel/server.log begins anew: a new file has taken its place", stream="err")
    await log.says(r"publishing to rtmp://live.example/app/\[redacted\]")
    await fleet.on_air()
    since = fleet.mark()
    assert (await verbs.keeper("replace", "duel/0", "--yes")).code == 0
    await fleet.fact("instance.ended", since=since)
    moved = json.loads(await tunnel.says('"moved"'))
    assert f"duel/0 has moved from instance {old} to {moved['instance_id']}" in moved["says"]
    await log.says(f"duel/0 has moved from instance {old} to instance", stream="err")
    assert await first_bytes(local) == b"HTTP/1.0 200"
    server.close()
    assert await first_bytes(local) == b""
    await tunnel.says("the tunnel is well, but nothing listens on port")
    tunnel.kill(signal.SIGINT)
    log.kill(signal.SIGINT)
    assert await tunnel.ended() == 130
    assert await log.ended() == 0
    assert "Traceback" not in tunnel.everything() + log.everything()
    await fleet.on_air()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
    writer.close()


async def in_use(verbs: Verbs, local: str) -> int:
    port = local.rpartition(":")[2]
    done = await verbs.keeper("tunnel", "duel", f"{port}:8000")
    assert re.search(rf"127\.0\.0\.1:{port} is in use by \S+ \(pid \d+\)", done.err), done.err
    assert "keeper tunnel duel 0:8000" in done.err
    return done.code


# --- what goes wrong, on simulated hosts ------------------------------------------------------------------


@dataclass(frozen=True)
class Fails:
    """A verb that cannot do what is asked, how it ends, and what it says."""

    code: int
    words: str
    verb: tuple[str, ...]
    environ: dict[str, str] = field(default_factory=dict)


async def fail(box: Box, rows: list[Fails]) -> None:
    """Run verbs one after the other in one process: starting it is most of their cost."""
    said = await said_by(box, [Case([*row.verb], row.environ) for row in rows])
    *parts, _ = re.split(r"^ENDED (?=\d)", said, flags=re.MULTILINE)
    ends = re.findall(r"^ENDED (\d+)", said, re.MULTILINE)
    for row, part, end in zip(rows, parts, ends, strict=True):
        assert int(end) == row.code, (row, part)
        assert row.words in " ".join(part.split()), (row, part)


async def test_each_thing_that_stands_in_the_way_has_its_own_sentence(box: Box) -> None:
    verbs = ("ssh", "tunnel", "logs", "stream-status")
    await fail(box, [Fails(7, "no keeper is running behind", (verb, "duel")) for verb in verbs])
    box.configure("    mode: observe")
    daemon = await box.daemon()
    await look_until(lambda: knows_its_slots(box))
    rows = [Fails(5, "(did you mean 'duel", (verb, "deul")) for verb in verbs]
    rows += [
        Fails(75, "duel/0: it has no host now", ("ssh", "duel")),
        Fails(75, "duel/0 has no host now", ("logs", "duel")),
        Fails(75, "duel/0 has no host now", ("logs", "duel", "--list")),
        Fails(
            3,
            "the host could not be asked: duel/0 has no host now",
            ("stream-status", "--exit-code"),
        ),
    ]
    await fail(box, rows)
    box.configure()
    daemon.kill(signal.SIGHUP)
    await daemon.says(r'"event":"stream.on_air"')
    await fail(box, await keys(box))
    await changed_key(box)


async def knows_its_slots(box: Box) -> bool:
    try:
        async with local_keeper(box.socket) as keeper:
            return bool((await keeper.fleet()).streams)
    except Stopped:
        return False


async def keys(box: Box) -> list[Fails]:
    none, bad, other = (str(box.folder / name) for name in ("none", "bad", "other"))
    Path(bad).write_text("no key at all\n")
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(other)
    folder = str(box.folder)  # in its place: root, who often runs these tests, can read every file
    (box.folder / "bin").mkdir()
    port = box.sim.url.rpartition(":")[2]
    return [
        Fails(1, f"there is no SSH key {none}", ("ssh", "duel", "--key", none)),
        Fails(1, "is not a usable private key", ("ssh", "duel", "--key", bad)),
        Fails(1, f"cannot read keeper's SSH key {folder}", ("tunnel", "duel", "--key", folder)),
        Fails(4, "which does not let keeper's key in", ("ssh", "duel", "--key", other)),
        Fails(
            1,
            "there is no OpenSSH client on this box",
            ("ssh", "duel"),
            {"PATH": str(box.folder / "bin")},
        ),
        Fails(2, "is not LOCAL:REMOTE", ("tunnel", "duel", "8888:http")),
        Fails(2, "write 8888: for that port here, or :8888 for", ("tunnel", "duel", "8888")),
        Fails(2, "a port is at most 65535", ("tunnel", "duel", "8888:70000")),
        Fails(75, f"127.0.0.1:{port} is in use by ", ("tunnel", "duel", f"{port}:")),
    ]


async def changed_key(box: Box) -> None:
    """I23: a host with another key than the pinned one gets no login, by whom ever it is seen first."""
    (instance_id,) = box.live()
    before = (await box.keeper("ssh", "duel", "--print")).out
    target = f"instance:{instance_id}"
    box.sim.market.arm(Fault(kind=FaultKind.HOST_KEY_CHANGED, target=target))
    done = await box.keeper("ssh", "duel", "--", "echo in")
    assert (done.code, done.out) == (6, "")
    assert "do not log in" in done.err
    shown = await box.shell(f"{before.strip()} 'echo in'")
    assert (shown.code, shown.out) == (255, "")
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in shown.err


@pytest.fixture
async def terminal(box: Box) -> AsyncIterator[Terminal]:
    made = Terminal(box)
    yield made
    await made.close()


async def test_a_tunnel_at_a_terminal_outlives_its_keeper(box: Box, terminal: Terminal) -> None:
    daemon = await box.daemon(until_on_air=True)
    await terminal.start("tunnel", "duel", NO_COLOR="1")
    await terminal.sees("linked to instance")
    (local,) = re.findall(r"(127\.0\.0\.1:\d+) leads to port 8000 of duel/0", terminal.text)
    log = await box.start("logs", "duel", "-f")
    await log.says(r"\[init\]")
    daemon.kill(signal.SIGKILL)
    await daemon.ended()
    await terminal.sees("keeper does not answer")
    await log.says("keeper has stopped; waiting for it", stream="err")
    assert (await first_bytes(local)).startswith(b"HTTP/1.")
    again = await box.daemon()
    await again.says('"event":"keeper.started"')  # the socket's file is still there of the dead one
    await terminal.sees("keeper answers again")
    await log.says("keeper is back", stream="err")
    seen = len(log.out)

    async def visit() -> bool:
        assert (await first_bytes(local)).startswith(b"HTTP/1.")
        return len(log.out) > seen

    # keeper's own looks leave no line, and what a viewer leaves before the log is opened again is not shown.
    await look_until(visit, every_s=0.5, patience_s=PATIENCE_S)
    log.kill(signal.SIGINT)
    assert await log.ended() == 0
    terminal.type("\x03")
    assert await terminal.ended() == 130
    assert max(len(line) for line in terminal.lines) <= 80
    assert "\x1b" not in terminal.raw


def test_the_client_of_these_tests_is_there() -> None:
    assert shutil.which("ssh"), "scripts/system.sh installs it with sshd"
