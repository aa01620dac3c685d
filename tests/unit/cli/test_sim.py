"""What is asked of the simulator is understood or refused before anything starts."""

from pathlib import Path

import click
import pytest

from keeper.cli.app import run
from keeper.cli.sim import _seeds_of


@pytest.mark.parametrize(
    ("seed", "text", "seeds"),
    [(None, None, (1,)), (7, None, (7,)), (None, "3..3", (3,)), (None, "1..4", (1, 2, 3, 4))],
)
def test_seeds_are_one_or_a_range_with_both_ends(
    seed: int | None, text: str | None, seeds: tuple[int, ...]
) -> None:
    assert _seeds_of(seed, text) == seeds


@pytest.mark.parametrize("text", ["", "7", "4..1", "a..b", "1...3", "-1..3", "1..100001"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(click.UsageError):
        _seeds_of(None, text)


def test_one_seed_and_many_contradict_each_other() -> None:
    with pytest.raises(click.UsageError):
        _seeds_of(1, "1..2")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is neither a file nor one of the presets"),
        ("{", "is neither YAML nor JSON"),
        ("{}", "a list of faults is expected"),
        ("[{kind: nonsense}]", "no fault is called 'nonsense'"),
    ],
)
def test_faults_that_are_none_are_refused_in_plain_words(
    content: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "faults.yaml"
    if content is not None:
        path.write_text(content)
    assert run(["sim", "run", "--faults", str(path)]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
