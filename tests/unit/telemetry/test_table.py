"""The table of metrics: each row is emitted, described and bounded, and dies with what it is about."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from keeper.core.events import HintRefused, HintTaken, IncidentOpened, StreamOnAir
from keeper.core.model import (
    Condition,
    ConditionKind,
    InstanceId,
    Remedy,
    SlotId,
    Status,
    StreamName,
    Symptom,
)
from keeper.core.reasons import Reason
from keeper.core.world import Snapshot
from keeper.ports.control import ChannelNow
from keeper.telemetry.described import MetricType
from keeper.telemetry.metrics import METRICS, document
from keeper.telemetry.sinks import MetricsSink
from tests.components import REPOSITORY
from tests.facts import every_event
from tests.snapshots import NOW, ago, conditions, dark, record, snapshot, tenure
from tests.telling import Teller, alert_now, waiting
from tests.unit.telemetry.rich import rich


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def sink(registry: CollectorRegistry) -> MetricsSink:
    return MetricsSink(registry, version="1.2.3", revision="abc")


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def lives(sink: MetricsSink, shown: Snapshot | None = None, teller: Teller | None = None) -> None:
    """Let everything happen that can."""
    sink.follow(lambda: shown or rich(), teller or Teller(), lambda: 77, lambda: True)
    sink.render(replace(shown or rich(), at=ago(seconds=10)))
    sink.render(shown or rich())
    for event in every_event():
        sink.publish(event, at=NOW, tick=1)
    back = StreamOnAir(slot=SlotId("duel/0"), instance_id=InstanceId(7001), duration_s=9.0)
    for each in (back, replace(back, started_s=9.0)):
        sink.publish(each, at=NOW, tick=1)
    sink.observe_call("marketplace", "create", "offer_gone", 0.2)


def test_every_metric_of_the_table_is_emitted_with_its_help(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    lives(sink)
    families = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in registry.collect()
    }
    for metric in METRICS:
        family = families[metric.name]
        assert family.documentation == metric.help
        assert family.type == metric.type
        assert family.samples, f"{metric.name} is never emitted"
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)
    ours = {name for name in families if name.startswith("keeper_")}
    assert ours == {metric.name for metric in METRICS}


UNITS = {"seconds": "_seconds", "dollars": "_dollars", "bytes": "_bytes"}


def test_table_keeps_the_conventions() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    for metric in METRICS:
        assert metric.name.startswith("keeper_")
        assert (metric.type == "counter") == metric.name.endswith("_total"), metric.name
        assert metric.help.endswith(".")
        assert not {"instance", "instance_id", "offer_id", "machine_id"} & set(metric.labels)
        assert not metric.unit or UNITS[metric.unit] in metric.name, metric.name
        assert bool(metric.buckets) == (metric.type is MetricType.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))


def test_page_of_metrics_is_current() -> None:
    """Print it again: python -m keeper.telemetry.metrics > docs/metrics.md."""
    assert (REPOSITORY / "docs" / "metrics.md").read_text() == document()


# --- no series outlives what it is about ------------------------------------------------------------


def test_nothing_of_a_stream_is_left_once_it_is_gone(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    """What a spare took over for, and what a removed stream had spent, stayed for ever."""
    lives(sink)
    assert 'stream="duel"' in generate_latest(registry).decode()
    left = snapshot(record("sd/0"), at=NOW + timedelta(seconds=30))
    before = rich().world
    world = replace(left.world, meter=before.meter, slot_pauses=before.slot_pauses)
    sink.render(replace(left, world=world))
    text = generate_latest(registry).decode()
    assert "duel" not in text
    assert 'stream="sd"' in text
    # Nothing was lost by it: the fleet has spent what it has spent.
    spent = value(registry, "keeper_spent_dollars", stream="", period="day")
    assert spent == pytest.approx(4.0, abs=0.01)


def test_nothing_of_a_channel_is_left_once_it_is_gone(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    teller = Teller(declared=(ChannelNow(name="text", kind="webhook", pending=0),))
    lives(sink, teller=teller)  # "text" is what the facts name
    assert 'channel="text"' in generate_latest(registry).decode()
    teller.declared = (ChannelNow(name="pager", kind="webhook", pending=0),)
    sink.render(snapshot(record("duel/0"), at=NOW + timedelta(seconds=30)))
    text = generate_latest(registry).decode()
    assert 'channel="text"' not in text
    assert 'keeper_notices_total{channel="pager",outcome="sent"} 0.0' in text


# --- no more series than slots and a few ------------------------------------------------------------

HOSTILE = st.text(max_size=300)
PER_SLOT, AT_ALL = 40, 400


def a_fleet(slots: int, words: Iterator[str]) -> Snapshot:
    """Every slot its own stream, each with a host that chooses its words."""
    records = []
    for number in range(slots):
        symptom = Symptom(code="flicker", sentence=next(words), remedy=Remedy.RESTART_PROCESS)
        ailing = Condition(
            kind=ConditionKind.WORKING, status=Status.FALSE, reason=Reason.SYMPTOM, since=NOW,
            symptom=symptom,
        )  # fmt: skip
        judged = (*conditions(streaming=(Status.FALSE, Reason.BLACK)), ailing)
        host = tenure(
            number, conditions=judged, host_key=next(words), process_identity=next(words),
            gpu_name=next(words), keepsake=next(words),
        )  # fmt: skip
        records.append(dark(f"s{number}/0", tenure=host))
    return snapshot(*records)


def series(registry: CollectorRegistry) -> int:
    """Samples, of histograms one each: their buckets are a constant."""
    return sum(
        1
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_sum"))
    )


@settings(max_examples=10, deadline=None)
@given(slots=st.integers(1, 20), words=st.lists(HOSTILE, min_size=20, max_size=20))
def test_hostile_words_make_no_series(slots: int, words: list[str]) -> None:
    registry = CollectorRegistry()
    sink = MetricsSink(registry, version="1")
    told = iter(words * 100)
    shown = a_fleet(slots, told)
    teller = Teller(
        holding=tuple(alert_now(next(told), f"s{n}/0", severity=next(told)) for n in range(slots)),
        rows=tuple(waiting(next(told)) for _ in range(slots)),
    )
    sink.follow(lambda: shown, teller, lambda: 1)
    sink.render(replace(shown, at=ago(seconds=10)))
    sink.render(shown)
    for number in range(slots):
        for reason in (Reason.BLACK, Reason.FROZEN, Reason.SYMPTOM):
            slot = SlotId(f"s{number}/0")
            event = IncidentOpened(slot=slot, incident_id=next(told), reason=reason)
            sink.publish(event, at=NOW, tick=1)
    for word in words:
        sink.publish(HintTaken(source=word, about=word), at=NOW, tick=1)
        sink.publish(HintRefused(source="vast", why=word, refused=1), at=NOW, tick=1)
    assert series(registry) <= PER_SLOT * slots + AT_ALL
    generate_latest(registry)  # whatever they are, they can be written


def test_words_of_hints_are_few_whoever_says_them(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    for number in range(500):
        event = HintRefused(source="vast", why=f"because {number}", refused=1)
        sink.publish(event, at=NOW, tick=1)
    found = [f for f in registry.collect() if f.name == "keeper_hints_refused"]
    assert len(found[0].samples) <= 17
    assert value(registry, "keeper_hints_refused_total", source="other", why="other") == 484


# --- how long things took ---------------------------------------------------------------------------


def counted(registry: CollectorRegistry, name: str) -> tuple[float | None, float | None]:
    return tuple(value(registry, f"{name}_{part}", stream="duel") for part in ("count", "sum"))  # type: ignore[return-value]


def test_time_to_detect_is_from_the_first_bad_look_to_the_belief(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    name = "keeper_stream_detection_duration_seconds"
    sink.render(snapshot(record("duel/0"), at=ago(seconds=5)))
    assert counted(registry, name) == (0, 0)
    bad = dark("duel/0", since=ago(seconds=20))
    for later in (0, 2, 4):
        sink.render(snapshot(bad, at=NOW + timedelta(seconds=later)))
    assert counted(registry, name) == (1, 20)


def test_what_was_dark_when_keeper_started_was_not_detected_by_it(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    sink.render(snapshot(dark("duel/0", since=ago(hours=3))))
    sink.render(snapshot(dark("duel/0", since=ago(hours=3)), at=NOW + timedelta(seconds=2)))
    assert counted(registry, "keeper_stream_detection_duration_seconds") == (0, 0)


NEW = tenure(requested_at=ago(minutes=10), first_live_at=None, warm_at=None)
LIVE = replace(NEW, first_live_at=NOW, warm_at=NOW)


def test_time_to_picture_is_of_each_new_host(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    """Of a replacement, too, which the wait for a slot's first picture does not show."""
    old = tenure(2)
    sink.render(snapshot(record("duel/0", tenure=old, incoming=NEW)))
    for later in (1, 2):
        both = record("duel/0", tenure=old, incoming=LIVE)
        sink.render(snapshot(both, at=NOW + timedelta(seconds=later)))
    sink.render(snapshot(record("duel/0", tenure=LIVE), at=NOW + timedelta(seconds=9)))
    assert counted(registry, "keeper_host_start_duration_seconds") == (1, 600)


def test_a_spare_that_took_over_is_no_new_host(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    """It was rented hours ago, and waited."""
    sink.render(snapshot(record("duel/0"), record("duel/spare-0", tenure=NEW)))
    sink.render(snapshot(record("duel/0", tenure=NEW), at=NOW + timedelta(seconds=2)))
    sink.render(snapshot(record("duel/0", tenure=LIVE), at=NOW + timedelta(seconds=4)))
    assert counted(registry, "keeper_host_start_duration_seconds") == (0, 0)


# --- who is told ------------------------------------------------------------------------------------


def test_what_holds_and_who_was_told_is_counted(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    teller = Teller(
        holding=(
            alert_now(),
            alert_now(slot="duel/1", told=False, silenced_by="s1"),
            alert_now("KeeperNoOffer", severity="warning", told=False, muted_by="x"),
        ),
        declared=(
            ChannelNow(name="slack", kind="slack", pending=2, off_since=NOW),
            ChannelNow(name="pager", kind="pagerduty", pending=0, dropped=3, last_dropped_at=NOW),
            ChannelNow(name="am", kind="alertmanager", pending=0, is_taking=False),
        ),
    )
    sink.follow(lambda: None, teller)
    for severity, many in (("critical", 2), ("warning", 0)):
        labels = {"alert": "KeeperStreamDark", "severity": severity}
        assert value(registry, "keeper_alerts", **labels) == many
    assert value(registry, "keeper_alerts", alert="KeeperNoOffer", severity="warning") == 1
    assert value(registry, "keeper_alerts_hidden", by="silence") == 1
    assert value(registry, "keeper_alerts_hidden", by="louder") == 1
    assert value(registry, "keeper_alert_incidents") == 1
    assert value(registry, "keeper_outbox_pending", channel="slack") == 2
    assert value(registry, "keeper_outbox_pending", channel="pager") == 0
    oldest = value(registry, "keeper_outbox_oldest_timestamp_seconds", channel="slack")
    assert oldest == ago(minutes=9).timestamp()
    assert value(registry, "keeper_outbox_oldest_timestamp_seconds", channel="pager") is None
    assert value(registry, "keeper_channel_off", channel="slack") == 1
    assert value(registry, "keeper_channel_off", channel="pager") == 0
    assert value(registry, "keeper_channel_dropped", channel="pager") == 3
    assert value(registry, "keeper_channel_dropped", channel="slack") == 0
    last = "keeper_channel_last_drop_timestamp_seconds"
    assert value(registry, last, channel="pager") == NOW.timestamp()
    assert value(registry, last, channel="slack") is None
    assert value(registry, "keeper_feed_taking", channel="am") == 0
    assert value(registry, "keeper_feed_taking", channel="pager") is None


@pytest.mark.parametrize(("is_heard", "shown"), [(True, 1), (False, 0), (None, None)])
def test_a_heartbeat_that_nobody_is_to_hear_is_no_unheard_one(
    sink: MetricsSink, registry: CollectorRegistry, is_heard: bool | None, shown: float | None
) -> None:
    sink.follow(lambda: None, heartbeat=lambda: is_heard)
    assert value(registry, "keeper_heartbeat_heard") == shown


def test_refused_hints_count_as_many_as_there_were(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    for many in (1, 7):
        event = HintRefused(source="vast", why="forged", refused=many)
        sink.publish(event, at=NOW, tick=1)
    assert value(registry, "keeper_hints_refused_total", source="vast", why="forged") == 8


def test_known_label_sets_begin_at_zero(sink: MetricsSink, registry: CollectorRegistry) -> None:
    """The first increase of a series that was not there is none."""
    sink.render(snapshot(record("duel/0"), record("sd/0")))
    for stream in ("duel", "sd"):
        assert value(registry, "keeper_restarts_total", stream=stream, rung="reboot") == 0
        assert value(registry, "keeper_recycles_total", stream=stream) == 0
        assert value(registry, "keeper_repair_duration_seconds_count", stream=stream) == 0
    names = Counter(metric.name for metric in METRICS if metric.labels == ("stream",))
    text = generate_latest(registry).decode()
    for metric in METRICS:
        if metric.labels == ("stream",) and not metric.is_state:
            assert f'{{stream="{StreamName("duel")}"}} 0.0' in text
    assert names


def test_the_number_of_the_configuration_is_the_one_in_force(
    sink: MetricsSink, registry: CollectorRegistry
) -> None:
    numbers = [5, 6]
    sink.follow(lambda: None, config_hash=lambda: numbers[0])
    assert value(registry, "keeper_config_hash") == 5
    del numbers[0]
    assert value(registry, "keeper_config_hash") == 6
