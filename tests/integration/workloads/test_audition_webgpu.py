"""The test of WebGPU, driven for real: Chromium draws in software here, which must never pass for a GPU."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keeper.core.model import Meaning, Status
from keeper.ports import Command, Link
from keeper.workloads.audition import Finding, judged
from keeper.workloads.audition_webgpu import CHOSEN_FILE, CONFIGURATIONS, Configuration, webgpu
from tests.components import require
from tests.waiting import eventually

pytestmark = [pytest.mark.timeout(180), pytest.mark.real("sshd")]

USUAL = os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin"])
WITH_PYTHON = os.pathsep.join([str(Path(sys.executable).parent), USUAL])
# What a shell script needs, where PATH shows one of the runners and nothing else.
TOOLS = (
    "basename", "bash", "cat", "cut", "dirname", "grep", "head", "ls", "mkdir", "mktemp", "readlink",
    "rm", "sed", "sh", "sleep", "tr", "uname",
)  # fmt: skip
SOFTWARE = next(each for each in CONFIGURATIONS if each.is_software)
NO_GPU = Configuration(mode="no-gpu", flags=("--headless=new", "--disable-gpu"))


def path_with(folder: Path, runner: str, *more: Path) -> str:
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool, path=USUAL)
        if found:
            (folder / tool).symlink_to(found)
    for each in (require(runner), *more):
        (folder / each.name).symlink_to(each)
    return str(folder)


async def tried(
    link: Link,
    workdir: Path,
    configurations: Sequence[Configuration],
    *,
    path: str = WITH_PYTHON,
    browsers: Sequence[str] = ("chromium", "chromium-browser", "google-chrome"),
    display: str = "",
    allow_software: bool = False,
    limit_s: float = 30.0,
) -> Finding:
    check = webgpu(
        workdir=str(workdir),
        display=display,
        allow_software=allow_software,
        browsers=browsers,
        configurations=configurations,
        limit_s=limit_s,
    )
    assert isinstance(check.look, Command)
    result = await link.run(replace(check.look, env={"PATH": path, "TMPDIR": str(workdir.parent)}))
    return judged(check, result, datetime.now(UTC))


def left_behind(workdir: Path) -> list[str]:
    """Name what a browser has left: its profile, and processes that still speak of it."""
    mark = str(workdir.parent / "keeper-webgpu-").encode()
    profiles = [path.name for path in workdir.parent.glob("*chrom*")]
    profiles += [path.name for path in workdir.parent.glob("keeper-webgpu-*")]
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append((path.parent.name, path.read_bytes()))
        except OSError:
            continue
    return profiles + [pid for pid, line in lines if mark in line]


@pytest.mark.real("chromium", "node")
@pytest.mark.parametrize("runner", ["python3", "node"])
async def test_software_is_refused_and_no_adapter_is_none(
    link: Link, short_path: Path, runner: str
) -> None:
    workdir = short_path / "work dir"
    path = WITH_PYTHON
    if runner == "node":
        path = path_with(short_path / "bin", "node", require("chromium"))
    chosen = workdir / CHOSEN_FILE
    chosen.parent.mkdir(parents=True)
    chosen.write_text("KEEPER_WEBGPU_MODE='of a former life'\n")
    finding = await tried(link, workdir, (NO_GPU, SOFTWARE), path=path)
    assert finding.meaning is Meaning.REPLACE
    assert finding.saw.startswith("only software draws: google swiftshader (no-gpu none; swift")
    assert not chosen.exists()
    await eventually(lambda: not left_behind(workdir))


@pytest.mark.real("chromium", "node")
@pytest.mark.parametrize("runner", ["python3", "node"])
async def test_the_first_that_will_do_is_left_for_the_deploy_and_the_rest_is_not_tried(
    link: Link, short_path: Path, runner: str
) -> None:
    workdir = short_path / "workdir"
    path = WITH_PYTHON
    if runner == "node":
        path = path_with(short_path / "bin", "node", require("chromium"))
    finding = await tried(link, workdir, (SOFTWARE, NO_GPU), path=path, allow_software=True)
    assert finding.status is Status.TRUE
    assert finding.numbers == {"tried": 1}
    assert (workdir / CHOSEN_FILE).read_text() == (
        f"KEEPER_WEBGPU_MODE='swiftshader'\nKEEPER_WEBGPU_FLAGS='{' '.join(SOFTWARE.flags)}'\n"
    )
    await eventually(lambda: not left_behind(workdir))


def a_browser(folder: Path, script: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    browser = folder / "browser"
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(0o755)
    return str(browser)


@pytest.mark.real("node")
@pytest.mark.parametrize("runner", ["python3", "node"])
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("sleep 1000 & sleep 1000", "no answer in 1 s"),
        ("echo 'cannot open display' >&2; exit 1", "cannot open display"),
        ("yes >&4", "no-gpu error"),  # an endless message that is none
    ],
    ids=["hangs", "ends", "babbles"],
)
async def test_a_browser_that_is_none_is_ended_with_all_it_started(
    link: Link, short_path: Path, runner: str, script: str, why: str
) -> None:
    workdir = short_path / "workdir"
    path = path_with(short_path / "bin", "node") if runner == "node" else WITH_PYTHON
    browser = a_browser(short_path, f": {short_path}/keeper-webgpu-\n{script}")
    finding = await tried(link, workdir, (NO_GPU,), browsers=[browser], path=path, limit_s=1.0)
    assert finding.meaning is Meaning.REPLACE
    assert why in finding.saw
    await eventually(lambda: not left_behind(workdir))


async def test_a_host_without_a_browser_is_not_condemned_for_it(
    link: Link, short_path: Path
) -> None:
    shown = replace(NO_GPU, mode="shown", needs_display=True)
    finding = await tried(
        link, short_path / "workdir", (NO_GPU, shown), browsers=["no-such-browser"]
    )
    assert (finding.status, finding.meaning) == (Status.UNKNOWN, Meaning.FIX)


@pytest.mark.parametrize(
    ("system", "installed"),
    [("debian", "chromium python3"), ("ubuntu", "chrome.deb")],
)
async def test_a_browser_is_brought_by_what_the_image_has(
    link: Link, short_path: Path, system: str, installed: str
) -> None:
    folder = short_path / "bin"
    folder.mkdir()
    for name, script in {
        "apt-get": f'echo "$*" >>{short_path}/log',
        "curl": 'while [ "$1" != -o ]; do shift; done; touch "$2"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    (short_path / "etc").mkdir()
    (short_path / "etc/os-release").write_text(f"NAME=x\nID={system}\n")
    fix = webgpu(workdir=".", display="").fix
    assert fix is not None
    env = {"PATH": f"{folder}:{USUAL}", "keeper_root": str(short_path), "TMPDIR": str(short_path)}
    assert (await link.run(replace(fix, env=env))).exit_code == 0
    assert (short_path / "log").read_text().splitlines()[-1].endswith(installed)
    assert list(short_path.glob("tmp*")) == []


def test_all_six_configurations_are_tried_in_the_order_of_the_original() -> None:
    assert [each.mode for each in CONFIGURATIONS] == [
        "headless-vulkan", "headless-egl", "xvfb-vulkan", "ozone-headless", "swiftshader",
        "playwright-xvfb",
    ]  # fmt: skip
    windows = [each.mode for each in CONFIGURATIONS if each.needs_display]
    assert windows == ["xvfb-vulkan", "playwright-xvfb"]
    for each in CONFIGURATIONS:  # no window on the display, or a display
        is_headless = any(flag.startswith(("--headless", "--ozone")) for flag in each.flags)
        assert is_headless is not each.needs_display
        assert json.dumps(each.flags).count("'") == 0  # they are quoted so in a file for a shell
