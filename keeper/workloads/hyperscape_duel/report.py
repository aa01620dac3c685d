"""The report that a person asks for: the six lines of the duel's own status script, and honest ones.

That script exits with 0 while the stream is dead, and says "not live" during every announcement.
"""

from __future__ import annotations

import re

import msgspec

from keeper.core.model import Status
from keeper.core.text import plain
from keeper.ports import CommandResult
from keeper.workloads import ReportLine

_TEXT_MAX = 200
_OK = 200
_GIGABYTE = 1e9
_MEGABYTE = 1e6


class _Health(msgspec.Struct, frozen=True):
    code: int = 0
    status: str = ""
    maintenance: bool = False


class _Answer(msgspec.Struct, frozen=True):
    code: int = 0
    error: str = ""
    phase: str = ""
    one: str = ""
    other: str = ""


class _Bridge(msgspec.Struct, frozen=True):
    code: int = 0
    error: str = ""
    ffmpeg: bool | None = None
    bytes: float | None = None
    outputs: int = 0
    down: tuple[str, ...] = ()


class _App(msgspec.Struct, frozen=True):
    name: str = ""
    pid: int = 0
    for_s: float = 0.0


class _Report(msgspec.Struct, frozen=True):
    health: _Health = _Health()
    state: _Answer = _Answer()
    context: _Answer = _Answer()
    bridge: _Bridge = _Bridge()
    apps: tuple[_App, ...] = ()
    logs: tuple[str, ...] = ()


_DECODER = msgspec.json.Decoder(_Report)
# The line of a stack trace that says what happened (Node 20, Bun 1.3).
_CRASH = re.compile(r"(?:Uncaught )?(?:\w*Error|error)(?: \[\w+\])?: ")


def lines_of(result: CommandResult) -> tuple[ReportLine, ...]:
    """Return the six lines; the sixth has the log's, one below the other."""
    try:
        if result.exit_code != 0 or result.is_truncated:
            raise msgspec.ValidationError("no report")
        seen = _DECODER.decode(result.stdout.encode("utf-8", "replace"))
    except (msgspec.MsgspecError, RecursionError):
        return (_line("Server Health", Status.UNKNOWN, f"the host gave no report: {_why(result)}"),)
    # Each line is made plain by itself: between them is the only line break that a text may have.
    shown = "\n".join(plain(text, _TEXT_MAX) for text in seen.logs[:6])
    return (
        _health(seen.health),
        _state(seen.state),
        _context(seen.context),
        _bridge(seen.bridge),
        _apps(seen.apps),
        ReportLine(
            title="Recent Logs",
            status=Status.TRUE if shown else Status.UNKNOWN,
            text=shown or "none",
        ),
    )


def _why(result: CommandResult) -> str:
    """Return one line for a person: of a program that crashed its error, and none of its stack."""
    if result.is_truncated:
        return "its answer was too long"
    lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
    crash = next((line for line in lines if _CRASH.match(line)), "")
    if crash:
        return f"the program that asks there has failed ({crash.strip()})"
    return lines[-1] if lines else f"exit code {result.exit_code}"


def _health(seen: _Health) -> ReportLine:
    if not seen.code:
        return _line("Server Health", Status.FALSE, "no answer")
    word = "OK" if seen.code == _OK else seen.status or "not well"
    suffix = ", in maintenance" if seen.maintenance else ""
    return _line(
        "Server Health", _status(is_good=seen.code == _OK), f"{word} ({seen.code}){suffix}"
    )


def _state(seen: _Answer) -> ReportLine:
    if seen.code == _OK and seen.phase:
        return _line("Streaming API", Status.TRUE, "OK")
    return _line("Streaming API", _refused(seen.code), seen.error or _code(seen.code))


def _context(seen: _Answer) -> ReportLine:
    if seen.code != _OK or not seen.phase:
        return _line("Duel Context", _refused(seen.code), seen.error or _code(seen.code))
    who = f" ({seen.one or '?'} vs {seen.other or '?'})" if seen.one or seen.other else ""
    # Between two duels nobody fights, and nothing is wrong.
    return _line("Duel Context", Status.TRUE, f"{seen.phase}{who}")


def _bridge(seen: _Bridge) -> ReportLine:
    if seen.code != _OK:
        return _line("RTMP Bridge", _refused(seen.code), seen.error or _code(seen.code))
    is_good = seen.ffmpeg is not False and not seen.down
    words = "Active" if seen.ffmpeg is not False else "its ffmpeg does not run"
    if seen.bytes is not None:
        words += f" ({_amount(seen.bytes)} streamed)"
    if seen.down:
        words += f", down: {', '.join(seen.down)}"
    return _line("RTMP Bridge", _status(is_good=is_good), words)


def _apps(seen: tuple[_App, ...]) -> ReportLine:
    running = [app for app in seen if app.pid]
    words = f"{len(running)} running"
    missing = [app.name for app in seen if not app.pid]
    if missing:
        words += f", not running: {', '.join(missing)}"
    return _line("PM2 Processes", _status(is_good=bool(running) and not missing), words)


def _amount(count: float) -> str:
    if count >= _GIGABYTE:
        return f"{count / _GIGABYTE:.1f} GB"
    return f"{max(0.0, count) / _MEGABYTE:.1f} MB"


def _refused(code: int) -> Status:
    """Return what no good answer means: an answer is a bad one, silence says nothing."""
    return Status.FALSE if code else Status.UNKNOWN


def _code(code: int) -> str:
    return f"answered with {code}" if code else "no answer"


def _line(title: str, status: Status, text: str) -> ReportLine:
    return ReportLine(title=title, status=status, text=plain(text, _TEXT_MAX))


def _status(*, is_good: bool) -> Status:
    return Status.TRUE if is_good else Status.FALSE
