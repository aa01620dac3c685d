"""Where Prometheus finds the GPU hosts: its own discovery format, read off the last snapshot. Pure.

https://prometheus.io/docs/prometheus/latest/http_sd/ (read 2026-11): 200, application/json, a list of
groups; an error leaves Prometheus with the list that it had.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from keeper.core.model import Instance, InstanceId, SlotRecord, Tenure, is_spare, stream_of
from keeper.core.text import plain
from keeper.core.world import Snapshot

PORT_DEFAULT = 9400  # of DCGM's exporter
PORT_MAX = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """One host, as Prometheus takes it. Its labels are gone after relabelling, unless they are kept there."""

    targets: tuple[str, ...]  # always one: "address:port", as seen from outside
    labels: Mapping[str, str]


def targets_of(snapshot: Snapshot, port: int) -> tuple[TargetGroup, ...]:
    """List the hosts that open a TCP port of their container, by slot; the others are left out."""
    listing = snapshot.world.listing
    listed = {} if listing is None else {each.instance_id: each for each in listing.instances}
    return tuple(
        group
        for slot in sorted(snapshot.records)
        for group in _of_slot(snapshot.records[slot], listed, port)
    )


def _of_slot(
    record: SlotRecord, listed: Mapping[InstanceId, Instance], port: int
) -> Iterator[TargetGroup]:
    serving = "spare" if is_spare(record.slot) else "serving"
    for tenure, role in ((record.tenure, serving), (record.incoming, "incoming")):
        instance = _listed(tenure, listed)
        if tenure is None or instance is None or not instance.is_meant_to_run:
            continue
        address, outside = _address(instance.public_ip), instance.ports.get(f"{port}/tcp")
        if address and outside:
            yield TargetGroup(
                targets=(f"{address}:{outside}",),
                labels={
                    "__meta_keeper_stream": plain(stream_of(record.slot), 128),
                    "__meta_keeper_slot": plain(record.slot, 128),
                    "__meta_keeper_role": role,
                    "__meta_keeper_gpu": plain(tenure.gpu_name, 60),
                    "__meta_keeper_machine": str(int(tenure.machine_id)),
                    "__meta_keeper_country": plain(instance.geolocation, 8),
                },
            )


def _listed(tenure: Tenure | None, listed: Mapping[InstanceId, Instance]) -> Instance | None:
    if tenure is None or tenure.instance_id is None:
        return None
    return listed.get(tenure.instance_id)


def _address(said: str) -> str:
    """Return an address as it is written before a port; a host's name for itself is none."""
    try:
        address = ipaddress.ip_address(said)
    except ValueError:
        return ""
    return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - IPv6
