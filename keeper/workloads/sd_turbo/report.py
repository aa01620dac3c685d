"""What ``keeper stream-status`` asks an SD-Turbo host, and how its answer is read."""

from __future__ import annotations

from shlex import quote

import msgspec

from keeper.core.model import Status
from keeper.core.text import plain
from keeper.ports import Command, CommandResult
from keeper.workloads import ReportLine
from keeper.workloads import managers as manager_of

_TEXT_MAX = 300
_LOG_LINES = 8
_OUTPUT_MAX_BYTES = 32_768

_ASK = r"""
state=unknown
sd_fetch | head -c 8000; echo
echo '== gpu'
timeout -k 2 8 nvidia-smi --query-gpu=name,utilization.gpu,memory.used,memory.total,temperature.gpu \
    --format=csv,noheader 2>&1 | head -n 4
echo '== log'
tail -n 8 -- "$keeper_workdir/server.log" 2>&1 | cut -c1-300
exit 0
"""


class _Error(msgspec.Struct, frozen=True):
    kind: str = ""
    text: str = ""
    age_s: float = 0.0


class _Full(msgspec.Struct, frozen=True):
    """The whole of /healthz; what it lacks is not shown."""

    phase: str = "unknown"
    backend: str = ""
    model: str = ""
    prompt: str = ""
    frames: int = 0
    frames_per_s: float = 0.0
    generation_s: float = 0.0
    last_frame_age_s: float | None = None
    queue_age_s: float = 0.0
    errors: int = 0
    errors_in_a_row: int = 0
    last_error: _Error | None = None
    viewers: int = 0
    threads: int = 0
    uptime_s: float = 0.0
    note: str = ""


_DECODER = msgspec.json.Decoder(_Full)


def question(variables: dict[str, str], workdir: str) -> Command:
    """Ask the server for all it knows, the GPU for a line, the log for its end."""
    assigned = "".join(f"{name}={quote(value)}\n" for name, value in variables.items())
    script = (
        f"keeper_workdir={quote(workdir)}\n{assigned}{manager_of.sentinel_parts()}"
        f"{manager_of.payload('sd_turbo_questions.sh').decode()}{_ASK}"
    )
    return Command(name="report", script=script, timeout_s=25.0, output_max_bytes=_OUTPUT_MAX_BYTES)


def lines_of(result: CommandResult) -> tuple[ReportLine, ...]:
    """Read it. Whatever cannot be read is a line that says so."""
    asked, _, rest = result.stdout.partition("\n== gpu\n")
    gpu, _, log = rest.partition("== log\n")
    return (*_of_server(asked), _of_gpu(gpu), _of_log(log))


def _of_server(asked: str) -> tuple[ReportLine, ...]:
    text, _, code = asked.strip().rpartition(" code=")
    try:
        seen = _DECODER.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        how = {"7": "nothing listens", "28": "no answer"}.get(code, "no readable answer")
        return (_line("Server", Status.FALSE, how),)
    is_well = seen.phase == "generating" and not seen.errors_in_a_row
    age = "none yet" if seen.last_frame_age_s is None else f"{seen.last_frame_age_s:.1f} s ago"
    return (
        _line(
            "Server",
            Status.TRUE if is_well else Status.FALSE,
            f"{seen.phase}, {_drawn_by(seen)}, up {seen.uptime_s:.0f} s {seen.note}",
        ),
        _line(
            "Generator",
            Status.TRUE if is_well else Status.FALSE,
            f"{seen.frames_per_s:.1f} pictures/s, {seen.generation_s * 1000:.0f} ms each, "
            f"{seen.frames} so far, the last {age}",
        ),
        _line("Prompt", Status.TRUE, f"{seen.prompt} (waiting {seen.queue_age_s:.1f} s)"),
        _line("Viewers", Status.TRUE, f"{seen.viewers}, {seen.threads} threads"),
        _of_errors(seen),
    )


def _of_errors(seen: _Full) -> ReportLine:
    last = seen.last_error
    if last is None:
        return _line("Errors", Status.TRUE, "none")
    status = Status.FALSE if seen.errors_in_a_row else Status.TRUE
    said = f"{seen.errors}, the last {last.age_s:.0f} s ago: {last.kind}: {last.text}"
    return _line("Errors", status, said)


def _drawn_by(seen: _Full) -> str:
    """Say what draws: a test card needs no model."""
    return seen.backend if seen.backend == "test-card" else f"{seen.backend} {seen.model}"


def _of_gpu(text: str) -> ReportLine:
    """Read nvidia-smi's line: name, use, memory in use, memory, degrees Celsius."""
    said = text.strip()
    match [each.strip() for each in said.split(",")]:
        case [name, busy, used, total, degrees] if busy.endswith("%"):
            words = f"{name}, {busy} busy, {used} of {total}, {degrees} C"
            return _line("GPU", Status.TRUE, words)
        case _:
            return _line("GPU", Status.UNKNOWN, said or "no nvidia-smi")


def _of_log(text: str) -> ReportLine:
    """Show the log's end; each line is made plain by itself."""
    shown = "\n".join(plain(line, _TEXT_MAX) for line in text.strip().splitlines()[-_LOG_LINES:])
    status = Status.TRUE if shown else Status.UNKNOWN
    return ReportLine(title="Recent logs", status=status, text=shown or "no log")


def _line(title: str, status: Status, text: str) -> ReportLine:
    return ReportLine(title=title, status=status, text=plain(text.strip(), _TEXT_MAX))
