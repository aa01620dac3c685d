"""The checks of an audition against real parts over a real OpenSSH: X servers, Vulkan in software, ports.

Everything that can fail without a GPU fails for real here. What only a GPU can pass is played by
stand-ins that print what NVIDIA documents; no driver's answers could be recorded when this was written.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from keeper.adapters.network import HttpNetwork
from keeper.core.model import Meaning, Status
from keeper.ports import Address, Command, Link, PortError
from keeper.workloads.audition import Check, CheckName, Finding, PortLook, dialled, judged
from keeper.workloads.audition_checks import AuditionSettings, Demands, Ingest, audition
from keeper.workloads.audition_host import port, upload
from tests.components import ABSENT
from tests.waiting import eventually, is_running, state_of

pytestmark = [pytest.mark.timeout(180), pytest.mark.real("sshd")]

USUAL = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])


def checks_of(demands: Demands, **settings: object) -> dict[CheckName, Check]:
    made = audition(demands, AuditionSettings.model_validate(settings))
    return {check.name: check for check in made}


def rendering(workdir: Path | str = ".", **more: object) -> dict[CheckName, Check]:
    return checks_of(replace(Demands(workdir=str(workdir), renders=True), **more))  # type: ignore[arg-type]


async def seen(link: Link, check: Check, /, *, now: datetime | None = None, **env: str) -> Finding:
    """Look once, with this environment on the host."""
    assert isinstance(check.look, Command)
    result = await link.run(replace(check.look, env={**check.look.env, **env}))
    return judged(check, result, now or datetime.now(UTC))


async def fixed(link: Link, check: Check, **env: str) -> int:
    assert check.fix is not None
    return (await link.run(replace(check.fix, env=env))).exit_code


def put(folder: Path, name: str, script: str) -> Path:
    """Put a stand-in for a tool in front of the others; returns a PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return folder


# --- nvidia-smi, played --------------------------------------------------------------------------------

OF_2023 = """case "$*" in
*display_mode*) echo Enabled ;;
*display_active*) echo Disabled ;;
*display_attached*) echo 'Field "display_attached" is not a valid field to query.'; exit 2 ;;
*name*) echo 'NVIDIA GeForce RTX 3090, 525.60.13, 24576 MiB' ;;
*) echo '|   0  NVIDIA RTX 3090    Off  | 00000000:01:00.0 Off |                  N/A |' ;;
esac"""
OF_2025 = """case "$*" in
*display_mode*) echo '[Requested functionality has been deprecated]' ;;
*display_active*) echo Disabled ;;
*display_attached*) echo No ;;
*name*) echo 'NVIDIA RTX PRO 6000 Blackwell, 580.105.08, 97887 MiB' ;;
*) echo '|   0  NVIDIA RTX PRO 6000 Blac...    On  |   00000000:01:00.0  On |                  Off |' ;;
esac"""
GONE = "echo 'Unable to determine the device handle for GPU0: 0000:01:00.0: GPU is lost.'; exit 15"
CHATTERBOX = "yes 'no end to it'"


@pytest.mark.parametrize(
    ("script", "gpu", "display"),
    [
        (OF_2023, Status.TRUE, Status.TRUE),
        # An X server on a card without a monitor: the table knows, the fields do not.
        (OF_2025, Status.TRUE, Status.TRUE),
        (GONE, Status.FALSE, Status.UNKNOWN),
        # Cut off at a bound and, at its deadline, ended: it hangs.
        (CHATTERBOX, Status.FALSE, Status.UNKNOWN),
    ],
    ids=["2023", "2025", "gone", "endless"],
)
async def test_a_driver_is_heard_whatever_its_generation(
    link: Link, tmp_path: Path, script: str, gpu: Status, display: Status
) -> None:
    path = f"{put(tmp_path / 'bin', 'nvidia-smi', script)}:{USUAL}"
    checks = rendering()
    if script is CHATTERBOX:  # it would be heard for as long as a hanging driver is
        look = checks[CheckName.GPU].look
        assert isinstance(look, Command)
        short = replace(look, script=look.script.replace("bounded 15", "bounded 1"))
        checks = {name: replace(check, look=short) for name, check in checks.items()}
    assert (await seen(link, checks[CheckName.GPU], PATH=path)).status is gpu
    assert (await seen(link, checks[CheckName.DISPLAY], PATH=path)).status is display


# --- Vulkan --------------------------------------------------------------------------------------------


@pytest.mark.real("vulkaninfo", "lavapipe")
async def test_vulkan_in_software_is_no_vulkan(link: Link) -> None:
    finding = await seen(link, rendering()[CheckName.VULKAN], VK_ICD_FILENAMES=_lavapipe())
    assert finding.meaning is Meaning.REPLACE
    assert "in software: llvmpipe" in finding.saw


def _lavapipe() -> str:
    return str(next(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json")))


@pytest.mark.real("vulkaninfo")
async def test_vulkan_without_a_driver_says_what_the_loader_says(link: Link) -> None:
    finding = await seen(link, rendering()[CheckName.VULKAN], VK_ICD_FILENAMES="/nowhere.json")
    assert finding.meaning is Meaning.REPLACE
    assert "ERROR" in finding.saw


def furnished(root: Path, *, capabilities: str = "all") -> Path:
    """Make a root with the driver's library in it."""
    library = root / "usr/lib/x86_64-linux-gnu/libGLX_nvidia.so.0"
    library.parent.mkdir(parents=True)
    library.touch()
    environ = root / "proc/1/environ"
    environ.parent.mkdir(parents=True)
    environ.write_text(f"A=b\0NVIDIA_DRIVER_CAPABILITIES={capabilities}\0")
    return library


async def test_a_missing_manifest_is_written_and_a_broken_one_replaced(
    link: Link, tmp_path: Path
) -> None:
    furnished(tmp_path)
    check, root = rendering()[CheckName.VULKAN_ICD], str(tmp_path)
    assert (await seen(link, check, keeper_root=root)).meaning is Meaning.FIX
    assert await fixed(link, check, keeper_root=root) == 0
    assert (await seen(link, check, keeper_root=root)).status is Status.TRUE
    manifest = tmp_path / "usr/share/vulkan/icd.d/nvidia_icd.json"
    manifest.write_text('{"ICD": {"library_path": "libGLX_nvi')
    assert (await seen(link, check, keeper_root=root)).meaning is Meaning.FIX
    assert await fixed(link, check, keeper_root=root) == 0
    assert (await seen(link, check, keeper_root=root)).status is Status.TRUE
    assert manifest.with_suffix(".json.before").read_text().endswith("libGLX_nvi")


@pytest.mark.parametrize("capabilities", ["compute,utility", "all"])
async def test_missing_libraries_are_the_machines_fault_only_if_they_were_asked_for(
    link: Link, tmp_path: Path, capabilities: str
) -> None:
    furnished(tmp_path, capabilities=capabilities).unlink()
    finding = await seen(link, rendering()[CheckName.VULKAN_ICD], keeper_root=str(tmp_path))
    assert finding.meaning is Meaning.REPLACE
    assert finding.is_machine_at_fault is (capabilities == "all")


async def test_the_kernels_own_files_are_asked_and_not_lsmod(link: Link, tmp_path: Path) -> None:
    checks, root = rendering(), str(tmp_path)
    assert (
        await seen(link, checks[CheckName.NVIDIA_DRM], keeper_root=root)
    ).status is Status.UNKNOWN
    assert (await seen(link, checks[CheckName.DEV_DRI], keeper_root=root)).status is Status.FALSE
    modules = tmp_path / "proc/modules"
    modules.parent.mkdir()
    modules.write_text("nvidia_drm_not 1 0 - Live 0x0\nnvidia 1 0 - Live 0x0\n")
    assert (await seen(link, checks[CheckName.NVIDIA_DRM], keeper_root=root)).status is Status.FALSE
    modules.write_text("nvidia_drm 131072 4 - Live 0x0\n")
    assert (await seen(link, checks[CheckName.NVIDIA_DRM], keeper_root=root)).status is Status.TRUE
    (tmp_path / "dev/dri").mkdir(parents=True)
    (tmp_path / "dev/dri/card1").touch()
    (tmp_path / "dev/dri/renderD129").touch()
    assert (await seen(link, checks[CheckName.DEV_DRI], keeper_root=root)).status is Status.TRUE


# --- X servers -----------------------------------------------------------------------------------------


@pytest.fixture
def display(free_port: Callable[[], int]) -> Iterator[str]:
    """Give a display of this test alone; whoever serves it is ended."""
    number = free_port()  # claimed for this process, and display numbers reach as far
    yield f":{number}"
    with suppress(OSError, ValueError):
        os.kill(served_by(f":{number}"), signal.SIGKILL)
    for left in (_lock(f":{number}"), _socket(f":{number}")):
        left.unlink(missing_ok=True)


def _lock(display: str) -> Path:
    return Path(f"/tmp/.X{display[1:]}-lock")


def _socket(display: str) -> Path:
    return Path(f"/tmp/.X11-unix/X{display[1:]}")


def served_by(display: str) -> int:
    return int(_lock(display).read_text())


@pytest.mark.real("xvfb", "xdpyinfo")
@pytest.mark.parametrize("has_tool", [True, False], ids=["xdpyinfo", "greeted by ourselves"])
async def test_an_x_server_must_answer_and_is_started_where_it_does_not(
    link: Link, tmp_path: Path, display: str, has_tool: bool
) -> None:
    hidden = put(tmp_path / "bin", "xdpyinfo", "exit 1")
    path = USUAL if has_tool else f"{hidden}:{USUAL}"
    check = checks_of(Demands(workdir=str(tmp_path), x_display=display))[CheckName.X_SERVER]
    assert (await seen(link, check, PATH=path)).meaning is Meaning.FIX

    assert await fixed(link, check) == 0
    assert (await seen(link, check, PATH=path)).status is Status.TRUE
    first = served_by(display)
    assert await fixed(link, check) == 0  # it answers: left alone
    assert served_by(display) == first

    # It hangs: the socket takes connections, and nobody reads them.
    os.kill(first, signal.SIGSTOP)
    quick = replace(check, look=_impatient(check.look))
    hung = await seen(link, quick, PATH=path)
    assert (hung.meaning, hung.saw) == (
        Meaning.FIX, "the X server takes connections and does not answer",
    )  # fmt: skip
    os.kill(first, signal.SIGCONT)

    # It dies, and leaves socket and lock behind: a socket alone proves nothing.
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: not is_running(first))
    assert _socket(display).is_socket()
    dead = await seen(link, check, PATH=path)
    assert (dead.meaning, dead.saw) == (Meaning.FIX, "there is a socket whose server is dead")
    assert await fixed(link, check) == 0
    assert (await seen(link, check, PATH=path)).status is Status.TRUE
    assert served_by(display) != first


def _impatient(look: Command | PortLook) -> Command:
    assert isinstance(look, Command)
    script = look.script.replace("bounded 6", "bounded 2").replace("settimeout(5)", "settimeout(1)")
    return replace(look, script=script)


@pytest.mark.real("xvfb", "xdpyinfo")
async def test_a_hung_x_server_is_ended_by_its_pid(
    link: Link, tmp_path: Path, display: str
) -> None:
    check = checks_of(Demands(workdir=str(tmp_path), x_display=display))[CheckName.X_SERVER]
    assert await fixed(link, check) == 0
    hung = served_by(display)
    os.kill(hung, signal.SIGSTOP)
    await eventually(lambda: state_of(hung) in {"T", "t"})
    assert check.fix is not None
    script = check.fix.script.replace("timeout 6", "timeout 1")
    result = await link.run(replace(check.fix, script=script))
    assert result.exit_code == 0
    assert not is_running(hung)
    assert served_by(display) != hung


@pytest.mark.real("xvfb")
async def test_a_lock_of_somebody_else_alive_is_not_touched(
    link: Link, tmp_path: Path, display: str
) -> None:
    _lock(display).write_text(f"{os.getpid():>10}\n")
    check = checks_of(Demands(workdir=str(tmp_path), x_display=display))[CheckName.X_SERVER]
    try:
        assert await fixed(link, check) == 1
        assert _lock(display).exists()
    finally:
        _lock(display).unlink()


# --- encoder -------------------------------------------------------------------------------------------


@pytest.mark.real("ffmpeg")
async def test_without_a_driver_nothing_is_encoded(link: Link, tmp_path: Path) -> None:
    # It hides the driver of a machine that has one: the loader stops at a library that is none.
    (tmp_path / "libcuda.so.1").touch()
    check = checks_of(Demands(workdir=".", encodes=True))[CheckName.ENCODER]
    finding = await seen(link, check, LD_LIBRARY_PATH=str(tmp_path))
    # libcuda belongs to what every container of Vast.ai's gets, so its lack is the container's.
    assert (finding.meaning, finding.is_machine_at_fault) in {
        (Meaning.REPLACE, False), (None, True)  # … or an ffmpeg without NVENC, which tells nothing
    }  # fmt: skip


# --- the way out ---------------------------------------------------------------------------------------


async def test_the_ingest_must_take_connections(link: Link, free_port: Callable[[], int]) -> None:
    server = await asyncio.start_server(
        lambda _reader, writer: writer.close(), "127.0.0.1", free_port()
    )
    number = server.sockets[0].getsockname()[1]
    demands = Demands(workdir=".", ingest=Ingest(host="localhost", port=number))
    checks = checks_of(demands, control_host="localhost")
    assert (await seen(link, checks[CheckName.INGEST])).status is Status.TRUE
    assert (await seen(link, checks[CheckName.DNS])).status is Status.TRUE
    server.close()
    await server.wait_closed()
    closed = await seen(link, checks[CheckName.INGEST])
    # Somebody said no, so the way is open: another host would hear the same.
    assert closed.meaning is Meaning.PERSON


async def test_a_wrong_name_is_told_from_a_host_that_knows_none(link: Link) -> None:
    demands = Demands(workdir=".", ingest=Ingest(host="ingest.invalid"))
    wrong = checks_of(demands, control_host="localhost")
    assert (await seen(link, wrong[CheckName.DNS])).meaning is Meaning.PERSON
    assert (await seen(link, wrong[CheckName.INGEST])).status is Status.UNKNOWN
    none = checks_of(Demands(workdir=".", names=("a.invalid",)), control_host="b.invalid")
    assert (await seen(link, none[CheckName.DNS])).meaning is Meaning.REPLACE


@asynccontextmanager
async def taking_uploads(*, slow_s: float = 0.0, status: int = 200) -> AsyncIterator[str]:
    async def take(request: web.Request) -> web.Response:
        async for _ in request.content.iter_chunked(65_536):
            pass
        await asyncio.sleep(slow_s)
        return web.Response(status=status)

    app = web.Application(client_max_size=1 << 30)
    app.router.add_put("/{rest:.*}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/?token=hush"
    await runner.cleanup()


@pytest.mark.real("curl")
async def test_enough_must_go_up_for_a_while(link: Link) -> None:
    async with taking_uploads() as url:
        finding = await seen(link, upload(url, 1e6, for_s=1.0))
        assert finding.status is Status.TRUE
        assert finding.numbers["upload_bps"] > 2e6
    async with taking_uploads(slow_s=10.0) as url:
        finding = await seen(link, upload(url, 1e6, for_s=1.0))
        assert finding.meaning is Meaning.REPLACE
        assert finding.numbers["upload_bps"] < 1.9e6
    async with taking_uploads(status=403) as url:
        finding = await seen(link, upload(url, 1e6, for_s=1.0))
        assert (finding.status, finding.saw) == (
            Status.UNKNOWN, "the upload test address answered 403",
        )  # fmt: skip
    gone = await seen(link, upload(url, 1e6, for_s=1.0))
    assert gone.status is Status.UNKNOWN
    assert "hush" not in f"{finding} {gone}"


@pytest.mark.real("ffmpeg")
async def test_enough_must_go_up_by_rtmp(link: Link, free_port: Callable[[], int]) -> None:
    number = free_port()
    url = f"rtmp://127.0.0.1:{number}/live/test"
    server = await asyncio.create_subprocess_exec(
        "ffmpeg", "-loglevel", "error", "-listen", "1", "-i", url, "-c", "copy", "-f", "null", "-",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await eventually(lambda: _listens(number))
        finding = await seen(link, upload(url, 5e5, for_s=2.0))
        assert finding.status is Status.TRUE, finding
        assert 0.9e6 < finding.numbers["upload_bps"] < 2e6
    finally:
        with suppress(ProcessLookupError):
            server.kill()
        await server.wait()
    assert (await seen(link, upload(url, 5e5, for_s=2.0))).status is Status.UNKNOWN


def _listens(number: int) -> bool:
    """Look without connecting: it takes one connection and no more."""
    listening = f":{number:04X} 00000000:0000 0A"
    return listening in Path("/proc/net/tcp").read_text()


# --- room, clock, ports ----------------------------------------------------------------------------------


async def test_a_disk_too_small_is_trimmed_of_old_logs_and_of_nothing_else(
    link: Link, tmp_path: Path
) -> None:
    check = checks_of(Demands(workdir=f"{tmp_path}/a/b", disk_free_min_gb=1e9))[CheckName.DISK]
    finding = await seen(link, check)  # of a folder that is not there yet
    assert (finding.meaning, finding.status) == (Meaning.FIX, Status.FALSE)
    workdir = tmp_path / "a/b"
    (workdir / ".keeper").mkdir(parents=True)
    kept = [workdir / "server.log", workdir / "data.1", workdir / ".keeper/server.pid"]
    old = [workdir / "server.log.1", workdir / ".keeper/x.log.1"]
    for file in kept + old:
        file.touch()
    bare = put(tmp_path / "bin", "apt-get", "exit 0")
    code = await fixed(link, check, PATH=f"{bare}:{USUAL}", HOME=str(tmp_path / "home"))
    assert code == 0
    assert [file.exists() for file in kept + old] == [True] * 3 + [False] * 2
    enough = checks_of(Demands(workdir=str(tmp_path)), disk_free_min_ratio=0)[CheckName.DISK]
    assert (await seen(link, enough)).status is Status.TRUE


async def test_a_full_disk_is_seen(link: Link, tmp_path: Path) -> None:
    mount = await asyncio.create_subprocess_exec(
        "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    if await mount.wait():
        pytest.skip(f"{ABSENT}the right to mount a small disk")
    try:
        (tmp_path / "filler").write_bytes(bytes(1 << 20))
        check = checks_of(Demands(workdir=str(tmp_path), disk_free_min_gb=0))[CheckName.DISK]
        finding = await seen(link, check)
        assert (finding.meaning, finding.numbers["free_gb"]) == (Meaning.FIX, 0)
    finally:
        unmount = await asyncio.create_subprocess_exec("umount", str(tmp_path))
        assert await unmount.wait() == 0


async def test_a_clock_that_differs_is_for_a_person(link: Link) -> None:
    check = checks_of(Demands(workdir="."))[CheckName.CLOCK]
    assert (await seen(link, check)).status is Status.TRUE
    for hours in (-1, 1):
        now = datetime.now(UTC) + timedelta(hours=hours)
        assert (await seen(link, check, now=now)).meaning is Meaning.PERSON


async def test_a_port_is_opened_for_one_dial_and_free_again(
    link: Link, network: HttpNetwork, free_port: Callable[[], int]
) -> None:
    number = free_port()
    check = port(number)
    finding = await _dial(link, network, check)
    assert finding.status is Status.TRUE
    with socket.socket() as mine:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await eventually(lambda: _binds(mine, number))
        mine.listen(1)
        # The workload listens already: it serves as well.
        assert (await _dial(link, network, check)).status is Status.TRUE


async def test_a_port_that_nobody_can_reach_condemns_and_one_that_nobody_serves_does_not(
    link: Link, network: HttpNetwork, free_port: Callable[[], int]
) -> None:
    check, elsewhere = port(free_port()), free_port()
    blocked = await _dial(link, network, check, public=elsewhere)
    assert blocked.meaning is Meaning.REPLACE
    assert isinstance(check.look, PortLook)
    unserved = replace(check, look=replace(check.look, opener=None))
    assert (await _dial(link, network, unserved, public=elsewhere)).status is Status.UNKNOWN


def _binds(mine: socket.socket, number: int) -> bool:
    with suppress(OSError):
        mine.bind(("127.0.0.1", number))
        return True
    return False


async def _dial(
    link: Link, network: HttpNetwork, check: Check, public: int | None = None
) -> Finding:
    """Do as the daemon does."""
    look = check.look
    assert isinstance(look, PortLook)
    opened = await link.run(look.opener) if look.opener is not None else None
    failure: PortError | None = None
    try:
        address = Address(host="127.0.0.1", port=public or look.container_port)
        await network.dial(address, look.timeout_s)
    except PortError as error:
        failure = error
    return judged(check, dialled(failure, opened=opened), datetime.now(UTC))
