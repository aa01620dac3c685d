"""What is held against a revision, until when, and when it is not held against it after all.

A bad revision is marked by its name. A person may lift that, or a host on which nothing goes: there is
one failure then, and it is the machine's.
"""

from __future__ import annotations

from dataclasses import replace

from keeper.core import revisions
from keeper.core.draft import Draft
from keeper.core.events import RevisionAcquitted, RevisionBad, RevisionPardoned
from keeper.core.model import Revision, SlotId, Stream, Tenure
from keeper.core.reasons import SENTENCE, Reason


def convict(draft: Draft, slot: SlotId, stream: Stream, reason: Reason) -> None:
    """Mark the declared revision as bad: it is put nowhere any more."""
    declared = revisions.declared_of(draft, stream)
    if declared is None or declared.bad_at is not None:
        return
    revisions.note(
        draft,
        stream,
        replace(declared, bad_at=draft.now, bad_reason=reason, bad_slot=slot, proven_at=None),
    )
    before, back = revisions.proven_before(draft, stream), revisions.fallback(draft, stream)
    changed = revisions.changes(declared, before)
    said = [
        f"changed: {changed}" if changed else "",
        "nothing that worked before can be put back" if back is None else f"back to {back.name}",
    ]
    draft.tell(
        RevisionBad(
            slot=slot,
            stream=stream.name,
            revision=declared.name,
            reason=reason,
            detail="; ".join(filter(None, said)),
        )
    )


def acquit(draft: Draft, slot: SlotId, stream: Stream, tenure: Tenure) -> None:
    """Let a revision be tried once more that could not be put on a host on which nothing goes.

    The host never showed a picture, and what worked before will not go there, either: the machine is
    to blame. Once: what has failed on two machines may be why nothing goes on them.
    """
    declared = revisions.declared_of(draft, stream)
    if declared is None or declared.bad_at is None or declared.acquitted_at is not None:
        return
    is_of_this_host = declared.bad_slot == slot and declared.bad_at >= tenure.requested_at
    could_not_be_put = declared.bad_reason is Reason.DEPLOY_FAILED
    if not (is_of_this_host and could_not_be_put and tenure.first_live_at is None):
        return
    revisions.note(draft, stream, _lifted(replace(declared, acquitted_at=draft.now)))
    draft.tell(RevisionAcquitted(slot=slot, stream=stream.name, revision=declared.name))


def pardon(draft: Draft, stream: Stream) -> None:
    """Let a bad revision be tried once more: a person has looked at it."""
    declared = revisions.declared_of(draft, stream)
    if declared is not None and declared.bad_at is not None:
        revisions.note(draft, stream, _lifted(replace(declared, acquitted_at=None)))
        draft.tell(RevisionPardoned(stream=stream.name, revision=declared.name))


def _lifted(revision: Revision) -> Revision:
    return replace(revision, bad_at=None, bad_reason=None, bad_slot=None)


def sentence_of(revision: Revision) -> str:
    """Say what is wrong with a bad revision."""
    why = SENTENCE[revision.bad_reason or Reason.BAD_DEPLOY]
    where = f" on {revision.bad_slot}" if revision.bad_slot else ""
    return f"revision {revision.name} failed{where}: {why}"
