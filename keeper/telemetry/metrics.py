"""All metrics in one table, and the collector that shows what is so at the moment of a scrape.

Counters and histograms count facts as they happen; state gauges are read from the last snapshot when
somebody scrapes, so that the series of a slot that is gone are gone too. docs/metrics.md is this
table, printed: ``python -m keeper.telemetry.metrics``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from keeper.core.text import plain
from keeper.telemetry.described import Described, MetricType
from keeper.telemetry.rows import itself, money, remedies, telling, viewers

# By the heading of the printed page.
SECTIONS: Mapping[str, tuple[Described, ...]] = MappingProxyType(
    {
        "Keeper itself": itself.ROWS,
        "What viewers see": viewers.ROWS,
        "What keeper does about it": remedies.ROWS,
        "Money and rentals": money.ROWS,
        "Who is told, and what is heard": telling.ROWS,
    }
)
METRICS: tuple[Described, ...] = tuple(row for rows in SECTIONS.values() for row in rows)

# One sample: the values of the labels, in the order of the table, and the number.
Samples = dict[str, list[tuple[tuple[str, ...], float]]]


class StateCollector(Collector):
    """Asks for the samples of the moment when somebody scrapes, and keeps nothing."""

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
    return "\n".join(
        [
            "# Metrics",
            "",
            "Everything keeper tells Prometheus on `/metrics`. This page is printed from the tables in",
            "`keeper/telemetry/rows/` by `python -m keeper.telemetry.metrics > docs/metrics.md`;",
            "a test fails while the two differ. How to scrape, which rules and which dashboard there are:",
            "[prometheus.md](prometheus.md).",
            "",
            "Labels are bounded: no series carries the id of an instance, an offer or a machine, and no",
            "word that a host chose is a label. The series of a stream, slot or channel that is gone are",
            "gone at the next tick. Counters start at zero with the process, but for times that the ledger",
            "keeps; `rate()` and `increase()` know both.",
            *(line for title, rows in SECTIONS.items() for line in _table(title, rows)),
            "",
            "The process itself is described by the usual `process_*` metrics.",
            "",
        ]
    )


def _table(title: str, rows: tuple[Described, ...]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield "| name | type | labels | unit | meaning |"
    yield "|---|---|---|---|---|"
    for metric in rows:
        labels = ", ".join(f"`{each}`" for each in metric.labels)
        yield f"| `{metric.name}` | {metric.type} | {labels} | {metric.unit} | {metric.help} |"


if __name__ == "__main__":
    sys.stdout.write(document())
