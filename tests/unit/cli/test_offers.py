"""A search is explained: what would be taken, what it costs in parts, and what was filtered out."""

import json
from dataclasses import replace
from io import StringIO
from typing import Any

from rich.console import Console

from keeper.cli import offers
from keeper.cli.offers_json import as_json
from keeper.core.market import FILTERS, Avoided
from keeper.core.model import (
    HostId,
    MachineId,
    Offer,
    OfferId,
    OfferNeeds,
    Pricing,
    Stream,
    StreamName,
)
from keeper.core.shortage import WORDS, explain
from tests.builders import a_stream

NEEDS = OfferNeeds(egress_gb_per_hour=2.0, price_max_dollars_per_hour=0.6)


def offer(number: int, **given: Any) -> Offer:
    return Offer(
        **{
            "offer_id": OfferId(number),
            "machine_id": MachineId(number),
            "host_id": HostId(number),
            "gpu_name": "RTX 4090",
            "gpu_count": 1,
            "gpu_ram_gb": 24.564,  # MiB by the thousand: what a card of 24 GB reports
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


def duel(**needs: Any) -> Stream:
    return replace(a_stream(), name=StreamName("duel"), needs=replace(NEEDS, **needs))


def shown(
    *found: Offer,
    explain: bool = False,
    avoided: Avoided | None = None,
    width: int = 80,
    around: tuple[Offer, ...] | None = None,
    **needs: Any,
) -> str:
    look = offers.look_at(duel(**needs), found, avoided or Avoided(), around=around)
    out = Console(file=StringIO(), width=width, color_system=None)
    for part in offers.shown_look(look, explain=explain):
        out.print(part)
    assert isinstance(out.file, StringIO)
    return "\n".join(line.rstrip() for line in out.file.getvalue().splitlines())


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_first_line_is_what_keeper_would_take() -> None:
    lines = shown(offer(5), offer(1)).splitlines()
    assert lines[0] == "duel: 2 of 2 offers suit"
    assert words(lines[1]) == "# OFFER GPU GB $/H GPU $ DISK $ NET $ RELIABLE PLACE"
    assert words(lines[2]) == "1 1 RTX 4090 24 0.421 0.381 0.020 0.020 99.0% SE"
    assert lines[-1] == "$/h with 120 GB of disk and 2 GB/h of traffic; the limit is 0.6 $/h"


def test_a_bid_is_called_one_and_comes_before_an_offer_on_demand() -> None:
    lines = shown(
        offer(1),
        offer(2, is_bid=True, gpu_dollars_per_hour=0.30),
        pricing=Pricing.INTERRUPTIBLE_WITH_FALLBACK,
    ).splitlines()
    assert words(lines[2]) == "1 2 RTX 4090 24 0.370 bid 0.330 0.020 0.020 99.0% SE"
    assert words(lines[3]).startswith("2 1 RTX 4090 24 0.421 0.381")


def test_on_a_narrow_terminal_only_the_name_of_the_gpu_gives_way() -> None:
    text = shown(
        offer(
            29_876_543,
            gpu_name="NVIDIA RTX PRO 6000 Blackwell Max-Q",
            dollars_per_hour=0.4,
            is_bid=True,
            gpu_ram_gb=97.887,
        ),
        pricing=Pricing.INTERRUPTIBLE,
    )
    (row,) = [line for line in text.splitlines() if "29876543" in line]
    assert len(row) <= 80
    assert words(row).endswith("96 0.458 bid 0.418 0.020 0.020 99.0% SE")
    assert "…" in row


def test_the_funnel_has_the_order_of_the_filters_and_says_what_each_asks_for() -> None:
    text = shown(
        offer(1),
        offer(2, dollars_per_hour=0.9),
        offer(3, verified=False, gpu_display_active=False),
        offer(4, dollars_per_hour=0.8),
        explain=True,
    )
    lines = [words(line) for line in text.splitlines()]
    assert lines[0] == "duel: 1 of 4 offers suit"
    begin = lines.index("REMOVED LEFT BY WHICH ASKS FOR")
    assert lines[begin + 1 : begin + 5] == [
        "4 (found)",
        "1 3 display a GPU that drives a display",
        "2 1 price 0.6 $/h or less, traffic included",
        "",
    ]
    # The nearest of each filter that alone keeps one out: what to write, and the price of that.
    assert lines[begin + 5 :] == [
        "NEAREST $/H MORE WOULD SUIT WITH",
        "4 0.820 +0.399 offer.price_max_dollars_per_hour: 0.82 (RTX 4090 in SE)",
    ]


def test_what_no_setting_lets_in_is_named_last() -> None:
    text = shown(
        offer(1),
        offer(2),
        offer(3, dollars_per_hour=0.9),
        explain=True,
        avoided=Avoided(machines=frozenset({MachineId(1)})),
        width=200,
    )
    assert [words(line) for line in text.splitlines()][-2:] == [
        "3 0.920 +0.498 offer.price_max_dollars_per_hour: 0.92 (RTX 4090 in SE)",
        "1 0.421 -0.001 no setting: quarantine (RTX 4090 in SE)",
    ]


def test_without_a_suitable_offer_it_says_what_the_decision_and_the_alert_say() -> None:
    found = (offer(2, reliability=0.5), offer(3, verified=False, gpu_display_active=False))
    text = shown(*found)
    sentence = explain(found, NEEDS, Avoided()).sentence()
    assert words(text).startswith(f"duel: {sentence} REMOVED LEFT BY")
    assert "offer.reliability_min: 0.500 (50.0%, RTX 4090 in SE)" in text


def test_where_several_filters_fail_at_once_the_closest_is_named() -> None:
    text = words(shown(offer(3, verified=False, gpu_display_active=False)))
    assert "the closest is offer 3, which fails at display, verification" in text
    assert "NEAREST" not in text


def test_an_empty_market_is_said_in_two_lines() -> None:
    assert shown().splitlines() == [
        "duel: 0 of 0 offers suit",
        "the marketplace shows none at all now: look again in a few minutes",
    ]


def test_a_wider_look_may_find_what_the_search_had_cut_off() -> None:
    look = offers.look_at(duel(), [offer(2)], Avoided(), around=[offer(1), offer(2)])
    assert [int(each.offer_id) for each in look.suitable] == [1, 2]
    assert look.is_wide


def test_a_machine_that_carries_one_of_ours_comes_last() -> None:
    look = offers.look_at(
        duel(), [offer(1), offer(2)], Avoided(), machines_in_use=frozenset({MachineId(1)})
    )
    assert [int(each.offer_id) for each in look.suitable] == [2, 1]


def test_every_filter_of_the_core_has_words_for_people() -> None:
    needs = OfferNeeds(gpu_names=("X",), geolocations=("SE",))
    for name in [*FILTERS, "quarantine", "a lost race"]:
        assert WORDS[name].asked(needs), name


def test_json_has_every_offer_every_part_of_the_price_and_every_miss() -> None:
    found = [*(offer(n) for n in range(40)), offer(41, dollars_per_hour=0.9)]
    document = json.loads(json.dumps(as_json(offers.look_at(duel(), found, Avoided()))))
    assert list(document) == [
        "stream", "found", "is_wide", "suitable", "removed", "misses", "closest",
        "closest_lacks", "sentence",
    ]  # fmt: skip
    assert (document["stream"], document["found"], document["is_wide"]) == ("duel", 41, False)
    assert len(document["suitable"]) == 40
    first = document["suitable"][0]
    assert first["dollars_per_hour"] == 0.42
    parts = ("gpu_dollars_per_hour", "disk_dollars_per_hour", "traffic_dollars_per_hour")
    assert [first[part] for part in parts] == [0.38, 0.02, 0.02]
    assert first["is_bid"] is False
    (miss,) = document["misses"]
    assert miss["filter"] == "price"
    assert (miss["removed"], miss["fails"], miss["alone"]) == (1, 1, 1)
    assert (miss["setting"], miss["value"]) == ("offer.price_max_dollars_per_hour", "0.92")
    assert miss["nearest"]["offer_id"] == 41
    assert miss["more_dollars_per_hour"] == 0.5
    assert document["removed"] == {"price": 1}


def test_json_says_null_where_nothing_suits() -> None:
    document = as_json(offers.look_at(duel(), [offer(1, reliability=0.1)], Avoided()))
    assert document["suitable"] == ()
    assert document["misses"][0]["more_dollars_per_hour"] is None
    assert document["sentence"].startswith("0 of 1 offers suit; removed 1 by reliability")


def test_hostile_names_are_spelled_out() -> None:
    hostile = {"gpu_name": "\x1b[2J", "geolocation": "\x07"}
    assert "\x1b" not in shown(offer(1, **hostile))
    assert "\x07" not in shown(offer(1, **hostile, reliability=0.2))
    assert "\x1b" not in shown(offer(1, **hostile), gpu_names=("X",))
