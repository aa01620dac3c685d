#!/usr/bin/env python3
"""Checks .github: the published schemas, zizmor, shellcheck of every script, and that every name means something.

An expression that names an input, a step's output, a secret of nobody or a job that is not there is "" on the
runner, without a word; a verb or option that keeper has no more fails only when somebody deploys. Both are
found here; what GitHub knows is in workflow_words.py. Usage: python -m scripts.lint_workflows [FOLDER]
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

from scripts.workflow_words import (
    ACTIONS,
    CONTEXTS,
    GITHUB_MEMBERS,
    IN_JOB,
    OF_JOB,
    OF_STEP,
    OF_WORKFLOW,
    RUNNERS,
    expression_amiss,
    unset_variables,
)

REPOSITORY = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
# A name and what follows it: steps.preflight.outputs.verdict
NAME = re.compile(r"(?<![\w'.])([a-z]\w*(?:\.[\w-]+)+)")
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
VERSION = re.compile(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


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
    yield from (f"{path.name}: {each}" for each in _expressions_amiss(workflow))
    for job_name, job in jobs.items():
        yield from (f"{path.name}: {each}" for each in _job(job_name, job, jobs, inputs))
        yield from (f"{path.name}: {job_name}: {each}" for each in _lent(job))
        yield from (f"{path.name}: {job_name}: {each}" for each in _artifacts(job_name, jobs))
    for script in scripts_of(workflow, path.name):
        if "${{" in script.text:
            yield f"{script.where}: an expression in a script can be code: hand it over by env"
        for name in unset_variables(script.text, frozenset(script.environ)):
            yield f"{script.where}: nobody sets ${name}"
        yield from (f"{script.where}: {each}" for each in commands_amiss(script.text))


def _inputs(workflow: Mapping[str, Any]) -> set[str]:
    events = workflow.get("on") or {}
    if not isinstance(events, Mapping):
        return set()
    asked = (events.get(kind) or {} for kind in ("workflow_dispatch", "workflow_call"))
    return {name for event in asked for name in event.get("inputs", {})}


def _expressions_amiss(workflow: Mapping[str, Any]) -> Iterator[str]:
    """Read every expression, with what is to be had where it stands."""
    for key in workflow.keys() - {"on", "jobs"}:
        more = {"secrets"} if key == "env" else set()
        yield from _amiss_below(workflow[key], OF_WORKFLOW | more, (key,))
    for name, job in workflow.get("jobs", {}).items():
        for key in job.keys() - {"steps"}:
            yield from _amiss_below({key: job[key]}, IN_JOB.get(key, OF_JOB), (name,))
        for at, step in enumerate(job.get("steps", ()), start=1):
            for key in step:
                known = OF_STEP - {"secrets"} if key == "if" else OF_STEP
                yield from _amiss_below({key: step[key]}, known, (name, f"step {at}"))


def _amiss_below(value: object, known: frozenset[str], where: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _amiss_below(inner, known, (*where, str(key)))
        return
    if isinstance(value, list):
        for inner in value:
            yield from _amiss_below(inner, known, where)
        return
    text, place = str(value), ": ".join(where)
    found = EXPRESSION.findall(text)
    if text.count("${{") != len(found):
        yield f"{place}: an expression has no end: {text}"
    is_condition = where[-1] == "if"
    if is_condition and "${{" not in text:
        found = [text]
    elif is_condition and not re.fullmatch(r"\s*\$\{\{((?!\$\{\{).)*\}\}\s*", text, re.DOTALL):
        yield f"{place}: {text!r} is a text, and so always true"
    for expression in found:
        amiss = expression_amiss(expression, known, is_condition=is_condition)
        if amiss:
            yield f"{place}: {expression.strip()!r} {amiss}"


def _lent(job: Mapping[str, Any]) -> Iterator[str]:
    """Say what is asked of GitHub's runners and of others' actions in vain."""
    runner = str(job.get("runs-on", ""))
    if "uses" not in job and "${{" not in runner and runner not in RUNNERS:
        yield f"there is no runner {runner}"
    for step in job.get("steps", ()):
        name = str(step.get("uses", "")).partition("@")[0]
        if not name or name.startswith("."):
            continue
        if name not in ACTIONS:
            yield f"what {name} takes is not written down in scripts/workflow_words.py"
            continue
        for key in step.get("with") or {}:
            if key not in ACTIONS[name].inputs:
                yield f"{name} has no input {key}"


def _artifacts(name: str, jobs: Mapping[str, Any]) -> Iterator[str]:
    """Say which artifact a job fetches that no job before it has put there."""
    before = set(_before(name, jobs))
    there = {
        made for each in before for made in _artifact_names(jobs[each], "actions/upload-artifact")
    }
    for wanted in _artifact_names(jobs[name], "actions/download-artifact"):
        if wanted not in there:
            yield f"no job that it needs puts the artifact {wanted} there"


def _needs(job: Mapping[str, Any]) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def _before(name: str, jobs: Mapping[str, Any]) -> Iterator[str]:
    for needed in _needs(jobs[name]):
        if needed in jobs and needed != name:
            yield needed
            yield from _before(needed, jobs)


def _artifact_names(job: Mapping[str, Any], action: str) -> Iterator[str]:
    for step in job.get("steps", ()):
        if str(step.get("uses", "")).partition("@")[0] == action:
            yield str((step.get("with") or {}).get("name", "artifact"))


def _matrix(job: Mapping[str, Any]) -> set[str] | None:
    """Give what a job's matrix has; None: an expression makes it, and nobody can tell here."""
    matrix = (job.get("strategy") or {}).get("matrix") or {}
    if not isinstance(matrix, Mapping) or isinstance(matrix.get("include", []), str):
        return None
    return {*matrix, *(key for each in matrix.get("include", []) for key in each)}


def _job(
    name: str, job: Mapping[str, Any], jobs: Mapping[str, Any], inputs: set[str]
) -> Iterator[str]:
    needs, matrix = _needs(job), _matrix(job)
    yield from (f"{name}: needs {each}, which is no job" for each in needs if each not in jobs)
    steps = job.get("steps", ())
    told = {step["id"]: _outputs(step) for step in steps if "id" in step}
    for at, step in enumerate(steps):
        before = {each["id"] for each in steps[:at] if "id" in each}
        title = step.get("name") or step.get("uses", "")
        for used in _names(step):
            if used.startswith("steps.") and used.split(".")[1] not in before:
                yield f"{name}: {title}: {used} is of no step before it"
    for used in _names(job):
        kind, *rest = used.split(".")
        yield from (f"{name}: {each}" for each in _of_context(kind, rest, matrix))
        match kind, rest:
            case "inputs", [asked, *_] if asked not in inputs:
                yield f"{name}: there is no input {asked}"
            case "needs", [asked, *_] if asked not in needs:
                yield f"{name}: {used}, and it does not need {asked}"
            case "needs", [asked, "outputs", output] if output not in jobs.get(asked, {}).get(
                "outputs", {}
            ):
                yield f"{name}: {asked} has no output {output}"
            case "steps", [step, "outputs", output]:
                known = told.get(step)
                if known is not None and output not in known:
                    yield f"{name}: the step {step} writes no output {output}"
            case _:
                pass


def _of_context(kind: str, rest: list[str], matrix: set[str] | None) -> Iterator[str]:
    used = ".".join((kind, *rest))
    match kind, rest:
        case "steps", [_, part, *_] if part not in {"outputs", "outcome", "conclusion"}:
            yield f"{used}: a step has no {part}"
        case "needs", [_, part, *_] if part not in {"outputs", "result"}:
            yield f"{used}: a job has no {part}"
        case "matrix", [asked, *_] if matrix is not None and asked not in matrix:
            yield f"the matrix has no {asked}"
        case "github", [asked, *_] if asked not in GITHUB_MEMBERS:
            yield f"GitHub tells no {used}"
        case "secrets", [secret] if not re.fullmatch(r"[A-Z][A-Z0-9_]*", secret):
            yield f"{used} is no name of a secret"
        case _ if kind not in CONTEXTS:
            yield f"{used} is of no context"
        case _:
            pass


def _outputs(step: Mapping[str, Any]) -> set[str] | None:
    """Give what a step writes as outputs; None: those of an action that nobody has written down."""
    if "run" not in step:
        action = ACTIONS.get(str(step.get("uses", "")).partition("@")[0])
        return None if action is None else set(action.outputs)
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
