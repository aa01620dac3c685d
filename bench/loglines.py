"""What a log line costs: keeper's, against orjson and one write, and against structlog as it comes.

All of them write into a pipe that another process empties, as under a service manager.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from datetime import UTC, datetime

import orjson
import structlog

from bench.measure import Cpu, Row, Side, against, in_turn
from keeper.core.events import ConditionChanged, Event, TickFinished
from keeper.core.model import ConditionKind, InstanceId, SlotId, Status
from keeper.core.reasons import Reason
from keeper.telemetry.logs import configure_logs
from keeper.telemetry.sinks import EventLog

_LINES = 5_000
_AT = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
_EMITTED = ConditionChanged(
    slot=SlotId("duel/0"),
    instance_id=InstanceId(7_001_234),
    condition=ConditionKind.STREAMING,
    status=Status.FALSE,
    reason=Reason.FROZEN,
    detail="0.0 unique frames per second for 30 s",
)
_SUPPRESSED = TickFinished(tick=4711, acts=0, duration_s=0.0021, detail="nothing to do")


async def measure() -> list[Row]:
    reader = await asyncio.create_subprocess_exec(
        "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    assert reader.stdin is not None
    pipe = os.dup(reader.stdin.get_extra_info("pipe").fileno())
    os.set_blocking(pipe, True)
    reader.stdin.close()
    with os.fdopen(pipe, "w") as stream:
        rows = await _measure(pipe, stream)
    await reader.wait()
    return rows


async def _measure(pipe: int, stream: io.TextIOWrapper) -> list[Row]:
    fields = _fields()
    configure_logs(format="json", level="info", stream=stream, environ={}, secrets=["k3y" * 12])
    log = EventLog()
    default = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        # As structlog.get_logger() is before anybody configures anything.
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.dev.set_exc_info,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    named = {name: value for name, value in fields.items() if name not in {"at", "level", "event"}}

    def bare() -> None:
        os.write(pipe, orjson.dumps(fields) + b"\n")

    def as_it_comes() -> None:
        default.info("condition.changed", **named)

    def emit(event: Event) -> Callable[[], None]:
        return lambda: log.publish(event, at=_AT, tick=4711)

    ours, floor, peer, quiet = await in_turn(
        _side(emit(_EMITTED)), _side(bare), _side(as_it_comes), _side(emit(_SUPPRESSED))
    )
    assert log.lost == 0
    unit = "us CPU a line"
    return [
        against(
            "loglines.floor", ours, floor, goal=8.0, unit=unit, note="floor: orjson and os.write"
        ),
        against(
            "loglines.structlog",
            ours,
            peer,
            goal=1 / 3,
            unit=unit,
            note="peer: structlog's default renderer",
            is_peer=True,
        ),
        against(
            "loglines.suppressed",
            quiet,
            ours,
            goal=1 / 4,
            unit=unit,
            note="a line below the level, against one that is written",
        ),
    ]


def _side(write: Callable[[], None]) -> Side:
    async def side() -> float:
        with Cpu() as cpu:
            for _ in range(_LINES):
                write()
        return cpu.us_each(_LINES)

    return side


def _fields() -> dict[str, object]:
    """Let keeper write one line, to give the others the very same fields."""
    kept = io.StringIO()
    configure_logs(format="json", level="info", stream=kept, environ={})
    EventLog().publish(_EMITTED, at=_AT, tick=4711)
    fields: dict[str, object] = orjson.loads(kept.getvalue())
    return fields
