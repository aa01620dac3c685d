"""Whoever is woken finds a page, and on it commands that exist."""

import re
from pathlib import Path

import pytest

from keeper.alerts.advice import HUMAN
from keeper.cli.app import FAMILIES
from tests.components import REPOSITORY

PAGES = sorted((REPOSITORY / "docs" / "runbooks").glob("Keeper*.md"))
VERBS = {entry.name for _, entries in FAMILIES for entry in entries}
RULES_FILE = (REPOSITORY / "deploy" / "prometheus" / "alerts.yml").read_text()


def commands(text: str) -> set[str]:
    """The verbs in whatever is written as code."""
    code = re.findall(r"`([^`\n]+)`|^(keeper .*)$", text, re.MULTILINE)
    return {
        match.group(1)
        for pair in code
        if (match := re.match(r"keeper ([a-z-]+)", "".join(pair))) is not None
    }


def test_every_prometheus_rule_names_its_page() -> None:
    named = re.findall(
        r"- alert: (\w+).*?runbook_url: docs/runbooks/(\w+)\.md", RULES_FILE, re.DOTALL
    )
    assert [alert for alert, _ in named] == [page for _, page in named]
    assert len(named) == RULES_FILE.count("- alert:")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_begins_with_what_to_run(page: Path) -> None:
    text = page.read_text()
    lines = text.splitlines()
    assert lines[0] == f"# {page.stem}"
    assert lines[4] == "```sh"
    headings = [line for line in lines if line.startswith("## ")]
    assert headings == ["## What it means", "## What keeper does", "## What you do"]
    assert f"[{page.stem}]({page.name})" in (page.parent / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_names_only_commands_that_exist(page: Path) -> None:
    assert commands(page.read_text()) <= VERBS


def test_advice_names_only_commands_that_exist() -> None:
    modules = sorted((REPOSITORY / "keeper" / "alerts").glob("about_*.py"))
    assert len(modules) == 9
    source = "".join(module.read_text() for module in modules)
    found = {match for text in (*HUMAN.values(), source) for match in commands(text)}
    assert found
    assert found <= VERBS
