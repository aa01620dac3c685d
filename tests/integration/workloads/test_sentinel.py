"""The real sentinel over a real sshd, watching a real background process."""

import os
import signal
import sys
from pathlib import Path

import pytest

from keeper.core.model import Status, Subject
from keeper.core.reasons import Reason
from keeper.ports import Command, Link
from keeper.workloads import Workload
from tests.integration.workloads.conftest import build, carry_out, watching
from tests.waiting import eventually, is_running

pytestmark = [pytest.mark.real("sshd"), pytest.mark.timeout(120)]

VIEW = {"kind": "tcp", "port": 1}
# Other programs of this machine write to it meanwhile, which would be told.
ONE_LOOK_AT_THE_DISK = "keeper_disk_looks=1000000\n"


def sleeper(workdir: Path, **settings: object) -> Workload:
    declared: dict[str, object] = {
        "image": "any",
        "workdir": str(workdir),
        "start": "exec sleep 1000",
        "view": VIEW,
    }
    return build("command", **{**declared, **settings})


def recorded_pid(workdir: Path) -> int:
    return int((workdir / ".keeper" / "workload.pid").read_text().split()[0])


async def test_tells_up_killed_and_started_again(link: Link, workdir: Path) -> None:
    workload = sleeper(workdir)
    async with watching(link, workload) as sentinel:
        never = await sentinel.until(Reason.PROCESS_GONE)
        assert never.detail == "never started here"
        await carry_out(link, workload.deploy())
        first = await sentinel.until_up()
        assert first.identity.startswith(f"{recorded_pid(workdir)}:")
        os.kill(recorded_pid(workdir), signal.SIGKILL)
        gone = await sentinel.until(Reason.PROCESS_GONE)
        assert gone.is_certain
        await carry_out(link, workload.restart_process())
        await sentinel.until_up(after=first.identity)


async def test_pid_of_another_process_is_neither_ours_nor_killed(link: Link, workdir: Path) -> None:
    """After a reboot the pid in the file may belong to anybody, sshd included."""
    workload = sleeper(workdir)
    (workdir / ".keeper").mkdir(parents=True)
    (workdir / ".keeper" / "workload.pid").write_text(f"{os.getpid()} 12345\n")
    try:
        async with watching(link, workload) as sentinel:
            gone = await sentinel.until(Reason.PROCESS_GONE)
            assert gone.detail == "its pid belongs to another process"
        await carry_out(link, workload.restart_process())
        assert recorded_pid(workdir) != os.getpid()
    finally:
        pid = recorded_pid(workdir)
        if pid != os.getpid():
            os.kill(pid, signal.SIGKILL)
        (workdir / ".keeper" / "workload.pid").unlink()


async def test_restart_ends_children_that_ignore_sigterm(link: Link, workdir: Path) -> None:
    start = f"{sys.executable} -c 'import os,signal,time\nsignal.signal(15, signal.SIG_IGN)\n"
    start += 'open("child.pid","w").write(str(os.getpid()))\ntime.sleep(1000)\' & wait'
    manager = {"kind": "background", "stop_s": 0.5}
    workload = sleeper(workdir, start=start, manager=manager)
    await carry_out(link, workload.deploy())
    child_file = workdir / "child.pid"
    await eventually(lambda: child_file.exists() and child_file.read_text() != "")
    child = int(child_file.read_text())
    assert is_running(child)
    await carry_out(link, workload.restart_process())
    await eventually(lambda: not is_running(child))


DF = """#!/bin/sh
[ "$1" = -Pk ] || exit 1
echo 'Filesystem     1024-blocks      Used Available Capacity Mounted on'
echo 'overlay          125829120 1 {free_kb} 1% /'
"""


@pytest.mark.parametrize(
    ("free_kb", "reason"),
    [(62_914_560, Reason.HEALTHY), (6_000_000, Reason.DISK_LOW), (1024, Reason.DISK_FULL)],
)
async def test_heartbeat_when_nothing_changes_and_disk_is_told(
    link: Link, workdir: Path, tmp_path: Path, free_kb: int, reason: Reason
) -> None:
    """By a stand-in for df: a test may not depend on how full this box is."""
    (tmp_path / "df").write_text(DF.format(free_kb=free_kb))
    (tmp_path / "df").chmod(0o755)
    workload = build(
        "command", image="any", workdir=str(workdir), view=VIEW, manager={"kind": "none"}
    )
    prelude = f"PATH={tmp_path}:$PATH\n{ONE_LOOK_AT_THE_DISK}"
    async with watching(link, workload, prelude) as sentinel:
        disk = await sentinel.until(reason, Subject.DISK)
        assert disk.status is (Status.FALSE if reason is Reason.DISK_FULL else Status.TRUE)
        async for line in sentinel.lines:
            assert line == '{"hb":1}'
            break


async def test_gpu_is_lost_only_after_two_failed_answers(link: Link, tmp_path: Path) -> None:
    """A fake nvidia-smi on the PATH: no machine here has a GPU, and it prints what it is told."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    tool = bin_ / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat {bin_}/answer\n")
    tool.chmod(0o755)
    (bin_ / "answer").write_text("Enabled\n")
    workload = build(
        "command", image="any", workdir=str(tmp_path), view=VIEW, manager={"kind": "none"},
        needs_display=True,
    )  # fmt: skip
    prelude = f"PATH={bin_}:$PATH\nkeeper_gpu_looks=1\n"
    async with watching(link, workload, prelude) as sentinel:
        seen = await sentinel.until(Reason.HEALTHY, Subject.GPU)
        assert seen.status is Status.TRUE
        (bin_ / "answer").write_text("Disabled\n")
        await sentinel.until(Reason.DISPLAY_LOST, Subject.GPU)
        (bin_ / "answer").unlink()
        lost = await sentinel.until(Reason.GPU_LOST, Subject.GPU)
        assert lost.is_certain


async def test_nothing_is_left_on_the_host_when_the_watch_is_closed(
    link: Link, workdir: Path
) -> None:
    workload = sleeper(workdir)
    async with watching(link, workload, 'printf "%s\\n" "$$"\n') as sentinel:
        pid = int(await anext(sentinel.lines))
        assert is_running(pid)
    await eventually(lambda: not is_running(pid))


async def test_nothing_is_left_on_the_host_when_the_link_is_cut(link: Link, workdir: Path) -> None:
    workload = sleeper(workdir)
    async with watching(link, workload, 'printf "%s\\n" "$$"\n') as sentinel:
        pid = int(await anext(sentinel.lines))
        link._connection.abort()  # type: ignore[attr-defined]
        async for _ in sentinel.lines:
            pass
    await eventually(lambda: not is_running(pid))


async def test_setup_files_and_environment_arrive(link: Link, workdir: Path) -> None:
    workload = build(
        "command",
        image="any",
        workdir=str(workdir),
        view=VIEW,
        env={"GREETING": "it's `not` $run"},
        files=[{"path": "bin/hello.sh", "content": 'echo "$GREETING"\n', "mode": "755"}],
        setup="bin/hello.sh > said || sh bin/hello.sh > said",
        start="exec sleep 1000",
    )
    await carry_out(link, workload.deploy())
    assert (workdir / "said").read_text() == "it's `not` $run\n"
    assert (workdir / "bin" / "hello.sh").stat().st_mode & 0o777 == 0o755
    result = await link.run(
        Command(name="look", script=f"cat /proc/{recorded_pid(workdir)}/cmdline")
    )
    assert "GREETING" not in result.stdout
