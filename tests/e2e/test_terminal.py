"""What a person sees: a terminal of 80 columns, answered at the keyboard."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import termios
from collections.abc import AsyncIterator

import pytest

from tests.e2e.conftest import KEEPER, PATIENCE_S, Box

pytestmark = pytest.mark.timeout(300)

COLUMNS = 80
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")


class Terminal:
    """A pseudo-terminal and the command in it."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        os.set_blocking(self._master, False)
        self._process: asyncio.subprocess.Process | None = None
        self.raw = ""

    async def start(self, *arguments: str, **environ: str) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(KEEPER, *arguments),
            env=self._box.environ | {"TERM": "xterm-256color"} | environ,
            cwd=self._box.folder,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            # A terminal of its own, so that Ctrl-C reaches it and nobody else.
            preexec_fn=_take_terminal,
        )

    async def sees(self, text: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while text not in self.text:
                self._read()
                await asyncio.sleep(0.02)

    async def sees_more(self) -> None:
        before = len(self.raw)
        async with asyncio.timeout(PATIENCE_S):
            while len(self.raw) == before:
                self._read()
                await asyncio.sleep(0.02)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    async def ended(self) -> int:
        assert self._process is not None
        async with asyncio.timeout(PATIENCE_S):
            while self._process.returncode is None:
                self._read()
                await asyncio.sleep(0.02)
        self._read()
        return self._process.returncode

    @property
    def text(self) -> str:
        return SEQUENCE.sub("", self.raw).replace("\r", "")

    @property
    def lines(self) -> list[str]:
        """Every line as it was drawn; one that is alive is drawn again after a carriage return."""
        return re.split(r"[\r\n]+", SEQUENCE.sub("", self.raw))

    def _read(self) -> None:
        try:
            while got := os.read(self._master, 65_536):
                self.raw += got.decode(errors="replace")
        except (BlockingIOError, OSError):
            return

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        os.close(self._master)
        os.close(self._slave)


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
async def terminal(box: Box) -> AsyncIterator[Terminal]:
    made = Terminal(box)
    yield made
    await made.close()


async def test_provision_asks_and_counts_and_survives_its_own_drawing(
    box: Box, terminal: Terminal
) -> None:
    await terminal.start("provision", "duel")
    await terminal.sees("Rent a host for duel? [y/N]")
    assert box.creates() == []
    terminal.type("y\r")
    assert await terminal.ended() == 0, terminal.text
    assert "Traceback" not in terminal.text
    assert "is booting" in terminal.text
    assert "duel/0 is on air." in terminal.text


async def test_no_is_an_answer(box: Box, terminal: Terminal) -> None:
    await terminal.start("provision", "duel")
    await terminal.sees("[y/N]")
    terminal.type("n\r")
    assert await terminal.ended() == 6
    assert "not confirmed; nothing was changed" in terminal.text
    assert box.creates() == []


async def test_ctrl_c_at_the_question_is_a_no(box: Box, terminal: Terminal) -> None:
    await terminal.start("provision", "duel")
    await terminal.sees("[y/N]")
    terminal.type("\x03")
    assert await terminal.ended() == 130
    assert "Traceback" not in terminal.text
    assert box.creates() == []


async def test_ctrl_c_ends_a_watch_and_leaves_the_screen_as_it_was(
    box: Box, terminal: Terminal
) -> None:
    await box.daemon()
    await terminal.start("status", "--watch", "0.3")
    await terminal.sees("duel/0")
    terminal.type("\x03")
    assert await terminal.ended() == 0
    assert "\x1b[?1049l" in terminal.raw, "the alternate screen was not left"
    assert "Traceback" not in terminal.text


async def test_a_watch_redraws_in_place_and_tells_when_the_keeper_has_gone(
    box: Box, terminal: Terminal
) -> None:
    """Clearing the screen before each look is what flickers."""
    daemon = await box.daemon(until_on_air=True)
    await terminal.start("status", "--watch", "0.3")
    await terminal.sees("The stream is on air.")
    before = len(terminal.raw)
    looks = terminal.text.count("Ctrl-C ends this")
    daemon.kill(signal.SIGTERM)
    await terminal.sees("no keeper is running: this is what the last one knew")
    while terminal.text.count("Ctrl-C ends this") <= looks:  # the end of that same look
        await terminal.sees_more()
    assert "\x1b[2J" not in terminal.raw[before:]
    assert "\x1b[H" in terminal.raw[before:]
    terminal.type("\x03")
    assert await terminal.ended() == 0
    assert "Traceback" not in terminal.text


async def test_a_watch_of_a_name_that_is_not_there_takes_no_screen(
    box: Box, terminal: Terminal
) -> None:
    await box.daemon()
    await terminal.start("status", "deul", "--watch")
    assert await terminal.ended() == 5
    assert "did you mean 'duel'?" in terminal.text
    assert "\x1b[?1049h" not in terminal.raw


async def test_an_end_is_asked_for_and_followed_in_80_columns(box: Box, terminal: Terminal) -> None:
    await box.daemon(until_on_air=True)
    (instance_id,) = box.live()
    await terminal.start("destroy", "duel")
    await terminal.sees("End it? [y/N]")
    assert f"instance {instance_id}, " in terminal.text
    assert "its picture is ON AIR now" in terminal.text
    assert box.live() == [instance_id]
    terminal.type("y\r")
    assert await terminal.ended() == 0, terminal.text
    assert f"instance {instance_id} is confirmed gone" in terminal.text
    assert "Traceback" not in terminal.text
    assert box.live() == []


async def test_ctrl_c_at_the_end_of_a_rental_is_a_no_and_later_only_ends_the_following(
    box: Box, terminal: Terminal
) -> None:
    await box.daemon(until_on_air=True)
    (instance_id,) = box.live()
    await terminal.start("destroy", "duel")
    await terminal.sees("End it? [y/N]")
    terminal.type("\x03")
    assert await terminal.ended() == 130
    assert box.live() == [instance_id]
    await terminal.start("destroy", "duel", "--yes")
    await terminal.sees(f"instance {instance_id}: ")
    terminal.type("\x03")
    assert await terminal.ended() == 130
    assert "the end of duel/0 is ordered and recorded" in " ".join(terminal.text.split())
    assert "Traceback" not in terminal.text
    await box.until(lambda: box.live() == [])


async def test_lines_fit_and_are_folded_between_words(box: Box, terminal: Terminal) -> None:
    await terminal.start("search", "--explain")
    assert await terminal.ended() == 0
    assert "duel: " in terminal.text
    assert [line for line in terminal.lines if len(line) > COLUMNS] == []
    assert "\x1b[1m" in terminal.raw


async def test_no_color_means_no_sequences(box: Box, terminal: Terminal) -> None:
    await terminal.start("search", NO_COLOR="1")
    assert await terminal.ended() == 0
    assert "\x1b" not in terminal.raw
