"""The one human page: rendered here, escaped by default, kept fresh by sixty lines of script."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import jinja2
from aiohttp import web
from markupsafe import Markup, escape

from keeper.alerts.wording import duration
from keeper.core.events import Level
from keeper.core.text import plain, sold_gb
from keeper.core.windows import ALLOWS
from keeper.ports import Control, JournalEntry
from keeper.web.answers import CONTROL, RUNBOOKS_URL, now_of
from keeper.web.api import event_status
from keeper.web.deploys import news_of
from keeper.web.drawing import chip, legend, measured, strip_svg, token, word
from keeper.web.money import hours
from keeper.web.objective import in_words, tone_of
from keeper.web.shapes import EventStatus, FleetStatus
from keeper.web.spending import SpendStatus, spending_of
from keeper.web.status import status_of
from keeper.web.words import CONDITIONS, LEVELS

_HERE: Final = Path(__file__).parent
# Not what people were told: one channel that refuses would leave no place for what happened.
_EVENTS: Final = frozenset(
    name
    for name, level in LEVELS.items()
    if level != Level.DEBUG and not name.startswith(("notice.", "tick.finished"))
)
_EVENTS_SHOWN = 40
# How many of the newest facts are searched, should fewer not do: 1 ms, 3 ms and 35 ms (2026-11).
_FACTS_SEARCHED = (2_000, 20_000, 200_000)
_ASSETS: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def _finalize(value: Any) -> Any:  # noqa: ANN401 - whatever a template prints
    """Show control characters as text, wherever they come from; None prints nothing."""
    if value is None:
        return ""
    return plain(value, 2000) if type(value) is str else value


def _ago(at: datetime, now: datetime) -> str:
    return duration((now - at).total_seconds())


_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_finalize,
)


def _commands(text: str) -> Markup:
    """Show what keeper writes in backticks as code; everything is escaped, markup of others too."""
    parts = plain(text, 2000).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )


_ENVIRONMENT.filters["hours"] = hours
_ENVIRONMENT.filters["chip"] = chip
_ENVIRONMENT.filters["commands"] = _commands
_ENVIRONMENT.filters["ago"] = _ago
_ENVIRONMENT.filters["allows"] = lambda allow: ALLOWS[allow]
_ENVIRONMENT.filters["news"] = news_of
_ENVIRONMENT.filters["measured"] = measured
_ENVIRONMENT.filters["short"] = lambda condition: CONDITIONS.get(condition, str(condition))
_ENVIRONMENT.filters["kept"] = in_words
_ENVIRONMENT.filters["kept_tone"] = tone_of
# Commands are there to be copied, and what a host calls itself may be in one.
_ENVIRONMENT.filters["shell"] = lambda text: shlex.quote(plain(str(text), 300))
_ENVIRONMENT.filters["sold_gb"] = sold_gb
_ENVIRONMENT.filters["strip"] = strip_svg
_ENVIRONMENT.filters["token"] = token
_ENVIRONMENT.filters["verdict"] = word
_ENVIRONMENT.filters["words"] = lambda text: str(text).replace("_", " ")


def render(
    status: FleetStatus | None,
    events: tuple[EventStatus, ...],
    *,
    why_not: str = "",
    spending: SpendStatus | None = None,
) -> str:
    """Write the page. Without a status it says why there is none yet."""
    template = _ENVIRONMENT.get_template("page.html")
    return template.render(
        status=status,
        events=events,
        why_not=why_not,
        spending=spending,
        legend=() if status is None else legend(status.streams),
    )


async def get_page(request: web.Request) -> web.Response:
    """Answer with the page, also while keeper is starting."""
    control = request.app[CONTROL]
    snapshot = control.snapshot()
    if snapshot is None:
        text = render(None, (), why_not=control.not_ready_because() or "looking around")
        return _html(text, 503)
    shown = await _happened(control)
    now = now_of(request)
    spending = spending_of(snapshot, now)
    status = status_of(snapshot, now, control, control, request.app[RUNBOOKS_URL]())
    return _html(render(status, shown, spending=spending))


async def _happened(control: Control) -> tuple[EventStatus, ...]:
    """Read what the page shows of the journal, the newest first."""
    newest = await control.journal(limit=1)
    found: tuple[JournalEntry, ...] = ()
    for searched in _FACTS_SEARCHED:
        after = max(0, newest[-1].seq - searched) if newest else 0
        found = await control.journal(limit=_EVENTS_SHOWN, after_seq=after, events=_EVENTS)
        if len(found) == _EVENTS_SHOWN or not after:
            break
    return tuple(event_status(entry) for entry in reversed(found))


async def get_asset(request: web.Request) -> web.Response:
    """Answer with the style, the script or the icon."""
    name = request.match_info["name"]
    if name not in _ASSETS:
        raise web.HTTPNotFound
    return web.Response(
        body=(_HERE / "static" / name).read_bytes(),
        content_type=_ASSETS[name],
        charset="utf-8",
        headers={"Cache-Control": "no-cache"},
    )


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(
        text=text, status=status, content_type="text/html", headers={"Cache-Control": "no-store"}
    )
