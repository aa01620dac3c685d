"""Alerts about a slot or a stream: dark, held, its contract ends, paused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from math import fsum

from keeper.alerts import Alert, Severity
from keeper.alerts.about_deploys import is_told_of
from keeper.alerts.about_workloads import because
from keeper.alerts.advice import HUMAN, advice, dollars, names, since, to_read
from keeper.core.conditions import condition_of, is_silent
from keeper.core.decisions import Hold
from keeper.core.model import (
    ConditionKind,
    Policy,
    SlotId,
    SlotRecord,
    Status,
    StreamName,
    Subject,
    is_spare,
    stream_of,
)
from keeper.core.moments import elapsed_s
from keeper.core.pauses import of_slots, stream_at
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.terms import is_confirmed
from keeper.core.text import plain
from keeper.core.world import Pause, Snapshot, World

# These hold the whole account, so they are one alert however many slots they hold.
# With less than this part of its margin left, an end that is not yet prepared for is told.
_LATE_RATIO = 0.5
_ACCOUNT_WIDE = frozenset({Reason.OUT_OF_CREDIT, Reason.UNAUTHORIZED})
# The order by which a person does what keeper suggests.
_ORDER = {
    "restart": "If you agree: `keeper restart {slot}`.",
    "reboot": "If you agree: `keeper replace {slot}`; there is no order to reboot.",
    "replace": "If you agree: `keeper replace {slot}`.",
    "rent": "If you agree: `keeper provision {stream}`.",
    "deploy": "If you agree: `keeper deploy {stream}`.",
    "destroy": "If you agree: `keeper destroy {slot}`.",
}
_WHY_MAX = 300
_DETAIL_MAX = 600  # an error with its cure
_DEFAULT_POLICY = Policy()  # of slots whose stream is no longer declared


def stream_dark(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A slot that was on air is dark, or one that should be never came on air in its time."""
    held = _held(snapshot) if snapshot.ailing else {}
    for slot, record in snapshot.ailing.items():
        if record.dark_since is None and not _is_overdue(snapshot, record, now):
            continue
        incident = record.incident
        since = record.dark_since or (incident.opened_at if incident is not None else now)
        reason = incident.reason if incident is not None else record.last_reason
        hold = held.get(slot)
        human = advice(hold.reason, slot) if hold is not None else ""
        is_ours_to_fix = hold is None or hold.reason not in HUMAN
        yield Alert(
            name="KeeperStreamDark",
            key=f"KeeperStreamDark:{slot}",
            severity=Severity.WARNING if is_ours_to_fix else Severity.CRITICAL,
            slot=slot,
            stream=stream_of(slot),
            summary=_impact(record),
            why=because(reason, record),
            did="; ".join(filter(None, (_did(record, hold), to_read(snapshot, slot)))),
            needs_human=human,
            since=since,
            dollars=dollars(record),
            labels={"stream": stream_of(slot), "slot": slot},
            reason=reason,
            dark_since=record.dark_since,
            acts=incident.acts if incident is not None else 0,
            over=f"{slot} is no longer dark",
            is_passing=_was_seen_good(record, now)
            or _has_come_back_unseen(snapshot, record, now)
            or _has_just_begun(snapshot, now),
        )


# A second look comes within this, whatever it shows; else nobody knows, and who waits has waited enough.
_SECOND_LOOK_S = 60.0
_SEEN_DARK_S = 30.0  # the group wait, by default


def _was_seen_good(record: SlotRecord, now: datetime) -> bool:
    """Whether the newest look at a dark slot was good, and the next one is still to come.

    A process that was killed was back on air after twelve seconds, and told of after thirty.
    """
    streaming = condition_of(record.tenure, ConditionKind.STREAMING)
    if streaming is None or streaming.streak_since is None or not streaming.good_streak:
        return False
    return elapsed_s(streaming.streak_since, now) < _SECOND_LOOK_S


def _has_come_back_unseen(snapshot: Snapshot, record: SlotRecord, now: datetime) -> bool:
    """Whether the process is up again since it grew dark, and the look that tells is still to come.

    Seed 46: a process was back on air after 24 seconds, told of after 30, and looked at after 31.
    """
    running = condition_of(record.tenure, ConditionKind.RUNNING)
    begun, tenure = record.dark_since, record.tenure
    if begun is None or tenure is None or tenure.instance_id is None or running is None:
        return False
    if running.status is not Status.TRUE or running.since < begun:
        return False
    looked_at = snapshot.world.heard_at.get((tenure.instance_id, Subject.PICTURE), begun)
    # What is seen to be dark for half a minute is told, and so is what nobody looks at.
    return elapsed_s(begun, looked_at) < _SEEN_DARK_S and elapsed_s(begun, now) < _SECOND_LOOK_S


def _has_just_begun(snapshot: Snapshot, now: datetime) -> bool:
    """Whether this process is too young to have looked twice at what the one before it believed."""
    started_at = snapshot.world.started_at
    return started_at is not None and elapsed_s(started_at, now) < _SECOND_LOOK_S


def _impact(record: SlotRecord) -> str:
    if is_silent(condition_of(record.tenure, ConditionKind.STREAMING)):
        return f"{record.slot} has no sound"
    return f"{record.slot} is dark" if record.ever_on_air else f"{record.slot} has not come on air"


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
            summary=f"keeper may not act for {names(slots)}",
            why=": ".join(filter(None, (SENTENCE[reason], _refusal(reason, records)))),
            did="; ".join(filter(None, ("keeper watches and holds", to_read(snapshot, only)))),
            needs_human=HUMAN[reason].format(slot=slots[0]),
            since=min((since(record, now) for record in records), default=now),
            dollars=fsum(dollars(record) for record in records),
            labels={"reason": reason},
            reason=reason,
            dark_since=records[0].dark_since if only is not None and records else None,
            case=_host_of(reason, records),
            over=f"keeper may act for {names(slots)} again",
        )


def contract_ending(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A contract ends soon, and keeper may not or could not get another host ahead of time."""
    for slot, record in snapshot.ailing.items():
        tenure = record.tenure
        if tenure is None or tenure.ends_at is None or tenure.ending_since is None:
            continue
        policy = _policy(snapshot, slot)
        hold = _held(snapshot).get(slot)
        is_late = (tenure.ends_at - now).total_seconds() < policy.contract_ending_s * _LATE_RATIO
        if record.incoming is not None or (hold is None and not is_late):
            continue
        yield Alert(
            name="KeeperContractEnding",
            key=f"KeeperContractEnding:{slot}",
            severity=Severity.WARNING,
            slot=slot,
            stream=stream_of(slot),
            summary=f"the host of {slot} goes away at {tenure.ends_at:%Y-%m-%d %H:%M} UTC",
            why=SENTENCE[Reason.CONTRACT_ENDING],
            did=f"would hand over to another host, but {SENTENCE[hold.reason]}"
            if hold is not None
            else "keeper looks for another host to hand over to",
            needs_human=(advice(hold.reason, slot) if hold is not None else "")
            or f"See what stands in the way: `keeper explain {slot}`.",
            since=tenure.ending_since,
            dollars=dollars(record),
            labels={"stream": stream_of(slot), "slot": slot},
            reason=Reason.CONTRACT_ENDING,
            over=f"{slot} no longer sits on a host that goes away",
        )


def machine_unlisted(snapshot: Snapshot, _now: datetime) -> Iterator[Alert]:
    """The owner took a machine off the market under a host that is on air: it may go down next.

    All that can be known ahead of a planned maintenance: its renters are told of it by e-mail, and no
    read of theirs names it (docs/vast-assumptions.md). One that was never listed announces nothing.
    """
    listing = snapshot.world.listing
    for slot, record in snapshot.records.items():  # a slot that is well may sit on one
        tenure = record.tenure
        if tenure is None or tenure.unlisted_since is None:
            continue
        if (
            listing is None
            or tenure.listed_at is None
            or tenure.listed_at >= tenure.unlisted_since
            or not is_confirmed(tenure.unlisted_since, listing.at, _policy(snapshot, slot))
            or tenure.first_live_at is None
            or tenure.dead_since is not None
            or record.dark_since is not None
            or record.incident is not None
            or record.incoming is not None
        ):
            continue
        yield Alert(
            name="KeeperMachineUnlisted",
            key=f"KeeperMachineUnlisted:{slot}",
            severity=Severity.INFO,
            slot=slot,
            stream=stream_of(slot),
            summary=f"the machine of {slot} takes no more renters",
            why="its owner has taken it off the market: it may be for maintenance, of which only an"
            " e-mail of the marketplace tells",
            did="keeper goes on, and replaces the host should it go down; a contract that ends is"
            " followed ahead of time",
            needs_human=f"To move before it goes down, without a dark second: `keeper replace {slot}`.",
            since=tenure.unlisted_since,
            labels={"stream": stream_of(slot), "slot": slot},
            over=f"{slot} sits on a machine that is on the market",
            is_once=True,
        )


def paused(snapshot: Snapshot, _now: datetime) -> Iterator[Alert]:
    """Somebody has paused keeper; a pause must not be forgotten."""
    world = snapshot.world
    pauses = _pauses_by_order(world)
    if world.pause is not None:
        pauses.insert(0, ("", None, [], world.pause))
    for target, stream, slots, pause in pauses:
        until = (
            f"until {pause.until:%Y-%m-%d %H:%M} UTC"
            if pause.until is not None
            else "until it is resumed"
        )
        about = target or "keeper"
        yield Alert(
            name="KeeperPaused",
            key=f"KeeperPaused:{target}" if target else "KeeperPaused",
            severity=Severity.INFO,
            slot=slots[0] if len(slots) == 1 else None,
            stream=stream,
            summary=f"{about} is paused {until} by {plain(pause.actor, 60)}",
            why=plain(pause.reason, 200) or "no reason was given",
            did="keeper watches and tells, and touches nothing",
            needs_human=f"When done: `keeper resume{f' {target}' if target else ''}`.",
            since=pause.since,
            reason=Reason.PAUSED,
            over=f"{about} is no longer paused",
        )


def suggestion(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A stream that only suggests needs something done, and a person has to order it."""
    for slot, hold in _held(snapshot).items():
        if hold.reason is not Reason.SUGGEST_ONLY:
            continue
        stream = stream_of(slot)
        record = snapshot.records.get(slot)
        is_filled = record is not None and record.tenure is not None
        order = "replace" if hold.wanted == "rent" and is_filled else hold.wanted
        if hold.wanted_reason is Reason.STREAM_REMOVED:
            order = "destroy"  # nothing is to follow
        wanted = order.replace("_", " ")
        yield Alert(
            name="KeeperSuggestion",
            key=f"KeeperSuggestion:{slot}:{hold.wanted}",
            severity=Severity.WARNING,
            slot=slot,
            stream=stream,
            summary=f"keeper would {wanted} {slot}",
            why=SENTENCE[hold.wanted_reason],
            did="keeper does not do it: the stream's mode is suggest",
            needs_human=_ORDER.get(order, "Set the stream's mode to act, or do it by hand.").format(
                slot=slot, stream=stream
            ),
            since=since(record, now) if record is not None else now,
            dollars=dollars(record) if record is not None else 0.0,
            labels={"stream": stream, "slot": slot, "wanted": hold.wanted},
            reason=hold.wanted_reason,
            over=f"keeper no longer wants to {wanted} {slot}",
        )


def _pauses_by_order(
    world: World,
) -> list[tuple[str, StreamName | None, list[SlotId], Pause]]:
    """Put together what one order paused: all of a stream is one message, not one per slot."""
    groups: dict[tuple[StreamName, Pause], list[SlotId]] = {}
    for key, pause in sorted(world.slot_pauses.items()):
        groups.setdefault((stream_at(key), pause), []).append(key)
    return [
        (keys[0] if len(keys) == 1 else stream, stream, list(of_slots(dict.fromkeys(keys))), pause)
        for (stream, pause), keys in groups.items()
    ]


# --- what they look at ---


def _held(snapshot: Snapshot) -> dict[SlotId, Hold]:
    """Return the holds of slots. A spare that may not be rented is for about_spares.py."""
    return {
        d.slot: d for d in snapshot.plan.decisions if isinstance(d, Hold) and not is_spare(d.slot)
    }


def _refusal(reason: Reason, records: list[SlotRecord]) -> str:
    """Say what the marketplace said to the last create, which names a key's missing right."""
    said = (r.rent_detail for r in records if r.rent_reason is reason and r.rent_detail)
    return plain(next(said, ""), _DETAIL_MAX)


def _host_of(reason: Reason, records: list[SlotRecord]) -> str:
    """Name the host whose key has changed: the slot's next one may do the same a moment later."""
    tenure = records[0].tenure if records and reason is Reason.HOST_KEY_CHANGED else None
    return "" if tenure is None else str(tenure.instance_id)


def _holds_for_people(snapshot: Snapshot) -> Iterator[tuple[SlotId, Reason]]:
    """Name the slots that are held for a reason in HUMAN, each reason once per slot."""
    told: set[tuple[SlotId, Reason]] = set()
    streams = {stream.name: stream for stream in snapshot.desired.streams}
    for slot, hold in _held(snapshot).items():
        is_told = hold.reason is Reason.BAD_DEPLOY and is_told_of(
            snapshot, streams.get(stream_of(slot))
        )
        is_told = is_told or hold.reason is Reason.NEEDS_PERSON  # about_workloads.py says which
        if hold.reason in HUMAN and not is_told:
            told.add((slot, hold.reason))
    for slot in snapshot.world.held_slots:
        told.add((slot, Reason.SLOT_HELD_BY_BUG))
    for slot, record in snapshot.ailing.items():
        if record.next_rent_at is not None and record.rent_reason in HUMAN:
            told.add((slot, record.rent_reason))  # the last create was refused for it
        conditions = record.tenure.conditions if record.tenure is not None else ()
        for condition in conditions:
            if condition.reason is Reason.HOST_KEY_CHANGED:
                told.add((slot, Reason.HOST_KEY_CHANGED))
    for decision in snapshot.plan.decisions:
        # A spare is given up by itself when its key changes; where that may not be, a person is told.
        if isinstance(decision, Hold) and is_spare(decision.slot):
            tenure = snapshot.records[decision.slot].tenure
            shown = () if tenure is None else tenure.conditions
            if any(each.reason is Reason.HOST_KEY_CHANGED for each in shown):
                told.add((decision.slot, Reason.HOST_KEY_CHANGED))
    yield from sorted(told)


def _is_overdue(snapshot: Snapshot, record: SlotRecord, now: datetime) -> bool:
    """Whether a slot that never was on air has been sick for longer than any start may take."""
    if record.ever_on_air or record.incident is None:
        return False
    policy = _policy(snapshot, record.slot)
    return (now - record.incident.opened_at).total_seconds() >= policy.warmup_max_s


def _policy(snapshot: Snapshot, slot: SlotId) -> Policy:
    name = stream_of(slot)
    found = (stream.policy for stream in snapshot.desired.streams if stream.name == name)
    return next(found, _DEFAULT_POLICY)


def _did(record: SlotRecord, hold: Hold | None) -> str:
    """Say what keeper did last in this incident, and what it waits for."""
    parts = []
    acted_at, incident = record.last_act_at, record.incident
    if incident is not None and acted_at is not None and acted_at >= incident.opened_at:
        why = plain(record.last_act_why, _WHY_MAX)
        because = SENTENCE[record.last_act_reason] + (f": {why}" if why else "")
        parts.append(f"last act: {record.last_act.replace('_', ' ')}, because {because}")
    if hold is not None:
        parts.append(f"would {hold.wanted.replace('_', ' ')}, but {SENTENCE[hold.reason]}")
    elif not parts:
        parts.append("keeper is climbing the ladder of remedies")
    return "; ".join(parts)
