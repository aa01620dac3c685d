"""One rental as the marketplace really has it, and as its reads show it.

The truth (is the container up, is the machine reachable) and the report (four status words) are
separate, because on the live service they disagree in both directions for seconds to minutes.
It bills itself by the second. It knows nothing of other rentals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from keeper.sim.catalog import (
    Machine,
    hardware_row,
    price_row,
    storage_dollars_per_hour,
)
from keeper.sim.faults import FaultKind

HOUR_S = 3600.0


class Box(StrEnum):
    """What is true of the container, whatever reads say."""

    ABSENT = "absent"  # not made yet: image pull, or it failed
    UP = "up"
    RESTARTING = "restarting"
    DOWN = "down"  # stopped, with its disk
    GONE = "gone"  # destroyed


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where a container can be reached: its published ports, and the SSH proxy."""

    public_ip: str
    ports: Mapping[str, int]  # "22/tcp" -> port on public_ip
    ssh_host: str
    ssh_port: int


@dataclass(slots=True, kw_only=True)
class Contract:
    """A rental, mutable, owned by the market alone; the host side only reads it."""

    instance_id: int
    offer_id: int
    machine: Machine
    gpus: range
    label: str | None
    image: str
    disk_gb: float
    env: Mapping[str, str]  # as sent: names and "-p 8000:8000" flags
    onstart: str
    runtype: str
    gpu_dollars_per_hour: float
    is_bid: bool
    offered_dollars_per_hour: float  # by the open offer, with the disk really taken; 0.0: a bid
    understated_dollars_per_hour: float  # by a search that lied about it; 0.0: none did
    created_at: float
    visible_at: float
    end_at: float  # when the owner takes the machine back
    api_key: str
    # the truth
    box: Box = Box.ABSENT
    is_reachable: bool = True  # the machine has its network
    is_vanished: bool = False  # the machine will never come back
    is_outbid: bool = False  # stopped because somebody bids more, or rents on demand
    is_expired: bool = False
    endpoints: Endpoints | None = None
    ssh_ready_at: float = 0.0
    incarnation: int = 0  # of the container's disk: a recycle makes a new one
    stage: int = 0  # scheduled steps of an older stage are void
    keys: list[str] = field(default_factory=list)  # authorised public keys
    # the report
    actual: str | None = None
    intended: str = "running"
    current: str = "running"
    upcoming: str = "running"
    message: str | None = None
    overlays: set[FaultKind] = field(default_factory=set)  # lies about it that last
    # the bill
    dollars: float = 0.0
    billed_at: float = 0.0
    ended_at: float | None = None

    @property
    def tenant(self) -> str:
        """The word by which its GPUs are occupied."""
        return f"rental:{self.instance_id}"

    @property
    def storage_dollars_per_hour(self) -> float:
        """What its disk costs."""
        return storage_dollars_per_hour(self.machine, self.disk_gb)

    @property
    def dollars_per_hour(self) -> float:
        """The price when running, with the disk really taken."""
        return self.gpu_dollars_per_hour + self.storage_dollars_per_hour

    @property
    def burn_dollars_per_hour(self) -> float:
        """What it costs right now: GPU while up, the disk always, nothing while offline."""
        if self.box is Box.GONE or not self.is_reachable:
            return 0.0
        gpu = self.gpu_dollars_per_hour if self.box in {Box.UP, Box.RESTARTING} else 0.0
        return gpu + self.storage_dollars_per_hour

    def bill(self, now: float) -> None:
        """Charge for the time since the last bill, at the rate that held since then."""
        self.dollars += max(0.0, now - self.billed_at) / HOUR_S * self.burn_dollars_per_hour
        self.billed_at = now

    @property
    def bid_reaches_floor(self) -> bool:
        """Whether its bid is as high as the machine's floor now."""
        return self.gpu_dollars_per_hour >= self.machine.min_bid(self.gpus)

    def reprice(self, gpu_dollars_per_hour: float, now: float) -> None:
        """Change the GPU part of its price from now on."""
        self.bill(now)
        self.gpu_dollars_per_hour = gpu_dollars_per_hour

    @property
    def published_ports(self) -> tuple[str, ...]:
        """Return the container ports that the create asked for, as "8000/tcp".

        A direct launch mode publishes its own beside them: 22 for SSH, 8080 for Jupyter.
        """
        wanted = ["22/tcp"] if "ssh_direc" in self.runtype else []
        wanted += ["8080/tcp"] if "jupyter_direc" in self.runtype else []
        for name in self.env:
            if name.startswith("-p "):
                inside = name[3:].strip().rpartition(":")[2]
                wanted.append(inside if "/" in inside else f"{inside}/tcp")
        return tuple(dict.fromkeys(wanted))

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of the container, without the docker flags.

        Its id and its own key come from the marketplace (docs and the official images, read 2026-08).
        """
        own = {"CONTAINER_ID": str(self.instance_id), "CONTAINER_API_KEY": self.api_key}
        return own | {
            name: str(value) for name, value in self.env.items() if not name.startswith("-")
        }


def instance_row(contract: Contract, now: float) -> dict[str, Any]:
    """Return a rental as a read shows it. During boot there is little more than the id."""
    machine = contract.machine
    row: dict[str, Any] = {
        "id": contract.instance_id,
        "machine_id": machine.machine_id,
        "host_id": machine.host_id,
        "label": contract.label,
        "actual_status": contract.actual,
        "intended_status": contract.intended,
        "cur_state": contract.current,
        "next_state": contract.upcoming,
        "status_msg": contract.message,
        # The official command line stumbles over a row without these two.
        "start_date": contract.created_at,
        "extra_env": [[name, str(value)] for name, value in contract.env.items()],
    }
    if contract.actual is None:
        return row
    endpoints = contract.endpoints
    is_up = contract.box is Box.UP
    row |= hardware_row(machine, contract.gpus)
    row |= price_row(machine, contract.gpu_dollars_per_hour, contract.disk_gb)
    row |= {
        # Described as a plain truth value here, and null on offers.
        "external": False,
        "dlperf_per_dphtotal": row["dlperf"] / row["dph_total"],
        "flops_per_dphtotal": row["total_flops"] / row["dph_total"],
        "gpu_totalram": machine.gpu.ram_mib * len(contract.gpus),
        "bundle_id": 1_880_000_000 + machine.machine_id * 16,
        "image_uuid": contract.image,
        "image_args": [],
        "image_runtype": _runtypes(contract.runtype),
        "onstart": contract.onstart or None,
        "template_id": None,
        "template_hash_id": None,
        "template_name": None,
        "jupyter_token": hashlib.sha256(contract.api_key.encode()).hexdigest(),
        "is_bid": contract.is_bid,
        "rentable": machine.is_listed,
        "disk_space": contract.disk_gb,
        "disk_usage": 18.2 if is_up else -1.0,
        # A share, as the official client reads it; the gigabytes are above.
        "disk_util": round(18.2 / contract.disk_gb, 4) if is_up else -1.0,
        "mem_limit": round(machine.cpu_ram_mb / 1000 * len(contract.gpus) / machine.gpu_count, 1),
        "mem_usage": 4.1 if is_up else None,
        "vmem_usage": 2.2 if is_up else None,
        "cpu_util": 3.5 if is_up else None,
        "gpu_util": 71.0 if is_up else None,
        "gpu_temp": 58.0 if is_up else None,
        "duration": max(0.0, contract.end_at - now),
        "end_date": contract.end_at,
        "uptime_mins": round((now - contract.created_at) / 60, 2) if is_up else None,
        "client_run_time": 1.1,
        "host_run_time": 2592000.0,
        "country_code": (machine.place or "").rpartition(",")[2].strip() or None,
        "credit_balance": None,
        "credit_discount": None,
        "vram_costperhour": contract.dollars_per_hour / (machine.gpu.ram_mib / 1024),
        "score": round(machine.gpu.dlperf * machine.reliability, 2),
        "ssh_host": endpoints.ssh_host if endpoints else None,
        "ssh_port": endpoints.ssh_port if endpoints else None,
        "ssh_idx": "5" if endpoints else None,
        # The live field carries stray blanks now and then.
        "public_ipaddr": f"{endpoints.public_ip} " if endpoints else None,
        "local_ipaddrs": "10.0.0.5 172.17.0.2 \n",
        "ports": _ports(endpoints) if endpoints and is_up else {},
        "direct_port_start": -1,
        "direct_port_end": -1,
        "machine_dir_ssh_port": 21000,
        "volume_info": [],
    }
    return _with_overlays(row, contract.overlays)


def _with_overlays(row: dict[str, Any], overlays: set[FaultKind]) -> dict[str, Any]:
    if FaultKind.NULL_STATUS in overlays:
        row["actual_status"] = None
    if FaultKind.EXITED_WHILE_SSH_WORKS in overlays:
        row["actual_status"] = "exited"
    return row


def _ports(endpoints: Endpoints) -> dict[str, list[dict[str, str]]]:
    """Return the port map in Docker's shape; ``HostPort`` is a string."""
    return {
        inside: [
            {"HostIp": "0.0.0.0", "HostPort": str(outside)},  # noqa: S104 - a word in an answer
            {"HostIp": "::", "HostPort": str(outside)},
        ]
        for inside, outside in endpoints.ports.items()
    }


def _runtypes(runtype: str) -> str:
    """Return the set of launch modes, in the marketplace's own spelling."""
    words = ["ssh"] if "ssh" in runtype else []
    if "jupyter" in runtype:
        words.append("jupyter")
    if "direc" in runtype:
        words.append("ssh_direc")
    return " ".join([*words, "ssh_proxy"]) if words else "args"
