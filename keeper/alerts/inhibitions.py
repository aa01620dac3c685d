"""Which alert stays silent because another one that fires already says it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from keeper.alerts import Alert, Severity
from keeper.alerts.advice import HUMAN
from keeper.core.reasons import Reason

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibition:
    """One row: whom an alert of these names mutes."""

    by: frozenset[str]
    mutes: Callable[[Alert, Alert], bool]  # the louder one, the quieter one
    why: str


def _what_is_unknown(_louder: Alert, alert: Alert) -> bool:
    return alert.name in {"KeeperNoOffer", "KeeperDestroyStuck", "KeeperOrphan"} or (
        alert.name == "KeeperStreamDark" and alert.reason in _UNKNOWN_REASONS
    )


def _what_no_person_is_needed_for(_louder: Alert, alert: Alert) -> bool:
    return alert.name in {
        "KeeperRestartsHideSickness",
        "KeeperNoOffer",
        "KeeperMarketUnreadable",
        "KeeperStreamStuttering",
    } or (alert.name == "KeeperStreamDark" and alert.severity is not Severity.CRITICAL)


def _its_causes(louder: Alert, alert: Alert) -> bool:
    return (
        alert.slot is not None
        and louder.slot == alert.slot
        and (
            alert.name in {"KeeperRestartsHideSickness", "KeeperNoOffer"}
            or (alert.name == "KeeperSlotHeld" and louder.severity is Severity.CRITICAL)
        )
    )


def _searches_in_vain(louder: Alert, alert: Alert) -> bool:
    return (
        louder.reason in {Reason.OUT_OF_CREDIT, Reason.UNAUTHORIZED}
        and alert.name == "KeeperNoOffer"
    )


def _what_waits_for_credit(louder: Alert, alert: Alert) -> bool:
    return louder.severity is Severity.CRITICAL and alert.needs_human == HUMAN[Reason.OUT_OF_CREDIT]


def _what_it_stopped(louder: Alert, alert: Alert) -> bool:
    return (
        alert.name in {"KeeperSlotHeld", "KeeperStreamDark"}
        and alert.reason is louder.reason
        and louder.stream in {None, alert.stream}
    )


INHIBITIONS: tuple[Inhibition, ...] = (
    Inhibition(
        by=frozenset({"KeeperMarketUnreadable"}),
        mutes=_what_is_unknown,
        why="while the marketplace is unreadable, what is merely unknown of a host is no news",
    ),
    Inhibition(
        by=frozenset({"KeeperMassFailure"}),
        mutes=_what_no_person_is_needed_for,
        why="one common cause is one message; but a slot that waits for a person is told",
    ),
    Inhibition(
        by=frozenset({"KeeperStreamDark"}),
        mutes=_its_causes,
        why="the message about the dark slot says why it is held, or what keeper tried",
    ),
    Inhibition(
        by=frozenset({"KeeperSlotHeld"}),
        mutes=_searches_in_vain,
        why="without credit or a valid key nothing can be rented: told once, not once per stream",
    ),
    Inhibition(
        by=frozenset({"KeeperCreditLow"}),
        mutes=_what_waits_for_credit,
        why="an empty account darkens every stream at once: one message, for one person to pay",
    ),
    Inhibition(
        by=frozenset({"KeeperBudgetStop", "KeeperDarkSpend"}),
        mutes=_what_it_stopped,
        why="a stop for money is told once, not once per slot that waits or went dark for it",
    ),
)

DARK = "KeeperStreamDark"
_ROWS: dict[str, tuple[Inhibition, ...]] = {
    name: tuple(row for row in INHIBITIONS if name in row.by)
    for name in sorted(frozenset().union(*(row.by for row in INHIBITIONS)))
}


def inhibited(firing: tuple[Alert, ...]) -> Mapping[str, str]:
    """Return the keys that stay silent, each with the key of the alert that says it already.

    Only an alert about everything, or the dark stream of the same slot, can mute; looking at every
    pair took a quarter of a second with a thousand dark slots. Whether the louder one is silenced
    makes no difference: who silences it does not ask for its hundred consequences.
    """
    about_all = [alert for alert in firing if alert.name in _ROWS and alert.name != DARK]
    dark = {alert.slot: alert for alert in firing if alert.name == DARK}
    muted: dict[str, str] = {}
    for alert in firing:
        louder = [*about_all, *([dark[alert.slot]] if alert.slot in dark else [])]
        by = next((each for each in louder if each.key != alert.key and _mutes(each, alert)), None)
        if by is not None:
            muted[alert.key] = by.key
    return muted


def _mutes(louder: Alert, alert: Alert) -> bool:
    return any(row.mutes(louder, alert) for row in _ROWS[louder.name])
