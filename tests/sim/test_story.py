"""The whole daemon in simulated time: named stories, seeds, and the same journal for the same seed."""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.sim.audit import audit
from keeper.sim.runner import Campaign, main
from keeper.sim.scenarios import SCENARIOS
from keeper.sim.story import run_scenario, run_seed, unmet


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_named_story_ends_as_told(name: str) -> None:
    scenario = SCENARIOS[name]
    played = run_scenario(scenario)
    assert played.result.broken == ()
    assert unmet(scenario, played) == ()
    assert audit(played.evidence) == ()


@pytest.fixture
def _little_looking_for_garbage() -> Iterator[None]:
    """A week makes little garbage that is in rings: looking for it takes a tenth of the run."""
    before = gc.get_threshold()
    gc.set_threshold(100_000)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("_little_looking_for_garbage")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(1, 61))
def test_no_promise_is_broken_in_a_week_whatever_goes_wrong(seed: int) -> None:
    """Sixty weeks, about two minutes on two cores; `make soak` plays ten thousand."""
    result = run_seed(seed, days=7.0, faults="all")
    again = Campaign(seeds=(seed,)).command(seed)
    assert [broken.sentence() for broken in result.broken] == [], f"see it again: {again}"
    assert len(result.faults) > 50
    assert result.dollars > 0


def test_the_same_seed_writes_the_same_journal_in_every_process(tmp_path: Path) -> None:
    """Sets of strings have another order in each process; no decision may hang on it."""
    journals = []
    for hash_seed in ("1", "2"):
        path = tmp_path / hash_seed
        code = (
            "from pathlib import Path; from keeper.sim.story import run_seed;"
            f"Path({str(path)!r}).write_bytes(run_seed(11, days=1.0).journal)"
        )
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            timeout=50,
        )
        journals.append(path.read_bytes())
    assert journals[0] == journals[1]
    assert len(journals[0].splitlines()) > 20
    assert run_seed(12, days=1.0).journal != journals[0]


def test_an_operator_who_pauses_twice_resumes_once(tmp_path: Path) -> None:
    """The end of the first pause ended both, and the auditor found keeper at work in the second."""
    plan = tmp_path / "faults.yaml"
    plan.write_text(
        "- {kind: operator_pauses, at: 3600, for_s: 1800}\n"
        "- {kind: operator_pauses, at: 4200, for_s: 3000}\n"
        "- {kind: gpu_lost, at: 4800}\n"
    )
    result = run_seed(3, days=1.0, faults=str(plan), fleet="one")
    assert [broken.sentence() for broken in result.broken] == []
    assert result.counts["keeper.pause_changed"] == 3
    assert result.counts["order.accepted"] == 4  # and a silence, of a stray


def test_a_campaign_ends_with_one_line_that_says_it_all(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    journal = tmp_path / "journal.jsonl"
    campaign = Campaign(seeds=(3, 4), days=0.5, jobs=1, faults="none", journal=journal)
    assert main(campaign) == 0
    out, err = capsys.readouterr()
    last = json.loads(out.splitlines()[-1])
    assert last["event"] == "sim.finished"
    assert last["seeds"] == 2
    assert last["slot_hours"] == 48.0
    assert last["broken"] == []
    assert last["dollars"] > 0
    assert "seed 3: held" in err
    facts = [json.loads(line)["event"] for line in journal.read_text().splitlines()]
    assert facts.count("keeper.started") == 2


def test_a_broken_promise_fails_the_campaign_and_tells_how_to_see_it_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A minute and a half is too short to boot a host, so nobody is on air at its end."""
    assert main(Campaign(seeds=(3,), days=0.001, jobs=1, faults="none"), as_json=True) == 1
    out, err = capsys.readouterr()
    first, last = (json.loads(line) for line in out.splitlines())
    assert first["event"] == "sim.seed_finished"
    assert {entry["invariant"] for entry in last["broken"]} >= {"I18"}
    assert "see it again: keeper sim run --seed 3 --days 0.001 --faults none" in err


@pytest.mark.timeout(120)
def test_seeds_can_share_the_cores(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(Campaign(seeds=(2, 3), days=0.5, jobs=2, faults="calm")) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["seeds"] == 2
