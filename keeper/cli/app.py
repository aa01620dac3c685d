"""The `keeper` command: the list of verbs, and what holds for all of them.

A verb's module is imported when the verb is run, so `keeper --help` costs no more than click. Help
shows examples before options. Errors leave through `errors.py` and nowhere else.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import click
from typing_extensions import override

from keeper.cli.exit_codes import ExitCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One verb in the list: where its command is, and what it is for, in one line."""

    name: str
    command: str  # "module:attribute"
    line: str


FAMILIES: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "Keep streams on air",
        (
            Entry(name="run", command="keeper.cli.run:run", line="Run the daemon."),
            Entry(
                name="provision",
                command="keeper.cli.provision:provision",
                line="Bring one stream on air and say how to connect.",
            ),
            Entry(
                name="destroy",
                command="keeper.cli.destroy:destroy",
                line="End the rental of a slot, or of all, for certain.",
            ),
        ),
    ),
    (
        "Look",
        (
            Entry(
                name="status",
                command="keeper.cli.status:status",
                line="Every slot: its state, since when, and why.",
            ),
            Entry(
                name="plan",
                command="keeper.cli.plan:plan",
                line="What keeper would do now, and why; changes nothing.",
            ),
            Entry(
                name="explain",
                command="keeper.cli.explain:explain",
                line="Everything known about one slot, and why.",
            ),
            Entry(
                name="spend",
                command="keeper.cli.spend:spend",
                line="What was spent, what runs, the caps, and the forecast.",
            ),
            Entry(
                name="events",
                command="keeper.cli.events:events",
                line="What happened, as it was written down.",
            ),
            Entry(
                name="alerts",
                command="keeper.cli.alerts:alerts",
                line="What people are told; silences, and a test of a channel.",
            ),
            Entry(
                name="search",
                command="keeper.cli.search:search",
                line="Offers that would do, and what was filtered out.",
            ),
            Entry(
                name="stream-status",
                command="keeper.cli.stream_status:stream_status",
                line="What the workload itself tells of a stream.",
            ),
            Entry(
                name="logs",
                command="keeper.cli.logs:logs",
                line="The workload's logs on a slot's host.",
            ),
        ),
    ),
    (
        "Go to a host",
        (
            Entry(
                name="ssh",
                command="keeper.cli.ssh:ssh",
                line="Log in to the host that a slot is on now.",
            ),
            Entry(
                name="tunnel",
                command="keeper.cli.tunnel:tunnel",
                line="A local port that leads to a stream, whichever its host.",
            ),
        ),
    ),
    (
        "Steer a running keeper",
        (
            Entry(
                name="restart",
                command="keeper.cli.orders:restart",
                line="Restart the process of a slot.",
            ),
            Entry(
                name="drain",
                command="keeper.cli.orders:drain",
                line="Let viewers see the end, then restart.",
            ),
            Entry(
                name="replace",
                command="keeper.cli.orders:replace",
                line="Give a slot another host; the old one serves meanwhile.",
            ),
            Entry(
                name="deploy",
                command="keeper.cli.orders:deploy",
                line="Put what is declared on a stream's hosts now.",
            ),
            Entry(
                name="adopt",
                command="keeper.cli.orphans:adopt",
                line="Take a stray rental of keeper's into an empty slot.",
            ),
            Entry(
                name="pause",
                command="keeper.cli.orders:pause",
                line="Touch nothing: one slot, or the whole fleet.",
            ),
            Entry(name="resume", command="keeper.cli.orders:resume", line="End a pause."),
        ),
    ),
    (
        "Configure",
        (
            Entry(
                name="check-config",
                command="keeper.cli.config:check_config",
                line="Find every mistake in a configuration file.",
            ),
            Entry(
                name="doctor",
                command="keeper.cli.doctor:doctor",
                line="What is wrong with this box, and what cures it.",
            ),
            Entry(
                name="schema",
                command="keeper.cli.config:schema",
                line="Print the JSON schema of the configuration.",
            ),
            Entry(
                name="completion",
                command="keeper.cli.manual:completion",
                line="Print the completion script for your shell.",
            ),
            Entry(
                name="help",
                command="keeper.cli.manual:help_",
                line="Help on a verb, or on exit-codes.",
            ),
        ),
    ),
    (
        "Try it without an account",
        (
            Entry(
                name="demo",
                command="keeper.cli.demo:demo",
                line="Watch the daemon keep simulated streams on air.",
            ),
            Entry(
                name="sim",
                command="keeper.cli.sim:sim",
                line="The simulator: serve a marketplace, or run days in seconds.",
            ),
        ),
    ),
)

# What holds a secret in the environment of a verb.
SECRET_NAME = re.compile(r"(?i)VAST_API_KEY|KEEPER_(?:SECRET_.*|.*(?:TOKEN|API_KEY|SECRET))$")

_ENTRIES: dict[str, Entry] = {entry.name: entry for _, verbs in FAMILIES for entry in verbs}


class Verb(click.Command):
    """A command whose help shows examples before options."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:  # noqa: ANN401 - click's own signature
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    @override
    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        summary, _, rest = inspect.cleandoc(self.help or "").partition("\n\n")
        for text in (summary, None, rest):
            if text is None:
                _write_examples(formatter, self.examples)
            elif text:
                formatter.write_paragraph()
                with formatter.indentation():
                    formatter.write_text(text)


class Verbs(click.Group):
    """A group whose verbs are listed by family and imported when needed."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_ENTRIES)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _ENTRIES.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.command.partition(":")
        command = cast("click.Command", getattr(importlib.import_module(module), attribute))
        command.short_help = entry.line
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest from the list; click would look among the verbs that are loaded: none."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(
                error.command_name, possibilities=_ENTRIES, ctx=ctx
            ) from None

    @override
    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        _write_examples(
            formatter,
            (
                "keeper demo                          # no account, no GPU: see it work",
                "keeper check-config keeper.yaml",
                "keeper plan --config keeper.yaml     # what it would do; changes nothing",
                "keeper status --watch",
            ),
        )

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for family, verbs in FAMILIES:
            with formatter.section(family):
                formatter.write_dl([(f"{entry.name:<13}", entry.line) for entry in verbs])


def _write_examples(formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    invoke_without_command=False,
)
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
@click.option("--version", "show_version", is_flag=True, is_eager=True, expose_value=False,
              callback=lambda ctx, _, asked: _show_version(ctx, asked=asked),
              help="Show the version and exit.")  # fmt: skip
@click.pass_context
def root(ctx: click.Context, debug: bool) -> None:
    """Keep GPU streams on air on Vast.ai.

    keeper rents hosts, puts the workload on them, watches what the viewer sees, repairs from the
    cheapest remedy to the dearest, and never spends more than allowed.
    """
    ctx.meta["keeper.debug"] = debug


def _show_version(ctx: click.Context, *, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    from keeper.cli.version import describe

    click.echo(describe())
    ctx.exit()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. Nothing that goes wrong leaves it otherwise."""
    color = False if os.environ.get("NO_COLOR") else None
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        answer = root.main(args=given, prog_name="keeper", standalone_mode=False, color=color)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:  # pragma: no cover - click returns it instead
        return exit_.exit_code
    except click.UsageError as error:
        return _complain_usage(error, color=color)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo(file=sys.stderr)
        return _complain(KeyboardInterrupt(), color=color)
    except (BrokenPipeError, SystemExit):
        # The reader has seen enough (`keeper events | head`); click makes a SystemExit of it. Verbs
        # of ours never exit by themselves. Nothing more can be said on stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except BaseException as error:
        if isinstance(error, GeneratorExit):
            raise
        if "--debug" in given:
            _trace(error)
        return _complain(error, color=color)
    return answer if isinstance(answer, int) else ExitCode.OK


def _complain(error: BaseException, *, color: bool | None) -> ExitCode:
    from keeper.cli.errors import complaint_of

    complaint, hide = complaint_of(error), _hiding()
    for detail in complaint.details:
        click.echo(hide(detail), err=True, color=color)
    _echo("error: ", hide(complaint.what), "red", color=color)
    if complaint.cure:
        _echo("  try: ", complaint.cure, None, color=color)
    return complaint.code


def _trace(error: BaseException) -> None:
    """Show where an error came from: source lines and no values of variables."""
    import traceback

    from keeper.core.text import plain

    for line in _hiding()("".join(traceback.format_exception(error))).splitlines():
        click.echo(plain(line), err=True)


def _hiding() -> Callable[[str], str]:
    """Return what hides the secrets of this process's environment: a second net under every error.

    Only values that were given: what merely looks like a secret may be the name of a setting.
    """
    from keeper.telemetry.redact import Redactor

    environ = os.environ.items()
    return Redactor([value for name, value in environ if SECRET_NAME.match(name)]).known


def _complain_usage(error: click.UsageError, *, color: bool | None) -> int:
    """Say what is wrong with the command line, in the form of every other error."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    _echo("error: ", error.format_message(), "red", color=color)
    if error.ctx is not None:
        _echo("  try: ", f"{error.ctx.command_path} --help", None, color=color)
    return error.exit_code


def _echo(label: str, text: str, fg: str | None, *, color: bool | None) -> None:
    """Print to stderr; a terminal gets it folded between words, a pipe in one line."""
    if sys.stderr.isatty():
        folded = textwrap.wrap(
            text,
            shutil.get_terminal_size().columns - len(label),
            break_long_words=False,
            break_on_hyphens=False,
        )
        text = f"\n{'':{len(label)}}".join(folded)
    click.echo(f"{click.style(label, fg=fg, bold=True)}{text}", err=True, color=color)
