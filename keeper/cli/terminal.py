"""How keeper speaks to a person: tables, durations, dollars, and progress, on any kind of output.

Data goes to stdout, narration to stderr. Nothing remote reaches a terminal but through ``cell``.
Piped output has no colour and no width, so that grep finds whole lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import click
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.core.text import plain

_T = TypeVar("_T")

# Wide enough that nothing of ours is folded: a pipe has no columns.
_PIPE_COLUMNS = 10_000
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


def console(*, stderr: bool = False) -> Console:
    """Return a console for data (stdout) or narration (stderr)."""
    stream = sys.stderr if stderr else sys.stdout
    piped = not stream.isatty()
    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=False,
        width=_PIPE_COLUMNS if piped and "COLUMNS" not in os.environ else None,
        # Not rich's own reading of NO_COLOR, which keeps bold and dim: no sequences at all.
        color_system=None if piped or os.environ.get("NO_COLOR") else "auto",
    )


def cell(text: str, style: str = "", length_max: int = 200) -> Text:
    """Make text safe to show: in one line, with control characters spelled out."""
    return Text(plain(text, length_max), style=style)


def show(out: Console, parts: Iterable[RenderableType]) -> None:
    """Print parts below each other; without the blanks that rich fills lines with, when piped."""
    if out.is_terminal:
        for part in parts:
            out.print(part)
        return
    with out.capture() as capture:
        for part in parts:
            out.print(part)
    for line in capture.get().splitlines():
        out.file.write(f"{line.rstrip()}\n")


def table(*headings: str, right: tuple[str, ...] = (), fold: str = "") -> Table:
    """Make a table without lines, two spaces between columns; only the column ``fold`` may fold."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        made.add_column(
            heading,
            justify="right" if heading in right else "left",
            no_wrap=heading != fold,
            overflow="fold" if heading == fold else "ellipsis",
        )
    return made


def duration(seconds: float) -> str:
    """Say a duration in at most two units: 12s, 4m10s, 3h12m, 2d4h."""
    left = max(0, round(seconds))
    if left < _MINUTE_S:
        return f"{left}s"
    if left < _HOUR_S:
        return f"{left // _MINUTE_S}m{left % _MINUTE_S:02d}s"
    if left < _DAY_S:
        return f"{left // _HOUR_S}h{left % _HOUR_S // _MINUTE_S:02d}m"
    return f"{left // _DAY_S}d{left % _DAY_S // _HOUR_S}h"


def rough(seconds: float) -> str:
    """Say a duration in one unit, for where little room is: 12s, 4m, 3h, 2d."""
    left = max(0, round(seconds))
    for size, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "m")):
        if left >= size:
            return f"{left // size}{unit}"
    return f"{left}s"


def print_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print one document: indented for a person, in one line for a program. No secrets come here."""
    import json

    indent = 2 if sys.stdout.isatty() else None
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False))


def print_json_text(raw: bytes) -> None:
    """Print a document that is JSON already."""
    import json

    print_json(json.loads(raw))


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is spent or lost. Without a terminal only --yes is an answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Stopped(
            ExitCode.REFUSED,
            "this was not confirmed, and there is no terminal to ask on; nothing was changed",
            "look with --dry-run, then repeat it with --yes",
        )
    with _interruptible():
        agreed = click.confirm(question, default=False, err=True)
    if not agreed:
        raise Stopped(ExitCode.REFUSED, "not confirmed; nothing was changed")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a question: asyncio's own handler would wait for the loop, which waits for it."""
    handlers = {
        number: signal.signal(number, handler)
        for number, handler in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGTERM, signal.SIG_DFL),
        )
    }
    try:
        yield
    finally:
        for number, before in handlers.items():
            signal.signal(number, before)


class Progress:
    """Tells on stderr how far long work is.

    On a terminal the last line is alive and counts; elsewhere each stage is a line when it begins.
    """

    def __init__(self) -> None:
        """Begin to count; nothing is shown before the first stage."""
        self._console = console(stderr=True)
        self._live: Live | None = None
        self._loop = asyncio.get_running_loop()  # also asked by the thread that redraws the line
        self._started_s = self._loop.time()
        self._stage = ""
        self._expected = ""
        self._stage_at_s = self._started_s

    def __enter__(self) -> Self:
        """Take over the last line of a terminal."""
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._live_line,
                console=self._console,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last stage standing as an ordinary line."""
        if self._live is not None:
            self._live.stop()
            self._leave_line()

    def stage(self, text: str, expected: str = "") -> None:
        """Say what goes on now, and how long it usually takes. The same stage again says nothing."""
        text = plain(text)
        if text == self._stage:
            return
        if self._live is not None:
            self._leave_line()
        self._stage, self._stage_at_s, self._expected = text, self._loop.time(), plain(expected)
        if self._live is None:
            self._leave_line()

    def remark(self, text: str) -> None:
        """Say something that is not a stage."""
        self._print(self._loop.time(), cell(text, "yellow"))

    def _leave_line(self) -> None:
        if self._stage:
            # Where no line is alive, it is also the only chance to say how long it may take.
            expects = f"; {self._expected}" if self._expected and self._live is None else ""
            self._print(self._stage_at_s, Text(f"{self._stage}{expects}"))

    def _print(self, at_s: float, text: Text) -> None:
        self._console.print(Text.assemble((self._stamp(at_s), "dim"), text))

    def _live_line(self) -> Text:
        lasts = duration(self._loop.time() - self._stage_at_s)
        expects = f", {self._expected}" if self._expected else ""
        return Text.assemble(
            (self._stamp(self._stage_at_s), "dim"), self._stage, (f" … {lasts}{expects}", "dim")
        )

    def _stamp(self, at_s: float) -> str:
        return f"{duration(at_s - self._started_s):>7}  "


def say(text: str) -> None:
    """Narrate on stderr; a terminal gets it folded between words."""
    console(stderr=True).print(cell(text, length_max=2000))


def say_list(entries: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Narrate on stderr what belongs to names: a name, and its lines beside it, folded in place."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for name, lines in entries:
        text = Text("\n").join([cell(line, length_max=1000) for line in lines])
        made.add_row(cell(f"  {name}"), text)
    show(console(stderr=True), [made])


@contextlib.contextmanager
def stopped_by_signal() -> Iterator[asyncio.Event]:
    """Give an event that Ctrl-C or SIGTERM sets: for what is ended so, and ends well."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def run_async(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a verb's coroutine. SIGTERM ends it as Ctrl-C does: cancelled, cleaned up, exit 130."""
    with asyncio.Runner() as runner:

        async def main() -> _T:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
            return await work

        try:
            return runner.run(main())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
