"""What the daemon is given: the ports it works through and the configuration it works for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from keeper.alerts import Channel, Feed
from keeper.alerts.dispatch import Numbers
from keeper.core.model import Desired, StreamName
from keeper.daemon.slate import DeclaredSlate
from keeper.daemon.windows import DeclaredWindow, Openings
from keeper.ports import (
    Address,
    Archive,
    Cadence,
    Clock,
    Foresight,
    Heartbeat,
    Hosts,
    Marketplace,
    Network,
    Relay,
    Sink,
    Slates,
    Store,
)
from keeper.workloads import Workload
from keeper.workloads.identity import Made
from keeper.workloads.viewing import Aids


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside, as wired by bootstrap."""

    marketplace: Marketplace
    hosts: Hosts
    network: Network
    store: Store
    clock: Clock
    cadence: Cadence
    heartbeat: Heartbeat
    sink: Sink
    slates: Slates | None = None  # None: viewers are shown nothing by keeper itself
    archive: Archive | None = None  # None: nothing is kept beside the journal
    foresight: Foresight | None = None  # of a simulated world; None: every beat is kept
    relay: Relay | None = None  # None: no library that hands messages on is installed


def nothing_to_hide(text: str) -> str:
    """Return a text as it is: there are no secrets."""
    return text


def nothing_again(_stream: StreamName, _recipe: str) -> Made | None:
    """Make nothing again: there are no recipes."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """Who hears of every interval in which ticks finished. The address is a secret."""

    url: str = field(repr=False)
    interval_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSecrets:
    """What those who may hint prove themselves with; "": nobody may."""

    vast: str = field(default="", repr=False)
    alertmanager: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A configuration, as core values and plug-ins."""

    desired: Desired
    workloads: Mapping[StreamName, Workload]
    config_hash: int | None = None  # a number that stands for all of it; None: it was not read
    channels: tuple[Channel, ...] = ()
    feeds: tuple[Feed, ...] = ()
    channel_kinds: Mapping[str, str] = field(default_factory=dict)  # by name
    channel_marks: Mapping[str, str] = field(default_factory=dict)  # of how each is declared
    pulse: Pulse | None = None
    hooks: HookSecrets = field(default_factory=HookSecrets)
    runbooks_url: str = ""  # where docs/runbooks is served
    digest: Openings | None = None  # when people get the week in numbers; None: never
    alert_numbers: Numbers = field(default_factory=Numbers)
    canary_addresses: tuple[Address, ...] = ()
    canary_interval_s: float = 30.0
    retention_days: float = 30.0
    windows: tuple[DeclaredWindow, ...] = ()
    slates: Mapping[StreamName, DeclaredSlate] = field(default_factory=dict)
    register_ssh_key: bool = False  # with the account, where the marketplace's proxy looks for it
    api_url: str = ""  # of the marketplace, for hosts that stop themselves; "": none can
    # What this box has for its looks: addresses that are secrets, and how scenes look.
    aids: Aids = field(default_factory=Aids)
    # Takes the secrets out of what hosts and errors say, before anything remembers or repeats it.
    redact: Callable[[str], str] = nothing_to_hide
    # Makes a workload that was declared before, from what the store keeps of it.
    remake: Callable[[StreamName, str], Made | None] = nothing_again


def changes(before: Declared, after: Declared) -> tuple[str, ...]:
    """Name what a new configuration changes, for the report of a reload."""
    old = {stream.name: stream for stream in before.desired.streams}
    new = {stream.name: stream for stream in after.desired.streams}
    return (
        *(f"added {name}" for name in new if name not in old),
        *(f"removed {name}" for name in old if name not in new),
        *(
            f"changed {name}"
            for name in new
            if name in old
            and (new[name] != old[name] or after.workloads[name] != before.workloads.get(name))
        ),
        *(("changed fleet",) if before.desired.fleet != after.desired.fleet else ()),
        *(("changed hooks",) if before.hooks != after.hooks else ()),
        *(("changed slates",) if before.slates != after.slates else ()),
        *(("changed windows",) if before.windows != after.windows else ()),
        *(("changed views",) if before.aids != after.aids else ()),
        *(("changed alerts",) if _told_by(before) != _told_by(after) else ()),
    )


def _told_by(declared: Declared) -> tuple[object, ...]:
    """Return what says whom keeper tells, and when."""
    return (
        declared.channel_marks,
        declared.alert_numbers,
        declared.pulse,
        declared.digest,
    )
