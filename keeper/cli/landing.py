"""What `keeper provision` ends with: the connections, saved and worded, or what was left behind."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from keeper.cli.connection import (
    Connection,
    Export,
    connection_of,
    exported,
    known_host,
    told,
)
from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.oneshot import Pursuit
from keeper.cli.terminal import say
from keeper.core.model import (
    Condemned,
    InstanceId,
    SlotId,
    SlotRecord,
    Stream,
    StreamName,
    Tenure,
    stream_of,
)
from keeper.core.world import Snapshot
from keeper.ports import Malformed, Saved
from keeper.settings import Settings, build_workloads
from keeper.web.shapes import FleetStatus, HostStatus, SlotStatus
from keeper.web.status import status_of

_SSH_PORT = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """One slot that is on air, and how to get there."""

    connection: Connection
    host_key: str
    price: str = ""  # in words


def landings_of(settings: Settings, snapshot: Snapshot, stream: Stream) -> tuple[Landing, ...]:
    """Return the connections of a stream's slots, from a snapshot of our own."""
    fleet = status_of(snapshot, snapshot.at)
    return landings_shown(settings, slots_shown(fleet, stream.name))


def landings_shown(settings: Settings, slots: Iterable[SlotStatus]) -> tuple[Landing, ...]:
    """Return the connections of slots, as a running keeper shows them."""
    return tuple(
        _landing(settings, SlotId(slot.slot), InstanceId(slot.host.instance_id), slot.host)
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
            exported(connection, form)
            if form
            else told(connection, price=landing.price, saved_to=saved_to),
            nl=False,
        )
        if form:
            say(f"saved to {saved_to}")


def left_behind(pursuit: Pursuit, stream: Stream, timeout_s: float) -> Stopped:
    """Say why it ended early, which rentals there are now, and what to do with them."""
    seen = pursuit.snapshot
    records = seen.records if seen is not None else {}
    left = _left(records.values(), seen.plan.condemned if seen is not None else (), stream)
    wishes = _wishes(records.values(), stream)
    if pursuit.hopeless is not None and not left:
        return pursuit.hopeless
    if pursuit.is_interrupted:
        code, why = ExitCode.INTERRUPTED, "interrupted"
    elif pursuit.hopeless is not None:
        code, why = pursuit.hopeless.code, pursuit.hopeless.what
    else:
        code, why = ExitCode.TRY_AGAIN, f"{stream.name} is not on air after {timeout_s:.0f} s"
    return _ended(code, why + wishes, left, stream)


def interrupted(saved: Saved, stream: Stream, *, is_served: bool) -> Stopped:
    """Say what an interrupt has left, by what is on the disk: nothing else can have been rented."""
    if is_served:
        return Stopped(
            ExitCode.INTERRUPTED,
            f"interrupted; the running keeper goes on with {stream.name}",
            f"watch it: keeper status {stream.name} --watch",
        )
    left = _left(saved.records, saved.condemned, stream)
    why = f"interrupted{_wishes(saved.records, stream)}"
    return _ended(ExitCode.INTERRUPTED, why, left, stream)


def _left(
    records: Iterable[SlotRecord], condemned: Iterable[Condemned], stream: Stream
) -> list[tuple[SlotId, str]]:
    """Name what is rented for a stream, what may be, and what is not confirmed gone."""
    left = [
        (record.slot, _rental(record.slot, tenure))
        for record in sorted(records, key=lambda each: each.slot)
        for tenure in (record.tenure, record.incoming)
        if tenure is not None and record.slot in stream.slots
    ]
    left += [
        (each.slot, f"{_named(each.instance_id, each)} must end and is not confirmed gone")
        for each in condemned
        if each.slot is not None and each.slot in stream.slots
    ]
    return left


def _wishes(records: Iterable[SlotRecord], stream: Stream) -> str:
    """Name an offer that is asked for and not rented: the next keeper takes that up too."""
    return "".join(
        f"; offer {int(record.offer_asked)} stays asked for {record.slot}"
        for record in records
        if record.offer_asked is not None and record.tenure is None and record.slot in stream.slots
    )


def _rental(slot: SlotId, tenure: Tenure) -> str:
    if tenure.instance_id is None:
        return f"a rental labelled {tenure.label} may exist for {slot}"
    return f"{_named(tenure.instance_id, tenure)} is rented for {slot}"


def _named(instance_id: InstanceId, what: Tenure | Condemned) -> str:
    return f"instance {int(instance_id)} ({what.dollars_per_hour:.3f} $/h)"


def _ended(code: ExitCode, why: str, left: list[tuple[SlotId, str]], stream: Stream) -> Stopped:
    if not left:
        return Stopped(code, f"{why}; nothing is rented")
    return Stopped(
        code,
        f"{why}; {'; '.join(words for _, words in left)}; that is recorded",
        f"go on with keeper provision {stream.name}, or end it with keeper destroy {left[0][0]}",
    )


def _landing(
    settings: Settings, slot: SlotId, instance_id: InstanceId, host: HostStatus
) -> Landing:
    key_file = settings.ssh.private_key_file or settings.state_dir / "id_ed25519"
    workload = build_workloads(settings).get(stream_of(slot))
    # Where its picture is looked at elsewhere, there is no port to name.
    port = (workload.view().container_port if workload is not None else 0) or _SSH_PORT
    connection = connection_of(
        slot,
        instance_id,
        tuple(_address(text) for text in host.ssh_addresses),
        forwards=(port,) if port != _SSH_PORT else (),
        key_file=str(key_file),
    )
    return Landing(connection=connection, host_key=host.host_key, price=_price(host))


def _price(host: HostStatus) -> str:
    """Say what a rental costs, part by part as far as it is known."""
    traffic = host.traffic_dollars_per_hour
    parts = [
        f"{what} {dollars:.3f}"
        for what, dollars in (
            ("bid" if host.is_bid else "GPU", host.gpu_dollars_per_hour),
            ("disk", host.disk_dollars_per_hour),
            ("expected traffic", traffic or None),
        )
        if dollars is not None
    ]
    total = f"{host.dollars_per_hour + traffic:.3f} $/h"
    return f"{total} ({' + '.join(parts)})" if parts else total


def must_be_writable(out: Path | None) -> None:
    """Try to write beside where the connection will be saved. Raises Stopped."""
    if out is None:
        return  # the state folder: the store is there too, and nothing is rented without it
    try:
        _save(out.with_name(f"{out.name}.try"), "")
        out.with_name(f"{out.name}.try").unlink()
    except OSError as error:
        above = next((each for each in out.parents if each.exists()), out)
        why = error.strerror if above.is_dir() else f"{above} is no folder"
        raise Stopped(
            ExitCode.FAILED,
            f"cannot write {out}: {why}; nothing was rented",
            "choose another place with --out",
        ) from error


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
