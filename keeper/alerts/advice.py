"""What alerts have in common: the advice for each reason that only a person can cure, and small words."""

from __future__ import annotations

from datetime import datetime

from keeper.core.model import SlotId, SlotRecord
from keeper.core.reasons import Reason
from keeper.core.world import Snapshot

# Reasons of a Hold that no waiting cures, and what a person can do about each.
HUMAN: dict[Reason, str] = {
    Reason.REPLACEMENTS_SPENT: (
        "Look at why hosts keep failing (`keeper explain {slot}`), then `keeper replace {slot}` "
        "or raise `replacements_max`."
    ),
    Reason.BAD_DEPLOY: (
        "Put the workload back to what worked, or mend it, and reload keeper; then, or to try once "
        "more: `keeper replace {slot}`, or `keeper deploy` of its stream."
    ),
    Reason.NEEDS_PERSON: (
        "See what it says: `keeper stream-status {slot}` and `keeper logs {slot}`. A changed secret or "
        "setting reaches the host with `keeper deploy` of its stream."
    ),
    Reason.BUDGET: "Raise the spending limit, or end something: `keeper spend` shows what costs what.",
    Reason.DARK_SPEND: (
        "Look at why no host shows a picture (`keeper explain {slot}`): the image, the ingest, the "
        "probe. Then `keeper resume {slot}`, or raise `dark_spend_max_dollars`."
    ),
    Reason.OUT_OF_CREDIT: "Add credit to the marketplace account.",
    Reason.UNAUTHORIZED: "Check the API key and its rights; `keeper search STREAM` tries it.",
    Reason.HOST_KEY_CHANGED: (
        "Somebody else may answer at the host's address. Check the rental; then "
        "`keeper replace {slot}`."
    ),
    Reason.KEY_REFUSED: "Check that keeper's SSH key is attached to the marketplace account.",
    Reason.SLOT_HELD_BY_BUG: "Report the bug with the log lines around `slot.bug`; keeper tries again.",
}


def advice(reason: Reason, slot: SlotId) -> str:
    """Say what a person can do; "" when waiting cures it."""
    return HUMAN[reason].format(slot=slot) if reason in HUMAN else ""


def since(record: SlotRecord, now: datetime) -> datetime:
    """Return since when a slot is in trouble."""
    if record.dark_since is not None:
        return record.dark_since
    return record.incident.opened_at if record.incident is not None else now


def to_read(snapshot: Snapshot, slot: SlotId | None) -> str:
    """Name what was kept about a slot's deploy and its last host; "" when nothing was."""
    kept = snapshot.kept.get(slot) if slot is not None else None
    if kept is None:
        return ""
    said = (
        f"the failed deploy's log is {kept.deploy_log}" if kept.deploy_log else "",
        f"what its last host left is in {kept.post_mortem}" if kept.post_mortem else "",
    )
    return "; ".join(filter(None, said))


def dollars(record: SlotRecord) -> float:
    """Return what the rentals of a slot cost per hour."""
    return sum(t.dollars_per_hour for t in (record.tenure, record.incoming) if t is not None)


def names(slots: list[SlotId], count_max: int = 5) -> str:
    """Name the first slots, and count the rest."""
    shown = ", ".join(slots[:count_max])
    return f"{shown} and {len(slots) - count_max} more" if len(slots) > count_max else shown
