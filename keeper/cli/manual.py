"""`keeper help` and `keeper completion`: what can be said without a configuration or a daemon."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click

from keeper.cli.app import Verb
from keeper.cli.exit_codes import MEANING


@click.command(
    "help",
    cls=Verb,
    examples=("keeper help exit-codes", "keeper help status"),
)
@click.argument("topic", required=False)
@click.option("--json", "as_json", is_flag=True, help="exit-codes as JSON.")
@click.pass_context
def help_(ctx: click.Context, topic: str | None, as_json: bool) -> None:
    """Help on a verb, or on exit-codes."""
    group = ctx.find_root()
    if topic is None:
        click.echo(group.get_help())
    elif topic == "exit-codes":
        _exit_codes(as_json)
    else:
        assert isinstance(group.command, click.Group)
        command = group.command.get_command(group, topic)
        if command is None:
            message = f"there is no verb or topic {topic!r}; `keeper help` lists the verbs"
            raise click.UsageError(message, ctx)
        with click.Context(command, info_name=topic, parent=group) as about:
            click.echo(command.get_help(about))


def _exit_codes(as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({str(int(code)): text for code, text in MEANING.items()}, indent=2))
        return
    for code, text in MEANING.items():
        click.echo(f"{int(code):>4}  {text}")


_INSTALL: Mapping[str, str] = {
    "bash": "keeper completion bash > ~/.local/share/bash-completion/completions/keeper",
    "zsh": 'keeper completion zsh > "${fpath[1]}/_keeper"',
    "fish": "keeper completion fish > ~/.config/fish/completions/keeper.fish",
}


@click.command(cls=Verb, examples=tuple(_INSTALL.values()))
@click.argument("shell", type=click.Choice(tuple(_INSTALL)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for your shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows the three shells of the choice above"
    script = kind(ctx.find_root().command, {}, "keeper", "_KEEPER_COMPLETE")
    # Not script.source(): it starts bash to ask for its version, which says nothing about the box
    # that will load the script.
    click.echo(script.source_template % script.source_vars())
