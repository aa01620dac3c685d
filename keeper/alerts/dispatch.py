"""From alerts that fire to messages that are due, one incident told once. Pure.

What was told is a plain mapping that the shell commits together with the messages, so a crash between
two ticks neither loses a message nor sends another one. A tick in which nothing changes gives back an
equal mapping.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from keeper.alerts import Alert, Notice, Severity
from keeper.alerts.advice import HUMAN
from keeper.alerts.payloads import alert_of, flat_alert, from_payload, moment_of, to_payload
from keeper.core.reasons import Reason
from keeper.ports import NoticeKind

__all__ = ["Numbers", "dispatch", "from_payload", "inhibited", "next_due_at", "to_payload"]

State = Mapping[str, Any]

_RANK = {severity: rank for rank, severity in enumerate(Severity)}
# What one sees of a host when the marketplace or the way to it is dark: not the host's own sickness.
_UNKNOWN_REASONS = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.LINK_LOST,
        Reason.DIAL_REFUSED,
        Reason.SILENT,
        Reason.UNREACHABLE_TOO_LONG,
        Reason.MISSING_FROM_LIST,
        Reason.MARKET_UNREADABLE,
        Reason.UNKNOWN_IS_NOT_UNHEALTHY,
        Reason.OFFERS_STALE,
        Reason.PROBE_FAILED,
        Reason.NOT_ASKED,
    }
)


# Alerts that are about the fleet or the account.
_LOUD = frozenset(
    {
        "KeeperMarketUnreadable",
        "KeeperMassFailure",
        "KeeperSlotHeld",
        "KeeperCreditLow",
        "KeeperBudgetStop",
        "KeeperDarkSpend",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """When to speak. Defaults are those of policy section 1."""

    group_wait_s: float = 30.0  # what is cured within it is never told
    group_interval_s: float = 300.0  # between two messages about the same, unless it turns critical
    repeat_s: float = 14_400.0
    resolved_after_s: float = 300.0  # quiet for this long is over


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What is remembered of one alert while it fires, and a while longer."""

    fired_at: datetime
    waiting_since: datetime | None  # since when it could have been told; None: it is muted
    alert: Alert  # as last told, or as last seen before that
    told_at: datetime | None = None
    told: int = 0  # messages so far
    quiet_since: datetime | None = None
    dark_s: float = 0.0  # of the times before it was quiet


def dispatch(
    state: State, firing: tuple[Alert, ...], now: datetime, numbers: Numbers
) -> tuple[dict[str, Any], tuple[Notice, ...]]:
    """Return what to remember and which messages are due, the most severe first.

    ``firing`` is everything that holds now. A key that fires again before it was resolved goes on
    as the same incident.
    """
    if not state and not firing:
        return {}, ()
    written = _read(state)
    before = {key: _not_ahead(told, now) for key, told in written.items()}
    after: dict[str, _Told] = {}
    notices: list[Notice] = []
    muted = inhibited(firing) if len(firing) > 1 else frozenset()
    for alert in firing:
        told = _fire(before.get(alert.key), alert, now, is_muted=alert.key in muted)
        notice = _due(told, alert, now, numbers)
        if notice is not None:
            notices.append(notice)
            told = replace(told, alert=notice.alert, told_at=now, told=told.told + 1)
        after[alert.key] = told
    keys = {alert.key for alert in firing}
    for key, told in before.items():
        if key in keys or told.told_at is None:
            continue  # cured before anybody was told: nobody is
        quiet = _quieten(told, now)
        if _elapsed_s(quiet.quiet_since, now) < numbers.resolved_after_s:
            after[key] = quiet
        else:
            notices.append(_resolved(quiet, now))
    return _write(after, state, written), tuple(notices)


def next_due_at(state: State, firing: tuple[Alert, ...], numbers: Numbers) -> datetime | None:
    """Return when the next message is due if nothing changes until then; None: never.

    ``state`` is what ``dispatch`` has just returned for ``firing``.
    """
    fired = {alert.key: alert for alert in firing}
    due: list[datetime] = []
    for key, told in _read(state).items():
        if told.quiet_since is not None:
            due.append(told.quiet_since + timedelta(seconds=numbers.resolved_after_s))
        elif told.waiting_since is None:
            continue  # muted
        elif told.told_at is None:
            due.append(told.waiting_since + timedelta(seconds=numbers.group_wait_s))
        else:
            is_worse = key in fired and _is_further(fired[key], told.alert)
            if told.alert.is_once and not is_worse:
                continue  # never said again: a moment that has passed would call for tick upon tick
            wait_s = numbers.group_interval_s if is_worse else numbers.repeat_s
            due.append(told.told_at + timedelta(seconds=wait_s))
    return min(due, default=None)


def inhibited(firing: tuple[Alert, ...]) -> frozenset[str]:
    """Return the keys that stay silent because another firing alert already says it.

    Only an alert about everything, or the dark stream of the same slot, can mute; looking at every
    pair took a quarter of a second with a thousand dark slots.
    """
    about_all = [alert for alert in firing if alert.name in _LOUD]
    dark = {alert.slot: alert for alert in firing if alert.name == "KeeperStreamDark"}
    muted = set()
    for alert in firing:
        louder = [*about_all, *([dark[alert.slot]] if alert.slot in dark else [])]
        if any(
            mutes(each, alert) for each in louder if each.key != alert.key for mutes in INHIBITIONS
        ):
            muted.add(alert.key)
    return frozenset(muted)


# --- who mutes whom: louder, quieter -----------------------------------------------------------------


def _market_mutes_unknowns(louder: Alert, alert: Alert) -> bool:
    """While the marketplace is unreadable, what is merely unknown of a host is no news."""
    return louder.name == "KeeperMarketUnreadable" and (
        alert.name in {"KeeperNoOffer", "KeeperDestroyStuck", "KeeperOrphan"}
        or (alert.name == "KeeperStreamDark" and alert.reason in _UNKNOWN_REASONS)
    )


def _mass_mutes_slots(louder: Alert, alert: Alert) -> bool:
    """One common cause is one message; but a slot that waits for a person is told."""
    return louder.name == "KeeperMassFailure" and (
        alert.name
        in {
            "KeeperRestartsHideSickness",
            "KeeperNoOffer",
            "KeeperMarketUnreadable",
            "KeeperStreamStuttering",
        }
        or (alert.name == "KeeperStreamDark" and alert.severity is not Severity.CRITICAL)
    )


def _dark_mutes_its_causes(louder: Alert, alert: Alert) -> bool:
    """The message about the dark slot says why it is held; a second one would say it again."""
    return (
        louder.name == "KeeperStreamDark"
        and alert.slot is not None
        and louder.slot == alert.slot
        and (
            alert.name in {"KeeperRestartsHideSickness", "KeeperNoOffer"}
            or (alert.name == "KeeperSlotHeld" and louder.severity is Severity.CRITICAL)
        )
    )


def _account_mutes_slots(louder: Alert, alert: Alert) -> bool:
    """Without credit or a valid key nothing can be rented: told once, not once per slot."""
    return (
        louder.name == "KeeperSlotHeld"
        and louder.reason in {Reason.OUT_OF_CREDIT, Reason.UNAUTHORIZED}
        and alert.name == "KeeperNoOffer"
    )


def _empty_account_mutes_what_waits_for_credit(louder: Alert, alert: Alert) -> bool:
    """An empty account darkens every stream at once: one message, for one person to pay."""
    return (
        louder.name == "KeeperCreditLow"
        and louder.severity is Severity.CRITICAL
        and alert.needs_human == HUMAN[Reason.OUT_OF_CREDIT]
    )


def _money_mutes_what_it_stopped(louder: Alert, alert: Alert) -> bool:
    """A stop for money is told once, not once per slot that waits or went dark for it."""
    return (
        louder.name in {"KeeperBudgetStop", "KeeperDarkSpend"}
        and alert.name in {"KeeperSlotHeld", "KeeperStreamDark"}
        and alert.reason is louder.reason
        and louder.stream in {None, alert.stream}
    )


INHIBITIONS: tuple[Callable[[Alert, Alert], bool], ...] = (
    _market_mutes_unknowns,
    _mass_mutes_slots,
    _dark_mutes_its_causes,
    _account_mutes_slots,
    _empty_account_mutes_what_waits_for_credit,
    _money_mutes_what_it_stopped,
)


# --- one alert ----------------------------------------------------------------------------------------


def _not_ahead(told: _Told, now: datetime) -> _Told:
    """Let every wait begin now that would begin later: the clock was set back, and it would last as much longer.

    The time of the beginning stays: it is part of the name of each message.
    """
    moments = (told.waiting_since, told.told_at, told.quiet_since)
    if all(at is None or at <= now for at in moments):
        return told
    waiting_since, told_at, quiet_since = (at and min(at, now) for at in moments)
    return replace(told, waiting_since=waiting_since, told_at=told_at, quiet_since=quiet_since)


def _fire(told: _Told | None, alert: Alert, now: datetime, *, is_muted: bool) -> _Told:
    """Bring what is remembered up to a firing alert, without saying anything."""
    if told is None:
        waiting = None if is_muted else now
        return _Told(fired_at=now, waiting_since=waiting, alert=alert)
    # The newest facts, but the severity, stage and case of the last message until a message says otherwise,
    # and the earliest beginning: some alerts have no memory of their own and begin anew with each tick.
    newest, last = alert, told.alert
    if _marks(alert) != _marks(last) or alert.since > last.since:
        newest = replace(
            alert,
            severity=last.severity,
            stage=last.stage,
            case=last.case,
            since=min(last.since, alert.since),
        )
    waiting = None if is_muted else told.waiting_since or now
    if newest == last and waiting == told.waiting_since and told.quiet_since is None:
        return told
    return replace(told, alert=newest, waiting_since=waiting, quiet_since=None)


def _marks(alert: Alert) -> tuple[Severity, int, str]:
    """Return what may call for a message though the alert goes on."""
    return alert.severity, alert.stage, alert.case


def _is_further(alert: Alert, told: Alert) -> bool:
    """Whether an alert is worse than when it was told last, has come a stage further, or is about
    another case.
    """
    is_worse = _RANK[alert.severity] > _RANK[told.severity]
    return is_worse or alert.stage > told.stage or alert.case != told.case


def _due(told: _Told, fired: Alert, now: datetime, numbers: Numbers) -> Notice | None:
    severity, stage = fired.severity, fired.stage
    if told.waiting_since is None:
        return None  # muted
    if told.told_at is None:
        if _elapsed_s(told.waiting_since, now) < numbers.group_wait_s:
            return None
        alert = replace(told.alert, severity=severity, stage=stage, case=fired.case)
        return _notice(told, alert, NoticeKind.FIRING, now, "first message")
    since_told_s = _elapsed_s(told.told_at, now)
    is_worse = _RANK[severity] > _RANK[told.alert.severity]
    if _is_further(fired, told.alert) and (
        (is_worse and severity is Severity.CRITICAL) or since_told_s >= numbers.group_interval_s
    ):
        if fired.case != told.alert.case:
            return _notice(told, fired, NoticeKind.UPDATE, now, "another one")
        why = f"now {severity}, was {told.alert.severity}" if is_worse else "goes on"
        alert = replace(
            told.alert,
            severity=severity if is_worse else told.alert.severity,
            stage=max(stage, told.alert.stage),
        )
        return _notice(told, alert, NoticeKind.UPDATE, now, why)
    if since_told_s >= numbers.repeat_s and not told.alert.is_once:
        hours = numbers.repeat_s / 3600
        is_milder = _RANK[severity] < _RANK[told.alert.severity]
        alert = told.alert if is_milder else replace(told.alert, severity=severity)
        return _notice(told, alert, NoticeKind.REPEAT, now, f"repeated every {hours:g} h")
    return None


def _quieten(told: _Told, now: datetime) -> _Told:
    if told.quiet_since is not None:
        return told
    dark_s = told.dark_s + _elapsed_s(told.alert.dark_since, now)
    return replace(told, quiet_since=now, waiting_since=None, dark_s=dark_s)


def _resolved(told: _Told, now: datetime) -> Notice:
    alert = replace(told.alert, needs_human="")
    notice = _notice(told, alert, NoticeKind.RESOLVED, now, "resolved")
    return replace(notice, at=told.quiet_since or now, dark_s=told.dark_s)


def _notice(told: _Told, alert: Alert, kind: NoticeKind, now: datetime, reason: str) -> Notice:
    basis = f"{alert.key}|{told.fired_at.isoformat()}|{kind}|{told.told}"
    return Notice(
        notice_id=f"msg_{hashlib.sha256(basis.encode()).hexdigest()[:24]}",
        kind=kind,
        alert=alert,
        at=now,
        dark_s=told.dark_s + _elapsed_s(alert.dark_since, now),
        acts=alert.acts,
        reason=reason,
    )


def _elapsed_s(since: datetime | None, now: datetime) -> float:
    """Seconds since then; a clock that stepped back means none."""
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


# --- plain values ---------------------------------------------------------------------------------------


def _write(told: Mapping[str, _Told], state: State, before: Mapping[str, _Told]) -> dict[str, Any]:
    """Flatten what is remembered; what has not changed is taken over as it is written."""
    return {
        key: state[key] if (old := before.get(key)) is each or old == each else _flat(each)
        for key, each in sorted(told.items())
    }


def _flat(each: _Told) -> dict[str, Any]:
    return {
        "fired_at": each.fired_at.isoformat(),
        "waiting_since": each.waiting_since.isoformat() if each.waiting_since else None,
        "told_at": each.told_at.isoformat() if each.told_at else None,
        "told": each.told,
        "quiet_since": each.quiet_since.isoformat() if each.quiet_since else None,
        "dark_s": each.dark_s,
        "alert": flat_alert(each.alert),
    }


def _read(state: State) -> dict[str, _Told]:
    return {key: _told_in(flat) for key, flat in state.items()}


# What was read of a written state, by the identity of what is written, which is never changed in
# place: reading all of it again cost a third of a tick in which an alert fires.
_KNOWN_MAX = 1000
_known: dict[int, tuple[Any, _Told]] = {}


def _told_in(flat: Mapping[str, Any]) -> _Told:
    known = _known.get(id(flat))
    if known is not None and known[0] is flat:
        return known[1]
    told = _Told(
        fired_at=datetime.fromisoformat(flat["fired_at"]),
        waiting_since=moment_of(flat["waiting_since"]),
        told_at=moment_of(flat["told_at"]),
        told=int(flat["told"]),
        quiet_since=moment_of(flat["quiet_since"]),
        dark_s=float(flat["dark_s"]),
        alert=alert_of(flat["alert"]),
    )
    if len(_known) >= _KNOWN_MAX:
        _known.clear()
    _known[id(flat)] = (flat, told)
    return told
