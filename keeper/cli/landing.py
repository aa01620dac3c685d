"""What `keeper provision` ends with: the connections, saved and worded, or what was left behind."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from keeper.cli import stages
from keeper.cli.connection import (
    Connection,
    Export,
    addresses_of,
    connection_of,
    exported,
    known_host,
    told,
)
from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.oneshot import Pursuit
from keeper.cli.terminal import say
from keeper.core.model import InstanceId, SlotId, Stream, StreamName
from keeper.core.world import Snapshot
from keeper.ports import Malformed
from keeper.settings import Settings, build_workloads
from keeper.web.shapes import FleetStatus, SlotStatus

_SSH_PORT = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """One slot that is on air, and how to get there."""

    connection: Connection
    host_key: str


def landings_of(settings: Settings, snapshot: Snapshot, stream: Stream) -> tuple[Landing, ...]:
    """Return the connections of a stream's slots, from a snapshot of our own."""
    listing = snapshot.world.listing
    listed = {each.instance_id: each for each in listing.instances} if listing is not None else {}
    found = []
    for slot in stream.slots:
        record = snapshot.records.get(slot)
        tenure = record.tenure if record is not None else None
        if tenure is None or tenure.instance_id is None:
            continue
        instance = listed.get(tenure.instance_id)
        addresses = addresses_of(instance) if instance is not None else ()
        found.append(
            _landing(settings, slot, tenure.instance_id, addresses, tenure.host_key, stream.name)
        )
    return tuple(found)


def landings_shown(settings: Settings, slots: Iterable[SlotStatus]) -> tuple[Landing, ...]:
    """Return the connections of slots, as a running keeper shows them."""
    return tuple(
        _landing(
            settings,
            SlotId(slot.slot),
            InstanceId(slot.host.instance_id),
            tuple(_address(text) for text in slot.host.ssh_addresses),
            slot.host.host_key,
            StreamName(slot.stream),
        )
        for slot in slots
        if slot.host is not None and slot.host.instance_id is not None
    )


def slots_shown(fleet: FleetStatus, name: StreamName) -> tuple[SlotStatus, ...]:
    """Return a stream's slots. Raises Stopped when the running keeper does not know the stream."""
    for stream in fleet.streams:
        if stream.stream == name and stream.is_declared:
            return stream.slots
    raise Stopped(
        ExitCode.NOT_FOUND,
        f"the running keeper does not know the stream {name}: its configuration is another one",
        "let it read the file again: systemctl reload keeper",
    )


def tell(
    settings: Settings, landings: tuple[Landing, ...], *, export: str | None, out: Path | None
) -> None:
    """Save each connection, then print it: for people, or in the one form that was asked for."""
    form = Export(export) if export else None
    for index, landing in enumerate(landings):
        if index and not form:
            click.echo()
        connection = landing.connection
        path = _path(settings, connection.slot, out, index)
        try:
            pinned = path.with_name(f"{path.name}.known_hosts")
            line = known_host(connection, landing.host_key)
            if line:
                _save(pinned, line)
                connection = _pinned(connection, pinned)
            _save(path, exported(connection, form if form and out else Export.ENV))
        except OSError as error:
            # What was asked for is on air, and is said below: not being able to save is a remark.
            say(f"warning: not saved: {path}: {error.strerror}")
            saved_to = "nowhere (see above; --out FILE chooses a place)"
        else:
            saved_to = str(path)
        click.echo(
            exported(connection, form) if form else told(connection, saved_to=saved_to), nl=False
        )
        if form:
            say(f"saved to {saved_to}")


def left_behind(pursuit: Pursuit, stream: Stream, timeout_s: float) -> Stopped:
    """Say why it ended early, which rentals there are now, and what to do with them."""
    rented = [
        (slot, record.tenure)
        for slot in stream.slots
        if pursuit.snapshot is not None
        and (record := pursuit.snapshot.records.get(slot)) is not None
        and record.tenure is not None
    ]
    condemned = stages.ending(pursuit.snapshot, stream) if pursuit.snapshot is not None else ()
    if pursuit.hopeless is not None and not rented and not condemned:
        return pursuit.hopeless
    if pursuit.is_interrupted:
        code, why = ExitCode.INTERRUPTED, "interrupted"
    elif pursuit.hopeless is not None:
        code, why = pursuit.hopeless.code, pursuit.hopeless.what
    else:
        code, why = ExitCode.TRY_AGAIN, f"{stream.name} is not on air after {timeout_s:.0f} s"
    if not rented and not condemned:
        return Stopped(code, f"{why}; nothing is rented")
    named = [
        f"instance {int(tenure.instance_id)} ({tenure.dollars_per_hour:.3f} $/h) is rented for {slot}"
        if tenure.instance_id is not None
        else f"a rental labelled {tenure.label} may exist for {slot}"
        for slot, tenure in rented
    ]
    named += [
        f"instance {int(each.instance_id)} ({each.dollars_per_hour:.3f} $/h) must end and is not"
        " confirmed gone"
        for each in condemned
    ]
    slot = rented[0][0] if rented else condemned[0].slot
    return Stopped(
        code,
        f"{why}; {'; '.join(named)}; that is recorded",
        f"go on with keeper provision {stream.name}, or end it with keeper destroy {slot}",
    )


def _landing(
    settings: Settings,
    slot: SlotId,
    instance_id: InstanceId,
    addresses: tuple[tuple[str, int], ...],
    host_key: str,
    stream: StreamName,
) -> Landing:
    key_file = settings.ssh.private_key_file or settings.state_dir / "id_ed25519"
    workload = build_workloads(settings).get(stream)
    port = workload.view().container_port if workload is not None else _SSH_PORT
    connection = connection_of(
        slot,
        instance_id,
        addresses,
        forwards=(port,) if port != _SSH_PORT else (),
        key_file=str(key_file),
    )
    return Landing(connection=connection, host_key=host_key)


def _pinned(connection: Connection, path: Path) -> Connection:
    from dataclasses import replace

    return replace(connection, known_hosts_file=str(path.absolute()))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal():
        message = f"{text!r} is no address"
        raise Malformed(message)
    return host, int(port)


def _path(settings: Settings, slot: SlotId, out: Path | None, index: int) -> Path:
    if out is not None:
        return out if not index else out.with_name(f"{out.name}.{index}")
    return settings.state_dir / "connect" / f"{slot.replace('/', '-')}.env"


def _save(path: Path, text: str) -> None:
    """Write a file for its owner's eyes, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    new.rename(path)
