"""The steps of .github/workflows/deploy-stream.yml, run one after the other as a runner does.

The ops box is a real sshd, behind which a keeper keeps a simulated stream on air. Only `gh` is a stand-in: it
notes what it is told.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from scripts import lint_workflows as lint
from tests.components import REPOSITORY
from tests.e2e.conftest import API_KEY, KEEPER, Box
from tests.real_sshd import RealSshd, running_sshd

pytestmark = [pytest.mark.real("sshd", "jq"), pytest.mark.slow, pytest.mark.timeout(600)]

WORKFLOW = lint.read(REPOSITORY / ".github" / "workflows" / "deploy-stream.yml")
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["deploy"]["steps"]


@dataclass(slots=True)
class Runner:
    """What a runner knows of one run, and what came of its steps."""

    folder: Path
    environ: dict[str, str]
    contexts: dict[str, str]
    ran: list[str] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    failed: str = ""

    def value(self, expression: str) -> str:
        """Work out an expression, as far as this workflow needs it."""
        first, _, otherwise = expression.partition("||")
        found = self.contexts.get(first.strip(), "")
        return found or otherwise.strip().strip("'")

    def is_due(self, step: dict[str, Any]) -> bool:
        condition = str(step.get("if", ""))
        if condition == "always()":
            return True
        if self.failed:
            return False
        name, differs, other = condition.partition(" != ")
        if differs:
            return self.value(name) != other.strip("'")
        return not condition or self.value(condition) == "true"

    async def run(self, *, but: frozenset[str] = frozenset()) -> None:
        """Run all that is due, to the end: what is there always comes after a failure, too."""
        for step in STEPS:
            # What is not run here: the checkout, Python and keeper are there.
            if "run" in step and step["name"] not in {"Install keeper", *but} and self.is_due(step):
                await self._step(step)

    async def _step(self, step: dict[str, Any]) -> None:
        name, output = step["name"], self.folder / "output"
        output.write_text("")
        declared = WORKFLOW["env"] | step.get("env", {})
        values = {
            key: lint.EXPRESSION.sub(lambda found: self.value(found[1]), str(written))
            for key, written in declared.items()
        }
        values |= {"WAY": str(self.folder / "way"), "EVERY_S": "0.5", "DEADLINE_S": "120"}
        process = await asyncio.create_subprocess_exec(
            *("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]),
            env=self.environ
            | values
            | {
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            },
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(150):
            out, _ = await process.communicate()
        self.ran.append(name)
        self.said[name] = out.decode()
        if process.returncode and not self.failed:
            self.failed = name
        for line in output.read_text().splitlines():
            key, _, value = line.partition("=")
            self.contexts[f"steps.{step['id']}.outputs.{key}"] = value


@pytest.fixture
async def ops(short_path: Path, free_port: Callable[[], int]) -> AsyncIterator[RealSshd]:
    """An ops box whose sshd lets in one key, which may only forward."""
    async with running_sshd(short_path / "sshd", free_port()) as sshd:
        keys = sshd.folder / "authorized_keys"
        keys.write_bytes(b"restrict,port-forwarding " + keys.read_bytes())
        yield sshd


@pytest.fixture
def runner(box: Box, ops: RealSshd) -> Callable[..., Runner]:
    """Make runners of this repository, with its secrets and variables."""
    commands = box.folder / "bin"
    commands.mkdir()
    gh = commands / "gh"
    gh.write_text(f'#!/bin/sh\necho "$@" >>{box.folder}/gh\n')
    gh.chmod(0o755)
    host_key = _public_half(ops.folder / "host_key")
    made: list[Runner] = []

    def make(config: Path | None = None, **inputs: str) -> Runner:
        folder = box.folder / f"run{len(made)}"
        folder.mkdir()
        given = {"stream": "duel", "reason": "", "force_deploy": "false", "export_secrets": "false"}
        secrets = {
            "KEEPER_HOST": ops.address.host,
            "KEEPER_PORT": str(ops.address.port),
            "KEEPER_USER": getuser(),
            "KEEPER_SSH_KEY": ops.private_key.decode(),
            "KEEPER_KNOWN_HOSTS": f"[{ops.address.host}]:{ops.address.port} {host_key}",
            "VAST_API_KEY": API_KEY,
            "SECRETS_TOKEN": "x",
        }
        variables = {
            "KEEPER_SOCKET": str(box.socket),
            "KEEPER_CONFIG": str(config or box.config),
            "VAST_URL": box.sim.url,
        }
        runner = Runner(
            folder=folder,
            environ={
                "PATH": f"{commands}:{Path(KEEPER).parent}:{os.environ['PATH']}",
                "HOME": str(folder),
                "LANG": "C.UTF-8",
            },
            contexts={
                **{f"inputs.{key}": value for key, value in (given | inputs).items()},
                **{f"secrets.{key}": value for key, value in secrets.items()},
                **{f"vars.{key}": value for key, value in variables.items()},
                "github.server_url": "https://forge.example",
                "github.repository": "me/streams",
                "github.run_id": "77",
            },
        )
        runner.contexts = {key.strip(): value for key, value in runner.contexts.items()}
        made.append(runner)
        return runner

    return make


def _public_half(path: Path) -> str:
    return asyncssh.read_private_key(str(path)).export_public_key().decode().strip()


async def orders(box: Box) -> list[str]:
    """Return the reasons of the deploys that were ordered."""
    done = await box.keeper("events", "--limit", "1000", "--json")
    facts = [json.loads(line) for line in done.out.splitlines()]
    return [
        str(each["facts"].get("reason", ""))
        for each in facts
        if each["event"].startswith("order.") and "deploy" in json.dumps(each["facts"])
    ]


async def test_a_stream_is_deployed_by_the_steps_of_the_workflow(
    box: Box, runner: Callable[..., Runner]
) -> None:
    await box.daemon(until_on_air=True)
    run = runner(reason="a new model", export_secrets="true")
    await run.run()
    assert run.failed == "", run.said[run.failed]
    assert run.contexts["steps.preflight.outputs.verdict"] == "good"
    assert run.ran == [
        step["name"]
        for step in STEPS
        if "run" in step and step["name"] not in {"Install keeper", "Stop, unless it is forced"}
    ]
    assert "deployed" in run.said["Validate"].splitlines()[-1]
    exported = (box.folder / "gh").read_text()
    assert re.search(r"^secret set VAST_SSH_HOST --body \S+$", exported, re.MULTILINE)
    assert "VAST_INSTANCE_ID" in exported
    assert "duel/0" in (run.folder / "summary").read_text()
    # Nothing of the way is left, and nothing was rented by it.
    assert not (run.folder / "way").exists()
    assert len(box.creates()) == len(box.live()) == 1
    assert not any(API_KEY in said for said in run.said.values())

    # No offer would suit: that stops it before anything is ordered, unless it is forced.
    strict = box.folder / "strict.yaml"
    strict.write_text(box.config.read_text() + "    offer: {gpu_ram_min_gb: 4000}\n")
    run = runner(strict)
    await run.run()
    assert run.failed == "Stop, unless it is forced"
    assert "::error::the preflight found: no_offer_with_display" in run.said[run.failed]
    assert "Deploy" not in run.ran
    assert run.ran[-2:] == ["Tell what there is now", "Close the way"]
    assert not (run.folder / "way").exists()
    assert len(await orders(box)) == 1

    found = run.contexts["steps.preflight.outputs.verdict"]
    run = runner(strict, force_deploy="true")
    run.contexts["steps.preflight.outputs.verdict"] = found  # it would find the same, in 20 s again
    await run.run(but=frozenset({"Preflight for GPU display support"}))
    assert run.failed == "", run.said[run.failed]
    assert "::warning::the preflight found: no_offer" in run.said["Stop, unless it is forced"]
    assert "deployed" in run.said["Validate"].splitlines()[-1]
    assert len(await orders(box)) == 2
    assert len(box.creates()) == 1


async def test_a_way_that_cannot_be_trusted_is_not_gone(
    box: Box, runner: Callable[..., Runner]
) -> None:
    run = runner()
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    place = run.contexts["secrets.KEEPER_KNOWN_HOSTS"].split()[0]
    run.contexts["secrets.KEEPER_KNOWN_HOSTS"] = f"{place} {other}"
    await run.run()
    assert run.failed == "Open the way to the ops box"
    assert "Deploy" not in run.ran
    run = runner(stream="duel; rm -rf /")
    await run.run()
    assert run.failed == "Open the way to the ops box"
    assert "the stream's name is not one" in run.said[run.failed]
