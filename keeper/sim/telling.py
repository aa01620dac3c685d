"""Shows the messages of a simulated run as the people on call got them, and what they amount to."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from keeper.sim.notices import FIRING, REPEAT
from keeper.sim.told import Tally
from keeper.sim.troubles import GROUP_WAIT_S
from keeper.sim.universe import Message

_WIDTH = 80
_INDENT = " " * 11


def lines_of(messages: Iterable[Message]) -> Iterator[str]:
    """Yield the messages in the order of arrival, each once; follow-ups stand under what they follow."""
    known: set[str] = set()
    for message in messages:
        data = json.loads(message.body)["data"]
        if data["notice_id"] in known:
            continue
        known.add(data["notice_id"])
        at = datetime.fromtimestamp(message.at, UTC)
        is_call = data["kind"] in {FIRING, REPEAT}
        stamp = f"{at:%a %H:%M}  " + ("" if is_call else "  ")
        page = "(page) " if data["is_page"] else ""
        yield from textwrap.wrap(
            page + str(data["headline"]),
            _WIDTH,
            initial_indent=stamp,
            subsequent_indent=_INDENT if is_call else f"{_INDENT}  ",
        )


def sentence(told: Tally) -> str:
    """Say what a person heard, in one paragraph."""
    calls = (
        f"{told.messages} messages for {told.incidents} real incidents, {told.ratio:.2f} for each;"
        f" {told.pages} of them were pages, and {told.follow_ups} follow-ups and ends stood under them."
    )
    vain = (
        f"{len(told.hasty)} were about what was over within {GROUP_WAIT_S:.0f} s,"
        f" {len(told.twice)} about what another one had told, {len(told.unfounded)} about nothing that"
        " the simulator knows of."
    )
    missed = (
        f"Of what only a person could end, {len(told.unpaged)} paged nobody, and"
        f" {len(told.paged_again)} paged somebody twice."
    )
    return "\n".join(textwrap.wrap(f"{calls} {vain} {missed}", _WIDTH))


def numbers(told: Tally) -> dict[str, Any]:
    """Return the same for a machine."""
    return {
        "messages": told.messages,
        "incidents": told.incidents,
        "ratio": round(told.ratio, 3),
        "pages": told.pages,
        "follow_ups": told.follow_ups,
        "hasty": len(told.hasty),
        "twice": len(told.twice),
        "unfounded": len(told.unfounded),
        "unpaged": len(told.unpaged),
        "paged_again": len(told.paged_again),
    }


def show(messages: Iterable[Message], told: Tally) -> None:
    """Print both, where people read."""
    for line in lines_of(messages):
        print(line, file=sys.stderr)
    print(f"\n{sentence(told)}", file=sys.stderr, flush=True)
