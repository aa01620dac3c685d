"""Whether the account pays what its rentals are said to cost. Pure.

The marketplace's listing says what everything on the account costs, other people's rentals included;
the credit says what was paid. Over an hour at least the two are compared. What nobody can know from
outside (loading is free, a host that is offline may not be billed, viewers' traffic is a guess) gives
the range that is expected; beyond that, and 10 % or half a dollar more, somebody should look. Credit
that rises was bought, and begins the comparison anew. Time is monotonic, in seconds.

The credit may fall in steps: an hour at once, paid ahead or behind. So a step's worth at each end is
not known either, which is all of the first hour; a comparison that shows nothing goes on for some
hours, so that the steps weigh less. After one that showed drift, the first that shows less than half of
it ends it: a loss that happened once is no drift an hour later, and one that goes on shows again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from keeper.core.model import Instance, InstanceId, MarketState
from keeper.core.moments import elapsed_s

OVER_S = 3600.0
LONGEST_S = 3 * 3600.0  # then a comparison that shows nothing is over
_STEP_HOURS = 1.0  # the coarsest that is supposed; documented is: by the second
_GONE_SHARE = 0.5  # of what was missing per hour: less than that is not the same drift any more
KEPT_S = 86_400.0  # a drift that nobody can look into again, because the account cannot be read
_RATIO = 0.10
_LEAST_DOLLARS = 0.50
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """What the account pays per hour by its listing: at least, and at most."""

    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One comparison: what the credit fell by, and what it was expected to, over so long."""

    fell_dollars: float
    least_dollars: float
    most_dollars: float
    over_s: float
    step_dollars: float = 0.0  # what may be paid at once, ahead of the time or behind it

    @property
    def is_drift(self) -> bool:
        """Whether the difference is more than what is not known, and 10 % or half a dollar."""
        least, most = self.least_dollars, self.most_dollars
        return self.fell_dollars > most + self.step_dollars + _tolerance(most) or (
            self.fell_dollars < least - self.step_dollars - _tolerance(least)
        )

    @property
    def unexplained_dollars_per_hour(self) -> float:
        """How much more, or less, than anything that was expected; below zero, it was as expected."""
        fell = self.fell_dollars
        return max(fell - self.most_dollars, self.least_dollars - fell) * _HOUR_S / self.over_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifted:
    """A drift that still stands. Durable: a restart has not cured it."""

    compared: Compared
    since: datetime
    at: datetime  # when it was seen last


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A comparison under way."""

    since_s: float
    at_s: float
    credit_at_first_dollars: float
    credit_dollars: float
    burn: Burn
    least_dollars: float = 0.0
    most_dollars: float = 0.0
    highest: float = 0.0  # dollars per hour that were paid at most at any time of it
    highest_before: float = 0.0  # and in the comparison before, whose last step may come only now


def _tolerance(dollars: float) -> float:
    return max(_RATIO * dollars, _LEAST_DOLLARS)


def burn_of(instances: Iterable[Instance], traffic: Mapping[InstanceId, float]) -> Burn:
    """Read off a listing what everything on the account costs per hour."""
    least = most = 0.0
    for each in instances:
        disk, full = each.disk_dollars_per_hour, each.dollars_per_hour
        match each.state:
            case MarketState.STOPPED if not each.is_meant_to_run:
                least, most = least + disk, most + disk
            case MarketState.RUNNING:
                least, most = least + full, most + full
            case MarketState.PENDING | MarketState.STOPPED:  # some run all along as "exited"
                least, most = least + disk, most + full
            case _:
                most += full
        most += traffic.get(each.instance_id, 0.0)
    return Burn(least=least, most=most)


def paying(watched: Watched, burn: Burn, at_s: float) -> Watched:
    """Go on at another rate."""
    hours = max(0.0, at_s - watched.at_s) / _HOUR_S
    return replace(
        watched,
        at_s=at_s,
        burn=burn,
        least_dollars=watched.least_dollars + watched.burn.least * hours,
        most_dollars=watched.most_dollars + watched.burn.most * hours,
        highest=max(watched.highest, burn.most),
    )


def looked(
    watched: Watched | None,
    credit_dollars: float,
    burn: Burn,
    at_s: float,
    before: Compared | None = None,
) -> tuple[Watched, Compared | None]:
    """Take a reading of the account; answers with a comparison when it shows drift, or is over.

    ``before`` is the comparison before this one.
    """
    begun = Watched(
        since_s=at_s,
        at_s=at_s,
        credit_at_first_dollars=credit_dollars,
        credit_dollars=credit_dollars,
        burn=burn,
        highest=burn.most,
        highest_before=0.0 if watched is None else watched.highest,
    )
    if watched is None or credit_dollars > watched.credit_dollars:
        return begun, None  # the first, or somebody has paid in
    watched = replace(paying(watched, burn, at_s), credit_dollars=credit_dollars)
    over_s = at_s - watched.since_s
    if over_s < OVER_S:
        return watched, None
    compared = Compared(
        fell_dollars=watched.credit_at_first_dollars - credit_dollars,
        least_dollars=watched.least_dollars,
        most_dollars=watched.most_dollars,
        over_s=over_s,
        step_dollars=_STEP_HOURS * max(watched.highest, watched.highest_before),
    )
    if compared.is_drift or over_s >= LONGEST_S or _is_over(before, compared):
        return begun, compared
    return watched, None


def _is_over(before: Compared | None, compared: Compared) -> bool:
    if before is None or not before.is_drift:
        return False
    # With a step that may still come, the same drift could be so large.
    may_be = (
        compared.unexplained_dollars_per_hour + compared.step_dollars * _HOUR_S / compared.over_s
    )
    return may_be <= before.unexplained_dollars_per_hour * _GONE_SHARE


def standing(drifted: Drifted | None, compared: Compared | None, now: datetime) -> Drifted | None:
    """Return the drift that stands after the latest comparison; None for that: there was none yet."""
    if compared is None:
        is_stale = drifted is not None and elapsed_s(drifted.at, now) >= KEPT_S
        return None if is_stale else drifted
    if not compared.is_drift:
        return None
    if drifted is None:
        return Drifted(compared=compared, since=now, at=now)
    if drifted.compared == compared:
        return drifted
    return Drifted(compared=compared, since=drifted.since, at=now)
