"""One line per fact: JSON for machines, columns for a person at a terminal, no secret in either.

It configures structlog once, at start. Frame locals never enter a traceback (they hold keys), remote
text cannot move the cursor or forge a line, and a broken pipe is no reason to stop keeping streams.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger
from typing_extensions import override

from keeper.core.text import plain
from keeper.telemetry.redact import Redactor

Format = Literal["auto", "console", "json"]

# A value longer than this is remote output that belongs into `keeper logs`, not into ours.
_VALUE_MAX: Final = 2000
_TRACEBACK_FRAMES_MAX: Final = 30
# sd-daemon(3): "<N>" before a line sets its priority in the journal.
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
# Libraries that speak through stdlib logging; chatty below this level.
_LIBRARIES_LEVEL: Final = logging.WARNING


def configure_logs(
    *,
    format: Format,
    level: str,
    secrets: Collection[str] = (),
    stream: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Send every log line of this process to ``stream`` (standard output), in one form.

    ``auto`` is console on a terminal and JSON otherwise. May be repeated: the last call counts.
    """
    out = stream if stream is not None else sys.stdout
    environment = os.environ if environ is None else environ
    redactor = Redactor(secrets)
    is_console = format == "console" or (format == "auto" and is_terminal(out))
    renderer: Processor
    if is_console:
        renderer = _Console(redactor, colors=wants_colors(out, environment))
    else:
        renderer = _Json(redactor, with_priority=is_journal(out, environment))
    structlog.configure(
        processors=[
            _complete,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_factory(_Lines(out)),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [h for h in root.handlers if not isinstance(h, _FromStdlib)] + [_FromStdlib()]
    root.setLevel(_LIBRARIES_LEVEL)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person is looking. A closed stream is no terminal."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def wants_colors(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Decide by no-color.org, then FORCE_COLOR, then whether it is a terminal that can."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return True
    return is_terminal(stream) and environ.get("TERM", "") != "dumb"


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether the stream leads to journald: systemd names its device and inode (systemd.exec(5))."""
    named = environ.get("JOURNAL_STREAM", "")
    if not named:
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError, io.UnsupportedOperation):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


class _Lines:
    """Writes whole lines. What cannot be written is counted and dropped: a log is not the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # Bytes straight to the buffer: a text stream would encode once more and split the line.
        self._buffer = getattr(stream, "buffer", None)
        self.lost = 0

    def msg(self, line: bytes | str) -> None:
        data = line if isinstance(line, bytes) else line.encode("utf-8", "backslashreplace")
        try:
            if self._buffer is None:
                self._stream.write(data.decode() + "\n")
                self._stream.flush()
            else:
                self._buffer.write(data + b"\n")
                self._buffer.flush()
        except (OSError, ValueError):  # the disk is full, the reader has gone, the stream is closed
            self.lost += 1

    debug = info = warning = warn = error = critical = fatal = exception = log = msg


def _factory(lines: _Lines) -> Callable[..., _Lines]:
    return lambda *_: lines


_STAMP = structlog.processors.TimeStamper(fmt="iso", utc=True, key="at")


def _complete(logger: WrappedLogger, name: str, event_dict: EventDict) -> EventDict:
    """Add the level, and the time unless the line brings its own (a fact does)."""
    event_dict["level"] = "error" if name == "exception" else name
    return event_dict if "at" in event_dict else _STAMP(logger, name, event_dict)


class _Json:
    """One JSON object a line, ASCII-safe where it matters, with a closer look only on suspicion."""

    def __init__(self, redactor: Redactor, *, with_priority: bool) -> None:
        self._redactor = redactor
        self._with_priority = with_priority

    def __call__(self, _logger: WrappedLogger, _name: str, event_dict: EventDict) -> bytes:
        _render_exception(event_dict)
        level = str(event_dict.get("level", "info"))
        line = _dumps(event_dict)
        is_secret = self._redactor.is_suspect(line.decode())
        # JSON escapes C0 by itself. DEL, C1 and the invisible marks are not ASCII or are 0x7f.
        if is_secret or not line.isascii() or b"\x7f" in line or len(line) > _VALUE_MAX:
            # Redacted before anything is cut, or half a secret could stay.
            line = _dumps(_shown(self._redactor.value(orjson.loads(line))))
        return b"<%d>%s" % (_PRIORITIES.get(level, 6), line) if self._with_priority else line


class _Console:
    """Columns, colours where wanted, and no way for a value to be more than a value."""

    def __init__(self, redactor: Redactor, *, colors: bool) -> None:
        self._redactor = redactor
        self._render = structlog.dev.ConsoleRenderer(
            colors=colors,
            pad_event_to=24,
            sort_keys=False,
            timestamp_key="at",
            # Never reached, and never rich, which prints locals.
            exception_formatter=structlog.dev.plain_traceback,
        )

    def __call__(self, logger: WrappedLogger, name: str, event_dict: EventDict) -> str:
        _render_exception(event_dict)
        trace = event_dict.pop("exception", ())
        safe = _shown(self._redactor.value(event_dict))
        at = str(safe.get("at", ""))
        safe["at"] = at[11:19] if len(at) >= 19 else at  # noqa: PLR2004 - HH:MM:SS of ISO 8601
        line = str(self._render(logger, name, safe))
        # Every line is indented, so that none of them can pass for a line of the log.
        rows = (plain(self._redactor.text(row), _VALUE_MAX) for row in trace)
        return "\n".join([line, *(f"    {row}" for row in rows)])


def _shown(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - whatever is logged
    """Return a copy in which control characters are text, long text is cut, odd things are repr."""
    match value:
        case str():
            return plain(value, _VALUE_MAX)
        case None | bool() | int() | float():
            return value
        case Mapping() if depth < 6:  # noqa: PLR2004 - deeper is no fact of ours
            return {plain(str(key)): _shown(each, depth + 1) for key, each in value.items()}
        case list() | tuple() | set() | frozenset() if depth < 6:  # noqa: PLR2004
            return [_shown(each, depth + 1) for each in value]
        case _:
            return plain(str(value), _VALUE_MAX)


def _dumps(event_dict: Mapping[str, Any]) -> bytes:
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
    try:
        return orjson.dumps(event_dict, default=str, option=options)
    except (TypeError, ValueError, RecursionError):  # lone surrogates, 70-bit integers, deep nests
        return orjson.dumps(
            {plain(str(key)): plain(str(each), _VALUE_MAX) for key, each in event_dict.items()}
        )


def _render_exception(event_dict: EventDict) -> None:
    """Replace ``exc_info`` by the lines of a traceback, without locals."""
    given = event_dict.pop("exc_info", None)
    if not given:
        return
    info: ExcInfo | None
    if isinstance(given, BaseException):
        info = (type(given), given, given.__traceback__)
    elif isinstance(given, tuple):
        info = given if given[0] is not None else None
    else:
        current = sys.exc_info()
        info = current if current[0] is not None else None
    if info is None:
        return
    # traceback's own formatting shows source lines and no values of variables.
    lines = traceback.format_exception(*info, limit=_TRACEBACK_FRAMES_MAX)
    event_dict["exception"] = "".join(lines).rstrip("\n").split("\n")


class _FromStdlib(logging.Handler):
    """Passes what libraries log (asyncio, aiohttp, asyncssh, apscheduler) on as one of our lines."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # a library formats its own message wrongly
            text = str(record.msg)
        logger = structlog.get_logger()
        speak = logger.error if record.levelno >= logging.ERROR else logger.warning
        extra = {"exc_info": record.exc_info} if record.exc_info else {}
        speak("library.logged", logger=record.name, detail=text, **extra)
