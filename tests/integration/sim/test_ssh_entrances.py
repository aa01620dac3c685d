"""The two ways into a simulated host by SSH, as on Vast.ai, with OpenSSH and keeper's own adapter.

Who may come in and when is the same whether the simulator serves SSH itself or a real sshd does.
"""

import asyncio
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest

from keeper.cli.sim import SSHD_KINDS
from keeper.ports import (
    Address,
    Command,
    HostKeyChanged,
    PortError,
    Unauthorized,
    Unreachable,
    Upload,
)
from keeper.sim import warden
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.lifecycle import Tempo
from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer
from keeper.sim.ssh_door import Sshd
from tests.components import ABSENT
from tests.integration.sim.rented import SHAPE, Rented, TimedSim, new_key, rent
from tests.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.real("sshd")  # Debian's server package brings the client

_OF_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason=f"{ABSENT}sshd as root")
_REAL = pytest.param(Sshd.OPENSSH, marks=_OF_ROOT)
BOTH = pytest.mark.parametrize("sshd", [Sshd.BUILT_IN, _REAL])
REAL = pytest.mark.parametrize("sshd", [_REAL])
UNMARKED = "echo '{key}' >> ~/.ssh/authorized_keys"  # nothing about tmux


async def said(rented: Rented, *, by_proxy: bool = False) -> str:
    """Log in with OpenSSH; return what it says went wrong, in a word, or "" when it works."""
    code, out, err = await rented.ssh("echo in", by_proxy=by_proxy)
    if code == 0:
        assert out == "in\n"
        return ""
    for word in ("Permission denied (publickey)", "refused", "CHANGED", "closed", "reset"):
        if word in err:
            return word
    return err


async def echoed(rented: Rented, *addresses: object, pins: str = "") -> str:
    """Do the same with keeper's adapter; return the pins. Raises its errors."""
    ways = [rented.direct(), rented.proxy()] if not addresses else list(addresses)
    link = await rented.hosts().connect(ways, pinned_host_key=pins, timeout_s=20)  # type: ignore[arg-type]
    try:
        done = await link.run(Command(name="t", script="echo in", timeout_s=PATIENCE_S))
        assert (done.exit_code, done.stdout) == (0, "in\n")
        return link.host_key
    finally:
        await link.close()


# --- keys ------------------------------------------------------------------------------------


@BOTH
async def test_the_proxy_asks_for_the_accounts_keys_and_the_container_for_its_own(
    rented: Rented, tmp_path: Path
) -> None:
    assert await said(rented) == ""
    assert await said(rented, by_proxy=True) == "Permission denied (publickey)"
    with pytest.raises(Unauthorized):
        await echoed(rented, rented.proxy())
    number = rented.register()
    assert await said(rented, by_proxy=True) == ""
    await echoed(rented, rented.proxy())
    # And the other way round: a key that came to the account later is not in the container.
    later = Rented(rented.sim, rented.contract, new_key(tmp_path / "later"))
    later.register()
    assert await said(later, by_proxy=True) == ""
    assert await said(later) == "Permission denied (publickey)"
    with pytest.raises(Unauthorized):
        await echoed(later, later.direct())
    del rented.sim.market.account_keys[number]
    assert await said(rented, by_proxy=True) == "Permission denied (publickey)"
    assert await said(rented) == ""


@BOTH
async def test_a_detached_key_is_locked_out_and_a_line_of_ones_own_stays(
    rented: Rented, tmp_path: Path
) -> None:
    own = Rented(rented.sim, rented.contract, new_key(tmp_path / "own"))
    line = f"echo 'environment=\"A=1\" {own.public_key} me@box' >> ~/.ssh/authorized_keys"
    assert (await rented.ssh(line))[0] == 0
    assert await said(own) == ""
    rented.contract.keys.remove(rented.public_key)
    assert await said(rented) == "Permission denied (publickey)"
    assert await said(own) == ""


@BOTH
async def test_after_running_the_keys_come_later_than_the_server(key: Path, sshd: Sshd) -> None:
    """Quirk 28: first the connection is cut, then the key is refused, then it works."""
    tempo = Tempo(boot_s=0.3, report_lag_s=0.1, ssh_ready_s=8000.0)
    shape = MarketShape(renters_every_s=0, price_drift_every_s=0, tempo=tempo)
    async with TimedSim(seed=5, spacing_scale=0, shape=shape, sshd=sshd) as sim:
        rented = await rent(sim, key)
        sim.hold()
        rented.register()
        before, ready_at = sim.market.now(), rented.contract.ssh_ready_at
        for at, problems, error in (
            (before, {"closed", "reset"}, Unreachable),
            (before + (ready_at - before) * 0.4, {"closed", "reset"}, Unreachable),
            (before + (ready_at - before) * 0.6, {"Permission denied (publickey)"}, Unauthorized),
            (ready_at - 0.1, {"Permission denied (publickey)"}, Unauthorized),
            (ready_at, {""}, None),
        ):
            sim.move_to(at)
            assert await said(rented) in problems
            assert await said(rented, by_proxy=True) in problems
            assert await _error(rented) is error


async def _error(rented: Rented) -> type[PortError] | None:
    try:
        await echoed(rented)
    except PortError as error:
        return type(error)
    return None


async def test_a_new_key_of_the_account_reaches_the_proxy_after_the_lag(key: Path) -> None:
    shape = MarketShape(renters_every_s=0, price_drift_every_s=0, tempo=SHAPE.tempo, key_lag_s=1.5)
    async with TimedSim(seed=7, spacing_scale=0, shape=shape) as sim:
        rented = await rent(sim, key)
        await rented.ready()
        sim.hold()
        since = sim.market.now()
        rented.register()
        for after_s, problem in (
            (0.0, "Permission denied (publickey)"),
            (1.4, "Permission denied (publickey)"),
            (1.6, ""),
        ):
            sim.move_to(since + after_s)
            assert await said(rented, by_proxy=True) == problem


@BOTH
async def test_bad_modes_lock_out_and_only_the_log_says_why(rented: Rented) -> None:
    rented.register()
    reason = "bad ownership or modes for file /root/.ssh/authorized_keys"
    path = rented.host.keys.path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert rented.sim.act(rented.contract.instance_id, "keymodes")
    code, _, err = await rented.ssh("true", "-v")
    assert (code, "Permission denied (publickey)" in err) == (255, True)
    assert "ownership" not in err
    assert reason in rented.sim.hosts.read_logs(rented.contract.instance_id, 20)
    with pytest.raises(Unauthorized):
        await echoed(rented, rented.direct())
    await echoed(rented)  # by the proxy, which does not look at the file
    rented.sim.act(rented.contract.instance_id, "clear")
    assert await said(rented) == ""
    # Whoever spoils them by copying files about has the same.
    assert (await rented.ssh("chmod 777 ~/.ssh"))[0] == 0
    assert await said(rented) == "Permission denied (publickey)"
    assert "modes for directory /root/.ssh" in rented.sim.hosts.read_logs(
        rented.contract.instance_id, 20
    )


@BOTH
async def test_only_root_comes_in(rented: Rented) -> None:
    code, _, err = await rented.ssh("true", "-l", "ubuntu")
    assert (code, "Permission denied" in err) == (255, True)
    assert "Invalid user ubuntu" in rented.sim.hosts.read_logs(rented.contract.instance_id, 20)


# --- ways ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("entrance", "other"), [("direct", "proxy"), ("proxy", "direct")])
@pytest.mark.parametrize("how", ["refused", "cut"])
async def test_either_way_may_fail_alone(
    rented: Rented, entrance: str, other: str, how: str
) -> None:
    rented.register()
    params = {"entrance": entrance, "how": how}
    rented.sim.market.arm(Fault(kind=FaultKind.SSH_DEAD_WHILE_RUNNING, params=params))
    await eventually(lambda: any(one.detail == "fault" for one in rented.sim.ledger.hosts))
    problem = await said(rented, by_proxy=entrance == "proxy")
    assert problem in ({"refused"} if how == "refused" else {"closed", "reset"})
    assert await said(rented, by_proxy=other == "proxy") == ""
    pins = await echoed(rented)
    whose = [line.split()[2:] for line in pins.splitlines()]
    assert whose == ([["localhost"]] if other == "proxy" else [[]])
    # Cured, the other entrance is pinned beside the first.
    rented.sim.act(rented.contract.instance_id, "clear")
    pins = await echoed(rented, rented.direct(), pins=await echoed(rented, pins=pins))
    pins = await echoed(rented, rented.proxy(), pins=pins)
    assert sorted(line.split()[2:] for line in pins.splitlines()) == [[], ["localhost"]]


@BOTH
async def test_a_recycled_container_has_another_key_and_other_ports_and_the_proxy_its_old_key(
    rented: Rented,
) -> None:
    rented.register()
    pins = await echoed(rented, rented.proxy(), pins=await echoed(rented, rented.direct()))
    known_hosts = rented.key.with_name("known_hosts")
    assert await said(rented, by_proxy=True) == ""
    before, ports = rented.host, rented.contract.endpoints
    assert ports is not None
    rented.sim.market.recycle(rented.contract.instance_id)
    await eventually(lambda: rented.host_is_known() and rented.host is not before)
    now = rented.contract.endpoints
    assert now is not None
    assert set(now.ports.values()).isdisjoint(ports.ports.values())
    # OpenSSH keeps keys by port, so the old key is written down for the new port.
    known_hosts.write_text(
        known_hosts.read_text().replace(
            f"[127.0.0.1]:{ports.ports['22/tcp']}", f"[127.0.0.1]:{now.ports['22/tcp']}"
        ).replace(f"[localhost]:{ports.ssh_port}", f"[localhost]:{now.ssh_port}")
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_S):
        while (problem := await said(rented)) != "CHANGED":
            assert problem in {"closed", "reset"}
        while problem := await said(rented, by_proxy=True):
            assert problem in {"closed", "reset", "Permission denied (publickey)"}
    with pytest.raises(HostKeyChanged):
        await echoed(rented, rented.direct(), pins=pins)
    assert await echoed(rented, rented.proxy(), pins=pins) == pins


@BOTH
async def test_a_reboot_keeps_the_key_the_ports_and_who_may_come_in(rented: Rented) -> None:
    pins, port = await echoed(rented, rented.direct()), rented.port()
    rented.sim.market.reboot(rented.contract.instance_id)
    await eventually(lambda: rented.host.log_lines.count("sshd: listening") == 2)
    assert rented.port() == port
    await rented.ready()
    assert await echoed(rented, rented.direct(), pins=pins) == pins


async def test_with_a_jupyter_runtype_ssh_is_behind_the_proxys_next_port(
    sim: SimServer, key: Path
) -> None:
    rented = await rent(sim, key, runtype="jupyter_proxy ssh_proxy")
    rented.register()
    endpoints = rented.contract.endpoints
    assert endpoints is not None
    assert "22/tcp" not in endpoints.ports
    while await said(rented, by_proxy=True):
        pass
    await echoed(rented, rented.proxy())
    code, _, err = await rented.ssh("true", port=endpoints.ssh_port)
    assert (code, "refused" in err) == (255, True)


async def test_an_entrypoint_of_the_images_own_brings_no_ssh(sim: SimServer, key: Path) -> None:
    rented = await rent(sim, key, runtype="args")
    rented.register()
    await eventually(lambda: sim.market.now() > rented.contract.ssh_ready_at + 0.5)
    assert await said(rented, by_proxy=True) in {"closed", "reset"}
    with pytest.raises(Unreachable):
        await echoed(rented, rented.proxy())


# --- sessions --------------------------------------------------------------------------------


@BOTH
async def test_the_banner_is_not_among_the_output(rented: Rented) -> None:
    _, out, err = await rented.ssh("echo in; echo out >&2")
    assert out == "in\n"
    assert err.index("Welcome to vast.ai") < err.index("Have fun!") < err.index("out\n")
    link = await rented.hosts().connect([rented.direct()], pinned_host_key="", timeout_s=20)
    done = await link.run(Command(name="t", script="echo in; echo out >&2", timeout_s=PATIENCE_S))
    await link.close()
    assert (done.stdout, done.stderr) == ("in\n", "out\n")


@BOTH
async def test_without_the_marker_tmux_swallows_terminals_and_login_shells(
    sim: SimServer, key: Path
) -> None:
    """A command vanished with exit code 1 and "no sessions": never believe without a nonce."""
    rented = await rent(sim, key, onstart=UNMARKED)
    await rented.ready()
    code, out, _ = await rented.ssh("touch ran; echo in", "-tt")
    assert (code, out) == (1, "no sessions\r\n")
    code, out, _ = await rented.ssh("", stdin=b"touch ran; echo in\n")
    assert (code, out) == (1, "no sessions\r\n")
    assert not (rented.host.home / "ran").exists()
    # The safe client: no terminal, the program on stdin, a nonce to prove that it ran.
    assert (await rented.ssh("sh -s", stdin=b"echo nonce-7\n"))[1] == "nonce-7\n"
    await echoed(rented, rented.direct())
    assert (await rented.ssh("touch ~/.no_auto_tmux"))[0] == 0
    code, out, _ = await rented.ssh("echo in", "-tt")
    assert (code, out) == (0, "in\r\n")
    assert (await rented.ssh("", stdin=b"echo in\n"))[:2] == (0, "in\n")


async def test_onstart_sets_the_marker_at_every_start(rented: Rented) -> None:
    assert (await rented.ssh("rm ~/.no_auto_tmux; cat onstart.sh"))[1].startswith("touch ~/.no_")
    assert (await rented.ssh("echo in", "-tt"))[0] == 1
    rented.sim.market.reboot(rented.contract.instance_id)
    await eventually(lambda: rented.host.log_lines.count("sshd: listening") == 2)
    await rented.ready()
    assert (await rented.ssh("echo in", "-tt"))[0] == 0


async def test_the_containers_variables_are_seen_only_when_exported(
    rented: Rented, sim: SimServer, key: Path
) -> None:
    assert (await rented.ssh('echo "<$A>"'))[1] == "<>\n"
    assert (await rented.ssh("echo B=2 >> /etc/environment"))[0] == 0
    assert (await rented.ssh('echo "<$A$B>"'))[1] == "<2>\n"
    exporting = "touch ~/.no_auto_tmux; env >> /etc/environment; " + UNMARKED
    other = await rent(sim, key, onstart=exporting)
    await other.ready()
    code, out, _ = await other.ssh('echo "$A $VAST_TCP_PORT_8000 $HOME"')
    assert (code, out) == (0, f"1 {other.port('8000/tcp')} {other.host.home}\n")


async def test_nvidia_smi_answers_like_the_real_one(rented: Rented) -> None:
    has_display = rented.contract.machine.has_display
    shown = "Enabled" if has_display else "Disabled"
    _, out, _ = await rented.ssh("nvidia-smi --query-gpu=display_active --format=csv")
    assert out == f"display_active\n{shown}\n"
    _, out, _ = await rented.ssh("nvidia-smi --query-gpu=display_active --format=csv,noheader")
    assert out == f"{shown}\n"
    memory = rented.contract.machine.gpu.ram_mib
    _, out, _ = await rented.ssh("nvidia-smi --query-gpu=index,memory.total --format=csv")
    assert out == f"index, memory.total [MiB]\n0, {memory} MiB\n"
    code, out, _ = await rented.ssh("nvidia-smi")
    assert (code, "CUDA Version" in out) == (0, True)


@pytest.mark.parametrize("protocol", [(), ("-O",)], ids=["sftp", "scp"])
@pytest.mark.parametrize("target", ["f", "~/f", "/root/f", "workspace/f", "/workspace/f"])
async def test_scp_finds_the_containers_folders_and_ends_well(
    rented: Rented, tmp_path: Path, protocol: tuple[str, ...], target: str
) -> None:
    """The copy was there and scp said 1: the server had ended without a status."""
    (tmp_path / "f").write_text("carried")
    process = await asyncio.create_subprocess_exec(
        *("scp", *protocol, "-F", "none", "-q", "-i", str(rented.key)),
        *("-P", str(rented.port()), "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes"),
        *("-o", "UserKnownHostsFile=/dev/null"),
        *(str(tmp_path / "f"), f"root@127.0.0.1:{target}"),
    )
    assert await process.wait() == 0
    where = "workspace/f" if "workspace" in target else "f"
    assert (rented.host.home / where).read_text() == "carried"


# --- a real sshd -----------------------------------------------------------------------------


@REAL
async def test_a_login_by_a_real_sshd_is_one_of_the_host(rented: Rented) -> None:
    code, out, _ = await rented.ssh(
        "pwd; echo $HOME $SERVER_HOST $TMPDIR; command -v nvidia-smi; env; cat /proc/$PPID/comm; exit 7"
    )
    host = rented.host
    folder, seen, smi, *rest = out.splitlines()
    assert (code, folder) == (7, str(host.home))
    assert seen.split() == [str(host.home), host.inside, str(host.home / "tmp")]
    assert smi == str(host.bin / "nvidia-smi")
    assert rest.pop() == "sshd"
    assert not any(re.match("A=|PYTEST|VIRTUAL_ENV|SSH_", line) for line in rest)
    link = await rented.hosts().connect([rented.direct()], pinned_host_key="", timeout_s=20)
    await link.upload(Upload(path="duel/a", content=b"content", mode=0o755))
    await link.close()
    assert (host.home / "duel" / "a").read_text() == "content"
    assert (await rented.ssh("stat -c %a duel/a", "-tt"))[1] == "755\r\n"
    # What the host's own file exports, as with the other kind.
    (host.home / "etc" / "environment").write_text("B=2 3\nnot a variable\n")
    assert (await rented.ssh('echo "<$B>"'))[1] == "<2 3>\n"


@REAL
async def test_a_forward_by_a_real_sshd_leads_to_localhost_and_nowhere_else(
    rented: Rented,
) -> None:
    """As in a container: what listens on 127.0.0.1 is reached, and no port need be published."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = await rented.hosts().connect([rented.direct()], pinned_host_key="", timeout_s=20)
    async with server, asyncio.timeout(PATIENCE_S):
        here = await link.forward(port)
        assert here == Address(host="127.0.0.1", port=here.port)
        reader, writer = await asyncio.open_connection(here.host, here.port)
        assert await reader.readline() == b"hello\n"
        writer.close()
    await link.close()
    async with asyncssh.connect(
        "127.0.0.1", rented.port(), username="root", client_keys=[str(rented.key)],
        known_hosts=None, config=None,
    ) as connection:  # fmt: skip
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("192.0.2.1", 80)


def sshds(folder: Path) -> list[int]:
    """Find the sshd processes whose configuration is below a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if b"sshd" in line and bytes(folder) in line:
            found.append(int(path.parent.name))
    return found


@REAL
@pytest.mark.parametrize("how", ["destroy", "vanish", "stop"])
async def test_no_process_outlives_a_host_with_a_real_sshd(rented: Rented, how: str) -> None:
    host, sim = rented.host, rented.sim
    folder = host.home.parent
    hiding = "setsid -f sleep 1001 >/dev/null 2>&1 </dev/null; sleep 1002 & sleep 1003"
    login = asyncio.ensure_future(rented.ssh(hiding))
    await eventually(lambda: sum(found.name == "sleep" for found in host.processes()) == 3)
    assert len(sshds(folder)) == 2  # of the container and of the proxy
    match how:
        case "destroy":
            sim.market.destroy(rented.contract.instance_id)
        case "vanish":
            sim.act(rented.contract.instance_id, "vanish")
        case _:
            sim.market.set_state(rented.contract.instance_id, "stopped")
    mark = host.mark
    await eventually(lambda: not list(warden.marked(mark)) and not sshds(folder))
    assert (await login)[0] == 255
    if how == "stop":
        sim.market.set_state(rented.contract.instance_id, "running")
        await rented.ready()
        assert len(sshds(folder)) == 2
    else:
        await eventually(lambda: not folder.exists())


KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, "")
from keeper.sim.serve import SimServer
from keeper.sim.ssh_door import Sshd
from tests.integration.sim.rented import SHAPE, rent

async def main():
    folder = Path(sys.argv[1])
    sim = SimServer(seed=7, shape=SHAPE, state_dir=folder / "state", sshd=Sshd.OPENSSH)
    await sim.start()
    rented = await rent(sim, folder / "key")
    await rented.ready()
    login = asyncio.ensure_future(rented.ssh("sleep 1005"))
    while not any(found.name == "sleep" for found in rented.host.processes()):
        await asyncio.sleep(0.02)
    print(sim.hosts.mark, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@_OF_ROOT
async def test_a_killed_simulator_leaves_no_real_sshd_behind(tmp_path: Path) -> None:
    """sshd overwrites its environment, where a host's other processes have their mark."""
    new_key(tmp_path / "key")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(tmp_path), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        mark = (await process.stdout.readline()).decode().strip()
    assert list(warden.marked(mark))
    assert sshds(tmp_path)
    process.kill()
    await process.wait()
    await eventually(lambda: not list(warden.marked(mark)) and not sshds(tmp_path))
    await eventually(lambda: not list((tmp_path / "state").iterdir()))


def test_the_command_line_offers_every_kind() -> None:
    assert tuple(Sshd) == SSHD_KINDS


@_OF_ROOT
async def test_without_root_a_real_sshd_is_refused_in_plain_words() -> None:
    command = [sys.executable, "-m", "keeper", "sim", "serve", "--port", "0", "--sshd", "openssh"]
    process = await asyncio.create_subprocess_exec(
        *(shutil.which("setpriv") or "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
        *command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, out) == (1, b""), err
    assert b"--sshd openssh: OpenSSH lets root log in only when it runs as root" in err
