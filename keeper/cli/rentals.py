"""How rentals and the account are shown in a terminal: what they are, cost, and have cost. Pure."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from keeper.cli.terminal import cell, duration
from keeper.core.text import sold_gb
from keeper.web.money import hours
from keeper.web.shapes import AccountStatus, FleetStatus, HostStatus

_IDS_MAX = 5  # strangers that are named one by one


def rental_id(host: HostStatus | None) -> str:
    """Name a rental for a column."""
    if host is None:
        return "-"
    return str(host.instance_id) if host.instance_id is not None else "renting"


def size(gigabytes: float | None) -> str:
    """Say a size for a column."""
    return f"{int(gigabytes)} GB" if gigabytes else "-"


def vram(host: HostStatus | None) -> str:
    """Say a card's memory for a column, as cards are sold: 24564 MiB are 24 GB."""
    return f"{sold_gb(host.gpu_ram_gb)} GB" if host is not None and host.gpu_ram_gb else "-"


def gpu_price(host: HostStatus | None) -> str:
    """Say the GPU's part of a price; a bid is called one."""
    if host is None or host.gpu_dollars_per_hour is None:
        return "-"
    return f"{host.gpu_dollars_per_hour:.3f}{' bid' if host.is_bid else ''}"


def price(dollars_per_hour: float | None) -> str:
    """Say a part of a price; "-" when it is not told."""
    return "-" if dollars_per_hour is None else f"{dollars_per_hour:.3f}"


def total_price(host: HostStatus) -> float:
    """Return what a rental costs with the viewers' traffic."""
    return host.dollars_per_hour + host.traffic_dollars_per_hour


def price_parts(host: HostStatus) -> str:
    """Say a price with its parts, in a sentence."""
    parts = []
    if host.gpu_dollars_per_hour is not None and host.disk_dollars_per_hour is not None:
        parts.append(f"{'bid' if host.is_bid else 'GPU'} {host.gpu_dollars_per_hour:.3f}")
        parts.append(f"disk {host.disk_dollars_per_hour:.3f}")
    elif host.is_bid:
        parts.append("a bid")
    if host.traffic_dollars_per_hour:
        parts.append(f"traffic {host.traffic_dollars_per_hour:.3f}")
    said = f"{total_price(host):.3f} $/h"
    return f"{said} ({', '.join(parts)})" if parts else said


def uptime(host: HostStatus | None, now: datetime) -> str:
    """Say for how long it has been running; "-" while it is not."""
    if host is None or host.running_at is None or host.outbid_since is not None:
        return "-"
    return duration((now - host.running_at).total_seconds())


def spent(host: HostStatus | None) -> str:
    """Say what it has cost so far."""
    return "-" if host is None else f"{host.spent_dollars:.2f}"


def left_of_contract(host: HostStatus, now: datetime) -> str:
    """Say when a contract that is near its end ends; "" for all others."""
    if host.ending_since is None or host.ends_at is None:
        return ""
    left = duration((host.ends_at - now).total_seconds())
    return f"the rental's contract ends in {left} ({host.ends_at:%m-%d %H:%M} UTC)"


def shown_account(account: AccountStatus) -> Text:
    """Say what the account can pay, and for how long."""
    said = f"Account: {account.spendable_dollars:z.2f} $ of credit"
    if account.dollars_per_hour is not None:
        said += f", {account.dollars_per_hour:.3f} $/h"
    if account.runway_s is not None:
        is_used_up = account.runway_s <= 0
        said += "; it is used up" if is_used_up else f"; it lasts {hours(account.runway_s)}"
        if account.empty_at is not None and not is_used_up:
            said += f", until {_moment(account.empty_at, account.seen_at)} UTC"
    elif account.dollars_per_hour == 0:
        said += "; nothing uses it up"
    return cell(f"{said}.", "bold red" if account.is_low else "")


def _moment(at: datetime, now: datetime) -> str:
    return f"{at:%m-%d %H:%M}" if at.year == now.year else f"{at:%Y-%m-%d %H:%M}"


def others(fleet: FleetStatus) -> str:
    """Name the rentals that are not keeper's; "" when there are none."""
    found = fleet.others
    if found is None:
        return ""
    named = ", ".join(str(each) for each in found.instance_ids[:_IDS_MAX])
    if len(found.instance_ids) > _IDS_MAX:
        named += f" and {len(found.instance_ids) - _IDS_MAX} more"
    noun = "instance" if len(found.instance_ids) == 1 else "instances"
    return f"{noun} {named} ({found.dollars_per_hour:.3f} $/h)"
