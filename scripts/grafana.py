"""Writes Grafana's dashboard of keeper: ``python scripts/grafana.py > deploy/grafana/keeper.json``.

The dashboard is these few tables; the JSON repeats them in Grafana's words (schema 39, Grafana 10.4).
A test fails while the two differ, and holds every expression to the metrics that exist.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

WIDTH = 24  # columns of Grafana's grid
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Which keeper, and which streams, the variables above the dashboard choose.
KEEPER = 'instance=~"$keeper"'
STREAM = f'{KEEPER},stream=~"$stream"'
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "#8e8e8e"

Mapped = dict[str, tuple[str, str]]  # value to text and colour


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: what it asks, and how it is read."""

    kind: str  # of Grafana: stat, timeseries, state-timeline, heatmap, bargauge, table
    title: str
    about: str  # the description: what to make of it
    unit: str
    asks: tuple[tuple[str, str], ...]  # expression and legend
    wide: int = 8
    high: int = 8
    steps: tuple[tuple[float | None, str], ...] = ((None, GREEN),)  # from which value which colour
    mapped: Mapped = field(default_factory=dict)
    is_stacked: bool = False
    decimals: int | None = None
    max: float | None = None
    min: float | None = None


def heatmap(title: str, about: str, metric: str) -> Panel:
    """Show how a histogram's durations are spread over time."""
    return Panel(
        kind="heatmap", title=title, about=about, unit="s",
        asks=((f"sum by (le) (increase({metric}_bucket{{{STREAM}}}[$__rate_interval]))", "{{le}}"),),
    )  # fmt: skip


YES_NO: Mapped = {"0": ("no", RED), "1": ("yes", GREEN)}
NO_YES: Mapped = {"0": ("no", GREEN), "1": ("yes", RED)}
NONE_IS_GOOD = ((None, GREEN), (1, RED))

FLEET = (
    Panel(kind="stat", title="On air", about="Slots whose picture viewers see, of all slots.", unit="percentunit", wide=4, high=4, decimals=0,
          asks=((f"avg(keeper_stream_on_air{{{KEEPER}}})", ""),), steps=((None, RED), (0.8, YELLOW), (1, GREEN))),
    Panel(kind="stat", title="Dark slots", about="Slots that viewers do not see now, those that never came up included.", unit="none", wide=4, high=4,
          asks=((f"sum(1 - keeper_stream_on_air{{{KEEPER}}})", ""),), steps=NONE_IS_GOOD),
    Panel(kind="stat", title="Needs a person", about="Critical alerts that hold now. keeper alerts list shows them.", unit="none", wide=4, high=4,
          asks=((f'sum(keeper_alerts{{{KEEPER},severity="critical"}})', ""),), steps=NONE_IS_GOOD),
    Panel(kind="stat", title="Error budget left", about="Of the stream that has least left, in its objective's window. Below 0: more was used than is allowed.", unit="percentunit", wide=4, high=4, decimals=0,
          asks=((f"min(keeper_stream_error_budget_remaining_ratio{{{KEEPER}}})", ""),), steps=((None, RED), (0, ORANGE), (0.25, YELLOW), (0.5, GREEN))),
    Panel(kind="stat", title="Cost now", about="What all rentals cost an hour, condemned ones included until they are confirmed gone.", unit="currencyUSD", wide=4, high=4, decimals=2,
          asks=((f"sum(keeper_spend_dollars_per_hour{{{KEEPER}}})", ""),), steps=((None, BLUE),)),
    Panel(kind="stat", title="Last tick", about="How long ago keeper last looked at everything. Above two minutes nothing is repaired.", unit="s", wide=4, high=4, decimals=0,
          asks=((f"max(time() - keeper_last_tick_timestamp_seconds{{{KEEPER}}})", ""),), steps=((None, GREEN), (30, YELLOW), (120, RED))),
    Panel(kind="state-timeline", title="On air, by slot", about="When viewers saw each slot. Red: it was dark, or had not come up yet.", unit="none", wide=24, high=9,
          asks=((f"keeper_stream_on_air{{{KEEPER}}}", "{{slot}}"),), mapped={"0": ("dark", RED), "1": ("on air", GREEN)}),
    Panel(kind="table", title="Alerts that hold", about="By name and severity, told of or not. Each has a runbook of its name.", unit="none",
          asks=((f"sum by (alert, severity) (keeper_alerts{{{KEEPER}}}) > 0", ""),)),
    Panel(kind="timeseries", title="Decisions", about="What keeper decided anew, and why. Look here first when something was done that nobody expected.", unit="short", is_stacked=True,
          asks=((f"sum by (decision, reason) (increase(keeper_decisions_total{{{KEEPER}}}[$__rate_interval])) > 0", "{{decision}}: {{reason}}"),)),
    Panel(kind="state-timeline", title="What holds everything back", about="Fleet-wide fuses: while one is tripped, keeper does nothing destructive, or nothing at all.", unit="none",
          asks=((f"keeper_fuse_tripped{{{KEEPER}}}", "{{reason}}"), (f"keeper_market_readable{{{KEEPER}}} == bool 0", "marketplace unreadable")), mapped=NO_YES),
)  # fmt: skip

STREAMS = (
    Panel(kind="state-timeline", title="What the viewer's look says", about="One word a slot: live, silent, frozen, black, stuttering, unknown and so on.", unit="none", wide=16,
          asks=((f"keeper_stream_verdict{{{STREAM}}}", "{{slot}} {{verdict}}"),), mapped={"1": ("so", BLUE)}),
    Panel(kind="state-timeline", title="Symptoms and slates", about="What a workload says is wrong with itself, and when viewers saw keeper's own slate.", unit="none",
          asks=((f"keeper_symptom{{{STREAM}}}", "{{slot}} {{symptom}}"), (f"keeper_slate_on{{{STREAM}}}", "{{stream}} slate")), mapped={"0": ("off", GREY), "1": ("so", ORANGE)}),
    Panel(kind="timeseries", title="Dark", about="The share of slot time without the picture that viewers should have; silent is the part where only the sound was missing. Starting is not dark.", unit="percentunit", min=0,
          asks=((f"stream:keeper_dark:ratio_rate5m{{{STREAM}}}", "{{stream}}"),
                (f"rate(keeper_stream_silent_seconds_total{{{STREAM}}}[5m])", "{{stream}} silent"), (f"rate(keeper_stream_starting_seconds_total{{{STREAM}}}[5m])", "{{stream}} starting")), steps=((None, RED),)),
    Panel(kind="bargauge", title="Error budget left", about="Of the dark time that the objective allows in its window.", unit="percentunit", wide=4, max=1, decimals=0,
          asks=((f"keeper_stream_error_budget_remaining_ratio{{{STREAM}}}", "{{stream}}"),), steps=((None, RED), (0, ORANGE), (0.25, YELLOW), (0.5, GREEN))),
    Panel(kind="bargauge", title="Availability", about="The share of known time that was good, over the objective's window.", unit="percentunit", wide=4, max=1, decimals=3,
          asks=((f"keeper_stream_availability_ratio{{{STREAM}}}", "{{stream}}"), (f"keeper_stream_objective_ratio{{{STREAM}}}", "{{stream}} promised")), steps=((None, RED), (0.99, YELLOW), (0.995, GREEN))),
    Panel(kind="timeseries", title="Budget burn", about="How many times faster than allowed the budget goes. At 1 it lasts for just its window; at 14.4 an alert fires.", unit="short", min=0,
          asks=((f"stream:keeper_error_budget_burn:rate1h{{{STREAM}}}", "{{stream}} 1 h"), (f"stream:keeper_error_budget_burn:rate1d{{{STREAM}}}", "{{stream}} 1 day")), steps=((None, GREEN), (1, ORANGE), (14.4, RED))),
    heatmap("Time to detect", "From the first bad look to the moment at which the loss was believed.", "keeper_stream_detection_duration_seconds"),
    heatmap("Time to repair", "From that moment to the one at which the slot was well again.", "keeper_repair_duration_seconds"),
    heatmap("Time to picture", "From the order of a rental to the first good look at it.", "keeper_host_start_duration_seconds"),
    Panel(kind="timeseries", title="Why slots fell sick", about="Sicknesses that began, by their cause.", unit="short", is_stacked=True,
          asks=((f"sum by (reason) (increase(keeper_incidents_total{{{STREAM}}}[$__rate_interval])) > 0", "{{reason}}"),)),
    Panel(kind="timeseries", title="What was done", about="Remedies, from the cheapest to another host. Recycled: for its age. Promoted: a spare took over.", unit="short", is_stacked=True,
          asks=((f"sum by (rung) (increase(keeper_restarts_total{{{STREAM}}}[$__rate_interval])) > 0", "{{rung}}"), (f"sum(increase(keeper_replacements_total{{{STREAM}}}[$__rate_interval])) > 0", "replaced"),
                (f"sum(increase(keeper_recycles_total{{{STREAM}}}[$__rate_interval])) > 0", "recycled"), (f"sum(increase(keeper_spare_promotions_total{{{STREAM}}}[$__rate_interval])) > 0", "promoted"))),
    Panel(kind="timeseries", title="Dark at a stretch", about="How long a darkness, and the gap of a hand-over, lasted: 19 of 20 were shorter.", unit="s", min=0,
          asks=((f"histogram_quantile(0.95, sum by (le, stream) (rate(keeper_stream_dark_duration_seconds_bucket{{{STREAM}}}[1h])))", "{{stream}} dark"),
                (f"histogram_quantile(0.95, sum by (le, stream) (rate(keeper_handover_gap_seconds_bucket{{{STREAM}}}[1h])))", "{{stream}} hand-over"))),
    Panel(kind="timeseries", title="Frames per second", about="Different pictures, as the viewer saw them; and as the generator counts them, where it does.", unit="none", min=0,
          asks=((f"keeper_stream_frames_per_second{{{STREAM}}}", "{{slot}}"), (f"keeper_stream_generated_frames_per_second{{{STREAM}}}", "{{slot}} generated"))),
    Panel(kind="timeseries", title="Bytes sent", about="What a viewer receives. It costs money where traffic does.", unit="Bps", min=0,
          asks=((f"keeper_stream_bytes_per_second{{{STREAM}}}", "{{slot}}"),)),
    Panel(kind="timeseries", title="Behind live", about="Where the source says it: how late the picture is, and how old the newest one was.", unit="s", min=0,
          asks=((f"keeper_stream_latency_seconds{{{STREAM}}}", "{{slot}} latency"), (f"keeper_stream_newest_frame_age_seconds{{{STREAM}}}", "{{slot}} newest frame"), (f"keeper_stream_queue_age_seconds{{{STREAM}}}", "{{slot}} queue"))),
)  # fmt: skip

MONEY = (
    Panel(kind="stat", title="Today", about="What was spent since midnight UTC.", unit="currencyUSD", wide=4, high=4, decimals=2, steps=((None, BLUE),),
          asks=((f'sum(keeper_spent_dollars{{{KEEPER},period="day"}})', ""),)),
    Panel(kind="stat", title="This month", about="What was spent in this UTC month.", unit="currencyUSD", wide=4, high=4, decimals=2, steps=((None, BLUE),),
          asks=((f'sum(keeper_spent_dollars{{{KEEPER},period="month"}})', ""),)),
    Panel(kind="stat", title="An hour of good picture", about="What it cost this month, with everything that was spent while nothing was to be seen.", unit="currencyUSD", wide=4, high=4, decimals=2, steps=((None, BLUE),),
          asks=((f'3600 * sum(keeper_spent_dollars{{{KEEPER},period="month"}}) / (sum(keeper_good_picture_seconds{{{KEEPER},period="month"}}) > 0)', ""),)),
    Panel(kind="stat", title="Credit", about="What the account can spend. At zero the marketplace stops every rental at once.", unit="currencyUSD", wide=4, high=4, decimals=2,
          asks=((f"min(keeper_account_credit_dollars{{{KEEPER}}})", ""),), steps=((None, RED), (5, YELLOW), (20, GREEN))),
    Panel(kind="stat", title="Credit lasts", about="At what the account pays now.", unit="s", wide=4, high=4, decimals=0,
          asks=((f"min(keeper_account_runway_seconds{{{KEEPER}}})", ""),), steps=((None, RED), (86400, YELLOW), (259200, GREEN))),
    Panel(kind="stat", title="Paid for nothing", about="Rentals that must end and are not confirmed gone, and rentals that belong to no stream.", unit="none", wide=4, high=4,
          asks=((f"sum(keeper_condemned_rentals{{{KEEPER}}})", "to end"), (f"sum(keeper_orphans{{{KEEPER}}})", "strays")), steps=((None, GREEN), (1, ORANGE))),
    Panel(kind="timeseries", title="Cost an hour", about="What each stream's rentals cost now, and what they may cost at worst.", unit="currencyUSD", is_stacked=True, min=0,
          asks=((f"keeper_spend_dollars_per_hour{{{KEEPER}}}", "{{stream}}"),)),
    Panel(kind="timeseries", title="Committed", about="The worst case, against which caps are held: rentals in doubt, stopped and condemned ones in full.", unit="currencyUSD", is_stacked=True, min=0,
          asks=((f"keeper_spend_committed_dollars_per_hour{{{KEEPER}}}", "{{stream}}"),)),
    Panel(kind="bargauge", title="Caps used", about="Of each cap that is set. At 1 nothing more is rented, and hosts are ended before it.", unit="percentunit", max=1, min=0, decimals=0,
          asks=((f'keeper_spent_dollars{{{KEEPER},stream!=""}} / on (job, instance, stream, period) keeper_spend_cap_dollars', "{{stream}} {{period}}"),
                (f'sum without (stream) (keeper_spent_dollars{{{KEEPER}}}) / on (job, instance, period) keeper_spend_cap_dollars{{stream=""}}', "fleet {{period}}")), steps=((None, GREEN), (0.75, YELLOW), (0.9, RED))),
    Panel(kind="timeseries", title="Where it leads", about="What will have been spent at the end of the period at the present rate; lines are the caps.", unit="currencyUSD", min=0, wide=12,
          asks=((f"sum by (period) (keeper_spend_forecast_dollars{{{KEEPER}}})", "{{period}}"), (f'keeper_spend_cap_dollars{{{KEEPER},stream=""}}', "cap {{period}}"))),
    Panel(kind="timeseries", title="Rentals and spares", about="Hosts that are bound to a slot, and places of spares by what they are.", unit="none", min=0, wide=12,
          asks=((f"keeper_rentals{{{KEEPER}}}", "{{stream}}"), (f"keeper_spares{{{KEEPER}}} > 0", "{{stream}} spare {{state}}"))),
)  # fmt: skip

ITSELF = (
    Panel(kind="timeseries", title="Ticks", about="How long a tick takes: half of them, and all but one in a hundred. Above the interval, two seconds, it overruns.", unit="s", min=0,
          asks=((f"histogram_quantile(0.5, sum by (le) (rate(keeper_tick_duration_seconds_bucket{{{KEEPER}}}[$__rate_interval])))", "half"),
                (f"histogram_quantile(0.99, sum by (le) (rate(keeper_tick_duration_seconds_bucket{{{KEEPER}}}[$__rate_interval])))", "99 %"))),
    Panel(kind="timeseries", title="Calls to the outside", about="How long they take: 19 of 20, by port and method.", unit="s", min=0,
          asks=((f"port_method:keeper_port_call_duration_seconds:p95_rate5m{{{KEEPER}}}", "{{port}} {{method}}"),)),
    Panel(kind="timeseries", title="Calls that fail", about="The share by port. For hosts and the network it is ordinary life; for the store it is not.", unit="percentunit", min=0, max=1,
          asks=((f"port:keeper_port_call_failures:ratio_rate5m{{{KEEPER}}}", "{{port}}"),)),
    Panel(kind="timeseries", title="Messages that wait", about="By channel. A broken one delays no other.", unit="none", min=0,
          asks=((f"keeper_outbox_pending{{{KEEPER}}}", "{{channel}}"),)),
    Panel(kind="timeseries", title="Deliveries", about="Messages that were taken, and tries that failed.", unit="short", is_stacked=True,
          asks=((f"sum by (channel, outcome) (increase(keeper_notices_total{{{KEEPER}}}[$__rate_interval])) > 0", "{{channel}} {{outcome}}"),)),
    Panel(kind="state-timeline", title="Ways to people", about="Whether each channel is on, each feed is taken, and the heartbeat is heard.", unit="none",
          asks=((f"keeper_channel_off{{{KEEPER}}} == bool 0", "{{channel}}"), (f"keeper_feed_taking{{{KEEPER}}}", "{{channel}} takes"), (f"keeper_heartbeat_heard{{{KEEPER}}}", "heartbeat")), mapped=YES_NO),
    Panel(kind="timeseries", title="Incidents and silences", about="Stories that people were told of, silences in force, and alerts that hold and are hidden: by a louder one, or by a silence.", unit="none", min=0,
          asks=((f"keeper_alert_incidents{{{KEEPER}}}", "incidents"), (f"keeper_silences{{{KEEPER}}}", "silences"), (f"keeper_alerts_hidden{{{KEEPER}}}", "hidden by a {{by}}"))),
    Panel(kind="timeseries", title="Hints from outside", about="What made keeper look sooner, and what was refused.", unit="short", is_stacked=True,
          asks=((f"increase(keeper_hints_taken_total{{{KEEPER}}}[$__rate_interval]) > 0", "{{source}} taken"), (f"increase(keeper_hints_refused_total{{{KEEPER}}}[$__rate_interval]) > 0", "{{source}} {{why}}"))),
    Panel(kind="timeseries", title="What went wrong", about="Facts that should be rare: ticks and tasks that failed, clocks that stepped, bugs.", unit="short", is_stacked=True,
          asks=((f'sum by (event) (increase(keeper_events_total{{{KEEPER},event=~"tick.failed|tick.overran|task.died|clock.stepped|slot.bug|config.rejected"}}[$__rate_interval])) > 0', "{{event}}"),)),
    Panel(kind="timeseries", title="Memory", about="Of keeper's own process; the players of WebRTC streams are others.", unit="bytes", min=0, wide=6,
          asks=((f'process_resident_memory_bytes{{{KEEPER},job="keeper"}}', "{{instance}}"),)),
    Panel(kind="timeseries", title="Processor", about="Cores that keeper's own process keeps busy.", unit="none", min=0, wide=6,
          asks=((f'rate(process_cpu_seconds_total{{{KEEPER},job="keeper"}}[$__rate_interval])', "{{instance}}"),)),
    Panel(kind="table", title="What runs", about="The version, and a number that stands for the configuration in force: it changes when that does.", unit="none", wide=6,
          asks=((f"keeper_build_info{{{KEEPER}}} * on (job, instance) group_left () keeper_config_hash", ""),)),
    Panel(kind="stat", title="Configuration", about="Whether the last reading of it succeeded, and how long ago that was.", unit="none", wide=6, mapped={"0": ("rejected", RED), "1": ("in force", GREEN)},
          asks=((f"min(keeper_config_last_reload_successful{{{KEEPER}}})", ""),)),
)  # fmt: skip

ROWS = (("Fleet", FLEET), ("Stream: $stream", STREAMS), ("Money", MONEY), ("Keeper itself", ITSELF))


def variables() -> list[dict[str, Any]]:
    """Return what is chosen above the dashboard."""
    chosen = {"selected": True, "text": "All", "value": "$__all"}
    return [
        {
            "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
            "current": {}, "hide": 0, "refresh": 1, "multi": False, "includeAll": False,
        },
        _query("keeper", "Keeper", "label_values(keeper_build_info, instance)", chosen),
        _query(
            "stream", "Stream", 'label_values(keeper_stream_on_air{instance=~"$keeper"}, stream)', chosen
        ),
    ]  # fmt: skip


def _query(name: str, label: str, query: str, current: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name, "label": label, "type": "query", "datasource": DATASOURCE,
        "definition": query, "query": {"query": query, "refId": name},
        "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".*",
        "current": current, "hide": 0,
    }  # fmt: skip


def panels() -> Iterator[dict[str, Any]]:
    """Lay the rows out from left to right and from top to bottom."""
    number, y = 0, 0
    for title, row in ROWS:
        number += 1
        yield {
            "id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
        }  # fmt: skip
        x, y, high = 0, y + 1, 0
        for panel in row:
            if x + panel.wide > WIDTH:
                x, y, high = 0, y + high, 0
            number += 1
            yield _panel(panel, number, {"x": x, "y": y, "w": panel.wide, "h": panel.high})
            x, high = x + panel.wide, max(high, panel.high)
        y += high


def _panel(panel: Panel, number: int, at: dict[str, int]) -> dict[str, Any]:
    is_instant = panel.kind in {"table", "bargauge"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        "gridPos": at,
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": DATASOURCE,
                "expr": expression,
                "legendFormat": legend or "__auto",
                "instant": is_instant,
                "range": not is_instant,
                "format": {"heatmap": "heatmap", "table": "table"}.get(panel.kind, "time_series"),
            }
            for place, (expression, legend) in enumerate(panel.asks)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel.kind),
        **({"transformations": [_WITHOUT_TIME]} if panel.kind == "table" else {}),
    }


_WITHOUT_TIME = {
    "id": "organize",
    "options": {"excludeByName": {"Time": True, "__name__": True, "job": True}, "renameByName": {}},
}


def _defaults(panel: Panel) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    if panel.kind == "timeseries":
        drawn = {
            "drawStyle": "line", "lineWidth": 1, "showPoints": "never", "spanNulls": False,
            "fillOpacity": 25 if panel.is_stacked else 5,
            "stacking": {"mode": "normal" if panel.is_stacked else "none", "group": "A"},
        }  # fmt: skip
    elif panel.kind == "state-timeline":
        drawn = {"fillOpacity": 70, "lineWidth": 0}
    is_coloured = panel.kind != "timeseries"
    return {
        "unit": panel.unit,
        **({} if panel.decimals is None else {"decimals": panel.decimals}),
        **({} if panel.min is None else {"min": panel.min}),
        **({} if panel.max is None else {"max": panel.max}),
        "color": {"mode": "thresholds" if is_coloured else "palette-classic"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": colour} for value, colour in panel.steps],
        },
        "mappings": [
            {
                "type": "value",
                "options": {
                    value: {"text": text, "color": colour, "index": place}
                    for place, (value, (text, colour)) in enumerate(panel.mapped.items())
                },
            }
        ]
        if panel.mapped
        else [],
        "custom": drawn,
    }


def _options(kind: str) -> dict[str, Any]:
    newest = {"values": False, "calcs": ["lastNotNull"], "fields": ""}
    match kind:
        case "stat":
            return {"reduceOptions": newest, "colorMode": "background", "graphMode": "area", "textMode": "auto"}  # fmt: skip
        case "bargauge":
            return {"reduceOptions": newest, "orientation": "horizontal", "displayMode": "basic"}
        case "timeseries":
            return {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case "state-timeline":
            return {
                "mergeValues": True, "showValue": "never", "rowHeight": 0.8,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                "tooltip": {"mode": "single", "sort": "none"},
            }  # fmt: skip
        case "heatmap":
            return {
                "calculate": False, "cellGap": 1, "yAxis": {"unit": "s", "axisPlacement": "left"},
                "color": {
                    "mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5,
                    "reverse": False, "fill": "dark-orange",
                },
                "exemplars": {"color": "rgba(255,0,255,0.7)"},
                "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
                "legend": {"show": True}, "filterValues": {"le": 1e-9}, "rowsFrame": {"layout": "auto"},
            }  # fmt: skip
        case "table":
            return {"showHeader": True, "cellHeight": "sm"}
        case _:
            raise ValueError(kind)


def dashboard() -> dict[str, Any]:
    """Return the whole of it, as Grafana imports and provisions it."""
    return {
        "uid": "keeper",
        "title": "keeper",
        "description": "GPU streams on air: the fleet, each stream, the money, and keeper itself.",
        "tags": ["keeper"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one cross-hair for all panels
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "links": [],
        "annotations": {"list": [_FIRING]},
        "templating": {"list": variables()},
        "panels": list(panels()),
    }


_FIRING = {
    "name": "Alerts that fire",
    "datasource": DATASOURCE,
    "enable": True,
    "hide": False,
    "iconColor": "red",
    "expr": 'ALERTS{alertname=~"Keeper.*",alertstate="firing",severity="critical"}',
    "titleFormat": "{{alertname}}",
    "textFormat": "{{stream}} {{slot}}",
}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n")
