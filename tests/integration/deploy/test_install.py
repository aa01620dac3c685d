"""The installer is played: the real script, real environments, the real daemon, and a stand-in for systemctl.

The acts follow each other on one box, because every one begins where the one before ended.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.components import REPOSITORY
from tests.integration.deploy.bundles import archive, libraries
from tests.integration.deploy.dockerfile import stages
from tests.waiting import eventually, is_running

# One worker and one order: a box has a history.
pytestmark = [pytest.mark.xdist_group("installer"), pytest.mark.timeout(300)]

KEEPER = Path(sys.executable).with_name("keeper")
KEY = "the-key-of-the-account"
CONFIG = """\
vast: {{url: "{url}", timeout_s: 10, register_ssh_key: false}}
state_dir: {root}/var/lib/keeper
socket: {root}/run/keeper/keeper.sock
http: {{listen: "127.0.0.1:0"}}
canary: {{addresses: []}}
fleet: {{list_interval_s: 2, list_interval_busy_s: 1, tick_interval_s: 2}}
streams:
  - name: duel
    workload: {{kind: command, image: "python:3.12-slim", view: {{kind: tcp, port: 8000}}, start: "true", manager: {{kind: none}}}}
"""
# A version that is not as it should be, in the way that a file names.
BROKEN = """\
import sqlite3
import sys
import time
from pathlib import Path
import click
@click.command()
@click.option("--config")
def run(config):
    root = Path(config).parents[2]
    match (root / "how").read_text():
        case "hangs":
            time.sleep(600)
        case "spoils":
            store = sqlite3.connect(root / "var/lib/keeper/keeper.db")
            with store:
                store.execute("UPDATE alembic_version SET version_num = '9999'")
                store.execute("UPDATE meta SET value = '9999' WHERE key = 'oldest_reader'")
    sys.exit("this version does not start")
"""
VERSIONS: Mapping[str, Mapping[str, str]] = {
    "9.0.1": {},
    "9.0.2": {},
    "9.0.3": {"keeper/cli/run.py": BROKEN},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How the script ended."""

    code: int
    out: str
    err: str


class Stage:
    """An ops box below a folder, a marketplace, and releases to install."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.root = folder / "box"
        (self.root / "run" / "keeper").mkdir(parents=True)
        self.wheels = libraries(folder)
        self._releases: dict[str, Path] = {}
        self._systemctl = folder / "systemctl"
        standin = Path(__file__).with_name("standin_systemctl.py")
        self._systemctl.write_text(
            f'#!/bin/sh\nexec {sys.executable} -I -S {standin} {self.root} "$@"\n'
        )
        self._systemctl.chmod(0o755)
        # An environment is nearly all pip, in two thousand files: there once, and found by the others.
        self._python = folder / "python"
        made = folder / "environment"
        packages = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
        self._python.write_text(
            f"""#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {sys.executable} "$@"
[ -d {made} ] || {sys.executable} -m venv {made} || exit
{sys.executable} -m venv --without-pip "$3" && echo {made}/{packages} > "$3/{packages}/pip.pth"
"""
        )
        self._python.chmod(0o755)

    def release(self, version: str) -> Path:
        """Return an unpacked release archive; made when first asked for."""
        if version not in self._releases:
            at = archive(self.folder, self.wheels, version, VERSIONS[version])
            self._releases[version] = at
        return self._releases[version]

    def run(self, release: str, *words: str, root: Path | None = None) -> Said:
        """Run a release's own script. It finds the stand-in where it would find the real one, by its name.

        Below another root there is no systemd, and so no stand-in for it. The last of two options counts.
        """
        script = self.release(release) / "deploy" / "install.sh"
        options = ["--root", str(root or self.root), "--wheels", str(self.wheels)]
        environ = {"PATH": f"{self.folder}:{os.environ['PATH']}", "HOME": str(self.folder)}
        if root is None:
            environ["SYSTEMCTL"] = "systemctl"
        done = subprocess.run(
            [str(script), *options, "--python", str(self._python), *words],
            env=environ, capture_output=True, text=True, check=False, timeout=200, umask=0o077,
        )  # fmt: skip
        assert KEY not in done.stdout + done.stderr
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    def path(self, name: str) -> Path:
        return self.root / name

    @property
    def current(self) -> str:
        """The number of the version that ``current`` points to."""
        return (self.path("opt/keeper/current")).readlink().name.partition("-")[0]

    @property
    def runs(self) -> str:
        """The number of the version that runs, by the daemon's own first line; "" when none does."""
        try:
            pid = int(self.path("systemd/pid").read_text())
        except (OSError, ValueError):
            return ""
        lines = self.path("systemd/journal").read_text().splitlines()
        started = [json.loads(line) for line in lines if '"keeper.started"' in line]
        return str(started[-1]["version"]) if started and is_running(pid) else ""

    def rentals(self) -> list[Any]:
        with urllib.request.urlopen(f"{self.url}/sim/ledger", timeout=30) as answer:
            found: list[Any] = json.load(answer)["rentals"]
        return found

    def settle(self, release: str = "9.0.1") -> None:
        """See to it that a release runs, and that it has a rental to lose."""
        key = self.path("etc/keeper/credentials/vast_api_key")
        key.parent.mkdir(parents=True, exist_ok=True)
        key.write_text(f"{KEY}\n")
        config = CONFIG.format(url=self.url, root=self.root)
        self.path("etc/keeper/keeper.yaml").write_text(config)
        done = self.run(release, "install")
        assert done.code == 0, done.err
        if not self.runs:  # somebody had stopped it
            subprocess.run([str(self._systemctl), "start"], check=True)
        assert self.runs == release, done.out

    async def until_rented(self) -> int:
        """Wait for the one rental and return its number."""
        await eventually(lambda: [each for each in self.rentals() if each["ended_at"] is None])
        (rental,) = self.rentals()
        return int(rental["instance_id"])

    def everything(self) -> dict[str, tuple[int, bytes | str]]:
        """Every file of the box that the installer writes, and what is in it."""
        return {
            str(path.relative_to(self.root)): (
                path.lstat().st_mode,
                str(path.readlink()) if path.is_symlink() else path.read_bytes(),
            )
            for top in ("opt", "etc", "usr")
            for path in sorted(self.path(top).rglob("*"))
            if (path.is_symlink() or path.is_file()) and "__pycache__" not in path.parts
        }


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="k-", dir="/tmp"))
    # So slow that no host ever boots: what is on one is no part of these acts.
    command = [
        str(KEEPER), "sim", "serve", "--port", "0", "--time-scale", "0.01", "--state", str(folder / "sim")
    ]  # fmt: skip
    market = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert market.stdout is not None
        url = market.stdout.readline().split()[-1]
        yield Stage(folder, url)
    finally:
        with suppress(OSError, ValueError):
            os.kill(int((folder / "box/systemd/pid").read_text()), signal.SIGKILL)
        market.terminate()
        market.communicate(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_dry_run_says_everything_and_does_nothing(stage: Stage, tmp_path: Path) -> None:
    """From a checkout, as a person looks first."""
    script = REPOSITORY / "deploy" / "install.sh"
    done = subprocess.run(
        [str(script), "--dry-run", "--root", str(tmp_path / "box")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "would: build" in done.stdout
    assert "would: enable" in done.stdout
    assert [path for path in (tmp_path / "box").rglob("*") if path.is_file()] == []


def test_a_wheel_and_an_archive_are_the_same_version(stage: Stage, tmp_path: Path) -> None:
    """Wherever it comes from, a version's folder is named after what is in it."""
    release = stage.release("9.0.1")
    packed = tmp_path / "keeper-9.0.1.tar.gz"
    subprocess.run(["tar", "-czf", packed, "-C", release.parent, release.name], check=True)
    (wheel,) = release.glob("*.whl")
    script = release / "deploy" / "install.sh"
    named = set()
    for source in (release, packed, wheel):
        done = subprocess.run(
            [str(script), "--dry-run", "--root", str(tmp_path / "box"), "--from", str(source)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        named.add(done.stdout.splitlines()[0])
    (line,) = named
    assert "/opt/keeper/versions/9.0.1-" in line


def test_an_archive_with_no_lock_is_refused(stage: Stage, tmp_path: Path) -> None:
    release = tmp_path / "release"
    shutil.copytree(stage.release("9.0.1"), release)
    (release / "requirements.lock").unlink()
    done = stage.run("9.0.1", "install", "--from", str(release))
    assert done.code == 2
    assert "requirements.lock is missing" in done.err


def test_the_image_s_question_is_answered_by_a_running_keeper_alone(stage: Stage) -> None:
    """HEALTHCHECK, word for word."""
    stage.settle()
    (line,) = [
        each for each in stages(REPOSITORY / "Dockerfile")[-1] if each.startswith("HEALTHCHECK")
    ]
    _, *words = json.loads(line.partition(" CMD ")[2])

    def asked(socket: str) -> int:
        environ = {"KEEPER_SOCKET": str(stage.path(socket))}
        command = [sys.executable, *words]
        return subprocess.run(
            command, env=environ, stderr=subprocess.DEVNULL, check=False
        ).returncode

    assert asked("run/keeper/keeper.sock") == 0
    assert asked("run/keeper/another.sock") != 0


def test_first_install_waits_for_a_key_and_a_second_run_changes_nothing(stage: Stage) -> None:
    shutil.rmtree(stage.path("etc"), ignore_errors=True)
    first = stage.run("9.0.1", "install")
    assert first.code == 0, first.err
    if not stage.runs:  # nothing was there before
        assert "not started yet" in first.out
        assert stage.path("etc/keeper/credentials").stat().st_mode & 0o777 == 0o700
        assert stage.path("systemd/enabled").exists()
    stage.settle()
    before, calls = stage.everything(), stage.path("systemd/calls").read_text()
    again = stage.run("9.0.1", "install")
    assert again.code == 0
    assert again.out.startswith("nothing to change: 9.0.1-")
    assert stage.everything() == before
    more = stage.path("systemd/calls").read_text().removeprefix(calls).split("\n")
    assert {line.split()[0] for line in more if line} <= {"is-active", "is-enabled"}
    # The service's user reads all of it, however strict the umask of whoever installed it.
    program = stage.path("usr/local/bin/keeper").resolve()
    assert program.parts[-3].startswith("9.0.1-")
    above = [folder for folder in program.parents if folder.is_relative_to(stage.path("opt"))]
    assert [each for each in (program, *above) if each.stat().st_mode & 0o055 != 0o055] == []
    assert stage.path("usr/local/lib/systemd/system/keeper.service").stat().st_mode & 0o044 == 0o044


def test_below_another_root_a_second_run_changes_nothing_and_says_nothing_else(
    stage: Stage, tmp_path: Path
) -> None:
    """Nobody asked that it should not start, and there is nothing that could start it."""
    box = tmp_path / "box"
    first = stage.run("9.0.1", root=box)
    assert first.code == 0, first.err
    assert first.out.splitlines()[-1] == f"not started: below {box} there is no systemd"
    wanted = box / "etc/systemd/system/multi-user.target.wants/keeper.service"
    assert (box / str(wanted.readlink()).removeprefix("/")).is_file()
    (said,) = stage.run("9.0.1", root=box).out.splitlines()
    assert said.startswith("nothing to change: 9.0.1-")
    gone = stage.run("9.0.1", "uninstall", root=box)
    assert gone.code == 0, gone.err
    assert not wanted.is_symlink()


@pytest.mark.parametrize("fails", ["packages", "environment"])
def test_what_cannot_be_built_changes_nothing_and_says_what_runs(
    stage: Stage, tmp_path: Path, fails: str
) -> None:
    """No network, no space: keeper's word comes last, after that of whoever failed."""
    stage.settle()
    before = stage.everything()
    if fails == "packages":
        words, found = ["--wheels", str(tmp_path)], "packages cannot be had"
    else:
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\n[ "$2" = venv ] && exit 1\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        words, found = ["--python", str(python)], "cannot be made"
    done = stage.run("9.0.2", *words)
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert found in last
    assert "nothing was changed: 9.0.1-" in last
    assert "is installed, and keeper.service is active" in last
    assert stage.everything() == before
    assert stage.runs == "9.0.1"


def test_what_fails_anywhere_else_says_what_runs_as_well(stage: Stage, tmp_path: Path) -> None:
    """A file where a folder has to be, by nobody's foresight."""
    box = tmp_path / "box"
    (box / "opt/keeper").mkdir(parents=True)
    (box / "etc").write_text("")
    done = stage.run("9.0.1", root=box)
    assert done.code == 1
    assert done.err.splitlines()[-2:] == [
        "error: not done to the end: no version is installed",
        "error: correct the cause, and run this again",
    ]


@pytest.mark.parametrize(
    ("version", "code", "said"),
    [(None, 2, "there is no Python at"), ("Python 3.9.2", 6, "needs Python 3.11 or newer")],
)
def test_a_python_that_will_not_do_is_refused_before_anything_is_said_or_done(
    tmp_path: Path, version: str | None, code: int, said: str
) -> None:
    python, box = tmp_path / "python", tmp_path / "box"
    if version:
        python.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo {version} && exit\nexit 1\n')
        python.chmod(0o755)
    script = REPOSITORY / "deploy" / "install.sh"
    done = subprocess.run(
        [str(script), "--root", str(box), "--python", str(python)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert not box.exists()


async def test_an_upgrade_keeps_rentals_memory_and_configuration_and_can_be_taken_back(
    stage: Stage,
) -> None:
    stage.settle()
    rental = await stage.until_rented()
    config = stage.path("etc/keeper/keeper.yaml").read_bytes()
    done = stage.run("9.0.2", "install")
    assert done.code == 0, done.err
    assert (stage.current, stage.runs) == ("9.0.2", "9.0.2")
    assert stage.path("etc/keeper/keeper.yaml").read_bytes() == config
    assert [each["instance_id"] for each in stage.rentals()] == [rental]
    # A whole copy of what was known before, for its owner's eyes.
    copy = max(stage.path("var/backups/keeper").glob("*-before-9.0.2-*.db"))
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as store:
        assert str(rental) in str(store.execute("SELECT record FROM slots").fetchall())
    back = stage.run("9.0.2", "rollback")
    assert back.code == 0, back.err
    assert (stage.current, stage.runs) == ("9.0.1", "9.0.1")
    assert [each["instance_id"] for each in stage.rentals()] == [rental]


def test_what_somebody_has_stopped_is_not_started_by_an_upgrade(stage: Stage) -> None:
    """It could rent."""
    stage.settle()
    subprocess.run([str(stage._systemctl), "stop"], check=True)
    for release in ("9.0.2", "9.0.1"):
        done = stage.run(release, "install")
        assert done.code == 0, done.err
        assert "stays so" in done.out
        assert (stage.current, stage.runs) == (release, "")


@pytest.mark.parametrize(("how", "ready_s"), [("dies", "60"), ("hangs", "3")])
async def test_a_version_that_is_not_ready_in_time_is_taken_back(
    stage: Stage, how: str, ready_s: str
) -> None:
    """One ends at once, the other says nothing for ever."""
    stage.settle()
    rental = await stage.until_rented()
    stage.path("how").write_text(how)
    done = stage.run("9.0.3", "install", "--ready-s", ready_s)
    assert done.code == 1
    assert "9.0.1-" in done.err
    assert "runs again and is ready" in done.err
    assert (stage.current, stage.runs) == ("9.0.1", "9.0.1")
    assert [each["instance_id"] for each in stage.rentals()] == [rental]
    # Everything is that of the version that runs, and the next attempt is not taken for done.
    assert stage.run("9.0.1", "install").out.startswith("nothing to change")
    assert "would: point" in stage.run("9.0.3", "install", "--dry-run").out


async def test_a_memory_that_the_old_version_cannot_use_is_never_put_back(stage: Stage) -> None:
    """An older copy has forgotten what was rented since; a second rental would be its price."""
    stage.settle()
    rental = await stage.until_rented()
    stage.path("how").write_text("spoils")
    done = stage.run("9.0.3", "install", "--ready-s", "60")
    assert done.code == 1
    assert "cannot use the memory any more" in done.err
    assert "9999" in done.err
    assert "rented twice" in done.err
    assert (stage.current, stage.runs) == ("9.0.3", "")
    assert [each["instance_id"] for each in stage.rentals()] == [rental]
    copy = max(stage.path("var/backups/keeper").glob("*-before-9.0.3-*.db"))
    opened = sqlite3.connect(stage.path("var/lib/keeper/keeper.db"))
    with closing(sqlite3.connect(copy)) as before, closing(opened), opened:
        (found,) = opened.execute("SELECT version_num FROM alembic_version").fetchone()
        assert found == "9999"
        (number,) = before.execute("SELECT version_num FROM alembic_version").fetchone()
        opened.execute("UPDATE alembic_version SET version_num = ?", (number,))
        opened.execute("UPDATE meta SET value = ? WHERE key = 'oldest_reader'", (number,))


def test_a_configuration_that_the_new_version_refuses_stops_nothing(stage: Stage) -> None:
    stage.settle()
    config = stage.path("etc/keeper/keeper.yaml")
    config.write_text(config.read_text() + "no_such_key: 1\n")
    done = stage.run("9.0.3", "install")
    assert done.code == 6
    assert "no_such_key" in done.err
    assert (stage.current, stage.runs) == ("9.0.1", "9.0.1")


async def test_uninstall_refuses_while_rentals_go_on_and_keeps_what_is_yours(stage: Stage) -> None:
    stage.settle()
    await stage.until_rented()
    done = stage.run("9.0.1", "uninstall")
    assert done.code == 6
    assert "rentals go on (1)" in done.err
    assert stage.runs == "9.0.1"
    done = stage.run("9.0.1", "uninstall", "--even-with-rentals")
    assert done.code == 0, done.err
    assert stage.runs == ""
    assert "stop keeper.service" in done.out
    assert not stage.path("systemd/enabled").exists()
    left = {name.split("/")[0] for name in stage.everything()}
    assert left == {"etc"}
    assert stage.path("var/lib/keeper/keeper.db").exists()
    assert stage.run("9.0.1", "uninstall").out.startswith("nothing to remove")
    done = stage.run("9.0.1", "uninstall", "--even-with-rentals", "--purge")
    assert done.code == 0, done.err
    assert not stage.path("etc/keeper").exists()
    assert not stage.path("var/lib/keeper").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["instal"], "unknown argument: instal"),
        (["--ready-s", "soon"], "--ready-s wants whole seconds"),
        (["--from", "/nowhere"], "there is no /nowhere"),
        (["--root"], "--root needs a value"),
        (["--wheels", "/nowhere"], "there is no folder /nowhere"),
    ],
)
def test_a_wrong_word_is_said_and_nothing_is_done(words: list[str], said: str) -> None:
    script = REPOSITORY / "deploy" / "install.sh"
    done = subprocess.run(
        [str(script), "--dry-run", *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert said in done.stderr
