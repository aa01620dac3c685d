"""What holds for every verb: help, version, exit codes, and how errors leave."""

import subprocess
import sys

import click
import pytest

import keeper
from keeper.cli import app
from keeper.cli.app import FAMILIES, root, run
from keeper.cli.exit_codes import MEANING, ExitCode

VERBS = [entry.name for _, verbs in FAMILIES for entry in verbs]


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_verb(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([flag]) == ExitCode.OK
    shown = capsys.readouterr().out
    for verb in VERBS:
        assert f"\n  {verb} " in shown


@pytest.mark.parametrize("verb", VERBS)
def test_verb_can_be_loaded_and_shows_examples_before_options(verb: str) -> None:
    context = click.Context(root, info_name="keeper")
    command = root.get_command(context, verb)
    assert command is not None
    shown = command.get_help(click.Context(command, info_name=verb, parent=context))
    if not isinstance(command, click.Group):
        assert 0 < shown.index("Examples:") < shown.index("Options:")


@pytest.mark.parametrize("verb", VERBS)
def test_help_fits_a_terminal_of_80_columns(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == ExitCode.OK
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


def test_help_costs_no_more_than_click() -> None:
    """An operator's shell asks for help and completion all the time."""
    code = (
        "import sys; from keeper.cli.app import run; assert run(['--help']) == 0;"
        "dear = {'aiohttp', 'asyncssh', 'pydantic', 'rich', 'sqlalchemy', 'structlog', 'keeper.ports'};"
        "sys.exit(', '.join(sorted(dear & set(sys.modules))) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_version_names_the_python_under_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert shown.startswith(f"keeper {keeper.__version__} (Python 3.")
    assert shown.count("\n") == 1


def test_no_verb_at_all_shows_the_help_and_is_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([]) == ExitCode.USAGE
    assert "Keep streams on air:" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["wonder"], ["help", "wonder"], ["completion", "tcsh"]])
def test_what_does_not_exist_is_a_usage_error(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(wrong) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "error: " in shown.err


def test_a_misspelt_verb_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["statsu"]) == ExitCode.USAGE
    assert "'status'" in capsys.readouterr().err


def test_exit_codes_are_documented_by_the_command_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert set(MEANING) == set(ExitCode)
    assert run(["help", "exit-codes"]) == ExitCode.OK
    shown = capsys.readouterr().out
    for code, text in MEANING.items():
        assert f"{int(code)}  {text}" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == ExitCode.OK
    assert f"_KEEPER_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_a_bug_is_one_sentence_and_a_traceback_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def breaking() -> None:
        message = "a \x1b[31mred\x1b[0m thing"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(root, "get_command", lambda *_: breaking)
    assert run(["breaking"]) == ExitCode.FAILED
    shown = capsys.readouterr().err
    assert "bug of its own: ZeroDivisionError: a \\x1b[31mred\\x1b[0m thing" in shown
    assert "Traceback" not in shown
    assert run(["--debug", "breaking"]) == ExitCode.FAILED
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback (most recent call last):")
    assert "ZeroDivisionError: a \\x1b[31mred\\x1b[0m thing" in shown
    assert "bug of its own" in shown


@pytest.mark.parametrize("words", [["breaking"], ["--debug", "breaking"]])
def test_no_secret_of_the_environment_is_in_an_error_or_its_traceback(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = {
        "VAST_API_KEY": "3f9a7c0d55b1e2aa9d",
        "KEEPER_HTTP__TOKEN": "Zk39qLw7Xv2Bd5Tn",
        "KEEPER_SECRET_STREAM_KEY": "sk_us_12345678",
    }

    @click.command()
    def breaking() -> None:
        raise ZeroDivisionError(" ".join(secrets.values()))

    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(root, "get_command", lambda *_: breaking)
    run(words)
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: [redacted] [redacted] [redacted]" in shown
    assert [name for name, value in secrets.items() if value[:8] in shown] == []


def test_ctrl_c_is_exit_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def waiting() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(root, "get_command", lambda *_: waiting)
    assert run(["waiting"]) == ExitCode.INTERRUPTED
    assert "interrupted" in capsys.readouterr().err


def test_reader_that_closes_the_pipe_early_gets_no_complaint() -> None:
    """`keeper help | head -1` must not end in a traceback."""
    code = "import sys; from keeper.cli.app import run; sys.exit(run(['--help']))"
    shell = f'set -o pipefail; "{sys.executable}" -u -c "{code}" | true'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_errors_carry_no_colour_when_piped_or_forbidden(
    no_color: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    app._complain(KeyboardInterrupt(), color=False if no_color else None)
    assert "\x1b" not in capsys.readouterr().err
