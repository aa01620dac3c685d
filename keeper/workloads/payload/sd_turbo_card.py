"""A test card in place of the model: it needs Pillow and no GPU, and can be broken on purpose.

For commissioning a host before the model is there, for tests and for demonstrations. A file ``fault``
in the working directory, read once a second and removed at the next start, holds one of: ``freeze``
(the same picture for ever), ``black``, ``stall`` (no pictures at all), ``slow``, ``crash``,
``prompt`` and ``page`` (what handles a prompt, or any request, raises), or ``error KIND``: drawing
raises what the real libraries say in that case. A file ``fault.stays`` holds the same and is not
removed; a file ``crashloop``, which stays, ends the process about a second after every start, and so
does KEEPER_TESTCARD_CRASH_AFTER_S=<seconds>. None of this exists when a model draws.
"""

from __future__ import annotations

import argparse
import colorsys
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

SIZE = 512
BACKGROUNDS = 48  # drawn once; cycling them costs nothing
LOOK_FOR_FAULT_S = 1.0
CRASHLOOP_S = 1.0
FAULT_FILE = Path("fault")
STAYING_FAULT_FILE = Path("fault.stays")
CRASHLOOP_FILE = Path("crashloop")
SLOW_PAUSE_S = 0.25

BARS = ("#e9eef5", "#f2d33c", "#38d0d8", "#4ad66d", "#d867d8", "#ef5a5a", "#4c6ef5")

# Word for word what the libraries say (workload's issue threads and seed page, read 2026-11).
ERRORS = {
    "oom": "CUDA out of memory. Tried to allocate 512.00 MiB (GPU 0; 23.69 GiB total capacity)",
    "kernel": "CUDA error: no kernel image is available for execution on the device",
    "imports": "cannot import name 'cached_download' from 'huggingface_hub'",
    "numpy": "Numpy is not available",
    "gpu": "CUDA error: unspecified launch failure",
    "driver": "CUDA driver version is insufficient for CUDA runtime version",
    "disk": "[Errno 28] No space left on device",
    "other": "mat1 and mat2 shapes cannot be multiplied (77x768 and 1024x320)",
}


def load(options: argparse.Namespace, say: Callable[[str], None]) -> Faulty:
    """Draw the card's fixed parts."""
    try:
        FAULT_FILE.unlink()
    except OSError:
        pass
    crash_after_s = float(os.environ.get("KEEPER_TESTCARD_CRASH_AFTER_S") or 0)
    if CRASHLOOP_FILE.exists():
        crash_after_s = CRASHLOOP_S
    if crash_after_s > 0:
        timer = threading.Timer(crash_after_s, crash, [say, "as it was told to"])
        timer.daemon = True
        timer.start()
    return Faulty(TestCard(), options.fps, say)


def crash(say: Callable[[str], None], why: str) -> None:
    """End at once, as a crash does: no cleaning up, no note."""
    say(f"[gen] crashing {why}")
    os._exit(1)


def load_font(size: int) -> Any:
    """Return Pillow's own font; before 10.1 it had one size only."""
    try:
        return ImageFont.load_default(size)
    except TypeError:
        return ImageFont.load_default()


class TestCard:
    """Draws frames: colour bars, a sweep that never rests, a clock, a counter, the prompt."""

    def __init__(self) -> None:
        self._large, self._medium, self._small = load_font(40), load_font(24), load_font(16)
        self._backgrounds = [self._background(i / BACKGROUNDS) for i in range(BACKGROUNDS)]
        self._captions: dict[str, Image.Image] = {}

    @staticmethod
    def _background(phase: float) -> Image.Image:
        """Draw a slowly turning glow, tiny, and let enlarging it do the blending."""
        tiny = Image.new("RGB", (16, 16))
        pixels = []
        for y in range(16):
            for x in range(16):
                angle = math.atan2(y - 7.5, x - 7.5) / math.tau + phase
                far = min(1.0, math.hypot(x - 7.5, y - 7.5) / 10.6)
                red, green, blue = colorsys.hsv_to_rgb(
                    0.58 + 0.12 * math.sin(math.tau * angle), 0.75, 0.16 + 0.22 * (1 - far)
                )
                pixels.append((int(255 * red), int(255 * green), int(255 * blue)))
        tiny.putdata(pixels)
        image = tiny.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        draw = ImageDraw.Draw(image)
        width = (SIZE - 64) / len(BARS)
        for i, colour in enumerate(BARS):
            left = 32 + i * width
            draw.rectangle((left, 84, left + width - 4, 214), fill=colour)
        for i in range(16):
            grey = int(255 * i / 15)
            left = 32 + i * 28
            draw.rectangle((left, 222, left + 27, 242), fill=(grey, grey, grey))
        draw.rounded_rectangle((24, 24, SIZE - 24, SIZE - 24), radius=20, outline="#e9eef5", width=2)
        return image

    def _caption(self, prompt: str) -> Image.Image:
        """Draw the prompt once per prompt: text is the dearest part of a frame."""
        if prompt not in self._captions:
            self._captions.clear()
            image = Image.new("L", (SIZE - 80, 56))
            draw = ImageDraw.Draw(image)
            text = prompt if len(prompt) <= 24 else prompt[:23] + "…"
            box = draw.textbbox((0, 0), text, font=self._large)
            draw.text(((image.width - box[2] - box[0]) / 2, 4), text, font=self._large, fill=255)
            self._captions[prompt] = image
        return self._captions[prompt]

    def draw(self, number: int, seconds: float, prompt: str, frames_per_s: float) -> Any:
        """Draw frame ``number`` at ``seconds`` of wall time."""
        image = self._backgrounds[number % BACKGROUNDS].copy()
        draw = ImageDraw.Draw(image)
        # The sweep crosses the bars every three seconds.
        at = 32 + (seconds / 3 % 1) * (SIZE - 64)
        draw.rectangle((at - 3, 76, at + 3, 250), fill="#ffffff")
        caption = self._caption(prompt)
        image.paste("#ffffff", (40, 264), caption)
        draw.text((40, 40), "KEEPER TEST CARD", font=self._medium, fill="#e9eef5")
        blink = "#ff4d4d" if seconds % 1 < 0.5 else "#5a2030"
        draw.ellipse((SIZE - 128, 46, SIZE - 112, 62), fill=blink)
        draw.text((SIZE - 104, 40), "LIVE", font=self._medium, fill="#e9eef5")
        self._draw_orbit(draw, seconds)
        clock = time.strftime("%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 10) % 10}"
        draw.text((200, 362), clock, font=self._large, fill="#7fe7ff")
        draw.text((200, 412), f"frame {number}", font=self._medium, fill="#e9eef5")
        draw.text((200, 446), f"UTC, {frames_per_s:g} frames a second", font=self._small, fill="#93a0bd")
        return image

    @staticmethod
    def _draw_orbit(draw: Any, seconds: float) -> None:
        """Draw a dial with three dots chasing each other."""
        x, y, radius = 110, 412, 58
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline="#93a0bd", width=2)
        for i, colour in enumerate(("#7fe7ff", "#f2d33c", "#d867d8")):
            angle = math.tau * (seconds / (2 + i) + i / 3)
            dx, dy = x + radius * math.cos(angle), y + radius * math.sin(angle)
            draw.ellipse((dx - 8, dy - 8, dx + 8, dy + 8), fill=colour)


class Faulty:
    """The card as a backend of the server, and its faults."""

    note = ""

    def __init__(self, card: TestCard, frames_per_s: float, say: Callable[[str], None]) -> None:
        self._card, self._frames_per_s, self._say = card, frames_per_s, say
        self._number, self._fault, self._looked_at = 0, "", 0.0

    @property
    def is_silent(self) -> bool:
        """Whether there is no picture, not even an old one."""
        return self._fault == "stall"

    def draw(self, prompt: str) -> Any:
        """Draw the next picture; None: none was drawn."""
        fault = self._look_for_fault()
        if fault == "crash":
            crash(self._say, "as the fault file says")
        if fault.startswith("error"):
            what = fault[6:]
            made = ImportError if what == "imports" else RuntimeError
            raise made(ERRORS.get(what, ERRORS["other"]))
        if fault in ("freeze", "stall"):
            return None
        if fault == "black":
            black = Image.new("RGB", (SIZE, SIZE))
            black.is_meant = True  # type: ignore[attr-defined]
            return black
        if fault == "slow":
            time.sleep(SLOW_PAUSE_S)
        self._number += 1
        return self._card.draw(self._number, time.time(), prompt, self._frames_per_s)

    def check_prompt(self, prompt: str) -> None:
        """Raise, if that is the fault."""
        if self._look_for_fault() == "prompt":
            raise TypeError("the handler of prompts has a bug, as the fault file says")

    def check_page(self) -> None:
        """Raise, if that is the fault."""
        if self._look_for_fault() == "page":
            raise TypeError("the handler of requests has a bug, as the fault file says")

    def recover(self) -> None:
        """Have nothing to clean up."""

    def _look_for_fault(self) -> str:
        """Read the fault file; tell the log when it says something new."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_FOR_FAULT_S:
            return self._fault
        fault = ""
        for file in (STAYING_FAULT_FILE, FAULT_FILE):
            try:
                fault = file.read_text()[:20].strip() or fault
            except (OSError, ValueError):
                pass
        if fault != self._fault:
            self._say(f"[gen] fault: {fault or 'none'}")
        self._fault, self._looked_at = fault, now
        return fault
