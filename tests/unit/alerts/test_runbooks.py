"""Whoever is woken finds a page, and on it commands that exist."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from keeper.alerts.advice import HUMAN
from keeper.alerts.rules import RULES
from keeper.cli.app import FAMILIES, root
from tests.components import REPOSITORY

RUNBOOKS = REPOSITORY / "docs" / "runbooks"
PAGES = sorted(each for each in RUNBOOKS.glob("*.md") if each.stem != "README")
VERBS = {entry.name for _, entries in FAMILIES for entry in entries}
DEPLOYED = REPOSITORY / "deploy" / "prometheus"
BASE = "{{ with $externalLabels.runbooks }}{{ . }}{{ else }}docs/runbooks{{ end }}/"


def read(name: str) -> Any:
    return YAML(typ="safe").load((DEPLOYED / name).read_text())


ALERTS = {rule["alert"]: rule for group in read("alerts.yml")["groups"] for rule in group["rules"]}


def lines_of_commands(text: str) -> list[str]:
    """What is written as code and begins with keeper's own command."""
    code = re.findall(r"`([^`\n]+)`|^(keeper .*)$", text, re.MULTILINE)
    return [line for pair in code if (line := "".join(pair)).startswith("keeper ")]


def commands(text: str) -> set[str]:
    """The verbs of these."""
    return {
        match.group(1)
        for line in lines_of_commands(text)
        if (match := re.match(r"keeper ([a-z-]+)", line)) is not None
    }


def unknown_options(line: str) -> set[str]:
    """Options of a command line that the command does not have."""
    words = line.partition(" #")[0].split()[1:]
    command: click.Command = root
    context = click.Context(root)
    while words and isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, line
        command, words = found, words[1:]
    known = {option for each in command.get_params(context) for option in each.opts}
    return {word.partition("=")[0] for word in words if word.startswith("-")} - known


def test_every_prometheus_rule_names_its_page() -> None:
    assert [rule["annotations"]["runbook_url"] for rule in ALERTS.values()] == [
        f"{BASE}{name}.md" for name in ALERTS
    ]


def test_every_prometheus_rule_says_how_bad_it_is_and_waits() -> None:
    for name, rule in ALERTS.items():
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["labels"]["severity"] in {"critical", "warning", "none"}
        # What is for no person need not wait; everything else does not fire upon one bad look.
        assert ("for" in rule) == (rule["labels"]["severity"] != "none"), name
        # A second way for what keeper tells by itself, and nothing else.
        is_second = name in RULES or name == "KeeperAlertUntold"
        assert (rule["labels"].get("told_by_keeper") == "yes") == is_second, name


def test_every_prometheus_rule_is_seen_to_fire_and_to_be_quiet() -> None:
    fired, quiet = Counter[str](), Counter[str]()
    for name in ("alerts_test.yml", "alerts_days_test.yml"):
        for test in read(name)["tests"]:
            for look in test["alert_rule_test"]:
                (fired if look.get("exp_alerts") else quiet)[look["alertname"]] += 1
    assert set(fired) == set(ALERTS)
    assert set(quiet) == set(ALERTS) - {"Watchdog"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_begins_with_what_to_run(page: Path) -> None:
    text = page.read_text()
    lines = text.splitlines()
    assert lines[0] == f"# {page.stem}"
    assert lines[4] == "```sh"
    headings = [line for line in lines if line.startswith("## ")]
    assert headings == ["## What it means", "## What keeper does", "## What you do"]
    index = (page.parent / "README.md").read_text()
    assert f"| [{page.stem}]({page.name}) | " in index


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_names_only_commands_that_exist(page: Path) -> None:
    text = page.read_text()
    assert commands(text) <= VERBS
    for line in lines_of_commands(text):
        assert not unknown_options(line), line


def test_advice_names_only_commands_that_exist() -> None:
    modules = sorted((REPOSITORY / "keeper" / "alerts").glob("about_*.py"))
    assert len(modules) == 11
    source = "".join(module.read_text() for module in modules)
    found = {match for text in (*HUMAN.values(), source) for match in commands(text)}
    assert found
    assert found <= VERBS
