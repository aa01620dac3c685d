"""Half an hour of what viewers saw, drawn for a page and told in words. Pure.

Trouble stands out by its height and not by its colour alone, and everything drawn is also said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from markupsafe import Markup, escape

from keeper.alerts.wording import duration
from keeper.core.strip import GRAVITY, SPAN
from keeper.core.text import plain
from keeper.core.viewing import Verdict
from keeper.web.shapes import StreamStatus
from keeper.web.view_shapes import RunStatus, ViewStatus

_SPAN_S = int(SPAN.total_seconds())
_HEIGHT = 12
# One bad look lasts ten seconds, which are less than two points of a narrow card.
_MARK_MIN_S = 12
_LOW: Mapping[Verdict | None, int] = {Verdict.LIVE: 6, Verdict.STATIC: 6, Verdict.UNKNOWN: 4}
_DRAWN_MAX = 400


_WORD: Mapping[Verdict | None, str] = {
    None: "no host",
    **{verdict: verdict.replace("_", " ") for verdict in Verdict},
}
_TOKEN = {verdict: f"v-{said.replace(' ', '-')}" for verdict, said in _WORD.items()}


def word(verdict: Verdict | None) -> str:
    """Say a verdict as people do."""
    return _WORD[verdict]


def token(verdict: Verdict | None) -> str:
    """Name a verdict for a style sheet."""
    return _TOKEN[verdict]


def strip_svg(runs: Sequence[RunStatus], now: datetime, whose: str) -> Markup:
    """Draw the last half hour, the newest at the right."""
    said = escape(f"{plain(whose, 200)}, the last 30 minutes: {in_words(runs, now)}")
    drawn = "".join(_rect(*each, now) for each in _spans(runs[-_DRAWN_MAX:], now))
    # But for the name, which is escaped, all words and numbers in it are our own: to escape each of them
    # took as long as all the rest of the page.
    return Markup(  # noqa: S704
        f'<svg class="strip" viewBox="0 0 {_SPAN_S} {_HEIGHT}" preserveAspectRatio="none" role="img"'
        f' aria-label="{said}">{drawn}</svg>'
    )


def _rect(run: RunStatus, since: datetime, until: datetime, now: datetime) -> str:
    left = (since - now + SPAN).total_seconds()
    wide = max((until - since).total_seconds(), _MARK_MIN_S)
    high = _LOW.get(run.verdict, _HEIGHT)
    lasts = duration((until - run.since).total_seconds())
    began = f"{run.since.hour:02}:{run.since.minute:02}:{run.since.second:02}"
    return (
        f'<rect class="{token(run.verdict)}" x="{min(left, _SPAN_S - wide):.0f}" y="{_HEIGHT - high}"'
        f' width="{wide:.0f}" height="{high}"><title>{word(run.verdict)} from {began}, {lasts}'
        "</title></rect>"
    )


def chip(view: ViewStatus | None, now: datetime) -> Markup:
    """Draw the verdict of the latest look and since when; nothing where there is none."""
    if view is None or view.verdict is None or view.since is None:
        return Markup()
    ago = duration((now - view.since).total_seconds())
    return Markup(  # noqa: S704 - our own words and numbers
        f'<span class="seen"><i class="mark {token(view.verdict)}" aria-hidden="true"></i>'
        f'{word(view.verdict)} <time datetime="{view.since.isoformat()}" data-since>{ago}</time></span>'
    )


def in_words(runs: Sequence[RunStatus], now: datetime) -> str:
    """Say how long what was seen in the last half hour, the longest first."""
    lasted: dict[Verdict | None, float] = {}
    for run, since, until in _spans(runs, now):
        lasted[run.verdict] = lasted.get(run.verdict, 0.0) + (until - since).total_seconds()
    longest = sorted(lasted.items(), key=lambda each: -each[1])
    said = ", ".join(f"{word(verdict)} {duration(seconds)}" for verdict, seconds in longest)
    return said or "nobody has looked"


def measured(numbers: Mapping[str, float]) -> tuple[str, ...]:
    """Say what a look has measured, as far as viewers would ask for it."""
    said = []
    if (frames := numbers.get("unique_frames_per_s")) is not None:
        said.append(f"{frames:.0f} fps" if frames >= 10 else f"{frames:.1f} fps")  # noqa: PLR2004
    if (bits := numbers.get("bitrate_bps")) is not None:
        said.append(f"{bits / 1000:,.0f} kbit/s")
    if (sound := numbers.get("sound_dbfs")) is not None:
        said.append(f"sound {sound:.0f} dB")
    if (behind := numbers.get("latency_s")) is not None:
        said.append(f"{behind:.1f} s behind live")
    return tuple(said)


def legend(streams: Iterable[StreamStatus]) -> tuple[Verdict | None, ...]:
    """Return which verdicts can be seen on a page, the lightest first."""
    seen = {
        run.verdict
        for stream in streams
        for slot in stream.slots
        if slot.view is not None
        for run in slot.view.strip
    }
    return tuple(sorted(seen, key=GRAVITY.__getitem__))


def _spans(
    runs: Sequence[RunStatus], now: datetime
) -> Iterable[tuple[RunStatus, datetime, datetime]]:
    """Return each run with its part of the last half hour."""
    begin = now - SPAN
    ends = (*(run.since for run in runs[1:]), now)
    for run, end in zip(runs, ends, strict=False):  # no run, no end
        since, until = max(run.since, begin), min(end, now)
        if since < until:
            yield run, since, until
