"""The auditor: was every promise kept, judged from outside?

The checks of each invariant, in a table. A check reads ``Evidence`` and yields what is ``Broken``; it must
be able to fail, and tests/sim/test_audit.py shows each of them a run that breaks it. It shares no
code with the core, the daemon or the adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keeper.sim import promises_alerts as alerts
from keeper.sim import promises_caps as caps
from keeper.sim import promises_deploys as deploys
from keeper.sim import promises_ends as ends
from keeper.sim import promises_handover as handover
from keeper.sim import promises_money as money
from keeper.sim import promises_nerve as nerve
from keeper.sim import promises_protocol as protocol
from keeper.sim import promises_secrets as secrets
from keeper.sim import promises_sound as sound
from keeper.sim import promises_spares as spares
from keeper.sim import promises_stream as stream
from keeper.sim import promises_symptoms as symptoms
from keeper.sim import promises_terms as terms
from keeper.sim import told
from keeper.sim.evidence import Broken, Evidence

Check = Callable[[Evidence], Iterator[Broken]]

CHECKS: dict[str, tuple[Check, ...]] = {
    # money
    "I1": (money.one_rental_per_label, spares.one_owner_at_a_time),
    "I2": (money.label_is_on_disk_first,),
    "I3, I10": (money.doubtful_create_is_settled_first,),
    "I3": (money.doubtful_order_is_settled_first,),
    "I4, I6": (caps.spending_within_the_caps,),
    "I4": (
        symptoms.auditions_keep_their_price,
        terms.bids_stay_under_the_limit,
        terms.a_drift_is_refused,
        terms.a_raised_price_is_escaped,
        terms.an_outbid_host_is_not_kept,
        terms.no_create_on_an_empty_account,
        spares.spares_within_their_cap,
    ),
    "I5": (
        money.rentals_within_the_declared,
        spares.spares_expire,
        spares.a_slot_comes_before_a_spare,
        spares.spares_are_elsewhere,
        spares.nothing_is_rented_beside_a_start,
    ),
    "I7": (ends.no_rental_is_abandoned, ends.absence_is_confirmed),
    "I8": (money.only_ours_is_touched,),
    "I9": (nerve.bad_listing_is_not_absence,),
    # streams
    "I11": (
        nerve.make_before_break,
        sound.a_silent_host_is_ended_last,
        spares.only_spares_stand_still,
        handover.one_publisher_at_a_time,
    ),
    "I12": (
        nerve.paused_means_hands_off,
        nerve.common_causes_stop_everything,
        nerve.modes_and_windows_are_kept,
    ),
    "I13, I6": (caps.remedies_within_their_caps,),
    "I13": (
        deploys.a_bad_deploy_stays_where_it_was_tried,
        symptoms.what_needs_a_person_costs_nothing,
        symptoms.what_no_host_cures_costs_no_host,
        symptoms.planned_restarts_are_rare,
    ),
    "I14": (nerve.not_knowing_is_no_reason, nerve.no_remedy_for_a_good_picture),
    "I15": (protocol.one_keeper_at_a_time,),
    "I16, I6": (stream.bad_machines_are_avoided,),
    "I17": (stream.one_remedy_at_a_time,),
    # liveness
    "I18": (
        stream.on_air_after_the_calm,
        stream.darkness_ends,
        deploys.what_is_declared_arrives,
        terms.an_end_known_ahead_is_no_surprise,
    ),
    "I19": (
        alerts.every_alert_comes_to_an_end,
        alerts.refused_messages_arrive,
        alerts.the_same_message_says_the_same,
        alerts.old_news_is_not_told_again,
        alerts.darkness_is_told,
        alerts.who_is_needed_is_called_once,
        told.nobody_is_called_in_vain,
        symptoms.what_needs_a_person_is_told,
    ),
    "I20": (ends.the_condemned_end,),
    "I21": (alerts.no_task_dies_quietly, alerts.keeper_never_stops_looking),
    # secrets and hosts
    "I22": (secrets.secrets_stay_where_they_belong,),
    "I23": (secrets.strangers_are_not_talked_to, secrets.a_changed_key_is_told),
    # protocol
    "I24": (protocol.calls_keep_their_distance,),
    "I25": (protocol.same_seed_same_journal,),
}


def audit(evidence: Evidence) -> tuple[Broken, ...]:
    """Return everything that was broken, in order of time."""
    checks = (check for row in CHECKS.values() for check in row)
    found = [broken for check in checks for broken in check(evidence)]
    return tuple(sorted(found, key=lambda broken: (broken.at, broken.invariant, broken.text)))
