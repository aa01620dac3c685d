"""Checks of the promises about being told: every alert has an end, no message is lost, nobody dies mute.

What was told is read from the messages that arrived, and the same message twice counts once. Whether
there was something to tell is read from the hosts' own records.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from keeper.sim.evidence import LISTING, Broken, Evidence
from keeper.sim.excuses import covered_s, merged, mute_s
from keeper.sim.notices import (
    FIRING,
    REPEAT,
    RESOLVED,
    UPDATE,
    Message,
    Notice,
    read_message,
    read_messages,
)

_LATE_S = 900.0  # grouping, a channel's back-off, a process that starts again
# Alerts about everything, beside which what is said of one slot may be silent.
_LOUD = frozenset(
    {
        "KeeperBudgetStop",
        "KeeperCommonCause",
        "KeeperCreditLow",
        "KeeperMarketUnreadable",
        "KeeperMassFailure",
        "KeeperSlotHeld",
    }
)


_DARK = "KeeperStreamDark"


def every_alert_comes_to_an_end(seen: Evidence) -> Iterator[Broken]:
    """One alert is told, told again while it holds, and resolved: in this order, nothing left out."""
    latest: dict[str, Notice] = {}
    for notice in seen.notices:
        before = latest.pop(notice.key, None)
        if notice.kind == FIRING and before is not None:
            yield _lost(notice, f"fires again, and was never resolved since {before.at:.0f}")
        elif notice.kind != FIRING and before is None:
            yield _lost(notice, f"is {notice.kind}, and nobody was told that it fires")
        elif before is not None and _is_silent(seen, before, notice.at):
            yield _lost(notice, f"was silent for {notice.at - before.at:.0f} s while it held")
        if notice.kind != RESOLVED:
            latest[notice.key] = notice
    for notice in latest.values():
        if _is_silent(seen, notice, seen.ended_at):
            yield _lost(notice, "was neither resolved nor repeated until the end")


def _lost(notice: Notice, what: str) -> Broken:
    return Broken(invariant="I19", at=notice.at, text=f"{notice.key} {what}")


def _bad(message: Message, what: str) -> Broken:
    keys = ", ".join(each.key for each in message.notices[:3]) or message.kind
    text = f"{message.notice_id} ({message.kind}, {keys}) {what}"
    return Broken(invariant="I19", at=message.at, text=text)


def _is_silent(seen: Evidence, notice: Notice, until: float) -> bool:
    """Whether an alert that held was silent for longer than it may be; most were not even repeated."""
    silent_s = until - notice.at
    is_long = silent_s > seen.bounds.repeat_s + _LATE_S
    return is_long and silent_s > _patience_s(seen, notice, until)


def _patience_s(seen: Evidence, notice: Notice, until: float) -> float:
    """Return how long an alert may be silent: its repeat, and while a louder one stood above it."""
    bounds = seen.bounds
    if notice.is_news or any(at <= until and key == notice.key for at, key in seen.silenced):
        return float("inf")  # a share of a budget that is used: it stays so, and is said once
    muted = (
        (begins, ends)
        for begins, ends, key in _told_spans(seen)
        if key != notice.key and _may_mute(key, notice)
    )
    silent_s = mute_s(seen, notice.at, until) + covered_s(merged(muted), notice.at, until)
    # A wall clock that steps back an hour makes a repeat an hour late; two steps, two hours.
    back_s = sum(max(0.0, -by_s) for at, by_s in seen.clock_steps if notice.at <= at <= until)
    return bounds.repeat_s + back_s + _LATE_S + silent_s


def _may_mute(louder_key: str, notice: Notice) -> bool:
    """Whether an alert may stand above another one: about everything, or the same stream dark."""
    name, _, about = louder_key.partition(":")
    # A key may name a reason or an act beside the slot.
    named = notice.key.partition(":")[2]
    named = next((part for part in named.split(":") if "/" in part), named)
    return name != _DARK or about.rpartition("/")[0] == named.partition("/")[0]


def _told_spans(seen: Evidence) -> tuple[tuple[float, float, str], ...]:
    """Return when alerts held that may stand above others, as far as their messages tell."""
    return seen.remembered("loud", _loud_spans)


def _loud_spans(seen: Evidence) -> tuple[tuple[float, float, str], ...]:
    found: list[tuple[float, float, str]] = []
    began: dict[str, float] = {}
    for notice in seen.notices:
        if notice.name not in _LOUD and notice.name != _DARK:
            continue
        if notice.kind == RESOLVED:
            found.append((began.pop(notice.key, notice.at) - _LATE_S, notice.at, notice.key))
        else:
            began.setdefault(notice.key, notice.at)
    return (*found, *((at - _LATE_S, seen.ended_at, key) for key, at in began.items()))


def refused_messages_arrive(seen: Evidence) -> Iterator[Broken]:
    """A channel that was down gets what it refused, once it is back."""
    messages = read_messages(seen.messages or ())
    arrived = {message.notice_id for message in messages}
    told: set[str] = set()
    for at, body in seen.refused:
        message = read_message(at, body)
        if message.notice_id in arrived or message.notice_id in told:
            continue
        if any(_stands_for(later, message) for later in messages):
            continue
        if seen.ended_at - at > seen.bounds.resent_s + mute_s(seen, at, seen.ended_at):
            told.add(message.notice_id)
            yield _bad(message, "was refused by its channel and never came again")


def _stands_for(later: Message, message: Message) -> bool:
    """Whether a later message reminds of all that this one would have reminded of, and it did no more."""
    reminded = _reminded(message)
    is_reminder = not message.is_page and len(reminded) == len(message.notices)
    return (
        is_reminder
        and bool(reminded)
        and later.at > message.at
        and later.incident_id == message.incident_id
        and reminded <= _reminded(later)
    )


def _reminded(message: Message) -> frozenset[str]:
    return frozenset(each.key for each in message.notices if each.kind in {UPDATE, REPEAT})


def the_same_message_says_the_same(seen: Evidence) -> Iterator[Broken]:
    """Under one id there is one message, so that a receiver can drop the second."""
    bodies: dict[str, bytes] = {}
    for at, body in seen.messages or ():
        message = read_message(at, body)
        if bodies.setdefault(message.notice_id, body) != body:
            yield _bad(message, "said something else under the same id")


def old_news_is_not_told_again(seen: Evidence) -> Iterator[Broken]:
    """What a channel took comes again soon or never: one crash may lose the note of it, no more."""
    arrived: dict[str, float] = {}
    for at, body in seen.messages or ():
        message = read_message(at, body)
        first_at = arrived.setdefault(message.notice_id, at)
        late_s = at - first_at - seen.bounds.resent_s
        if late_s > 0 and late_s > mute_s(seen, first_at, at):
            yield _bad(message, f"came again {at - first_at:.0f} s after it had arrived")


def who_is_needed_is_called_once(seen: Evidence) -> Iterator[Broken]:
    """An incident that needs a person pages one, with the first message that says so and no other."""
    needed: set[str] = set()
    for message in read_messages(seen.messages or ()):
        if message.incident_id == "":
            continue
        is_told = any(each.needs_person and each.kind != RESOLVED for each in message.notices)
        is_first = is_told and message.incident_id not in needed
        if is_first:
            needed.add(message.incident_id)
        if message.is_page and not is_first:
            yield _bad(message, "is a page, and nobody is newly needed")
        if is_first and not message.is_page:
            yield _bad(message, "says that a person is needed, and is no page")


def darkness_is_told(seen: Evidence) -> Iterator[Broken]:
    """A stream that viewers have lost for long is told of, or something that stands above it is."""
    for slot in seen.slots if seen.messages is not None else ():
        for (_, lost_at), (again_at, _) in pairwise(
            [*seen.slot_on_air(slot), (seen.ended_at, seen.ended_at)]
        ):
            dark_s = again_at - lost_at
            if dark_s <= seen.bounds.told_s or (
                dark_s - mute_s(seen, lost_at, again_at) <= seen.bounds.told_s
            ):
                continue
            if not _is_told(seen, slot, lost_at, again_at):
                yield Broken(
                    invariant="I19",
                    at=again_at,
                    text=f"{slot} was dark for {again_at - lost_at:.0f} s from {lost_at:.0f} on,"
                    " and nobody was told",
                )


def _is_told(seen: Evidence, slot: str, since: float, until: float) -> bool:
    """Whether a message about the slot, or one above it, arrived or stood in that time."""
    return is_told_of_slot(seen, slot, since, until) or any(
        begins < until and ends > since and not key.startswith(_DARK)
        for begins, ends, key in _told_spans(seen)
    )


def is_told_of_slot(seen: Evidence, slot: str, since: float, until: float) -> bool:
    """Whether a message about the slot itself arrived in that time, or told that it is dark and stood."""
    return any(n.slot == slot and since <= n.at <= until for n in seen.notices) or any(
        begins < until and ends > since and key == f"{_DARK}:{slot}"
        for begins, ends, key in _told_spans(seen)
    )


# --- nothing dies quietly -----------------------------------------------------------------------


def no_task_dies_quietly(seen: Evidence) -> Iterator[Broken]:
    """Every error was taken by somebody."""
    for at, text in seen.unhandled:
        yield Broken(invariant="I21", at=at, text=text)


def keeper_never_stops_looking(seen: Evidence) -> Iterator[Broken]:
    """While its process is up and has a network, keeper goes on asking what it rents."""
    asked = [request.at for request in seen.calls.get(LISTING, ())]
    for earlier, later in pairwise([seen.began_at, *asked, seen.ended_at]):
        if later - earlier <= seen.bounds.silence_s:
            continue
        away_s = covered_s(_away(seen, earlier, later), earlier, later)
        if later - earlier - away_s > seen.bounds.silence_s:
            yield Broken(
                invariant="I21",
                at=later,
                text=f"keeper was up and asked for no list of its rentals for"
                f" {later - earlier:.0f} s",
            )


def _away(seen: Evidence, since: float, until: float) -> Iterator[tuple[float, float]]:
    """Yield when no call could arrive, the box cut off or no process on it, or none was needed."""
    yield from seen.blind
    for begins, ends in seen.vouched:
        if since <= begins <= until:
            yield begins, min(ends, until)
    for killed_at in seen.killed_at:
        if since <= killed_at <= until:
            yield killed_at, until
