"""A search is explained: what would be taken, what it costs in parts, and what was filtered out."""

import json
from io import StringIO
from typing import Any

from rich.console import Console

from keeper.cli import offers
from keeper.core import market
from keeper.core.market import Avoided
from keeper.core.model import HostId, MachineId, Offer, OfferId, OfferNeeds, StreamName

DUEL = StreamName("duel")
NEEDS = OfferNeeds(egress_gb_per_hour=2.0, price_max_dollars_per_hour=0.6)


def offer(number: int, **given: Any) -> Offer:
    return Offer(
        **{
            "offer_id": OfferId(number),
            "machine_id": MachineId(number),
            "host_id": HostId(number),
            "gpu_name": "RTX 4090",
            "gpu_count": 1,
            "gpu_ram_gb": 24.0,
            "gpu_display_active": True,
            "verified": True,
            "rentable": True,
            "reliability": 0.99,
            "disk_space_gb": 500.0,
            "inet_up_mbps": 900.0,
            "inet_down_mbps": 900.0,
            "inet_up_dollars_per_gb": 0.01,
            "inet_down_dollars_per_gb": 0.0,
            "dollars_per_hour": 0.40 + number / 1000,
            "gpu_dollars_per_hour": 0.38,
            "disk_dollars_per_hour": 0.02,
            "direct_port_count": 8,
            "duration_s": 1e6,
            "geolocation": "SE",
            "cuda_max": 12.4,
            **given,
        }
    )


def shown(*found: Offer, explain: bool = False, avoided: Avoided | None = None) -> str:
    funnel = market.search(found, NEEDS, avoided or Avoided())
    out = Console(file=StringIO(), width=80, color_system=None)
    for part in offers.shown_search(DUEL, funnel, NEEDS, explain=explain):
        out.print(part)
    assert isinstance(out.file, StringIO)
    return "\n".join(line.rstrip() for line in out.file.getvalue().splitlines())


def test_the_first_line_is_what_keeper_would_take() -> None:
    lines = shown(offer(5), offer(1)).splitlines()
    assert lines[0] == "duel: 2 of 2 offers suit"
    assert " ".join(lines[1].split()) == "# OFFER GPU GB $/H GPU $ DISK $ NET $ RELIABLE PLACE"
    assert " ".join(lines[2].split()) == "1 1 RTX 4090 24 0.421 0.380 0.020 0.020 99.0% SE"
    assert max(map(len, lines)) <= 80


def test_every_filter_that_bites_is_named_with_what_it_asks_for() -> None:
    text = shown(
        offer(1),
        offer(2, dollars_per_hour=0.9),
        offer(3, verified=False, gpu_display_active=False),
        explain=True,
    )
    assert "duel: 1 of 3 offers suit" in text
    assert "1  price    0.6 $/h or less, traffic included" in text
    assert "1  display  a GPU that drives a display" in text
    assert "1  left" in text
    assert "nearest miss: offer 2, RTX 4090, 0.920 $/h, fails only at price" in text


def test_without_a_suitable_offer_the_funnel_is_shown_unasked() -> None:
    words = " ".join(shown(offer(2, reliability=0.5)).split())
    assert "WHICH ASKS FOR" in words
    assert "(it has 50.0%, asked for: 95.0% or more)" in words


def test_an_empty_market_is_said_in_one_line() -> None:
    assert shown() == "duel: the marketplace has no offer near these needs"


def test_every_filter_of_the_core_has_words_for_people() -> None:
    names = [name for name, _ in market._FILTERS]
    for name in [*names, "quarantine", "a lost race"]:
        assert offers._asked(name, OfferNeeds(gpu_names=("X",), geolocations=("SE",))), name


def test_a_machine_in_quarantine_is_left_out_and_said() -> None:
    text = shown(offer(1), explain=True, avoided=Avoided(machines=frozenset({MachineId(1)})))
    assert "quarantine" in text


def test_json_has_every_offer_and_every_part_of_the_price() -> None:
    funnel = market.search([offer(n) for n in range(40)], NEEDS, Avoided())
    document = json.loads(json.dumps(offers.as_json(DUEL, funnel, NEEDS)))
    assert len(document["suitable"]) == 40
    first = document["suitable"][0]
    assert first["dollars_per_hour"] == 0.42
    assert first["traffic_dollars_per_hour"] == 0.02


def test_hostile_names_are_spelled_out() -> None:
    assert "\x1b" not in shown(offer(1, gpu_name="\x1b[2J", geolocation="\x07"))
