"""The alert about a deploy that was taken back, or that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from keeper.alerts import Alert, Severity
from keeper.alerts.advice import dollars, to_read
from keeper.core.model import Revision, Stream
from keeper.core.reasons import Reason
from keeper.core.revisions import changes, find, last_proven
from keeper.core.text import plain
from keeper.core.verdicts import sentence_of
from keeper.core.world import Snapshot

_WHY_MAX = 600


def deploy_bad(snapshot: Snapshot, _now: datetime) -> Iterator[Alert]:
    """What is declared for a stream broke the first slot that got it."""
    for stream in snapshot.desired.streams:
        known = snapshot.revisions.get(stream.name, ())
        bad = find(known, stream.revision)
        if bad is None or bad.bad_at is None:
            continue
        before = last_proven(known, stream.revision)
        is_back = before is not None and before.name in snapshot.world.makeable.get(stream.name, {})
        record = snapshot.records.get(bad.bad_slot) if bad.bad_slot is not None else None
        yield Alert(
            name="KeeperDeployBad",
            key=f"KeeperDeployBad:{stream.name}",
            severity=Severity.WARNING if is_back else Severity.CRITICAL,
            slot=bad.bad_slot,
            stream=stream.name,
            summary=f"a bad deploy of {stream.name} was stopped at its first slot",
            why=plain(
                "; ".join(filter(None, (_why(bad, before), to_read(snapshot, bad.bad_slot)))),
                _WHY_MAX,
            ),
            did=f"keeper puts {before.name} back, and keeps it on the others"
            if is_back and before is not None
            else "nothing that worked before can be put back: keeper holds, and leaves the others"
            " as they are",
            needs_human="Mend what was changed and reload keeper, or put the file back. To try it"
            f" once more as it is: `keeper deploy {stream.name}`.",
            since=bad.bad_at,
            dollars=0.0 if record is None else dollars(record),
            dark_since=None if record is None else record.dark_since,
            labels={"stream": stream.name, "revision": bad.name},
            reason=Reason.BAD_DEPLOY,
            case=f"{bad.name} at {bad.bad_at.isoformat()}",
            over=f"what is declared for {stream.name} is no longer known to be bad",
            # Put back, it hurts nobody; whoever declared it has read it, and the next one is another case.
            is_once=is_back,
        )


def is_told_of(snapshot: Snapshot, stream: Stream | None) -> bool:
    """Whether a stream's bad deploy has an alert of its own."""
    if stream is None:
        return False
    bad = find(snapshot.revisions.get(stream.name, ()), stream.revision)
    return bad is not None and bad.bad_at is not None


def _why(bad: Revision, before: Revision | None) -> str:
    changed = changes(bad, before)
    return sentence_of(bad) + (f"; changed: {changed}" if changed else "")
