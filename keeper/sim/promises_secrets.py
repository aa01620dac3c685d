"""Checks of the promises about secrets and about whose host it is.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from keeper.sim.evidence import COMMAND, LINKED, Broken, Evidence
from keeper.sim.excuses import audible_until
from keeper.sim.ledger import Change, HostEntry
from keeper.sim.promises_alerts import is_told_of_slot

_KEY_CHANGED = "host_key_changed"
_NO_SSH = ("ssh_dead_while_running", "ssh_hang", "banner_only")


def secrets_stay_where_they_belong(seen: Evidence) -> Iterator[Broken]:
    """No secret reaches a host that is not its stream's, the marketplace, a message or the journal."""
    for value, stream in seen.secrets.items():
        for arrival in seen.ledger.arrivals.values():
            slot = seen.slot_of_instance(arrival.instance_id) or ""
            is_its_own = bool(stream) and slot.rpartition("/")[0] == stream
            if value in arrival.text and not is_its_own:
                where = "the marketplace" if arrival.instance_id is None else arrival.instance_id
                yield Broken(
                    invariant="I22",
                    at=arrival.at,
                    text=f"a secret of {stream or 'the account'} was sent to {where} ({slot})",
                )
        for at, body in (*(seen.messages or ()), *seen.refused):
            if value.encode() in body:
                yield Broken(
                    invariant="I22",
                    at=at,
                    text=f"a message tells a secret of {stream or 'the account'}",
                )
        for what, text in seen.texts.items():
            if value in text:
                yield Broken(
                    invariant="I22",
                    at=seen.ended_at,
                    text=f"the {what} holds a secret of {stream or 'the account'}",
                )


def strangers_are_not_talked_to(seen: Evidence) -> Iterator[Broken]:
    """A host whose key has changed since it was first seen is sent nothing any more."""
    for instance_id, entries in seen.deeds.items():
        if seen.slot_of_instance(instance_id) is None:
            continue
        pinned, changed_at = "", 0.0
        for entry in entries:
            if entry.what == LINKED:
                pinned = pinned or entry.detail
                if entry.detail != pinned:
                    yield Broken(
                        invariant="I23",
                        at=entry.at,
                        text=f"keeper connected to {instance_id}, which shows another host key",
                    )
            elif entry.detail == _KEY_CHANGED and pinned:
                changed_at = entry.at
            elif entry.what == COMMAND and changed_at:
                yield Broken(
                    invariant="I23",
                    at=entry.at,
                    text=f"{entry.detail} on {instance_id}, whose host key changed at"
                    f" {changed_at:.0f}",
                )


def a_changed_key_is_told(seen: Evidence) -> Iterator[Broken]:
    """Somebody else may answer at a host's address: a person is told."""
    for instance_id, entries in seen.deeds.items() if seen.messages is not None else ():
        slot = seen.slot_of_instance(instance_id)
        rental = seen.ledger.rentals.get(instance_id)
        if slot is None or rental is None or not seen.was_used(instance_id):
            continue
        for entry in entries:
            if entry.detail != _KEY_CHANGED:
                continue
            told_s = seen.bounds.told_s
            shown_from = _shown_from(entries, rental.changes, entry.at, told_s)
            until = audible_until(seen, shown_from, told_s)
            if min(seen.end_of_use(rental), seen.ended_at) <= until:
                continue
            if not is_told_of_slot(seen, slot, entry.at, until):
                yield Broken(
                    invariant="I23",
                    at=until,
                    text=f"the host key of {instance_id} changed at {entry.at:.0f}, and nobody was"
                    f" told for {seen.bounds.told_s:.0f} s",
                )


def _shown_from(
    entries: Sequence[HostEntry], changes: Sequence[Change], changed_at: float, for_s: float
) -> float:
    """Return from when on a host showed a key that had changed, for so long at least.

    Nobody sees it while its SSH is dead, or while it stands still.
    """
    hidings = [
        *((e.at, e.detail, e.what == "struck") for e in entries if _is_of_ssh(e)),
        *(
            (c.at, "power", c.what == "stopped")
            for c in changes
            if c.what in {"stopped", "running"}
        ),
    ]
    shown_from, hiding = changed_at, dict[str, bool]()
    for at, name, hides in sorted(hidings):
        was_hidden = any(hiding.values())
        if not was_hidden and at > shown_from + for_s:
            break
        hiding[name] = hides
        if was_hidden and not any(hiding.values()):
            shown_from = max(changed_at, at)
    return inf if any(hiding.values()) else shown_from


def _is_of_ssh(entry: HostEntry) -> bool:
    return entry.what in {"struck", "healed"} and entry.detail in _NO_SSH
