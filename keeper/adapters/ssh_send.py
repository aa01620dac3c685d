"""A big file of this box for a host: sent in pieces, compared there, gone on with after a cut.

What is on the host is believed by its digests alone: a part that was left by an earlier try as far as its
pieces agree with the file here, the rest is sent. Memory holds one block. How connections are kept is
ssh_link.py's affair, how files of this box are read local_file.py's.
"""

from __future__ import annotations

import asyncio
import hashlib
import posixpath
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from shlex import quote
from typing import Protocol, TypeVar

import asyncssh
from asyncssh import FXF_CREAT, FXF_WRITE

from keeper.adapters.local_file import MIB, Digests, LocalFile, LocalFiles, changed
from keeper.adapters.ssh_channel import HOSTILE, RawResult, error_text
from keeper.ports import (
    Command,
    CommandFailed,
    CommandResult,
    LocalFileUnfit,
    Parcel,
    SendHeard,
    SendProgress,
    SendStage,
    Uncertain,
    Unreachable,
)

# As much as the line takes in about a second, so that what else is on the link is not held up by more
# than that: commands, and the sign of life without which a link is given up.
_BLOCK_MIN_BYTES = 64 * 1024
_BLOCK_BYTES = 256 * 1024
_BLOCK_MAX_BYTES = 4 * MIB
_QUICK_S, _SLOW_S = 0.5, 2.0
# What is compared in one question: with a disk that reads 5 MB/s it is answered in time.
_COMPARED_BYTES = 256 * MIB
_COMPARED_BYTES_PER_S = 5e6
_LOOK_S = 30.0
_MOVE_S = 120.0  # what the host still holds in memory is written to its disk first
# Beside the file itself: the logs and the small files of a host that is just being set up.
_SPARE_BYTES = 64 * MIB
_ROUNDS_MAX = 3
_WORDS = 4
_T = TypeVar("_T")
_TEXT_MAX = 300
_DIGITS = 12  # of a digest, for people

# Says "done", or the sizes of what is there (-1: nothing) and what is free, in KiB.
_LOOK = r"""
if [ -n "$unless" ] && (eval "$unless") >/dev/null 2>&1; then echo 'parcel done'; exit 0; fi
mkdir -p -- "$folder" || exit 1
command -v sha256sum >/dev/null || { echo 'this host has no sha256sum' >&2; exit 1; }
kp_size() {
    kp_is=-1
    if [ -f "$1" ]; then kp_is=$(stat -c %s -- "$1" 2>/dev/null || wc -c <"$1"); fi
}
kp_size "$path"; kp_target=$kp_is
kp_size "$path.part"
kp_free=$(df -Pk -- "$folder" | tail -n 1 | sed 's/.* \([0-9][0-9]*\)  *[0-9]*% .*/\1/')
echo "parcel $kp_target $((kp_is)) $kp_free"
"""
_COMPARE = r"""
[ -r "$path.part" ] || { echo "$path.part cannot be read" >&2; exit 1; }
while [ "$left" -gt 0 ]; do
    dd if="$path.part" bs=1048576 skip="$from" count="$count" 2>/dev/null | sha256sum
    from=$((from + count)) left=$((left - 1))
done
"""
_MOVE = r"""
sync -- "$path.part" 2>/dev/null
chmod "$mode" -- "$path.part" && mv -f -- "$path.part" "$path"
"""


class Carrier(Protocol):
    """What a link is for a parcel."""

    async def run(self, command: Command) -> CommandResult:
        """See ports.Link."""
        ...

    async def feed(self, name: str, script: str, data: bytes, *, timeout_s: float) -> RawResult:
        """Run a script that reads so many bytes."""
        ...

    async def start_sftp(self) -> asyncssh.SFTPClient:
        """Open the host's way for files. Raises what asyncssh raises where it has none."""
        ...


class _Written(Protocol):
    """A file on the host, open for writing."""

    async def truncate(self, size: int) -> None: ...
    async def write(self, data: bytes, offset: int) -> object: ...
    async def fsync(self) -> None: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _There:
    """What is on the host."""

    is_done: bool = False
    whole_bytes: int = -1
    part_bytes: int = -1
    free_bytes: int = 0


class Sending:
    """One parcel on its way to one host, over one link."""

    def __init__(
        self, carrier: Carrier, files: LocalFiles, parcel: Parcel, heard: SendHeard
    ) -> None:
        self._carrier = carrier
        self._files = files
        self._parcel = parcel
        self._heard = heard

    async def through(self) -> bool:
        """Send what is missing; False: nothing is. See ports.Link.send."""
        name = self._parcel.name
        try:
            return await self._through()
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection) as error:
            raise Unreachable(f"{name}: {error_text(error)}") from error
        except asyncssh.SFTPError as error:
            raise CommandFailed(
                f"{name}: cannot write {self._parcel.path}: {error_text(error)}; is the disk full?"
            ) from error
        except HOSTILE as error:
            raise Unreachable(f"{name}: {error_text(error)}") from error
        except Uncertain as error:
            # It may be repeated, so not knowing is no worse than not having done it.
            raise Unreachable(str(error)) from error

    async def _through(self) -> bool:
        there = await self._look()
        if there.is_done or (there.whole_bytes >= 0 and await self._is_whole(there.whole_bytes)):
            return False
        digests = await self._meant()
        self._has_room(there, digests.size_bytes)
        good = await self._compare(digests, 0, there.part_bytes)
        for _ in range(_ROUNDS_MAX):
            await self._send(digests, good * digests.piece_bytes)
            good = await self._compare(digests, good, digests.size_bytes)
            if good == len(digests.pieces):
                await self._move()
                return True
        raise CommandFailed(
            f"{self._parcel.name}: what is sent does not arrive as it is: piece {good + 1} of"
            f" {len(digests.pieces)} of {self._parcel.path} is another each time; is the host's disk"
            " broken?"
        )

    async def _meant(self) -> Digests:
        """Return the digests of the file here, if it is the one that is meant. Raises LocalFileUnfit."""

        async def told(done: int, total: int) -> None:
            await self._tell(SendStage.READING, done, total)

        digests = await self._files.digests(self._parcel.local_path, told)
        if digests.whole != self._parcel.sha256:
            raise LocalFileUnfit(
                f"{self._parcel.local_path} on keeper's box is another file than the one declared:"
                f" its sha256 is {digests.whole[:_DIGITS]}…, the configuration says"
                f" {self._parcel.sha256[:_DIGITS]}…; put that file there again, or declare this one"
            )
        return digests

    # --- the host ------------------------------------------------------------------------------------

    async def _look(self) -> _There:
        parcel = self._parcel
        folder = posixpath.dirname(parcel.path) or "."
        values = {"path": parcel.path, "folder": folder, "unless": parcel.unless}
        result = await self._run("look", values, _LOOK, _LOOK_S)
        words = result.stdout.split()
        if words == ["parcel", "done"]:
            return _There(is_done=True)
        numbers = [word for word in words[1:] if word.removeprefix("-").isdecimal()]
        if result.exit_code != 0 or words[:1] != ["parcel"] or len(numbers) != _WORDS - 1:
            raise CommandFailed(f"{parcel.name}: {parcel.path} cannot be written: {_said(result)}")
        whole, part, free_kib = (int(number[:20]) for number in numbers)
        return _There(whole_bytes=whole, part_bytes=part, free_bytes=free_kib * 1024)

    async def _is_whole(self, size_bytes: int) -> bool:
        """Whether the very file is there already."""
        limit_s = _LOOK_S + size_bytes / _COMPARED_BYTES_PER_S
        values = {"path": self._parcel.path}
        result = await self._run("compare", values, 'sha256sum <"$path"', limit_s)
        return result.exit_code == 0 and result.stdout.split()[:1] == [self._parcel.sha256]

    def _has_room(self, there: _There, size_bytes: int) -> None:
        """Say before anything is sent that it cannot be taken. Raises CommandFailed."""
        room = there.free_bytes + max(0, there.part_bytes)
        if room < size_bytes + _SPARE_BYTES:
            raise CommandFailed(
                f"{self._parcel.name}: {self._parcel.path} needs {size_bytes / 1e9:.2f} GB, and only"
                f" {room / 1e9:.2f} GB are free there: the disk is full; rent a larger one (disk_gb)"
            )

    async def _compare(self, digests: Digests, first: int, part_bytes: int) -> int:
        """Return how many pieces from the beginning are on the host as they are here."""
        whole = min(part_bytes, digests.size_bytes) // digests.piece_bytes
        last = len(digests.pieces) if part_bytes >= digests.size_bytes else whole
        at_once = max(1, _COMPARED_BYTES // digests.piece_bytes)
        for begin in range(first, last, at_once):
            end = min(begin + at_once, last)
            await self._tell(SendStage.COMPARING, begin * digests.piece_bytes, digests.size_bytes)
            found = await self._digests_there(digests.piece_bytes, begin, end)
            for number, meant in enumerate(digests.pieces[begin:end]):
                if number >= len(found) or found[number] != meant:
                    return begin + number
        return max(first, last)

    async def _digests_there(self, piece_bytes: int, begin: int, end: int) -> list[str]:
        count = piece_bytes // MIB
        values = {
            "path": self._parcel.path,
            "from": str(begin * count),
            "count": str(count),
            "left": str(end - begin),
        }
        limit_s = _LOOK_S + (end - begin) * piece_bytes / _COMPARED_BYTES_PER_S
        result = await self._run("compare", values, _COMPARE, limit_s)
        if result.exit_code != 0:
            raise CommandFailed(
                f"{self._parcel.name}: what has come of {self._parcel.path} cannot be compared:"
                f" {_said(result) or f'not read in {limit_s:.0f} s'}"
            )
        return [line.partition(" ")[0] for line in result.stdout.splitlines()]

    async def _move(self) -> None:
        values = {"path": self._parcel.path, "mode": f"{self._parcel.mode:o}"}
        result = await self._run("move", values, _MOVE, _MOVE_S)
        if result.exit_code != 0:
            raise CommandFailed(f"cannot write {self._parcel.path}: {_said(result)}")

    async def _run(
        self, what: str, values: dict[str, str], script: str, timeout_s: float
    ) -> CommandResult:
        lines = "".join(f"{name}={quote(value)}\n" for name, value in values.items())
        return await self._carrier.run(
            Command(name=f"{self._parcel.name}.{what}", script=lines + script, timeout_s=timeout_s)
        )

    # --- the bytes -----------------------------------------------------------------------------------

    async def _send(self, digests: Digests, begin: int) -> None:
        """Write from here to the end. Raises LocalFileUnfit when the file becomes another one."""
        local = await self._files.open(self._parcel.local_path)
        try:
            async with self._open_there(begin, digests) as remote:
                await self._in_time(remote.truncate(begin), begin, digests)
                await self._send_pieces(digests, local, remote, begin)
                with suppress(asyncssh.SFTPOpUnsupported):
                    await self._in_time(remote.fsync(), digests.size_bytes, digests)
                await self._in_time(remote.close(), digests.size_bytes, digests)
        finally:
            local.close()

    async def _send_pieces(
        self,
        digests: Digests,
        local: LocalFile,
        remote: _Written,
        offset: int,
    ) -> None:
        pace = _Pace()
        while offset < digests.size_bytes:
            number = offset // digests.piece_bytes
            end = min((number + 1) * digests.piece_bytes, digests.size_bytes)
            piece = hashlib.sha256()
            while offset < end:
                await self._tell(SendStage.SENDING, offset, digests.size_bytes)
                data = await local.read(offset, min(pace.block_bytes, end - offset))
                await asyncio.to_thread(piece.update, data)
                began_s = asyncio.get_running_loop().time()
                await self._in_time(remote.write(data, offset), offset, digests)
                pace.took(asyncio.get_running_loop().time() - began_s)
                offset += len(data)
            if piece.hexdigest() != digests.pieces[number]:
                raise changed(self._parcel.local_path)
        await self._tell(SendStage.SENDING, offset, digests.size_bytes)

    @asynccontextmanager
    async def _open_there(self, begin: int, digests: Digests) -> AsyncIterator[_Written]:
        sftp = None
        with suppress(asyncssh.ChannelOpenError, asyncssh.SFTPConnectionLost):
            sftp = await self._in_time(self._carrier.start_sftp(), begin, digests)
        if sftp is None:
            yield _ByShell(self._carrier, self._parcel)
            return
        # No `async with`: at its end asyncssh waits for the host once more, without a deadline.
        try:
            part = f"{self._parcel.path}.part"
            opening = sftp.open(part, FXF_WRITE | FXF_CREAT, encoding=None)
            yield await self._in_time(opening, begin, digests)
        finally:
            sftp.exit()

    async def _in_time(self, doing: Awaitable[_T], done: int, digests: Digests) -> _T:
        try:
            async with asyncio.timeout(self._parcel.stall_s):
                return await doing
        except TimeoutError as error:
            raise Unreachable(
                f"{self._parcel.name}: no byte got further for {self._parcel.stall_s:.0f} s, after"
                f" {done / 1e9:.2f} of {digests.size_bytes / 1e9:.2f} GB"
            ) from error

    async def _tell(self, stage: SendStage, done: int, total: int) -> None:
        await self._heard(SendProgress(stage=stage, done_bytes=done, total_bytes=total))


class _ByShell:
    """The file on a host that has no SFTP: each block by a command of its own."""

    def __init__(self, carrier: Carrier, parcel: Parcel) -> None:
        self._carrier = carrier
        self._parcel = parcel

    async def truncate(self, size: int) -> None:
        """Cut it off at a whole MiB."""
        await self._feed(f"dd bs=1048576 seek={size // MIB} count=0", b"")

    async def write(self, data: bytes, offset: int) -> None:
        """Write at a multiple of the least block."""
        await self._feed(f"dd bs=65536 seek={offset // _BLOCK_MIN_BYTES} conv=notrunc", data)

    async def fsync(self) -> None:
        """Do nothing: the last command sees to it."""

    async def close(self) -> None:
        """Have nothing open."""

    async def _feed(self, dd: str, data: bytes) -> None:
        name = self._parcel.name
        raw = await self._carrier.feed(
            name, f"{dd} of={quote(self._parcel.path)}.part", data, timeout_s=self._parcel.stall_s
        )
        if raw.exit_code != 0:
            said = raw.stderr.decode("utf-8", "replace").strip()[-_TEXT_MAX:]
            raise CommandFailed(f"{name}: cannot write {self._parcel.path}: {said}")


class _Pace:
    """How much is sent at once: what the line takes in about a second."""

    def __init__(self) -> None:
        self.block_bytes = _BLOCK_BYTES

    def took(self, duration_s: float) -> None:
        """Learn from how long a block took."""
        if duration_s < _QUICK_S:
            self.block_bytes = min(self.block_bytes * 2, _BLOCK_MAX_BYTES)
        elif duration_s > _SLOW_S:
            self.block_bytes = max(self.block_bytes // 2, _BLOCK_MIN_BYTES)


def _said(result: CommandResult) -> str:
    return (result.stderr or result.stdout).strip()[-_TEXT_MAX:]
