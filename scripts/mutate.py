#!/usr/bin/env python3
"""Changes keeper's most dangerous code in small ways and says which changes no test notices.

mutmut makes the mutants and tries each against the fast tests that reach it ([tool.mutmut] in
pyproject.toml). What lives meets the slow ones here: the generated and the small worlds. Both passes
go on where they were stopped; `rm -r mutants` begins anew. docs/mutation.md keeps the record.

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
SLOW_RECORD = MUTANTS / "slow.json"
# The pieces of the small worlds that are done in seconds, and every property of a plan.
SLOW_TESTS = (
    "tests/property/test_plan.py",
    "tests/property/test_small_worlds.py::test_a_small_world_comes_to_rest",
    "tests/property/test_small_worlds.py::test_no_promise_is_broken_in_any_small_world",
)
SLOW_MODULES = ("keeper.core.",)  # the others never meet a world
# mutmut's own exit codes: a mutant that lives, one that no test reaches, one that mypy refuses.
LIVES, UNREACHED, REFUSED = 0, 33, 37
_SLOW_S = 600


def main(words: list[str]) -> int:
    """Run both passes over the modules named, and print the score."""
    shows = "--show" in words
    modules = [word for word in words if not word.startswith("-")]
    globs = [f"keeper.{module.removeprefix('keeper.')}.*" for module in modules]
    if not shows:
        _mutmut("run", *_children(words), *globs)
        _try_slow_tests(modules)
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


def _slow_verdicts() -> dict[str, bool]:
    return json.loads(SLOW_RECORD.read_text()) if SLOW_RECORD.exists() else {}


def _living(modules: list[str]) -> list[str]:
    slow = _slow_verdicts()
    return [
        name
        for verdicts in _results(modules).values()
        for name, code in verdicts.items()
        if code in (LIVES, UNREACHED) and not slow.get(name, False)
    ]


def _try_slow_tests(modules: list[str]) -> None:
    verdicts = _slow_verdicts()
    for name in _living(modules):
        if name in verdicts or not name.startswith(SLOW_MODULES):
            continue
        try:
            code = subprocess.run(
                [sys.executable, "-m", "pytest", "-xq", "-p", "no:cacheprovider", *SLOW_TESTS],
                cwd=MUTANTS,
                env={**os.environ, "MUTANT_UNDER_TEST": name, "PYTHONPATH": "."},
                stdout=subprocess.DEVNULL,
                timeout=_SLOW_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = 1
        verdicts[name] = code != 0
        SLOW_RECORD.write_text(json.dumps(verdicts, indent=1))
        print(f"{'killed' if code else 'lives '}  {name}", flush=True)


def _report(modules: list[str]) -> None:
    slow = _slow_verdicts()
    total: Counter[str] = Counter()
    print("| module | mutants | refused by mypy | killed | by slow tests | live | score |")
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
            elif slow.get(name, False):
                count["slow"] += 1
            else:
                count["live"] += 1
        total += count
        print(_row(module.removeprefix("keeper."), count))
    print(_row("all", total))
    if total["untried"]:
        print(f"{total['untried']} mutants are not tried yet")


def _row(name: str, count: Counter[str]) -> str:
    killed = count["killed"] + count["slow"]
    tried = killed + count["live"]
    score = f"{100 * killed / tried:.1f} %" if tried else "-"
    cells = (count["mutants"], count["refused"], count["killed"], count["slow"], count["live"])
    return f"| {name} | {' | '.join(map(str, cells))} | {score} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
