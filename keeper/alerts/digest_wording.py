"""The week in numbers, in words and as a table of plain text. What a channel adds is its own markup.

Names of streams are the operator's and fit a pattern; nothing in it comes from hosts.
"""

from __future__ import annotations

from collections.abc import Sequence

from keeper.alerts.wording import count, duration
from keeper.core.digest import Digest, StreamWeek

_STREAMS_SHOWN = 20
_NAME_MAX = 20


def figures(digest: Digest) -> str:
    """Say the week of the whole fleet in a line."""
    needed = (
        "nobody was needed"
        if not digest.people_needed
        else f"{digest.people_needed} needed a person"
    )
    return (
        f"{count(digest.incidents, 'incident', 'incidents')}, {needed}; "
        f"{count(digest.messages, 'message', 'messages')}; ${digest.dollars:.2f} spent"
    )


def period(digest: Digest) -> str:
    """Say which week it is, in UTC."""
    return f"{digest.since:%Y-%m-%d %H:%M} to {digest.until:%Y-%m-%d %H:%M} UTC"


def table(digest: Digest) -> str:
    """Lay the streams out in columns, the one that was dark for longest first. Bounded."""
    if not digest.streams:
        return "no stream was declared"
    streams = sorted(digest.streams, key=lambda each: (-each.dark_s, each.stream))
    rows: list[tuple[str, ...]] = [
        ("stream", "on air", "dark", "longest", "picture in", "$/good h", "$")
    ]
    rows += [_row(each) for each in streams[:_STREAMS_SHOWN]]
    left = len(streams) - _STREAMS_SHOWN
    return _columns(rows) + (
        f"\nand {count(left, 'more stream', 'more streams')}" if left > 0 else ""
    )


def stream_lines(digest: Digest) -> list[str]:
    """Say each stream in a line, for where columns would not stand under one another. Bounded."""
    streams = sorted(digest.streams, key=lambda each: (-each.dark_s, each.stream))
    said = [_sentence(each) for each in streams[:_STREAMS_SHOWN]]
    left = len(streams) - _STREAMS_SHOWN
    return said + ([f"and {count(left, 'more stream', 'more streams')}"] if left > 0 else [])


def machine_lines(digest: Digest) -> list[str]:
    """Say what the worst machines have cost in trouble."""
    return [
        f"machine {each.machine_id}: {count(each.failures, 'failure', 'failures')}, "
        f"dark for {duration(each.dark_s)}, ${each.dollars:.2f}"
        for each in digest.worst_machines
    ]


def share(ratio: float | None) -> str:
    """Say a share of time, rounded down: what was dark for a minute was not on air all the time."""
    return "unknown" if ratio is None else f"{int(ratio * 10_000) / 100:.2f} %"


def _row(each: StreamWeek) -> tuple[str, ...]:
    hourly = each.dollars_per_good_hour
    return (
        each.stream if len(each.stream) <= _NAME_MAX else each.stream[: _NAME_MAX - 1] + "…",
        share(each.uptime_ratio),
        duration(each.dark_s) if each.dark_s else "never",
        duration(each.longest_dark_s) if each.longest_dark_s else "-",
        "-" if each.time_to_picture_s is None else duration(each.time_to_picture_s),
        "-" if hourly is None else f"{hourly:.2f}",
        f"{each.dollars:.2f}",
    )


def _sentence(each: StreamWeek) -> str:
    dark = f"dark for {duration(each.dark_s)}" if each.dark_s else "never dark"
    hourly = each.dollars_per_good_hour
    cost = "" if hourly is None else f", ${hourly:.2f} an hour of good picture"
    return f"{each.stream}: on air {share(each.uptime_ratio)}, {dark}, ${each.dollars:.2f}{cost}"


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
