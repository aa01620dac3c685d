"""`vastai search offers` against the simulator: every operator, alias and unit that it converts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer
from tests.e2e.official import Official

pytestmark = [pytest.mark.real("vastai"), pytest.mark.timeout(300)]

KEY = "0" * 64
DAY_S = 86_400
Row = dict[str, Any]
Holds = Callable[[Row], bool]


@pytest.fixture
async def sim(short_path: Path) -> AsyncIterator[SimServer]:
    """A market that stands still, so that what is found can be told beforehand."""
    shape = MarketShape(machines=48, renters_every_s=0, price_drift_every_s=0, bids_move_every_s=0)
    async with SimServer(
        seed=11, state_dir=short_path, api_key=KEY, spacing_scale=0, shape=shape
    ) as server:
        for machine in list(server.market.supply.machines.values())[::7]:
            machine.occupy(range(machine.gpu_count), "other:1")
        yield server


@pytest.fixture
def vastai(sim: SimServer, tmp_path: Path) -> Official:
    return Official(sim.url, KEY, tmp_path / "home")


def _code(row: Row) -> str:
    return (row["geolocation"] or "").rpartition(",")[2].strip()


# What is typed, and what must then hold of exactly the offers that come.
QUERIES: tuple[tuple[str, Holds], ...] = (
    ("num_gpus=1", lambda row: row["num_gpus"] == 1),
    ("num_gpus == 2", lambda row: row["num_gpus"] == 2),
    ("num_gpus eq 2", lambda row: row["num_gpus"] == 2),
    ("num_gpus!=1", lambda row: row["num_gpus"] != 1),
    ("num_gpus neq 1", lambda row: row["num_gpus"] != 1),
    ("num_gpus not eq 1", lambda row: row["num_gpus"] != 1),
    ("reliability > 0.98", lambda row: row["reliability"] > 0.98),
    ("reliability gt 0.98", lambda row: row["reliability"] > 0.98),
    ("num_gpus>=2", lambda row: row["num_gpus"] >= 2),
    ("num_gpus gte 2", lambda row: row["num_gpus"] >= 2),
    ("inet_up<700", lambda row: row["inet_up"] < 700),
    ("inet_up lt 700", lambda row: row["inet_up"] < 700),
    ("num_gpus<=2", lambda row: row["num_gpus"] <= 2),
    ("num_gpus lte 2", lambda row: row["num_gpus"] <= 2),
    ("gpu_name=RTX_4090", lambda row: row["gpu_name"] == "RTX 4090"),
    ('gpu_name="RTX 4090"', lambda row: row["gpu_name"] == "RTX 4090"),
    (
        'gpu_name in ["RTX_4090","RTX_3090"]',
        lambda row: row["gpu_name"] in {"RTX 4090", "RTX 3090"},
    ),
    ("gpu_name notin [RTX_4090,RTX_3090]", lambda row: row["gpu_name"][4:] not in {"4090", "3090"}),
    ("gpu_name not in [RTX_4090]", lambda row: row["gpu_name"] != "RTX 4090"),
    ("gpu_name nin [RTX_4090]", lambda row: row["gpu_name"] != "RTX 4090"),
    ("geolocation=US", lambda row: _code(row) == "US"),
    ("geolocation in [US,CA]", lambda row: _code(row) in {"US", "CA"}),
    ("geolocation notin [US,CA,DE]", lambda row: _code(row) not in {"US", "CA", "DE"}),
    # Aliases.
    ("display_active=true", lambda row: row["gpu_display_active"] is True),
    ("gpu_display_active=False", lambda row: row["gpu_display_active"] is False),
    ("dph<0.4", lambda row: row["dph_total"] < 0.4),
    ("cuda_vers>=12.6", lambda row: row["cuda_max_good"] >= 12.6),
    ("dlperf_usd>300", lambda row: (row["dlperf_per_dphtotal"] or 0) > 300),
    ("flops_usd>200", lambda row: (row["flops_per_dphtotal"] or 0) > 200),
    # Units: GB become "MB" of a thousand, days become seconds, a version becomes a number.
    ("gpu_ram>=24", lambda row: row["gpu_ram"] >= 24_000),
    ("gpu_ram>24.6", lambda row: row["gpu_ram"] > 24_600),
    ("gpu_total_ram<=33", lambda row: row["gpu_total_ram"] <= 33_000),
    ("cpu_ram>100", lambda row: row["cpu_ram"] > 100_000),
    ("duration>=60", lambda row: row["duration"] >= 60 * DAY_S),
    ("driver_version>=560.28.03", lambda row: row["driver_vers"] >= 560_028_003),
    ("driver_version<560.0.0", lambda row: row["driver_vers"] < 560_000_000),
    # Switches.
    ("verified=true", lambda row: row["verification"] == "verified"),
    ("verified=false", lambda row: row["verification"] != "verified"),
    ("rentable=true", lambda row: row["rentable"] is True),
    ("datacenter=true", lambda row: row["hosting_type"] == 1),
    ("static_ip=false", lambda row: row["static_ip"] is False),
    # Several at once, on one field and on many; a wildcard takes its filter back.
    (
        "inet_up>400 inet_up<900 num_gpus=1 gpu_ram>=16 verified=any",
        lambda row: 400 < row["inet_up"] < 900 and row["num_gpus"] == 1 and row["gpu_ram"] >= 16000,
    ),
    ("num_gpus=1 num_gpus=any", lambda row: True),
)  # fmt: skip


async def test_every_operator_alias_and_unit_finds_exactly_what_it_should(
    sim: SimServer, vastai: Official
) -> None:
    rows = sim.market.search({"disable_bundling": True, "order": [["id", "asc"]]})

    async def wrong(query: str, holds: Holds) -> str:
        # Without its defaults, and in an order that leaves no choice at the cap of 64.
        said = await vastai("--raw", "search", "offers", "-n", "-o", "id", query)
        expected = [row["id"] for row in rows if holds(row)]
        if not said.out.startswith("["):
            return f"{query}: {said.out} {said.err}"
        found = [row["id"] for row in said.json()]
        if not 0 < len(expected) < len(rows) and "any" not in query:
            return f"{query}: shows nothing, it holds for {len(expected)} of {len(rows)}"
        return "" if found == expected[:64] else f"{query}: {found} instead of {expected[:64]}"

    problems = await asyncio.gather(*(wrong(*each) for each in QUERIES))
    assert [problem for problem in problems if problem] == []


async def test_defaults_hide_what_cannot_be_rented_and_the_switch_shows_it(
    sim: SimServer, vastai: Official
) -> None:
    by_default, everything, wild, newer = await asyncio.gather(
        vastai.raw("search", "offers", "-o", "id"),
        vastai.raw("search", "offers", "-n", "-o", "id"),
        vastai.raw("search", "offers", "-o", "id", "rentable=any verified=any external=any"),
        vastai.raw("search", "offers", "--new", "-o", "id"),
    )
    assert all(row["rentable"] and row["verification"] == "verified" for row in by_default)
    assert not all(row["rentable"] for row in everything)
    assert {row["verification"] for row in everything} > {"verified"}
    assert [row["id"] for row in wild] == [row["id"] for row in everything]
    assert [row["id"] for row in newer] == [row["id"] for row in by_default]
    assert len(everything) == 64, "whatever there is, at most 64 come"


async def test_order_limit_storage_and_price_basis(sim: SimServer, vastai: Official) -> None:
    cheap, dear, two, large, bids = await asyncio.gather(
        vastai.raw("search", "offers", "-o", "dph", "--limit", 5, "--storage", 50),
        vastai.raw("search", "offers", "-o", "dph-", "--limit", 5, "--storage", 50),
        vastai.raw("search", "offers", "-o", "num_gpus-,dph+", "--storage", 50),
        vastai.raw("search", "offers", "-o", "dph", "--limit", 64, "--storage", 500),
        vastai.raw("search", "offers", "-o", "dph", "--type", "bid", "--storage", 50),
    )
    prices = [row["dph_total"] for row in cheap]
    assert len(prices) == 5
    assert prices == sorted(prices)
    falling = [row["dph_total"] for row in dear]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > prices[-1]
    keys = [(-row["num_gpus"], row["dph_total"]) for row in two]
    assert keys == sorted(keys)
    stored = {row["id"]: row for row in large}
    for row in cheap:
        at_50 = row["dph_base"] + row["storage_cost"] * 50 / 720
        assert row["dph_total"] == pytest.approx(at_50)
        if row["id"] in stored:
            more = row["storage_cost"] * 450 / 720
            assert stored[row["id"]]["dph_total"] - row["dph_total"] == pytest.approx(more)
    on_demand = {row["id"]: row for row in await vastai.raw("search", "offers", "-n", "-o", "id")}
    (reserved,) = await vastai.raw(
        *("search", "offers", "-o", "dph", "--type", "reserved", "--storage", 50, "--limit", 1)
    )
    assert reserved["discounted_dph_total"] < reserved["dph_total"] == cheap[0]["dph_total"]
    for row in bids:
        assert row["is_bid"]
        if row["id"] in on_demand:
            assert row["dph_base"] == pytest.approx(on_demand[row["id"]]["min_bid"])


async def test_every_field_that_the_client_knows_is_understood(
    sim: SimServer, vastai: Official
) -> None:
    script = (
        "import json; from vastai.api.query import offers_fields; "
        "print(json.dumps(sorted(offers_fields)))"
    )
    fields = await vastai.python(script)
    assert len(fields) > 40
    query = " ".join(f"{field}!=keeper" for field in fields if not field.endswith("ram"))
    said = await vastai("--raw", "search", "offers", "-n", query.replace("duration!=keeper", ""))
    assert said.out.startswith("["), said.err


async def test_the_table_has_every_column_and_names_what_it_lists(
    sim: SimServer, vastai: Official
) -> None:
    said = await vastai("search", "offers", "-o", "dph", "--limit", 3)
    assert (said.code, said.err) == (0, "")
    for row in await vastai.raw("search", "offers", "-o", "dph", "--limit", 3):
        assert str(row["id"]) in said.out
        assert row["gpu_name"].replace(" ", "_") in said.out
    for column in (
        "CUDA",
        "$/hr",
        "NV Driver",
        "Max_Days",
        "mach_id",
        "status",
        "ports",
        "country",
    ):
        assert column in said.out


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        (["foo=1"], 400, "foo"),
        (["gpu_name RTX_4090"], 0, "Unknown operator"),  # its own parser, before any request
    ],
)
async def test_what_is_not_understood_is_said_and_still_exits_as_success(
    vastai: Official, query: list[str], code: int, text: str
) -> None:
    """Quirk 30: its exit code is no judge."""
    said = await vastai("search", "offers", *query)
    assert text in said.out + said.err
    if code:
        assert f"Failed with error {code}: " in said.err
        assert said.code == 0


async def test_the_dead_filter_by_id_finds_nothing(sim: SimServer, vastai: Official) -> None:
    """Quirk 19."""
    offer = sim.market.search({"rentable": {"eq": True}})[0]["id"]
    assert await vastai.raw("search", "offers", f"id={offer}") == []


async def test_a_wrong_key_is_named(vastai: Official) -> None:
    """Quirk 35: a search says 404 to it."""
    said = await vastai("--api-key", "wrong", "search", "offers")
    assert "Failed with error 404: Invalid user key" in said.err
    said = await vastai("--api-key", "wrong", "show", "user")
    assert "Failed with error 401: Invalid user key" in said.err
    assert "Sent key from --api-key (ends in ...rong)" in said.err
