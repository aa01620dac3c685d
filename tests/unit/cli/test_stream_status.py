"""What is told of a stream, in 80 columns, whatever a host has written into it."""

from rich.console import Console

from keeper.cli.stream_status import _is_well, _shown
from keeper.core.model import Status
from keeper.web.asking import StreamReport, ToldStatus
from tests.snapshots import NOW

SIX = (
    ("Server health", Status.TRUE, "HTTP 200, up 3h12m"),
    ("Streaming API", Status.TRUE, "FIGHTING, cycle 17"),
    ("Duel context", Status.TRUE, "Ada (72/99 hp) against Bob (31/99 hp), 48 s left"),
    ("RTMP bridge", Status.FALSE, "ffmpeg is gone; 1.2 GB received"),
    ("Processes", Status.UNKNOWN, "PM2 gave no readable answer"),
    ("Recent logs", Status.TRUE, "line one \x1b[2J\nline two " + "of many words " * 12),
)


def report(**given: object) -> StreamReport:
    values: dict[str, object] = {
        "slot": "duel/0",
        "instance_id": 7001,
        "at": NOW,
        "is_on_air": True,
        "is_from_host": True,
        "why": "",
        "lines": tuple(ToldStatus(title=t, status=s, text=x) for t, s, x in SIX),
    }
    return StreamReport(**(values | given))  # type: ignore[arg-type]


def shown(told: StreamReport) -> list[str]:
    out = Console(width=80, color_system=None, markup=False, emoji=False, highlight=False)
    with out.capture() as capture:
        for part in _shown(told):
            out.print(part)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_six_lines_fit_a_terminal_of_80_columns() -> None:
    lines = shown(report())
    assert max(len(line) for line in lines) <= 80
    assert lines[0] == "duel/0  instance 7001, on air, 12:00:00 UTC"
    assert lines[1] == "  Server health  ok   HTTP 200, up 3h12m"
    assert lines[4] == "  RTMP bridge    BAD  ffmpeg is gone; 1.2 GB received"
    assert lines[5] == "  Processes      ?    PM2 gave no readable answer"
    assert lines[6] == "  Recent logs    ok   line one \\x1b[2J"
    assert lines[7].startswith("                      line two of many")
    assert "\x1b" not in "".join(lines)


def test_what_keeper_knows_is_marked_as_such() -> None:
    told = report(is_from_host=False, is_on_air=False, why="no SSH link \x1b[2J", instance_id=None)
    first, second = shown(told)[:2]
    assert first == "duel/0  no host, NOT ON AIR, 12:00:00 UTC, as keeper knows it"
    assert second == "  the host could not be asked: no SSH link \\x1b[2J"


def test_one_bad_line_is_not_well_and_one_unknown_is() -> None:
    assert not _is_well(report())
    good = tuple(ToldStatus(title=t, status=s, text=x) for t, s, x in SIX if s is not Status.FALSE)
    assert _is_well(report(lines=good))
    assert not _is_well(report(lines=good, is_on_air=False))
