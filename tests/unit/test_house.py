"""The house checks itself: what CONTRIBUTING.md promises about the tree, and no tool looks at."""

import ast
import re
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keeper.core.events import EVENT_TYPES, Event, Level
from keeper.core.reasons import SENTENCE, Reason
from tests.components import COMPONENTS, REPOSITORY

PACKAGE = REPOSITORY / "keeper"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Loaded by name, so no import statement leads to them: the registries, and alembic's scripts.
DISCOVERED = ("keeper.workloads.", "keeper.alerts.channels.", "keeper.adapters.migrations.")
# Programs that are sent to hosts; they are no part of the package's imports.
PAYLOAD = PACKAGE / "workloads" / "payload"


def dotted(path: Path) -> str:
    """Name a module as an import would."""
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def tracked() -> list[Path]:
    """List the files of the repository, or, in an unpacked archive, nothing."""
    command = ["git", "-C", str(REPOSITORY), "ls-files", "-z"]
    answer = subprocess.run(command, capture_output=True, check=False, text=True)
    paths = (REPOSITORY / name for name in answer.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_module_is_named_by_a_noun_of_ours(path: Path) -> None:
    """A drawer called utils is where the glossary ends."""
    drawers = {"base", "common", "data", "helper", "helpers", "info", "manager", "misc", "utils"}
    assert path.stem not in drawers
    assert path.parent.name not in drawers


def imported(path: Path) -> Iterator[str]:
    """Name everything that a file imports, and every string that could be a module of ours."""
    here = dotted(path)
    package = here if path.name == "__init__.py" else here.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                ancestors = package.split(".")[: 1 - node.level or None]
                start = ".".join(ancestors) + "." if node.level else ""
                origin = (start + (node.module or "")).rstrip(".")
                yield origin
                yield from (f"{origin}.{alias.name}" for alias in node.names)
            case ast.Constant(value=str(text)) if re.fullmatch(r"keeper(\.\w+)+(:\w+)?", text):
                yield text.partition(":")[0]


def test_no_module_is_dead() -> None:
    """Every module is reached from the command or from make, or is found by a registry."""
    paths = {dotted(path): path for path in MODULES if PAYLOAD not in path.parents}
    if "keeper.__main__" not in paths:
        pytest.fail("there is no keeper.__main__ to start from")
    alive: set[str] = set()
    makefile = (REPOSITORY / "Makefile").read_text()
    waiting = [
        "keeper.__main__",
        *(name for name in paths if name.startswith(DISCOVERED)),
        *re.findall(r"python -m (keeper[\w.]*)", makefile),
    ]
    while waiting:
        name = waiting.pop()
        if name in alive or name not in paths:
            continue
        alive.add(name)
        # Importing a module imports the packages around it.
        waiting.append(name.rpartition(".")[0])
        waiting.extend(imported(paths[name]))
    assert sorted(set(paths) - alive) == []


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-dev.lock", "tests/e2e/vastai.lock"]
)
def test_lock_is_hashed_and_names_no_address(name: str) -> None:
    """A lock with addresses works only where it was made."""
    text = (REPOSITORY / name).read_text()
    assert "://" not in text
    pins = re.findall(r"^[\w.-]+==.*(?:\n    --hash=.*)*", text, re.MULTILINE)
    assert pins
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []


def test_no_resolver_lock_is_kept() -> None:
    names = {path.name for path in tracked()}
    assert not names & {"uv.lock", "pylock.toml", "poetry.lock"}


def test_dependency_says_why_and_from_which_version() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text()
    declared = list(project()["project"]["dependencies"])
    for extra in project()["project"]["optional-dependencies"].values():
        declared.extend(extra)
    lines = [line.strip() for line in text.splitlines()]
    for requirement in declared:
        at = lines.index(f'"{requirement}",')
        assert lines[at - 1].startswith("#"), f"{requirement} has no reason"
        assert ">=" in requirement, f"{requirement} has no lower bound"


def test_lock_has_every_dependency() -> None:
    """Whoever adds a dependency runs `make lock`."""
    locked = (REPOSITORY / "requirements-dev.lock").read_text()
    pins = set(re.findall(r"^([\w.-]+)==", locked, re.MULTILINE))
    declared = list(project()["project"]["dependencies"])
    for extra in project()["project"]["optional-dependencies"].values():
        declared.extend(extra)
    names = {re.split(r"[\[<>=;]", requirement)[0] for requirement in declared}
    names = {re.sub(r"[-_.]+", "-", name).lower() for name in names}
    assert names - pins == set()


def test_architecture_page_and_contract_draw_the_same_rings() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    contracts = project()["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["id"] == "rings")
    drawing = page.split("```")[1]
    missing = [
        name for layer in layers for name in layer.split(" | ") if name not in drawing.lower()
    ]
    assert missing == []


def test_glossary_defines_a_word_once() -> None:
    page = (REPOSITORY / "docs" / "glossary.md").read_text()
    words = re.findall(r"^\| \*\*([^*]+)\*\*", page, re.MULTILINE)
    assert sorted(words) == sorted(set(words))


def test_adr_has_its_sections_and_is_listed() -> None:
    folder = REPOSITORY / "docs" / "adr"
    index = (folder / "README.md").read_text()
    numbers = []
    for path in sorted(folder.glob("[0-9]*.md")):
        numbers.append(int(path.name[:4]))
        text = path.read_text()
        headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
        assert headings == ["Context", "Choice", "Consequences", "When to look again"], path.name
        assert f"({path.name})" in index, f"{path.name} is not listed"
    assert numbers == list(range(1, len(numbers) + 1))


def test_relative_links_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(REPOSITORY)}: {target}"
        for path in tracked()
        if path.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert broken == []


def test_make_target_explains_itself() -> None:
    text = (REPOSITORY / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: ([\w-]+)$", text, re.MULTILINE))
    helped = set(re.findall(r"^([\w-]+):.*## ", text, re.MULTILINE))
    assert phony == helped


def test_script_can_be_run() -> None:
    """A file that begins like a script but is not executable fails only on somebody else's machine."""
    lame = [
        path.relative_to(REPOSITORY)
        for path in tracked()
        if path.read_bytes()[:3] == b"#!/"
        and PAYLOAD not in path.parents
        and not path.stat().st_mode & stat.S_IXUSR
    ]
    assert lame == []


def test_system_script_knows_every_component() -> None:
    text = (REPOSITORY / "scripts" / "system.sh").read_text()
    brought = set(re.findall(r"^    want ([\w-]+) ", text, re.MULTILINE))
    assert set(COMPONENTS) - brought == set()


@pytest.mark.parametrize("fact", EVENT_TYPES, ids=lambda fact: fact.__name__)
def test_fact_has_a_name_of_two_words_and_a_level(fact: type[Event]) -> None:
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", fact.name)
    assert isinstance(fact.level, Level)


def test_no_two_facts_share_a_name() -> None:
    names = [fact.name for fact in EVENT_TYPES]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("fact", EVENT_TYPES, ids=lambda fact: fact.__name__)
def test_fact_is_stated_somewhere(fact: type[Event]) -> None:
    """A fact that nobody states is a promise to the reader of the logs that is never kept."""
    definitions = PACKAGE / "core" / "events"
    stated = re.compile(rf"\b{fact.__name__}\(")
    assert any(stated.search(path.read_text()) for path in MODULES if path.parent != definitions)


@pytest.mark.parametrize("reason", Reason)
def test_reason_has_a_sentence(reason: Reason) -> None:
    assert SENTENCE[reason].strip()


def test_alert_and_runbook_come_in_pairs() -> None:
    """Whoever is woken has a page of the alert's own name to read, and no page outlives its alert."""
    words = re.compile(r"\bKeeper[A-Z]\w+\b")
    sources = [PACKAGE / "alerts" / f"{name}.py" for name in ("rules", "trial")]
    named = {name for each in sources for name in words.findall(each.read_text())}
    rules = (REPOSITORY / "deploy" / "prometheus" / "alerts.yml").read_text()
    named |= set(re.findall(r"^\s*- alert: (\w+)", rules, re.MULTILINE))
    pages = {page.stem for page in (REPOSITORY / "docs" / "runbooks").glob("*.md")}
    assert named
    assert named == pages - {"README"}
