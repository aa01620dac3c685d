"""What viewers saw, in a terminal: a verdict, what was measured, and half an hour in thirty signs. Pure.

Trouble is a letter, so that it is seen without colours too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.text import Text

from keeper.cli.terminal import cell, duration, table
from keeper.core.strip import by_minute
from keeper.core.viewing import Verdict
from keeper.web.drawing import measured, word
from keeper.web.objective import in_words, tone_of
from keeper.web.shapes import SlotStatus, StreamStatus
from keeper.web.tone import Tone
from keeper.web.view_shapes import RunStatus, ViewStatus

_MINUTES = 30
# The sign of a minute: what is well, or not known, is drawn low, and has another sign without Unicode.
_SIGN: Final[Mapping[Verdict | None, str]] = {
    Verdict.LIVE: "━",
    Verdict.STATIC: "─",
    Verdict.UNKNOWN: "?",
    Verdict.STUTTERING: "~",
    Verdict.SILENT: "S",
    Verdict.WRONG: "W",
    Verdict.BLACK: "B",
    Verdict.FROZEN: "F",
    Verdict.CORRUPT: "C",
    Verdict.NO_BYTES: "N",
    Verdict.UNREACHABLE: "U",
    None: "x",
}
_NOT_KNOWN = "·"
_PLAIN = str.maketrans("━─·", "=-.")
_STYLE: Final[Mapping[Verdict | None, str]] = {
    Verdict.LIVE: "green",
    Verdict.STATIC: "cyan",
    Verdict.UNKNOWN: "dim",
    Verdict.STUTTERING: "yellow",
    Verdict.SILENT: "yellow",
    Verdict.WRONG: "yellow",
}
_BAD = "bold red"
_KEPT: Final[Mapping[Tone, str]] = {Tone.WARN: "yellow", Tone.BAD: "bold red"}
_GAP = 2


class StripLine:
    """Half an hour, a sign a minute, the newest at the right."""

    def __init__(self, runs: Sequence[RunStatus], now: datetime) -> None:
        self.minutes = by_minute(runs, now)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Draw it, with the signs that the terminal has."""
        del console
        line = Text(no_wrap=True)
        for (sign, style), alike in groupby(_sign(seen) for seen in self.minutes):
            drawn = sign * len(list(alike))
            line.append(drawn.translate(_PLAIN) if options.ascii_only else drawn, style=style)
        yield line

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """It is never folded."""
        del console, options
        return Measurement(_MINUTES, _MINUTES)


def shown_views(slots: Iterable[SlotStatus], now: datetime, width: int) -> Iterator[RenderableType]:
    """Show what viewers of some slots see, a row each; nothing where nobody has looked."""
    views = [(slot.slot, slot.view) for slot in slots if slot.view is not None]
    if not any(view.strip for _, view in views):
        return
    rows = [(cell(name), *_seen(view, now)) for name, view in views]
    numbers = _columns(views)
    needed = sum(max(4, *(row[index].cell_len for row in rows)) + _GAP for index in range(3))
    needed += _MINUTES
    while numbers and needed + sum(_GAP + _wide(*each) for each in numbers.items()) > width:
        numbers.popitem()
    made = table("SLOT", "SEEN", "FOR", "LAST 30 MIN", *numbers, right=("FOR", *numbers))
    lines = [StripLine(view.strip, now) for _, view in views]
    for index, (row, line) in enumerate(zip(rows, lines, strict=True)):
        made.add_row(*row, line, *(cell(column[index]) for column in numbers.values()))
    yield Text()
    yield made
    if said := key_of(lines):
        yield said


def shown_streams(streams: Iterable[StreamStatus]) -> Iterator[RenderableType]:
    """Say how each stream has kept its objective, of which anything is known, and how its slate is."""
    for stream in streams:
        if stream.objective is not None:
            style = _KEPT.get(tone_of(stream.objective), "")
            yield cell(f"{stream.stream}: a picture for {in_words(stream.objective)}", style)
        if stream.slate:
            yield cell(f"{stream.stream}: {stream.slate}", "yellow")


def told_view(view: ViewStatus, now: datetime) -> Text:
    """Say what viewers see, since when, and what was measured."""
    if view.since is None:
        return cell("nobody has looked")
    verdict, since = _seen(view, now)
    numbers = ", ".join(measured(view.numbers))
    return Text.assemble(verdict, " for ", since, cell(f": {numbers}" if numbers else ""))


def key_of(lines: Iterable[StripLine]) -> Text | None:
    """Say what the letters in some strips mean; None: there are none."""
    seen = {minute[0] for line in lines for minute in line.minutes if minute}
    seen -= {Verdict.LIVE, Verdict.STATIC}
    said = ", ".join(
        f"{sign} {word(verdict)}" for verdict, sign in _SIGN.items() if verdict in seen
    )
    return cell(said, "dim") if said else None


def _sign(seen: tuple[Verdict | None, ...]) -> tuple[str, str]:
    return (_SIGN[seen[0]], _STYLE.get(seen[0], _BAD)) if seen else (_NOT_KNOWN, "dim")


def _seen(view: ViewStatus, now: datetime) -> tuple[Text, Text]:
    if view.since is None:
        return cell("-"), cell("-")
    since = duration((now - view.since).total_seconds())
    return cell(word(view.verdict), _STYLE.get(view.verdict, _BAD)), cell(since)


def _columns(views: Sequence[tuple[str, ViewStatus]]) -> dict[str, list[str]]:
    """Return the columns of numbers that anybody has, the most telling first."""
    found: dict[str, list[str]] = {}
    for heading, name, scale, unit in (
        ("KBIT/S", "bitrate_bps", 0.001, ""),
        ("SOUND", "sound_dbfs", 1.0, "dB"),
        ("BEHIND", "latency_s", 1.0, "s"),
    ):
        numbers = [view.numbers.get(name) for _, view in views]
        if any(number is not None for number in numbers):
            found[heading] = [
                "-" if number is None else f"{number * scale:,.0f}{unit}" for number in numbers
            ]
    return found


def _wide(heading: str, column: list[str]) -> int:
    return max(len(heading), *(len(each) for each in column))
