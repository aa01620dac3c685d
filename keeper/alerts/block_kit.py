"""Slack's Block Kit: the blocks that keeper uses, within their limits, and its markup, escaped.

Facts are from Slack's documentation of Block Kit and of formatting text (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keeper.alerts.inert import inert, pieces

Block = dict[str, Any]

# Text of a section holds 3,000 characters, a field 2,000, and ten fields at most; a message 50 blocks. All
# blocks together are refused (msg_blocks_too_long) from somewhat above 13,000 characters, which is in no
# list of limits (slackapi/bolt-js issue 2509, read 2026-11).
SECTION_MAX = 2900
URL_MAX = 3000  # of a button
_FIELD_MAX = 700
_ORDER_MAX = 500
_ORDER_MARKED_MAX = 900


def section(text: str) -> Block:
    """Show markup; whatever of it is not ours is escaped already."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def fields(rows: Mapping[str, str]) -> list[Block]:
    """Show short texts side by side, each under its name."""
    shown = [
        {"type": "mrkdwn", "text": f"*{name}*\n{escape(text, _FIELD_MAX)}", "verbatim": True}
        for name, text in rows.items()
    ]
    return [{"type": "section", "fields": shown}] if shown else []


def buttons(urls: Mapping[str, str]) -> list[Block]:
    """Show a row of buttons, each of which opens an address."""
    shown = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": label, "emoji": False},
            "url": url,
        }
        for label, url in urls.items()
    ]
    return [{"type": "actions", "elements": shown}] if shown else []


def context(text: str) -> Block:
    """Show small print. Not verbatim: an address in it, which is ours, becomes a link."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def link(url: str, text: str) -> str:
    """Make a link of an address of ours."""
    return f"<{entities(url).replace('|', '%7C')}|{text}>"


def commands(text: str) -> str:
    """Escape keeper's own advice, but keep what it writes in backticks as code."""
    marked = _marked(text, _ORDER_MAX)
    return marked if len(marked) <= _ORDER_MARKED_MAX else _marked(text, _ORDER_MARKED_MAX // 6)


def _marked(text: str, length_max: int) -> str:
    return "".join(
        f"`{entities(part)}`" if is_code else entities(part)
        for part, is_code in pieces(text, length_max)
    )


def escape(text: str, length_max: int = 1900) -> str:
    """Make text inert in Slack: no controls, no entities, no markup, no mentions.

    Slack wants ``&``, ``<`` and ``>`` as entities; formatting characters cannot be escaped at all,
    so they are replaced by look-alikes or left out.
    """
    flat = inert(text, length_max)
    escaped = entities(flat)
    # Entities are up to five characters; a message that is too long is refused as a whole.
    return escaped if len(escaped) <= length_max else entities(flat[: length_max // 5])


def entities(text: str) -> str:
    """Write what Slack's markup begins with as entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
