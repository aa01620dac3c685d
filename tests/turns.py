"""In which order the workers take the tests, so that all cores are used until the last minute.

A test of real parts mostly waits (for a boot, a back-off, the marketplace's spacing), one of a simulated
week or of generated worlds only computes. Taken folder by folder, cores idle at first and are overbooked
in the end. So both sorts begin together, each with its longest first, and advance at the same rate; what
takes milliseconds fills the gaps at the end.

Whoever adds a file of long tests need do nothing as long as the numbers by folder fit (``_BY_FOLDER``). If
a test of it, or all those of one ``xdist_group``, takes twice that and more than ten seconds, the file gets a
line in ``_BY_FILE``: a long one that begins last is waited for by everybody. A wrong number costs time, and
nothing else.
"""

from collections.abc import Iterable, Sequence

import pytest

# Seconds that one test takes, as a rule. Measured on four cores on 2026-11-22, by `--durations=0`.
_BY_FOLDER = {"e2e": 15.0, "integration": 0.4, "property": 0.3, "sim": 0.3}
_BY_FILE = {
    "e2e/test_bad_input.py": 4.0,
    "e2e/test_dead_man.py": 60.0,
    "e2e/test_demo.py": 140.0,
    "e2e/test_handover.py": 32.0,
    "e2e/test_official_client_ledger.py": 37.0,
    "e2e/test_official_client_life.py": 7.0,
    "e2e/test_official_client_more.py": 4.0,
    "e2e/test_official_client_search.py": 5.0,
    "e2e/test_secrets.py": 32.0,
    "e2e/test_secrets_verbs.py": 2.0,
    "e2e/test_sim_serve.py": 1.0,
    "e2e/test_slate.py": 60.0,
    "e2e/test_tools.py": 1.0,
    "e2e/test_workload_duel.py": 110.0,
    "e2e/test_workload_pixel.py": 175.0,
    "e2e/test_workload_sd_turbo.py": 50.0,
    "integration/adapters/test_hls.py": 0.0,
    "integration/deploy/test_closed_in.py": 10.0,
    "integration/deploy/test_install.py": 10.0,
    "integration/test_slate_on_ingest.py": 15.0,
    "integration/viewer/test_labelled_set.py": 28.0,
    "integration/workloads/test_hyperscape_duel.py": 6.0,
    "integration/workloads/test_pixel_catalogue.py": 7.5,
    "integration/workloads/test_pixel_deploy.py": 3.7,
    "integration/workloads/test_pm2.py": 7.0,
    "integration/workloads/test_sd_turbo.py": 13.0,
    "integration/workloads/test_sd_turbo_catalogue.py": 6.5,
    "integration/workloads/test_sd_turbo_model.py": 28.0,
    "integration/workloads/test_supervisor.py": 4.0,
    "property/test_plan.py": 2.5,
    "property/test_small_worlds.py": 4.0,
    "sim/test_bad_week.py": 2.0,
    "sim/test_foresight.py": 4.0,
    "sim/test_interrupted.py": 23.0,
    "sim/test_mutated_market.py": 3.5,
    "sim/test_spending.py": 3.4,
    "sim/test_story.py": 3.8,
    "sim/test_telling_cut_off.py": 3.0,
}
_WAIT = {"e2e", "integration"}
_COMPUTE = {"property", "sim"}

_Unit = tuple[float, list[pytest.Item]]


def in_turns(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Order tests for several workers; groups stay together, and every worker finds the same order."""
    units: dict[str, list[pytest.Item]] = {}
    for item in items:
        units.setdefault(group_of(item) or item.nodeid, []).append(item)
    waiting: list[_Unit] = []
    computing: list[_Unit] = []
    short: list[pytest.Item] = []
    for unit in units.values():
        folder = _path_of(unit[0]).partition("/")[0]
        of_its_kind = waiting if folder in _WAIT else computing if folder in _COMPUTE else None
        if of_its_kind is None:
            short += unit
        else:
            of_its_kind.append((sum(_seconds_of(item) for item in unit), unit))
    return [*_side_by_side(waiting, computing), *short]


def group_of(item: pytest.Item) -> str:
    """Name the group that keeps a test on one worker; empty if it has none."""
    return "_".join(sorted(str(mark.args[0]) for mark in item.iter_markers("xdist_group")))


def _path_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0].removeprefix("tests/")


def _seconds_of(item: pytest.Item) -> float:
    path = _path_of(item)
    return _BY_FILE.get(path, _BY_FOLDER.get(path.partition("/")[0], 0.0))


def _side_by_side(first: Sequence[_Unit], second: Sequence[_Unit]) -> list[pytest.Item]:
    """Merge both, each with its longest first, so that of either the same share is done at any time."""
    placed = [
        (before_s, number, unit)
        for number, units in enumerate((first, second))
        for before_s, unit in _shares(units)
    ]
    placed.sort(key=lambda each: each[:2])  # what stands at the same place keeps its order
    return [item for _, _, unit in placed for item in unit]


def _shares(units: Sequence[_Unit]) -> list[tuple[float, list[pytest.Item]]]:
    """Say of each unit which share of all seconds comes before it."""
    total_s = sum(seconds for seconds, _ in units) or 1.0
    shares, before_s = [], 0.0
    for seconds, unit in sorted(units, key=lambda each: -each[0]):
        shares.append((before_s / total_s, unit))
        before_s += seconds
    return shares
