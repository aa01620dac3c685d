"""One rental as its witnesses see it: what runs there, how to get in, how often to look. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.core.model import Instance, SlotId
from keeper.ports import Address
from keeper.workloads import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One rental to be watched."""

    slot: SlotId
    instance: Instance
    workload: Workload
    pinned_host_key: str
    is_deployed: bool
    probe_interval_s: float
    probe_timeout_s: float
    probe_stale_s: float
    dead_man_after_s: float | None = None
    is_guarded: bool = False
    is_incoming: bool = False  # another host serves until this one has proven itself
    is_handing_over: bool = False  # there are two of the slot, and this is either

    @property
    def entrances(self) -> tuple[Address, ...]:
        """Ways to the SSH server: direct first, the marketplace's relay second; either may fail alone."""
        instance, found = self.instance, []
        direct = instance.ports.get("22/tcp")
        if direct and instance.public_ip:
            found.append(Address(host=instance.public_ip, port=direct))
        if instance.ssh_host and instance.ssh_port:
            found.append(Address(host=instance.ssh_host, port=instance.ssh_port, is_relay=True))
        return tuple(found)
