"""`keeper check-config` and `keeper schema`: the configuration without a daemon or a network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keeper.cli.app import Verb
from keeper.cli.exit_codes import ExitCode
from keeper.cli.options import json_option

if TYPE_CHECKING:
    from keeper.settings import Settings


@click.command(
    "check-config",
    cls=Verb,
    examples=(
        "keeper check-config /etc/keeper/keeper.yaml",
        "keeper check-config keeper.yaml && systemctl reload keeper",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check_config(file: Path, as_json: bool) -> int:
    """Find every mistake in a configuration file.

    Each problem is a line `file:line:column: what (did you mean …)`. Nothing is contacted, and the
    API key need not be at hand. Archives of this box that keeper is to send are read whole, to
    compare their checksums. Exit 78 if there is any problem.
    """
    from keeper.cli.terminal import print_json
    from keeper.ports import ConfigError
    from keeper.settings import slate_notes, unfit

    try:
        settings, note = _read(file)
        if problems := unfit(settings.local_files, is_thorough=True):
            raise ConfigError(problems)
    except ConfigError as error:
        if not as_json:
            raise
        print_json({"ok": False, "problems": list(error.problems)})
        return ExitCode.BAD_CONFIG
    for each in filter(None, (note, *slate_notes(settings))):
        click.echo(f"note: {each}", err=True)
    slots = sum(stream.replicas for stream in settings.streams)
    names = [stream.name for stream in settings.streams]
    if as_json:
        print_json({"ok": True, "problems": [], "streams": names, "slots": slots})
    else:
        listed = f": {', '.join(names)}" if names else ""
        click.echo(
            f"{file} is good: {_count(len(names), 'stream')}, {_count(slots, 'slot')}{listed}"
        )
    return ExitCode.OK


@click.command(
    cls=Verb,
    examples=(
        "keeper schema > keeper.schema.json",
        "check-jsonschema --schemafile keeper.schema.json keeper.yaml",
    ),
)
def schema() -> None:
    """Print the JSON schema of the configuration.

    Editors that know the YAML language server take it from the first line of the file:
    `# yaml-language-server: $schema=keeper.schema.json`.
    """
    import json

    from keeper.settings import json_schema

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _read(file: Path) -> tuple[Settings, str]:
    """Read the file; the key of the account is the service's, so its absence here is only noted."""
    from keeper.cli.client import environ_to_look
    from keeper.ports import ConfigError
    from keeper.settings import load_settings

    try:
        return load_settings(file, os.environ), ""
    except ConfigError as error:
        if len(error.problems) > 1:
            raise
        try:
            settings = load_settings(file, environ_to_look())
        except ConfigError:
            raise error from None
        return settings, error.problems[0].partition(": ")[2]


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
