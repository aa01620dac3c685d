"""Every line is one line, readable by whom it is for, and holds no secret."""

import io
import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog
from typing_extensions import override

from keeper.telemetry.logs import configure_logs, is_journal, wants_colors

KEY = "3f9a7c0d55b1e2aa"


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_writes_json_where_nobody_looks_and_columns_where_somebody_does() -> None:
    file, terminal = io.StringIO(), Terminal()
    for stream in (file, terminal):
        configure_logs(format="auto", level="info", stream=stream, environ={})
        structlog.get_logger().info("instance.rented", slot="duel/0", dollars=0.42)
    assert (
        lines(file)[0].items()
        >= {
            "event": "instance.rented",
            "level": "info",
            "slot": "duel/0",
            "dollars": 0.42,
        }.items()
    )
    assert "instance.rented" in terminal.getvalue()
    assert "slot" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_says_nothing_below_its_level() -> None:
    stream = io.StringIO()
    configure_logs(format="json", level="warning", stream=stream)
    structlog.get_logger().info("quiet.thing")
    structlog.get_logger().warning("loud.thing")
    assert [line["event"] for line in lines(stream)] == ["loud.thing"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_hides_secrets_wherever_they_sit(form: str) -> None:
    stream = io.StringIO()
    configure_logs(format=form, level="info", secrets=[KEY], stream=stream, environ={})  # type: ignore[arg-type]
    logger = structlog.get_logger()
    logger.info("a.b", error=f"401 for {KEY}", nested={"deep": [KEY]})
    logger.info(KEY)
    logger.info("c.d", url="https://x/?api_key=zzzyyyxxx")
    try:
        raise ValueError(f"{KEY} rtmp://live/app/zzzyyyxxx")
    except ValueError:
        logger.exception("e.f")
    logging.getLogger("asyncssh").error("library says %s", KEY)
    assert KEY not in stream.getvalue()
    assert "zzzyyyxxx" not in stream.getvalue()
    assert "library says" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_prints_no_frame_locals(form: str) -> None:
    """structlog's own tracebacks print them, and there is the API key (hynek/structlog#715)."""
    stream = io.StringIO()
    configure_logs(format=form, level="info", stream=stream, environ={})  # type: ignore[arg-type]

    def fail(password_in_a_frame: str) -> None:
        raise RuntimeError("boom")

    try:
        fail("zzz" + "yyy")
    except RuntimeError:
        structlog.get_logger().exception("tick.failed")
    assert "RuntimeError: boom" in stream.getvalue()
    assert "zzzyyy" not in stream.getvalue()


def test_remote_text_cannot_forge_a_line_or_move_the_cursor() -> None:
    for form in ("json", "console"):
        stream = io.StringIO()
        configure_logs(format=form, level="info", stream=stream, environ={})
        logger = structlog.get_logger()
        logger.info("a.b", detail="x\x1b[2J\n12:00:00 [info] forged", **{"k\x1b": "\x9b31m\u202e"})
        try:
            raise ValueError('first\n{"event": "forged"}\x1b[2J')
        except ValueError:
            logger.exception("c.d")
        text = stream.getvalue()
        assert "\x1b" not in text
        assert "\x9b" not in text
        assert "\u202e" not in text
        assert not [line for line in text.splitlines() if line.startswith("12:00:00 [info] forged")]
        if form == "json":
            assert [line["event"] for line in lines(stream)] == ["a.b", "c.d"]
        else:
            assert not [line for line in text.splitlines() if line.startswith("{")]


def test_takes_whatever_it_is_given() -> None:
    stream = io.StringIO()
    configure_logs(format="json", level="info", stream=stream)
    logger = structlog.get_logger()
    logger.info("a.b", detail="lone \ud800", number=2**70, thing=object(), when=datetime.now(UTC))
    logger.info("c.d", long="x" * 100_000)
    found = lines(stream)
    assert found[0]["detail"] == "lone \\ud800"
    assert len(stream.getvalue()) < 10_000


def test_a_stream_that_has_gone_stops_nobody() -> None:
    stream = io.StringIO()
    configure_logs(format="json", level="info", stream=stream)
    stream.close()
    structlog.get_logger().info("a.b")


def test_event_time_is_kept_when_given() -> None:
    stream = io.StringIO()
    configure_logs(format="json", level="info", stream=stream)
    structlog.get_logger().info("a.b", at="2026-01-01T00:00:00Z")
    structlog.get_logger().info("c.d")
    assert lines(stream)[0]["at"] == "2026-01-01T00:00:00Z"
    assert lines(stream)[1]["at"]


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (io.StringIO(), {}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": "0"}, False),
    ],
)
def test_colours_only_where_they_are_wanted(
    stream: io.StringIO, environ: dict[str, str], expected: bool
) -> None:
    assert wants_colors(stream, environ) is expected


def test_gives_journald_the_priority_of_each_line() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as journal, os.fdopen(writing, "w") as stream:
        status = os.fstat(writing)
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_journal(stream, environ)
        assert not is_journal(stream, {"JOURNAL_STREAM": "1:2"})
        assert not is_journal(io.StringIO(), environ)
        configure_logs(format="auto", level="info", stream=stream, environ=environ)
        structlog.get_logger().warning("a.b")
        stream.close()
        assert journal.read().startswith('<4>{"')
