"""Where facts go as they happen: a line in the log, a count in the metrics.

A sink never blocks and never raises: telling about the work must not become the reason that it stops.
It knows facts and values; it asks nobody.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from structlog.typing import Processor, WrappedLogger

from keeper.core.events import (
    EVENT_TYPES,
    ConfigRejected,
    ConfigReloaded,
    DecisionMade,
    Event,
    HandoverSwapped,
    HintRefused,
    HintTaken,
    HostRecycling,
    IncidentClosed,
    IncidentOpened,
    InstanceRebooting,
    KeeperStarted,
    Level,
    NoticeFailed,
    NoticeSent,
    SparePromoted,
    StreamOnAir,
    TickFinished,
    WorkloadRestarting,
    facts,
)
from keeper.core.model import Rung, stream_of
from keeper.core.world import Snapshot
from keeper.telemetry.described import Described, MetricType
from keeper.telemetry.metrics import METRICS, Samples, StateCollector, label_value
from keeper.telemetry.state import Accruals, gauges
from keeper.telemetry.told import Told, told_gauges

_LEVELS: Final = {
    Level.DEBUG: logging.DEBUG,
    Level.INFO: logging.INFO,
    Level.WARNING: logging.WARNING,
    Level.ERROR: logging.ERROR,
}
# Every rung below a new host; what a counter can count starts at zero.
_RUNGS: Final = tuple(rung for rung in Rung if rung is not Rung.REPLACE)
_OUTCOMES: Final = ("sent", "failed")
# Who hints and why it is refused are few words of ours. Should one ever be somebody else's, it is one series.
_WORDS_MAX: Final = 16
_OTHER: Final = "other"


class EventLog:
    """One log line per fact, as loud as the fact says."""

    def __init__(self) -> None:
        """Use the configuration of ``configure_logs`` that is in force at the first fact."""
        self._logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
        self._steps: Sequence[Processor] = ()
        self._lines: WrappedLogger = None
        self.lost = 0

    def publish(self, event: Event, *, at: datetime, tick: int) -> None:
        """Write one line: the fact's own values, the stream of its slot, tick and time."""
        try:
            if not self._logger.is_enabled_for(_LEVELS[event.level]):
                return
            line = facts(event)
            line["at"] = at
            line["tick"] = tick
            slot = line.get("slot")
            if slot is not None:
                line["stream"] = stream_of(slot)
            self._write(event.level.value, line)
        except Exception:  # noqa: BLE001 - a line that cannot be written is counted, nothing more
            self.lost += 1

    def observe_call(self, port: str, method: str, outcome: str, duration_s: float) -> None:
        """Write finished calls at debug level only; failures are facts of their own."""
        self._logger.debug(
            "port.called", port=port, method=method, outcome=outcome, duration_s=duration_s
        )

    def _write(self, level: str, line: dict[str, Any]) -> None:
        """Pass a whole line through the processors, as a bound logger would.

        A fact brings everything along, and the bound logger's copying of context and keywords was a
        third of the cost of a line.
        """
        if not self._steps:
            configuration = structlog.get_config()
            self._steps = configuration["processors"]
            self._lines = configuration["logger_factory"]()
            # The level as bound now, not through the proxy that makes a logger for each question.
            self._logger = self._logger.bind()
        rendered: Any = line
        for step in self._steps:
            rendered = step(self._lines, level, rendered)
        getattr(self._lines, level)(rendered)


class MetricsSink:
    """Counts facts and shows the last snapshot, in a registry that is given."""

    def __init__(self, registry: CollectorRegistry, *, version: str, revision: str = "") -> None:
        """Register every metric of the table. One sink per registry."""
        # A second series per counter that nobody reads. A process-wide switch, the library has no other.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._register()
        self._accruals = Accruals()
        self._snapshot: Snapshot | None = None
        self._streams: set[str] = set()
        self._channels: set[str] = set()
        self._words: set[tuple[str, ...]] = set()
        self._read_snapshot: Callable[[], Snapshot | None] = lambda: None
        self._read_config_hash: Callable[[], int | None] = lambda: None
        self._told: Told | None = None
        self._read_heartbeat: Callable[[], bool | None] = lambda: None
        self._calls: dict[tuple[str, str, str], Histogram] = {}
        registry.register(StateCollector(self._samples))
        ProcessCollector(registry=registry)
        self._start(version, revision)

    def follow(
        self,
        snapshot: Callable[[], Snapshot | None],
        told: Told | None = None,
        config_hash: Callable[[], int | None] = lambda: None,
        heartbeat: Callable[[], bool | None] = lambda: None,
    ) -> None:
        """Say where snapshots come from: read after each finished tick, when its fact arrives.

        The others are asked when somebody scrapes. ``heartbeat``: whether the latest beat was heard;
        None: nobody is to hear any.
        """
        self._read_snapshot = snapshot
        self._told = told
        self._read_config_hash = config_hash
        self._read_heartbeat = heartbeat

    def render(self, snapshot: Snapshot) -> None:
        """Show this snapshot from now on, and add up what happened since the one before."""
        self._snapshot = snapshot
        lived = self._accruals.add(snapshot)
        self._gauges["keeper_last_tick_timestamp_seconds"].set(snapshot.at.timestamp())
        self._know_streams({stream_of(slot) for slot in snapshot.records})
        self._know_channels()
        for stream, seconds in lived.detected_s:
            self._observe("keeper_stream_detection_duration_seconds", stream, seconds)
        for stream, seconds in lived.started_s:
            self._observe("keeper_host_start_duration_seconds", stream, seconds)

    def publish(  # noqa: C901 - one row a fact that has a metric of its own
        self, event: Event, *, at: datetime, tick: int
    ) -> None:
        """Count one fact."""
        self._counters["keeper_events_total"].labels(event.name).inc()
        match event:
            case TickFinished(duration_s=duration_s):
                self._counters["keeper_ticks_total"].inc()
                self._histograms["keeper_tick_duration_seconds"].observe(duration_s)
                self._gauges["keeper_last_tick_timestamp_seconds"].set(at.timestamp())
                snapshot = self._read_snapshot()
                if snapshot is not None and snapshot is not self._snapshot:
                    self.render(snapshot)
            case DecisionMade(decision=decision, reason=reason):
                self._count("keeper_decisions_total", decision, reason.value)
            case IncidentOpened(slot=slot, reason=reason):
                self._count("keeper_incidents_total", stream_of(slot), reason.value)
            case IncidentClosed(slot=slot, duration_s=duration_s):
                self._observe("keeper_repair_duration_seconds", stream_of(slot), duration_s)
            case StreamOnAir(slot=slot, duration_s=duration_s, started_s=started_s):
                if started_s is not None:
                    name = "keeper_stream_start_duration_seconds"
                    self._observe(name, stream_of(slot), started_s)
                elif duration_s:
                    name = "keeper_stream_dark_duration_seconds"
                    self._observe(name, stream_of(slot), duration_s)
            case WorkloadRestarting(slot=slot) | InstanceRebooting(slot=slot):
                rung = Rung.REBOOT if isinstance(event, InstanceRebooting) else event.rung
                self._count("keeper_restarts_total", stream_of(slot), rung.value)
            case HandoverSwapped(slot=slot, gap_s=gap_s):
                self._observe("keeper_handover_gap_seconds", stream_of(slot), gap_s)
            case HostRecycling(slot=slot):
                self._count("keeper_recycles_total", stream_of(slot))
            case SparePromoted(slot=slot, reason=reason):
                self._count("keeper_spare_promotions_total", stream_of(slot), reason.value)
            case _:
                self._count_telling(event, at)

    def _count_telling(self, event: Event, at: datetime) -> None:
        """Count one fact of those about messages, hints and the configuration."""
        match event:
            case NoticeSent(channel=channel):
                self._count("keeper_notices_total", channel, "sent")
            case NoticeFailed(channel=channel):
                self._count("keeper_notices_total", channel, "failed")
            case HintTaken(source=source):
                self._count("keeper_hints_taken_total", *self._few(source))
            case HintRefused(source=source, why=why, refused=refused):
                words = self._few(source, why)
                self._count("keeper_hints_refused_total", *words, by=max(1, refused))
            case KeeperStarted() | ConfigReloaded():
                self._gauges["keeper_config_last_reload_successful"].set(1)
                name = "keeper_config_last_reload_success_timestamp_seconds"
                self._gauges[name].set(at.timestamp())
            case ConfigRejected():
                self._gauges["keeper_config_last_reload_successful"].set(0)
            case _:
                pass  # counted by name above

    def observe_call(self, port: str, method: str, outcome: str, duration_s: float) -> None:
        """Take one finished call of a port."""
        key = (port, method, outcome)
        series = self._calls.get(key)
        if series is None:
            series = self._histograms["keeper_port_call_duration_seconds"].labels(*key)
            self._calls[key] = series
        series.observe(duration_s)

    def _count(self, name: str, *labels: str, by: int = 1) -> None:
        self._counters[name].labels(*(label_value(each) for each in labels)).inc(by)

    def _observe(self, name: str, stream: str, seconds: float) -> None:
        self._histograms[name].labels(label_value(stream)).observe(seconds)

    def _few(self, *words: str) -> tuple[str, ...]:
        """Return words that are few, or ``other`` for each once they are not."""
        if words not in self._words and len(self._words) >= _WORDS_MAX:
            return tuple(_OTHER for _ in words)
        self._words.add(words)
        return words

    def _samples(self) -> Samples:
        samples: Samples = {}
        number = self._read_config_hash()
        if number is not None:
            samples["keeper_config_hash"] = [((), float(number))]
        is_heard = self._read_heartbeat()
        if is_heard is not None:
            samples["keeper_heartbeat_heard"] = [((), float(is_heard))]
        if self._told is not None:
            samples |= told_gauges(self._told)
        if self._snapshot is not None:
            samples |= gauges(self._snapshot) | self._accruals.samples()
        return samples

    def _register(self) -> None:
        for metric in METRICS:
            if metric.is_state:
                continue
            match metric.type:
                case MetricType.COUNTER:
                    self._counters[metric.name] = Counter(
                        metric.name, metric.help, metric.labels, registry=self._registry
                    )
                case MetricType.GAUGE:
                    self._gauges[metric.name] = Gauge(
                        metric.name, metric.help, metric.labels, registry=self._registry
                    )
                case MetricType.HISTOGRAM:
                    self._histograms[metric.name] = Histogram(
                        metric.name,
                        metric.help,
                        metric.labels,
                        registry=self._registry,
                        buckets=metric.buckets,
                    )

    def _start(self, version: str, revision: str) -> None:
        """Let the known label sets begin at zero: the first increase of a series is no rate at all."""
        python = platform.python_version()
        self._gauges["keeper_build_info"].labels(version, revision, python).set(1)
        self._gauges["keeper_config_last_reload_successful"].set(1)
        for event in EVENT_TYPES:
            self._counters["keeper_events_total"].labels(event.name)

    def _know_streams(self, streams: set[str]) -> None:
        """Drop what was counted for streams of which no slot is left; let that of new ones begin at zero."""
        known = {label_value(stream) for stream in streams}
        if known == self._streams:
            return
        self._streams = known
        for metric, family in self._families("stream"):
            _forget(family, "stream", known)
            for stream in known:
                match metric.labels:
                    case ("stream",):
                        family.labels(stream)
                    case ("stream", "rung"):
                        for rung in _RUNGS:
                            family.labels(stream, rung.value)
                    case _:
                        pass  # by a reason: there are too many that never come

    def _know_channels(self) -> None:
        """Drop what was counted for channels that are declared no more; let that of new ones begin at zero."""
        if self._told is None:
            return
        known = {label_value(each.name) for each in self._told.channels()}
        if known == self._channels:
            return
        self._channels = known
        for _, family in self._families("channel"):
            _forget(family, "channel", known)
        for channel in known:
            for outcome in _OUTCOMES:
                self._counters["keeper_notices_total"].labels(channel, outcome)

    def _families(self, label: str) -> Iterator[tuple[Described, Counter | Gauge | Histogram]]:
        for metric in METRICS:
            if label in metric.labels and not metric.is_state:
                name = metric.name
                family = self._counters.get(name) or self._histograms.get(name)
                yield metric, family or self._gauges[name]


def _forget(family: Counter | Gauge | Histogram, label: str, known: set[str]) -> None:
    for metric in family.collect():
        gone = {
            sample.labels[label]
            for sample in metric.samples
            if sample.labels.get(label, "") not in known
        }
        for value in gone:
            family.remove_by_labels({label: value})
