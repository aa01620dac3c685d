"""The alert about restarts that help, too often."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from keeper.alerts import Alert, Severity
from keeper.alerts.advice import dollars
from keeper.core.model import Policy, Rung, SlotRecord, stream_of
from keeper.core.reasons import Reason
from keeper.core.world import Snapshot

_DEFAULT_POLICY = Policy()  # of slots whose stream is no longer declared
# Restarts that a window allows, twice, in so many windows: too many though each was forgiven.
_RATE_WINDOWS = 6


def restarts_hide_sickness(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """Every restart helps and there are far too many of them: a sickness behind a cure.

    As many as are allowed at once, or a third of that rate for hours: what dies every quarter of an hour
    is forgiven each time, and dark for too short to be told.
    """
    policies = {each.name: each.policy for each in snapshot.desired.streams}
    for slot, record in snapshot.records.items():  # a slot that is well may have been restarted
        if not (record.remedies or record.forgiven_at):
            continue
        # A host that is being replaced takes its sickness along: no news about its processes.
        if record.dark_since is not None or record.incoming is not None:
            continue
        policy = policies.get(stream_of(slot), _DEFAULT_POLICY)
        times, window_s = max(2, policy.restarts_max), policy.restarts_window_s
        recent = _sicknesses(record, policy, now, window_s)
        if len(recent) < times:
            times, window_s = 2 * times, _RATE_WINDOWS * window_s
            recent = _sicknesses(record, policy, now, window_s)
        if len(recent) < times:
            continue
        minutes = round(window_s / 60)
        yield Alert(
            name="KeeperRestartsHideSickness",
            key=f"KeeperRestartsHideSickness:{slot}",
            severity=Severity.WARNING,
            slot=slot,
            stream=stream_of(slot),
            summary=f"{slot} is on air only because it keeps being restarted",
            why=f"it fell sick at least {times} times within {minutes} minutes, "
            "and a restart helped each time",
            did="keeper goes on; when the restarts are used up it replaces the host",
            needs_human=f"Look for what kills it: `keeper events --slot {slot}`, and its own logs.",
            since=min(recent),
            dollars=dollars(record),
            labels={"stream": stream_of(slot), "slot": slot},
            reason=Reason.CRASH_LOOP,
            over=f"{slot} has gone without a restart for a while",
        )


def _sicknesses(
    record: SlotRecord, policy: Policy, now: datetime, window_s: float
) -> list[datetime]:
    """Return when each sickness within the window was first treated.

    Remedies that follow one another closely climbed the ladder in one sickness; telling that as
    "restarts that help" would be a second message about the same incident.
    """
    begun: list[datetime] = []
    last: datetime | None = None
    apart = timedelta(seconds=policy.replace_after_s)
    treated = [use.at for use in record.remedies if use.rung is not Rung.REPLACE]
    for at in sorted((*record.forgiven_at, *treated)):
        if at <= now - timedelta(seconds=window_s):
            continue
        if last is None or at - last > apart:
            begun.append(at)
        last = at
    return begun
