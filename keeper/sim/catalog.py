"""The machines of the simulated marketplace, their chunks, and how an offer is priced.

Shapes and arithmetic follow the fields that Vast.ai publishes and that samples of real offers
show (docs.vast.ai, search offers; read 2026-08). It knows nothing of rentals.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HOURS_PER_MONTH = 720.0  # the marketplace's month: storage_total_cost = cost x GB / 720
STORAGE_DEFAULT_GB = 8.0  # what the server prices when a search names no disk
MIB_PER_GIB = 1024
FLOOR_SHARE = 0.65  # of the price on demand: the least that owners take for a bid
BID_GRAIN_DOLLARS = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """A kind of GPU and what it usually goes for."""

    name: str
    ram_mib: int
    dollars_per_hour: float
    dlperf: float
    tflops: float
    compute_cap: int


# Memory is slightly under the round number, as drivers report it.
GPU_MODELS = (
    GpuModel(
        name="RTX 4090",
        ram_mib=24564,
        dollars_per_hour=0.36,
        dlperf=98.0,
        tflops=81.6,
        compute_cap=890,
    ),
    GpuModel(
        name="RTX 3090",
        ram_mib=24576,
        dollars_per_hour=0.20,
        dlperf=52.0,
        tflops=35.6,
        compute_cap=860,
    ),
    GpuModel(
        name="RTX 5090",
        ram_mib=32607,
        dollars_per_hour=0.62,
        dlperf=150.0,
        tflops=104.8,
        compute_cap=1200,
    ),
    GpuModel(
        name="RTX A6000",
        ram_mib=49140,
        dollars_per_hour=0.48,
        dlperf=60.0,
        tflops=38.7,
        compute_cap=860,
    ),
    GpuModel(
        name="RTX 4080", ram_mib=16376, dollars_per_hour=0.24, dlperf=70.0, tflops=48.7,
        compute_cap=890,
    ),
    GpuModel(
        name="L40S", ram_mib=46068, dollars_per_hour=0.85, dlperf=110.0, tflops=91.6,
        compute_cap=890,
    ),
)  # fmt: skip

PLACES = (
    "Texas, US", "California, US", ", US", "Quebec, CA", "Sweden, SE", "Norway, NO", "Germany, DE",
    "Poland, PL", "Czechia, CZ", "Japan, JP", "South Korea, KR", "Taiwan, TW", "Iceland, IS",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Machine:
    """One physical box of one owner."""

    machine_id: int
    host_id: int
    gpu: GpuModel
    gpu_count: int
    has_display: bool
    is_verified: bool
    reliability: float
    place: str | None
    gpu_dollars_per_hour: float  # of one GPU
    storage_dollars_per_gb_month: float
    inet_up_dollars_per_gb: float
    inet_down_dollars_per_gb: float
    inet_up_mbps: float
    inet_down_mbps: float
    disk_gb: float
    direct_ports: int
    cuda_max: float
    driver: str
    cpu_cores: int
    cpu_ram_mb: int
    end_at: float
    is_datacenter: bool
    tenants: list[str] = field(default_factory=list)  # per GPU: "", "other:N" or "rental:ID"
    is_listed: bool = True  # offline or withdrawn machines are not
    rival_dollars_per_hour: float = 0.0  # what somebody else bids for one GPU; 0: nobody
    # Of each chunk, what every row says of it; all of that but the price stays as it is.
    described: dict[range, dict[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    def is_free(self, gpus: range) -> bool:
        """Whether nobody has any of these GPUs."""
        tenants = self.tenants
        return not (tenants[gpus[0]] if len(gpus) == 1 else any(tenants[gpu] for gpu in gpus))

    def occupy(self, gpus: range, tenant: str) -> None:
        """Give these GPUs to somebody, or with "" to nobody."""
        for gpu in gpus:
            self.tenants[gpu] = tenant

    def min_bid(self, gpus: range) -> float:
        """Return what a bid for these GPUs must reach to run: the owner's floor, or the rival's."""
        floor = self.gpu_dollars_per_hour * FLOOR_SHARE
        if self.rival_dollars_per_hour:
            floor = max(floor, self.rival_dollars_per_hour + BID_GRAIN_DOLLARS)
        return round(floor * len(gpus), 6)

    def chunks(self) -> tuple[range, ...]:
        """Return the parts it is let in: whole, halves, …, singles."""
        size, parts = self.gpu_count, []
        while size >= 1:
            parts += [range(start, start + size) for start in range(0, self.gpu_count, size)]
            size //= 2
        return tuple(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A chunk of a machine with an offer id, until it is rented; then it is listed anew."""

    offer_id: int
    machine: Machine
    gpus: range

    @property
    def is_open(self) -> bool:
        """Whether it can be rented now: overlapping chunks vanish with the rented one."""
        return self.machine.is_listed and self.machine.is_free(self.gpus)

    @property
    def gpu_dollars_per_hour(self) -> float:
        """The GPU part of the price."""
        return round(self.machine.gpu_dollars_per_hour * len(self.gpus), 6)


def machines(rng: random.Random, *, count: int, display_share: float, now: float) -> list[Machine]:
    """Make the boxes of a market. A display is rare; every tenth box or so is a bad bargain."""
    return [_machine(rng, number, display_share, now) for number in range(count)]


def _machine(rng: random.Random, number: int, display_share: float, now: float) -> Machine:
    has_display = rng.random() < display_share
    model = rng.choice(GPU_MODELS[:4] if has_display else GPU_MODELS)
    gpu_count = 1 if has_display else rng.choice((1, 1, 1, 2, 4, 8))
    return Machine(
        machine_id=40_000 + number * 7 + rng.randrange(7),
        host_id=90_000 + rng.randrange(60),
        gpu=model,
        gpu_count=gpu_count,
        has_display=has_display,
        is_verified=rng.random() < (0.95 if has_display else 0.8),
        reliability=round(1.0 - rng.random() ** 3 * 0.12, 7),
        place=None if rng.random() < 0.03 else rng.choice(PLACES),
        gpu_dollars_per_hour=round(model.dollars_per_hour * rng.uniform(0.8, 1.6), 6),
        storage_dollars_per_gb_month=round(rng.uniform(0.08, 0.25), 4),
        inet_up_dollars_per_gb=round(rng.choice((0.0, 0.00195, 0.01, 0.02)), 5),
        inet_down_dollars_per_gb=round(rng.choice((0.0, 0.00195, 0.005, 0.01)), 5),
        inet_up_mbps=round(rng.uniform(80, 2000), 1),
        inet_down_mbps=round(rng.uniform(150, 4000), 1),
        disk_gb=round(rng.uniform(140, 2000), 1),
        direct_ports=rng.choice((0, 100, 180, 250, 1000)) if not has_display else 180,
        cuda_max=rng.choice((12.2, 12.4, 12.6, 12.8, 13.0)),
        driver=rng.choice(("550.90.07", "560.35.03", "565.57.01", "570.86.16")),
        cpu_cores=gpu_count * rng.choice((8, 16, 32)),
        cpu_ram_mb=gpu_count * rng.choice((32_184, 64_370, 128_740)),
        end_at=now + rng.uniform(20, 120) * 86_400,
        is_datacenter=rng.random() < 0.1,
        tenants=[""] * gpu_count,
    )


def address_of(machine: Machine) -> str:
    """Return where a machine answers: each owner has a network of its own."""
    return f"198.51.{machine.host_id % 250}.{machine.machine_id % 250 + 1}"


def storage_dollars_per_hour(machine: Machine, disk_gb: float) -> float:
    """Return what a disk costs an hour, rented or stopped."""
    return machine.storage_dollars_per_gb_month * disk_gb / HOURS_PER_MONTH


def hardware_row(machine: Machine, gpus: range) -> dict[str, Any]:
    """Return the fields that offers and rentals share."""
    known = machine.described.get(gpus)
    if known is None:
        known = machine.described[gpus] = _described(machine, gpus)
    row = dict(known)
    row["min_bid"] = machine.min_bid(gpus)
    return row


def _described(machine: Machine, gpus: range) -> dict[str, Any]:
    share = len(gpus) / machine.gpu_count
    gpu = machine.gpu
    major, minor, patch = (int(part) for part in machine.driver.split("."))
    return {
        "machine_id": machine.machine_id,
        "host_id": machine.host_id,
        "hosting_type": int(machine.is_datacenter),
        "verification": "verified" if machine.is_verified else "unverified",
        "num_gpus": len(gpus),
        "gpu_name": gpu.name,
        "gpu_frac": share,
        "gpu_ram": gpu.ram_mib,
        "gpu_arch": "nvidia",
        "gpu_lanes": 16,
        "gpu_mem_bw": round(gpu.dlperf * 28, 1),
        "bw_nvlink": 0.0,
        "pci_gen": 4.0,
        "pcie_bw": 25.1,
        "compute_cap": gpu.compute_cap,
        "cuda_max_good": machine.cuda_max,
        "driver_version": machine.driver,
        "driver_vers": major * 1_000_000 + minor * 1000 + patch,
        "cpu_arch": "amd64",
        "cpu_name": "AMD EPYC 7B13",
        "cpu_ghz": 3.5,
        "cpu_cores": machine.cpu_cores,
        "cpu_cores_effective": machine.cpu_cores * share,
        "cpu_ram": machine.cpu_ram_mb,
        "has_avx": 1,
        "disk_bw": 3104.8,
        "disk_name": "Samsung SSD",
        "mobo_name": "ROME2D32GM",
        "os_version": "22.04",
        "inet_up": machine.inet_up_mbps,
        "inet_down": machine.inet_down_mbps,
        "inet_up_cost": machine.inet_up_dollars_per_gb,
        "inet_down_cost": machine.inet_down_dollars_per_gb,
        "internet_up_cost_per_tb": machine.inet_up_dollars_per_gb * MIB_PER_GIB,
        "internet_down_cost_per_tb": machine.inet_down_dollars_per_gb * MIB_PER_GIB,
        "storage_cost": machine.storage_dollars_per_gb_month,
        "dlperf": gpu.dlperf * len(gpus),
        "total_flops": gpu.tflops * len(gpus),
        "reliability": machine.reliability,
        "reliability2": machine.reliability,
        "geolocation": machine.place,
        "direct_port_count": machine.direct_ports,
        "static_ip": machine.is_datacenter,
        "end_date": machine.end_at,
        "min_bid": 0.0,  # of the moment
        "external": None,
        "webpage": None,
        "logo": "/static/logos/vastai_small2.png",
        "time_remaining": "",
        "time_remaining_isbid": "",
    }


def price_row(machine: Machine, gpu_dollars: float, disk_gb: float) -> dict[str, Any]:
    """Return the price fields; the sums hold exactly, as they do in real samples."""
    storage = storage_dollars_per_hour(machine, disk_gb)
    total = gpu_dollars + storage
    hourly = {
        "gpuCostPerHour": gpu_dollars,
        "diskHour": storage,
        "totalHour": total,
        "discountTotalHour": 0,
        "discountedTotalPerHour": total,
    }
    idle = hourly | {"gpuCostPerHour": 0, "totalHour": storage, "discountedTotalPerHour": storage}
    return {
        "dph_base": gpu_dollars,
        "dph_total": total,
        "dph_total_adj": total + machine.inet_up_dollars_per_gb + machine.inet_down_dollars_per_gb,
        "discounted_dph_total": total,
        "discounted_hourly": 0,
        "discount_rate": None,
        "credit_discount_max": 0.4,
        "storage_total_cost": storage,
        "search": hourly,
        "instance": idle,
    }


def reserved(row: dict[str, Any]) -> dict[str, Any]:
    """Return an offer as a search for reserved ones shows it: with what a deposit can save.

    The fields are known and the sums are a guess: nobody has published such an answer.
    """
    rate = row["credit_discount_max"]
    saved = row["dph_base"] * rate
    left = row["dph_total"] - saved
    return row | {
        "discount_rate": rate,
        "discounted_hourly": saved,
        "discounted_dph_total": left,
        "search": row["search"] | {"discountTotalHour": saved, "discountedTotalPerHour": left},
    }


def offer_row(ask: Ask, *, disk_gb: float, now: float, luck: float) -> dict[str, Any]:
    """Return an offer as a search answers it. ``luck`` (0..1) moves the score, as in the field."""
    row = still_row(ask, disk_gb=disk_gb)
    return move(row, ask.machine, worth_of(row, ask.machine), now=now, luck=luck)


def worth_of(row: Mapping[str, Any], machine: Machine) -> float:
    """Return what an offer's score is made of."""
    return float(row["dlperf"] / row["dph_total"] * machine.reliability)


MOVING = frozenset({"score", "duration"})  # what ``move`` changes


def move(
    row: dict[str, Any], machine: Machine, worth: float, *, now: float, luck: float
) -> dict[str, Any]:
    """Bring what is another number in each answer up to now: the score and the time that is left."""
    row["score"] = round(worth * (0.9 + 0.2 * luck), 3)
    row["duration"] = max(0.0, machine.end_at - now)
    assert math.isfinite(row["score"])
    return row


def still_row(ask: Ask, *, disk_gb: float) -> dict[str, Any]:
    """Return the part of an offer that stays until something about its machine changes."""
    machine = ask.machine
    row = hardware_row(machine, ask.gpus) | price_row(machine, ask.gpu_dollars_per_hour, disk_gb)
    total = row["dph_total"]
    free_share = len(ask.gpus) / machine.gpu_count
    row |= {
        "id": ask.offer_id,
        "ask_contract_id": ask.offer_id,
        "bundle_id": 1_880_000_000 + machine.machine_id * 16 + ask.gpus.start + len(ask.gpus),
        "resource_type": "gpu",
        "is_bid": False,
        "rentable": ask.is_open,
        "rented": False,
        "vericode": int(machine.is_verified),
        "gpu_ids": [machine.machine_id * 8 + gpu for gpu in ask.gpus],
        "gpu_total_ram": machine.gpu.ram_mib * len(ask.gpus),
        "gpu_display_active": machine.has_display,
        "gpu_max_power": 450.0,
        "gpu_max_temp": 64.0,
        "disk_space": round(machine.disk_gb * free_share, 1),
        "dlperf_per_dphtotal": row["dlperf"] / total,
        "flops_per_dphtotal": row["total_flops"] / total,
        "vram_costperhour": total / (machine.gpu.ram_mib * len(ask.gpus) / MIB_PER_GIB),
        "score": 0.0,
        "rn": 1,
        "reliability_mult": 0.97,
        "expected_reliability": 0,
        "duration": 0.0,
        "start_date": None,
        "geolocode": None if machine.place is None else sum(machine.place.encode()) * 7919,
        "public_ipaddr": f"{address_of(machine)} ",
        "vms_enabled": not machine.has_display and machine.machine_id % 5 == 0,
        "is_vm_deverified": False,
        "hostname": None,
        "bundled_results": None,
        "cluster_id": None,
        "avail_vol_ask_id": None,
        "avail_vol_dph": None,
        "avail_vol_size": None,
        "platform_fee": None,
        "nw_disk_min_bw": None,
        "nw_disk_max_bw": None,
        "nw_disk_avg_bw": None,
    }
    return row
