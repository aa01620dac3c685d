"""The container image, as far as it can be judged where no container engine runs."""

import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path

from tests.components import REPOSITORY

DOCKERFILE = REPOSITORY / "Dockerfile"


def stages() -> list[list[str]]:
    """The instructions of each stage, continued lines joined, comments left out."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found: list[list[str]] = []
    for line in lines:
        if line.startswith("FROM "):
            found.append([])
        if found:
            found[-1].append(line)
    return found


def test_the_linter_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    command = [str(linter), "--format", "json", str(DOCKERFILE)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert json.loads(answer.stdout) == []
    assert answer.returncode == 0


def test_it_does_not_run_as_root() -> None:
    users = [line for line in stages()[-1] if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]


def test_it_says_how_it_is_and_what_it_is() -> None:
    last = "\n".join(stages()[-1])
    assert "HEALTHCHECK" in last
    assert "/-/healthy" in last
    assert "STOPSIGNAL SIGTERM" in last
    labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", last))
    assert labels == {"title", "description", "licenses", "version", "revision"}


def test_the_last_stage_takes_nothing_from_the_checkout() -> None:
    copies = [line for line in stages()[-1] if line.startswith(("COPY", "ADD"))]
    assert copies == ["COPY --from=build /opt/keeper /opt/keeper"]


def test_what_is_copied_exists_and_is_let_through() -> None:
    """An allow list of the context: a key lying in the checkout can never get in."""
    rules = (REPOSITORY / ".dockerignore").read_text().splitlines()
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    assert rules[0] == "*"
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    for line in stages()[0]:
        if line.startswith("COPY "):
            for source in line.split()[1:-1]:
                assert (REPOSITORY / source).exists(), source
                assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed), source


def test_dependencies_come_from_the_lock_alone() -> None:
    installs = [line for line in stages()[0] if "pip install" in line]
    assert all("--require-hashes -r requirements.lock" in i or "--no-deps" in i for i in installs)
