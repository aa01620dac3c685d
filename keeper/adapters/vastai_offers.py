"""Makes offers of Vast.ai's rows: what is on the market, and what it costs. Pure; knows no HTTP.

A price is for the disk asked for. Of a row that was priced for bids, the GPU's part is the least that
a bid must reach.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from keeper.adapters.vastai_rows import HOURS_PER_MONTH, MIB_PER_GB, country_of
from keeper.adapters.vastai_wire import (
    NAME_MAX,
    OfferRow,
    Offers,
    amount,
    flag,
    identity,
    integer,
    price,
    text,
)
from keeper.core.model import HostId, MachineId, Offer, OfferId
from keeper.ports import Malformed

_GB_PER_TB: Final = 1024.0  # exact in every sample seen


def offers_of(answer: Offers, disk_gb: float, *, is_bid: bool = False) -> tuple[Offer, ...]:
    """Make offers of the rows that make sense, cheapest first, each once.

    ``is_bid`` is what was asked for. A row without id, machine or price cannot be rented and is left
    out. If no row makes sense, the contract has changed: Malformed.
    """
    found = [_offer_of(loose, disk_gb, is_bid=is_bid) for loose in answer.offers]
    offers = cheapest_first(each for each in found if each is not None)
    if answer.offers and not offers:
        raise Malformed(f"none of {len(answer.offers)} offers has an id, a machine and a price")
    return offers


def cheapest_first(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Put offers in order, each once. One ask is two offers where it is priced on both bases."""
    found: dict[tuple[OfferId, bool], Offer] = {}
    for offer in offers:
        found.setdefault((offer.offer_id, offer.is_bid), offer)
    return tuple(
        sorted(found.values(), key=lambda o: (o.dollars_per_hour, o.offer_id, not o.is_bid))
    )


def totals_of(answer: Offers) -> list[float]:
    """Return the prices by which the server put its rows in order."""
    said = (each.get("dph_total") for each in answer.offers if isinstance(each, dict))
    return [total for each in said if (total := price(each)) is not None]


def _offer_of(loose: Any, disk_gb: float, *, is_bid: bool) -> Offer | None:
    try:
        row = msgspec.convert(loose, OfferRow)
    except ValueError:  # another shape; or one whose text cannot even be complained of
        return None
    offer_id = identity(row.id) or identity(row.ask_contract_id)
    machine_id = identity(row.machine_id)
    total = price(row.dph_total)
    if offer_id is None or machine_id is None or total is None:
        return None
    gpu, disk = _price_parts(row, total, disk_gb)
    is_floor = is_bid if row.is_bid is None else flag(row.is_bid) is True
    if is_floor:
        # Both say the same where all is well; a bid below the floor leaves a stopped contract that
        # bills, so the higher one counts.
        gpu = max(gpu, price(row.min_bid) or 0.0)
    return Offer(
        offer_id=OfferId(offer_id),
        machine_id=MachineId(machine_id),
        host_id=HostId(identity(row.host_id) or 0),
        gpu_name=text(row.gpu_name, NAME_MAX),
        gpu_count=integer(row.num_gpus) or 0,
        gpu_ram_gb=(amount(row.gpu_ram) or 0.0) / MIB_PER_GB,
        gpu_display_active=flag(row.gpu_display_active) is True,
        verified=_is_verified(row),
        rentable=flag(row.rentable) is True and _is_basis_clear(row, is_bid=is_bid),
        reliability=amount(row.reliability) or amount(row.reliability2) or 0.0,
        disk_space_gb=amount(row.disk_space) or 0.0,
        inet_up_mbps=amount(row.inet_up) or 0.0,
        inet_down_mbps=amount(row.inet_down) or 0.0,
        inet_up_dollars_per_gb=_traffic_price(row.inet_up_cost, row.internet_up_cost_per_tb),
        inet_down_dollars_per_gb=_traffic_price(row.inet_down_cost, row.internet_down_cost_per_tb),
        # A search that ignored the disk size answers with the total for 8 GB: 12 to 23 % too low.
        dollars_per_hour=max(total, gpu + disk),
        gpu_dollars_per_hour=gpu,
        disk_dollars_per_hour=disk,
        direct_port_count=max(0, integer(row.direct_port_count) or 0),
        duration_s=amount(row.duration) or 0.0,
        geolocation=country_of(row.geolocation),
        cuda_max=amount(row.cuda_max_good) or 0.0,
        is_bid=is_floor,
        driver_version=text(row.driver_version, NAME_MAX).strip(),
        public_ip=text(row.public_ipaddr, NAME_MAX).strip(),  # to compare, never to dial
    )


def _is_basis_clear(row: OfferRow, *, is_bid: bool) -> bool:
    """Whether a row is priced as was asked for: the answer may leave out what goes without saying.

    A floor for bids that is taken for a price on demand would be rented far too dear.
    """
    return row.is_bid is None or flag(row.is_bid) is is_bid


def _price_parts(row: OfferRow, total: float, disk_gb: float) -> tuple[float, float]:
    """Split a price into GPU and the disk asked for, from whichever parts were given."""
    base, monthly = price(row.dph_base), price(row.storage_cost)
    disk = price(row.storage_total_cost) if monthly is None else monthly * disk_gb / HOURS_PER_MONTH
    if disk is None:
        disk = max(0.0, total - base) if base is not None else 0.0
    return (max(0.0, total - disk) if base is None else base), disk


def _traffic_price(per_gb: Any, per_tb: Any) -> float:
    """Read a price per GB; where it makes no sense, from the other of its two forms."""
    dollars = price(per_gb)
    if dollars is not None:
        return dollars
    of_terabyte = amount(per_tb)
    return 0.0 if of_terabyte is None else price(of_terabyte / _GB_PER_TB) or 0.0


def _is_verified(row: OfferRow) -> bool:
    """Read the state from ``verification``; older answers carry only the convenience flag."""
    word = text(row.verification, NAME_MAX) or text(row.verified, NAME_MAX)
    return word.strip().lower() in {"verified", "true"} or (not word and flag(row.verified) is True)
