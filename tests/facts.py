"""One instance of every event type, made from its fields: for tests that must not forget one."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, get_type_hints

from keeper.core.events import EVENT_TYPES, Event
from keeper.core.model import ConditionKind, Rung, Status
from keeper.core.reasons import Reason
from keeper.core.slate import SlateWhy

_BY_NAME: dict[str, Any] = {
    "slot": "duel/0",
    "stream": "duel",
    "reason": Reason.FROZEN,
    "rung": Rung.RESTART_PROCESS,
    "condition": ConditionKind.STREAMING,
    "status": Status.FALSE,
    "until": datetime(2026, 3, 1, 12, tzinfo=UTC),
    "paused": True,
    "why": SlateWhy.DARK,
}
_BY_TYPE: dict[Any, Any] = {int: 3, float: 1.5, str: "text", bool: True}


def every_event() -> list[Event]:
    return [_make(kind) for kind in EVENT_TYPES]


def _make(kind: Any) -> Any:
    hints = get_type_hints(kind)
    values = {}
    for field in fields(kind):
        hint = hints[field.name]
        base = getattr(hint, "__supertype__", hint)
        values[field.name] = (
            _BY_NAME[field.name] if field.name in _BY_NAME else _BY_TYPE.get(base, 7)
        )
    return kind(**values)
