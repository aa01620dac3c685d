"""What .github promises: every name means something, every command is keeper's, nothing floats."""

from pathlib import Path

import pytest

from scripts import lint_workflows as lint
from tests.components import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


def test_there_are_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["check.yml", "deploy-stream.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_names_nothing_in_vain(path: Path) -> None:
    assert list(lint.findings(path)) == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_rights_that_it_does_not_name(path: Path) -> None:
    workflow = lint.read(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert "concurrency" in workflow
    for name, job in workflow["jobs"].items():
        assert "uses" in job or job["timeout-minutes"] <= 90, name
        for step in job.get("steps", ()):
            if str(step.get("uses", "")).startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_secrets_reach_a_script_by_its_own_step_alone(path: Path) -> None:
    """A secret in a job's env would be in every action of that job."""
    workflow = lint.read(path)
    levels = [workflow, *workflow["jobs"].values()]
    assert not [each for each in levels if "secrets." in str(each.get("env", ""))]


def test_what_deploys_never_runs_twice_at_once_and_is_never_cut_off() -> None:
    workflow = lint.read(REPOSITORY / ".github" / "workflows" / "deploy-stream.yml")
    assert workflow["concurrency"] == {"group": "deploy-stream", "cancel-in-progress": False}
    assert set(workflow["on"]) == {"workflow_dispatch"}
    assert workflow["on"]["workflow_dispatch"]["inputs"]["force_deploy"]["default"] is False


def test_what_ci_runs_is_what_the_workflow_runs() -> None:
    workflow = lint.read(REPOSITORY / ".github" / "workflows" / "check.yml")
    ((job,),) = (workflow["jobs"].values(),)
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert job["steps"][-1]["run"].splitlines()[-1] == ".ci/run"


BAD = {
    "inputs.strem": "there is no input strem",
    "needs.build.outputs.x": "does not need build",
    "needs.first.outputs.y": "first has no output y",
    "steps.later.outputs.x": "of no step before it",
    "steps.look.outputs.nothing": "the step look writes no output nothing",
    "secret.KEY": "of no context",
    "secrets.key": "no name of a secret",
}


@pytest.mark.parametrize(("expression", "found"), BAD.items())
def test_a_name_that_means_nothing_is_found(tmp_path: Path, expression: str, found: str) -> None:
    path = tmp_path / "w.yml"
    path.write_text(f"""
on: {{workflow_dispatch: {{inputs: {{stream: {{type: string}}}}}}}}
jobs:
  first:
    runs-on: x
    outputs: {{x: y}}
    steps: []
  build:
    runs-on: x
    needs: first
    steps:
      - id: look
        run: echo "verdict=good" >>"$GITHUB_OUTPUT"
      - run: echo "$X"
        env: {{X: "${{{{ {expression} }}}}"}}
      - id: later
        run: echo "x=y" >>"$GITHUB_OUTPUT"
""")
    assert any(found in each for each in lint.findings(path)), list(lint.findings(path))
    path.write_text(path.read_text().replace(expression, "steps.look.outputs.verdict"))
    assert list(lint.findings(path)) == []


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("keeper deploy duel --reason x --now", []),
        ("keeper deplyo duel", ["keeper has no verb 'deplyo'"]),
        ("keeper status --verbose | jq .", ["keeper status has no option --verbose"]),
        (
            "if keeper search duel --explian; then true; fi",
            ["keeper search has no option --explian"],
        ),
        ("x=1\nkeeper status \\\n  --josn >out", ["keeper status has no option --josn"]),
    ],
)
def test_a_command_that_keeper_does_not_have_is_found(script: str, found: list[str]) -> None:
    assert list(lint.commands_amiss(script)) == found


def test_actions_float_on_nothing_and_scripts_take_no_expressions(tmp_path: Path) -> None:
    path = tmp_path / "w.yml"
    path.write_text("""
on: push
jobs:
  one:
    runs-on: x
    steps:
      - uses: actions/checkout@v7
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
      - run: echo ${{ github.head_ref }}
""")
    found = list(lint.findings(path))
    assert [each.split(":")[1] for each in found] == ["7", "8", " one"]
