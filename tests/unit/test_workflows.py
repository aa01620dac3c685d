"""What .github promises: every name means something, every command is keeper's, nothing floats."""

from pathlib import Path

import pytest

from scripts import lint_workflows as lint
from scripts.workflow_words import expression_amiss, unset_variables
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
    runs-on: ubuntu-24.04
    outputs: {{x: y}}
    steps: []
  build:
    runs-on: ubuntu-24.04
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


# Edits of our own workflows, each a mistake that GitHub would not tell before the workflow runs, or never.
EDITS = [
    ("deploy-stream", "if: always()", "if: alwayss()", "calls alwayss(), which is no function"),
    ("deploy-stream", "if: always()", "if: always(1)", "always() with 1 arguments"),
    ("deploy-stream", "if: always()", "if: always(", "is not complete"),
    ("deploy-stream", "if: always()", "if: always", "uses always, which is of no context"),
    ("deploy-stream", "if: always()", "if: inputs.stream &&", "is not complete"),
    ("deploy-stream", "if: always()", "if: (inputs.stream", "lacks a ')'"),
    ("deploy-stream", "if: always()", "if: inputs.stream)", "goes on with ')'"),
    ("deploy-stream", "if: always()", "if: inputs.stream == 'x", "is broken at"),
    ("deploy-stream", "if: always()", 'if: inputs.stream == "x"', "is broken at"),
    ("deploy-stream", "if: always()", "if: ${{ inputs.stream }} && true", "always true"),
    ("deploy-stream", "if: always()", "if: secrets.VAST_API_KEY", "uses secrets, which is not"),
    ("deploy-stream", "if: inputs.export_secrets", "if: input.export_secrets", "of no context"),
    ("deploy-stream", "name: Deploy ${{ inputs.stream }}", "name: ${{ inputs.stream }", "no end"),
    ("deploy-stream", "name: Deploy ${{ inputs.stream }}", "name: ${{ always() }}", "a condition"),
    ("deploy-stream", "STREAM: ${{ inputs.stream }}", "STREAM: ${{ env.X }}", "uses env, which"),
    ("deploy-stream", "preflight.outputs.verdict !=", "preflight.output.verdict !=", "no output"),
    ("deploy-stream", "preflight.outputs.verdict }}", "preflight.outputs.verdit }}", "verdit"),
    ("deploy-stream", "github.run_id", "github.run_ids", "GitHub tells no github.run_ids"),
    ("deploy-stream", 'deploy "$STREAM"', 'deploy "$STREEM"', "nobody sets $STREEM"),
    ("deploy-stream", '--arg stream "$STREAM"', '--arg stream "$STREEM"', "nobody sets $STREEM"),
    ("deploy-stream", "${REASON:-", "${REASN:-", "nobody sets $REASN"),
    ("deploy-stream", '>>"$GITHUB_OUTPUT"', '>>"$GITHUB_OUPUT"', "nobody sets $GITHUB_OUPUT"),
    ("deploy-stream", "persist-credentials", "persist-credential", "no input persist-credential"),
    ("check", "runs-on: ubuntu-24.04", "runs-on: ubuntu-99", "there is no runner ubuntu-99"),
    ("check", "Python ${{ matrix.python }}", "Python ${{ matrix.pyton }}", "matrix has no pyton"),
    ("release", "if-no-files-found", "if-no-file-found", "no input if-no-file-found"),
    ("release", "steps.push.outputs.digest", "steps.push.outputs.digset", "no output digset"),
    ("release", "steps.base.outputs.image", "steps.base.outputs.images", "no output images"),
    ("release", "needs: [build, image]", "needs: [image]", "puts the artifact dist there"),
    ("release", "TAG: ${{ github.ref_name }}", "TGA: ${{ github.ref_name }}", "nobody sets $TAG"),
    ("release", "docker/login-action@", "docker/logout-action@", "not written down"),
]


@pytest.mark.parametrize(("name", "old", "new", "found"), EDITS, ids=[each[2] for each in EDITS])
def test_a_mistake_in_our_own_workflows_is_found(
    tmp_path: Path, name: str, old: str, new: str, found: str
) -> None:
    text = (REPOSITORY / ".github" / "workflows" / f"{name}.yml").read_text()
    assert old in text
    path = tmp_path / f"{name}.yml"
    path.write_text(text.replace(old, new))
    said = list(lint.findings(path))
    assert any(found in each for each in said), said


@pytest.mark.parametrize(
    "expression",
    [
        "always() && (github.event_name == 'push' || !inputs.stream)",
        "contains(fromJSON('[\"a\", \"it''s\"]'), github.ref_name)",
        "github.event.commits[0].author.name != '' && github['sha']",
        "startsWith(github.ref, format('refs/{0}', 'tags')) && 1.5e3 >= -2 && needs.*.result",
        "!cancelled() && steps.look.outcome == 'success' && true",
    ],
)
def test_an_expression_that_is_one_is_left_alone(expression: str) -> None:
    contexts = frozenset({"github", "inputs", "needs", "steps"})
    assert expression_amiss(expression, contexts, is_condition=True) is None


def test_a_script_s_own_variables_and_what_only_looks_like_one_are_left_alone() -> None:
    script = """
    # it isn't $HERE
    NOW="$(date +%s)"; export LATER=2
    for EACH in a b; do echo "$EACH $NOW ${LATER#x} $HOME"; done
    read -r LINE <<<"x" && echo "$LINE" '$NOT "' "$(jq '.$NOR' "$GIVEN")" \\$NEITHER
    """
    assert list(unset_variables(script, frozenset({"GIVEN"}))) == []
    assert list(unset_variables(script, frozenset())) == ["GIVEN"]


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
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v7
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
      - run: echo ${{ github.head_ref }}
""")
    found = list(lint.findings(path))
    assert [each.split(":")[1] for each in found] == ["7", "8", " one"]
