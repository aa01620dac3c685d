"""Long steps on a real OpenSSH host: they outlive links and keepers, and end when their time is up."""

import asyncio
import os
import shlex
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from keeper.adapters.clock import SystemClock
from keeper.daemon.jobs import JobEnd, Jobs
from keeper.daemon.putting import Putting
from keeper.ports import Address, Command, CommandFailed, Job, Link, Unreachable
from keeper.workloads import jobs
from tests.real_sshd import RealSshd, running_sshd
from tests.relay import relayed
from tests.waiting import eventually, is_running

pytestmark = [pytest.mark.real("sshd"), pytest.mark.timeout(180)]

SECRET = "hunter2-4711"


class Host:
    """A container of its own: a home that no other test's jobs are in."""

    def __init__(self, sshd: RealSshd, home: Path) -> None:
        self.sshd = sshd
        self.home = home
        self.heard: list[str] = []
        self.links: list[Link] = []
        self.runner = Jobs(clock=SystemClock(), poll_s=0.05, link_patience_s=10)

    async def run(self, job: Job, *, link: Link | None = None) -> JobEnd:
        """Do as the daemon does, with a new link whenever one is lost."""
        return await self.runner.run(job, link or await self.link(), self.link, self.hear)

    async def link(self, address: Address | None = None) -> Link:
        """Log in; the links are closed with the test."""
        link = await self.sshd.hosts().connect(
            [address or self.sshd.address], pinned_host_key="", timeout_s=20
        )
        self.links.append(link)
        return link

    async def hear(self, lines: Sequence[str]) -> None:
        self.heard.extend(lines)

    def file(self, job: Job, name: str) -> str:
        return (self.folder(job) / name).read_text().strip()

    def folder(self, job: Job) -> Path:
        return self.home / jobs.FOLDER / job.name.replace(".", "-")

    def pid(self, job: Job, name: str = "child") -> int:
        return int(self.file(job, name).split()[0])

    async def until_it_runs(self, job: Job) -> None:
        await eventually(lambda: (self.folder(job) / "child").exists() and self.pid(job))


@pytest.fixture
async def host(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[Host]:
    home = tmp_path / "home"
    home.mkdir()
    login = f'ForceCommand cd {shlex.quote(str(home))} && eval "$SSH_ORIGINAL_COMMAND"'
    async with running_sshd(tmp_path / "sshd", free_port(), more=login) as sshd:
        host = Host(sshd, home)
        yield host
        for link in host.links:
            await link.close()
    for file in home.glob(f"{jobs.FOLDER}/*/*"):
        if file.name in {"pid", "child"}:  # each leads a group of its own
            with suppress(ProcessLookupError, ValueError, IndexError):
                os.killpg(int(file.read_text().split()[0]), signal.SIGKILL)


def a_job(script: str, **more: object) -> Job:
    return Job(**{"name": "deploy.setup", "timeout_s": 30, "mark": "one", **more}, script=script)  # type: ignore[arg-type]


def tried(host: Host, text: str = "ran") -> int:
    """Count how often a script that writes into `tries` was run."""
    path = host.home / "tries"
    return path.read_text().count(text) if path.exists() else 0


async def test_tells_what_it_prints_and_its_exit_code(host: Host) -> None:
    ended = await host.run(a_job("echo one; echo two >&2; pwd; exit 7"))
    assert (ended.exit_code, ended.was_done) == (7, False)
    assert host.heard == ["one", "two", str(host.home)]
    assert ended.tail.splitlines()[:2] == ["one", "two"]


async def test_a_lost_link_does_not_end_it(host: Host) -> None:
    """The link breaks in the middle; it runs on, and all that it printed arrives over the next one."""
    job = a_job("echo before; while [ ! -e go ]; do sleep 0.05; done; echo after; echo ran >>tries")
    async with relayed(host.sshd.address) as relay:
        link = await host.link(relay.address)
        running = asyncio.create_task(host.run(job, link=link))
        await eventually(lambda: "before" in host.heard)
        relay.cut()
        (host.home / "go").touch()
        ended = await running
    assert ended.exit_code == 0
    assert host.heard == ["before", "after"]
    assert tried(host) == 1


async def test_the_next_try_of_the_same_attaches_to_it(host: Host) -> None:
    """Keeper is killed and asks again: the step runs once, and the second one takes its result."""
    job = a_job("echo here; echo ran >>tries; while [ ! -e go ]; do sleep 0.05; done; exit 3")
    first = asyncio.create_task(host.run(job))
    await host.until_it_runs(job)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    host.heard.clear()
    second = asyncio.create_task(host.run(job))
    await eventually(lambda: "here" in host.heard)
    (host.home / "go").touch()
    ended = await second
    assert (ended.exit_code, tried(host)) == (3, 1)


async def test_a_success_that_nobody_heard_of_is_taken(host: Host) -> None:
    """It ended while keeper was away. One that also starts things is run again once that is known."""
    job = a_job("echo ran >>tries", is_lasting=False)
    link = await host.link()
    await link.run(jobs.begin(job, "an-earlier-keeper"))
    await eventually((host.folder(job) / "rc").exists)
    assert (await host.run(job)).was_done
    assert tried(host) == 1
    await link.run(jobs.end(job, "an-earlier-keeper"))
    assert not (await host.run(job)).was_done
    assert not (await host.run(job)).was_done
    assert tried(host) == 3


async def test_what_has_succeeded_is_not_run_again_until_its_mark_changes(host: Host) -> None:
    script = "echo ran >>tries"
    assert not (await host.run(a_job(script))).was_done
    assert (await host.run(a_job(script))).was_done
    assert tried(host) == 1
    assert not (await host.run(a_job(script, mark="two"))).was_done
    # What is there now is two's: one has to be done again.
    assert not (await host.run(a_job(script))).was_done
    assert tried(host) == 3


async def test_without_a_mark_it_is_run_each_time(host: Host) -> None:
    job = a_job("echo ran >>tries", mark="")
    assert not (await host.run(job)).was_done
    assert not (await host.run(job)).was_done
    assert tried(host) == 2


async def test_what_has_failed_is_run_again_and_its_log_is_kept(host: Host) -> None:
    job = a_job("echo ran | tee -a tries; exit 1")
    assert (await host.run(job)).exit_code == 1
    assert (await host.run(job)).exit_code == 1
    assert tried(host) == 2
    before = host.folder(job).with_name("deploy-setup.before")
    assert (before / "log.0").read_text() == "ran\n"


async def test_two_never_run_at_once_on_a_host(host: Host) -> None:
    """Another deploy waits until the one that runs has ended."""
    one = a_job("echo one >>order; while [ ! -e go ]; do sleep 0.05; done; echo end >>order")
    two = a_job("echo two >>order", name="deploy.other")
    first = asyncio.create_task(host.run(one))
    await host.until_it_runs(one)
    second = asyncio.create_task(host.run(two))
    await eventually(lambda: any("waiting for another job" in line for line in host.heard))
    (host.home / "go").touch()
    await asyncio.gather(first, second)
    assert (host.home / "order").read_text().split() == ["one", "end", "two"]


async def test_the_same_begun_twice_at_once_runs_once(host: Host) -> None:
    job = a_job("echo ran >>tries; while [ ! -e go ]; do sleep 0.05; done")
    link = await host.link()
    begun = await asyncio.gather(*(link.run(jobs.begin(job, f"try-{n}")) for n in range(3)))
    states = [reply.state for each in begun if (reply := jobs.read(each)) is not None]
    assert jobs.JobState.RUNNING in states
    assert set(states) <= {jobs.JobState.RUNNING, jobs.JobState.BUSY}
    (host.home / "go").touch()
    assert (await host.run(job)).exit_code == 0
    assert tried(host) == 1


async def test_a_begin_whose_answer_was_lost_is_asked_again(host: Host) -> None:
    """Doubt about a begin is settled by asking: it may have ended badly since, and is not run twice."""
    job = a_job("echo ran >>tries; exit 5")
    link = await host.link()
    await link.run(jobs.begin(job, "mine"))
    await eventually((host.folder(job) / "rc").exists)
    reply = jobs.read(await link.run(jobs.begin(job, "mine")))
    assert reply is not None
    assert (reply.state, reply.exit_code, tried(host)) == (jobs.JobState.ENDED, 5, 1)


async def test_its_time_limit_ends_all_of_it_and_says_so(host: Host) -> None:
    """Its children too, and those that do not listen; also when no keeper is there."""
    job = a_job(
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >grandchild; while :; do sleep 0.1; done' &\n"
        "echo working; while :; do sleep 0.1; done",
        timeout_s=1,
    )
    link = await host.link()
    begin = jobs.begin(job, "mine")
    script = f"kj_grace_s=1\n{begin.script}"
    await link.run(Command(name=begin.name, script=script))
    await link.close()  # nobody looks on
    await eventually((host.folder(job) / "rc").exists)
    assert host.file(job, "rc") == "late"
    grandchild = int((host.home / "grandchild").read_text())
    await eventually(lambda: not is_running(host.pid(job)) and not is_running(grandchild))


async def test_a_step_that_took_too_long_fails_the_act_by_its_name(host: Host) -> None:
    job = a_job("echo working; sleep 30", timeout_s=1)
    with pytest.raises(CommandFailed, match=r"deploy\.setup was ended after 1 s: working"):
        await _putting(host).put(await host.link(), [job], relink=host.link)


def _putting(host: Host) -> Putting:
    return Putting(redact=lambda text: text.replace(SECRET, "***"), jobs=host.runner)


async def test_what_it_leaves_in_the_background_holds_nobody_up(host: Host) -> None:
    """A daemon that keeps its output open made deploys hang for half an hour."""
    job = a_job("(while [ ! -e stop ]; do echo noise; sleep 0.2; done) & echo started")
    ended = await host.run(job)
    assert ended.exit_code == 0
    assert "started" in host.heard
    assert (await host.run(a_job("echo ran >>tries", name="deploy.next"))).exit_code == 0
    (host.home / "stop").touch()
    await eventually(lambda: not is_running(host.pid(job, "drain")))


async def test_its_log_on_the_host_is_bounded_and_its_end_is_kept(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LOG_MAX_BYTES", 200_000)
    job = a_job(
        "yes 0123456789012345678901234567890123456789 | head -c 3000000; echo; echo the end"
    )
    ended = await host.run(job)
    kept = sum(path.stat().st_size for path in host.folder(job).glob("log.*"))
    assert kept < 600_000
    assert ended.tail.endswith("the end")
    assert host.heard[-1] == "the end"


async def test_a_killed_supervisor_is_a_failure_and_nothing_of_it_stays(host: Host) -> None:
    job = a_job('echo ran >>tries; [ "$(grep -c ran tries)" -gt 1 ] || sleep 300')
    running = asyncio.create_task(host.run(job))
    await host.until_it_runs(job)
    await eventually(lambda: tried(host) == 1)
    left = host.pid(job)
    os.kill(host.pid(job, "pid"), signal.SIGKILL)
    with pytest.raises(CommandFailed, match="cut short on the host"):
        await running
    assert is_running(left)
    assert (await host.run(job)).exit_code == 0
    assert tried(host) == 2
    assert not is_running(left)


async def test_its_secrets_are_in_no_file_and_no_command_line(host: Host) -> None:
    job = a_job(
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' >commands 2>/dev/null; test -n \"$TOKEN\"",
        env={"TOKEN": SECRET, "HOME": "/nowhere", "PATH": os.environ["PATH"]},
    )
    assert (await host.run(job)).exit_code == 0
    assert (host.home / "commands").stat().st_size > 0
    holding = [
        path for path in host.home.rglob("*") if path.is_file() and SECRET in path.read_text()
    ]
    assert holding == []


async def test_what_it_makes_has_the_modes_that_it_would_have_by_hand(host: Host) -> None:
    """A key ring that only root may read is none to apt, whose reader is another user."""
    script = "umask; : >made && mkdir folder"
    link = await host.link()
    by_hand = await link.run(Command(name="by.hand", script="umask"))
    job = a_job(script)
    await host.run(job, link=link)
    assert host.heard == [by_hand.stdout.strip()]
    mask = int(by_hand.stdout, 8)
    assert mask != 0o077
    assert (host.home / "made").stat().st_mode & 0o777 == 0o666 & ~mask
    assert (host.home / "folder").stat().st_mode & 0o777 == 0o777 & ~mask
    # Its own script and log stay for its owner alone.
    for path in (host.folder(job), host.folder(job) / "script", host.folder(job) / "log.0"):
        assert path.stat().st_mode & 0o077 == 0


async def test_a_failure_names_the_step_its_code_and_its_last_words(host: Host) -> None:
    job = a_job('echo "key=$TOKEN"; echo broken >&2; exit 4', env={"TOKEN": SECRET})
    with pytest.raises(CommandFailed) as failure:
        await _putting(host).put(await host.link(), [job], relink=host.link)
    assert str(failure.value) == "deploy.setup ended with 4: key=*** | broken"


async def test_a_link_that_stays_away_fails_the_act_and_not_the_job(
    host: Host,
) -> None:
    job = a_job("while [ ! -e go ]; do sleep 0.05; done; echo ran >>tries")

    async def nobody() -> Link:
        raise Unreachable("no SSH link to the host")

    async with relayed(host.sshd.address) as relay:
        link = await host.link(relay.address)
        runner = Jobs(clock=SystemClock(), poll_s=0.05, link_patience_s=0.5)
        running = asyncio.create_task(runner.run(job, link, nobody, host.hear))
        await host.until_it_runs(job)
        relay.cut()
        with pytest.raises(Unreachable):
            await running
    (host.home / "go").touch()
    ended = await host.run(job)
    assert (ended.exit_code, tried(host)) == (0, 1)
