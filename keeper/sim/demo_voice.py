"""How the demo speaks: as a story on a terminal, as one JSON object a line elsewhere.

Every fact belongs to one of four voices: what keeper saw, decided, did, or told people. The same
facts go to both forms; nothing remote reaches a terminal but through ``plain``.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from keeper.core.text import plain
from keeper.sim.demo_acts import Act

_WIDTH_MAX = 100

# The facts worth a line of a story; the rest is on the page and in `keeper events`.
_VOICES: Mapping[str, str] = {
    "stream.dark": "saw",
    "stream.on_air": "saw",
    "market.unreadable": "saw",
    "market.readable": "saw",
    "instance.gone": "saw",
    "instance.rent_uncertain": "saw",
    "workload.deploy_failed": "saw",
    "keeper.killed": "saw",
    "slot.decided": "decided",
    "fuse.tripped": "decided",
    "order.accepted": "asked",
    "instance.rented": "did",
    "instance.adopted": "did",
    "instance.ended": "did",
    "instance.rebooted": "did",
    "workload.deployed": "did",
    "workload.restarted": "did",
    "keeper.started": "did",
}
# Of the decisions only those to act, or not to; waiting is the ordinary state of things.
_DECISIONS = frozenset({"rent", "deploy", "restart", "reboot", "destroy", "hold"})
_COLORS = {
    "saw": "36",
    "decided": "33",
    "did": "32",
    "told": "35",
    "asked": "34",
    "act": "1",
    "bad": "31;1",
}


@dataclass(slots=True, kw_only=True)
class Told:
    """What an act came to."""

    dark_s: dict[str, float] = field(default_factory=dict)


class Voice:
    """Tells the story."""

    def __init__(self, *, as_json: bool, out: TextIO | None = None) -> None:
        self._as_json = as_json
        self._out = out or sys.stdout
        self._act: Act | None = None
        self._told = Told()
        columns = _columns(self._out)
        self._width = min(columns, _WIDTH_MAX)
        is_plain = not self._out.isatty() or bool(os.environ.get("NO_COLOR"))
        self._is_colored = not is_plain and os.environ.get("TERM") != "dumb"

    def say(self, text: str, voice: str = "") -> None:
        """Say something that is no fact of keeper's."""
        if self._as_json:
            self._line({"event": "demo.said", "text": text})
        else:
            self._wrapped(text, voice)

    def begin(self, act: Act) -> None:
        """Raise the curtain."""
        self._act, self._told = act, Told()
        if self._as_json:
            self._line({"event": "demo.act_began", "title": act.title, "broke": act.breaks})
            return
        self._out.write("\n")
        self._wrapped(f"Act {act.number}. {act.title}", "act")
        self._wrapped(f"we break:  {act.breaks}")

    def fact(self, event: Mapping[str, Any]) -> None:
        """Tell one fact of keeper's journal."""
        facts = event.get("facts", {})
        name, slot = str(event["event"]), event.get("slot")
        if name == "stream.on_air" and slot:
            dark_s = float(facts.get("duration_s", 0.0))
            self._told.dark_s[slot] = self._told.dark_s.get(slot, 0.0) + dark_s
        if self._as_json:
            self._line({**facts, "event": name, "slot": slot, "at": event.get("at")})
            return
        voice = _VOICES.get(name)
        if voice is None or (name == "slot.decided" and not _is_worth_telling(facts)):
            return
        text = plain(str(event.get("words", name))).removeprefix("decided to ")
        about = f"{slot}: " if slot and slot not in text else ""
        self._wrapped(f"{voice + ':':<9}{about}{text}", voice)

    def message(self, title: str) -> None:
        """Tell what a person was told by webhook."""
        if self._as_json:
            self._line({"event": "demo.person_was_told", "text": plain(title)})
        else:
            self._wrapped(f"{'told:':<9}{plain(title)}", "told")

    def end(self, dollars: float, failure: str = "") -> None:
        """Let the curtain fall; ``dollars`` is what the act has cost."""
        assert self._act is not None
        dark = {slot: round(dark_s, 1) for slot, dark_s in self._told.dark_s.items()}
        if self._as_json:
            self._line(
                {
                    "event": "demo.act_finished",
                    "title": self._act.title,
                    "dark_s": dark,
                    "dollars": round(dollars, 6),
                    "failure": failure or None,
                }
            )
        else:
            spans = ", ".join(f"{slot} {dark_s:.0f} s" for slot, dark_s in dark.items())
            is_first = self._act.number == 1
            ending = "" if is_first else f" · dark: {spans or 'nobody, ever'}"
            self._wrapped(f"{'spent:':<9}${dollars:.4f}{ending}")
            if failure:
                self._wrapped(f"broken:  {failure}", "bad")
        self._act = None

    def finish(self, promises: Mapping[str, bool], broken: list[str]) -> None:
        """Say what became of the promises."""
        if self._as_json:
            self._line({"event": "demo.finished", "promises": dict(promises), "broken": broken})
            return
        self._out.write("\n")
        self._wrapped("What was promised", "act")
        for promise, is_kept in promises.items():
            mark = "kept  " if is_kept else "BROKEN"
            self._wrapped(f"{mark}   {promise.replace('_', ' ')}", "did" if is_kept else "bad")
        for text in broken:
            self._wrapped(f"         {text}", "bad")

    def _line(self, values: Mapping[str, Any]) -> None:
        slot = values.get("slot")
        line = {
            "at": values.get("at") or datetime.now(UTC).isoformat(),
            "act": self._act.number if self._act else None,
            "event": values["event"],
            "stream": slot.rpartition("/")[0] if slot else values.get("stream"),
            "reason": values.get("reason"),
        }
        rest = {key: value for key, value in values.items() if key not in line}
        self._out.write(orjson.dumps({**line, **rest}, default=str).decode() + "\n")
        self._out.flush()

    def _wrapped(self, text: str, voice: str = "") -> None:
        lines = textwrap.wrap(text, self._width - 2, subsequent_indent=" " * 9) or [""]
        for line in lines:
            colored = f"\x1b[{_COLORS[voice]}m{line}\x1b[0m" if self._colors(voice) else line
            self._out.write(f"  {colored}\n" if voice != "act" else f"{colored}\n")
        self._out.flush()

    def _colors(self, voice: str) -> bool:
        return self._is_colored and voice in _COLORS


def _is_worth_telling(facts: Mapping[str, Any]) -> bool:
    return facts["decision"] in _DECISIONS and facts["reason"] != "starting_up"


def _columns(out: TextIO) -> int:
    try:
        return os.get_terminal_size(out.fileno()).columns
    except (OSError, ValueError):
        return 80
