"""All metrics in one table, and the collector that shows the last snapshot.

Counters and histograms count facts as they happen; state gauges are read from the last snapshot when
somebody scrapes, so that the series of a slot that is gone are gone too. docs/metrics.md is this
table, printed: ``python -m keeper.telemetry.metrics``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from keeper.core.text import plain

# A port call is a local write (1 ms), a round trip (0.1 s) or a deploy step (minutes).
CALL_BUCKETS_S = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
# A tick decides in milliseconds and waits for the store; above the interval it overruns.
TICK_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
# Repairs: a restart takes seconds, a reboot minutes, a new host up to half an hour.
GAP_BUCKETS_S = (0.0, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0)
REPAIR_BUCKETS_S = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)


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
    is_state: bool = False  # read from the snapshot, at scrape time


def _counter(name: str, help: str, *labels: str, unit: str = "") -> Described:
    return Described(name=name, type=MetricType.COUNTER, help=help, labels=labels, unit=unit)


def _accrued(name: str, help: str, *labels: str, unit: str = "") -> Described:
    return Described(
        name=name, type=MetricType.COUNTER, help=help, labels=labels, unit=unit, is_state=True
    )


def _gauge(name: str, help: str, *labels: str, unit: str = "") -> Described:
    return Described(name=name, type=MetricType.GAUGE, help=help, labels=labels, unit=unit)


def _state(name: str, help: str, *labels: str, unit: str = "") -> Described:
    return Described(
        name=name, type=MetricType.GAUGE, help=help, labels=labels, unit=unit, is_state=True
    )


def _histogram(name: str, help: str, buckets: tuple[float, ...], *labels: str) -> Described:
    return Described(
        name=name,
        type=MetricType.HISTOGRAM,
        help=help,
        labels=labels,
        unit="seconds",
        buckets=buckets,
    )


METRICS: tuple[Described, ...] = (
    # Keeper itself.
    _gauge(
        "keeper_build_info",
        "Always 1; the labels say what runs.",
        *("version", "revision", "python"),
    ),
    _gauge(
        "keeper_last_tick_timestamp_seconds",
        "When the last tick finished; 0 before the first.",
        unit="seconds",
    ),
    _counter("keeper_ticks_total", "Ticks that finished."),
    _histogram("keeper_tick_duration_seconds", "How long ticks took.", TICK_BUCKETS_S),
    _counter("keeper_events_total", "Facts stated, by name.", "event"),
    _histogram(
        "keeper_port_call_duration_seconds",
        "Calls to the outside; outcome is ok, the class of the error, or own_fault: a look that this box could not take.",
        CALL_BUCKETS_S,
        *("port", "method", "outcome"),
    ),
    _gauge(
        "keeper_config_last_reload_successful",
        "Whether the last reading of the configuration succeeded; 0: the old one is in force.",
    ),
    _gauge(
        "keeper_config_last_reload_success_timestamp_seconds",
        "When the configuration in force was read; 0 before the start is complete.",
        unit="seconds",
    ),
    _state("keeper_paused", "Whether an operator has paused the fleet."),
    _state("keeper_paused_slots", "Slots and spares that an operator has paused."),
    _state(
        "keeper_pause_end_timestamp_seconds",
        "When a pause ends by itself; +Inf: never. The slot is empty for a pause of the fleet.",
        "slot",
        unit="seconds",
    ),
    _state("keeper_open_windows", "Maintenance windows that are open, by what they allow.", "allow"),
    _state("keeper_fuse_tripped", "Whether a fleet-wide fuse says no, by its reason.", "reason"),
    _state(
        "keeper_common_cause_hosts",
        "Failed hosts that a suspected common cause explains, by what they share; 0: none suspected.",
        "trait",
    ),
    _state(
        "keeper_deploy_bad",
        "Whether what is declared for a stream was found to be bad and taken back.",
        "stream",
    ),
    _state(
        "keeper_deploy_hosts",
        "Hosts by what they run: what is declared, or something else that is to go.",
        *("stream", "runs"),
    ),
    # What the viewer sees.
    _state(
        "keeper_stream_on_air",
        "Whether the viewer sees the slot's picture, and hears it where sound is expected. A loss shows"
        " once it is believed: policy.failures_to_fail looks.",
        *("stream", "slot"),
    ),
    _accrued(
        "keeper_stream_dark_seconds_total",
        "Time that slots were dark for their viewers, from the first bad look to the first good one, added"
        " up per stream; over restarts.",
        "stream",
        unit="seconds",
    ),
    _accrued(
        "keeper_stream_silent_seconds_total",
        "The part of that in which there was a picture without the sound that belongs to it.",
        "stream",
        unit="seconds",
    ),
    _accrued(
        "keeper_stream_starting_seconds_total",
        "Time before the first picture of slots, as long as a host may take to come up; not dark.",
        "stream",
        unit="seconds",
    ),
    _histogram(
        "keeper_stream_dark_duration_seconds",
        "From the first bad look at a slot to the first good one.",
        REPAIR_BUCKETS_S,
        "stream",
    ),
    _histogram(
        "keeper_stream_start_duration_seconds",
        "From the declaration of a slot to the first good look at it.",
        REPAIR_BUCKETS_S,
        "stream",
    ),
    _state(
        "keeper_stream_objective_ratio",
        "The share of time in which each slot of a stream is to show a good picture.",
        "stream",
    ),
    _state(
        "keeper_stream_availability_ratio",
        "The share of the time that somebody knew of, over the objective's window, that was good.",
        "stream",
    ),
    _state(
        "keeper_stream_error_budget_remaining_ratio",
        "What is left of the dark time that the objective allows in its window; below 0: more was used.",
        "stream",
    ),
    _state(
        "keeper_stream_error_budget_burn_ratio",
        "How fast it was used today and yesterday; at 1 it lasts for just the window.",
        "stream",
    ),
    _state(
        "keeper_stream_verdict",
        "What the viewer's latest look at a slot comes to, in one word; always 1, of one word at a time.",
        *("stream", "slot", "verdict"),
    ),
    _state(
        "keeper_stream_bytes_per_second",
        "What a stream sends, as the viewer read it last.",
        *("stream", "slot"),
        unit="bytes",
    ),
    _state(
        "keeper_stream_mean_luma",
        "Mean brightness of the picture, 0 to 255, as the viewer saw it last.",
        *("stream", "slot"),
    ),
    _state(
        "keeper_stream_sound_dbfs",
        "The loudest moment of the sound as the viewer heard it last: 0 is full scale, silence far below.",
        *("stream", "slot"),
    ),
    _state(
        "keeper_stream_keyframe_interval_seconds",
        "From one keyframe to the next, where whole groups were seen.",
        *("stream", "slot"),
        unit="seconds",
    ),
    _state(
        "keeper_stream_latency_seconds",
        "How far behind live the picture is, where the source itself says it.",
        *("stream", "slot"),
        unit="seconds",
    ),
    _state(
        "keeper_stream_newest_frame_age_seconds",
        "How old the newest picture was at the latest look, where that can be told.",
        *("stream", "slot"),
        unit="seconds",
    ),
    _state(
        "keeper_slate_on",
        "Whether viewers see keeper's own slate; absent: the stream has none declared.",
        "stream",
    ),
    _state(
        "keeper_stream_frames_per_second",
        "Different frames per second, as the viewer saw them last.",
        *("stream", "slot"),
    ),
    _state(
        "keeper_stream_generated_frames_per_second",
        "New pictures per second by the generator's own count; where the workload tells (sd-turbo).",
        *("stream", "slot"),
    ),
    _state(
        "keeper_stream_generation_seconds",
        "How long one picture takes to draw, smoothed over about ten; where the workload tells.",
        *("stream", "slot"),
        unit="seconds",
    ),
    _state(
        "keeper_stream_queue_age_seconds",
        "For how long the newest prompt has waited for its first picture; 0: none waits.",
        *("stream", "slot"),
        unit="seconds",
    ),
    _state(
        "keeper_symptom",
        "What a slot's workload says is wrong with it, by the word of its catalogue; absent: nothing.",
        *("stream", "slot", "symptom"),
    ),
    _state("keeper_slots", "Slots by the status of each condition.", "condition", "status"),
    # What keeper does about it.
    _counter(
        "keeper_decisions_total",
        "Decisions that differ from the slot's decision before.",
        *("decision", "reason"),
    ),
    _counter("keeper_incidents_total", "Sicknesses of slots, by cause.", "stream", "reason"),
    _counter("keeper_restarts_total", "Remedies below a new host that were ordered.", "stream", "rung"),
    _accrued("keeper_replacements_total", "Hosts that were replaced for a sickness.", "stream"),
    _counter("keeper_recycles_total", "Hosts that were to be replaced for their age.", "stream"),
    _counter(
        "keeper_spare_promotions_total",
        "Spares that took over, by why their slot needed another host.",
        *("stream", "reason"),
    ),
    _histogram(
        "keeper_repair_duration_seconds",
        "Incidents from opening to closing.",
        REPAIR_BUCKETS_S,
        "stream",
    ),
    _histogram(
        "keeper_handover_gap_seconds",
        "What viewers missed while one host took another's place: from the last good look to the first."
        " 0 where they overlap.",
        GAP_BUCKETS_S,
        "stream",
    ),
    # Money and rentals.
    _state(
        "keeper_spend_dollars_per_hour",
        "What a stream's rentals cost now, condemned ones included until they are confirmed gone.",
        "stream",
        unit="dollars",
    ),
    _accrued(
        "keeper_spend_dollars_total",
        "What a stream's rentals have cost since this process started, estimated from their price.",
        "stream",
        unit="dollars",
    ),
    _state(
        "keeper_spent_dollars",
        "What keeper counted for a stream in this UTC day, this month and in total; over restarts.",
        *("stream", "period"),
        unit="dollars",
    ),
    _state(
        "keeper_good_picture_seconds",
        "For how long slots of a stream showed a good picture in the same periods, added up.",
        *("stream", "period"),
        unit="seconds",
    ),
    _state(
        "keeper_spend_cap_dollars",
        "The caps that are set, the fleet's under the empty stream.",
        *("stream", "period"),
        unit="dollars",
    ),
    _state(
        "keeper_spend_committed_dollars_per_hour",
        "What a stream's rentals may cost at worst: in doubt, stopped and condemned ones in full.",
        "stream",
        unit="dollars",
    ),
    _state(
        "keeper_spend_forecast_dollars",
        "What will have been spent at the end of the day and of the month at the present rate.",
        *("stream", "period"),
        unit="dollars",
    ),
    _state(
        "keeper_spend_stopped",
        "Whether a cap has stopped its stream, or the fleet (the empty stream).",
        *("stream", "period"),
    ),
    _state("keeper_rentals", "Rentals that are bound to a slot.", "stream"),
    _state(
        "keeper_spares", "Places of spares: missing, coming (not ready yet), ready, stopped (stands still) or starting.", "stream", "state"
    ),
    _state(
        "keeper_spare_spent_dollars",
        "The part of keeper_spent_dollars that went into spares.",
        *("stream", "period"),
        unit="dollars",
    ),
    _state("keeper_condemned_rentals", "Rentals that must end and are not confirmed gone yet."),
    _state("keeper_orphans", "Rentals with keeper's label that no journal entry explains."),
    _state("keeper_market_readable", "Whether the marketplace gives complete listings."),
    _state(
        "keeper_listing_age_seconds",
        "Age of the last complete listing at the last tick; absent before the first listing.",
        unit="seconds",
    ),
    _state(
        "keeper_account_credit_dollars",
        "What the marketplace account could spend when last asked; a debt is negative, absent while"
        " nobody knows.",
        unit="dollars",
    ),
    _state(
        "keeper_account_runway_seconds",
        "How long the account lasts at what it pays now; +Inf when it pays nothing.",
        unit="seconds",
    ),
    # Who is told.
    _counter("keeper_notices_total", "Messages to channels, by how it went.", "channel", "outcome"),
    _gauge("keeper_outbox_pending", "Messages that no channel has taken yet."),
)  # fmt: skip

# One sample: the values of the labels, in the order of the table, and the number.
Samples = dict[str, list[tuple[tuple[str, ...], float]]]


class StateCollector(Collector):
    """Asks for the samples of the last snapshot when somebody scrapes, and keeps nothing."""

    def __init__(self, samples: Callable[[], Samples]) -> None:
        """Show what ``samples`` returns at the moment of the scrape."""
        self._samples = samples

    def describe(self) -> Iterator[Metric]:
        """Name the families, so that a second registration under the same names is refused."""
        for metric in METRICS:
            if metric.is_state:
                yield _family(metric)

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield the families of the last snapshot."""
        samples = self._samples()
        for metric in METRICS:
            if not metric.is_state:
                continue
            family = _family(metric)
            for values, number in samples.get(metric.name, ()):
                family.add_metric([label_value(value) for value in values], number)
            yield family


def label_value(text: str) -> str:
    """Bound and clean what becomes a label; stream names come from a file that a person wrote."""
    return plain(text, 128)


def _family(metric: Described) -> GaugeMetricFamily | CounterMetricFamily:
    if metric.type is MetricType.COUNTER:
        return CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)


def document() -> str:
    """Write docs/metrics.md."""
    rows = [
        f"| `{metric.name}` | {metric.type} | {', '.join(f'`{each}`' for each in metric.labels)} "
        f"| {metric.unit} | {metric.help} |"
        for metric in METRICS
    ]
    return "\n".join(
        [
            "# Metrics",
            "",
            "Everything keeper tells Prometheus on `/metrics`. This page is printed from the table in",
            "`keeper/telemetry/metrics.py` by `python -m keeper.telemetry.metrics > docs/metrics.md`;",
            "a test fails while the two differ.",
            "",
            "Labels are bounded: no series carries the id of an instance, an offer or a machine. The",
            "series of a stream or slot that is gone are gone at the next tick. Counters start at zero",
            "with the process, but for times that the ledger keeps; `rate()` and `increase()` know both.",
            "",
            "| name | type | labels | unit | meaning |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "The process itself is described by the usual `process_*` metrics.",
            "Rules and runbooks: [alerts.yml](../deploy/prometheus/alerts.yml), [runbooks](runbooks/).",
            "",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(document())
