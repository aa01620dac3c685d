"""Which alerts fire, read off one snapshot. Pure: the same snapshot and now, the same alerts.

A rule says what is wrong, why, what keeper does about it and what a person should do. The texts hold
no elapsed times: an alert that has not changed is an equal value, tick after tick.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from keeper.alerts import Alert, Severity
from keeper.core.decisions import Hold
from keeper.core.events import OrphanCleared, OrphanSeen
from keeper.core.model import (
    OrphanPolicy,
    Policy,
    Rung,
    SlotId,
    SlotRecord,
    StreamName,
    stream_of,
)
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.text import plain
from keeper.core.world import Snapshot

# Two missed listings are weather; a minute without one is a fact worth telling (after group wait).
MARKET_UNREADABLE_S = 60.0
# Searches that found nothing: with the default back-off the third comes after 45 s.
OFFER_MISSES_MIN = 3
# A rental that should have ended an hour ago is money that only a person can stop.
DESTROY_CRITICAL_S = 3600.0
# Reasons of a Hold that no waiting cures, and what a person can do about each.
HUMAN: dict[Reason, str] = {
    Reason.REPLACEMENTS_SPENT: (
        "Look at why hosts keep failing (`keeper explain {slot}`), then `keeper replace {slot}` "
        "or raise `replacements_max`."
    ),
    Reason.BUDGET: "Raise the spending limit, or end something: `keeper status` shows what costs what.",
    Reason.OUT_OF_CREDIT: "Add credit to the marketplace account.",
    Reason.UNAUTHORIZED: "Check the API key and its rights; `keeper search STREAM` tries it.",
    Reason.HOST_KEY_CHANGED: (
        "Somebody else may answer at the host's address. Check the rental; then "
        "`keeper replace {slot}`."
    ),
    Reason.KEY_REFUSED: "Check that keeper's SSH key is attached to the marketplace account.",
    Reason.SLOT_HELD_BY_BUG: "Report the bug with the log lines around `slot.bug`; keeper tries again.",
}
# These hold the whole account, so they are one alert however many slots they hold.
_ACCOUNT_WIDE = frozenset({Reason.OUT_OF_CREDIT, Reason.UNAUTHORIZED})
_MASS = (Reason.MASS_FAILURE, Reason.OWN_NETWORK_DOWN)

Rule = Callable[[Snapshot, datetime], Iterator[Alert]]


def firing(snapshot: Snapshot, now: datetime) -> tuple[Alert, ...]:
    """Return every alert that holds now, each key once, the most severe first."""
    found: dict[str, Alert] = {}
    for rule in RULES.values():
        for alert in rule(snapshot, now):
            found.setdefault(alert.key, alert)
    order = list(reversed(Severity))
    return tuple(sorted(found.values(), key=lambda a: (order.index(a.severity), a.key)))


def stream_dark(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A slot that was on air is dark, or one that should be never came on air in its time."""
    held = _held(snapshot)
    for slot, record in snapshot.records.items():
        if record.dark_since is None and not _is_overdue(snapshot, record, now):
            continue
        incident = record.incident
        since = record.dark_since or (incident.opened_at if incident is not None else now)
        reason = incident.reason if incident is not None else record.last_reason
        hold = held.get(slot)
        human = _advice(hold.reason, slot) if hold is not None else ""
        is_ours_to_fix = hold is None or hold.reason not in HUMAN
        yield Alert(
            name="KeeperStreamDark",
            key=f"KeeperStreamDark:{slot}",
            severity=Severity.WARNING if is_ours_to_fix else Severity.CRITICAL,
            slot=slot,
            stream=stream_of(slot),
            summary=f"{slot} is dark" if record.ever_on_air else f"{slot} has not come on air",
            why=SENTENCE[reason],
            did=_did(record, hold),
            needs_human=human,
            since=since,
            dollars=_dollars(record),
            labels={"stream": stream_of(slot), "slot": slot},
            reason=reason,
            dark_since=record.dark_since,
            acts=incident.acts if incident is not None else 0,
            over=f"{slot} is no longer dark",
        )


def slot_held(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """Keeper would act and may not, and no waiting cures it."""
    groups: dict[tuple[Reason, str], list[SlotId]] = defaultdict(list)
    for slot, reason in _holds_for_people(snapshot):
        groups[reason, "" if reason in _ACCOUNT_WIDE else slot].append(slot)
    for (reason, about), slots in groups.items():
        only = slots[0] if len(slots) == 1 else None
        records = [snapshot.records[slot] for slot in slots if slot in snapshot.records]
        yield Alert(
            name="KeeperSlotHeld",
            key=f"KeeperSlotHeld:{reason}" + (f":{about}" if about else ""),
            severity=Severity.CRITICAL,
            slot=only,
            stream=stream_of(slots[0]) if about else None,
            summary=f"keeper may not act for {_names(slots)}",
            why=SENTENCE[reason],
            did="keeper watches and holds",
            needs_human=HUMAN[reason].format(slot=slots[0]),
            since=min((_since(record, now) for record in records), default=now),
            labels={"reason": reason},
            reason=reason,
            over=f"keeper may act for {_names(slots)} again",
        )


def market_unreadable(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """No complete listing for a while: an error, or an answer that cannot be trusted."""
    world = snapshot.world
    since = world.unreadable_since
    if since is None and world.listing is None:
        since = world.started_at
    patience_s = min(MARKET_UNREADABLE_S, snapshot.desired.fleet.listing_stale_s / 3)
    if since is None or (now - since).total_seconds() < patience_s:
        return
    error = plain(world.unreadable_error, 200)
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


def mass_failure(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """Too many slots are sick at once, or this box cannot see: suspect a common cause."""
    for reason in _MASS:
        if reason not in snapshot.plan.fuses:
            continue
        sick = [slot for slot, record in snapshot.records.items() if record.incident is not None]
        opened = [r.incident.opened_at for r in snapshot.records.values() if r.incident is not None]
        yield Alert(
            name="KeeperMassFailure",
            key="KeeperMassFailure",
            severity=Severity.CRITICAL,
            slot=None,
            stream=None,
            summary=(
                f"{len(sick)} of {len(snapshot.records)} slots are sick at once"
                if reason is Reason.MASS_FAILURE
                else "keeper's own network is down"
            ),
            why=SENTENCE[reason],
            did="keeper has stopped everything destructive and keeps watching",
            needs_human="Look for what they share: this box's network, the image, the ingest, "
            "the marketplace. If the hosts really are gone: `keeper replace SLOT`.",
            since=max(opened, default=now),
            labels={"slots": _names(sorted(sick))},
            reason=reason,
            over="keeper acts again: the sickness is no longer everywhere"
            if reason is Reason.MASS_FAILURE
            else "keeper's own network is back",
        )
        return


def no_offer(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """Several searches in a row found no suitable offer for a stream that wants a host."""
    groups: dict[StreamName, list[SlotRecord]] = defaultdict(list)
    for slot, record in snapshot.records.items():
        if record.offer_misses >= OFFER_MISSES_MIN and record.rent_reason not in HUMAN:
            groups[stream_of(slot)].append(record)
    for stream, records in groups.items():
        slots = sorted(record.slot for record in records)
        yield Alert(
            name="KeeperNoOffer",
            key=f"KeeperNoOffer:{stream}",
            severity=Severity.WARNING,
            slot=slots[0] if len(slots) == 1 else None,
            stream=stream,
            summary=f"no offer on the market suits {stream}",
            why=SENTENCE[Reason.NO_SUITABLE_OFFER],
            did=f"keeper searches again, ever more slowly, for {_names(slots)}",
            needs_human=f"`keeper search {stream} --explain` says which filter removes how many; "
            "relax one, or raise the price limit.",
            since=min(_since(record, now) for record in records),
            labels={"stream": stream},
            reason=Reason.NO_SUITABLE_OFFER,
            over=f"{stream} no longer waits for an offer",
        )


def orphan(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A rental with keeper's label that no journal explains: somebody pays for it."""
    world, events = snapshot.world, snapshot.plan.events
    seen = {e.instance_id for e in events if isinstance(e, OrphanSeen)}
    cleared = {e.instance_id for e in events if isinstance(e, OrphanCleared)}
    listed = (
        {instance.instance_id: instance for instance in world.listing.instances}
        if world.listing is not None
        else {}
    )
    policy = snapshot.desired.fleet.orphans
    for instance_id in sorted((world.orphans_known | seen) - cleared):
        instance = listed.get(instance_id)
        label = plain(instance.label, 100) if instance is not None else ""
        dollars = instance.dollars_per_hour if instance is not None else 0.0
        yield Alert(
            name="KeeperOrphan",
            key=f"KeeperOrphan:{instance_id}",
            severity=Severity.WARNING,
            slot=None,
            stream=None,
            summary=f"rental {instance_id} belongs to no stream and costs ${dollars:.2f}/h",
            why=SENTENCE[Reason.STRAY_RENTAL],
            did={
                OrphanPolicy.ALERT: "keeper leaves it alone, as configured",
                OrphanPolicy.DESTROY: "keeper ends it, as configured",
                OrphanPolicy.ADOPT: "keeper takes it into a slot that fits, as configured",
            }[policy],
            needs_human="End it in the marketplace's console, or let keeper: set `fleet.orphans` to destroy or "
            "adopt."
            if policy is OrphanPolicy.ALERT
            else "",
            since=(instance.started_at if instance is not None else None) or now,
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


def restarts_hide_sickness(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """Every restart helps and there are far too many of them: a sickness behind a cure."""
    policies = {stream.name: stream.policy for stream in snapshot.desired.streams}
    for slot, record in snapshot.records.items():
        policy = policies.get(stream_of(slot), Policy())
        recent = _sicknesses(record, policy, now)
        # A host that is being replaced takes its sickness along: no news about its processes.
        if record.dark_since is not None or record.incoming is not None:
            continue
        if len(recent) < max(2, policy.restarts_max):
            continue
        minutes = round(policy.restarts_window_s / 60)
        yield Alert(
            name="KeeperRestartsHideSickness",
            key=f"KeeperRestartsHideSickness:{slot}",
            severity=Severity.WARNING,
            slot=slot,
            stream=stream_of(slot),
            summary=f"{slot} is on air only because it keeps being restarted",
            why=f"it fell sick at least {max(2, policy.restarts_max)} times within {minutes} minutes, "
            "and a restart helped each time",
            did="keeper goes on; when the restarts are used up it replaces the host",
            needs_human=f"Look for what kills it: `keeper events --slot {slot}`, and its own logs.",
            since=min(recent),
            dollars=_dollars(record),
            labels={"stream": stream_of(slot), "slot": slot},
            reason=Reason.CRASH_LOOP,
            over=f"{slot} has gone without a restart for a while",
        )


def paused(snapshot: Snapshot, _now: datetime) -> Iterator[Alert]:
    """Somebody has paused keeper; a pause must not be forgotten."""
    world = snapshot.world
    pauses = {SlotId(""): world.pause} if world.pause is not None else {}
    pauses |= {slot: world.slot_pauses[slot] for slot in sorted(world.slot_pauses)}
    for slot, pause in pauses.items():
        until = f" until {pause.until:%Y-%m-%d %H:%M} UTC" if pause.until is not None else ""
        about = slot or "keeper"
        yield Alert(
            name="KeeperPaused",
            key=f"KeeperPaused:{slot}" if slot else "KeeperPaused",
            severity=Severity.INFO,
            slot=slot or None,
            stream=stream_of(slot) if slot else None,
            summary=f"{about} is paused{until} by {plain(pause.actor, 60)}",
            why=plain(pause.reason, 200) or "no reason was given",
            did="keeper watches and tells, and touches nothing",
            needs_human=f"When done: `keeper resume{f' {slot}' if slot else ''}`.",
            since=pause.since,
            reason=Reason.PAUSED,
            over=f"{about} is no longer paused",
        )


# By the name of the alert, which is also the name of its runbook.
RULES: dict[str, Rule] = {
    "KeeperStreamDark": stream_dark,
    "KeeperSlotHeld": slot_held,
    "KeeperMarketUnreadable": market_unreadable,
    "KeeperMassFailure": mass_failure,
    "KeeperNoOffer": no_offer,
    "KeeperOrphan": orphan,
    "KeeperDestroyStuck": destroy_stuck,
    "KeeperRestartsHideSickness": restarts_hide_sickness,
    "KeeperPaused": paused,
}


def _sicknesses(record: SlotRecord, policy: Policy, now: datetime) -> list[datetime]:
    """Return when each sickness within the window was first treated.

    Remedies that follow one another closely climbed the ladder in one sickness; telling that as
    "restarts that help" would be a second message about the same incident.
    """
    begun: list[datetime] = []
    last: datetime | None = None
    apart = timedelta(seconds=policy.replace_after_s)
    for use in sorted(record.remedies, key=lambda use: use.at):
        if use.rung is Rung.REPLACE or use.at <= now - timedelta(seconds=policy.restarts_window_s):
            continue
        if last is None or use.at - last > apart:
            begun.append(use.at)
        last = use.at
    return begun


def _held(snapshot: Snapshot) -> dict[SlotId, Hold]:
    return {d.slot: d for d in snapshot.plan.decisions if isinstance(d, Hold)}


def _holds_for_people(snapshot: Snapshot) -> Iterator[tuple[SlotId, Reason]]:
    """Name the slots that are held for a reason in HUMAN, each reason once per slot."""
    told: set[tuple[SlotId, Reason]] = set()
    for slot, hold in _held(snapshot).items():
        if hold.reason in HUMAN:
            told.add((slot, hold.reason))
    for slot in snapshot.world.held_slots:
        told.add((slot, Reason.SLOT_HELD_BY_BUG))
    for slot, record in snapshot.records.items():
        if record.next_rent_at is not None and record.rent_reason in HUMAN:
            told.add((slot, record.rent_reason))  # the last create was refused for it
        conditions = record.tenure.conditions if record.tenure is not None else ()
        for condition in conditions:
            if condition.reason is Reason.HOST_KEY_CHANGED:
                told.add((slot, Reason.HOST_KEY_CHANGED))
    yield from sorted(told)


def _is_overdue(snapshot: Snapshot, record: SlotRecord, now: datetime) -> bool:
    """Whether a slot that never was on air has been sick for longer than any start may take."""
    if record.ever_on_air or record.incident is None:
        return False
    policies = {stream.name: stream.policy for stream in snapshot.desired.streams}
    policy = policies.get(stream_of(record.slot), Policy())
    return (now - record.incident.opened_at).total_seconds() >= policy.warmup_max_s


def _did(record: SlotRecord, hold: Hold | None) -> str:
    """Say what keeper did last, and what it waits for."""
    parts = []
    if record.last_act and record.incident is not None:
        because = SENTENCE[record.last_act_reason]
        parts.append(f"last act: {record.last_act.replace('_', ' ')}, because {because}")
    if hold is not None:
        parts.append(f"would {hold.wanted.replace('_', ' ')}, but {SENTENCE[hold.reason]}")
    elif not parts:
        parts.append("keeper is climbing the ladder of remedies")
    return "; ".join(parts)


def _advice(reason: Reason, slot: SlotId) -> str:
    return HUMAN[reason].format(slot=slot) if reason in HUMAN else ""


def _since(record: SlotRecord, now: datetime) -> datetime:
    if record.dark_since is not None:
        return record.dark_since
    return record.incident.opened_at if record.incident is not None else now


def _dollars(record: SlotRecord) -> float:
    return sum(t.dollars_per_hour for t in (record.tenure, record.incoming) if t is not None)


def _names(slots: list[SlotId], count_max: int = 5) -> str:
    shown = ", ".join(slots[:count_max])
    return f"{shown} and {len(slots) - count_max} more" if len(slots) > count_max else shown
