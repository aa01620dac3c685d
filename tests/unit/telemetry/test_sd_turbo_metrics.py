"""What an SD-Turbo server measures of itself reaches Prometheus, from the sentinel's line on."""

import json
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from keeper.telemetry.sinks import MetricsSink
from keeper.workloads import registered
from tests.snapshots import instance, record, snapshot, tenure

HEALTH = {
    "phase": "generating", "has_drawn": True, "frames_per_s": 28.5, "generation_s": 0.021,
    "age_s": 0, "queue_age_s": 5,
}  # fmt: skip


def test_frames_generation_time_and_queue_age_are_metrics() -> None:
    plugin = registered()["sd-turbo"]
    workload = plugin.build(plugin.settings.model_validate({"kind": "sd-turbo"}), {})
    process = {"state": "up", "pid": 9, "start": "1", "restarts": 0, "why": ""}
    facts = {"process": process, "workload": {"health": HEALTH}}
    line = json.dumps({"seq": 1, "facts": facts})
    readings = workload.interpret(line, instance(1).instance_id, datetime(2026, 11, 1, tzinfo=UTC))
    registry = CollectorRegistry()
    sink = MetricsSink(registry, version="1.2.3", revision="abc")
    sink.render(
        snapshot(
            record("duel/0", tenure=tenure(1)),
            latest={(each.instance_id, each.subject): each for each in readings},
        )
    )
    labels = {"stream": "duel", "slot": "duel/0"}
    for name, number in (
        ("keeper_stream_generated_frames_per_second", 28.5),
        ("keeper_stream_generation_seconds", 0.021),
        ("keeper_stream_queue_age_seconds", 5),
    ):
        assert registry.get_sample_value(name, labels) == number
