"""Whatever the output is, it is told what it can show and nothing else."""

import pytest

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.terminal import Progress, cell, confirm, console, duration, print_json, table


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59.4, "59s"),
        (60, "1m00s"),
        (250, "4m10s"),
        (3599.9, "1h00m"),
        (11_520, "3h12m"),
        (86_399, "23h59m"),
        (187_200, "2d4h"),
    ],
)
def test_duration_is_said_in_two_units_at_most(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_piped_table_is_not_folded_and_carries_no_sequence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    made = table("SLOT", "WHY")
    made.add_row(cell("duel/0", "red"), cell("a \x1b[31mlong\x1b[0m [bold]story[/] " * 8, "bold"))
    console().print(made)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "\x1b" not in "".join(lines)
    assert "\\x1b[31mlong\\x1b[0m [bold]story[/]" in lines[1]


def test_json_is_one_line_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, "ü"]})
    assert capsys.readouterr().out == '{"a": [1, "ü"]}\n'


def test_without_a_terminal_only_yes_is_an_answer() -> None:
    confirm("End it?", yes=True)
    with pytest.raises(Stopped) as stopped:
        confirm("End it?", yes=False)
    assert stopped.value.code is ExitCode.REFUSED
    assert "--yes" in stopped.value.cure


async def test_progress_is_a_plain_line_per_stage_when_piped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress() as progress:
        progress.stage("renting")
        progress.stage("renting")
        progress.stage("booting")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert [line.split() for line in shown.err.splitlines()] == [
        ["0s", "renting"],
        ["0s", "booting"],
    ]
