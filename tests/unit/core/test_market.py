"""Which offer, and why not the others."""

from __future__ import annotations

import pytest

from keeper.core.market import Avoided, avoided_by_quarantine, price_dollars_per_hour, search
from keeper.core.model import HostId, MachineId, OfferId, OfferNeeds
from tests.builders import NOW, a_quarantine, ago, an_offer

NEEDS = OfferNeeds(
    gpu_names=("RTX 4090", "RTX 3090"), gpu_names_excluded=("RTX 3090",), geolocations=("SE",),
    inet_up_min_mbps=100.0, inet_down_min_mbps=100.0, cuda_min=12.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("flaw", "what"),
    [
        ({"rentable": False}, "rentable"),
        ({"gpu_display_active": False}, "display"),
        ({"verified": False}, "verification"),
        ({"gpu_name": "Tesla T4"}, "GPU name"),
        ({"gpu_name": "RTX 3090"}, "excluded GPU name"),
        ({"gpu_count": 2}, "GPU count"),
        ({"gpu_ram_gb": 19.9}, "GPU memory"),
        ({"disk_space_gb": 119.0}, "disk"),
        ({"reliability": 0.949}, "reliability"),
        ({"geolocation": "US"}, "place"),
        ({"inet_up_mbps": 99.0}, "upload"),
        ({"inet_down_mbps": 99.0}, "download"),
        ({"direct_port_count": 0}, "direct ports"),
        ({"duration_s": 86_399.0}, "duration"),
        ({"cuda_max": 11.8}, "CUDA"),
        ({"dollars_per_hour": 2.01}, "price"),
    ],
)
def test_each_filter_removes_what_lacks_only_that(flaw: dict[str, object], what: str) -> None:
    funnel = search([an_offer(1, **flaw), an_offer(2)], NEEDS, Avoided())
    assert [offer.offer_id for offer in funnel.suitable] == [102]
    assert [(each.what, each.count) for each in funnel.removed] == [(what, 1)]
    assert funnel.nearest is not None
    assert (funnel.nearest.offer_id, funnel.nearest_lacks) == (101, what)
    assert f"but for {what}" in funnel.sentence()


def test_what_is_not_asked_for_is_not_filtered_on() -> None:
    anything = OfferNeeds(gpu_display_active=False, verified=False)
    plain = an_offer(1, gpu_display_active=False, verified=False, gpu_name="Tesla T4")
    assert search([plain], anything, Avoided()).suitable == (plain,)


def test_the_price_is_with_the_viewers_traffic() -> None:
    needs = OfferNeeds(egress_gb_per_hour=10.0)
    cheap_with_dear_upload = an_offer(1, dollars_per_hour=0.30, inet_up_dollars_per_gb=0.05)
    dear_with_cheap_upload = an_offer(2, dollars_per_hour=0.50, inet_up_dollars_per_gb=0.01)
    funnel = search([cheap_with_dear_upload, dear_with_cheap_upload], needs, Avoided())
    assert [offer.offer_id for offer in funnel.suitable] == [102, 101]
    assert price_dollars_per_hour(cheap_with_dear_upload, needs) == pytest.approx(0.80)


def test_two_replicas_are_not_put_on_one_machine_while_there_is_another() -> None:
    funnel = search([an_offer(1), an_offer(2)], OfferNeeds(), Avoided(), {MachineId(201)})
    assert [offer.offer_id for offer in funnel.suitable] == [102, 101]


def test_of_equal_prices_the_more_reliable_wins() -> None:
    same = {"dollars_per_hour": 0.4}
    offers = [an_offer(1, reliability=0.96, **same), an_offer(2, reliability=0.99, **same)]
    assert search(offers, OfferNeeds(), Avoided()).suitable[0].offer_id == 102


def test_what_is_avoided_is_never_suitable() -> None:
    avoided = Avoided(
        offers=frozenset({OfferId(101)}),
        machines=frozenset({MachineId(202)}),
        hosts=frozenset({HostId(303)}),
    )
    funnel = search([an_offer(n) for n in range(1, 5)], OfferNeeds(), avoided)
    assert [offer.offer_id for offer in funnel.suitable] == [104]
    assert {each.what: each.count for each in funnel.removed} == {
        "a lost race": 1, "quarantine": 2,
    }  # fmt: skip


def test_an_offer_with_two_flaws_is_no_near_miss() -> None:
    funnel = search([an_offer(1, rentable=False, verified=False)], OfferNeeds(), Avoided())
    assert funnel.nearest is None
    assert funnel.sentence() == "0 of 1 offers suit; removed 1 by rentable"


def test_an_empty_market_is_explained_too() -> None:
    assert search([], OfferNeeds(), Avoided()).sentence() == "0 of 0 offers suit"


def test_an_owner_is_avoided_after_enough_of_his_machines_failed() -> None:
    kept = {
        MachineId(n): a_quarantine(n, host_id=host, until=until)
        for n, host, until in (
            (1, 7, NOW.replace(year=2027)), (2, 7, NOW.replace(year=2027)),
            (3, 8, NOW.replace(year=2027)), (4, 8, ago(1)),
            (5, 0, NOW.replace(year=2027)), (6, 0, NOW.replace(year=2027)),
        )
    }  # fmt: skip
    machines, hosts = avoided_by_quarantine(kept, NOW, 2)
    assert machines == {1, 2, 3, 5, 6}
    assert hosts == {7}  # 0 stands for an owner that was not told
