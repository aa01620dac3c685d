"""Big files of this box, sent to a real OpenSSH server: cut, spoiled, changed, and gone on with."""

import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from keeper.adapters.local_file import MIB
from keeper.adapters.ssh import SshHosts
from keeper.ports import (
    CommandFailed,
    Link,
    LocalFileUnfit,
    Parcel,
    SendProgress,
    SendStage,
    Unreachable,
)
from tests.real_sshd import RealSshd, running_sshd
from tests.relay import Relay, relayed

pytestmark = [pytest.mark.real("sshd"), pytest.mark.timeout(180)]

SIZE = 8 * MIB + 4711  # nine pieces, the last one short
SFTP = "Subsystem sftp internal-sftp"


@dataclass(kw_only=True)
class Box:
    """Keeper's box with an archive on it, and the way to a host."""

    hosts: SshHosts
    relay: Relay
    archive: Path
    target: Path
    heard: list[SendProgress] = field(default_factory=list)
    then: Callable[[SendProgress], None] = lambda _: None

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    def parcel(self, **more: Any) -> Parcel:
        parcel = Parcel(
            name="deploy.archive",
            local_path=str(self.archive),
            sha256=hashlib.sha256(self.archive.read_bytes()).hexdigest(),
            path=str(self.target),
            timeout_s=60.0,
        )
        return replace(parcel, **more)

    async def send(self, parcel: Parcel | None = None) -> bool:
        """Send over a link of its own."""
        self.heard.clear()
        self.relay.forth_bytes = 0
        link = await self.link()
        try:
            return await link.send(parcel or self.parcel(), self.hear)
        finally:
            await link.close()

    async def link(self) -> Link:
        return await self.hosts.connect([self.relay.address], pinned_host_key="", timeout_s=20)

    async def hear(self, progress: SendProgress) -> None:
        self.heard.append(progress)
        self.then(progress)

    def sent_from(self) -> int:
        """Return from which byte on the last try sent."""
        return next(each.done_bytes for each in self.heard if each.stage is SendStage.SENDING)

    def once(self, at: int, deed: Callable[[], None]) -> None:
        """Do something once when so many bytes have been sent."""

        def look(progress: SendProgress) -> None:
            if progress.stage is SendStage.SENDING and progress.done_bytes >= at:
                self.then = lambda _: None
                deed()

        self.then = look

    async def cut_at(self, at: int) -> None:
        """Let a try be cut off after so many bytes."""
        self.once(at, self.relay.cut)
        with pytest.raises(Unreachable):
            await self.send()
        assert not self.target.exists()


@asynccontextmanager
async def box_beside(sshd: RealSshd, folder: Path) -> AsyncIterator[Box]:
    archive = folder / "game's archive.zip"
    archive.write_bytes(os.urandom(SIZE))
    async with relayed(sshd.address) as relay:
        yield Box(
            hosts=sshd.hosts(),
            relay=relay,
            archive=archive,
            target=folder / "a host" / ".keeper" / "archive",
        )


@pytest.fixture
async def box(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[Box]:
    async with (
        running_sshd(tmp_path / "sshd", free_port(), more=SFTP) as sshd,
        box_beside(sshd, tmp_path) as box,
    ):
        yield box


async def test_it_arrives_whole_under_its_name_with_its_mode(box: Box) -> None:
    assert await box.send(box.parcel(mode=0o640))
    assert box.target.read_bytes() == box.archive.read_bytes()
    assert stat.S_IMODE(box.target.stat().st_mode) == 0o640
    assert [path.name for path in box.target.parent.iterdir()] == [box.target.name]
    last = box.heard[-1]
    assert box.sent_from() == 0
    assert (last.stage, last.total_bytes) == (SendStage.COMPARING, SIZE)


async def test_what_is_there_is_not_sent_again(box: Box) -> None:
    """Also when the file on this box is gone by now: the host has it."""
    parcel = box.parcel()
    assert await box.send(parcel)
    box.archive.unlink()
    assert not await box.send(parcel)
    assert box.heard == []
    assert box.relay.forth_bytes < 100_000


async def test_what_the_host_needs_no_more_is_not_sent(box: Box) -> None:
    parcel = box.parcel(unless=f"[ -d '{box.target.parent.parent}' ]")
    box.target.parent.parent.mkdir()
    assert not await box.send(parcel)
    assert not box.target.parent.exists()
    box.target.parent.parent.rmdir()
    assert await box.send(parcel)


async def test_another_file_there_is_replaced(box: Box) -> None:
    box.target.parent.mkdir(parents=True)
    box.target.write_bytes(b"of an earlier deploy")
    assert await box.send()
    assert box.target.read_bytes() == box.archive.read_bytes()


async def test_a_cut_one_goes_on_where_it_was_cut(box: Box) -> None:
    await box.cut_at(5 * MIB)
    assert await box.send()
    assert box.target.read_bytes() == box.archive.read_bytes()
    assert box.sent_from() >= 5 * MIB
    # By what went through the wire: the second try did not send the first part again.
    assert box.relay.forth_bytes < SIZE - 4 * MIB


async def test_a_spoiled_piece_is_found_and_sent_again(box: Box) -> None:
    await box.cut_at(6 * MIB)
    with box.part.open("r+b") as part:
        part.seek(2 * MIB + 17)
        part.write(b"spoiled")
    assert await box.send()
    assert box.sent_from() == 2 * MIB
    assert box.target.read_bytes() == box.archive.read_bytes()


async def test_the_rest_of_a_bigger_archive_does_not_stay_behind(box: Box) -> None:
    box.target.parent.mkdir(parents=True)
    box.part.write_bytes(box.archive.read_bytes()[: 3 * MIB] + bytes(SIZE))
    assert await box.send()
    assert box.sent_from() == 3 * MIB
    assert box.target.read_bytes() == box.archive.read_bytes()


async def test_a_host_that_loses_what_it_took_is_told_so_by_the_piece(box: Box) -> None:
    """What was acknowledged is compared all the same, sent again, and given up after three times."""
    parcel = box.parcel()

    def spoil(progress: SendProgress) -> None:
        if progress.stage is SendStage.COMPARING and box.part.exists():
            with box.part.open("r+b") as part:
                part.seek(7 * MIB)
                part.write(b"spoiled")

    box.then = spoil
    with pytest.raises(CommandFailed, match=r"piece 8 of 9 .* is another each time"):
        await box.send(parcel)
    box.then = lambda _: None
    assert await box.send(parcel)
    assert box.sent_from() == 7 * MIB


async def test_a_file_that_changes_while_it_is_sent_is_found_out(box: Box) -> None:
    parcel = box.parcel()
    first = box.archive.read_bytes()

    def change() -> None:
        with box.archive.open("r+b") as archive:
            archive.seek(6 * MIB)
            archive.write(b"another build")

    box.once(2 * MIB, change)
    with pytest.raises(LocalFileUnfit, match=r"archive\.zip on keeper's box was changed while"):
        await box.send(parcel)
    with pytest.raises(LocalFileUnfit, match="another file than the one declared"):
        await box.send(parcel)
    assert not box.target.exists()
    box.archive.write_bytes(first)
    assert await box.send(parcel)
    assert box.sent_from() >= 5 * MIB


async def test_one_that_is_cut_short_while_it_is_sent_is_found_out(box: Box) -> None:
    box.once(2 * MIB, lambda: os.truncate(box.archive, 3 * MIB))
    with pytest.raises(LocalFileUnfit, match="was changed while"):
        await box.send()


async def test_a_line_on_which_no_byte_gets_further_ends_with_a_sentence(box: Box) -> None:
    box.once(3 * MIB, box.relay.freeze)
    with pytest.raises(Unreachable, match=r"no byte got further for 1 s, after 0\.00 of 0\.01 GB"):
        await box.send(box.parcel(stall_s=1.0))
    assert not box.target.exists()


async def test_without_the_file_that_is_meant_nothing_is_sent(box: Box) -> None:
    parcel = box.parcel()

    def put_a_pipe() -> None:
        box.archive.rmdir()
        os.mkfifo(box.archive)

    def put_another() -> None:
        box.archive.unlink()
        box.archive.write_bytes(b"another one")

    instead: dict[str, Callable[[], object]] = {
        "No such file": lambda: None,
        "is no file": box.archive.mkdir,
        "is no file: ": put_a_pipe,
        "another file than the one declared": put_another,
    }
    box.archive.unlink()
    for words, put in instead.items():
        put()
        with pytest.raises(LocalFileUnfit, match=rf"game's archive\.zip on keeper's box.*{words}"):
            await box.send(parcel)
        assert not box.part.exists()


async def test_a_disk_without_room_is_told_before_anything_is_sent(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "df").write_text("#!/bin/sh\necho '/dev/a b 100 93 7000 93% /some where'\n")
    (tools / "df").chmod(0o755)
    more = f"{SFTP}\nSetEnv PATH={tools}:/usr/bin:/bin"
    async with (
        running_sshd(tmp_path / "sshd", free_port(), more=more) as sshd,
        box_beside(sshd, tmp_path) as box,
    ):
        with pytest.raises(CommandFailed, match=r"needs 0\.01 GB, and only 0\.01 GB are free"):
            await box.send()
        assert not box.part.exists()


async def test_a_host_that_cannot_write_there_says_so(box: Box) -> None:
    box.target.parent.parent.write_text("in the way")
    with pytest.raises(CommandFailed, match="cannot be written"):
        await box.send()


async def test_a_host_without_sftp_takes_it_too(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    async with (
        running_sshd(tmp_path / "sshd", free_port(), more="") as sshd,
        box_beside(sshd, tmp_path) as box,
    ):
        await box.cut_at(4 * MIB)
        assert await box.send()
        assert box.sent_from() >= 3 * MIB
        assert box.target.read_bytes() == box.archive.read_bytes()


async def test_one_that_is_given_up_in_the_middle_goes_on_later(box: Box) -> None:
    """Keeper stops: whatever was sent stays, and what else is on the link is not held up."""

    class Enough(Exception):
        pass

    def enough() -> None:
        raise Enough

    link = await box.link()
    box.once(4 * MIB, enough)
    with pytest.raises(Enough):
        await link.send(box.parcel(), box.hear)
    box.heard.clear()
    assert await link.send(box.parcel(), box.hear)
    assert box.sent_from() >= 3 * MIB
    await link.close()
