"""How a look at the market is shown: the ranked table, its price parts, the funnel, the near misses. Pure.

The words are those of core.shortage: the decision and the alert say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from keeper.cli.terminal import cell, table
from keeper.core.market import Avoided, merged, price_of, search
from keeper.core.model import MachineId, Offer, OfferNeeds, Stream, StreamName
from keeper.core.shortage import Miss, Shortage, explain
from keeper.core.text import plain, sold_gb

SHOWN_MAX = 20  # nobody reads further; --json has them all
_SENTENCE_MAX = 600  # as long as the decision's detail may be
# What a near miss has in these is told beside it: its price, its GPU, its place.
_SAID_ANYWAY = frozenset({"price", "GPU name", "excluded GPU name", "place"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at the market for one stream."""

    stream: StreamName
    needs: OfferNeeds
    suitable: tuple[Offer, ...]  # in the order in which keeper would take them
    shortage: Shortage
    is_wide: bool = False  # also at what the needs exclude


def look_at(
    stream: Stream,
    offers: Iterable[Offer],
    avoided: Avoided,
    *,
    around: Iterable[Offer] | None = None,
    machines_in_use: frozenset[MachineId] = frozenset(),
) -> Look:
    """Filter and rank what the marketplace showed, as the daemon does."""
    known = merged(around or (), offers)
    funnel = search(known, stream.needs, avoided, machines_in_use)
    return Look(
        stream=stream.name,
        needs=stream.needs,
        suitable=funnel.suitable,
        shortage=explain(known, stream.needs, avoided),
        is_wide=around is not None,
    )


def shown_look(look: Look, *, explain: bool) -> Iterator[RenderableType]:
    """Show one look: what suits, and on demand or for want of that, why the rest does not."""
    yield cell(headline(look), "bold", length_max=_SENTENCE_MAX)
    if not look.shortage.found:
        yield cell("the marketplace shows none at all now: look again in a few minutes")
    if look.suitable:
        yield ranked(look)
        yield cell(basis(look.needs), "dim")
    if look.shortage.misses and (explain or not look.suitable):
        yield Text()
        yield funnel_of(look.shortage)
        if any(miss.nearest for miss in look.shortage.misses):
            yield Text()
            yield near_misses(look)


def headline(look: Look) -> str:
    """Say how many suit; if none does, what the decision and the alert say."""
    if not look.suitable:
        return f"{look.stream}: {look.shortage.sentence()}"
    count = len(look.suitable)
    more = f", the best {SHOWN_MAX} are shown" if count > SHOWN_MAX else ""
    return f"{look.stream}: {count} of {look.shortage.found} offers suit{more}"


def basis(needs: OfferNeeds) -> str:
    """Say for what the prices are."""
    traffic = (
        f" and {needs.egress_gb_per_hour:g} GB/h of traffic" if needs.egress_gb_per_hour else ""
    )
    return (
        f"$/h with {needs.disk_gb:g} GB of disk{traffic};"
        f" the limit is {needs.price_max_dollars_per_hour:g} $/h"
    )


def ranked(look: Look) -> Table:
    """Show the suitable offers, best first, with what makes up their price."""
    right = ("#", "OFFER", "GB", "$/H", "GPU $", "DISK $", "NET $", "RELIABLE")
    made = table(
        "#", "OFFER", "GPU", "GB", "$/H", "GPU $", "DISK $", "NET $", "RELIABLE", "PLACE",
        right=right,
    )  # fmt: skip
    # The one column that gives way on a narrow terminal: an id or a price cut short is a wrong one.
    made.columns[2].no_wrap = False
    for rank, offer in enumerate(look.suitable[:SHOWN_MAX], start=1):
        price = price_of(offer, look.needs)
        bid = "bid " if offer.is_bid else ""
        made.add_row(
            str(rank),
            str(int(offer.offer_id)),
            Text(gpu(offer), no_wrap=True, overflow="ellipsis"),
            str(sold_gb(offer.gpu_ram_gb)),
            f"{price.dollars_per_hour:.3f}",
            f"{bid}{price.gpu_dollars_per_hour:.3f}",
            f"{price.disk_dollars_per_hour:.3f}",
            f"{price.traffic_dollars_per_hour:.3f}",
            f"{offer.reliability:.1%}",
            cell(offer.geolocation or "?", length_max=8),
        )
    return made


def funnel_of(shortage: Shortage) -> Table:
    """Show in the order of the filters what each removed. An offer counts at the first that bites."""
    made = table(
        "REMOVED", "LEFT", "BY", "WHICH ASKS FOR", right=("REMOVED", "LEFT"), fold="WHICH ASKS FOR"
    )
    left = shortage.found
    made.add_row("", str(left), "", "(found)")
    for miss in shortage.misses:
        if miss.removed:
            left -= miss.removed
            made.add_row(str(miss.removed), str(left), miss.what, cell(miss.asked))
    return made


def near_misses(look: Look) -> Table:
    """Show for each filter which offer it alone keeps out most narrowly, and what would let that in."""
    what = "WOULD SUIT WITH"
    made = table("NEAREST", "$/H", "MORE", what, right=("NEAREST", "$/H", "MORE"), fold=what)
    shortage = look.shortage
    others = [miss for miss in shortage.misses if miss.nearest and miss not in shortage.cures]
    for miss in (*shortage.cures, *others):
        assert miss.nearest is not None
        more = miss.more_dollars_per_hour
        made.add_row(
            str(int(miss.nearest.offer_id)),
            f"{miss.dollars_per_hour:.3f}",
            "" if more is None else f"{more:+.3f}",
            cell(let_in_by(miss)),
        )
    return made


def let_in_by(miss: Miss) -> str:
    """Say what to write so that the nearest offer of a filter suits, and what it has to offer."""
    assert miss.nearest is not None
    offer = miss.nearest
    where = f"{gpu(offer)} in {plain(offer.geolocation, 8) or '?'}"
    if not miss.setting:
        return f"no setting: {miss.what} ({where})"
    has = "" if miss.what in _SAID_ANYWAY else f"{miss.has}, "
    return f"{miss.setting}: {miss.value} ({has}{where})"


def gpu(offer: Offer) -> str:
    """Name an offer's GPUs, safe to show."""
    count = f"{offer.gpu_count}x " if offer.gpu_count != 1 else ""
    return plain(f"{count}{offer.gpu_name}", 24)
