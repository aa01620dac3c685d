"""Follows a Dockerfile where no container engine runs: its own lines, below another root.

FROM begins a stage, WORKDIR, COPY, ENV and RUN are done, the rest is kept to be looked at. Absolute paths of
the image are paths below the root; whoever is not root gives nothing away to other users.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_TOP = re.compile(r"(?<![\w.$/}-])/(?=(?:opt|src|var|run|etc|tmp)\b)")


def stages(path: Path) -> list[list[str]]:
    """The instructions of each stage, continued lines joined, comments left out."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    found: list[list[str]] = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.startswith("FROM "):
            found.append([])
        if found and line:
            found[-1].append(line)
    return found


def allowed(ignore: Path, name: str) -> bool:
    """Whether a file of the checkout reaches the build, by the last rule that speaks of it."""
    answer = True
    for rule in ignore.read_text().splitlines():
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!").removeprefix("**/")
        parts = Path(name).parts
        ways = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        tried = [*ways, *parts] if "**/" in rule else ways
        if any(fnmatch.fnmatchcase(way, pattern) for way in tried):
            answer = rule.startswith("!")
    return answer


class Image:
    """One stage after another, below one root."""

    def __init__(self, root: Path, context: Path, ignore: Path, environ: Mapping[str, str]) -> None:
        self.root = root
        self._context = context
        self._ignore = ignore
        self._environ = dict(environ)
        self._at = root
        self.said: dict[str, str] = {}

    def follow(self, stage: list[str]) -> None:
        """Do what a stage says. Raises CalledProcessError."""
        for line in stage:
            word, _, rest = line.partition(" ")
            match word:
                case "WORKDIR":
                    self._at = self._below(rest)
                    self._at.mkdir(parents=True, exist_ok=True)
                case "RUN":
                    self._run(rest)
                case "COPY" if not rest.startswith("--from"):
                    *sources, target = rest.split()
                    for source in sources:
                        self._copy(source, self._at / target)
                case "ENV":
                    pairs = re.findall(r"(\w+)=(\S+)", rest)
                    self._environ |= {k: self._told(v) for k, v in pairs if k != "PATH"}
                case _:
                    self.said[word] = rest

    def command(self, word: str) -> list[str]:
        """The words of an instruction in its exec form."""
        found = re.search(r"\[.*\]", self.said[word])
        assert found is not None, f"{word} is not in its exec form"
        words: list[str] = json.loads(found[0])
        return words

    def _below(self, path: str) -> Path:
        return self.root / path.lstrip("/") if path.startswith("/") else self._at / path

    def _told(self, text: str) -> str:
        return _TOP.sub(f"{self.root}/", text)

    def _run(self, line: str) -> None:
        line = self._told(line)
        if os.getuid() != 0:
            line = re.sub(r" -[og] \d+", "", line)
        subprocess.run(
            ["/bin/sh", "-ec", line], cwd=self._at, env=self._environ, check=True,
            capture_output=True, text=True, timeout=100,
        )  # fmt: skip

    def _copy(self, source: str, target: Path) -> None:
        at = self._context / source
        files = [at] if at.is_file() else sorted(each for each in at.rglob("*") if each.is_file())
        assert files, f"{source} is not there"
        for file in files:
            name = str(file.relative_to(self._context))
            if allowed(self._ignore, name):
                to = target / file.relative_to(at) if at.is_dir() else target / file.name
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, to)
