"""How alerts, channels, silences and waiting messages are shown in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from keeper.alerts import Severity
from keeper.alerts.wording import count
from keeper.cli.terminal import cell, duration, rough, table
from keeper.web.telling_shapes import (
    AlertPage,
    AlertStatus,
    ChannelStatus,
    OutboxStatus,
    SilenceOrdered,
    SilenceStatus,
)

STYLE = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
# A message with its commands: cut off in the middle of one it is of no use.
_LINE_MAX = 600
_MUTES_MAX = 3


def shown_page(page: AlertPage) -> Iterator[RenderableType]:
    """Show what holds, the channels, and the silences."""
    if page.alerts:
        yield _alerts(page)
    else:
        yield Text("Nothing holds that anybody should know of.", style="green")
    yield Text()
    if page.channels:
        yield _channels(page.channels, page.now)
    else:
        yield cell(
            "No channel is configured: nobody is told of anything. See alerts.channels.", "yellow"
        )
    if page.silences:
        yield Text()
        yield _silences(page.silences, page.now)


def shown_outbox(outbox: OutboxStatus) -> Iterator[RenderableType]:
    """Show the messages that wait."""
    if not outbox.messages:
        yield Text("No message waits.", style="green")
        return
    made = table("CHANNEL", "WHAT", "FOR", "TRIES", "NEXT", right=("TRIES",), fold="WHAT")
    for each in outbox.messages:
        waits = duration((outbox.now - each.created_at).total_seconds())
        what = cell(f"{each.kind}: {each.summary or each.alert}", length_max=300)
        if each.last_error:
            what = Text("\n").join([what, cell(each.last_error, "yellow", 300)])
        made.add_row(
            cell(each.channel, length_max=20),
            what,
            cell(waits),
            cell(str(each.attempts)),
            cell(_in(each.next_try_at, outbox.now) or "now"),
        )
    yield made


def shown_silenced(ordered: SilenceOrdered) -> Iterator[RenderableType]:
    """Say what was silenced, until when, and what that keeps from people now."""
    silence = ordered.silence
    said = " ".join(silence.matchers)
    until = f"{silence.until:%Y-%m-%d %H:%M} UTC"
    yield cell(f"nobody is told of {said} until {until} (id {silence.silence_id})", "", _LINE_MAX)
    for alert in ordered.alerts:
        yield Text.assemble("  ", _named(alert), ": ", cell(alert.summary))


def remarks_on(
    channels: tuple[ChannelStatus, ...], silences: tuple[SilenceStatus, ...], now: datetime
) -> Iterator[RenderableType]:
    """Say what keeps people from being told, for the foot of other tables."""
    for channel in channels:
        if channel.is_mute:
            yield cell(f"channel {channel.channel}: {_state(channel, now)}", "yellow", _LINE_MAX)
    if silences:
        ends = min(silence.until for silence in silences)
        kept = {key for silence in silences for key in silence.mutes}
        first = ", the first" if len(silences) > 1 else ""
        of = count(len(kept), "alert", "alerts") if kept else "nothing now"
        yield cell(
            f"{count(len(silences), 'silence', 'silences')}{first} until {ends:%Y-%m-%d %H:%M} UTC,"
            f" of {of}: keeper alerts",
            "yellow",
        )


def _alerts(page: AlertPage) -> Table:
    named = {alert.key: alert for alert in page.alerts}
    until = {silence.silence_id: silence.until for silence in page.silences}
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for alert in page.alerts:
        lasts = duration((page.now - alert.since).total_seconds())
        lines = [
            Text.assemble(_named(alert, "bold"), (f", for {lasts}{_cost(alert)}", "dim")),
            cell(f"{alert.summary}: {alert.why}" if alert.why else alert.summary, "", _LINE_MAX),
        ]
        if alert.needs_human:
            lines.append(Text.assemble(("You: ", "bold"), cell(alert.needs_human, "", _LINE_MAX)))
        became = _became(alert, page.now, named, until, _lost_by(alert, page.channels))
        lines.append(cell(became, "dim", _LINE_MAX))
        style = "dim" if alert.is_quiet else STYLE[alert.severity]
        made.add_row(cell(alert.severity.value, style), Text("\n").join(lines))
    return made


def _named(alert: AlertStatus, style: str = "") -> Text:
    where = f" {alert.slot or alert.stream}" if alert.slot or alert.stream else ""
    return cell(f"{alert.name}{where}", style)


def _cost(alert: AlertStatus) -> str:
    return f", ${alert.dollars:.2f}" if alert.dollars >= 0.01 else ""  # noqa: PLR2004 - a cent


def _lost_by(alert: AlertStatus, channels: tuple[ChannelStatus, ...]) -> str:
    """Name the channels that have lost a message since this was told, and have taken none after."""
    told_at = alert.told_at
    return " and ".join(
        each.channel
        for each in channels
        if told_at is not None
        and each.dropped
        and each.last_dropped_at is not None
        and each.last_dropped_at >= told_at
    )


def _became(
    alert: AlertStatus,
    now: datetime,
    named: dict[str, AlertStatus],
    until: dict[str, datetime],
    lost_by: str,
) -> str:
    """Say who was told when, what keeps it quiet, and who will be told again."""
    told = "not told to anybody"
    if alert.told_at is not None:
        told = f"told {rough((now - alert.told_at).total_seconds())} ago"
        if alert.waiting_for:
            told += f", but {' and '.join(alert.waiting_for)} did not take all of it yet"
        if lost_by:
            told += f"; messages since then to {lost_by} are lost"
    if alert.silenced_by:
        ends = until.get(alert.silenced_by)
        return f"{told}; silenced by {alert.silenced_by}" + (
            f" until {ends:%Y-%m-%d %H:%M} UTC" if ends is not None else ""
        )
    if alert.muted_by:
        louder = named.get(alert.muted_by)
        says = _named(louder).plain if louder is not None else alert.muted_by
        return f"{told}; {says} says it already"
    if alert.repeat_at is not None:
        whom = f" to {', '.join(alert.repeat_to)}" if alert.repeat_to else ", but to no channel"
        return f"{told}; again in {_in(alert.repeat_at, now) or 'a moment'}{whom}"
    return told if alert.told_at is not None else f"{told} yet"


def _channels(channels: tuple[ChannelStatus, ...], now: datetime) -> Table:
    made = table("CHANNEL", "KIND", "WAITING", "STATE", right=("WAITING",), fold="STATE")
    for each in channels:
        made.add_row(
            cell(each.channel, length_max=24),
            cell(each.kind, length_max=14),
            cell(str(each.pending) if each.pending else "-"),
            cell(_state(each, now), "yellow" if each.is_mute else "", _LINE_MAX),
        )
    return made


def _state(channel: ChannelStatus, now: datetime) -> str:
    if channel.off_since is not None:
        lasts = duration((now - channel.off_since).total_seconds())
        cure = f"try it: keeper alerts test {channel.channel}"
        return f"off for {lasts}: {channel.off_why or 'it wants no more'}; {cure}"
    if channel.dropped:
        lost = count(channel.dropped, "message is lost", "messages are lost")
        ago = ""
        if channel.last_dropped_at is not None:
            ago = f", the last {rough((now - channel.last_dropped_at).total_seconds())} ago"
        waits = f"; {channel.pending} more wait" if channel.pending else ""
        return f"{lost}{ago}: {channel.dropped_why}{waits}; try it: keeper alerts test {channel.channel}"
    if channel.pending:
        waits = f"{count(channel.pending, 'message waits', 'messages wait')}"
        return f"{waits}: {channel.last_error}" if channel.last_error else waits
    return "on"


def _silences(silences: tuple[SilenceStatus, ...], now: datetime) -> Table:
    made = table("SILENCE", "ENDS IN", "BY", "OF", fold="OF")
    for each in silences:
        lines = [cell(" ".join(each.matchers), "", _LINE_MAX)]
        if each.reason:
            lines.append(cell(each.reason, "dim"))
        kept = ", ".join(each.mutes[:_MUTES_MAX])
        more = len(each.mutes) - _MUTES_MAX
        kept += f" and {more} more" if more > 0 else ""
        lines.append(cell(f"keeps quiet: {kept}" if kept else "keeps quiet of nothing now", "dim"))
        made.add_row(
            cell(each.silence_id),
            cell(_in(each.until, now) or "-"),
            cell(each.actor, length_max=20),
            Text("\n").join(lines),
        )
    return made


def _in(at: datetime | None, now: datetime) -> str:
    """Say how long it is until then; "": it has come, or never will."""
    left_s = 0.0 if at is None else (at - now).total_seconds()
    return duration(left_s) if left_s > 0 else ""
