"""The auditor: was every promise kept, judged from outside?

The checks of each invariant, in a table. A check reads ``Evidence`` and yields what is ``Broken``; it must
be able to fail, and tests/sim/test_audit.py shows each of them a run that breaks it. It shares no
code with the core, the daemon or the adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keeper.sim import promises_money as money
from keeper.sim import promises_stream as stream
from keeper.sim import promises_terms as terms
from keeper.sim.evidence import Broken, Evidence

Check = Callable[[Evidence], Iterator[Broken]]

CHECKS: dict[str, tuple[Check, ...]] = {
    "I1": (money.one_rental_per_label,),
    "I2": (money.label_is_on_disk_first,),
    "I3, I10": (money.doubtful_create_is_settled_first,),
    "I4": (
        terms.bids_stay_under_the_limit,
        terms.a_drift_is_refused,
        terms.a_raised_price_is_escaped,
        terms.an_outbid_host_is_not_kept,
        terms.no_create_on_an_empty_account,
    ),
    "I5": (money.rentals_within_the_declared,),
    "I7": (money.no_rental_is_abandoned,),
    "I8": (money.only_ours_is_touched,),
    "I9": (money.bad_listing_is_not_absence,),
    "I12": (stream.paused_means_hands_off,),
    "I13": (stream.remedies_within_their_caps,),
    "I14": (stream.not_knowing_is_no_reason,),
    "I17": (stream.one_remedy_at_a_time,),
    "I18": (stream.on_air_after_the_calm, terms.an_end_known_ahead_is_no_surprise),
    "I21": (stream.no_task_dies_quietly,),
    "I24": (stream.calls_keep_their_distance,),
    "I25": (stream.same_seed_same_journal,),
}


def audit(evidence: Evidence) -> tuple[Broken, ...]:
    """Return everything that was broken, in order of time."""
    checks = (check for row in CHECKS.values() for check in row)
    found = [broken for check in checks for broken in check(evidence)]
    return tuple(sorted(found, key=lambda broken: (broken.at, broken.invariant, broken.text)))
