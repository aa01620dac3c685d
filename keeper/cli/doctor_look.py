"""What `keeper doctor` sees of this box without asking anybody: files, disk, memory, limits, systemd.

Everything here reads. What this user may not see is None, which is no fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import resource
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from keeper.cli.doctor_box import Box, is_there, sudo_for
from keeper.cli.doctor_facts import (
    Disk,
    Extra,
    Key,
    Memory,
    OpenFiles,
    StateFolder,
    StoreFile,
    StoreState,
    Timekeeping,
    Unit,
)

SERVICE_USER = "keeper"
SERVICE_STATE = Path("/var/lib/keeper")  # the unit's StateDirectory
# The daemon itself, and for each slot its link, its probes and what a look decodes (docs/performance.md).
_DAEMON_BYTES, _SLOT_BYTES = 150_000_000, 3_000_000
_DAEMON_FILES, _SLOT_FILES = 128, 8
_COMMAND_S = 10.0
_ANSWER_MAX_BYTES = 65_536


def extras_of(box: Box) -> tuple[Extra, ...]:
    """Say which parts the declared streams and channels need, and whether they are here."""
    from keeper.adapters import media, relay, webrtc
    from keeper.settings import build_workloads
    from keeper.workloads import ViewKind

    needs: dict[str, list[str]] = {}
    by_name = {} if not box.settings.streams else dict(build_workloads(box.settings))
    for name, workload in by_name.items():
        match workload.view().kind:
            case ViewKind.WEBRTC:
                needs.setdefault("webrtc", []).append(f"stream {name}")
            case ViewKind.HLS | ViewKind.RTMP:
                needs.setdefault("media", []).append(f"stream {name}")
            case _:
                pass
    for stream in box.settings.streams:
        if stream.slate is not None:
            needs.setdefault("media", []).append(f"the slate of {stream.name}")
    for channel in box.settings.alerts.channels:
        if getattr(channel, "kind", "") == "apprise":
            needs.setdefault("apprise", []).append(f"channel {getattr(channel, 'name', '')}")
    there: dict[str, Callable[[], bool]] = {
        "media": media.is_installed,
        "webrtc": webrtc.is_installed,
        "apprise": relay.is_installed,
    }
    return tuple(
        Extra(name=name, by=by[0], is_there=there[name](), python=sys.executable)
        for name, by in needs.items()
    )


def key_of(box: Box) -> Key:
    """Say how the SSH private key is; its content is read and goes nowhere."""
    import asyncssh

    given, path = box.key_file, box.key
    sudo = sudo_for(path)
    try:
        content, mode = path.read_bytes(), path.stat().st_mode & 0o777
    except FileNotFoundError:
        return Key(path=str(path), is_given=given is not None, is_there=False, sudo=sudo)
    except OSError:
        return Key(path=str(path), is_given=given is not None, is_there=None, sudo="sudo ")
    error, is_locked = "", False
    try:
        asyncssh.import_private_key(content)
    except asyncssh.KeyEncryptionError:
        is_locked = True
    except (asyncssh.KeyImportError, ValueError) as failure:
        is_locked = "passphrase" in str(failure).lower()
        error = "" if is_locked else "it is not in OpenSSH or PEM form"
    return Key(
        path=str(path),
        is_given=given is not None,
        is_there=True,
        mode=mode,
        error=error,
        needs_passphrase=is_locked,
        sudo=sudo,
    )


def disk_of(box: Box) -> Disk:
    """Say how much room there is where keeper remembers things."""
    folder = box.settings.state_dir
    at = folder
    while not is_there(at) and at != at.parent:
        at = at.parent
    try:
        found = os.statvfs(at)
    except OSError as error:
        return Disk(folder=str(folder), free_bytes=None, error=error.strerror or str(error))
    return Disk(
        folder=str(folder),
        free_bytes=found.f_bavail * found.f_frsize,
        total_bytes=found.f_blocks * found.f_frsize,
        free_inodes=found.f_favail if found.f_files else None,  # btrfs counts none
    )


def state_folder_of(box: Box) -> StateFolder:
    """Say whose the state folder is, and who may look into it."""
    path = box.settings.state_dir
    above = path.parent
    while not is_there(above) and above != above.parent:
        above = above.parent
    try:
        found = path.stat()
    except FileNotFoundError:
        has_service = _uid_of(SERVICE_USER) is not None
        can_be_made = has_service or os.access(above, os.W_OK)
        return StateFolder(path=str(path), is_there=False, can_be_made=can_be_made)
    except OSError:
        return StateFolder(path=str(path), is_there=None)
    with contextlib.suppress(KeyError):
        owner = pwd.getpwuid(found.st_uid).pw_name
        return _state_folder(path, found, owner)
    return _state_folder(path, found, str(found.st_uid))


def _state_folder(path: Path, found: os.stat_result, owner: str) -> StateFolder:
    return StateFolder(
        path=str(path),
        is_there=True,
        is_folder=stat.S_ISDIR(found.st_mode),
        mode=found.st_mode & 0o777,
        owner=owner,
        is_ours=_is_ours(path, found.st_uid),
        sudo=sudo_for(path),
        service_user=SERVICE_USER,
    )


def _is_ours(path: Path, owner: int) -> bool | None:
    """Whether a state folder is of who runs keeper; None: a user other than its owner cannot say."""
    service = _uid_of(SERVICE_USER)
    if path == SERVICE_STATE and service is not None:
        # A systemd that makes users up as it goes has them above 61,184 (systemd.exec(5), DynamicUser=).
        return owner == service or owner >= 61_184  # noqa: PLR2004 - said above
    return True if os.geteuid() in {0, owner} else None


def _uid_of(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def store_of(box: Box) -> StoreFile:
    """Say whether the store can be used by this version, and who has it open. Writes nothing."""
    from keeper.adapters.peek import peek
    from keeper.ports import StoreCorrupt, StoreError

    path = box.settings.state_dir / "keeper.db"
    try:
        if not path.exists() or not path.stat().st_size:
            return StoreFile(path=str(path), state=StoreState.ABSENT)
    except OSError:
        return StoreFile(path=str(path), state=StoreState.CLOSED)
    if not os.access(path, os.R_OK):
        return StoreFile(path=str(path), state=StoreState.CLOSED)
    state, said = StoreState.GOOD, ""
    schema = ""
    try:
        schema, state = _schema_of(path)
        if state in {StoreState.GOOD, StoreState.AHEAD, StoreState.BEYOND}:
            peek(path)
    except StoreCorrupt as error:
        state, said = StoreState.DAMAGED, str(error)
    except StoreError as error:
        said = str(error)
        state = state if state is StoreState.BEYOND else StoreState.OTHER
    return StoreFile(path=str(path), state=state, schema=schema, holder=_holder(path), said=said)


def _schema_of(path: Path) -> tuple[str, StoreState]:
    """Read the schema of a store. Raises StoreError."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    from keeper.adapters import schema
    from keeper.adapters.sql import translated

    states = {
        schema.Standing.NEW: StoreState.ABSENT,
        schema.Standing.BEHIND: StoreState.BEHIND,
        schema.Standing.SAME: StoreState.GOOD,
        schema.Standing.AHEAD: StoreState.AHEAD,
        schema.Standing.BEYOND: StoreState.BEYOND,
    }
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool
    )
    try:
        with engine.connect() as connection:
            return schema.revision_of(connection) or "", states[schema.standing(connection)]
    except (DBAPIError, sqlite3.Error) as error:
        raise translated(error, path) from error
    finally:
        engine.dispose()


def _holder(path: Path) -> str:
    """Return the process that holds the store, as the lock beside it says; "": nobody, or unknown."""
    import fcntl

    lock = path.with_name(f"{path.name}.lock")
    try:
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return file.read(20).decode("ascii", "replace").strip() or "unknown"
    except OSError:
        return ""
    return ""


def memory_of(box: Box) -> Memory:
    """Say how much memory there is for the declared slots."""
    slots = sum(stream.replicas for stream in box.settings.streams)
    needed = _DAEMON_BYTES + slots * _SLOT_BYTES
    for line in _lines(Path("/proc/meminfo")):
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return Memory(free_bytes=int(rest.split()[0]) * 1024, needed_bytes=needed)
    return Memory(free_bytes=None, needed_bytes=needed)


def open_files_of(box: Box, process: str) -> OpenFiles:
    """Say how many files the running keeper may open, or one that this shell would start."""
    slots = sum(stream.replicas for stream in box.settings.streams)
    needed = _DAEMON_FILES + slots * _SLOT_FILES
    for line in _lines(Path("/proc", process, "limits")) if process.isdecimal() else ():
        if line.startswith("Max open files"):
            limit = line.split()[3]
            if limit.isdecimal():
                return OpenFiles(limit=int(limit), needed=needed, whose="the running keeper")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit_here = soft if soft != resource.RLIM_INFINITY else 2**31
    return OpenFiles(limit=limit_here, needed=needed, whose="a keeper of this shell")


def _lines(path: Path) -> Iterator[str]:
    with contextlib.suppress(OSError), path.open() as file:
        yield from file


async def clock_of(offset_s: float | None) -> Timekeeping:
    """Say what keeps the clock right here."""
    said = await _told_by("timedatectl", "show", "--property=NTPSynchronized")
    known = {"NTPSynchronized=yes": True, "NTPSynchronized=no": False}
    return Timekeeping(
        offset_s=offset_s,
        is_synchronised=known.get(said.strip()),
        has_timedatectl=shutil.which("timedatectl") is not None,
        has_chrony=shutil.which("chronyc") is not None,
    )


async def unit_of(box: Box) -> Unit:
    """Ask systemd about the service."""
    tick_s = box.settings.fleet.tick_interval_s
    names = "LoadState,ActiveState,UnitFileState,NRestarts,WatchdogUSec,NeedDaemonReload"
    said = await _told_by("systemctl", "show", "keeper.service", f"--property={names}")
    told = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if not told:  # it is not process 1 here, or there is none
        return Unit(has_systemd=False, tick_interval_s=tick_s)
    restarts = told.get("NRestarts", "")
    return Unit(
        has_systemd=True,
        load=told.get("LoadState", ""),
        active=told.get("ActiveState", ""),
        enabled=told.get("UnitFileState", ""),
        restarts=int(restarts) if restarts.isdecimal() else 0,
        watchdog_s=_span_s(told.get("WatchdogUSec", "")),
        tick_interval_s=tick_s,
        needs_reload=told.get("NeedDaemonReload") == "yes",
    )


_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


def _span_s(written: str) -> float | None:
    """Read a span as systemctl writes it: 1min, 1min 30s, 500ms, infinity, 0."""
    total = 0.0
    for part in written.split():
        digits = part.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = part[len(digits) :]
        if not digits.replace(".", "", 1).isdecimal() or (unit and unit not in _UNITS_S):
            return None
        total += float(digits) * _UNITS_S.get(unit, 1e-6)
    return total or None


async def _told_by(*words: str) -> str:
    """Run a command that only reads, for a few seconds; "" when it is not there or says nothing."""
    if shutil.which(words[0]) is None:
        return ""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:  # no process may be started: that is of no use here, and no fault of the box
        return ""
    try:
        async with asyncio.timeout(_COMMAND_S):
            assert process.stdout is not None
            said = await process.stdout.read(_ANSWER_MAX_BYTES)
            await process.wait()
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode(errors="replace")
