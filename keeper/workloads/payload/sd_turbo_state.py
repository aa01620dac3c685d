"""What the server knows of itself: the newest picture, the prompt, its errors and their kinds.

Shared between the thread that draws and those that serve. Nothing here waits, draws or serves; what
/healthz says is composed here, in full for people and in brief for keeper.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROMPT_MAX = 200
RATE_WINDOW_S = 10.0
RATE_MIN_S = 2.0
REQUEST_ERRORS_WINDOW_S = float(os.environ.get("REQUEST_ERRORS_WINDOW_S") or 300)
TEXT_MAX = 300
CHAIN_MAX = 10

# What errors say (from the libraries' sources and issue threads, read 2026-11), the surest first.
KINDS = (
    ("no_kernel", ("no kernel image is available",)),
    ("imports", ("not compiled with cuda",)),  # the build of torch for processors alone
    ("numpy", ("compiled using numpy 1.x", "numpy is not available", "_array_api not found")),
    ("driver", ("driver version is insufficient", "nvidia driver on your system is too old")),
    ("out_of_memory", ("out of memory",)),
    (
        "gpu_lost",
        (
            "no cuda-capable device", "no cuda gpus are available", "found no nvidia driver",
            "device is not available", "unspecified launch failure", "gpu is lost",
            "illegal memory access", "uncorrectable", "device-side assert", "busy or unavailable",
            "unknown error",
        ),
    ),
    ("disk_full", ("no space left", "disk quota")),
    ("port_in_use", ("address already in use",)),
    ("refused", ("gated repo", "401 client error", "403 client error", "repository not found")),
    (
        "download",
        (
            "couldn't connect", "cannot connect", "connection error", "max retries", "timed out",
            "429 client error", "too many requests", "name resolution", "5xx", "503 server error",
            "can't load", "cannot find the requested files", "localentrynotfound", "couldn't find",
        ),
    ),
    ("refused", ("does not appear to have a file named",)),  # and was not lost on the way
    ("black", ("picture is black",)),
)


class Failed(RuntimeError):
    """The backend says itself what kind of failure it was."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def kind_of(error: BaseException) -> str:
    """Name the kind of an error by what it says; "other" when nobody knows it."""
    known = getattr(error, "kind", None)
    if isinstance(known, str):
        return known
    # The libraries wrap one error in another, and the outermost may say least: diffusers calls a file
    # that could not be fetched one that does not exist.
    said: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(said) < CHAIN_MAX:
        said.append(f"{type(seen).__name__}: {seen}".lower())
        seen = seen.__cause__ or seen.__context__
    text = "\n".join(said)
    for kind, marks in KINDS:
        if any(mark in text for mark in marks):
            return kind
    if getattr(error, "errno", None) == errno.EADDRINUSE:
        return "port_in_use"
    return "imports" if isinstance(error, (ImportError, SyntaxError)) else "other"


def say(text: str) -> None:
    """Write a line of the log at once: a buffered log hid eight seconds of errors in the original."""
    sys.stdout.write(f"{text}\n")  # in one piece: two threads may speak at once
    sys.stdout.flush()


class Prompt:
    """What is to be drawn. It survives the process in a file, unless the operator's own has changed."""

    def __init__(self, initial: str, declared: str, file: Path) -> None:
        self._file = file
        self._declared = declared
        self._lock = threading.Lock()
        self.text = self._kept() or initial
        self.changed_at: float | None = None  # since when it waits for its first picture

    def change(self, text: str) -> None:
        """Take a viewer's wish."""
        with self._lock:
            if text != self.text:
                self.text, self.changed_at = text, time.monotonic()
            self._keep(text)

    def drawn(self, text: str) -> None:
        """Note that a picture of it is out."""
        with self._lock:
            if text == self.text:
                self.changed_at = None

    def waited_s(self) -> float:
        """Say for how long the newest wish has been waiting for its first picture."""
        since = self.changed_at
        return 0.0 if since is None else time.monotonic() - since

    def _kept(self) -> str:
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8")[: 8 * PROMPT_MAX])
            is_ours = kept["declared"] == self._declared
            return str(kept["prompt"])[:PROMPT_MAX] if is_ours else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _keep(self, text: str) -> None:
        made = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            made.write_text(json.dumps({"declared": self._declared, "prompt": text}), encoding="utf-8")
            made.replace(self._file)
        except OSError as error:  # a full disk must not take the stream with it
            say(f"[prompt] could not be kept: {error}")


class Stream:
    """The newest picture, and what is known of how it came to be. Shared between all threads."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.prompt = Prompt(options.prompt, options.declared_prompt, Path(options.prompt_file))
        self.fresh = threading.Condition()
        self.newest: bytes | None = None
        self.number = 0
        self.phase = "loading"
        self.note = ""  # what a person should know: eager mode, for one
        # Raise where the handlers are to be broken on purpose.
        self.check_prompt: Callable[[str], None] = lambda _: None
        self.check_page: Callable[[], None] = lambda: None
        self.generation_s = 0.0
        self.errors = self.errors_in_a_row = self.viewers = 0
        self.last_error: tuple[str, str, float] | None = None
        self.request_errors: deque[float] = deque(maxlen=100)
        self.prompt_errors: deque[float] = deque(maxlen=100)
        self.began_at = time.monotonic()
        self.drawn_at: float | None = None
        self.first_at: float | None = None
        self._times: deque[float] = deque(maxlen=1000)

    def publish(self, frame: bytes, drawn_s: float) -> None:
        """Show a new picture."""
        with self.fresh:
            self.newest, self.drawn_at = frame, time.monotonic()
            self.number += 1
            self.first_at = self.first_at or self.drawn_at
            self._times.append(self.drawn_at)
            # Smoothed over about ten pictures; the very first holds the compiling and says nothing.
            is_early = self.number <= 2
            self.generation_s = drawn_s if is_early else 0.9 * self.generation_s + 0.1 * drawn_s
            self.phase, self.errors_in_a_row = "generating", 0
            self.fresh.notify_all()

    def clear(self) -> None:
        """Have no picture at all."""
        with self.fresh:
            self.newest = None

    def fail(self, kind: str, text: str) -> None:
        """Count an error."""
        self.errors += 1
        self.errors_in_a_row += 1
        self.last_error = (kind, text[:TEXT_MAX], time.monotonic())

    def rate(self) -> float:
        """Return new pictures a second, over the last few; 0 in the first moments."""
        now = time.monotonic()
        recent = [at for at in list(self._times) if at > now - RATE_WINDOW_S]
        drawn_for_s = 0.0 if self.first_at is None else now - self.first_at
        # Too early to tell is not slow.
        return len(recent) / min(RATE_WINDOW_S, drawn_for_s) if drawn_for_s >= RATE_MIN_S else 0.0

    def health(self) -> dict[str, Any]:
        """Say what is known. All texts are bounded."""
        now = time.monotonic()
        age_s = None if self.drawn_at is None else now - self.drawn_at
        error = self.last_error
        return {
            "keeper": "sd-turbo",
            "phase": self.phase,
            "backend": self.options.backend,
            "model": self.options.model[:TEXT_MAX],
            "prompt": self.prompt.text[:PROMPT_MAX],
            "declared": self.options.declared_prompt[:PROMPT_MAX],
            "frames": self.number,
            "frames_per_s": round(self.rate(), 2),
            "generation_s": round(self.generation_s, 4),
            "last_frame_age_s": None if age_s is None else round(age_s, 2),
            "queue_age_s": round(self.prompt.waited_s(), 2),
            "errors": self.errors,
            "errors_in_a_row": self.errors_in_a_row,
            "last_error": error and {"kind": error[0], "text": error[1], "age_s": round(now - error[2], 1)},
            "request_errors": sum(at > now - REQUEST_ERRORS_WINDOW_S for at in list(self.request_errors)),
            "prompt_errors": sum(at > now - REQUEST_ERRORS_WINDOW_S for at in list(self.prompt_errors)),
            "viewers": self.viewers,
            "threads": threading.active_count(),
            "uptime_s": round(now - self.began_at, 1),
            "note": self.note[:TEXT_MAX],
        }


def brief(health: dict[str, Any]) -> dict[str, Any]:
    """Reduce it to what keeper asks for every few seconds, so coarse that it seldom changes.

    In JSON it has at most 3,200 bytes, whatever a viewer's prompt is made of.
    """
    age_s, error = health["last_frame_age_s"], health["last_error"] or {}
    # Between two tries to get the model may lie minutes: until a picture comes, it is what is wrong.
    is_current = health["errors_in_a_row"] > 0
    return {
        "keeper": "sd-turbo",
        "phase": health["phase"],
        "prompt": health["prompt"],
        "declared": hashlib.sha256(health["declared"].encode()).hexdigest()[:16],
        "has_drawn": health["frames"] > 0,
        "frames_per_s": coarse(health["frames_per_s"]),
        "generation_s": coarse(health["generation_s"]),
        "age_s": None if age_s is None else stepped(age_s),
        "queue_age_s": stepped(health["queue_age_s"]),
        "loading_s": 0 if health["frames"] else stepped(health["uptime_s"]),
        "errors_in_a_row": min(health["errors_in_a_row"], 99),
        "kind": error.get("kind", "") if is_current else "",
        "error": short(error.get("text", "")) if is_current else "",
        "request_errors": health["request_errors"],
        "prompt_errors": health["prompt_errors"],
        "stray_threads": max(0, health["threads"] - health["viewers"] - 8) // 8 * 8,
        "note": short(health["note"]),
    }


def short(text: str) -> str:
    """Bound a text in bytes of JSON, too."""
    return text[:160].encode("ascii", "replace").decode()


def coarse(number: float) -> float:
    """Round to two digits."""
    return float(f"{number:.2g}")


def stepped(seconds: float) -> int:
    """Round down to steps of five seconds, at most an hour."""
    return min(3600, int(seconds // 5 * 5))
