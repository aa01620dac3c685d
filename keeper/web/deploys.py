"""What is deployed where, and what is still to come, as people and programs are shown it. Pure."""

from __future__ import annotations

from keeper.alerts.wording import count
from keeper.core.model import Revision, SlotRecord, Stream, Tenure
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.revisions import changes, find, last_proven
from keeper.core.world import Snapshot
from keeper.web.shapes import DeployStatus


def deploys_of(snapshot: Snapshot) -> tuple[DeployStatus, ...]:
    """Describe the deploy of each stream whose deploys have names."""
    found = (deploy_of(snapshot, stream) for stream in snapshot.desired.streams)
    return tuple(each for each in found if each is not None)


def deploy_of(snapshot: Snapshot, stream: Stream | None) -> DeployStatus | None:
    """Describe what a stream is to run, and on how many hosts it is."""
    if stream is None or not stream.revision:
        return None
    known = snapshot.revisions.get(stream.name, ())
    declared = find(known, stream.revision)
    if declared is None:
        return None
    before = last_proven(known, declared.name) or _on_hosts(snapshot, stream, known)
    tenures = [t for r in _records(snapshot, stream) if (t := r.tenure) and t.deployed_at]
    others = [each for each in tenures if _is_other(each, declared)]
    is_bad = declared.bad_at is not None
    return DeployStatus(
        stream=stream.name,
        revision=declared.name,
        declared_at=declared.declared_at,
        proven_at=declared.proven_at,
        bad_at=declared.bad_at,
        because=SENTENCE[declared.bad_reason or Reason.BAD_DEPLOY] if is_bad else "",
        slot=declared.bad_slot,
        before=before.name if before is not None else "",
        changed=changes(declared, before),
        hosts=len(tenures),
        hosts_to_come=0 if is_bad else len(others),
        needs_another_rental=any(_needs_another_rental(each, declared, known) for each in others),
    )


def news_of(deploy: DeployStatus) -> str:
    """Say what is still to be rolled out, or was taken back; "": it is everywhere, and proven."""
    changed = f" (changed: {deploy.changed})" if deploy.changed else ""
    what = f"revision {deploy.revision}{changed}"
    if deploy.bad_at is not None:
        where = f" on {deploy.slot}" if deploy.slot else ""
        back = f"; {deploy.before} is kept" if deploy.before else ""
        return f"{what} is bad{where}: {deploy.because}{back}"
    if deploy.hosts_to_come:
        hosts = f"{deploy.hosts_to_come} of {count(deploy.hosts, 'host', 'hosts')}"
        how = "by handing over to other rentals" if deploy.needs_another_rental else "in place"
        first = "one slot first" if deploy.proven_at is None else "one by one"
        return f"{what} is still to come to {hosts}, {how}, {first}"
    if deploy.proven_at is None and deploy.before:
        return f"{what} has yet to prove itself"
    return ""


def _records(snapshot: Snapshot, stream: Stream) -> list[SlotRecord]:
    return [snapshot.records[slot] for slot in stream.slots if slot in snapshot.records]


def _on_hosts(snapshot: Snapshot, stream: Stream, known: tuple[Revision, ...]) -> Revision | None:
    """Return another revision that hosts have, though it never proved itself."""
    names = {t.revision for r in _records(snapshot, stream) if (t := r.tenure) is not None}
    return next((e for e in known if e.name in names and e.name != stream.revision), None)


def _is_other(tenure: Tenure, declared: Revision) -> bool:
    return bool(tenure.putting) or tenure.revision not in ("", declared.name)


def _needs_another_rental(tenure: Tenure, declared: Revision, known: tuple[Revision, ...]) -> bool:
    there = find(known, tenure.revision)
    marks = declared.rental_mark, there.rental_mark if there is not None else ""
    return "" not in marks and marks[0] != marks[1]
