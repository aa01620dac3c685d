#!/usr/bin/env python3
"""Changes keeper's most dangerous code in small ways and says which changes no test notices.

mutmut makes the mutants and tries each against the fast tests that reach it ([tool.mutmut] in
pyproject.toml), in a fork of one process. What lives is tried again here in a process of its own, where
tables that are built at import and readers that are made once are mutants too; and by the generated and
the small worlds. Both passes go on where they were stopped; `rm -r mutants` begins anew.
docs/mutation.md keeps the record.

    scripts/mutate.py                     all modules
    scripts/mutate.py core.rent core.caps some of them
    scripts/mutate.py --show core.rent    what survives, as a diff
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = ROOT / "mutants"
ALONE_RECORD = MUTANTS / "alone.json"
# The second pass, by the beginning of a mutant's name: what is quick comes first.
SECOND = {
    "keeper.core.": (
        "tests/unit/core", "tests/property/test_plan.py",
        "tests/property/test_small_worlds.py",
    ),
    "keeper.": (
        "tests/unit/adapters/test_writer.py", "tests/unit/daemon/test_memory.py",
        "tests/property/test_codec.py", "tests/integration/adapters/test_sql.py",
        "tests/integration/adapters/test_store_contract.py",
    ),
}  # fmt: skip
# mutmut's own exit codes: a mutant that lives, one that no test reaches, one that mypy refuses.
LIVES, UNREACHED, REFUSED = 0, 33, 37
_ALONE_S = 600


def main(words: list[str]) -> int:
    """Run both passes over the modules named, and print the score."""
    shows = "--show" in words
    modules = [word for word in words if not word.startswith("-")]
    globs = [f"keeper.{module.removeprefix('keeper.')}.*" for module in modules]
    if not shows:
        _mutmut("run", *_children(words), *globs)
        _try_alone(modules)
    _report(modules)
    if shows:
        for name in _living(modules):
            _mutmut("show", name)
    return 0


def _children(words: list[str]) -> list[str]:
    given = next((word for word in words if word.startswith("--max-children=")), None)
    return ["--max-children", given.partition("=")[2]] if given else []


def _mutmut(*words: str) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-m", "mutmut", *words], cwd=ROOT, env=environment, check=False)


def _results(modules: list[str]) -> dict[str, dict[str, int | None]]:
    """Return each mutated module's mutants with mutmut's verdicts."""
    found = {}
    for path in sorted(MUTANTS.glob("keeper/**/*.py.meta")):
        module = str(path.relative_to(MUTANTS)).removesuffix(".py.meta").replace("/", ".")
        if not modules or module.removeprefix("keeper.") in modules:
            found[module] = json.loads(path.read_text())["exit_code_by_key"]
    return {module: verdicts for module, verdicts in found.items() if verdicts}


def _alone_verdicts() -> dict[str, bool]:
    return json.loads(ALONE_RECORD.read_text()) if ALONE_RECORD.exists() else {}


def _living(modules: list[str]) -> list[str]:
    alone = _alone_verdicts()
    return [
        name
        for verdicts in _results(modules).values()
        for name, code in verdicts.items()
        if code in (LIVES, UNREACHED) and not alone.get(name, False)
    ]


def _try_alone(modules: list[str]) -> None:
    verdicts = _alone_verdicts()
    for name in _living(modules):
        if name in verdicts:
            continue
        tests = next(tests for prefix, tests in SECOND.items() if name.startswith(prefix))
        try:
            code = subprocess.run(
                [sys.executable, "-m", "pytest", "-xq", "-p", "no:cacheprovider", *tests],
                cwd=MUTANTS,
                env={**os.environ, "MUTANT_UNDER_TEST": name, "PYTHONPATH": "."},
                stdout=subprocess.DEVNULL,
                timeout=_ALONE_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = 1
        verdicts[name] = code != 0
        ALONE_RECORD.write_text(json.dumps(verdicts, indent=1))
        print(f"{'killed' if code else 'lives '}  {name}", flush=True)


def _report(modules: list[str]) -> None:
    alone = _alone_verdicts()
    total: Counter[str] = Counter()
    print("| module | mutants | refused by mypy | killed | alone | live | score |")
    print("|---|---|---|---|---|---|---|")
    for module, verdicts in _results(modules).items():
        count: Counter[str] = Counter(mutants=len(verdicts))
        for name, code in verdicts.items():
            if code is None:
                count["untried"] += 1
            elif code == REFUSED:
                count["refused"] += 1
            elif code not in (LIVES, UNREACHED):
                count["killed"] += 1
            elif alone.get(name, False):
                count["alone"] += 1
            else:
                count["live"] += 1
        total += count
        print(_row(module.removeprefix("keeper."), count))
    print(_row("all", total))
    if total["untried"]:
        print(f"{total['untried']} mutants are not tried yet")


def _row(name: str, count: Counter[str]) -> str:
    killed = count["killed"] + count["alone"]
    tried = killed + count["live"]
    score = f"{100 * killed / tried:.1f} %" if tried else "-"
    cells = (count["mutants"], count["refused"], count["killed"], count["alone"], count["live"])
    return f"| {name} | {' | '.join(map(str, cells))} | {score} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
