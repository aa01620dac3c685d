"""A provision while no keeper runs: the daemon itself, for one stream, until that is on air."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from keeper import bootstrap
from keeper.adapters.clock import SystemClock
from keeper.cli import stages
from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.expected import Fact, expected, learned
from keeper.cli.landing import Landing, landings_of, left_behind
from keeper.cli.offers import shown_look
from keeper.cli.oneshot import new_order, pursue
from keeper.cli.search import avoided_by, look_for
from keeper.cli.store import remembered
from keeper.cli.terminal import confirm, console, say, show
from keeper.cli.wish import Wanted, described, looked_up
from keeper.core.model import Mode, OfferId, SlotId, Stream
from keeper.core.pauses import at_start
from keeper.core.world import Order, OrderKind, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keeper.ports import JournalEntry, Saved
    from keeper.settings import Settings


async def by_itself(settings: Settings, stream: Stream, wanted: Wanted) -> tuple[Landing, ...]:
    """Run the daemon for this stream alone. Raises Stopped when it is not on air in the end."""
    saved = await remembered(settings)
    _must_be_allowed(stream, saved)
    tenures = {r.slot: r.tenure for r in saved.records if r.tenure is not None}
    missing = [slot for slot in stream.slots if slot not in tenures]
    wish = wanted.offer
    if wish is not None and any(
        t.offer_id == wish for s, t in tenures.items() if s in stream.slots
    ):
        say(f"{stream.name}: offer {wish} is rented already")
        wish = None
    elif wish is not None and not missing:
        raise all_filled(stream, wish)
    if missing or wanted.dry_run:
        await _announce(settings, stream, saved, missing, wish)
    if wanted.dry_run:
        return ()
    if missing:
        hosts = "a host" if len(missing) == 1 else f"{len(missing)} hosts"
        confirm(f"Rent {hosts} for {stream.name}?", yes=wanted.yes)
    target = missing[0] if wish is not None else None

    def hopeless(snapshot: Snapshot) -> Stopped | None:
        if target is not None and wish is not None:
            no = stages.wish_refused(snapshot, target, wish)
            if no is not None:
                return no
        return stages.hopeless_stream(snapshot, stream)

    def how_long(snapshot: Snapshot, journal: Sequence[JournalEntry]) -> str:
        known = learned(_facts(journal), stream.name)
        return expected(stages.step_of_stream(snapshot, stream), known, stream.policy)

    pursuit = await pursue(
        settings,
        only=stream.name,
        is_done=lambda snapshot: (
            stages.is_settled(snapshot, stream) and stages.is_seen(snapshot, stream)
        ),
        stage=lambda snapshot: stages.stage_of_stream(snapshot, stream),
        expected=how_long,
        hopeless=hopeless,
        orders=_orders(stream, saved, missing, target, wanted),
        timeout_s=wanted.timeout_s,
    )
    if pursuit.is_done and pursuit.snapshot is not None:
        return landings_of(settings, pursuit.snapshot, stream)
    raise left_behind(pursuit, stream, wanted.timeout_s)


def all_filled(stream: Stream, wish: OfferId) -> Stopped:
    """Say that there is no room for the offer that was named."""
    return Stopped(
        ExitCode.REFUSED,
        f"every slot of {stream.name} has its host already; offer {wish} was not rented",
        f"end one with keeper destroy first, or go on without --offer: keeper provision {stream.name}",
    )


def _must_be_allowed(stream: Stream, saved: Saved) -> None:
    if stream.mode is not Mode.ACT:
        raise Stopped(
            ExitCode.REFUSED,
            f"stream {stream.name} is set to {stream.mode.value} only; nothing was rented",
            "set its mode to act in the configuration",
        )
    if saved.pause is not None:
        message = f"keeper was paused by {saved.pause.actor}; nothing was rented"
        raise Stopped(ExitCode.REFUSED, message, "start keeper, and end it: keeper resume")


def _orders(
    stream: Stream,
    saved: Saved,
    missing: list[SlotId],
    target: SlotId | None,
    wanted: Wanted,
) -> tuple[Order, ...]:
    """Name the offers first: a slot that is resumed may rent at once."""
    rents = [
        replace(
            new_order(OrderKind.RENT, slot, wanted.reason),
            offer_id=wanted.offer if slot == target else None,
        )
        for slot in missing
    ]
    paused = at_start(saved.slot_pauses, (stream,), saved.records)
    resumes = [
        new_order(OrderKind.RESUME, slot, wanted.reason) for slot in stream.slots if slot in paused
    ]
    return (*rents, *resumes)


async def _announce(
    settings: Settings, stream: Stream, saved: Saved, missing: list[SlotId], wish: OfferId | None
) -> None:
    """Say what would be rented, and for how much at most. Raises Stopped when nothing suits."""
    if not missing:
        say(f"{stream.name}: every slot has its host already")
        return
    clock = SystemClock()
    async with bootstrap.open_marketplace(settings, clock) as marketplace:
        if wish is not None:
            # A race that was lost says nothing of an offer that somebody has seen on the market.
            avoided = replace(avoided_by(saved, settings, clock, stream), offers=frozenset())
            await looked_up(wish, stream, marketplace, avoided)
        if wish is None or len(missing) > 1:
            look = await look_for(stream, marketplace, saved, settings, clock)
            if not look.suitable:
                show(console(stderr=True), shown_look(look, explain=True))
                raise Stopped(
                    ExitCode.NOT_FOUND,
                    f"no offer suits {stream.name}; nothing was rented",
                    "write one of the settings above, or wait for the market",
                )
            best = described(look.suitable[0], stream.needs)
            count = f"{len(look.suitable)} of {look.shortage.found} offers suit"
            say(f"{stream.name}: {count}; the best is {best}")
    say(f"{stream.name}: at most {stream.spend_max_dollars_per_hour:.2f} $/h for all its slots")


def _facts(journal: Sequence[JournalEntry]) -> list[Fact]:
    return [
        Fact(
            event=entry.event,
            slot=entry.slot or "",
            at=entry.at,
            instance_id=int(entry.facts.get("instance_id") or 0),
            duration_s=float(entry.facts.get("duration_s") or 0.0),
        )
        for entry in journal
    ]
