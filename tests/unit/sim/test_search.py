"""The filter language, as the command line and other clients speak it."""

from typing import Any

import pytest

from keeper.sim.search import BadQuery, check, in_order, is_match

ROW: dict[str, Any] = {
    "id": 1,
    "num_gpus": 1,
    "gpu_name": "RTX 4090",
    "gpu_ram": 24564,
    "reliability": 0.99,
    "verification": "verified",
    "external": None,
    "geolocation": "Texas, US",
    "hosting_type": 0,
    "driver_vers": 565057001,
    "cpu_cores": None,
    "gpu_display_active": True,
}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"num_gpus": {"eq": 1}}, True),
        ({"num_gpus": {"eq": "1"}}, True),  # the command line sends numbers as text
        ({"num_gpus": {"neq": 1}}, False),
        ({"gpu_ram": {"gte": 24000.0}}, True),
        ({"gpu_ram": {"gte": 24576}}, False),  # the real 4090 has a little less than 24 GiB
        ({"gpu_ram": {"gte": 20000, "lt": 24000}}, False),
        ({"gpu_name": {"eq": "RTX 4090"}}, True),
        ({"gpu_name": {"in": ["RTX 3090", "RTX 4090"]}}, True),
        ({"gpu_name": {"notin": ["RTX 4090"]}}, False),
        ({"verified": {"eq": True}}, True),
        ({"external": {"eq": False}}, True),
        ({"datacenter": {"eq": True}}, False),
        ({"geolocation": {"in": ["US", "CA"]}}, True),
        ({"geolocation": {"eq": "DE"}}, False),
        ({"driver_version": {"gte": 535086005}}, True),
        ({"rented": {"eq": False}}, True),
        ({"gpu_display_active": {"eq": True}}, True),
        ({"cpu_cores": {"gte": 1}}, False),  # null passes no comparison
        ({"cpu_cores": {"eq": None}}, True),
    ],
)
def test_matches(filters: dict[str, dict[str, Any]], expected: bool) -> None:
    assert is_match(ROW, check(filters, [*ROW, "driver_version"])) is expected


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"num_gpus": 1}, "must be an object"),
        ({"num_gpus": {"around": 1}}, "unknown operator"),
        ({"colour": {"eq": "red"}}, "unknown field"),
    ],
)
def test_says_what_is_wrong_with_a_query(query: dict[str, Any], why: str) -> None:
    with pytest.raises(BadQuery, match=why):
        check(query, ROW)


def test_plain_switches_are_no_filters() -> None:
    assert (
        check({"order": [], "limit": 3, "type": "on-demand", "disable_bundling": True}, ROW) == {}
    )


def test_orders_by_several_columns_with_nulls_last() -> None:
    rows: list[dict[str, Any]] = [
        {"id": 3, "a": 1, "b": None},
        {"id": 1, "a": 1, "b": 2},
        {"id": 2, "a": 0, "b": 9},
    ]
    ordered = in_order(rows, [["a", "desc"], ["b", "asc"]])
    assert [row["id"] for row in ordered] == [1, 3, 2]
    assert [row["id"] for row in in_order(rows, [{"col": "id", "dir": "desc"}])] == [3, 2, 1]
    with pytest.raises(BadQuery):
        in_order(rows, ["a"])
