"""One rental as people and programs are shown it: from its tenure, and from the listing where it is listed.

Pure. Everything that a host or the marketplace wrote is made plain here.
"""

from __future__ import annotations

from datetime import datetime

from keeper.core.model import Instance, Stream, Tenure
from keeper.core.text import plain
from keeper.web.money import parts_of, spent_dollars
from keeper.web.shapes import HostStatus

_PINS_MAX = 8


def host_status(
    tenure: Tenure, listed: Instance | None, stream: Stream | None, now: datetime
) -> HostStatus:
    """Describe a rental. ``listed`` None: not in the last complete listing, or there is none."""
    parts = parts_of(tenure, listed)
    return HostStatus(
        instance_id=tenure.instance_id,
        label=tenure.label,
        machine_id=tenure.machine_id,
        host_id=tenure.host_id,
        gpu_name=plain(tenure.gpu_name, 60),
        geolocation=plain(listed.geolocation, 8) if listed is not None else "",
        public_ip=plain(listed.public_ip, 60) if listed is not None else "",
        market_state=listed.state.value if listed is not None else "",
        market_text=plain(listed.status_text, 200) if listed is not None else "",
        dollars_per_hour=parts.dollars_per_hour,
        requested_at=tenure.requested_at,
        rented_at=tenure.rented_at,
        deployed_at=tenure.deployed_at,
        first_live_at=tenure.first_live_at,
        ends_at=(listed.ends_at if listed is not None else None) or tenure.ends_at,
        ssh_addresses=_ssh_addresses(listed),
        host_key="\n".join(plain(pin, 1000) for pin in tenure.host_key.splitlines()[:_PINS_MAX]),
        gpu_ram_gb=(listed.gpu_ram_gb if listed is not None else 0.0) or tenure.gpu_ram_gb or None,
        disk_gb=_disk_gb(listed, stream),
        gpu_dollars_per_hour=parts.gpu_dollars_per_hour,
        disk_dollars_per_hour=parts.disk_dollars_per_hour,
        traffic_dollars_per_hour=tenure.traffic_dollars_per_hour,
        is_bid=tenure.is_bid or (listed is not None and listed.is_bid),
        min_bid_dollars_per_hour=(
            (listed.min_bid_dollars_per_hour or None) if listed is not None else None
        ),
        running_at=tenure.running_at,
        spent_dollars=spent_dollars(tenure, parts, now),
        outbid_since=tenure.outbid_since,
        ending_since=tenure.ending_since,
        offer_id=tenure.offer_id or None,
        revision=tenure.revision,
        putting=tenure.putting,
    )


def _disk_gb(listed: Instance | None, stream: Stream | None) -> float | None:
    """Return the disk as listed, else as it was asked for."""
    if listed is not None and listed.disk_gb:
        return listed.disk_gb
    return stream.rental.disk_gb if stream is not None else None


def _ssh_addresses(listed: Instance | None) -> tuple[str, ...]:
    if listed is None:
        return ()
    direct = listed.ports.get("22/tcp")
    candidates = ((listed.public_ip, direct), (listed.ssh_host, listed.ssh_port))
    return tuple(f"{plain(host, 100)}:{port}" for host, port in candidates if host and port)
