"""The steps of .github/workflows/release.yml that make the files of a release, run as a runner does."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from scripts import lint_workflows as lint
from tests.components import REPOSITORY

STEPS = {
    script.name: script
    for script in lint.scripts_of(
        lint.read(REPOSITORY / ".github" / "workflows" / "release.yml"), "release.yml"
    )
}
VERSION = re.findall(r'"(.+)"', (REPOSITORY / "keeper" / "__init__.py").read_text())[-1]


def git(folder: Path, *words: str) -> str:
    environ = {
        **os.environ,
        "GIT_AUTHOR_DATE": "2026-11-22T00:00:00Z",
        "GIT_COMMITTER_DATE": "2026-11-22T00:00:00Z",
    }
    name = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *name, *words], cwd=folder, env=environ, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of what lies in this tree, as one commit."""
    folder = tmp_path_factory.mktemp("release")
    listed = git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    wanted = ("keeper/", "deploy/", "config/", "docs/")
    for name in filter(None, listed.split("\0")):
        if (name.startswith(wanted) or "/" not in name) and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "a release")
    return folder


def run(checkout: Path, step: str, tag: str = f"v{VERSION}") -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[step].text],
        cwd=checkout,
        env={"PATH": path, "HOME": str(checkout), "TAG": tag, "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_tag_that_is_not_the_version_releases_nothing(checkout: Path) -> None:
    assert run(checkout, "Compare the tag with the version").returncode == 0
    done = run(checkout, "Compare the tag with the version", "v9.9.9")
    assert done.returncode == 1
    assert "::error::the tag is v9.9.9, and" in done.stdout


def test_a_release_is_built_listed_and_packed_from_the_lock_alone(checkout: Path) -> None:
    for step in ("Build", "List the packages", "Pack what install.sh installs"):
        done = run(checkout, step)
        assert done.returncode == 0, done.stdout + done.stderr
    dist = checkout / "dist"
    assert sorted(path.name for path in dist.iterdir()) == [
        "SHA256SUMS",
        f"keeper-{VERSION}.tar.gz",
        "keeper.cdx.json",
        f"vast_keeper-{VERSION}-py3-none-any.whl",
        f"vast_keeper-{VERSION}.tar.gz",
    ]
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=dist, check=True)

    listed = json.loads((dist / "keeper.cdx.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    assert listed["metadata"]["component"]["name"] == "vast-keeper"
    found = {(each["name"], each["version"]) for each in listed["components"]}
    lock = (checkout / "requirements.lock").read_text()
    assert found == set(re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.MULTILINE))
    hashes = {each["content"] for part in listed["components"] for each in _hashes(part)}
    assert set(re.findall(r"sha256:([0-9a-f]{64})", lock)) <= hashes

    with tarfile.open(dist / f"keeper-{VERSION}.tar.gz") as archive:
        members = {member.name: member for member in archive}
    root = f"keeper-{VERSION}"
    assert members[f"{root}/deploy/install.sh"].mode & 0o111
    assert f"{root}/requirements.lock" in members
    assert f"{root}/config/keeper.example.yaml" in members
    assert f"{root}/vast_keeper-{VERSION}-py3-none-any.whl" in members
    assert {member.uid for member in members.values()} == {0}

    # Built again from the same commit it is the same, to the byte.
    before = (dist / f"keeper-{VERSION}.tar.gz").read_bytes()
    for path in (*dist.glob("*.whl"), *dist.glob("*.tar.gz")):
        path.unlink()
    shutil.rmtree(checkout / "build")
    for step in ("Build", "Pack what install.sh installs"):
        assert run(checkout, step).returncode == 0
    assert (dist / f"keeper-{VERSION}.tar.gz").read_bytes() == before

    done = subprocess.run(
        [
            *("bash", "deploy/install.sh", "--dry-run", "--root", str(checkout / "box")),
            *("--from", str(dist / f"keeper-{VERSION}.tar.gz")),
        ],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "would: " in done.stdout


def _hashes(part: dict[str, list[dict[str, str]]]) -> list[dict[str, str]]:
    references: list[dict[str, list[dict[str, str]]]] = part.get("externalReferences", [])  # type: ignore[assignment]
    inner = [each for reference in references for each in reference.get("hashes", [])]
    return [*part.get("hashes", []), *inner]
