"""What a row of the table of metrics is, and the few ways to write one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# A port call is a local write (1 ms), a round trip (0.1 s) or a deploy step (minutes).
CALL_BUCKETS_S = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
# A tick decides in milliseconds and waits for the store; above the interval it overruns.
TICK_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
# Gaps of hand-overs: none, a keyframe, a player's patience.
GAP_BUCKETS_S = (0.0, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0)
# Repairs: a restart takes seconds, a reboot minutes, a new host up to half an hour.
REPAIR_BUCKETS_S = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
# Detection: a process that is gone is believed at once, a bad picture after three looks ten seconds apart.
DETECTION_BUCKETS_S = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 45.0, 60.0, 120.0, 300.0)


class MetricType(StrEnum):
    """The types of the exposition format that keeper uses."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One row of the table."""

    name: str  # as exposed, with _total
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()
    is_state: bool = False  # read at scrape time, off the snapshot or from those who tell people


def counter(name: str, help: str, *labels: str, unit: str = "") -> Described:
    """Describe a count of facts."""
    return Described(name=name, type=MetricType.COUNTER, help=help, labels=labels, unit=unit)


def accrued(name: str, help: str, *labels: str, unit: str = "") -> Described:
    """Describe a counter that somebody else adds up."""
    return Described(
        name=name, type=MetricType.COUNTER, help=help, labels=labels, unit=unit, is_state=True
    )


def gauge(name: str, help: str, *labels: str, unit: str = "") -> Described:
    """Describe a gauge that facts set."""
    return Described(name=name, type=MetricType.GAUGE, help=help, labels=labels, unit=unit)


def state(name: str, help: str, *labels: str, unit: str = "") -> Described:
    """Describe a gauge that is read when somebody scrapes."""
    return Described(
        name=name, type=MetricType.GAUGE, help=help, labels=labels, unit=unit, is_state=True
    )


def histogram(name: str, help: str, buckets: tuple[float, ...], *labels: str) -> Described:
    """Describe a histogram of seconds."""
    return Described(
        name=name,
        type=MetricType.HISTOGRAM,
        help=help,
        labels=labels,
        unit="seconds",
        buckets=buckets,
    )
