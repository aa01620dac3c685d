"""Which alerts an operator has asked not to be told of. Pure.

A silence hides messages and nothing else: the alert holds, is counted, listed and shown. What was told
before is told to be over; what still holds when its silence ends is told then.
"""

from __future__ import annotations

from collections.abc import Iterable

from keeper.alerts import Alert
from keeper.core.silences import Silence


def silenced_by(alert: Alert, silences: Iterable[Silence]) -> str:
    """Return the id of the first silence that means an alert; "": none does."""
    shown = {
        "alert": alert.name,
        "stream": alert.stream or "",
        "slot": alert.slot or "",
        "severity": alert.severity.value,
        "key": alert.key,
    }
    return next((each.silence_id for each in silences if each.matches(shown)), "")
