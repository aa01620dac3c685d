"""Alerts about what viewers have over time: a picture that stutters, an error budget that is used up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from keeper.alerts import Alert, Severity
from keeper.alerts.advice import dollars
from keeper.core.conditions import condition_of
from keeper.core.model import ConditionKind, Policy, Status, Subject, is_spare, stream_of
from keeper.core.moments import elapsed_s
from keeper.core.objective import Budget, budgets_of
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.text import plain
from keeper.core.world import Snapshot

_DETAIL_MAX = 100
_DEFAULT_POLICY = Policy()  # of slots whose stream is no longer declared


def stream_stuttering(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A picture has moved far below its target rate for long.

    Nobody is restarted or replaced for it: a busy machine, a slow network and a heavy scene look alike
    from outside, and a restart would take the picture that there is.
    """
    policies = {each.name: each.policy for each in snapshot.desired.streams}
    for slot, record in snapshot.records.items():  # nothing else may be the matter with it
        streaming = condition_of(record.tenure, ConditionKind.STREAMING)
        if is_spare(slot) or streaming is None or record.tenure is None:
            continue
        if streaming.status is not Status.TRUE or streaming.reason is not Reason.STUTTERING:
            continue
        since = streaming.reason_since or streaming.since
        policy = policies.get(stream_of(slot), _DEFAULT_POLICY)
        if elapsed_s(since, now) < policy.stuttering_alert_s:
            continue
        instance_id = record.tenure.instance_id
        reading = instance_id and snapshot.latest.get((instance_id, Subject.PICTURE))
        detail = plain(reading.detail, _DETAIL_MAX) if reading else ""
        yield Alert(
            name="KeeperStreamStuttering",
            key=f"KeeperStreamStuttering:{slot}",
            severity=Severity.WARNING,
            slot=slot,
            stream=stream_of(slot),
            summary=f"{slot} stutters",
            why=SENTENCE[Reason.STUTTERING] + (f": {detail}" if detail else ""),
            did="keeper watches; it restarts and replaces nothing for a picture that moves",
            needs_human=f"Look how busy the host is: `keeper stream-status {slot}`, `keeper ssh {slot}`. If"
            f" another machine would do better: `keeper replace {slot}`.",
            since=since,
            dollars=dollars(record),
            labels={"stream": stream_of(slot), "slot": slot},
            reason=Reason.STUTTERING,
            over=f"{slot} moves as it should again",
        )


def error_budget_spent(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A stream has been dark for longer than its objective allows in its whole window."""
    ledger = snapshot.plan.meter or snapshot.world.meter
    for name, budget in budgets_of(ledger, snapshot.desired.streams, now).items():
        if not budget.is_spent:
            continue
        yield Alert(
            name="KeeperErrorBudgetSpent",
            key=f"KeeperErrorBudgetSpent:{name}",
            severity=Severity.WARNING,
            slot=None,
            stream=name,
            summary=f"{name} has been dark for longer than its objective allows",
            why=_promised(budget),
            did="keeper goes on as ever: nothing is decided by an error budget",
            needs_human="See what took the picture, and how often: `keeper events --limit 200`, and on"
            " the page. A spare, dearer machines, or another objective are the ways out.",
            since=now,
            labels={"stream": name},
            over=f"{name} keeps its objective again",
            is_once=True,  # it holds for weeks, of darkness that was told when it came
        )


def _promised(budget: Budget) -> str:
    """Say what was promised, without a number that changes from tick to tick."""
    days = round(budget.window_s / 86_400)
    return (
        f"its objective is a good picture for {100 * budget.ratio:g} % of {days} days, which leaves"
        f" {budget.allowed_s / 3600:.1f} h to be dark in; more was used"
    )
