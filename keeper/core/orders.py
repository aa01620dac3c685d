"""What an operator has ordered of a slot: remembered until it is done, or makes no sense any more."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from keeper.core import suspects, verdicts
from keeper.core.draft import Draft
from keeper.core.model import SlotRecord, stream_of
from keeper.core.moments import elapsed_s, later
from keeper.core.world import OrderKind


def take_orders(draft: Draft) -> None:
    """Remember what an operator asked of a slot until it is done. Pauses are the shell's to apply."""
    for order in draft.world.orders:
        record = None if order.slot is None else draft.records.get(order.slot)
        if record is None:
            continue
        match order.kind:
            case OrderKind.RESTART:
                record = replace(record, restart_asked_at=draft.now)
            case OrderKind.REPLACE:
                # A person has looked: the allowance of replacements begins anew, and no revision
                # is held to be bad.
                suspects.pardon(draft, stream_of(record.slot))
                record = draft.records[record.slot]
                record = replace(
                    record,
                    replace_asked_at=draft.now,
                    replace_asked_attempt=record.attempt,
                    replaced_at=(),
                    is_at_once=order.is_now,
                )
            case OrderKind.DESTROY:
                record = replace(record, destroy_asked_at=draft.now)
            case OrderKind.RENT:
                if record.tenure is not None:
                    continue  # it is filled; a wish must not lie in wait for its next host
                # Whoever names an offer has seen it on the market: a race that was lost is over.
                avoid = tuple(each for each in record.avoid_offers if each != order.offer_id)
                record = replace(
                    record,
                    offer_asked=order.offer_id,
                    next_rent_at=None,
                    avoid_offers=avoid,
                    replace_asked_at=draft.now,
                    replace_asked_attempt=record.attempt,
                )
            case OrderKind.DEPLOY:
                stream = draft.slots.get(record.slot)
                if stream is not None:
                    verdicts.pardon(draft, stream)
                record = replace(record, deploy_asked_at=draft.now, is_at_once=order.is_now)
            case OrderKind.PAUSE | OrderKind.RESUME | OrderKind.SILENCE | OrderKind.UNSILENCE:
                continue
            case OrderKind.ADOPT | OrderKind.END:
                continue  # about a rental that is in no slot: bind looks for it
            case _:
                assert_never(order.kind)
        draft.records[record.slot] = record


def without_stale_order(draft: Draft, record: SlotRecord) -> SlotRecord:
    """Drop a restart order that no longer makes sense: nothing to restart, or asked long ago."""
    asked_at = record.restart_asked_at
    if asked_at is None or record.tenure is None:
        return record
    patience_s = draft.policy(record.slot).unreachable_s
    if record.tenure.deployed_at is not None and elapsed_s(asked_at, draft.now) < patience_s:
        draft.wake(later(asked_at, patience_s))
        return record
    draft.records[record.slot] = replace(record, restart_asked_at=None)
    return draft.records[record.slot]
