"""Finds what a person named on the command line among what is declared, or says what there is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.core.model import Desired, SlotId, Stream, is_spare


def stream_named(desired: Desired, name: str) -> Stream:
    """Return the declared stream. Raises Stopped (not found) with the nearest name."""
    for stream in desired.streams:
        if stream.name == name:
            return stream
    raise _unknown("stream", name, [str(stream.name) for stream in desired.streams])


def stream_named_in(names: Iterable[str], name: str) -> str:
    """Return the name if it is one of these. Raises Stopped (not found) with the nearest one."""
    known = sorted(names)
    if name in known:
        return name
    raise _unknown("stream", name, known)


def slot_named(slots: Iterable[str], name: str) -> SlotId:
    """Return the slot of this name; a stream's name will do where it has a single slot."""
    known = sorted(slots)
    if name in known:
        return SlotId(name)
    of_stream = [
        slot for slot in known if slot.rpartition("/")[0] == name and not is_spare(SlotId(slot))
    ]
    if len(of_stream) == 1:
        return SlotId(of_stream[0])
    if of_stream:
        message = f"stream {name!r} has {len(of_stream)} slots: say which one"
        raise Stopped(ExitCode.USAGE, message, ", ".join(of_stream))
    raise _unknown("slot", name, known)


def _unknown(what: str, name: str, known: list[str]) -> Stopped:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    cure = f"there are: {', '.join(known)}" if known else f"no {what} is declared"
    return Stopped(ExitCode.NOT_FOUND, f"there is no {what} {name!r}{hint}", cure)
