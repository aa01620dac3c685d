"""What must hold of a tale in a small world: it comes to rest, and no cap is crossed on the way.

Read from the market's own ledger: what was asked, what came to be, what bills.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from keeper.core.decisions import Destroy, Reboot, Rent, Restart
from keeper.core.model import Desired, Rung
from tests.property.small_market import Fate, Ledger, Tale
from tests.property.small_worlds import Budget, Creating, Good, Health, Host, Shown

HOUR = timedelta(hours=1)
Promise = Callable[[Tale, Desired, Ledger], bool]


def restless(tale: Tale, desired: Desired, ledger: Ledger) -> Iterator[str]:
    """Yield the names of the promises that a tale breaks."""
    for promise in PROMISES:
        if not promise(tale, desired, ledger):
            yield promise.__name__


def _at_most(cap: int, window_s: float, moments: Sequence[datetime]) -> bool:
    """Whether no window of that length holds more than so many."""
    window = timedelta(seconds=window_s)
    return all(
        moments[number + cap] - moments[number] >= window for number in range(len(moments) - cap)
    )


def _late(ledger: Ledger) -> datetime:
    """The last hour of a tale begins here."""
    return ledger.ticks[-1].at - HOUR


def replacements_stay_within_their_cap(tale: Tale, desired: Desired, ledger: Ledger) -> bool:
    """I13: five replacements in six hours; the very first host of a slot replaces nothing."""
    policy = desired.streams[0].policy
    by_slot = defaultdict(list)
    for at, slot in ledger.rented:
        by_slot[slot].append(at)
    return all(
        _at_most(policy.replacements_max + 1, policy.replacements_window_s, moments)
        for moments in by_slot.values()
    )


def remedies_stay_within_their_caps(_t: Tale, desired: Desired, ledger: Ledger) -> bool:
    """I13: restarts and reboots of one host, each rung in its own window."""
    policy = desired.streams[0].policy
    used = defaultdict(list)
    for at, act in ledger.acts:
        if isinstance(act, Restart | Reboot):
            rung = act.rung if isinstance(act, Restart) else Rung.REBOOT
            used[act.instance_id, rung].append(at)
    caps = {
        Rung.RESTART_PROCESS: (policy.restarts_max, policy.restarts_window_s),
        Rung.RESTART_WORKLOAD: (policy.workload_restarts_max, policy.workload_restarts_window_s),
        Rung.REBOOT: (policy.reboots_max, policy.reboots_window_s),
    }
    return all(_at_most(*caps[rung], moments) for (_, rung), moments in used.items())


def ends_are_asked_for_in_measure(_t: Tale, desired: Desired, ledger: Ledger) -> bool:
    """Three tries in a row, then one a minute."""
    fleet = desired.fleet
    asked = defaultdict(list)
    for at, act in ledger.acts:
        if isinstance(act, Destroy):
            asked[act.instance_id].append(at)
    return all(
        _at_most(fleet.destroy_quick_tries, fleet.destroy_retry_s, moments)
        for moments in asked.values()
    )


def never_two_too_many(tale: Tale, _d: Desired, ledger: Ledger) -> bool:
    """I5: one host per slot, one more for a hand-over or an end that will not be heard."""
    start = ledger.ticks[0].live
    return all(each.live <= max(start, len(tale.start.slots) + 1) for each in ledger.ticks)


def refused_creates_grow_seldom(_t: Tale, _d: Desired, ledger: Ledger) -> bool:
    """What is always refused, or never answered, is asked for at most eight times in the last hour."""
    late = [act for at, act in ledger.acts if isinstance(act, Rent) and at >= _late(ledger)]
    came = [at for at, _ in ledger.rented if at >= _late(ledger)]
    return len(late) - len(came) <= 8


def what_can_be_cured_is_cured(tale: Tale, _d: Desired, ledger: Ledger) -> bool:
    """I18: with offers, room and acts that succeed, a slot is on air within the hour, and stays."""
    place = tale.start.slots[0]
    is_left_alone = any(
        isinstance(host, Host) and host.health is Health.UNKNOWN and host.shown is not Shown.GONE
        for host in (place.serving, place.incoming)
    )
    can = (
        tale.fate is Fate.DONE
        and tale.next_health is Health.GOOD
        and tale.start.budget is Budget.AMPLE
        and Good.CHEAP in tale.start.market
        # Of these nobody hears; their picture may be good.
        and not is_left_alone
        and not (isinstance(place.serving, Creating) and place.serving is Creating.UNSEEN)
    )
    began = ledger.ticks[0].at
    return not can or all(each.on_air for each in ledger.ticks if each.at - began >= HOUR)


def rest_is_rest(tale: Tale, _d: Desired, ledger: Ledger) -> bool:
    """An hour without an act is one without a change of mind: no two reasons take turns."""
    late = _late(ledger)
    if any(at >= late for at, _ in ledger.acts) or _is_contradicted(tale):
        return True
    said = {
        tuple((each.slot, each.name, each.reason) for each in told.plan.decisions)
        for told in ledger.ticks
        if told.at >= late
    }
    return len(said) <= 1


def _is_contradicted(tale: Tale) -> bool:
    """Whether listings for ever lack a rental that its id shows: then the evidence takes turns."""
    return any(
        isinstance(host, Host) and host.shown is Shown.SKIPPED and host.health is not Health.GOOD
        for place in tale.start.slots
        for host in (place.serving, place.incoming)
    )


def comes_to_rest(tale: Tale, _d: Desired, ledger: Ledger) -> bool:
    """Where acts succeed, only a host that never shows a picture keeps keeper busy."""
    is_busy = tale.fate is not Fate.DONE or (
        tale.next_health is not Health.GOOD and bool(ledger.rented)
    )
    return is_busy or not any(at >= _late(ledger) for at, _ in ledger.acts)


PROMISES: tuple[Promise, ...] = (
    replacements_stay_within_their_cap, remedies_stay_within_their_caps,
    ends_are_asked_for_in_measure, never_two_too_many, refused_creates_grow_seldom,
    what_can_be_cured_is_cured, rest_is_rest, comes_to_rest,
)  # fmt: skip
