"""What is fine alone and wrong together."""

import pytest

from tests.unit.settings.conftest import Load, Problems

TINY = "workload: {kind: tiny}"


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        (
            "policy:\n  probe_timeout_s: 10\n",
            "2:3",
            (
                "probe_timeout_s (10) must be below probe_interval_s (10) by 0.2 s: a probe must end before "
                "the next one begins"
            ),
        ),
        (
            (
                "policy:\n  probe_interval_s: 60\n  failures_to_fail: 2\n  unreachable_s: 300\n"
                "  probe_stale_s: 100\n  replace_after_s: 120\n"
            ),
            "6:3",
            "failures_to_fail (2) x probe_interval_s (60) must be below replace_after_s (120)",
        ),
        ("policy:\n  warmup_grace_s: 21m\n", "2:3", "warmup_grace_s (1260) must not exceed"),
        ("policy:\n  boot_max_s: 31m\n", "2:3", "boot_max_s (1860) must not exceed"),
        (
            "policy:\n  dead_man_after_s: 9m\n",
            "2:3",
            "dead_man_after_s (540) must be at least twice unreachable_s (300): a host would stop",
        ),
        ("policy:\n  unreachable_s: 30\n", "2:3", "probe_stale_s (45) must not exceed"),
        ("policy:\n  probe_stale_s: 10\n", "2:3", "probe_interval_s (10) must be below"),
        ("policy:\n  restart_backoff_min_s: 6m\n", "2:3", "restart_backoff_min_s (360) must not"),
        ("policy:\n  no_offer_backoff_s: [5, 3]\n", "2:3", "no_offer_backoff_s must climb"),
        ("fleet:\n  list_interval_busy_s: 31\n", "2:3", "list_interval_busy_s (31) must not"),
        ("fleet:\n  list_interval_s: 180\n", "2:3", "list_interval_s (180) must be below"),
        ("fleet:\n  quarantine_s: [24h, 6h]\n", "2:3", "quarantine_s must climb"),
        ("fleet:\n  destroy_quick_retry_s: 61\n", "2:3", "destroy_quick_retry_s (61) must not"),
        (
            "maintenance:\n  windows:\n    - {name: w, cron: '0 * * * *', for_s: 1h, allow: repair}\n",
            "3:36",
            "window 'w' opens again before it closes",
        ),
        (
            (
                "maintenance:\n  windows:\n    - {name: w, cron: '0 5 * * *', for_s: 1h, allow: repair}\n"
                "    - {name: w, cron: '0 7 * * *', for_s: 1h, allow: repair}\n"
            ),
            "4:8",
            "2 windows are called 'w'; each needs its own",
        ),
        (
            'http:\n  listen: "0.0.0.0:9877"\n',
            "2:3",
            "0.0.0.0:9877 can be reached from outside, and there is no http.token",
        ),
        ('http: {listen: ":9877"}\n', "1:8", ":9877 can be reached from outside"),
        ('http: {listen: "[::]:9877"}\n', "1:8", "[::]:9877 can be reached from outside"),
        ("http: {listen: 'box.lan:9877'}\n", "1:8", "box.lan:9877 can be reached from outside"),
        (
            f"streams:\n  - {{name: a, {TINY}}}\n  - {{name: b, {TINY}}}\n  - {{name: a, {TINY}}}\n",
            "4:6",
            "2 streams are called 'a'; each needs its own",
        ),
        (
            (
                "alerts:\n  channels:\n    - {kind: bell, name: x, rope_secret: ''}\n"
                "    - {kind: bell, name: x, rope_secret: ''}\n"
            ),
            "4:20",
            "2 channels are called 'x'; each needs its own",
        ),
        (
            f"streams:\n  - name: a\n    replicas: 3\n    {TINY}\n",
            "3:5",
            "stream 'a': 3 x $2 an hour may be rented, but spend_max_dollars_per_hour is $5",
        ),
        (
            (
                f"fleet: {{spend_max_dollars_per_hour: 3}}\nstreams:\n  - name: a\n    {TINY}\n"
                f"  - name: b\n    {TINY}\n"
            ),
            "5:5",
            "all streams together may need $4 an hour, but fleet.spend_max_dollars_per_hour is $3",
        ),
        (
            "fleet: {spend_max_dollars_per_day: 50, spend_max_dollars_total: 40}",
            "1:40",
            "fleet: spend_max_dollars_per_day (50) must not exceed spend_max_dollars_total (40)",
        ),
        (
            (
                f"streams: [{{name: a, spend_max_dollars_per_day: 9, {TINY}, "
                "spend_max_dollars_per_month: 8}]"
            ),
            "1:75",
            "stream 'a': spend_max_dollars_per_day (9) must not exceed spend_max_dollars_per_month",
        ),
        (
            "fleet: {spend_end_s: 1h}",
            "1:9",
            "spend_end_s (3600) must be below spend_reserve_s (3600): a host near a cap would be",
        ),
        (
            (
                f"streams: [{{name: a, {TINY}, spares: {{count: 1, kind: stopped}}, "
                "offer: {pricing: interruptible, price_max_dollars_per_hour: 2}}]"
            ),
            "1:88",
            "stream 'a': a spare that stands still is rented on demand, for a bid that is stopped must",
        ),
        (
            (
                f"streams: [{{name: a, {TINY}, spares: {{count: 1, kind: stopped, "
                "start_within_s: 30}}]\nfleet: {list_interval_busy_s: 30}"
            ),
            "2:9",
            "stream 'a': start_within_s (30) must be above fleet.list_interval_busy_s (30): a start",
        ),
        (
            "fleet: {spend_warn_ratios: [0.5, 0.5]}",
            "1:9",
            "spend_warn_ratios must climb, from above 0 to at most 1",
        ),
    ],
)
def test_a_contradiction_points_at_the_later_key(
    problems: Problems, text: str, place: str, why: str
) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"keeper.yaml:{place}: {why}")


def test_a_stream_is_checked_with_the_common_policy_below_its_own(problems: Problems) -> None:
    (problem,) = problems(
        "streams:\n- name: a\n  workload: {kind: tiny}\n  policy: {probe_timeout_s: 15}\n"
        "policy: {probe_interval_s: 12, probe_timeout_s: 3}\n"
    )
    assert problem.startswith("keeper.yaml:5:10: stream 'a': probe_timeout_s (15) must be below")


def test_a_common_contradiction_is_said_once(problems: Problems) -> None:
    report = problems(
        "policy: {probe_timeout_s: 15}\nstreams:\n"
        f"- {{name: a, {TINY}}}\n- {{name: b, {TINY}, policy: {{restarts_max: 1}}}}\n"
    )
    assert len(report) == 1


@pytest.mark.parametrize(
    "text",
    [
        "http: {listen: '127.0.0.1:0'}",
        "http: {listen: '127.9.9.9:1'}",
        "http: {listen: 'localhost:9877'}",
        "http: {listen: '[::1]:9877'}",
        f"streams: [{{name: a, replicas: 2, {TINY}}}]",
        f"streams: [{{name: a, replicas: 0, {TINY}}}]",
        (
            f"streams: [{{name: a, replicas: 5, spend_max_dollars_per_hour: 1, {TINY}, "
            "offer: {price_max_dollars_per_hour: 0.2}}]"
        ),
    ],
)
def test_what_is_no_contradiction_is_accepted(load: Load, text: str) -> None:
    load(text)


def test_an_open_page_with_a_token_is_accepted(load: Load) -> None:
    load("http: {listen: '0.0.0.0:9877'}", {"KEEPER_HTTP__TOKEN": "t0ken"})


def test_a_tick_that_is_rarer_than_the_watchdog_allows_is_refused(
    load: Load, problems: Problems
) -> None:
    """A calm fleet was killed once a minute by its own service manager."""
    load("fleet: {tick_interval_s: 30}", {"WATCHDOG_USEC": "60000000"})
    load("fleet: {tick_interval_s: 90}", {"WATCHDOG_USEC": ""})
    (problem,) = problems("fleet: {tick_interval_s: 31}", {"WATCHDOG_USEC": "60000000"})
    assert problem.startswith("keeper.yaml:1:9: tick_interval_s (31) must be at most half of the")
