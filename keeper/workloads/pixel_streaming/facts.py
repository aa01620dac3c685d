"""What a look at a Pixel Streaming host brought: its types, and nothing of what they mean.

Whatever does not fit its type is not known, which is not a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec


class _Seen(msgspec.Struct, frozen=True):
    supervisor: str = "up"
    boot: str = ""
    why: str = ""
    portal_file: int = 1
    page: int = 0
    streamer: int = 0
    portal: int = 0
    caddy: str = "unknown"
    behind: str = ""
    hang: int = 0
    log: str = ""
    driver: str = ""
    app: str = ""
    relay: str = ""
    tunnel: str = ""
    programs: dict[str, tuple[str, int, int]] = {}


_DECODER = msgspec.json.Decoder(_Seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program, as supervisord and the image's own markers have it."""

    state: str  # supervisord's word; ABSENT: it does not know the program
    is_respawned: bool  # another pid at one look after the other, whatever the word
    is_skipped: bool  # ended on purpose, because nobody asked for it

    @property
    def is_up(self) -> bool:
        """Whether it runs, or is on its way."""
        return self.state in {"RUNNING", "STARTING"} and not self.is_respawned


_UNKNOWN = Program(state="UNKNOWN", is_respawned=False, is_skipped=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One look."""

    has_supervisor: bool
    boot: str  # ready, provisioning or failed
    boot_failure: str
    has_portal_file: bool
    is_page_open: bool
    is_streamer_port_open: bool
    is_portal_open: bool
    caddy: str  # well, placeholder, unauthorized, refused, silent, error, unknown
    is_page_silent: bool  # behind a proxy that shows nothing: somebody listens, and does not answer
    hanging_pid: int
    signalling_log: str
    driver: str  # there, absent, failed, ""
    app_log: str
    relay: str  # mapped, unmapped, names_differ, external, ""
    tunnel: str  # there, gone, ""
    programs: Mapping[str, Program]

    def program(self, name: str) -> Program:
        """Return what is known of a program."""
        return self.programs.get(name, _UNKNOWN)


def read(raw: bytes) -> Facts | None:
    """Read the fragment that payload/pixel_questions.sh makes; None: it cannot be read."""
    try:
        seen = _DECODER.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return Facts(
        has_supervisor=seen.supervisor != "down",
        boot=seen.boot,
        boot_failure=seen.why,
        has_portal_file=bool(seen.portal_file),
        is_page_open=bool(seen.page),
        is_streamer_port_open=bool(seen.streamer),
        is_portal_open=bool(seen.portal),
        caddy=seen.caddy,
        is_page_silent=seen.behind == "silent",
        hanging_pid=seen.hang,
        signalling_log=seen.log,
        driver=seen.driver,
        app_log=seen.app,
        relay=seen.relay,
        tunnel=seen.tunnel,
        programs={
            name: Program(state=state, is_respawned=bool(moves), is_skipped=bool(skips))
            for name, (state, moves, skips) in list(seen.programs.items())[:50]
        },
    )
