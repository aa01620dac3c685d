"""Alerts about the marketplace and the money: unreadable, no offers, strays, ends that hang, credit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from keeper.alerts import Alert, Severity
from keeper.alerts.advice import HUMAN, names, since
from keeper.core.model import OrphanPolicy, SlotId, SlotRecord, StreamName, stream_of
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.spend import burn_dollars_per_hour, runway_s
from keeper.core.strays import order_to_adopt, order_to_end, strays
from keeper.core.text import plain
from keeper.core.world import SearchRefused, Snapshot

# Two missed listings are weather; a minute without one is a fact worth telling (after group wait).
MARKET_UNREADABLE_S = 60.0
# Searches that found nothing: with the default back-off the third comes after 45 s.
OFFER_MISSES_MIN = 3
# Credit that lasts no longer than this is for whoever is on call.
RUNWAY_CRITICAL_S = 7200.0
_DETAIL_MAX = 600
# A rental that should have ended an hour ago is money that only a person can stop.
DESTROY_CRITICAL_S = 3600.0


def market_unreadable(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """No complete listing for a while: an error, or an answer that cannot be trusted."""
    world = snapshot.world
    since = world.unreadable_since
    if since is None and world.listing is None:
        since = world.started_at
    patience_s = min(MARKET_UNREADABLE_S, snapshot.desired.fleet.listing_stale_s / 3)
    if since is None or (now - since).total_seconds() < patience_s:
        return
    error = plain(world.unreadable_error, _DETAIL_MAX)
    yield Alert(
        name="KeeperMarketUnreadable",
        key="KeeperMarketUnreadable",
        severity=Severity.WARNING,
        slot=None,
        stream=None,
        summary="the marketplace gives no trustworthy list of rentals",
        why=error or SENTENCE[Reason.MARKET_UNREADABLE],
        did="keeper rents, replaces and destroys nothing until a complete list comes; repairs over "
        "SSH go on",
        needs_human="If it lasts: check the marketplace's status page and the API key.",
        since=since,
        reason=Reason.MARKET_UNREADABLE,
        over="the marketplace can be read again",
    )


def no_offer(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """Searches found no suitable offer for a stream that wants a host, or nobody may search.

    Display-capable supply is thin, so the alert is the report: what removed how many, and what would
    let an offer in at which price.
    """
    refused = snapshot.world.search_refused
    groups: dict[StreamName, list[SlotRecord]] = defaultdict(list)
    for slot, record in snapshot.ailing.items():
        is_missing = record.offer_misses >= OFFER_MISSES_MIN and record.rent_reason not in HUMAN
        is_refused = refused is not None and record.last_reason is refused.reason
        if is_missing or is_refused:
            groups[stream_of(slot)].append(record)
    for stream, records in groups.items():
        slots = sorted(record.slot for record in records)
        detail = next((plain(r.rent_detail, _DETAIL_MAX) for r in records if r.rent_detail), "")
        why = detail or SENTENCE[Reason.NO_SUITABLE_OFFER]
        did = f"keeper searches again, ever more slowly, for {names(slots)}"
        cure = (
            f"`keeper search {stream} --explain` shows the market as it is now; relax what it names,"
            " or raise the price limit."
        )
        reason = Reason.NO_SUITABLE_OFFER
        if refused is not None and all(r.last_reason is refused.reason for r in records):
            reason = refused.reason
            why = f"{SENTENCE[reason]}: {plain(refused.error, _DETAIL_MAX)}"
            did, cure = _searches_refused(refused, slots)
        yield Alert(
            name="KeeperNoOffer",
            key=f"KeeperNoOffer:{stream}",
            severity=Severity.WARNING,
            slot=slots[0] if len(slots) == 1 else None,
            stream=stream,
            summary=f"no offer on the market suits {stream}"
            if reason is Reason.NO_SUITABLE_OFFER
            else f"no search of the market works for {stream}"
            if reason is Reason.SEARCH_FAILS
            else f"nobody may search the market for {stream}",
            why=why,
            did=did,
            needs_human=cure,
            since=min(since(record, now) for record in records),
            labels={"stream": stream},
            reason=reason,
            over=f"{stream} no longer waits for an offer",
        )


def _searches_refused(refused: SearchRefused, slots: list[SlotId]) -> tuple[str, str]:
    """Say what keeper does and what a person can do while the marketplace lets nobody search."""
    if refused.until is not None:
        did = f"keeper searches again at {refused.until:%Y-%m-%d %H:%M} UTC for {names(slots)}"
        return did, "Search less by hand and with other programs of the account, or ask for more."
    did = f"keeper tries again all the time for {names(slots)}"
    if refused.reason is Reason.SEARCH_FAILS:
        cure = f"`keeper search {stream_of(slots[0])}` shows the marketplace's answer"
        return did, f"If it lasts: {cure}; check vast.url and the stream's `offer` settings."
    return did, HUMAN[Reason.UNAUTHORIZED]


def credit_low(snapshot: Snapshot, _now: datetime) -> Iterator[Alert]:
    """The account's credit ends soon, or is used up: then the marketplace stops every rental."""
    world, fleet = snapshot.world, snapshot.desired.fleet
    burn = burn_dollars_per_hour(world, snapshot.records)
    left_s = runway_s(world.account, burn)
    if world.account is None or left_s is None or left_s >= fleet.runway_alert_s:
        return
    is_empty = world.account.spendable_dollars <= 0
    is_critical = is_empty or left_s < RUNWAY_CRITICAL_S
    limit_s = RUNWAY_CRITICAL_S if is_critical else fleet.runway_alert_s
    yield Alert(
        name="KeeperCreditLow",
        key="KeeperCreditLow",
        severity=Severity.CRITICAL if is_critical else Severity.WARNING,
        slot=None,
        stream=None,
        summary="the marketplace account is empty"
        if is_empty
        else f"the account's credit lasts less than {limit_s / 3600:g} h",
        why=f"{_signed(world.account.spendable_dollars)} are left, and its rentals cost"
        f" ${burn or 0.0:.2f}/h",
        did="keeper rents and replaces nothing, and blames no host, until there is credit again"
        if is_empty
        else "keeper goes on; at zero the marketplace stops every rental at once",
        needs_human=HUMAN[Reason.OUT_OF_CREDIT],
        since=world.account.at,
        dollars=burn or 0.0,
        reason=Reason.OUT_OF_CREDIT,
        over="the account has credit again",
    )


def orphan(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A rental with keeper's label that no journal explains: somebody pays for it."""
    world = snapshot.world
    listing = world.listing
    listed = {each.instance_id: each for each in listing.instances} if listing is not None else {}
    policy = snapshot.desired.fleet.orphans
    for instance_id in strays(snapshot):
        instance = listed.get(instance_id)
        label = plain(instance.label, 100) if instance is not None else ""
        dollars = instance.dollars_per_hour if instance is not None else 0.0
        started_at = instance.started_at if instance is not None else None
        began = f" since {started_at:%Y-%m-%d %H:%M} UTC" if started_at is not None else ""
        end, adopt = order_to_end(instance_id), order_to_adopt(instance_id)
        yield Alert(
            name="KeeperOrphan",
            key=f"KeeperOrphan:{instance_id}",
            severity=Severity.WARNING,
            slot=None,
            stream=None,
            summary=f"rental {instance_id} belongs to no stream and costs ${dollars:.2f}/h{began}",
            why=SENTENCE[Reason.STRAY_RENTAL],
            did={
                OrphanPolicy.ALERT: "keeper leaves it alone, as configured",
                OrphanPolicy.DESTROY: "keeper ends it, as configured",
                OrphanPolicy.ADOPT: "keeper takes it into the slot that its label names, as configured",
            }[policy],
            needs_human=f"If no other keeper works with it, end it: `{end}`; or take it over: `{adopt}`."
            if policy is OrphanPolicy.ALERT
            else "",
            since=started_at or now,
            dollars=dollars,
            labels={"instance_id": str(instance_id), "label": label},
            reason=Reason.STRAY_RENTAL,
            over=f"rental {instance_id} is no longer a stray",
        )


def destroy_stuck(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A rental that must end is not confirmed gone, so it may still be billed."""
    for condemned in snapshot.plan.condemned:
        age_s = (now - condemned.condemned_at).total_seconds()
        if age_s < snapshot.desired.fleet.destroy_alert_s:
            continue
        critical = age_s >= DESTROY_CRITICAL_S
        yield Alert(
            name="KeeperDestroyStuck",
            key=f"KeeperDestroyStuck:{condemned.instance_id}",
            severity=Severity.CRITICAL if critical else Severity.WARNING,
            slot=condemned.slot,
            stream=stream_of(condemned.slot) if condemned.slot is not None else None,
            summary=f"rental {condemned.instance_id} is not confirmed gone and may cost "
            f"${condemned.dollars_per_hour:.2f}/h",
            why=f"condemned because {SENTENCE[condemned.reason]}",
            did="keeper orders the destroy again every minute and checks every listing",
            needs_human="End it in the marketplace's console." if critical else "",
            since=condemned.condemned_at,
            dollars=condemned.dollars_per_hour,
            labels={
                "instance_id": str(condemned.instance_id),
                "label": plain(condemned.label, 100),
            },
            reason=condemned.reason,
            over=f"rental {condemned.instance_id} is confirmed gone",
        )


def _signed(dollars: float) -> str:
    amount = f"{dollars:z.2f}"
    return f"-${amount[1:]}" if amount.startswith("-") else f"${amount}"
