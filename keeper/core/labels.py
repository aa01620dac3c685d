"""The label every rental of ours carries, and what can be read back from one.

A label is unique: keeper's own random id, the slot, and how many rentals the slot has asked for. It
is on disk before the create leaves, so whatever becomes of the answer, the rental can be recognised.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.core.model import SlotId

_PREFIX = "keeper:"
_ATTEMPT_DIGITS_MAX = 10  # one a second for three hundred years; more is nobody's count


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label of some keeper, taken apart."""

    keeper_id: str
    slot: SlotId
    attempt: int


def label_for(keeper_id: str, slot: SlotId, attempt: int) -> str:
    """Name the rental of one attempt."""
    return f"{_PREFIX}{keeper_id}:{slot}:{attempt}"


def is_keepers(label: str) -> bool:
    """Say whether any keeper, ours or another, may have given this label."""
    return label.startswith(_PREFIX)


def parse(label: str) -> Label | None:
    """Take a label apart; None when it is not of our making, however close it comes."""
    if not label.startswith(_PREFIX):
        return None
    keeper_id, _, rest = label[len(_PREFIX) :].partition(":")
    slot, _, attempt = rest.rpartition(":")
    # isdecimal alone would let other scripts' digits through, which int() takes but we never write.
    is_number = attempt.isascii() and attempt.isdecimal() and len(attempt) <= _ATTEMPT_DIGITS_MAX
    if not keeper_id or not slot or not is_number:
        return None
    return Label(keeper_id=keeper_id, slot=SlotId(slot), attempt=int(attempt))
