"""What the simulated operator declares: the streams of a campaign, as a configuration would.

Short timers are production's; only the channel and the canary point into the simulation.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from keeper.alerts import registered_channels
from keeper.core.model import (
    Desired,
    FleetPolicy,
    Mode,
    OfferNeeds,
    Policy,
    Pricing,
    Stream,
    StreamName,
)
from keeper.daemon.declared import Declared
from keeper.sim.evidence import Bounds, Caps
from keeper.sim.limits import SPACING_S
from keeper.sim.memory import API_KEY, CANARY, MAILBOX_URL
from keeper.telemetry.redact import Redactor
from keeper.workloads import Workload, registered

DEFAULT_STREAMS: Mapping[str, int] = {"duel": 1, "turbo": 1}
DEFAULT_BIDDERS: frozenset[str] = frozenset({"turbo"})  # streams that bid, and fall back
_WORKLOAD = "sd-turbo"
# So low that what owners raise, and what rivals bid for the better machines, can be above it.
_NEEDS = OfferNeeds(price_max_dollars_per_hour=0.9)
_BIDDERS_NEEDS = OfferNeeds(
    pricing=Pricing.INTERRUPTIBLE_WITH_FALLBACK, price_max_dollars_per_hour=0.6
)


_STREAM_DOLLARS_PER_HOUR = 5.0
# Nothing else looks like these, so that whoever searches for them finds a leak and no accident.
SIGNING_SECRET = f"whsec_{b64encode(b'canary of the mailbox signing key').decode()}"


def secret_of(stream: str) -> str:
    """Return the secret of a stream, which its own hosts get and nobody else."""
    return f"canary-{stream}-f3e91c7a5d"


def secrets(streams: Collection[str]) -> Mapping[str, str]:
    """Return every secret, and the stream on whose hosts it may be; "": on none."""
    return {API_KEY: "", SIGNING_SECRET: "", **{secret_of(name): name for name in streams}}


def declared(
    streams: Mapping[str, int],
    bidders: Collection[str] = (),
    day_caps: Mapping[str, float] = MappingProxyType({}),
) -> Declared:
    """Return the declaration of these streams (replicas by name), some of which bid.

    ``day_caps``: what a stream may cost in a day, if anything is said.
    """
    kind = registered()[_WORKLOAD]
    settings = kind.settings.model_validate({"kind": _WORKLOAD})
    workloads = {name: kind.build(settings, {"STREAM_KEY": secret_of(name)}) for name in streams}
    webhook = registered_channels()["webhook"]
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
    return Declared(
        desired=Desired(
            streams=tuple(
                replace(
                    _stream(name, replicas, workloads[name], is_bidder=name in bidders),
                    spend_max_dollars_per_day=day_caps.get(name),
                )
                for name, replicas in streams.items()
            ),
            fleet=FleetPolicy(),
        ),
        workloads={StreamName(name): workload for name, workload in workloads.items()},
        channels=(channel,),
        canary_addresses=(CANARY,),
        redact=Redactor(secrets(streams)).text,
    )


def _stream(name: str, replicas: int, workload: Workload, *, is_bidder: bool) -> Stream:
    """Return a stream as the settings would: what is priced is the disk that is rented."""
    wanted = _BIDDERS_NEEDS if is_bidder else _NEEDS
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
        spend_max_dollars_per_hour=_STREAM_DOLLARS_PER_HOUR,
    )


def bounds(
    converge_s: float,
    streams: Collection[str] = (),
    bidders: Collection[str] = (),
    day_caps: Mapping[str, float] = MappingProxyType({}),
) -> Bounds:
    """Return the same numbers in the auditor's words."""
    policy = Policy()
    return Bounds(
        restarts_max=policy.restarts_max,
        restarts_window_s=policy.restarts_window_s,
        restarts_forgiven_s=policy.restarts_forgiven_s,
        workload_restarts_max=policy.workload_restarts_max,
        reboots_max=policy.reboots_max,
        climb_window_s=policy.workload_restarts_window_s,
        replacements_max=policy.replacements_max,
        replacements_window_s=policy.replacements_window_s,
        settle_s=policy.create_settle_s,
        absence_apart_s=policy.absence_apart_s,
        converge_s=converge_s,
        ending_s=policy.contract_ending_s,
        drift_ratio=policy.price_drift_max_ratio,
        price_max_dollars_per_hour={
            name: (_BIDDERS_NEEDS if name in bidders else _NEEDS).price_max_dollars_per_hour
            for name in streams
        },
        caps={
            "": Caps(per_hour=FleetPolicy().spend_max_dollars_per_hour),
            **{
                name: Caps(per_hour=_STREAM_DOLLARS_PER_HOUR, per_day=day_caps.get(name))
                for name in streams
            },
        },
        spacing_s={
            (method, path): spacing_s
            for endpoint, spacing_s in SPACING_S.items()
            for method, _, path in (endpoint.partition(" "),)
        },
    )
