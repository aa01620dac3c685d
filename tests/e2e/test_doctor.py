"""`keeper doctor` on real boxes: what is broken is named, and the command that it prints cures it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import aiohttp
import asyncssh
import pytest
from aiohttp import web

from keeper import __version__
from keeper.cli.exit_codes import ExitCode
from tests.e2e.conftest import API_KEY, KEEPER, Box, Done

pytestmark = pytest.mark.timeout(300)

SECRET = "whsec_c2VjcmV0LXRoYXQtaXMtbmV2ZXItc2hvd24="
ALERTS = "alerts: {{channels: [{{kind: webhook, name: hook, url: '{url}', signing_secret: hook}}]}}"


class Patient:
    """A box, and what the doctor says of it."""

    def __init__(self, box: Box) -> None:
        self.box = box

    async def told(self, *options: str, **environ: str) -> tuple[Done, list[dict[str, Any]]]:
        done = await self.box.keeper("doctor", "--json", *options, environ=environ)
        assert SECRET not in done.out + done.err
        return done, done.json()["findings"]

    async def ill(self, *options: str, **environ: str) -> dict[str, dict[str, Any]]:
        """Give what fails, by the name of the check; the exit code says so, too."""
        done, findings = await self.told(*options, **environ)
        fails = {each["check"]: each for each in findings if each["level"] == "fail"}
        assert done.code == (ExitCode.DEGRADED if fails else ExitCode.OK), done.out
        assert all(each["cure"] or each["advice"] for each in fails.values())
        return fails

    async def cured_by(self, finding: dict[str, Any], typed: str = "") -> None:
        """Do what was said, in a shell, as a person would."""
        process = await asyncio.create_subprocess_exec(
            *("sh", "-ec", finding["cure"]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(self.box.folder)},
            cwd="/",
        )
        out, _ = await process.communicate(typed.encode())
        assert process.returncode == 0, (finding["cure"], out.decode())


@pytest.fixture
def patient(box: Box) -> Patient:
    return Patient(box)


def level_of(findings: list[dict[str, Any]], check: str) -> str:
    (level,) = {each["level"] for each in findings if each["check"] == check}
    return str(level)


async def test_what_is_wrong_with_the_files_of_a_box_is_cured_by_what_it_says(
    patient: Patient,
) -> None:
    """A key that others may read, secrets that are not given, folders that are open."""
    box = patient.box
    key = box.folder / "odd name" / "id"
    key.parent.mkdir()
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(key), passphrase="old")
    key.chmod(0o644)
    box.state.mkdir(mode=0o755)
    box.state.chmod(0o755)
    box.configure(
        "    secrets: [admin_code]",
        f"ssh: {{private_key_file: '{key}'}}",
        ALERTS.format(url="http://127.0.0.1:1/"),
    )
    fails = await patient.ill(VAST_API_KEY="")
    assert set(fails) == {"secret", "SSH key", "state folder", "API key", "channel hook"}
    assert "mode 0644" in fails["SSH key"]["seen"]
    await patient.cured_by(fails["SSH key"])
    await patient.cured_by(fails["state folder"])
    await patient.cured_by(fails["API key"], typed=f"{API_KEY}\n")

    _, findings = await patient.told(VAST_API_KEY="")
    for each in findings:
        if each["check"] == "secret" and each["level"] == "fail":
            await patient.cured_by(each, typed=f"{SECRET}\n")
    fails = await patient.ill(VAST_API_KEY="")
    assert set(fails) == {"SSH key", "channel hook"}
    assert "passphrase" in fails["SSH key"]["seen"]
    # It asks for the old one, which a test gives by option instead of at a prompt.
    words = fails["SSH key"]["cure"].replace("-N ''", "-N '' -P old")
    await patient.cured_by({"cure": words})

    opened = box.folder / "credentials" / "secret" / "admin_code"
    opened.chmod(0o644)
    fails = await patient.ill(VAST_API_KEY="")
    assert set(fails) == {"secret file", "channel hook"}
    await patient.cured_by(fails["secret file"])

    async with receiver() as (url, got):
        box.configure(
            "    secrets: [admin_code]",
            f"ssh: {{private_key_file: '{key}'}}",
            ALERTS.format(url=url),
        )
        assert await patient.ill(VAST_API_KEY="") == {}
        assert got == []
        assert await patient.ill("--send", VAST_API_KEY="") == {}
        # It begins and it is over, or a pager would ring on.
        assert [each["data"]["alert"]["name"] for each in got] == ["KeeperTest", "KeeperTest"]
    # It has looked, and that is all.
    assert {entry["method"] for entry in box.sim.ledger.plain()["requests"]} == {"GET"}
    assert list(box.state.iterdir()) == []


async def test_a_box_without_a_configuration_is_told_how_to_make_one(patient: Patient) -> None:
    box = patient.box
    box.config = box.folder / "etc" / "keeper.yaml"
    aside = {
        "KEEPER_CONFIG": str(box.config),
        "VAST_URL": box.sim.url,
        "KEEPER_STATE_DIR": str(box.state),
        "KEEPER_SOCKET": str(box.socket),
        "KEEPER_HTTP__LISTEN": "127.0.0.1:0",
    }
    fails = await patient.ill(**aside)
    assert set(fails) == {"configuration"}
    await patient.cured_by(fails["configuration"])
    assert await patient.ill(**aside) == {}
    assert (await box.keeper("check-config", str(box.config))).code == 0
    # And with mistakes each is told with its place, and the rest of the box is still looked at.
    box.config.write_text("vast: {timeout_s: -1}\nstreems: []\n")
    _, findings = await patient.told(**aside)
    (found,) = (each for each in findings if each["check"] == "configuration")
    assert found["level"] == "fail"
    assert f"+{1} " in found["cure"]
    assert any(line.startswith(f"{box.config}:2:1: unknown key") for line in found["lines"])
    assert level_of(findings, "marketplace") == "ok"


async def test_a_key_that_is_refused_or_lacks_a_right_is_told_as_such(
    patient: Patient, free_port: Callable[[], int]
) -> None:
    fails = await patient.ill(VAST_API_KEY="another-key")
    assert set(fails) == {"API key"}
    assert "refuses the API key" in fails["API key"]["seen"]
    await patient.cured_by(fails["API key"], typed=f"{API_KEY}\n")
    assert await patient.ill(VAST_API_KEY="") == {}
    # Nobody there is another thing than a key that is bad.
    fails = await patient.ill("--vast-url", f"http://127.0.0.1:{free_port()}")
    assert set(fails) == {"marketplace"}


async def test_what_this_user_may_not_see_is_unknown_and_no_fault(patient: Patient) -> None:
    """`keeper doctor` without sudo, on the box of a service."""
    box = patient.box
    box.configure("    secrets: [admin_code]")
    hidden = [box.state, box.folder / "credentials"]
    words: list[str] = []
    if os.geteuid() == 0:
        # A superuser without the right to pass over permissions is one like everybody else.
        words = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        words += ["--inh-caps=-dac_override"]
    for folder in hidden:
        folder.mkdir()
        (folder / "keeper.db").write_text("x")
        folder.chmod(0)
    try:
        running = await box._spawn(*words, KEEPER, "doctor", "--json", environ={"VAST_API_KEY": ""})
        await running.ended()
    finally:
        for folder in hidden:
            folder.chmod(0o700)
    findings = json.loads("".join(running.out))["findings"]
    unknown = {each["check"]: each for each in findings if each["level"] == "unknown"}
    assert {"secret", "SSH key", "store", "API key"} <= set(unknown)
    assert [each for each in findings if each["level"] == "fail"] == []
    again = f"sudo keeper doctor --config {box.config}"
    assert {unknown[name]["cure"] for name in ("secret", "SSH key", "store", "API key")} == {again}


async def test_a_clock_that_is_wrong_is_seen_in_the_marketplaces_answers(patient: Patient) -> None:
    async with another_time(patient.box.sim.url, ahead_s=3600) as url:
        fails = await patient.ill("--vast-url", url)
    assert set(fails) == {"clock"}
    assert "s behind the marketplace's" in fails["clock"]["seen"]
    assert fails["clock"]["cure"].startswith("sudo ")
    assert await patient.ill() == {}


async def test_beside_a_running_keeper_all_is_well_and_it_is_named(
    patient: Patient, free_port: Callable[[], int]
) -> None:
    box = patient.box
    port = free_port()
    box.configure("    replicas: 0", listen=f"127.0.0.1:{port}")
    async with receiver(port):
        fails = await patient.ill()
        assert set(fails) == {"http"}
        assert f"another program listens on 127.0.0.1:{port}" in fails["http"]["seen"]
        assert f":{port}" in fails["http"]["cure"]
    daemon = await box.daemon()
    await daemon.says(r'"event":"keeper.started"')
    done, findings = await patient.told()
    assert done.code == ExitCode.OK, done.out
    seen = {each["check"]: each["seen"] for each in findings}
    assert seen["keeper"] == f"keeper {__version__} runs; 0 of 0 on air"
    assert f"process {daemon.process.pid}" in seen["store"]
    assert "metrics at /metrics" in seen["http"]
    assert "the running keeper may open" in seen["open files"]


async def test_on_a_full_disk_what_it_says_makes_room(patient: Patient, tmp_path: Path) -> None:
    """In a file system of two megabytes, where this machine lets a test have one."""
    box = patient.box
    script = f"""
        set -e
        mkdir -p {box.state} && mount -t tmpfs -o size=102m,mode=0700 none {box.state}
        mkdir -p {box.state}/post-mortems/old
        head -c 60m /dev/zero >{box.state}/post-mortems/old/frames
        touch -d '5 days ago' {box.state}/post-mortems/old/frames
        {KEEPER} doctor --json >{tmp_path}/before || true
        sh -c "$(python3 -c 'import json
print(next(f["cure"] for f in json.load(open("{tmp_path}/before"))["findings"] if f["check"] == "disk"))')" \
            >/dev/null 2>&1 || true
        {KEEPER} doctor --json >{tmp_path}/after || true
    """
    inside = ["unshare", "--mount", "--map-root-user", "--user"]
    if os.geteuid() == 0:
        inside = ["unshare", "--mount"]
    trial = await asyncio.create_subprocess_exec(
        *(*inside, "mount", "-t", "tmpfs", "none", str(tmp_path)), stderr=asyncio.subprocess.DEVNULL
    )
    if await trial.wait():
        # No room at all there, on any Linux; nothing can be deleted, so that only the look is tried.
        fails = await patient.ill(KEEPER_STATE_DIR="/proc/sys/keeper")
        assert "0.0 GB free" in fails["disk"]["seen"]
        return
    done = await box._spawn(*inside, "sh", "-c", script)
    assert await done.ended() == 0, done.everything()
    before, after = (
        {each["check"]: each for each in json.loads((tmp_path / name).read_text())["findings"]}
        for name in ("before", "after")
    )
    assert before["disk"]["level"] == "fail"
    assert after["disk"]["level"] == "warn"  # it is a small one
    assert "0.1 GB free" in after["disk"]["seen"]


async def test_a_terminal_of_80_columns_gets_commands_that_can_be_copied(box: Box) -> None:
    key = box.folder / ("a-folder-with-a-long-name" * 4) / "id_ed25519"
    box.configure(f"ssh: {{private_key_file: '{key}'}}")
    plain = await box.keeper("doctor", environ={"COLUMNS": "80"})
    cure = f"ssh-keygen -q -t ed25519 -N '' -f {key}"
    assert f"   $ {cure}\n" in plain.out, plain.out
    assert "\x1b" not in plain.out
    assert plain.code == ExitCode.DEGRADED
    shown = await box.shell(
        f'script -qec "stty cols 80 rows 40; NO_COLOR=1 {KEEPER} doctor" /dev/null'
    )
    text = shown.out.replace("\r", "")
    assert cure in text
    long = [line for line in text.splitlines() if len(line) > 80 and cure not in line]
    assert [line for line in long if "\x1b" not in line] == []


@asynccontextmanager
async def receiver(port: int = 0) -> AsyncIterator[tuple[str, list[Any]]]:
    """Somebody who takes messages."""
    got: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        got.append(await request.json() if request.can_read_body else None)
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", got
    finally:
        await runner.cleanup()


@asynccontextmanager
async def another_time(url: str, *, ahead_s: float) -> AsyncIterator[str]:
    """The marketplace as it is seen from a box whose clock is behind."""
    import time

    async def passed_on(request: web.Request) -> web.Response:
        headers = {"Authorization": request.headers["Authorization"]}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{url}{request.path_qs}", headers=headers) as reply,
        ):
            date = formatdate(time.time() + ahead_s, usegmt=True)
            return web.Response(
                status=reply.status,
                body=await reply.read(),
                headers={"Date": date, "Content-Type": reply.headers["Content-Type"]},
            )

    app = web.Application()
    app.router.add_get("/{path:.*}", passed_on)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
