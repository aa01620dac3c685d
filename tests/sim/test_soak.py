"""A soak loses nothing when it is interrupted, and its record says what was really done."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import keeper
from keeper.sim.soak import Done, Soak, code, main, read_state, record_of
from tests.waiting import eventually


def _soak(folder: Path, **given: object) -> Soak:
    values = {
        "seeds": 4,
        "days": 0.1,
        "faults": "calm",
        "fleet": "two",
        "jobs": 2,
        "limit_s": None,
        "shrink_s": 0.0,
        "state": folder / "seeds.jsonl",
        "record": folder / "soak.json",
    }
    return Soak(**(values | given))  # type: ignore[arg-type]


@pytest.mark.timeout(120)
def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    assert main(_soak(tmp_path, seeds=2)) == 0
    before = (tmp_path / "seeds.jsonl").read_text()
    with (tmp_path / "seeds.jsonl").open("a") as state:
        state.write('{"seed": 3, "slot_h')  # the power went in the middle of a line
    assert main(_soak(tmp_path)) == 0
    after = (tmp_path / "seeds.jsonl").read_text()
    assert after.startswith(before)
    assert sorted(read_state(tmp_path / "seeds.jsonl").lines) == [1, 2, 3, 4]
    assert after.count('"seed": 1,') == 1
    told = json.loads((tmp_path / "soak.json").read_text())
    assert (told["seeds_done"], told["seeds_wanted"], told["seeds"]) == (4, 4, "1-4")
    assert told["slot_hours"] == pytest.approx(4 * 0.1 * 24 * 2)
    assert told["broken"] == []
    assert told["slot_hours_per_cpu_s"] > 0


@pytest.mark.timeout(120)
async def test_an_interrupt_keeps_what_is_done_and_writes_the_record(tmp_path: Path) -> None:
    words = [
        "--days",
        "0.1",
        "--faults",
        "none",
        "--fleet",
        "two",
        "--jobs",
        "2",
        "--state",
        str(tmp_path),
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "keeper.sim.soak", *words, "--record", str(tmp_path / "r.json")),
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        await eventually(lambda: list(tmp_path.glob("*.jsonl")))
        (state,) = tmp_path.glob("*.jsonl")
        await eventually(lambda: len(read_state(state).lines) >= 3, patience_s=60.0)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
        err = (await process.communicate())[1].decode()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["seeds_done"] == len(read_state(state).lines) >= 3
    assert told["seeds_wanted"] == 10_000
    assert "3 of 10000" in err or "seeds, all held" in err


def test_a_broken_seed_is_in_the_record_with_its_plan_and_its_command(tmp_path: Path) -> None:
    """Three minutes are too short to boot a host, so nobody is on air at the end."""
    soak = _soak(tmp_path, seeds=1, jobs=1, days=0.002, faults="all", shrink_s=5.0)
    assert main(soak) == 1
    told = json.loads((tmp_path / "soak.json").read_text())
    assert told["broken_seeds"] == 1
    assert any(text.startswith("I18") for text in told["broken"][0]["broken"])
    assert told["broken"][0]["command"] == "keeper sim run --seed 1 --days 0.002 --faults all"


@pytest.mark.timeout(120)
def test_a_limit_in_time_begins_no_more_seeds(tmp_path: Path) -> None:
    assert main(_soak(tmp_path, seeds=100_000, limit_s=0.01)) == 0
    assert len(read_state(tmp_path / "seeds.jsonl").lines) <= 6


def test_seeds_of_two_versions_of_the_code_are_told_apart() -> None:
    """Files may change under a soak that runs for a day: a worker is begun anew now and then."""
    line = {"slot_hours": 1.0, "cpu_s": 1.0, "dollars": 0.0, "dark_s": 0.0, "faults": {}}
    lines = {
        seed: {**line, "seed": seed, "broken": [], "code": "old" if seed < 4 else "new"}
        for seed in (1, 2, 3, 5)
    }
    told = record_of(_soak(Path()), Done(lines=lines))
    assert told["code"] == {"old": "1-3", "new": "5"}


@pytest.mark.timeout(120)
def test_it_runs_from_a_copy_that_has_no_history_and_says_what_ran(tmp_path: Path) -> None:
    root = Path(keeper.__file__).parent
    shutil.copytree(root, tmp_path / "keeper", ignore=shutil.ignore_patterns("__pycache__"))
    words = ["--seeds", "1", "--days", "0.05", "--faults", "none", "--fleet", "two", "--jobs", "1"]
    ran = subprocess.run(
        [sys.executable, "-m", "keeper.sim.soak", *words, "--record", "r.json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    told = json.loads((tmp_path / "r.json").read_text())
    assert (told["commit"], told["is_clean"], told["seeds_done"]) == ("unknown", False, 1)
    assert told["code"] == {code(): "1"}
    (state,) = (tmp_path / ".soak").iterdir()
    assert code() in state.name, ran.stderr


def test_the_record_of_nothing_is_a_record() -> None:
    told = record_of(_soak(Path()), Done())
    assert told["seeds"] == ""
    assert told["faults"] == 0
