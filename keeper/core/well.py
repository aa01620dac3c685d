"""Which slots are well: on air, with nothing the matter and nothing counted against them.

Most are, nearly all the time. Whoever looks for trouble need not look at them.
"""

from __future__ import annotations

from keeper.core.conditions import KINDS, REACHABLE, RENTED, STREAMING
from keeper.core.model import Condition, SlotRecord, Status, Tenure
from keeper.core.reasons import Reason


def is_well(record: SlotRecord) -> bool:
    """Say whether a slot shows its picture, waits for nothing, and has been asked for nothing.

    What its earlier hosts failed of may still be remembered; that is for suspects.py.
    """
    tenure = record.tenure
    return (
        record.last_reason is Reason.HEALTHY
        and record.healthy_since is not None
        and record.ever_on_air
        and tenure is not None
        and record.incoming is None
        and record.dark_since is None
        and record.incident is None
        and not record.remedies
        and record.next_rent_at is None
        and not record.offer_misses
        and record.offer_asked is None
        and record.replace_asked_at is None
        and record.restart_asked_at is None
        and record.destroy_asked_at is None
        and record.deploy_asked_at is None
        and _serves(tenure)
    )


def _serves(tenure: Tenure) -> bool:
    """Whether a rental has come all the way up, and nobody says anything against it."""
    return (
        tenure.instance_id is not None
        and tenure.first_live_at is not None
        and not tenure.putting
        and tenure.missing_since is None
        and tenure.dead_since is None
        and tenure.outbid_since is None
        and tenure.dear_since is None
        and tenure.ending_since is None
        and len(tenure.conditions) == len(KINDS)
        and tenure.conditions[RENTED].status is Status.TRUE
        and tenure.conditions[REACHABLE].status is Status.TRUE
        and tenure.conditions[STREAMING].status is Status.TRUE
        and tenure.conditions[STREAMING].reason is not Reason.STUTTERING
        and not _has_bad(tenure.conditions)
    )


def _has_bad(conditions: tuple[Condition, ...]) -> bool:
    for condition in conditions:  # a loop: each tick asks this of each slot
        if condition.status is Status.FALSE or condition.bad_streak > 0:
            return True
    return False
