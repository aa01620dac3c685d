"""Every expression that is shipped for Prometheus, and the names of series that there can be."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML

from keeper.telemetry.described import MetricType
from keeper.telemetry.metrics import METRICS
from tests.components import REPOSITORY

DEPLOYED = REPOSITORY / "deploy" / "prometheus"
DASHBOARD = REPOSITORY / "deploy" / "grafana" / "keeper.json"
# What Grafana puts in place of its variables, when everything is chosen.
CHOSEN = {"$keeper": ".*", "$stream": ".*", "$__rate_interval": "1m"}
PARTS = ("_bucket", "_count", "_sum")
OTHERS = {
    "up": set[str](),
    "ALERTS": {"alertname", "alertstate", "severity"},
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
}
ALWAYS = {"job", "instance"}


def rules_of(name: str) -> list[dict[str, Any]]:
    read = YAML(typ="safe").load((DEPLOYED / name).read_text())
    return [rule for group in read["groups"] for rule in group["rules"]]


def series() -> Mapping[str, set[str]]:
    """The labels of each series, by its name."""
    known = {name: labels | ALWAYS for name, labels in OTHERS.items()}
    for metric in METRICS:
        if metric.type is MetricType.HISTOGRAM:
            known |= {metric.name + part: {*metric.labels, "le"} | ALWAYS for part in PARTS}
        else:
            known[metric.name] = {*metric.labels} | ALWAYS
    everything = set().union(*known.values())
    return known | {rule["record"]: everything for rule in rules_of("rules.yml")}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def asked_by_the_dashboard() -> Iterator[tuple[str, str]]:
    """Yield the title of a panel and an expression of it, as Prometheus is asked."""
    for panel in panels():
        for target in panel.get("targets", ()):
            yield panel["title"], chosen(target["expr"])


def chosen(text: str) -> str:
    for variable, value in CHOSEN.items():
        text = text.replace(variable, value)
    return text


def shipped() -> list[tuple[str, str]]:
    """Every expression, by where it is."""
    return [
        *((rule["alert"], rule["expr"]) for rule in rules_of("alerts.yml")),
        *((rule["record"], rule["expr"]) for rule in rules_of("rules.yml")),
        *asked_by_the_dashboard(),
    ]


_SELECTOR = re.compile(r"(?<![\w:.$\"])([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')


def selected(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the series that an expression asks for, each with the labels that are matched."""
    without = re.sub(
        r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", expression
    )
    for match in _SELECTOR.finditer(without):
        name, matchers = match.group(1), match.group(2) or ""
        if matchers or re.search(r"_|:|^up$|^ALERTS$", name):
            after = without[match.end() :].lstrip()
            if not (after.startswith("(") and not matchers):  # a function
                yield name, set(_MATCHER.findall(matchers))
