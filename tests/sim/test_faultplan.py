"""A plan of faults is data, the same for the same seed, and leaves the end of a run in peace."""

from pathlib import Path

import pytest

from keeper.sim import faultplan
from keeper.sim.faultplan import MENU, PRESETS, plan_for, preset
from keeper.sim.faults import FaultKind

WEEK_S = 7 * 86_400.0


def test_the_same_seed_gives_the_same_plan_and_another_another() -> None:
    assert preset("all", seed=3, until_s=WEEK_S) == preset("all", seed=3, until_s=WEEK_S)
    assert preset("all", seed=3, until_s=WEEK_S) != preset("all", seed=4, until_s=WEEK_S)


def test_the_whole_menu_is_played() -> None:
    assert {row.kind for row in MENU} == set(FaultKind)
    struck = {f.kind for seed in range(60) for f in preset("all", seed=seed, until_s=WEEK_S)}
    assert struck == set(FaultKind)


@pytest.mark.parametrize("name", PRESETS)
def test_nothing_begins_or_lasts_beyond_the_calm(name: str) -> None:
    for seed in range(10):
        plan = preset(name, seed=seed, until_s=100_000.0)
        assert [fault.at for fault in plan] == sorted(fault.at for fault in plan)
        assert all(fault.at + (fault.for_s or 0.0) <= 100_000.1 for fault in plan)


def test_one_more_kind_does_not_move_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    before = preset("all", seed=5, until_s=WEEK_S)
    monkeypatch.setattr(faultplan, "MENU", MENU[:-1])
    after = preset("all", seed=5, until_s=WEEK_S)
    assert after == tuple(fault for fault in before if fault.kind is not MENU[-1].kind)


def test_the_preset_none_is_empty() -> None:
    assert preset("none", seed=1, until_s=WEEK_S) == ()


def test_a_plan_can_come_from_a_file_in_yaml_or_json(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("- {kind: process_killed, at: 7200}\n- {kind: list_empty, at: 60, for_s: 30}\n")
    found = plan_for(str(path), seed=1, until_s=10_000.0)
    assert [(f.kind, f.at) for f in found] == [
        (FaultKind.LIST_EMPTY, 60.0),
        (FaultKind.PROCESS_KILLED, 7200.0),
    ]
    path.write_text('[{"kind": "process_killed", "at": 20000}]')
    assert plan_for(str(path), seed=1, until_s=10_000.0) == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{a: 1}", "a list"),
        ("[1]", "entry 1 is not a mapping"),
        ("[{kind: no_such_fault}]", "entry 1: no fault is called 'no_such_fault'"),
        ("[{kind: list_empty, when: 3}]", "entry 1: a fault has no"),
        ("[{kind: list_empty, at: soon}]", "entry 1"),
        ("[", "neither YAML nor JSON"),
    ],
)
def test_a_bad_file_is_refused_in_plain_words(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=complaint):
        plan_for(str(path), seed=1, until_s=10_000.0)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="calm"):
        plan_for("everything", seed=1, until_s=1.0)
