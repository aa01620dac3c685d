"""The way to a slot's host: its entrances, the key that each must show, and the port of its viewers. Pure.

Everything that a host or the marketplace wrote is made plain here. A pin is a line "<kind> <key>" of
the container's own, with a third word where the marketplace's relay of that name shows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from keeper.core.model import ConditionKind, Instance, SlotId, SlotRecord, Tenure, stream_of
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.text import plain
from keeper.core.world import Snapshot

_PIN_MAX = 2000
_PINS_MAX = 8
_OWN_WORDS = 2  # of a pin without a relay's name


@dataclass(frozen=True, slots=True, kw_only=True)
class EntranceStatus:
    """One way to a host's SSH server."""

    host: str
    port: int
    is_relay: bool  # the marketplace's own machine stands there and shows its own key
    host_key: str  # pinned at first contact; "": keeper has not been there yet


@dataclass(frozen=True, slots=True, kw_only=True)
class WayStatus:
    """Where a slot is now. Without an ``instance_id`` it is nowhere."""

    tick: int
    slot: str
    stream: str
    instance_id: int | None
    entrances: tuple[EntranceStatus, ...]  # the direct way before the relay
    view_port: int | None  # of the container; None: nothing is declared
    is_key_changed: bool  # the host shows another key than the pinned one: nobody should log in
    why: str  # why there is no way now; "": there is one
    key_file: str = ""  # on keeper's own box: the private key that hosts know


def way_of(
    snapshot: Snapshot, slot: SlotId, view_port: int | None, key_file: str = ""
) -> WayStatus | None:
    """Describe the way to the host that serves a slot; None when there is no such slot."""
    record = snapshot.records.get(slot)
    if record is None:
        return None
    tenure = record.tenure
    listing = snapshot.world.listing
    listed = {each.instance_id: each for each in listing.instances} if listing is not None else {}
    instance_id = tenure.instance_id if tenure is not None else None
    instance = listed.get(instance_id) if instance_id is not None else None
    is_key_changed = tenure is not None and _is_key_changed(tenure)
    pins = tenure.host_key if tenure is not None else ""
    entrances = tuple(_entrances(instance, pins)) if instance is not None else ()
    return WayStatus(
        tick=snapshot.tick,
        slot=slot,
        stream=stream_of(slot),
        instance_id=instance_id,
        entrances=entrances,
        view_port=view_port,
        is_key_changed=is_key_changed,
        why=_why(record, entrances, is_key_changed=is_key_changed),
        key_file=key_file,
    )


def _is_key_changed(tenure: Tenure) -> bool:
    return any(
        each.kind is ConditionKind.REACHABLE and each.reason is Reason.HOST_KEY_CHANGED
        for each in tenure.conditions
    )


def _entrances(instance: Instance, pins: str) -> Iterable[EntranceStatus]:
    own, of_relay = _pins(pins)
    direct = instance.ports.get("22/tcp")
    if instance.public_ip and direct:
        yield EntranceStatus(
            host=plain(instance.public_ip, 100), port=direct, is_relay=False, host_key=own
        )
    if instance.ssh_host and instance.ssh_port:
        yield EntranceStatus(
            host=plain(instance.ssh_host, 100),
            port=instance.ssh_port,
            is_relay=True,
            host_key=of_relay.get(instance.ssh_host, ""),
        )


def _pins(pins: str) -> tuple[str, dict[str, str]]:
    """Return the container's own key, and those of relays by their names."""
    own = ""
    of_relay: dict[str, str] = {}
    for line in pins.splitlines()[:_PINS_MAX]:
        words = [plain(word, _PIN_MAX) for word in line.split()]
        if len(words) == _OWN_WORDS:
            own = own or " ".join(words)
        elif len(words) > _OWN_WORDS:
            of_relay.setdefault(words[2], " ".join(words[:2]))
    return own, of_relay


def _why(record: SlotRecord, entrances: tuple[EntranceStatus, ...], *, is_key_changed: bool) -> str:
    tenure = record.tenure
    if tenure is None or tenure.instance_id is None:
        return "it has no host now"
    name = f"instance {int(tenure.instance_id)}"
    if is_key_changed:
        return f"{name}: {SENTENCE[Reason.HOST_KEY_CHANGED]}"
    if not entrances:
        return f"the marketplace shows no SSH address of {name} now"
    if not any(each.host_key for each in entrances):
        return f"keeper has not logged in to {name} yet, so nobody knows its key"
    return ""
