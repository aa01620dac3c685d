#!/usr/bin/env python3
"""Checks .github: the published schemas, zizmor, shellcheck of every script, and that every name means something.

An expression that names an input, a step's output, a secret of nobody or a job that is not there is "" on the
runner, without a word; a verb or option that keeper has no more fails only when somebody deploys. Both are
found here. Usage: python scripts/lint_workflows.py [FOLDER]
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
# A name and what follows it: steps.preflight.outputs.verdict
NAME = re.compile(r"(?<![\w'.])([a-z]\w*(?:\.[\w-]+)+)")
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
VERSION = re.compile(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
# Functions of expressions, and the contexts whose members are GitHub's.
GITHUB = {"github", "runner", "matrix", "vars", "env", "job"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One `run:` of a workflow."""

    where: str
    name: str
    text: str
    environ: Mapping[str, str]  # names that are set, and how they are written


def main() -> int:
    """Run every check; 0 when all is well."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / ".github"
    workflows = sorted((folder / "workflows").glob("*.yml"))
    failed = not all((_schemas(folder, workflows), _zizmor(folder), _shells(workflows)))
    for finding in (found for path in workflows for found in findings(path)):
        print(finding, file=sys.stderr)
        failed = True
    if not failed:
        scripts = sum(len(list(scripts_of(read(path), path.name))) for path in workflows)
        print(f"lint: {len(workflows)} workflows with {scripts} scripts are clean")
    return int(failed)


def read(path: Path) -> dict[str, Any]:
    """Read a workflow. YAML 1.2, so that `on` is a word and no truth."""
    found = YAML(typ="safe", pure=True).load(path)
    assert isinstance(found, dict)
    return found


def scripts_of(workflow: Mapping[str, Any], name: str) -> Iterator[Script]:
    """Give every script of a workflow with the variables that it gets."""
    for job_name, job in workflow.get("jobs", {}).items():
        for at, step in enumerate(job.get("steps", ())):
            if "run" in step:
                environ = {
                    key: str(value)
                    for level in (workflow, job, step)
                    for key, value in (level.get("env") or {}).items()
                }
                title = str(step.get("name", f"step {at + 1}"))
                yield Script(
                    where=f"{name}: {job_name}: {title}",
                    name=title,
                    text=str(step["run"]),
                    environ=environ,
                )


# --- what others check ---------------------------------------------------------------------------


def _schemas(folder: Path, workflows: list[Path]) -> bool:
    check = [str(BIN / "check-jsonschema"), "--quiet", "--builtin-schema"]
    asked = [[*check, "vendor.github-workflows", *map(str, workflows)]]
    if (folder / "dependabot.yml").exists():
        asked.append([*check, "vendor.dependabot", str(folder / "dependabot.yml")])
    return all(subprocess.run(words, check=False).returncode == 0 for words in asked)


def _zizmor(folder: Path) -> bool:
    words = [str(BIN / "zizmor"), "--offline", "--quiet", "--no-progress", str(folder)]
    return subprocess.run(words, check=False).returncode == 0


def _shells(workflows: list[Path]) -> bool:
    if shutil.which("shellcheck") is None:
        print("lint: shellcheck is absent, scripts of workflows were NOT checked", file=sys.stderr)
        return os.environ.get("KEEPER_TEST_REQUIRE_ALL") != "1"
    is_well = True
    for path in workflows:
        for script in scripts_of(read(path), path.name):
            # As the runner has it: bash, ended by the first failure. What env: sets is set.
            known = "".join(f': "${{{name}?}}"\n' for name in script.environ)
            done = subprocess.run(
                ["shellcheck", "--shell=bash", "--severity=style", "-"],
                input=f"set -eo pipefail\n{known}{script.text}",
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                is_well = False
                print(f"{script.where}:\n{done.stdout}", file=sys.stderr)
    return is_well


# --- what names mean -----------------------------------------------------------------------------


def findings(path: Path) -> Iterator[str]:
    """Say what in a workflow names nothing, is not pinned, or is asked of keeper in vain."""
    workflow = read(path)
    for at, line in enumerate(path.read_text().splitlines(), start=1):
        if re.match(r"\s*(- )?uses: [^.$]", line) and not VERSION.search(line):
            yield f"{path.name}:{at}: an action is pinned by its commit, with its version as a comment"
    inputs = _inputs(workflow)
    jobs = workflow.get("jobs", {})
    for job_name, job in jobs.items():
        yield from (f"{path.name}: {each}" for each in _job(job_name, job, jobs, inputs))
    for script in scripts_of(workflow, path.name):
        if "${{" in script.text:
            yield f"{script.where}: an expression in a script can be code: hand it over by env"
        yield from (f"{script.where}: {each}" for each in commands_amiss(script.text))


def _inputs(workflow: Mapping[str, Any]) -> set[str]:
    events = workflow.get("on") or {}
    if not isinstance(events, Mapping):
        return set()
    asked = (events.get(kind) or {} for kind in ("workflow_dispatch", "workflow_call"))
    return {name for event in asked for name in event.get("inputs", {})}


def _job(
    name: str, job: Mapping[str, Any], jobs: Mapping[str, Any], inputs: set[str]
) -> Iterator[str]:
    needs = job.get("needs", [])
    needs = [needs] if isinstance(needs, str) else needs
    yield from (f"{name}: needs {each}, which is no job" for each in needs if each not in jobs)
    steps = job.get("steps", ())
    ids = [step["id"] for step in steps if "id" in step]
    told = {step["id"]: _outputs(step) for step in steps if "id" in step}
    for at, step in enumerate(steps):
        before = {each["id"] for each in steps[:at] if "id" in each}
        title = step.get("name") or step.get("uses", "")
        for used in _names(step):
            if used.startswith("steps.") and used.split(".")[1] not in before:
                yield f"{name}: {title}: {used} is of no step before it"
    for used in _names(job):
        kind, *rest = used.split(".")
        match kind, rest:
            case "inputs", [asked, *_] if asked not in inputs:
                yield f"{name}: there is no input {asked}"
            case "needs", [asked, *_] if asked not in needs:
                yield f"{name}: {used}, and it does not need {asked}"
            case "needs", [asked, "outputs", output] if output not in jobs[asked].get(
                "outputs", {}
            ):
                yield f"{name}: {asked} has no output {output}"
            case "steps", [step, "outputs", output] if step in ids:
                known = told[step]
                if known is not None and output not in known:
                    yield f"{name}: the step {step} writes no output {output}"
            case "secrets", [secret] if not re.fullmatch(r"[A-Z][A-Z0-9_]*", secret):
                yield f"{name}: {used} is no name of a secret"
            case _ if kind not in GITHUB | {"inputs", "needs", "steps", "secrets"}:
                yield f"{name}: {used} is of no context"
            case _:
                pass


def _outputs(step: Mapping[str, Any]) -> set[str] | None:
    """Give what a step writes as outputs; None: an action's, which only its own file tells."""
    if "run" not in step:
        return None
    return set(re.findall(r'echo "(\w+)=[^\n]*', step["run"]))


def _names(value: object) -> Iterator[str]:
    """Find every name in the expressions below a value; `if` is one without braces."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "if":
                yield from _names_in(str(inner))
            else:
                yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)
    elif isinstance(value, str):
        for expression in EXPRESSION.findall(value):
            yield from _names_in(expression)


def _names_in(expression: str) -> Iterator[str]:
    without_texts = re.sub(r"'[^']*'", "''", expression)
    yield from NAME.findall(without_texts)


def commands_amiss(script: str) -> Iterator[str]:
    """Say which verbs and options of keeper a script uses and keeper does not have."""
    import click  # noqa: PLC0415 - with keeper, which is the dear part

    from keeper.cli.app import root  # noqa: PLC0415

    context = click.Context(root)
    for words in keeper_commands(script):
        verb = words[0] if words else ""
        command = root.get_command(context, verb)
        if command is None:
            yield f"keeper has no verb {verb!r}"
            continue
        known = {
            text for option in command.params for text in (*option.opts, *option.secondary_opts)
        }
        known |= {"--help", "-h"}
        for word in words[1:]:
            option = word.partition("=")[0]
            if word.startswith("-") and option not in known:
                yield f"keeper {verb} has no option {option}"


def keeper_commands(script: str) -> Iterator[list[str]]:
    """Find the calls of keeper in a script, each as its words."""
    joined = script.replace("\\\n", " ")
    for line in joined.splitlines():
        for match in re.finditer(
            r"(?:^|[;&|({]|\b(?:do|then|if|while)|!)\s*keeper\s+([^;&|)]*)", line.strip()
        ):
            text = re.sub(r"\d?>+\s*\S+", "", match[1])
            try:
                yield shlex.split(text, comments=True)
            except ValueError:
                yield text.split()


if __name__ == "__main__":
    sys.exit(main())
