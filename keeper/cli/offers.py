"""How the answer of an offer search is shown: the ranked table, its price parts, and the funnel. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from keeper.cli.terminal import cell, table
from keeper.core.market import Funnel, price_dollars_per_hour
from keeper.core.model import Offer, OfferNeeds, StreamName

SHOWN_MAX = 20  # nobody reads further; --json has them all


def shown_search(
    stream: StreamName, funnel: Funnel, needs: OfferNeeds, *, explain: bool
) -> Iterator[RenderableType]:
    """Show one search: what suits, and on demand or for want of that, why the rest does not."""
    yield cell(headline(stream, funnel), "bold")
    if funnel.suitable:
        yield ranked(funnel, needs)
    if funnel.removed and (explain or not funnel.suitable):
        yield explained(funnel, needs)
    if miss := nearest_miss(funnel, needs):
        yield cell(miss)


def headline(stream: StreamName, funnel: Funnel) -> str:
    """Say in one line how many offers suit."""
    count = len(funnel.suitable)
    if not funnel.found:
        return f"{stream}: the marketplace has no offer near these needs"
    more = f", the best {SHOWN_MAX} are shown" if count > SHOWN_MAX else ""
    return f"{stream}: {count} of {funnel.found} offers suit{more}"


def ranked(funnel: Funnel, needs: OfferNeeds) -> Table:
    """Show the suitable offers, best first, with what makes up their price."""
    right = ("#", "OFFER", "GB", "$/H", "GPU $", "DISK $", "NET $", "RELIABLE")
    made = table(
        "#", "OFFER", "GPU", "GB", "$/H", "GPU $", "DISK $", "NET $", "RELIABLE", "PLACE",
        right=right,
    )  # fmt: skip
    for rank, offer in enumerate(funnel.suitable[:SHOWN_MAX], start=1):
        count = f"{offer.gpu_count}x " if offer.gpu_count != 1 else ""
        made.add_row(
            str(rank),
            str(int(offer.offer_id)),
            cell(f"{count}{offer.gpu_name}", length_max=24),
            f"{offer.gpu_ram_gb:.0f}",
            f"{price_dollars_per_hour(offer, needs):.3f}",
            f"{offer.gpu_dollars_per_hour:.3f}",
            f"{offer.disk_dollars_per_hour:.3f}",
            f"{_traffic_dollars_per_hour(offer, needs):.3f}",
            f"{offer.reliability:.1%}",
            cell(offer.geolocation or "?", length_max=8),
        )
    return made


def explained(funnel: Funnel, needs: OfferNeeds) -> Table:
    """Show which filter removed how many. An offer is counted once, at the first filter that bites."""
    made = table("REMOVED", "BY", "WHICH ASKS FOR", right=("REMOVED",), fold="WHICH ASKS FOR")
    for removed in sorted(funnel.removed, key=lambda each: (-each.count, each.what)):
        made.add_row(str(removed.count), removed.what, cell(_asked(removed.what, needs)))
    made.add_row(str(len(funnel.suitable)), "left", "", style="bold")
    return made


def nearest_miss(funnel: Funnel, needs: OfferNeeds) -> str:
    """Say which offer fails at a single filter, and at which; "" when there is none."""
    offer = funnel.nearest
    if offer is None:
        return ""
    return (
        f"nearest miss: offer {int(offer.offer_id)}, {offer.gpu_name},"
        f" {price_dollars_per_hour(offer, needs):.3f} $/h, fails only at {funnel.nearest_lacks}"
        f" ({_has(funnel.nearest_lacks, offer, needs)})"
    )


def as_json(stream: StreamName, funnel: Funnel, needs: OfferNeeds) -> dict[str, Any]:
    """Return everything as JSON values."""
    return {
        "stream": stream,
        "found": funnel.found,
        "removed": {each.what: each.count for each in funnel.removed},
        "nearest": _offer_json(funnel.nearest, needs) if funnel.nearest else None,
        "nearest_lacks": funnel.nearest_lacks,
        "suitable": [_offer_json(offer, needs) for offer in funnel.suitable],
    }


def _offer_json(offer: Offer, needs: OfferNeeds) -> dict[str, Any]:
    return {
        "offer_id": int(offer.offer_id),
        "machine_id": int(offer.machine_id),
        "host_id": int(offer.host_id),
        "gpu_name": offer.gpu_name,
        "gpu_count": offer.gpu_count,
        "gpu_ram_gb": offer.gpu_ram_gb,
        "geolocation": offer.geolocation,
        "reliability": offer.reliability,
        "inet_up_mbps": offer.inet_up_mbps,
        "inet_down_mbps": offer.inet_down_mbps,
        "duration_s": offer.duration_s,
        "dollars_per_hour": round(price_dollars_per_hour(offer, needs), 6),
        "gpu_dollars_per_hour": offer.gpu_dollars_per_hour,
        "disk_dollars_per_hour": offer.disk_dollars_per_hour,
        "traffic_dollars_per_hour": round(_traffic_dollars_per_hour(offer, needs), 6),
    }


def _traffic_dollars_per_hour(offer: Offer, needs: OfferNeeds) -> float:
    return needs.egress_gb_per_hour * offer.inet_up_dollars_per_gb


# The filters' names are those of core.market; a test holds the two lists together.
def _asked(what: str, needs: OfferNeeds) -> str:
    words = {
        "rentable": "not rented by somebody else",
        "display": "a GPU that drives a display",
        "verification": "a machine verified by the marketplace",
        "GPU name": ", ".join(needs.gpu_names),
        "excluded GPU name": f"not {', '.join(needs.gpu_names_excluded)}",
        "GPU count": f"exactly {needs.gpu_count}",
        "GPU memory": f"{needs.gpu_ram_min_gb:g} GB or more",
        "disk": f"{needs.disk_gb:g} GB or more",
        "reliability": f"{needs.reliability_min:.1%} or more",
        "place": ", ".join(needs.geolocations),
        "upload": f"{needs.inet_up_min_mbps:g} Mbit/s or more",
        "download": f"{needs.inet_down_min_mbps:g} Mbit/s or more",
        "direct ports": f"{needs.direct_ports_min} or more",
        "duration": f"{needs.duration_min_s / 3600:g} h or more",
        "CUDA": f"{needs.cuda_min:g} or newer",
        "price": f"{needs.price_max_dollars_per_hour:g} $/h or less, traffic included",
        "quarantine": "a machine that has not failed keeper lately",
        "a lost race": "not taken by somebody else a moment ago",
    }
    return words.get(what, "")


def _has(what: str, offer: Offer, needs: OfferNeeds) -> str:
    has = {
        "GPU name": offer.gpu_name,
        "excluded GPU name": offer.gpu_name,
        "GPU count": f"{offer.gpu_count}",
        "GPU memory": f"{offer.gpu_ram_gb:g} GB",
        "disk": f"{offer.disk_space_gb:g} GB",
        "reliability": f"{offer.reliability:.1%}",
        "place": offer.geolocation or "unknown",
        "upload": f"{offer.inet_up_mbps:g} Mbit/s",
        "download": f"{offer.inet_down_mbps:g} Mbit/s",
        "direct ports": f"{offer.direct_port_count}",
        "duration": f"{offer.duration_s / 3600:g} h",
        "CUDA": f"{offer.cuda_max:g}",
        "price": f"{price_dollars_per_hour(offer, needs):.3f} $/h",
    }
    asked = _asked(what, needs)
    return f"it has {has[what]}, asked for: {asked}" if what in has else f"asked for: {asked}"
