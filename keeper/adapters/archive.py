"""The archive as files below the state folder, for nobody's eyes but keeper's own user.

    deploys/<slot>/<label>-<n>.log
    post-mortems/<UTC>-<slot>-<instance>.tar.gz

File work is done in a thread, one piece at a time. It knows sizes and ages, and nothing of content.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import re
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from keeper.core.model import InstanceId, SlotId
from keeper.ports import ArchiveFailed, Kept

DEPLOYS, POST_MORTEMS = "deploys", "post-mortems"
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_DOTS = re.compile(r"\.\.+")
_NAME = re.compile(
    rf"(?:{DEPLOYS}/[A-Za-z0-9_-][A-Za-z0-9._-]*/|{POST_MORTEMS}/)[A-Za-z0-9_-][A-Za-z0-9._-]*"
)
_PART_MAX = 80
_OVER = "… the rest is left out: this log is at its bound\n"
_TRIES_MAX = 10_000  # of one rental
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is kept. The oldest files go first."""

    logs_max: int = 200
    log_max_bytes: int = 4_000_000
    bundles_max: int = 100
    size_max_bytes: int = 1_000_000_000  # of all of it


class FileArchive:
    """The Archive port over a folder."""

    def __init__(self, folder: Path, bounds: Bounds | None = None) -> None:
        self._folder = folder
        self._bounds = bounds or Bounds()
        self._turn = asyncio.Lock()

    async def open_log(self, slot: SlotId, label: str) -> str:
        """Begin another log of a rental's deploys."""
        return await self._do(lambda: self._open(_part(slot.replace("/", ".")), _part(label)))

    async def append(self, name: str, text: str) -> None:
        """Write at the end of a log, up to its bound."""
        await self._do(lambda: self._append(self._path(name), text.encode("utf-8", "replace")))

    async def keep(
        self,
        slot: SlotId | None,
        instance_id: InstanceId,
        at: datetime,
        files: Mapping[str, bytes],
    ) -> str:
        """Keep a bundle: whole, or not at all."""
        owner = _part(slot.replace("/", ".")) if slot is not None else "none"
        stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{POST_MORTEMS}/{stamp}-{owner}-{int(instance_id)}.tar.gz"
        await self._do(lambda: self._keep(self._path(name), bundled(files, at)))
        return name

    async def kept(self) -> tuple[Kept, ...]:
        """Return what there is, oldest first."""
        return await self._do(self._kept)

    async def tail(self, name: str, bytes_max: int) -> str:
        """Return the end of a log."""
        return await self._do(lambda: _tail(self._path(name), bytes_max))

    async def _do(self, work: Callable[[], T]) -> T:
        async with self._turn:
            try:
                return await asyncio.to_thread(work)
            except OSError as error:
                raise ArchiveFailed(
                    f"cannot write in {self._folder} ({error.strerror or error})"
                ) from error

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or ".." in name:
            raise ArchiveFailed(f"{name!r} is no name of the archive")
        return self._folder / name

    def _open(self, owner: str, label: str) -> str:
        for number in range(1, _TRIES_MAX):
            name = f"{DEPLOYS}/{owner}/{label}-{number}.log"
            path = self._path(name)
            _make_folders(self._folder, path.parent)
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE)
            except FileExistsError:
                continue
            os.close(descriptor)
            self._make_room(keeping=path)
            return name
        raise ArchiveFailed(f"{owner} has too many logs of {label}")

    def _append(self, path: Path, text: bytes) -> None:
        room = self._bounds.log_max_bytes - path.stat().st_size
        if room <= 0:
            return
        if len(text) > room:
            text = text[:room] + b"\n" + _OVER.encode()
        with path.open("ab") as file:
            file.write(text)

    def _keep(self, path: Path, bundle: bytes) -> None:
        _make_folders(self._folder, path.parent)
        part = path.with_name(f"{path.name}.part")
        try:
            part.touch(mode=_FILE_MODE)
            part.write_bytes(bundle)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        self._make_room(keeping=path)

    def _kept(self) -> tuple[Kept, ...]:
        found = []
        for path in self._files():
            told = path.stat()
            found.append(
                Kept(
                    name=path.relative_to(self._folder).as_posix(),
                    size_bytes=told.st_size,
                    kept_at=datetime.fromtimestamp(told.st_mtime, UTC),
                )
            )
        return tuple(sorted(found, key=lambda each: (each.kept_at, each.name)))

    def _files(self) -> list[Path]:
        logs = (self._folder / DEPLOYS).glob("*/*.log")
        bundles = (self._folder / POST_MORTEMS).glob("*.tar.gz")
        return [path for path in (*logs, *bundles) if path.is_file() and not path.is_symlink()]

    def _make_room(self, *, keeping: Path) -> None:
        """Remove the oldest until all bounds hold; never what was written just now."""
        for leftover in (self._folder / POST_MORTEMS).glob("*.part"):
            leftover.unlink(missing_ok=True)  # of a keeper that was killed
        kept = list(self._kept())
        logs = [each for each in kept if each.name.startswith(DEPLOYS)]
        bundles = [each for each in kept if each.name.startswith(POST_MORTEMS)]
        surplus = [
            *logs[: max(0, len(logs) - self._bounds.logs_max)],
            *bundles[: max(0, len(bundles) - self._bounds.bundles_max)],
        ]
        size = sum(each.size_bytes for each in kept) - sum(each.size_bytes for each in surplus)
        for each in kept:
            if size <= self._bounds.size_max_bytes:
                break
            if each not in surplus:
                surplus.append(each)
                size -= each.size_bytes
        for each in surplus:
            path = self._folder / each.name
            if path != keeping:
                path.unlink(missing_ok=True)
                if path.parent.parent.name == DEPLOYS and not any(path.parent.iterdir()):
                    path.parent.rmdir()


def bundled(files: Mapping[str, bytes], at: datetime) -> bytes:
    """Pack files into a tar.gz; the same files at the same moment give the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(_part(name))
            entry.size, entry.mode, entry.mtime = len(files[name]), _FILE_MODE, int(at.timestamp())
            tar.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(packed.getvalue(), mtime=int(at.timestamp()))


def _part(text: str) -> str:
    """Return a text as one part of a file's name."""
    return _DOTS.sub(".", _UNSAFE.sub("-", text)).lstrip(".")[:_PART_MAX] or "none"


def _make_folders(root: Path, folder: Path) -> None:
    for each in (*reversed(folder.relative_to(root).parents), folder.relative_to(root)):
        (root / each).mkdir(mode=_FOLDER_MODE, exist_ok=True)


def _tail(path: Path, bytes_max: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - bytes_max))
            return file.read(bytes_max).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
