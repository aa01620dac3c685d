"""Facts reach the log and the metrics; state is read off the last snapshot."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from math import inf

import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest

from keeper.core.events import (
    EVENT_TYPES,
    ConfigRejected,
    ConfigReloaded,
    Event,
    IncidentOpened,
    InstanceRebooting,
    Level,
    OrphanSeen,
    StreamOnAir,
    TickFinished,
    WorkloadRestarting,
)
from keeper.core.model import (
    InstanceId,
    Rung,
    SlotId,
    StreamName,
)
from keeper.core.pauses import key_of
from keeper.core.reasons import Reason
from keeper.core.world import Pause
from keeper.telemetry.logs import configure_logs
from keeper.telemetry.sinks import EventLog, MetricsSink
from tests.facts import every_event
from tests.snapshots import NOW, ago, record, snapshot
from tests.unit.telemetry.rich import rich


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def sink(registry: CollectorRegistry) -> MetricsSink:
    return MetricsSink(registry, version="1.2.3", revision="abc")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logs(format="json", level="debug", stream=stream)
    yield stream
    structlog.reset_defaults()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


@pytest.mark.parametrize("event", every_event(), ids=lambda event: event.name)
def test_every_event_has_a_level_and_passes_every_sink(
    event: Event, sink: MetricsSink, registry: CollectorRegistry, log: io.StringIO
) -> None:
    events = EventLog()
    assert isinstance(event.level, Level)
    for each in (sink, events):
        each.publish(event, at=NOW, tick=5)
    line = json.loads(log.getvalue())
    assert line["event"] == event.name
    assert line["level"] == event.level
    assert line["tick"] == 5
    assert line["at"] == "2026-03-01T12:00:00Z"
    assert value(registry, "keeper_events_total", event=event.name) == 1
    assert events.lost == 0


def test_names_the_stream_of_a_slot_in_the_log(log: io.StringIO) -> None:
    EventLog().publish(
        IncidentOpened(slot=SlotId("duel/0"), incident_id="i", reason=Reason.FROZEN), at=NOW, tick=1
    )
    line = json.loads(log.getvalue())
    assert (line["stream"], line["slot"], line["reason"]) == ("duel", "duel/0", "frozen")
    assert line["because"] == "frames arrive, but it is always the same frame"


def test_the_ledger_is_shown_with_its_caps_and_where_it_leads(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    sink.render(rich())
    in_day, in_month = {"stream": "duel", "period": "day"}, {"stream": "", "period": "month"}
    assert value(registry, "keeper_spent_dollars", **in_day) == 4.0
    assert value(registry, "keeper_good_picture_seconds", **in_day) == 7200.0
    assert value(registry, "keeper_spend_forecast_dollars", **in_day) == 10.0  # at noon
    assert value(registry, "keeper_spend_cap_dollars", **in_month) == 9.0
    assert value(registry, "keeper_spend_stopped", **in_month) == 1.0


def test_a_bad_deploy_is_shown_with_the_hosts_that_run_something_else(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    sink.render(rich())
    assert value(registry, "keeper_deploy_bad", stream="duel") == 1.0
    assert value(registry, "keeper_deploy_hosts", stream="duel", runs="other") == 2.0
    assert value(registry, "keeper_deploy_hosts", stream="duel", runs="declared") == 0.0


def test_a_slate_is_shown_while_it_is_on(sink: MetricsSink, registry: CollectorRegistry) -> None:
    sink.render(rich())
    assert value(registry, "keeper_slate_on", stream="duel") == 1.0
    assert value(registry, "keeper_slate_on", stream="sd") is None


def test_a_symptom_is_shown_by_its_word(sink: MetricsSink, registry: CollectorRegistry) -> None:
    sink.render(rich())
    labels = {"stream": "duel", "slot": "duel/1", "symptom": "flicker"}
    assert value(registry, "keeper_symptom", **labels) == 1.0


def test_a_quiet_level_costs_no_line(log: io.StringIO) -> None:
    configure_logs(format="json", level="info", stream=log)
    EventLog().publish(TickFinished(tick=1, acts=0, duration_s=0.1, detail=""), at=NOW, tick=1)
    EventLog().observe_call("store", "commit", "ok", 0.01)
    assert log.getvalue() == ""


def test_shows_the_state_of_the_last_snapshot(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    sink.render(rich())
    assert value(registry, "keeper_stream_on_air", stream="duel", slot="duel/0") == 1
    assert value(registry, "keeper_stream_on_air", stream="duel", slot="duel/1") == 0
    assert value(registry, "keeper_stream_on_air", stream="sd", slot="sd/0") == 0
    fps = value(registry, "keeper_stream_frames_per_second", stream="duel", slot="duel/0")
    assert fps == pytest.approx(29.7)
    assert value(registry, "keeper_slots", condition="streaming", status="true") == 1
    assert value(registry, "keeper_slots", condition="streaming", status="false") == 2
    assert value(registry, "keeper_slots", condition="rented", status="unknown") == 0
    # Two listed rentals at 0.45, a spare and a condemned one at 0.50; the second is nobody's.
    spend = value(registry, "keeper_spend_dollars_per_hour", stream="duel")
    assert spend == pytest.approx(1.85)
    assert value(registry, "keeper_spares", stream="duel", state="ready") == 1
    assert value(registry, "keeper_stream_on_air", stream="duel", slot="duel/spare-0") is None
    spared = value(registry, "keeper_spare_spent_dollars", stream="duel", period="day")
    assert spared == pytest.approx(1.5)
    assert value(registry, "keeper_spend_dollars_per_hour", stream="") == pytest.approx(0.5)
    assert value(registry, "keeper_rentals", stream="duel") == 3
    assert value(registry, "keeper_rentals", stream="sd") == 0
    assert value(registry, "keeper_condemned_rentals") == 2
    assert value(registry, "keeper_orphans") == 1
    assert value(registry, "keeper_fuse_tripped", reason="budget") == 1
    assert value(registry, "keeper_fuse_tripped", reason="mass_failure") == 0
    assert value(registry, "keeper_market_readable") == 1
    assert value(registry, "keeper_listing_age_seconds") == 7
    assert value(registry, "keeper_paused") == 0


def test_nothing_is_claimed_before_the_first_snapshot(registry: CollectorRegistry) -> None:
    MetricsSink(registry, version="1")
    text = generate_latest(registry).decode()
    assert "\nkeeper_market_readable " not in text
    assert "keeper_last_tick_timestamp_seconds 0.0" in text


def test_series_of_a_dead_slot_vanish(sink: MetricsSink, registry: CollectorRegistry) -> None:
    sink.render(rich())
    incident = IncidentOpened(slot=SlotId("sd/0"), incident_id="i", reason=Reason.FROZEN)
    sink.publish(incident, at=NOW, tick=1)
    assert value(registry, "keeper_incidents_total", stream="sd", reason="frozen") == 1
    sink.render(snapshot(record("duel/0"), at=NOW + timedelta(seconds=30)))
    text = generate_latest(registry).decode()
    assert 'slot="duel/1"' not in text
    assert 'stream="sd"' not in text
    assert 'slot="duel/0"' in text


def test_dollars_add_up_between_snapshots(sink: MetricsSink, registry: CollectorRegistry) -> None:
    sink.render(snapshot(record("duel/0"), at=NOW))
    later = NOW + timedelta(seconds=600)
    for at in (later, NOW):  # a clock that steps back adds nothing and takes nothing away
        sink.render(snapshot(record("duel/0"), at=at))
        dollars = value(registry, "keeper_spend_dollars_total", stream="duel")
        assert dollars == pytest.approx(0.45 / 6)


def test_how_long_viewers_waited_is_counted_by_its_kind(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    back = StreamOnAir(slot=SlotId("duel/0"), instance_id=InstanceId(7001), duration_s=40.0)
    for event in (
        back,
        replace(back, duration_s=0.0),
        replace(back, duration_s=0.0, started_s=900.0),
    ):
        sink.publish(event, at=NOW, tick=1)
    for kind, seconds in (("dark", 40.0), ("start", 900.0)):
        name = f"keeper_stream_{kind}_duration_seconds"
        assert value(registry, f"{name}_count", stream="duel") == 1
        assert value(registry, f"{name}_sum", stream="duel") == seconds
    sink.render(snapshot(record("sd/0")))
    assert value(registry, "keeper_stream_dark_duration_seconds_sum", stream="duel") is None


def test_a_replacement_is_counted_once(sink: MetricsSink, registry: CollectorRegistry) -> None:
    old = record("duel/0", replaced_at=(ago(hours=1),))
    sink.render(snapshot(old))
    assert value(registry, "keeper_replacements_total", stream="duel") == 0
    new = replace(old, replaced_at=(ago(hours=1), NOW))
    for seconds in (1, 2, 3):
        sink.render(snapshot(new, at=NOW + timedelta(seconds=seconds)))
    assert value(registry, "keeper_replacements_total", stream="duel") == 1


def test_counts_remedies_by_rung(sink: MetricsSink, registry: CollectorRegistry) -> None:
    slot, rental = SlotId("duel/0"), InstanceId(1)
    sink.publish(
        WorkloadRestarting(
            slot=slot,
            instance_id=rental,
            rung=Rung.RESTART_PROCESS,
            reason=Reason.FROZEN,
            attempt=1,
        ),
        at=NOW,
        tick=1,
    )
    reboot = InstanceRebooting(slot=slot, instance_id=rental, reason=Reason.FROZEN)
    sink.publish(reboot, at=NOW, tick=1)
    assert value(registry, "keeper_restarts_total", stream="duel", rung="restart_process") == 1
    assert value(registry, "keeper_restarts_total", stream="duel", rung="reboot") == 1


def test_tells_whether_the_configuration_is_the_one_in_the_file(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    name = "keeper_config_last_reload_successful"
    sink.publish(ConfigReloaded(detail=""), at=NOW, tick=1)
    assert value(registry, name) == 1
    sink.publish(ConfigRejected(detail="x"), at=NOW + timedelta(hours=1), tick=1)
    assert value(registry, name) == 0
    at = value(registry, "keeper_config_last_reload_success_timestamp_seconds")
    assert at == NOW.timestamp()


def test_orphans_follow_what_the_plan_has_just_seen(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    seen = OrphanSeen(instance_id=InstanceId(1), label="l", dollars=0.4)
    sink.render(snapshot(record(), events=(seen,)))
    assert value(registry, "keeper_orphans") == 1


def test_every_event_starts_at_zero(registry: CollectorRegistry) -> None:
    MetricsSink(registry, version="1")
    for kind in EVENT_TYPES:
        assert value(registry, "keeper_events_total", event=kind.name) == 0


def test_pause_is_visible(sink: MetricsSink, registry: CollectorRegistry) -> None:
    pause = Pause(since=NOW, until=None, actor="ada", reason="")
    slots = {SlotId("duel/0"): pause, key_of(StreamName("duel")): pause}
    sink.render(snapshot(record(), pause=pause, slot_pauses=slots))
    assert value(registry, "keeper_paused") == 1
    assert value(registry, "keeper_paused_slots") == 1  # a stream's own pause is no slot
    assert value(registry, "keeper_pause_end_timestamp_seconds", slot="") == inf
