"""The set-up of sd-turbo with a real pip and a real environment, from wheels that the test makes."""

import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.components import REPOSITORY

pytestmark = pytest.mark.timeout(180)

SETUP = REPOSITORY / "keeper" / "workloads" / "payload" / "sd_turbo_setup.sh"


def make_wheel(folder: Path, name: str, version: str) -> None:
    """Make a package that is one empty module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text)}\n"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")


def set_up(
    workdir: Path, wheels: Path, *pins: str, python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    (workdir / "sd_turbo.pins").write_text("".join(f"{pin}\n" for pin in pins))
    return subprocess.run(
        ["sh", str(SETUP)],
        cwd=workdir,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(workdir),
            "python": python,
            "proves": "0",
            "pip_args": f"--no-index --find-links {wheels}",
        },
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def version_of(workdir: Path, name: str) -> str:
    chosen = (workdir / ".keeper" / "server.python").read_text().strip()
    asked = subprocess.run(
        [chosen, "-c", f"from importlib.metadata import version; print(version('{name}'))"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return asked.stdout.strip()


def test_it_brings_what_is_missing_once_and_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    """One host of three loses its line in the middle of some gigabytes."""
    workdir, wheels = tmp_path / "host", tmp_path / "wheels"
    workdir.mkdir()
    make_wheel(wheels, "keeper_large", "2.0")
    pins = ("keeper_large==2.0", "keeper_small==1.0")
    cut_off = set_up(workdir, wheels, *pins)
    assert cut_off.returncode == 1
    assert "keeper_small" in cut_off.stderr
    assert not (workdir / ".keeper" / "server.python").exists()

    make_wheel(wheels, "keeper_small", "1.0")
    done = set_up(workdir, wheels, *pins)
    assert done.returncode == 0, done.stderr
    assert "setup: installing keeper_small==1.0" in done.stdout
    assert "making an environment" not in done.stdout
    assert "Collecting keeper_large" not in done.stdout
    assert version_of(workdir, "keeper_small") == "1.0"
    assert str(workdir) in (workdir / ".keeper" / "server.python").read_text()

    again = set_up(workdir, wheels, *pins)
    assert (again.returncode, again.stdout.splitlines()) == (0, ["setup: done"])

    # B4: somebody has brought another version; what is declared is brought back.
    make_wheel(wheels, "keeper_small", "2.0")
    drifted = set_up(workdir, wheels, "keeper_large==2.0", "keeper_small==2.0")
    assert drifted.returncode == 0, drifted.stderr
    cured = set_up(workdir, wheels, *pins)
    assert cured.returncode == 0, cured.stderr
    assert version_of(workdir, "keeper_small") == "1.0"


def test_what_the_image_has_is_taken_as_it_is(tmp_path: Path) -> None:
    done = set_up(tmp_path, tmp_path, "pillow>=9.1")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / ".keeper" / "python").exists()
    assert (tmp_path / ".keeper" / "server.python").read_text().strip() == sys.executable


def test_a_python_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = set_up(tmp_path, tmp_path, "pillow>=9.1", python="/nonexistent/python3")
    assert done.returncode == 1
    assert "there is no /nonexistent/python3" in done.stderr
