"""`keeper alerts`: what people are told and through whom, a test message, and silences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from typing_extensions import override

from keeper.cli.app import Verb
from keeper.cli.options import (
    complete_channels,
    complete_matchers,
    config_option,
    json_option,
    reason_option,
    socket_option,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from rich.console import RenderableType

    from keeper.cli.client import LocalKeeper

    _T = TypeVar("_T")

_FOR_MAX_S = 30 * 86_400.0  # what the daemon takes; a silence that nobody remembers must end


class _ListsByItself(click.Group):
    """A group that does ``list`` when it is given no verb."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_verbless = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        if is_verbless and not ctx.resilient_parsing:  # a shell that completes wants the verbs
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ListsByItself)
def alerts() -> None:
    """What people are told, through whom, and what is kept from them.

    Without a verb: list. What happened is `keeper events`; where people are told is configured under
    `alerts.channels`.
    """


@alerts.command(
    "list",
    cls=Verb,
    short_help="What holds, who was told when, and what keeps quiet.",
    examples=(
        "keeper alerts list",
        "keeper alerts list --json | jq '.alerts[] | select(.needs_human != \"\")'",
    ),
)
@json_option
@config_option
@socket_option
def list_(as_json: bool, config: Path, socket: Path | None) -> int:
    """What holds now, who was told of it when, what keeps it quiet, and what you should do.

    Below it the channels with what waits for them, and the silences with their ends.
    """
    from keeper.cli.alerts_shown import shown_page
    from keeper.web.telling_shapes import AlertPage

    return _look("alerts", AlertPage, shown_page, config, socket, as_json=as_json)


@alerts.command(
    cls=Verb,
    short_help="The messages that no channel has taken yet.",
    examples=("keeper alerts outbox", "keeper alerts outbox --json | jq '.messages | length'"),
)
@json_option
@config_option
@socket_option
def outbox(as_json: bool, config: Path, socket: Path | None) -> int:
    """The messages that no channel has taken yet, the oldest first, and why.

    They are on the disk: a restart loses none, and each goes out again under the same id.
    """
    from keeper.cli.alerts_shown import shown_outbox
    from keeper.web.telling_shapes import OutboxStatus

    return _look("outbox", OutboxStatus, shown_outbox, config, socket, as_json=as_json)


@alerts.command(
    cls=Verb,
    short_help="Send a test message through a channel, now.",
    examples=("keeper alerts test ops",),
)
@click.argument("channel", shell_complete=complete_channels)
@json_option
@config_option
@socket_option
def test(channel: str, as_json: bool, config: Path, socket: Path | None) -> int:
    """Send a test message through a channel, now and past the outbox.

    A channel that was off, because its address was refused for good, is on again when the test is taken.
    Exits with 1 when it is not.
    """
    from urllib.parse import quote

    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.terminal import cell, console, duration, print_json_text, show
    from keeper.web.telling_shapes import ChannelTested

    async def ask(keeper: LocalKeeper) -> int:
        from keeper.cli.alerts_tested import cure_of
        from keeper.cli.client import encoded
        from keeper.cli.errors import Stopped

        tested = await keeper.post(f"channels/{quote(channel, safe='')}/test", {}, ChannelTested)
        if as_json:
            print_json_text(encoded(tested))
            return ExitCode.OK if tested.is_delivered else ExitCode.FAILED
        if not tested.is_delivered:
            raise Stopped(
                ExitCode.FAILED,
                f"{channel} did not take it: {tested.error or 'it said nothing'}",
                cure_of(tested),
            )
        took = duration(tested.duration_s) if tested.duration_s >= 1 else "less than a second"
        show(console(), [cell(f"{channel} took the test message, in {took}", "green")])
        return ExitCode.OK

    return _with_keeper(ask, config, socket)


@alerts.command(
    cls=Verb,
    short_help="Tell nobody of some alerts for a while.",
    examples=(
        "keeper alerts silence stream=duel --for 2h --reason 'new ingest'",
        "keeper alerts silence KeeperStreamDark 'slot=duel/*' --for 30m",
        "keeper alerts silence severity=info --for 7d",
    ),
)
@click.argument(
    "matchers", metavar="MATCHER…", nargs=-1, required=True, shell_complete=complete_matchers
)
@click.option(
    "--for",
    "for_text",
    metavar="DURATION",
    default="2h",
    show_default=True,
    help='Ends by itself after "30m", "2h", "7d"; at most 30 days.',
)
@reason_option
@json_option
@config_option
@socket_option
def silence(
    matchers: tuple[str, ...],
    for_text: str,
    reason: str,
    as_json: bool,
    config: Path,
    socket: Path | None,
) -> int:
    """Tell nobody of the alerts that all matchers match, for a while. No repair is stopped by it.

    A matcher is FIELD=PATTERN, of alert, stream, slot, severity or key; in a pattern * and ? stand for
    letters, as in a file name. A name alone is that of an alert; a key is that of one alert alone, as
    `keeper alerts --json` shows it. It is on disk when this returns, is shown by `keeper alerts` and on
    the page, and always ends.
    """
    from keeper.cli.alerts_shown import shown_silenced
    from keeper.cli.client import encoded
    from keeper.cli.terminal import console, print_json_text, say, show
    from keeper.settings import parse_duration
    from keeper.web.telling_shapes import SilenceOrdered

    try:
        for_s = parse_duration(for_text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from error
    if not 0 < for_s <= _FOR_MAX_S:
        message = f"{for_text!r} is not more than nothing and at most 30 days"
        raise click.BadParameter(message, param_hint="--for")

    async def ask(keeper: LocalKeeper) -> int:
        body = {"matchers": list(matchers), "for_s": for_s, "reason": reason}
        begun = await keeper.post("silences", body, SilenceOrdered)
        if as_json:
            print_json_text(encoded(begun))
            return 0
        show(console(), shown_silenced(begun))
        if begun.note:
            say(f"  {begun.note}")
        say(f"  end it: keeper alerts unsilence {begun.silence.silence_id}")
        return 0

    return _with_keeper(ask, config, socket)


@alerts.command(
    cls=Verb,
    short_help="End a silence before its time.",
    examples=("keeper alerts unsilence 5f2a9c01",),
)
@click.argument("silence_id", metavar="ID")
@json_option
@config_option
@socket_option
def unsilence(silence_id: str, as_json: bool, config: Path, socket: Path | None) -> int:
    """End a silence before its time. What it kept from people is told, if it still holds."""
    from urllib.parse import quote

    from keeper.alerts.wording import count
    from keeper.cli.client import encoded
    from keeper.cli.terminal import cell, console, print_json_text, say, show
    from keeper.web.telling_shapes import SilenceOrdered

    async def ask(keeper: LocalKeeper) -> int:
        ended = await keeper.delete(f"silences/{quote(silence_id, safe='')}", SilenceOrdered)
        if as_json:
            print_json_text(encoded(ended))
            return 0
        said = " ".join(ended.silence.matchers)
        show(console(), [cell(f"the silence of {said} is over (id {silence_id})")])
        if ended.alerts:
            say(f"  {count(len(ended.alerts), 'alert', 'alerts')} may be told now")
        return 0

    return _with_keeper(ask, config, socket)


def _look(
    path: str,
    kind: type[_T],
    shown: Callable[[_T], Iterable[RenderableType]],
    config: Path,
    socket: Path | None,
    *,
    as_json: bool,
) -> int:
    from keeper.cli.client import decoded
    from keeper.cli.terminal import console, print_json_text, show

    async def ask(keeper: LocalKeeper) -> int:
        raw = await keeper.raw(path)
        answer = decoded(raw, kind)  # also for --json: another version's answer is no data
        if as_json:
            print_json_text(raw)
        else:
            show(console(), shown(answer))
        return 0

    return _with_keeper(ask, config, socket)


def _with_keeper(
    ask: Callable[[LocalKeeper], Awaitable[int]], config: Path, socket: Path | None
) -> int:
    from keeper.cli.client import local_keeper, socket_of
    from keeper.cli.terminal import run_async

    where = socket_of(config, socket)

    async def work() -> int:
        async with local_keeper(where) as keeper:
            return await ask(keeper)

    return run_async(work())
