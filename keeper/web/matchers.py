"""What an operator wrote of the alerts to be silenced, read and checked. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from keeper.alerts import Severity
from keeper.alerts.rules import RULES, firing
from keeper.core.model import stream_of
from keeper.core.silences import FIELDS, Matcher
from keeper.core.text import plain
from keeper.core.world import Snapshot


class NotUnderstood(Exception):
    """What was written names nothing; ``cure`` says what may have been meant."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what)
        self.cure = cure


def read_matchers(written: Iterable[str], snapshot: Snapshot) -> tuple[Matcher, ...]:
    """Read FIELD=PATTERN and names of alerts. Raises NotUnderstood.

    A name without ``*`` and ``?`` must be one that there is: a silence with a slip of the pen keeps
    quiet about nothing, and somebody relies on it.
    """
    known = _known(snapshot)
    found: dict[str, Matcher] = {}
    for text in written:
        matcher = _matcher(text.strip(), known)
        before = found.get(matcher.field)
        if before is not None and before != matcher:
            raise NotUnderstood(
                f"{before} and {matcher} cannot both be so",
                "all matchers of a silence must hold: give two silences, or use * and ?",
            )
        found[matcher.field] = matcher
    return tuple(found.values())


def _matcher(text: str, known: Mapping[str, frozenset[str]]) -> Matcher:
    field, is_given, pattern = text.partition("=")
    if not is_given:
        field, pattern = "alert", text
    shown = plain(text, 100)
    if field not in FIELDS:
        near = _nearest(field, FIELDS)
        cure = f"did you mean {near}={plain(pattern, 100)}?" if near else _FORMS
        raise NotUnderstood(f"alerts have no {plain(field, 40)!r}", cure)
    if not pattern or not pattern.isprintable():
        raise NotUnderstood(f"{shown!r} says nothing of the {field}", _FORMS)
    if _is_pattern(pattern) or pattern in known[field]:
        return Matcher(field=field, pattern=pattern)
    if not is_given:
        # A word alone names an alert; who wrote a stream, a slot or a severity is told how.
        for other in ("slot", "stream", "severity"):
            if pattern in known[other]:
                raise NotUnderstood(f"there is no alert {shown!r}", f"did you mean {other}={text}?")
    near = _nearest(pattern, known[field])
    said = f"{field}={near}" if is_given else near
    cure = f"did you mean {said}?" if near else f"one of: {_some(known[field])}; or use * and ?"
    raise NotUnderstood(f"there is no {field} {plain(pattern, 100)!r}", cure)


_FORMS = (
    "write alert=NAME, stream=NAME, slot=STREAM/REPLICA, severity=critical, or key=KEY for one alert alone;"
    " * and ? stand for letters"
)


def _known(snapshot: Snapshot) -> Mapping[str, frozenset[str]]:
    slots = frozenset(
        {str(slot) for slot in snapshot.records}
        | {str(slot) for stream in snapshot.desired.streams for slot in stream.slots}
    )
    declared = frozenset(str(stream.name) for stream in snapshot.desired.streams)
    return {
        "alert": frozenset(RULES),
        "stream": declared | {str(stream_of(slot)) for slot in snapshot.records},
        "slot": slots,
        "severity": frozenset(each.value for each in Severity),
        "key": frozenset(alert.key for alert in firing(snapshot, snapshot.at)),
    }


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _nearest(text: str, known: Iterable[str]) -> str:
    by_letters = {each.casefold(): each for each in sorted(known)}
    close = difflib.get_close_matches(text[:100].casefold(), by_letters, n=1)
    return by_letters[close[0]] if close else ""


def _some(known: Iterable[str]) -> str:
    names = sorted(known)
    more = ", …" if len(names) > 8 else ""  # noqa: PLR2004 - what a line holds
    return ", ".join(names[:8]) + more
