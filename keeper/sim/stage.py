"""What the simulated operator declares: the streams of a campaign, as a configuration would.

Short timers are production's; only the channel and the canary point into the simulation.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from keeper.alerts import registered_channels
from keeper.core.model import (
    Desired,
    FleetPolicy,
    Mode,
    OfferNeeds,
    Policy,
    Pricing,
    Publishers,
    Stream,
    StreamName,
)
from keeper.core.spare import SpareKind, Spares
from keeper.core.windows import Allowance
from keeper.daemon.declared import Declared
from keeper.daemon.windows import DeclaredWindow
from keeper.sim.ailing import made_to_ail
from keeper.sim.evidence import Bounds, Caps, SpareBounds
from keeper.sim.fleets import NOTHING, REPLACE, Habits, Opening, Spared
from keeper.sim.limits import SPACING_S
from keeper.sim.memory import API_KEY, CANARY, MAILBOX_URL
from keeper.telemetry.redact import Redactor
from keeper.workloads import Workload, registered

_WORKLOAD = "sd-turbo"
# The simplest that is seen from outside, on any host.
_DECLARED = {
    "kind": _WORKLOAD,
    "generator": "test-card",
    "bind": "0.0.0.0",  # noqa: S104 - of a host that does not exist
    "target_frames_per_s": 10.0,
}
# So low that what owners raise, and what rivals bid for the better machines, can be above it.
_NEEDS = OfferNeeds(price_max_dollars_per_hour=0.9)
_BIDDERS_NEEDS = OfferNeeds(
    pricing=Pricing.INTERRUPTIBLE_WITH_FALLBACK, price_max_dollars_per_hour=0.6
)

_BIDS_ONLY_NEEDS = replace(_BIDDERS_NEEDS, pricing=Pricing.INTERRUPTIBLE)
_STREAM_DOLLARS_PER_HOUR = 5.0
_NO_HABITS = Habits()
_API_URL = "https://market.simulated"  # for hosts; what they ask is not sent anywhere
# Nothing else looks like these, so that whoever searches for them finds a leak and no accident.
SIGNING_SECRET = f"whsec_{b64encode(b'canary of the mailbox signing key').decode()}"


def secret_of(stream: str) -> str:
    """Return the secret of a stream, which its own hosts get and nobody else."""
    return f"canary-{stream}-f3e91c7a5d"


def secrets(streams: Collection[str]) -> Mapping[str, str]:
    """Return every secret, and the stream on whose hosts it may be; "": on none."""
    return {API_KEY: "", SIGNING_SECRET: "", **{secret_of(name): name for name in streams}}


@dataclass(frozen=True, slots=True)
class _Daily:
    """The Openings of a window that opens each day at an hour of UTC."""

    at_hour: int

    def latest(self, now: datetime, within_s: float) -> datetime | None:
        """Return the latest opening that is not in the future and at most so long ago."""
        opened_at = self._on(now) if self._on(now) <= now else self._on(now) - timedelta(days=1)
        return opened_at if (now - opened_at).total_seconds() <= within_s else None

    def next(self, now: datetime) -> datetime | None:
        """Return the first opening after now."""
        return self._on(now) if self._on(now) > now else self._on(now) + timedelta(days=1)

    def _on(self, day: datetime) -> datetime:
        return day.astimezone(UTC).replace(hour=self.at_hour, minute=0, second=0, microsecond=0)


def declared(
    streams: Mapping[str, int],
    bidders: Collection[str] = (),
    day_caps: Mapping[str, float] = NOTHING,
    habits: Habits = _NO_HABITS,
    passed_s: float = 0.0,
) -> Declared:
    """Return the declaration of these streams (replicas by name), some of which bid.

    ``day_caps``: what a stream may cost in a day, if anything is said. ``passed_s``: of the run, for
    modes that hold for a while.
    """
    kind = registered()[_WORKLOAD]
    settings = kind.settings.model_validate(_DECLARED)
    workloads = {
        name: made_to_ail(kind.build(settings, {"STREAM_KEY": secret_of(name)})) for name in streams
    }
    webhook = registered_channels()["webhook"]
    assert webhook.build is not None
    channel = webhook.build(
        webhook.settings.model_validate(
            {
                "kind": "webhook",
                "name": "mailbox",
                "url": f"{MAILBOX_URL}ops",
                "signing_secret": "MAILBOX_KEY",
            }
        ),
        {"MAILBOX_KEY": SIGNING_SECRET},
    )
    modes = {**habits.watched} | {
        spell.stream: spell.mode
        for spell in habits.spells
        if spell.since_s <= passed_s < spell.until_s
    }
    fleet = FleetPolicy()
    return Declared(
        desired=Desired(
            streams=tuple(
                replace(
                    _stream(name, replicas, workloads[name], _needs_of(name, bidders, habits)),
                    mode=Mode(modes.get(name, Mode.ACT)),
                    spend_max_dollars_per_hour=habits.hour_caps.get(name, _STREAM_DOLLARS_PER_HOUR),
                    spend_max_dollars_per_day=day_caps.get(name),
                    spend_max_dollars_per_month=habits.month_caps.get(name),
                    spend_max_dollars_total=habits.total_caps.get(name),
                    policy=_policy(habits),
                    recycle_after_s=habits.recycle_after_s,
                    spares=_spares(habits.spares.get(name)),
                    publishers=Publishers.ONE
                    if name in habits.one_publisher
                    else Publishers.SEVERAL,
                    has_replace_windows=any(
                        each.allow == REPLACE and each.stream in {"", name}
                        for each in habits.windows
                    ),
                )
                for name, replicas in streams.items()
            ),
            fleet=replace(
                fleet,
                spend_max_dollars_per_hour=habits.hour_caps.get(
                    "", fleet.spend_max_dollars_per_hour
                ),
                spend_max_dollars_per_day=day_caps.get(""),
                spend_max_dollars_per_month=habits.month_caps.get(""),
                spend_max_dollars_total=habits.total_caps.get(""),
            ),
        ),
        workloads={StreamName(name): workload for name, workload in workloads.items()},
        channels=(channel,),
        canary_addresses=(CANARY,),
        api_url="" if habits.dead_man_after_s is None else _API_URL,
        redact=Redactor(secrets(streams)).text,
        windows=tuple(_window(each) for each in habits.windows),
    )


def _policy(habits: Habits) -> Policy:
    policy = replace(Policy(), dead_man_after_s=habits.dead_man_after_s)
    if habits.audition_max_dollars is None:
        return policy
    return replace(policy, audition_max_dollars=habits.audition_max_dollars)


def _spares(wanted: Spared | None) -> Spares:
    if wanted is None:
        return Spares()
    return Spares(
        count=wanted.count,
        kind=SpareKind.STOPPED if wanted.stands_still else SpareKind.WARM,
        max_dollars_per_hour=wanted.dollars_per_hour,
        expire_after_s=wanted.expire_after_s,
        is_started=wanted.is_started,
    )


def _window(opening: Opening) -> DeclaredWindow:
    return DeclaredWindow(
        name=f"{opening.allow} at {opening.at_hour}",
        openings=_Daily(opening.at_hour),
        for_s=opening.for_s,
        allow=Allowance(opening.allow),
        stream=StreamName(opening.stream) if opening.stream else None,
    )


def _needs_of(name: str, bidders: Collection[str], habits: Habits) -> OfferNeeds:
    if name in habits.bids_only:
        return _BIDS_ONLY_NEEDS
    return _BIDDERS_NEEDS if name in bidders else _NEEDS


def _stream(name: str, replicas: int, workload: Workload, wanted: OfferNeeds) -> Stream:
    """Return a stream as the settings would: what is priced is the disk that is rented."""
    needs, rental = workload.needs(wanted), workload.rental()
    disk_gb = max(needs.disk_gb, rental.disk_gb)
    return Stream(
        name=StreamName(name),
        replicas=replicas,
        mode=Mode.ACT,
        needs=replace(needs, disk_gb=disk_gb),
        rental=replace(rental, disk_gb=disk_gb),
        policy=Policy(),
        rungs=workload.rungs(),
    )


def bounds(
    converge_s: float,
    streams: Collection[str] = (),
    bidders: Collection[str] = (),
    day_caps: Mapping[str, float] = NOTHING,
    habits: Habits = _NO_HABITS,
) -> Bounds:
    """Return the same numbers in the auditor's words."""
    policy, fleet = _policy(habits), FleetPolicy()
    per_hour = {"": fleet.spend_max_dollars_per_hour}
    per_hour |= dict.fromkeys(streams, _STREAM_DOLLARS_PER_HOUR)
    return Bounds(
        restarts_max=policy.restarts_max,
        restarts_window_s=policy.restarts_window_s,
        restarts_forgiven_s=policy.restarts_forgiven_s,
        workload_restarts_max=policy.workload_restarts_max,
        reboots_max=policy.reboots_max,
        climb_window_s=policy.workload_restarts_window_s,
        replacements_max=policy.replacements_max,
        dark_dollars_max=policy.dark_spend_max_dollars,
        replacements_window_s=policy.replacements_window_s,
        settle_s=policy.create_settle_s,
        absence_apart_s=policy.absence_apart_s,
        converge_s=converge_s,
        ending_s=policy.contract_ending_s,
        drift_ratio=policy.price_drift_max_ratio,
        recycle_after_s=habits.recycle_after_s,
        audition_max_s=policy.audition_max_s,
        audition_max_dollars=policy.audition_max_dollars,
        replacements_apart_s=policy.replacements_apart_s,
        replacements_in_flight_max=fleet.replacements_in_flight_max,
        bid_margins={
            name: _needs_of(name, bidders, habits).bid_margin_ratio
            for name in streams
            if name in bidders or name in habits.bids_only
        },
        bids_only=habits.bids_only,
        one_publisher=habits.one_publisher,
        spares={
            name: SpareBounds(
                count=each.count,
                dollars_per_hour=each.dollars_per_hour,
                expire_after_s=each.expire_after_s,
            )
            for name, each in habits.spares.items()
        },
        price_max_dollars_per_hour={
            name: _needs_of(name, bidders, habits).price_max_dollars_per_hour for name in streams
        },
        caps={
            name: Caps(
                per_hour=habits.hour_caps.get(name, dollars),
                per_day=day_caps.get(name),
                per_month=habits.month_caps.get(name),
                total=habits.total_caps.get(name),
            )
            for name, dollars in per_hour.items()
        },
        spacing_s={
            (method, path): spacing_s
            for endpoint, spacing_s in SPACING_S.items()
            for method, _, path in (endpoint.partition(" "),)
        },
    )
