#!/usr/bin/env python3
"""Changes keeper's most dangerous code in small ways and says which changes no test notices.

mutmut makes the mutants and tries each against the fast tests that reach it ([tool.mutmut] in
pyproject.toml), in a fork of one process. What lives is tried again here in a process of its own, where
tables that are built at import and readers that are made once are mutants too; then, if asked for, by the
generated and the small worlds, which take minutes for each. All passes go on where they were stopped;
`rm -r mutants` begins anew. docs/mutation.md tells of the record, docs/mutation.json is it.

    scripts/mutate.py                     all modules
    scripts/mutate.py core.rent core.caps some of them
    scripts/mutate.py --worlds core.rent  what lives, by generated and small worlds too
    scripts/mutate.py --show core.rent    what lives, as a diff
    scripts/mutate.py --record            write the scores down, with every mutant that lives, and for each
                                          module the commit at which it was tried
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = ROOT / "mutants"
ALONE_RECORD = MUTANTS / "alone.json"
TRIED_AT = MUTANTS / "tried_at.json"  # by module, the commit whose code and tests were tried
RECORD = ROOT / "docs" / "mutation.json"
_STORE = (
    "tests/integration/adapters/test_store_words.py",
    "tests/integration/adapters/test_store_contract.py",
    "tests/integration/adapters/test_store_damage.py", "tests/integration/adapters/test_sql.py",
)  # fmt: skip
# The second pass, by the beginning of a mutant's name.
SECOND = {
    "keeper.core.": ("tests/unit/core",),
    "keeper.adapters.codec.": ("tests/property/test_codec.py",),
    "keeper.adapters.writer.": ("tests/unit/adapters/test_writer.py",),
    "keeper.adapters.": _STORE,
    "keeper.daemon.": ("tests/unit/daemon/test_memory.py", "tests/unit/daemon/test_purse.py"),
}
# The third: minutes of processor time for a mutant that lives.
WORLDS = ("tests/property/test_plan.py", "tests/property/test_small_worlds.py")
# mutmut's own exit codes: a mutant that lives, one that no test reaches, one that mypy refuses.
LIVES, UNREACHED, REFUSED = 0, 33, 37
_ALONE_S = 600
# A test that waits for a thread that a mutant has ended waits so long; the longest takes a second.
_TEST_S = 20
_CHILDREN = 2
_ALL = "all"  # in TRIED_AT: whatever was not named


def main(words: list[str]) -> int:
    """Run the passes over the modules named, and print the score."""
    flags = {word for word in words if word.startswith("--")}
    modules = [word for word in words if not word.startswith("-")]
    globs = [f"keeper.{module.removeprefix('keeper.')}.*" for module in modules]
    if not flags & {"--show", "--record"}:
        children = _children(words)
        _note_begun(modules)
        _mutmut("run", "--max-children", str(children), *globs)
        _try_alone(modules, "alone", lambda name: SECOND[_prefix(name)], children)
        if "--worlds" in flags:
            _try_alone(modules, "worlds", lambda _: WORLDS, children)
    _report(modules)
    if "--record" in flags:
        _write_down(modules)
    if "--show" in flags:
        for name in _living(modules):
            _mutmut("show", name)
    return 0


def _children(words: list[str]) -> int:
    given = next((word for word in words if word.startswith("--max-children=")), None)
    return int(given.partition("=")[2]) if given else _CHILDREN


def _prefix(name: str) -> str:
    return next(prefix for prefix in SECOND if name.startswith(prefix))


def _mutmut(*words: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTEST_TIMEOUT": str(_TEST_S)}
    subprocess.run([sys.executable, "-m", "mutmut", *words], cwd=ROOT, env=environment, check=False)


def _results(modules: list[str]) -> dict[str, dict[str, int | None]]:
    """Return each mutated module's mutants with mutmut's verdicts."""
    found = {}
    for path in sorted(MUTANTS.glob("keeper/**/*.py.meta")):
        module = str(path.relative_to(MUTANTS)).removesuffix(".py.meta").replace("/", ".")
        if not modules or module.removeprefix("keeper.") in modules:
            found[module] = json.loads(path.read_text())["exit_code_by_key"]
    return {module: verdicts for module, verdicts in found.items() if verdicts}


def _alone_verdicts() -> dict[str, dict[str, bool]]:
    """Return by pass and mutant whether a process of its own noticed."""
    known = json.loads(ALONE_RECORD.read_text()) if ALONE_RECORD.exists() else {}
    return {"alone": {}, "worlds": {}, **known}


def _is_noticed(verdicts: dict[str, dict[str, bool]], name: str) -> bool:
    return any(each.get(name, False) for each in verdicts.values())


def _living(modules: list[str]) -> list[str]:
    verdicts = _alone_verdicts()
    return [
        name
        for codes in _results(modules).values()
        for name, code in codes.items()
        if code in (LIVES, UNREACHED) and not _is_noticed(verdicts, name)
    ]


def _try_alone(
    modules: list[str], which: str, tests_of: Callable[[str], Iterable[str]], children: int
) -> None:
    """Try what lives in processes of its own; what was tried before is not tried again."""
    verdicts = _alone_verdicts()
    names = [name for name in _living(modules) if name not in verdicts[which]]
    with ThreadPoolExecutor(children) as pool:
        tried = pool.map(lambda name: _is_killed(name, tests_of(name)), names)
        for name, is_killed in zip(names, tried, strict=True):
            verdicts[which][name] = is_killed
            ALONE_RECORD.write_text(json.dumps(verdicts, indent=1))
            print(f"{'killed' if is_killed else 'lives '}  {name}", flush=True)


def _is_killed(name: str, tests: Iterable[str]) -> bool:
    try:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-xq", "-p", "no:cacheprovider", *tests],
            cwd=MUTANTS,
            env={**os.environ, "MUTANT_UNDER_TEST": name, "PYTHONPATH": "."},
            stdout=subprocess.DEVNULL,
            timeout=_ALONE_S,
            check=False,
        ).returncode != 0  # fmt: skip
    except subprocess.TimeoutExpired:
        return True


def _counted(modules: list[str]) -> dict[str, Counter[str]]:
    verdicts = _alone_verdicts()
    found = {}
    for module, codes in _results(modules).items():
        count = found[module.removeprefix("keeper.")] = Counter(mutants=len(codes))
        for name, code in codes.items():
            if code is None:
                count["untried"] += 1
            elif code == REFUSED:
                count["refused"] += 1
            elif code not in (LIVES, UNREACHED):
                count["killed"] += 1
            elif _is_noticed(verdicts, name):
                count["alone"] += 1
            else:
                count["live"] += 1
    return found


def _report(modules: list[str]) -> None:
    counted = _counted(modules)
    total = sum(counted.values(), Counter[str]())
    print("| module | mutants | refused by mypy | killed | alone | live | score |")
    print("|---|---|---|---|---|---|---|")
    for module, count in {**counted, "all": total}.items():
        words = [count[each] for each in ("mutants", "refused", "killed", "alone", "live")]
        score = _score(count)
        shown = "-" if score is None else f"{score} %"
        print(f"| {module} | {' | '.join(map(str, words))} | {shown} |")
    if total["untried"]:
        print(f"{total['untried']} mutants are not tried yet")


def _score(count: Counter[str]) -> float | None:
    killed = count["killed"] + count["alone"]
    tried = killed + count["live"]
    return round(100 * killed / tried, 1) if tried else None


def _commit() -> str:
    """Name what is tried, and whether it is more than what is committed."""
    words = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return (
        os.environ.get("KEEPER_COMMIT")
        or subprocess.check_output(words, cwd=ROOT, text=True).strip()
    )


def _tried_at() -> dict[str, str]:
    return json.loads(TRIED_AT.read_text()) if TRIED_AT.exists() else {}


def _note_begun(modules: list[str]) -> None:
    """Note which commit is tried, and forget what was found of the modules named at another one."""
    commit, tried_at = _commit(), _tried_at()
    earlier = set(tried_at.values()) - {commit}
    if earlier and not modules:
        sys.exit(
            f"mutants/ was begun at {', '.join(sorted(earlier))}: name modules, or rm -r mutants"
        )
    named = [module.removeprefix("keeper.") for module in modules] or [_ALL]
    _forget([module for module in named if tried_at.get(module, tried_at.get(_ALL)) in earlier])
    MUTANTS.mkdir(exist_ok=True)
    TRIED_AT.write_text(json.dumps({**tried_at, **dict.fromkeys(named, commit)}, indent=1))


def _source(module: str) -> Path:
    return ROOT / "keeper" / f"{module.replace('.', '/')}.py"


def _forget(modules: list[str]) -> None:
    for module in modules:
        path = MUTANTS / f"{_source(module).relative_to(ROOT)}.meta"
        if path.exists():
            found = json.loads(path.read_text())
            found["exit_code_by_key"] = dict.fromkeys(found["exit_code_by_key"])
            path.write_text(json.dumps(found, indent=4))
    if ALONE_RECORD.exists():
        of_them = tuple(f"keeper.{module}." for module in modules)
        kept = {
            which: {name: each for name, each in found.items() if not name.startswith(of_them)}
            for which, found in _alone_verdicts().items()
        }
        ALONE_RECORD.write_text(json.dumps(kept, indent=1))


def _write_down(modules: list[str]) -> None:
    """Keep the score of each module, and what lives in it, beside the commit that was tried.

    One that was not named, or has a mutant that was not tried, keeps the record it had.
    """
    tried_at = _tried_at()
    before = json.loads(RECORD.read_text())["modules"] if RECORD.exists() else {}
    record = {module: each for module, each in before.items() if _source(module).exists()}
    living = _living(modules)
    for module, count in _counted(modules).items():
        if count["untried"]:
            continue
        record[module] = {
            "commit": tried_at.get(module) or tried_at[_ALL],
            **{each: count[each] for each in ("mutants", "refused", "killed", "alone", "live")},
            "score": _score(count),
            "living": [name for name in living if name.startswith(f"keeper.{module}.")],
        }
    RECORD.write_text(json.dumps({"modules": dict(sorted(record.items()))}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
