"""The duel's stand-in on a real SSH host under real PM2: deployed, seen, broken, cured.

One stand-in for the whole file; each row of the catalogue leaves it well.
"""

import asyncio
import base64
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from keeper.adapters.clock import SystemClock
from keeper.core.model import Reading, Remedy, Status, Subject
from keeper.core.reasons import Reason
from keeper.daemon.jobs import Jobs
from keeper.daemon.putting import Putting
from keeper.ports import Command, CommandFailed, Job, Link
from keeper.workloads import Drain, Workload, lull_of, registered
from keeper.workloads.audition_checks import CHOSEN_FILE
from tests.components import require
from tests.duel import ADMIN_CODE, FAULTS, KEY, SECRETS, Fault, Stage, by_hand
from tests.integration.workloads.conftest import Sentinel, carry_out, watching
from tests.waiting import is_running, look_until

pytestmark = [
    pytest.mark.real("sshd", "pm2", "node", "ffmpeg", "nginx-rtmp"),
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("duel"),
]

# Nobody else's disk is of interest, and PM2 is asked as often as the duel.
TIGHT = "keeper_disk_looks=1000000\nkeeper_ask_looks=3\nkeeper_workload_looks=3\n"


def build_duel(declared: Mapping[str, Any], secrets: Mapping[str, str] = SECRETS) -> Workload:
    plugin = registered()["hyperscape-duel"]
    return plugin.build(plugin.settings.model_validate(declared), secrets)


def processes_below(folder: Path) -> list[int]:
    """Return what works in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            pid = int(entry.name)
            if (entry / "cwd").readlink().is_relative_to(folder) and is_running(pid):
                found.append(pid)
    return found


@pytest.fixture(scope="module")
def stage(free_port: Callable[[], int]) -> Iterator[Stage]:
    """Give repository and platforms; afterwards everything that runs below the folder is ended."""
    # Not below /tmp, where no secrets may lie, and where the HOME of a test run may be.
    home = pwd.getpwuid(os.getuid()).pw_dir
    folder = Path(tempfile.mkdtemp(prefix=".k-", dir=home))
    stage = Stage(folder, free_port)
    stage.open()
    yield stage
    subprocess.run(
        f"{stage.pm2} kill -s", shell=True, check=False, capture_output=True,
        env={**os.environ, "PM2_HOME": str(folder / "pm2")},
    )  # fmt: skip
    for pid in processes_below(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    stage.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def on_air(link: Link, stage: Stage) -> Workload:
    """Give the duel on air; it is deployed by the first test, and again after one that failed."""
    workload = build_duel(stage.declared())
    if stage.is_in_doubt:
        stage.open()
        for fault in stage.checkout.glob("faults/*"):
            fault.unlink()
        shutil.rmtree(stage.checkout / "logs", ignore_errors=True)
        await carry_out(link, workload.deploy())
    stage.is_in_doubt = True
    return workload


async def until_well(sentinel: Sentinel) -> Reading:
    return await sentinel.until(Reason.WORKLOAD_WELL, Subject.WORKLOAD)


async def until_symptom(sentinel: Sentinel, code: str) -> Reading:
    """Return the reading that names the symptom; others may come and go before it."""
    seen = []
    async with asyncio.timeout(40):
        while True:
            reading = await sentinel.until(Reason.SYMPTOM, Subject.WORKLOAD)
            assert reading.symptom is not None
            seen.append(reading.symptom.code)
            if reading.symptom.code == code:
                return reading
    pytest.fail(f"{code} was never named, only {seen}")


@asynccontextmanager
async def looking(link: Link, workload: Workload) -> AsyncIterator[Sentinel]:
    async with watching(link, workload, TIGHT) as sentinel:
        yield sentinel


async def in_checkout(link: Link, stage: Stage, script: str) -> str:
    head = f"cd {stage.checkout} && export PM2_HOME={stage.folder}/pm2 || exit 1\n"
    result = await link.run(Command(name="fault", script=head + script, timeout_s=30))
    assert result.exit_code == 0, result
    return result.stdout


# What keeper's own hands on this host cannot cure: a person's matter, or the marketplace's.
BY_OTHERS = {Remedy.PERSON, Remedy.NOTHING, Remedy.REBOOT, Remedy.REPLACE}
# Whoever mends these stands outside of the host.
PLATFORMS = {"all_platforms_down"}


# --- the catalogue ------------------------------------------------------------------------------------


# All of them are played through the whole daemon (tests/e2e/test_workload_duel.py). Here each way of a cure
# is looked at from near.
NEAR = {
    "database", "port_held", "phase_stuck", "agents_stand_still", "page_timeout", "capture_stalled",
    "platform_refuses", "platform_down", "bridge_hung", "output_flat", "rotation",
}  # fmt: skip


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if fault.symptom in NEAR], ids=lambda fault: fault.id
)
async def test_row_of_the_catalogue(
    link: Link, stage: Stage, on_air: Workload, fault: Fault
) -> None:
    """Made on the host, named, given its remedy, cured by it (or by a person), and well again."""
    more: dict[str, Any] = dict(fault.settings)
    if more.get("commit"):
        more["commit"] = stage.commit_id
    workload = build_duel(stage.declared(**more))
    if "env" in more:  # what is worse than the table's must be on the host, too
        await carry_out(link, workload.restart_workload())
    async with asyncio.timeout(60), looking(link, workload) as sentinel:
        await until_well(sentinel)
        await in_checkout(link, stage, fault.script(fault.make, stage))
        reading = await until_symptom(sentinel, fault.symptom)
        assert reading.status is Status.FALSE
        symptom = reading.symptom
        assert symptom is not None
        assert len(symptom.sentence) <= 200
        assert KEY not in symptom.sentence
        assert symptom.remedy is fault.remedy
        assert symptom.spoils_view is fault.spoils_view
        mend = partial(in_checkout, link, stage, fault.script(fault.mend or ":", stage))
        if fault.remedy in BY_OTHERS or fault.symptom in PLATFORMS:
            await mend()
        if fault.remedy is Remedy.RESTART_PROCESS:
            await carry_out(link, workload.restart_process(fault.symptom))
        elif fault.remedy is Remedy.RESTART_WORKLOAD:
            await carry_out(link, workload.restart_workload(fault.symptom))
            if fault.symptom != "idle_disconnect":
                await until_well(sentinel)  # by the cure alone: its cause is still there
            await mend()
        await until_well(sentinel)
    assert KEY not in "".join(sentinel.seen)
    assert ADMIN_CODE not in "".join(sentinel.seen)
    stage.is_in_doubt = "env" in more


# --- deploy, orders, reports --------------------------------------------------------------------------


async def ends(link: Link, command: Command, code: int) -> str:
    """Run a command that must end with this code; return what it said."""
    result = await link.run(command)
    assert result.exit_code == code, f"{command.name}: {result}"
    return result.stdout + result.stderr


def admin_calls(stage: Stage) -> list[str]:
    log = stage.checkout / "logs" / "admin.log"
    return log.read_text().splitlines() if log.exists() else []


async def test_deploy_leaves_what_is_documented(link: Link, stage: Stage, on_air: Workload) -> None:
    """And is repeatable: another commit comes over the one before."""
    settings = stage.declared()
    log, secrets = Path(settings["deploy_log"]), Path(settings["secrets_file"])
    assert "Hyperscape deployed successfully" in log.read_text()
    assert "WebGPU" in log.read_text()
    assert KEY in secrets.read_text()
    for file in (log, secrets, stage.checkout / "packages/server/.env"):
        assert file.stat().st_mode & 0o777 == 0o600
    wanted = stage.commit("second")
    pinned = build_duel(stage.declared(commit=wanted[:12]))
    results = await carry_out(link, pinned.deploy())
    assert any(f"healthy, commit {wanted}" in result.stdout for result in results)
    assert "maintenance entered; safe to deploy" in results[0].stdout
    assert "[deploy] Hyperscape deployed successfully" in results[1].stdout  # told as it goes
    assert log.with_name("deploy-vast.log.1").exists()
    assert KEY not in "".join(result.stdout + result.stderr for result in results)
    stage.commit_id = wanted
    stage.is_in_doubt = False


async def test_deploy_script_that_fails_says_why(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    (stage.checkout / "faults" / "deploy_fails").touch()
    job = next(step for step in on_air.deploy() if isinstance(step, Job))
    result = await link.run(Command(name=job.name, script=job.script, timeout_s=60))
    assert result.exit_code == 1
    assert "FATAL: nvidia-smi not found" in result.stderr
    stage.is_in_doubt = False


async def test_two_deploys_at_once_are_one(link: Link, stage: Stage, on_air: Workload) -> None:
    lock = stage.checkout / ".keeper" / "deploy.lock"
    job = next(step for step in on_air.deploy() if isinstance(step, Job))
    holder = await asyncio.create_subprocess_exec(
        "flock", str(lock), "sleep", "60", start_new_session=True
    )
    try:
        await look_until(partial(held, lock))
        script = job.script.replace("flock -w 10", "flock -w 0.2")
        result = await link.run(Command(name=job.name, script=script, timeout_s=60))
        assert result.exit_code == 75
        assert "another deploy is under way" in result.stderr
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        await holder.wait()
    stage.is_in_doubt = False


async def held(lock: Path) -> bool:
    process = await asyncio.create_subprocess_exec("flock", "-n", str(lock), "true")
    return await process.wait() != 0


async def test_graceful_restart_is_proven_by_uptime(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    drain = on_air.drain()
    assert isinstance(drain, Drain)
    assert drain.is_restart
    (begin,) = drain.begin
    assert "restart ordered" in await ends(link, begin, 0)
    seen = set()

    async def look() -> int:
        result = await link.run(drain.look)
        seen.add(result.exit_code)
        return result.exit_code

    await look_until(look, lambda code: code == 0, every_s=0.2, patience_s=drain.bound_s)
    assert seen <= {0, 1}
    async with looking(link, on_air) as sentinel:
        await until_well(sentinel)
    stage.is_in_doubt = False


async def test_wrong_admin_code_is_sent_to_a_server_once(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    """Five wrong tries within a minute lock the operator out, too."""
    wrong = build_duel(stage.declared(), {**SECRETS, "ADMIN_CODE": "wr0ng"})
    drain = wrong.drain()
    assert drain is not None
    fault = stage.checkout / "faults" / "admin_code"
    fault.write_text("n0body-kn0ws-it")
    before = len(admin_calls(stage))
    said = await ends(link, drain.begin[0], 3)
    assert "refuses the admin code (403 Unauthorized)" in said
    for _ in range(3):
        assert "it is not sent again" in await ends(link, drain.begin[0], 3)
    assert len(admin_calls(stage)) == before + 1
    enter = wrong.deploy()[0]
    assert isinstance(enter, Command)
    for _ in range(2):
        assert "not entered" in await ends(link, enter, 0)  # and a deploy goes on without
    assert len(admin_calls(stage)) == before + 2  # with the one that the server was started with
    left = (stage.checkout / ".keeper" / "admin-refused").read_text()
    assert "wr0ng" not in left
    assert ADMIN_CODE not in left
    fault.unlink()
    await carry_out(link, on_air.restart_process())
    await look_until(partial(server_says, stage, "maintenanceMode"), lambda said: said is False)
    assert "403 Unauthorized" in await ends(link, drain.begin[0], 3)  # another server: once more
    stage.is_in_doubt = False


async def server_says(stage: Stage, word: str) -> object:
    """Return a word of what `/health` answers; None while nobody does."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-fsS", "-m", "5", f"http://127.0.0.1:{stage.port}/health",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    said, _ = await process.communicate()
    return json.loads(said).get(word) if process.returncode == 0 else None


def as_a_person(stage: Stage, what: str, code: str = ADMIN_CODE) -> str:
    """Compose a person's call of the admin interface."""
    return by_hand(what, code).replace("{port}", str(stage.port))


async def test_a_code_that_is_changed_opens_the_server_before_and_the_one_after(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    """The server before was asked with the new code, and the new one with none ever after."""
    refusals = stage.checkout / ".keeper" / "admin-refused"
    refusals.unlink(missing_ok=True)
    rotated = build_duel(stage.declared(), {**SECRETS, "ADMIN_CODE": "n3w-c0de"})
    results = await carry_out(link, rotated.deploy())
    assert "maintenance entered; safe to deploy" in results[0].stdout
    enter, leave = rotated.deploy()[0], rotated.deploy()[-1]
    assert isinstance(enter, Command)
    assert isinstance(leave, Command)
    assert "maintenance entered" in await ends(link, enter, 0)
    assert "maintenance is over" in await ends(link, leave, 0)
    drain = rotated.drain()
    assert drain is not None
    assert "restart ordered" in await ends(link, drain.begin[0], 0)
    assert not refusals.exists()


async def test_a_door_that_strangers_have_locked_is_tried_later(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    """Their codes were wrong; ours was taken for refused, for good."""
    (stage.checkout / "faults" / "lock_s").write_text("6")
    for _ in range(5):
        await in_checkout(link, stage, as_a_person(stage, "maintenance/exit", "guess"))
    enter, leave = on_air.deploy()[0], on_air.deploy()[-1]
    assert isinstance(enter, Command)
    assert isinstance(leave, Command)
    before = len(admin_calls(stage))
    drain = on_air.drain()
    assert drain is not None
    assert "locked" in await ends(link, drain.begin[0], 1)  # not yet
    assert "locked for another" in await ends(link, drain.begin[0], 1)
    said = await ends(link, enter, 0)
    assert "not entered: the admin calls are locked for another" in said
    assert len(admin_calls(stage)) == before + 1
    patient = build_duel(stage.declared(maintenance_wait_s=30)).deploy()[0]
    assert isinstance(patient, Command)
    assert "maintenance entered" in await ends(link, patient, 0)
    assert "maintenance is over" in await ends(link, leave, 0)
    stage.is_in_doubt = False


async def test_a_server_without_a_code_is_no_refusal(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    fault = stage.checkout / "faults" / "no_admin_code"
    fault.touch()
    drain, enter, leave = on_air.drain(), on_air.deploy()[0], on_air.deploy()[-1]
    assert drain is not None
    assert isinstance(enter, Command)
    assert isinstance(leave, Command)
    assert "not configured" in await ends(link, drain.begin[0], 2)
    assert "not entered" in await ends(link, enter, 0)
    fault.unlink()
    assert "maintenance entered" in await ends(link, enter, 0)
    assert "maintenance is over" in await ends(link, leave, 0)
    stage.is_in_doubt = False


async def test_a_phase_without_a_fight_is_found_and_nothing_is_ordered_by_that(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    """Before a restart where there is no code; before a deploy, or the host's end, in any case."""
    drain, lull = build_duel(stage.declared(), {}).drain(), lull_of(on_air)
    assert drain is not None
    assert lull is not None
    codes: dict[str, set[int]] = {"drain": set(), "lull": set()}
    orders = len(admin_calls(stage))

    async def look() -> bool:
        for name, each in (("drain", drain), ("lull", lull)):
            codes[name].add((await link.run(each.look)).exit_code)
        return codes == {"drain": {0, 1}, "lull": {0, 1}}

    await look_until(look)
    assert len(admin_calls(stage)) == orders
    stage.is_in_doubt = False


async def test_a_persons_maintenance_is_told_and_left_to_them(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    async with looking(link, on_air) as sentinel:
        await until_well(sentinel)
        await in_checkout(link, stage, as_a_person(stage, "maintenance/enter"))
        assert (await until_symptom(sentinel, "in_maintenance")).symptom.remedy is Remedy.PERSON  # type: ignore[union-attr]
        for step in (on_air.deploy()[0], on_air.deploy()[-1]):
            assert isinstance(step, Command)
            assert "left to" in await ends(link, step, 0)
        assert await server_says(stage, "maintenanceMode") is True
        await in_checkout(link, stage, as_a_person(stage, "maintenance/exit"))
        await until_well(sentinel)
    stage.is_in_doubt = False


def environment_of(stage: Stage) -> dict[str, str]:
    """Return the environment that the bridge runs with."""
    pid = (stage.checkout / ".runtime-locks" / "rtmp-bridge").read_text()
    text = Path(f"/proc/{pid}/environ").read_text()
    return dict(line.partition("=")[::2] for line in text.split("\0") if line)


async def test_the_browser_that_passed_the_audition_draws_the_stream(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    """The bridge's own settings say so; what the operator has set is left as it is."""
    chosen = stage.checkout / CHOSEN_FILE
    chosen.write_text("KEEPER_WEBGPU_MODE='headless-egl'\nKEEPER_WEBGPU_FLAGS='--use-gl=egl'\n")
    set_by_hand = {"STREAM_CAPTURE_ANGLE": "gl", "STREAM_CAPTURE_OZONE_HEADLESS": None}
    workload = build_duel(stage.declared(env=set_by_hand))
    await carry_out(link, workload.restart_workload())
    async with looking(link, workload) as sentinel:
        await until_well(sentinel)
    chosen.unlink()
    said = {
        "STREAM_CAPTURE_USE_EGL": "true",
        "STREAM_CAPTURE_HEADLESS": "true",
        "STREAM_CAPTURE_ANGLE": "gl",
        "STREAM_CAPTURE_OZONE_HEADLESS": None,
    }
    runs_with = environment_of(stage)
    assert {name: runs_with.get(name) for name in said} == said
    lines = (stage.checkout / "packages/server/.env").read_text().splitlines()
    kept = dict(line.partition("=")[::2] for line in lines)
    assert {name: kept.get(name) for name in said} == said


async def test_a_deploy_that_fails_leaves_the_server_of_before_on_air(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    """It stopped at the checkout, and a good server stayed in maintenance."""
    steps = build_duel(stage.declared(commit="0" * 40)).deploy()
    before = len(admin_calls(stage))
    putting = Putting(redact=str, jobs=Jobs(clock=SystemClock(), poll_s=0.1))
    with pytest.raises(CommandFailed, match=r"deploy\.run ended with 1.*the deploy ended with 1"):
        await putting.put(link, steps)
    assert [line.split("/")[-1] for line in admin_calls(stage)[before:]] == ["enter", "exit"]
    assert await server_says(stage, "maintenanceMode") is False
    stage.is_in_doubt = False


async def test_a_deploy_that_was_cut_off_is_led_out_of_its_maintenance(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    """keeper died in the middle, and what it was to deploy is declared no more."""
    enter = on_air.deploy()[0]
    assert isinstance(enter, Command)
    async with looking(link, on_air) as sentinel:
        await until_well(sentinel)
        await ends(link, enter, 0)
        symptom = (await until_symptom(sentinel, "in_maintenance")).symptom
        assert symptom is not None
        assert symptom.remedy is Remedy.RESTART_PROCESS
        assert symptom.spoils_view
        runs = await server_says(stage, "uptime")
        await carry_out(link, on_air.restart_process("in_maintenance"))
        await until_well(sentinel)
        still = await server_says(stage, "uptime")
    assert isinstance(runs, float)
    assert isinstance(still, float)
    assert still > runs  # and nothing was restarted for it
    stage.is_in_doubt = False


async def test_report_is_the_pages_six_lines(link: Link, stage: Stage, on_air: Workload) -> None:
    question = on_air.report()
    assert question is not None

    async def ask() -> dict[str, tuple[Status, str]]:
        lines = on_air.read_report(await link.run(question))
        return {line.title: (line.status, line.text) for line in lines}

    fighting = "FIGHTING (Ada vs Bo <b>)"
    seen = await look_until(ask, lambda lines: lines.get("Duel Context", ("", ""))[1] == fighting)
    assert list(seen)[:6] == [
        "Server Health", "Streaming API", "Duel Context", "RTMP Bridge", "PM2 Processes", "Recent Logs",
    ]  # fmt: skip
    assert all(status is Status.TRUE for title, (status, _) in seen.items() if title)
    assert seen["Server Health"][1] == "OK (200)"
    assert seen["RTMP Bridge"][1].endswith("MB streamed)")
    assert seen["PM2 Processes"][1] == "1 running"
    assert KEY not in str(seen)
    stage.is_in_doubt = False


async def test_the_last_seconds_of_the_stream_are_evidence(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    look = on_air.evidence()[-1]

    async def pieces() -> bytes:
        result = await link.run(look)
        assert not result.is_truncated
        return base64.b64decode("".join(result.stdout.split())) if result.exit_code == 0 else b""

    frames = await look_until(pieces, lambda piece: len(piece) > 188)
    assert frames[0] == frames[188] == 0x47  # packets of an MPEG transport stream
    stage.is_in_doubt = False


async def test_a_host_that_never_had_the_duel_is_not_unwell(
    link: Link, stage: Stage, free_port: Callable[[], int]
) -> None:
    nowhere = f"{stage.folder}/nowhere"
    bare = build_duel(stage.declared(workdir=nowhere, port=free_port(), pm2={"home": nowhere}))
    async with asyncio.timeout(60), looking(link, bare) as sentinel:
        reading = await sentinel.until(Reason.PROBE_FAILED, Subject.WORKLOAD)
    assert reading.detail == "nothing is deployed here yet"


async def test_a_disk_that_others_have_filled_is_a_persons(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    full = stage.folder / "full.js"
    full.write_text('require("fs").statfsSync = () => ({ bavail: 7, bsize: 1048576 });')
    workload = build_duel(stage.declared(runtime=f"{require('node')} -r {full}"))
    (trim,) = workload.restart_workload("no_space")
    assert isinstance(trim, Command)
    said = await ends(link, trim, 1)
    assert "7 MB are free: what fills the disk is not keeper's to remove" in said
    stage.is_in_doubt = False


async def test_a_program_that_fails_on_the_host_says_so_in_a_sentence(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    """A person saw a page of a stack as Server Health."""
    broken = stage.folder / "broken.js"
    broken.write_text('require("http").request = () => { throw new TypeError("no such thing"); };')
    workload = build_duel(stage.declared(runtime=f"{require('node')} -r {broken}"))
    question = workload.report()
    assert question is not None
    (line,) = workload.read_report(await link.run(question))
    assert line.text == (
        "the host gave no report: keeper's program failed on this host: no such thing"
    )
    stage.is_in_doubt = False


async def test_new_keys_reach_an_app_that_pm2_keeps(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    """A34: PM2 starts an app again with the environment of its first start."""
    rotated = build_duel(stage.declared(), {**SECRETS, "TWITCH_STREAM_KEY": "live_other"})
    async with looking(link, rotated) as sentinel:
        reading = await until_symptom(sentinel, "stale_environment")
        assert reading.symptom.remedy is Remedy.RESTART_WORKLOAD  # type: ignore[union-attr]
        await carry_out(link, rotated.restart_workload("stale_environment"))
        await until_well(sentinel)
    assert "live_other" in (stage.checkout / "packages/server/.env").read_text()


async def test_two_apps_are_judged_as_one_and_the_bridge_is_ended_by_itself(
    link: Link, stage: Stage, on_air: Workload
) -> None:
    """The provisioning page shows two PM2 apps, the code has one."""
    apps = {"apps": ["hyperscape-duel", "rtmp-bridge"], "bridge_app": "rtmp-bridge"}
    workload = build_duel(stage.declared(pm2=apps, env={"DUEL_APPS": "2"}))
    await carry_out(link, workload.restart_workload())
    async with looking(link, workload) as sentinel:
        await until_well(sentinel)
        (stage.checkout / "faults" / "hang").touch()
        await until_symptom(sentinel, "bridge_hung")
        (killed,) = await carry_out(link, workload.restart_process("bridge_hung"))
        assert "a new bridge runs" in killed.stdout
        await until_well(sentinel)
    question = workload.report()
    assert question is not None
    lines = workload.read_report(await link.run(question))
    assert next(line.text for line in lines if line.title == "PM2 Processes") == "2 running"
