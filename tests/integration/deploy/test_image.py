"""The container image, as far as it can be judged where no container engine runs: its own lines are followed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.components import REPOSITORY
from tests.integration.deploy.bundles import libraries, lock_of
from tests.integration.deploy.dockerfile import Image, allowed, stages

DOCKERFILE = REPOSITORY / "Dockerfile"
IGNORE = REPOSITORY / ".dockerignore"
# What builds wheels comes from an index. This does as much of its work as is asked for here.
BACKEND = """\
import base64, hashlib, pathlib, re, tomllib, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    for name in (project["readme"], *project["license-files"]):
        pathlib.Path(name).read_text()
    version = re.search('__version__ = "(.*)"', pathlib.Path("keeper/__init__.py").read_text())[1]
    about = f"vast_keeper-{version}.dist-info"
    files = {str(p): p.read_bytes() for p in pathlib.Path("keeper").rglob("*") if p.is_file()}
    files[f"{about}/METADATA"] = f"Metadata-Version: 2.1\\nName: vast-keeper\\nVersion: {version}\\n".encode()
    files[f"{about}/WHEEL"] = b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    scripts = "".join(f"{k}={v}\\n" for k, v in project["scripts"].items())
    files[f"{about}/entry_points.txt"] = f"[console_scripts]\\n{scripts}".encode()
    def line(name, data):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        return f"{name},sha256={digest},{len(data)}\\n"
    record = "".join(line(name, data) for name, data in files.items())
    files[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\\n".encode()
    made = f"vast_keeper-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / made, "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)
    return made
"""


def test_the_linter_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    command = [str(linter), "--format", "json", str(DOCKERFILE)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert json.loads(answer.stdout) == []
    assert answer.returncode == 0


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    spoilt = tmp_path / "Dockerfile"
    spoilt.write_text(DOCKERFILE.read_text().replace("USER 10001:10001", "USER root"))
    linter = Path(sys.executable).with_name("hadolint")
    answer = subprocess.run([str(linter), str(spoilt)], capture_output=True, check=False)
    assert answer.returncode != 0


def test_the_base_is_the_same_in_every_stage_and_pinned_by_an_argument() -> None:
    """A release passes the digest; both stages and the label take it."""
    pinned = "${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}}"
    assert [stage[0].split()[1] for stage in stages(DOCKERFILE)] == [pinned, pinned]
    text = DOCKERFILE.read_text()
    assert "\nARG PYTHON_DIGEST=\n" in text.partition("FROM ")[0]
    assert 'base.digest="${PYTHON_DIGEST}"' in text
    assert ":latest" not in text


def test_it_does_not_run_as_root() -> None:
    users = [line for line in stages(DOCKERFILE)[-1] if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]


def test_it_says_what_it_is() -> None:
    last = "\n".join(stages(DOCKERFILE)[-1])
    assert "STOPSIGNAL SIGTERM" in last
    labels = set(re.findall(r"org\.opencontainers\.image\.([\w.]+)=", last))
    assert labels == {
        "title", "description", "licenses", "version", "revision", "created", "source",
        "base.name", "base.digest",
    }  # fmt: skip


def test_the_last_stage_takes_nothing_from_the_checkout() -> None:
    copies = [line for line in stages(DOCKERFILE)[-1] if line.startswith(("COPY", "ADD"))]
    assert copies == ["COPY --from=build /opt/keeper /opt/keeper"]


@pytest.mark.parametrize(
    "name",
    [
        ".env", "vast_api_key", "keeper.yaml", ".git/config", "config/keeper.example.yaml",
        "keeper/__pycache__/app.cpython-311.pyc", "keeper/cli/app.pyc", "tests/conftest.py", "deploy/install.sh",
    ],
)  # fmt: skip
def test_what_the_build_does_not_need_never_reaches_it(name: str) -> None:
    """An allow list of the context: a key lying in the checkout can never get in."""
    assert not allowed(IGNORE, name)


def test_dependencies_come_from_the_lock_alone() -> None:
    installs = [line for line in stages(DOCKERFILE)[0] if "pip install" in line]
    assert all("--require-hashes -r requirements.lock" in i or "--no-deps ." in i for i in installs)
    assert all("--no-deps" in each for each in installs)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image's tree, made by its own lines; only where packages come from is another place."""
    folder = tmp_path_factory.mktemp("image")
    wheels = libraries(folder, backend=BACKEND)
    context = folder / "context"
    context.mkdir()
    for each in REPOSITORY.iterdir():
        if each.name != "requirements.lock":
            (context / each.name).symlink_to(each)
    (context / "requirements.lock").write_text(lock_of(wheels))
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder),
        "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels),
    }  # fmt: skip
    made = Image(folder / "root", context, IGNORE, environ)
    made.root.mkdir()
    build, last = stages(DOCKERFILE)
    made.follow(build)
    made.follow(last)
    return made


def test_its_own_lines_build_a_keeper_that_starts(image: Image) -> None:
    bin_folder = image.root / "opt/keeper/bin"
    (name,) = image.command("ENTRYPOINT")
    told = subprocess.run(
        [bin_folder / name, "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    assert told.returncode == 0, told.stderr
    assert not (bin_folder / "pip").exists()
    compiled = list(image.root.glob("opt/keeper/lib/python*/site-packages/keeper/**/*.pyc"))
    assert len(compiled) > 100
    assert (image.root / "var/lib/keeper").stat().st_mode & 0o777 == 0o700
    if os.getuid() == 0:
        assert (image.root / "run/keeper").stat().st_uid == 10_001


def test_it_starts_what_an_operator_expects(image: Image) -> None:
    assert image.command("CMD") == ["run", "--config", "/etc/keeper/keeper.yaml"]
    assert image.said["VOLUME"] == "/var/lib/keeper"
