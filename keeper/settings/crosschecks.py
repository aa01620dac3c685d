"""What contradicts what, though each value alone is fine: timers, caps, names.

A rule names the keys it compares, so that the report can point at the one written later, and so
that nothing is said about a key that could not be read in the first place.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from keeper.core.model import FleetPolicy, Policy, Pricing
from keeper.core.spare import SpareKind
from keeper.core.windows import Allowance
from keeper.settings.auditions import idle_keys
from keeper.settings.channels import lacking_extras
from keeper.settings.document import Place
from keeper.settings.publishing import publisher_problems
from keeper.settings.slates import slate_problems
from keeper.settings.tree import Settings, WindowSection, parse_address
from keeper.settings.views import contradicting

# Openings of a window that are compared: a week of hours, and any gap that a cron expression leaves.
_OPENINGS_LOOKED_AT: Final = 200
_SOME_YEAR: Final = datetime(2024, 1, 1, tzinfo=UTC)  # any; looked at by nobody's clock
# What may travel in an Authorization header; a pasted line break or space may not.
_HEADER_TEXT: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A finding, with every place that takes part in it."""

    places: tuple[Place, ...]
    what: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Two sides that must stand in a relation, and why."""

    keys: tuple[str, ...]
    holds: Callable[[Any], bool]
    says: Callable[[Any], str]


def _below(small: str, large: str, why: str) -> Rule:
    """Demand that one key is below another."""
    return Rule(
        (small, large),
        lambda numbers: bool(getattr(numbers, small) < getattr(numbers, large)),
        lambda numbers: f"{_said(numbers, small)} must be below {_said(numbers, large)}: {why}",
    )


def _at_most(small: str, large: str, why: str) -> Rule:
    """Demand that one key does not exceed another."""
    return Rule(
        (small, large),
        lambda numbers: bool(getattr(numbers, small) <= getattr(numbers, large)),
        lambda numbers: f"{_said(numbers, small)} must not exceed {_said(numbers, large)}: {why}",
    )


def _ascending(key: str) -> Rule:
    """Demand that a list of durations climbs."""
    return Rule(
        (key,),
        lambda numbers: list(getattr(numbers, key)) == sorted(getattr(numbers, key)),
        lambda _: f"{key} must climb: each step at least as long as the one before",
    )


def _said(numbers: Any, key: str) -> str:
    return f"{key} ({getattr(numbers, key):g})"


def _evidence_s(policy: Policy) -> float:
    return policy.failures_to_fail * policy.probe_interval_s


# What an answer of the last moment takes to be read: a look that the next one cuts short is Unknown, and
# a server that hangs would never be judged.
_PROBE_ROOM_S: Final = 0.2

POLICY_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        ("probe_timeout_s", "probe_interval_s"),
        lambda policy: policy.probe_timeout_s + _PROBE_ROOM_S <= policy.probe_interval_s,
        lambda policy: (
            f"{_said(policy, 'probe_timeout_s')} must be below {_said(policy, 'probe_interval_s')} "
            f"by {_PROBE_ROOM_S:g} s: a probe must end before the next one begins"
        ),
    ),
    _below("probe_interval_s", "probe_stale_s", "every witness would be silent between two looks"),
    _at_most("probe_stale_s", "unreachable_s", "a host is out of reach only once nobody hears it"),
    Rule(
        ("failures_to_fail", "probe_interval_s", "replace_after_s"),
        lambda policy: _evidence_s(policy) < policy.replace_after_s,
        lambda policy: (
            f"{_said(policy, 'failures_to_fail')} x {_said(policy, 'probe_interval_s')} must be "
            f"below {_said(policy, 'replace_after_s')}: a host would be replaced before its "
            "failure is believed"
        ),
    ),
    _at_most("warmup_grace_s", "warmup_max_s", "progress extends the grace, up to the maximum"),
    _at_most("boot_max_s", "boot_hard_max_s", "a large image extends a boot, up to the hard limit"),
    _at_most(
        "restart_backoff_min_s", "restart_backoff_max_s", "the wait grows from one to the other"
    ),
    _ascending("no_offer_backoff_s"),
    Rule(
        ("dead_man_after_s", "unreachable_s"),
        # Later than keeper itself gives a host up, and than a restart of keeper takes.
        lambda policy: (
            policy.dead_man_after_s is None or policy.dead_man_after_s >= policy.unreachable_s * 2.0
        ),
        lambda policy: (
            f"dead_man_after_s ({policy.dead_man_after_s:g}) must be at least twice "
            f"{_said(policy, 'unreachable_s')}: a host would stop itself while keeper is only being "
            "restarted, or dials it again"
        ),
    ),
)

FLEET_RULES: Final[tuple[Rule, ...]] = (
    _at_most("list_interval_busy_s", "list_interval_s", "a busy fleet is listed more often"),
    _below("list_interval_s", "listing_stale_s", "every listing would be stale before the next"),
    _below(
        "common_cause_window_s",
        "common_cause_memory_s",
        "a failure would be forgotten before the next one can be compared with it",
    ),
    _at_most("destroy_quick_retry_s", "destroy_retry_s", "the quick tries come first"),
    _ascending("quarantine_s"),
    _below(
        "spend_end_s", "spend_reserve_s", "a host near a cap would be ended as soon as it is rented"
    ),
    Rule(
        ("spend_warn_ratios",),
        lambda fleet: all(
            low < high for low, high in pairwise((0.0, *fleet.spend_warn_ratios, 1.0 + 1e-9))
        ),
        lambda _: "spend_warn_ratios must climb, from above 0 to at most 1",
    ),
)

# From the shortest period to the longest: a longer one's cap below a shorter one's hides a mistake.
_CAPS: Final = (
    "spend_max_dollars_per_day",
    "spend_max_dollars_per_month",
    "spend_max_dollars_total",
)


def contradictions(settings: Settings, watchdog_s: float | None) -> Iterator[Contradiction]:
    """Name everything in the settings that cannot be meant.

    ``watchdog_s`` is after how long of silence systemd kills this process; None: never.
    """
    yield from _account(settings)
    yield from _watchdog(settings.fleet, watchdog_s)
    yield from _fleet(settings.fleet)
    yield from _policies(settings)
    yield from _names(settings)
    yield from _money(settings)
    yield from _spares(settings)
    yield from (Contradiction(each.places, each.what) for each in slate_problems(settings))
    yield from (Contradiction(*each) for each in publisher_problems(settings))
    yield from _windows(settings)
    yield from _caps(settings)
    yield from _http(settings)
    yield from _ssh(settings)
    for place, what in idle_keys(settings):
        yield Contradiction((place,), what)
    for places, what in (*contradicting(settings), *lacking_extras(settings)):
        yield Contradiction(places, what)


def _account(settings: Settings) -> Iterator[Contradiction]:
    key = settings.vast.api_key
    place: Place = ("vast", "api_key")
    if key is None or not key.get_secret_value():
        yield Contradiction(
            (place, ("vast", "api_key_file")),
            "there is no Vast.ai API key: set VAST_API_KEY, use the credential vast_api_key, or "
            "name a file in vast.api_key_file",
        )
    elif not _HEADER_TEXT.fullmatch(key.get_secret_value()):
        yield Contradiction((place,), "the Vast.ai API key has characters that no key has")


def _watchdog(fleet: FleetPolicy, watchdog_s: float | None) -> Iterator[Contradiction]:
    if watchdog_s is not None and fleet.tick_interval_s * 2 > watchdog_s:
        yield Contradiction(
            (("fleet", "tick_interval_s"),),
            f"{_said(fleet, 'tick_interval_s')} must be at most half of the unit's WatchdogSec "
            f"({watchdog_s:g}): systemd would kill a keeper that is well",
        )


def _fleet(fleet: FleetPolicy) -> Iterator[Contradiction]:
    for rule in FLEET_RULES:
        if not rule.holds(fleet):
            yield Contradiction(tuple(("fleet", key) for key in rule.keys), rule.says(fleet))


def _policies(settings: Settings) -> Iterator[Contradiction]:
    """Check the common policy, and a stream's only where it says something itself."""
    for rule in POLICY_RULES:
        if not rule.holds(settings.policy):
            yield Contradiction(
                tuple(("policy", key) for key in rule.keys), rule.says(settings.policy)
            )
    for index, stream in enumerate(settings.streams):
        policy = settings.policy_of(stream)
        for rule in POLICY_RULES:
            if not rule.holds(policy) and stream.policy.keys() & set(rule.keys):
                places = tuple(
                    ("streams", index, "policy", key) if key in stream.policy else ("policy", key)
                    for key in rule.keys
                )
                yield Contradiction(places, f"stream '{stream.name}': {rule.says(policy)}")


def _names(settings: Settings) -> Iterator[Contradiction]:
    streams = [stream.name for stream in settings.streams]
    yield from _repeated(streams, ("streams",), "stream")
    channels = [str(getattr(channel, "name", "")) for channel in settings.alerts.channels]
    yield from _repeated(channels, ("alerts", "channels"), "channel")


def _repeated(names: Sequence[str], above: Place, what: str) -> Iterator[Contradiction]:
    counts = Counter(names)
    for name, count in counts.items():
        if count > 1:
            places = tuple((*above, at, "name") for at, other in enumerate(names) if other == name)
            yield Contradiction(places, f"{count} {what}s are called '{name}'; each needs its own")


def _money(settings: Settings) -> Iterator[Contradiction]:
    """Find caps that the declared streams could not live within."""
    worst = 0.0
    involved: list[Place] = [("fleet", "spend_max_dollars_per_hour")]
    for index, stream in enumerate(settings.streams):
        price = stream.offer.price_max_dollars_per_hour
        needed = price * stream.replicas
        cap = stream.spend_max_dollars_per_hour
        here: Place = ("streams", index)
        involved.append((*here, "name"))
        if needed > cap + 1e-9:
            yield Contradiction(
                (
                    (*here, "offer", "price_max_dollars_per_hour"),
                    (*here, "replicas"),
                    (*here, "spend_max_dollars_per_hour"),
                ),
                f"stream '{stream.name}': {stream.replicas} x ${price:g} an hour may be rented, but "
                f"spend_max_dollars_per_hour is ${cap:g}: raise the cap or lower the price",
            )
        worst += min(needed, cap)
    cap = settings.fleet.spend_max_dollars_per_hour
    if worst > cap + 1e-9:
        yield Contradiction(
            tuple(involved),
            f"all streams together may need ${worst:g} an hour, but fleet."
            f"spend_max_dollars_per_hour is ${cap:g}: raise it, or lower the streams' prices",
        )


def _spares(settings: Settings) -> Iterator[Contradiction]:
    """Find spares that could never be had, or never be of use."""
    for index, stream in enumerate(settings.streams):
        here: Place = ("streams", index)
        spares, is_still = stream.spares, stream.spares.kind is SpareKind.STOPPED
        if not spares.count or not is_still:
            continue
        if stream.offer.pricing is Pricing.INTERRUPTIBLE:
            yield Contradiction(
                ((*here, "offer", "pricing"), (*here, "spares", "kind")),
                f"stream '{stream.name}': a spare that stands still is rented on demand, for a bid that"
                " is stopped must be won again: keep warm ones, or let pricing be on_demand or"
                " interruptible_with_fallback",
            )
        if spares.start_within_s <= settings.fleet.list_interval_busy_s:
            yield Contradiction(
                (("fleet", "list_interval_busy_s"), (*here, "spares", "start_within_s")),
                f"stream '{stream.name}': start_within_s ({spares.start_within_s:g}) must be above"
                f" fleet.{_said(settings.fleet, 'list_interval_busy_s')}: a start would be given up"
                " before a list can show it",
            )


def _windows(settings: Settings) -> Iterator[Contradiction]:
    """Find windows that are called alike, or never close."""
    zone = settings.maintenance.time_zone
    places: list[tuple[Place, tuple[WindowSection, ...]]] = [
        (("maintenance", "windows"), settings.maintenance.windows)
    ]
    places += [
        (("streams", index, "windows"), stream.windows)
        for index, stream in enumerate(settings.streams)
    ]
    for above, sections in places:
        yield from _repeated([each.name for each in sections], above, "window")
        for index, section in enumerate(sections):
            here: Place = (*above, index)
            if section.allow is not Allowance.REPLACE and _never_closes(section, zone):
                yield Contradiction(
                    ((*here, "cron"), (*here, "for_s")),
                    f"window '{section.name}' opens again before it closes, so nothing that it"
                    " forbids could ever be done: shorten for_s, or use `mode` for what is to last",
                )


def _never_closes(section: WindowSection, zone: str) -> bool:
    from keeper.daemon.cadence import CronOpenings  # noqa: PLC0415 - 80 ms that few files need

    openings = CronOpenings(section.cron, section.time_zone or zone)
    at: datetime | None = _SOME_YEAR
    for _ in range(_OPENINGS_LOOKED_AT):
        coming = None if at is None else openings.next(at)
        if at is None or coming is None:
            return False
        if at is not _SOME_YEAR and (coming - at).total_seconds() > section.for_s:
            return False
        at = coming
    return True


def _caps(settings: Settings) -> Iterator[Contradiction]:
    """Find a cap that a cap on a longer period makes meaningless."""
    places: list[tuple[Place, Any, str]] = [(("fleet",), settings.fleet, "fleet")]
    places += [
        (("streams", index), stream, f"stream '{stream.name}'")
        for index, stream in enumerate(settings.streams)
    ]
    for place, section, name in places:
        written = [key for key in _CAPS if getattr(section, key) is not None]
        for short, long in pairwise(written):
            if getattr(section, short) > getattr(section, long):
                yield Contradiction(
                    ((*place, short), (*place, long)),
                    f"{name}: {_said(section, short)} must not exceed {_said(section, long)}",
                )


def _http(settings: Settings) -> Iterator[Contradiction]:
    host = parse_address(settings.http.listen).host
    if settings.http.token is None and not _is_loopback(host):
        yield Contradiction(
            (("http", "listen"),),
            f"{settings.http.listen} can be reached from outside, and there is no http.token: set "
            "KEEPER_HTTP__TOKEN, the credential http_token or http.token_file, or listen on "
            "127.0.0.1",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ssh(settings: Settings) -> Iterator[Contradiction]:
    path = settings.ssh.private_key_file
    if path is not None and not path.is_file():
        yield Contradiction(
            (("ssh", "private_key_file"),),
            f"there is no SSH key at {path}: make one with "
            f"`ssh-keygen -t ed25519 -N '' -f {path}`, or leave the key out and keeper makes its "
            "own in state_dir",
        )
