"""Sentinel lines, honest and otherwise, become readings."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.core.model import InstanceId, Reading, Status, Subject
from keeper.core.reasons import Reason
from keeper.workloads.managers import read_line

AT = datetime(2026, 11, 1, tzinfo=UTC)
INSTANCE = InstanceId(7)


def read(line: str, *, needs_display: bool = False) -> tuple[Reading, ...]:
    return read_line(line, INSTANCE, AT, needs_display=needs_display)


@pytest.mark.parametrize(
    ("state", "status", "reason", "is_certain"),
    [
        ("up", Status.TRUE, Reason.PROCESS_UP, False),
        ("gone", Status.FALSE, Reason.PROCESS_GONE, True),
        ("given_up", Status.FALSE, Reason.MANAGER_GAVE_UP, True),
        ("retrying", Status.FALSE, Reason.MANAGER_RETRYING, False),
        ("starting", Status.UNKNOWN, Reason.PROCESS_STARTING, False),
        ("stopped", Status.FALSE, Reason.PROCESS_STOPPED_ON_PURPOSE, True),
        ("manager_down", Status.FALSE, Reason.MANAGER_DOWN, False),
        ("unknown", Status.UNKNOWN, Reason.PROBE_FAILED, False),
        ("a new word", Status.UNKNOWN, Reason.PROBE_FAILED, False),
    ],
)
def test_word_for_the_process_is_judged(
    state: str, status: Status, reason: Reason, is_certain: bool
) -> None:
    line = f'{{"seq":1,"facts":{{"process":{{"state":"{state}","pid":12,"start":"99","restarts":4}}}}}}'
    (reading,) = read(line)
    assert (reading.subject, reading.status, reading.reason) == (Subject.PROCESS, status, reason)
    assert reading.is_certain is is_certain
    assert reading.restarts == 4
    assert reading.identity == ("12:99" if status is Status.TRUE else "")


def test_all_facts_of_a_line_are_read() -> None:
    line = (
        '{"seq":3,"facts":{"process":{"state":"up","pid":1,"start":"2","restarts":0,"why":""},'
        '"disk":{"free_mb":400},"gpu":{"ok":false,"display":false}}}'
    )
    process, disk, gpu = read(line)
    assert process.status is Status.TRUE
    assert (disk.status, disk.reason) == (Status.FALSE, Reason.DISK_FULL)
    assert disk.numbers == {"free_mb": 400}
    assert (gpu.status, gpu.reason, gpu.is_certain) == (Status.FALSE, Reason.GPU_LOST, True)


@pytest.mark.parametrize(
    ("free_mb", "size_mb", "status", "reason"),
    [
        (90_000, 120_000, Status.TRUE, Reason.HEALTHY),
        (6_000, 120_000, Status.TRUE, Reason.HEALTHY),
        (5_900, 120_000, Status.TRUE, Reason.DISK_LOW),
        (2_000, 35_000, Status.TRUE, Reason.HEALTHY),
        (1_900, 35_000, Status.TRUE, Reason.DISK_LOW),
        (400, 120_000, Status.FALSE, Reason.DISK_FULL),
        # Hosts that said no size, and sizes that no disk has.
        (1_900, 0, Status.TRUE, Reason.DISK_LOW),
        (2_000, -1e300, Status.TRUE, Reason.HEALTHY),
    ],
)
def test_a_disk_is_low_before_it_is_full(
    free_mb: float, size_mb: float, status: Status, reason: Reason
) -> None:
    line = f'{{"seq":1,"facts":{{"disk":{{"free_mb":{free_mb},"size_mb":{size_mb}}}}}}}'
    (disk,) = read(line)
    assert (disk.status, disk.reason) == (status, reason)


def test_lost_display_matters_only_to_who_needs_one() -> None:
    line = '{"seq":1,"facts":{"gpu":{"ok":true,"display":false}}}'
    assert read(line)[0].status is Status.TRUE
    (reading,) = read(line, needs_display=True)
    assert (reading.status, reading.reason) == (Status.FALSE, Reason.DISPLAY_LOST)


def test_heartbeat_says_nothing_new() -> None:
    assert read('{"hb":12}') == ()
    assert read('{"seq":1,"facts":{}}') == ()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no json",
        "null",
        "[]",
        "{}",
        '{"facts":1}',
        '{"facts":{"process":{}}}',
        '{"facts":{"process":{"state":1}}}',
        '{"facts":{"process":{"state":"up","pid":"x"}}}',
        '{"facts":{"disk":{"free_mb":"much"}}}',
        '{"hb":1',
        "[" * 4000,
        '{"a":' * 800 + "1" + "}" * 800,
        '{"hb":1}' + " " * 5000,
        "\x00\x1b[2J\ud800",
    ],
)
def test_garbage_is_unknown_and_never_an_exception(line: str) -> None:
    (reading,) = read(line)
    assert (reading.status, reading.reason) == (Status.UNKNOWN, Reason.PROBE_FAILED)
    assert "\x1b" not in reading.detail


@given(st.text(max_size=300))
def test_any_text_is_survived(line: str) -> None:
    assert all(reading.status is Status.UNKNOWN for reading in read(line))


def test_hostile_reason_text_is_made_plain_and_short() -> None:
    why = "\\u001b[31m" + "x" * 1000
    (reading,) = read(f'{{"facts":{{"process":{{"state":"gone","why":"{why}"}}}}}}')
    assert "\x1b" not in reading.detail
    assert len(reading.detail) <= 200


def test_numbers_beyond_all_sense_are_bounded() -> None:
    """JSON knows numbers of any length; what comes later counts, adds and writes 64 bits."""
    line = f'{{"facts":{{"process":{{"state":"up","restarts":{"9" * 400}}}}}}}'
    assert read(line)[0].restarts == 1_000_000
    for said, free_mb in (("1e308", 1e12), ("-1e308", 0.0)):
        (disk,) = read(f'{{"facts":{{"disk":{{"free_mb":{said}}}}}}}')
        assert disk.numbers == {"free_mb": free_mb}
        assert len(disk.detail) < 40
