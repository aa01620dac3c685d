"""Simulated hosts are real: OpenSSH logs in, processes run, die, hang, and leave nothing behind."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest

from keeper.sim import warden
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.serve import SimServer
from tests.integration.sim.rented import SHAPE, START, Rented, new_key, rent
from tests.waiting import PATIENCE_S, eventually, look_until

pytestmark = pytest.mark.real("sshd")  # Debian's server package brings the client


# --- sessions --------------------------------------------------------------------------------


async def test_openssh_logs_in_at_the_published_address_and_by_the_proxy(rented: Rented) -> None:
    code, out, err = await rented.ssh("echo $HOME; pwd; echo $SERVER_HOST; env; exit 7")
    assert code == 7
    home, folder, inside, *environment = out.splitlines()
    assert home == folder == str(rented.host.home)
    assert inside.startswith("127.77.")
    assert "Welcome to vast.ai" in err
    assert not any(line.startswith(("A=", "PYTEST", "VIRTUAL_ENV")) for line in environment)
    rented.register()
    assert (await rented.ssh("echo in", by_proxy=True))[:2] == (0, "in\n")


async def test_a_foreign_key_is_refused_until_it_is_attached(
    rented: Rented, tmp_path: Path
) -> None:
    other = new_key(tmp_path / "other")
    stranger = Rented(rented.sim, rented.contract, other)
    code, _, err = await stranger.ssh("true")
    assert code == 255
    assert "Permission denied" in err
    public_key = " ".join(other.with_suffix(".pub").read_text().split()[:2])
    assert rented.sim.market.attach_key(rented.contract.instance_id, public_key)
    assert (await stranger.ssh("true"))[0] == 0


async def test_streams_and_exit_codes_are_those_of_the_process(rented: Rented) -> None:
    code, out, err = await rented.ssh("cat; echo done >&2", stdin=b"x" * 300_000)
    assert (code, len(out)) == (0, 300_000)
    assert err.endswith("done\n")
    assert (await rented.ssh("sh -s", stdin=b"sleep 0.05; echo from stdin\n"))[1] == "from stdin\n"
    assert (await rented.ssh("kill -9 $$"))[0] == 255
    code, out, _ = await rented.ssh("tty; exit 3", "-tt")
    assert code == 3
    assert out.startswith("/dev/pts/")


async def test_nothing_of_a_long_input_is_lost(rented: Rented) -> None:
    """Up to 70 KB of 300 were, now and then: asyncio ended a pipe that had just been written to."""
    for _ in range(8):
        assert (await rented.ssh("wc -c", stdin=b"x" * 300_000))[1].strip() == "300000"


async def test_a_signal_reaches_the_whole_command(rented: Rented) -> None:
    command = "trap 'exit 42' TERM; sleep 1000"
    async with (
        asyncssh.connect(
            "127.0.0.1", rented.port(), username="root", client_keys=[str(rented.key)],
            known_hosts=None, config=None,
        ) as connection,
        connection.create_process(command) as process,
    ):  # fmt: skip
        # Not before: what is forked and not yet `sleep` would forget the signal, under any sshd.
        await eventually(lambda: "sleep" in {found.name for found in rented.host.processes()})
        process.send_signal("TERM")
        assert (await process.wait()).exit_status == 42


async def test_a_background_job_holds_the_session_as_with_sshd(rented: Rented) -> None:
    """The seed's start command hangs: the list's subshell keeps the channel's output open."""
    hanging = asyncio.ensure_future(rented.ssh("cd workspace && nohup sleep 1000 &"))
    await eventually(lambda: any(found.name == "sleep" for found in rented.host.processes()))
    done, _ = await asyncio.wait([hanging], timeout=0.3)
    assert not done
    for found in rented.host.processes():
        if found.name == "sleep":
            os.kill(found.pid, signal.SIGTERM)
    assert (await hanging)[0] == 0


async def test_a_published_port_leads_to_the_server_inside(rented: Rented) -> None:
    await rented.start_server()
    assert b" 200 " in await look_until(lambda: ask(rented.port("8000/tcp")))


async def ask(port: int) -> bytes:
    """Ask an HTTP server for its first line; empty while nothing answers there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_forward_leads_to_the_server_inside(rented: Rented) -> None:
    await rented.start_server()
    async with asyncssh.connect(
        "127.0.0.1", rented.port(), username="root", client_keys=[str(rented.key)],
        known_hosts=None, config=None,
    ) as connection:  # fmt: skip
        listener = await connection.forward_local_port("127.0.0.1", 0, "localhost", 8000)
        assert b" 200 " in await look_until(lambda: ask(listener.get_port()))
        listener.close()


async def test_files_by_sftp_lie_where_a_shell_finds_them(rented: Rented) -> None:
    async with (
        asyncssh.connect(
            "127.0.0.1", rented.port(), username="root", client_keys=[str(rented.key)],
            known_hosts=None, config=None,
        ) as connection,
        connection.start_sftp_client() as sftp,
    ):  # fmt: skip
        await sftp.makedirs("workspace/a")
        async with sftp.open("workspace/a/part", "wb") as file:
            await file.write(b"content")
        await sftp.chmod("workspace/a/part", 0o755)
    code, out, _ = await rented.ssh("stat -c %a workspace/a/part; cat workspace/a/part")
    assert (code, out) == (0, "755\ncontent")


async def test_the_hardware_answers(rented: Rented) -> None:
    query = "nvidia-smi --query-gpu=name,memory.total,display_active --format=csv,noheader,nounits"
    code, out, _ = await rented.ssh(query)
    gpu = rented.contract.machine.gpu
    assert code == 0
    name, memory, display = out.strip().split(", ")
    assert (name.endswith(gpu.name), memory) == (True, str(gpu.ram_mib))
    assert (display == "Enabled") == rented.contract.machine.has_display
    assert rented.sim.market.strike(rented.contract, Fault(kind=FaultKind.DISPLAY_LOST))
    assert (await rented.ssh(query))[1].strip().endswith(", Disabled")
    rented.sim.act(rented.contract.instance_id, "gpulost")
    assert (await rented.ssh(query))[0] == 15
    rented.sim.act(rented.contract.instance_id, "diskfull")
    assert "100%" in (await rented.ssh("df -kP ."))[1]
    rented.sim.act(rented.contract.instance_id, "clear")
    assert (await rented.ssh(query))[0] == 0
    assert "100% /\n" not in (await rented.ssh("df -kP ."))[1]


# --- hands -----------------------------------------------------------------------------------


async def test_processes_are_killed_hung_and_woken(rented: Rented) -> None:
    await rented.start_server()
    act = rented.sim.act
    assert act(rented.contract.instance_id, "stop")
    (found,) = rented.host.workloads().values()
    await eventually(lambda: (warden.look(found.pid) or found).state == "T")
    act(rented.contract.instance_id, "cont")
    await eventually(lambda: (warden.look(found.pid) or found).state != "T")
    assert act(rented.contract.instance_id, "kill")
    await eventually(lambda: warden.look(found.pid) is None)
    assert not act(rented.contract.instance_id, "kill"), "nothing is left to kill"


async def test_an_armed_fault_waits_for_the_process_it_is_meant_for(rented: Rented) -> None:
    rented.sim.market.arm(Fault(kind=FaultKind.PROCESS_KILLED, target="k:host/*"))
    code, _, _ = await rented.ssh(START)
    assert code == 0
    await eventually(lambda: any(one.what == "process_killed" for one in rented.sim.ledger.hosts))
    await eventually(lambda: not rented.host.workloads())


async def test_starts_and_ends_of_processes_are_written_down(rented: Rented) -> None:
    await rented.start_server()
    ledger = rented.sim.ledger
    await eventually(lambda: any(one.what == "process.started" for one in ledger.hosts))
    rented.sim.act(rented.contract.instance_id, "kill")
    await eventually(lambda: any(one.what == "process.ended" for one in ledger.hosts))


@pytest.mark.parametrize(
    ("kind", "symptom"),
    [
        (FaultKind.SSH_HANG, "timed out"),
        (FaultKind.BANNER_ONLY, "timed out"),
        (FaultKind.SSH_DEAD_WHILE_RUNNING, "closed by|reset by|kex_exchange"),
        (FaultKind.HOST_KEY_CHANGED, "HOST IDENTIFICATION HAS CHANGED"),
    ],
)
async def test_ssh_fails_in_its_several_ways(rented: Rented, kind: FaultKind, symptom: str) -> None:
    rented.sim.market.arm(Fault(kind=kind))
    rented.sim.market.advance()
    if kind is FaultKind.HOST_KEY_CHANGED:
        await eventually(lambda: rented.host.log_lines.count("sshd: listening") == 2)
    # OpenSSH's own limit ends with the banner; after it, it waits for ever.
    is_silent = symptom == "timed out"
    limit = ("-o", "ConnectTimeout=1") if is_silent else ()
    code, _, err = await rented.ssh("true", *limit, patience_s=3 if is_silent else PATIENCE_S)
    assert code != 0
    assert any(word in err for word in symptom.split("|")), err
    if kind is not FaultKind.HOST_KEY_CHANGED:
        rented.sim.act(rented.contract.instance_id, "clear")
        assert (await rented.ssh("true"))[0] == 0


async def test_a_link_that_is_open_hangs_with_the_host(rented: Rented) -> None:
    async with asyncssh.connect(
        "127.0.0.1", rented.port(), username="root", client_keys=[str(rented.key)],
        known_hosts=None, config=None,
    ) as connection:  # fmt: skip
        assert (await connection.run("echo 1")).stdout == "1\n"
        rented.sim.act(rented.contract.instance_id, "offline")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await connection.run("echo 2")
        code, _, err = await rented.ssh("true")
        assert (code, "refused" in err) == (255, True)
        rented.sim.act(rented.contract.instance_id, "online")
        assert (await connection.run("echo 3")).stdout == "3\n"


async def test_a_session_that_nobody_hears_any_more_does_not_hold_the_host(
    rented: Rented,
) -> None:
    """The shell is gone, its job holds the output, and the client was killed."""
    code, _, _ = await rented.ssh("cd workspace; sleep 1000 & exit 0", patience_s=1)
    assert code != 0
    rented.sim.act(rented.contract.instance_id, "vanish")
    await eventually(lambda: not rented.host_is_known())


async def test_reboot_ends_processes_and_keeps_disk_and_ports(rented: Rented) -> None:
    await rented.start_server()
    before = rented.port()
    rented.sim.act(rented.contract.instance_id, "reboot")
    await eventually(lambda: rented.host.log_lines.count("sshd: listening") == 2)
    await rented.ready()
    assert rented.port() == before
    code, out, _ = await rented.ssh("cat workspace/server.pid")
    assert code == 0
    assert warden.look(int(out)) is None


async def test_recycle_loses_the_disk_and_shows_another_key(rented: Rented) -> None:
    home = rented.host.home
    await rented.ssh("touch workspace/mine")
    rented.sim.market.recycle(rented.contract.instance_id)
    await eventually(lambda: rented.contract.box.value == "up")
    await eventually(lambda: not home.exists())
    await eventually(lambda: "sshd: listening" in rented.host.log_lines)
    code, _, err = await rented.ssh("ls workspace", "-o", "UserKnownHostsFile=/dev/null")
    while code == 255:  # SSH comes later than the container
        await asyncio.sleep(0.05)
        code, out, err = await rented.ssh("ls workspace", "-o", "UserKnownHostsFile=/dev/null")
        assert out == ""
    assert code == 0, err


# --- the end ---------------------------------------------------------------------------------

HIDING = (
    "setsid -f sleep 1001 > /dev/null 2>&1 < /dev/null; "
    "nohup sh -c 'sleep 1002 & sleep 1003' > /dev/null 2>&1 < /dev/null & "
    "sleep 1004 > /dev/null 2>&1 < /dev/null & "
    # Stopped before it has closed our output it would hold the session, as with a real sshd.
    'until [ "$(cat /proc/$!/comm)" = sleep ]; do sleep 0.02; done; kill -STOP $!'
)


@pytest.mark.parametrize("how", ["destroy", "vanish", "stop"])
async def test_no_process_outlives_its_host(rented: Rented, how: str) -> None:
    host, sim = rented.host, rented.sim
    await rented.start_server()
    assert (await rented.ssh(HIDING))[0] == 0
    await eventually(lambda: len(host.processes()) >= 5)
    mark = host.mark
    match how:
        case "destroy":
            sim.market.destroy(rented.contract.instance_id)
        case "vanish":
            sim.act(rented.contract.instance_id, "vanish")
        case _:
            sim.market.set_state(rented.contract.instance_id, "stopped")
    await eventually(lambda: not list(warden.marked(mark)))
    if how != "stop":
        await eventually(lambda: not host.home.exists())
    code, _, err = await rented.ssh("true")
    while code != 255:  # a stop takes a moment
        code, _, err = await rented.ssh("true")
    assert "refused" in err


async def test_a_stopped_server_leaves_nothing_behind(key: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with SimServer(seed=7, spacing_scale=0, shape=SHAPE, state_dir=state) as sim:
        rented = await rent(sim, key)
        await rented.ready()
        await rented.start_server()
        assert (await rented.ssh(HIDING))[0] == 0
        assert list(state.iterdir())
        mark = sim.hosts.mark
    await eventually(lambda: not list(warden.marked(mark)))
    assert list(state.iterdir()) == []


KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, "")
from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo

async def main():
    sim = SimServer(seed=7, shape=MarketShape(tempo=quick_tempo(0.1)), state_dir=Path(sys.argv[1]))
    await sim.start()
    offer = sim.market.search({"rentable": {"eq": True}})[0]
    made = sim.market.create(offer["id"], {"image": "x", "disk": 16, "runtype": "ssh_direct"})
    contract = sim.market.contracts[made["new_contract"]]
    while contract.endpoints is None:
        await asyncio.sleep(0.02)
    host = sim.hosts.host(contract.instance_id)
    quiet = asyncio.subprocess.DEVNULL
    await host.spawn("setsid", "-f", "sleep", "1005", stdin=quiet, stdout=quiet, stderr=quiet)
    while not any(found.name == "sleep" for found in host.processes()):
        await asyncio.sleep(0.02)
    print(sim.hosts.mark, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


async def test_even_a_killed_simulator_leaves_nothing_behind(tmp_path: Path) -> None:
    state = tmp_path / "state"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(state), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        mark = (await process.stdout.readline()).decode().strip()
    assert list(warden.marked(mark))
    process.kill()
    await process.wait()
    await eventually(lambda: not list(warden.marked(mark)))
    await eventually(lambda: not list(state.iterdir()))
