"""Showing a slate to viewers: rendering it once, and publishing it to an ingest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from keeper.core.model import StreamName


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateLook:
    """What viewers see while there is a slate. Colours as CSS writes them; "": no such thing."""

    title: str
    subtitle: str = ""
    waiting: str = "Back soon"  # while the wait is too long for a number
    ending: str = "Any moment now"  # when the countdown is over
    background: str = "#10141f"
    foreground: str = "#f4f6fb"
    accent: str = "#5aa9ff"
    logo_file: str = ""
    font_file: str = ""
    width: int = 1280
    height: int = 720
    frames_per_s: int = 12
    bitrate_bps: int = 1_500_000  # at most


class Showing(Protocol):
    """A slate that an ingest has taken."""

    def go_on(self) -> None:
        """Let it go on. Not told so for some seconds, it ends: its keeper hangs, or is gone."""
        ...

    def aim(self, left_s: float) -> None:
        """Let the countdown go on from so much."""
        ...

    def ended_because(self) -> str | None:
        """Return why it has ended by itself; None: it goes on."""
        ...

    async def end(self) -> None:
        """End it: by taking leave of the ingest, else by force. It is gone when this returns.

        Within seconds, whatever the ingest does; a repeat is harmless. Never raises PortError.
        """
        ...


class Slates(Protocol):
    """Shows slates."""

    async def prepare(self, look: SlateLook) -> None:
        """Render a look, unless it has been: minutes of one core, once. A repeat is safe.

        Raises Refused (this look cannot be rendered) and TimedOut.
        """
        ...

    async def begin(
        self, stream: StreamName, look: SlateLook, ingest_url: str, left_s: float
    ) -> Showing:
        """Publish a prepared slate, with a countdown from ``left_s``. One for each stream at a time.

        Returns once the ingest has taken it. The address holds a key: it is told to nobody. Raises Refused
        (not prepared, or a slate of this stream is there), Unreachable and TimedOut. Cancelled, it leaves
        nothing behind.
        """
        ...
