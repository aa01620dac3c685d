"""What is read of a log file, over rotation and truncation: the real script on real files."""

import base64
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.ports import Command, CommandResult
from keeper.probes.log_file import (
    CONTENT_MAX_BYTES,
    Chunk,
    Mark,
    Turn,
    look_for,
    look_into,
    read_chunk,
    read_list,
)


def run(command: Command, home: Path) -> CommandResult:
    done = subprocess.run(
        ["sh", "-s"],
        input=command.script.encode(),
        capture_output=True,
        check=False,
        cwd=home,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
    out = done.stdout[: command.output_max_bytes]
    return CommandResult(
        exit_code=done.returncode,
        stdout=out.decode(errors="replace"),
        stderr=done.stderr.decode(),
        is_truncated=len(out) < len(done.stdout),
    )


class Log:
    """A log file, and how far it was read."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "server.log"
        self.mark = Mark()

    def write(self, text: str | bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text if isinstance(text, bytes) else text.encode())

    def look(self, path: str = "server.log") -> Chunk:
        result = run(look_into(path, self.mark), self.home)
        chunk = read_chunk(result, self.mark)
        assert chunk is not None, result
        self.mark = chunk.mark
        return chunk


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_reads_on_where_it_stopped_and_waits_for_the_end_of_a_line(log: Log) -> None:
    log.write("one\ntwo\nthr")
    first = log.look()
    assert (first.turn, first.text, first.unfinished) == (Turn.NEW, "one\ntwo\n", "thr")
    assert log.look().text == ""
    log.write("ee\nfour\n")
    second = log.look()
    assert (second.turn, second.text, second.unfinished) == (Turn.MORE, "three\nfour\n", "")
    assert log.look() == Chunk(turn=Turn.MORE, mark=log.mark)


def test_follows_over_a_rotation_that_keeps_one_previous_log(log: Log) -> None:
    """How keeper itself starts a process: the log is renamed and a new one begun."""
    log.write("old 1\n")
    log.look()
    log.write("old 2\nold 3, cut off by the end")
    log.path.rename(log.home / "server.log.1")
    log.write("new 1\n")
    rest = log.look()
    assert (rest.turn, rest.text) == (Turn.REST, "old 2\nold 3, cut off by the end")
    after = log.look()
    assert (after.turn, after.text) == (Turn.ROTATED, "new 1\n")
    log.write("new 2\n")
    assert log.look().text == "new 2\n"


def test_follows_over_a_rotation_that_keeps_nothing(log: Log) -> None:
    log.write("old\n")
    log.look()
    log.path.rename(log.home / "elsewhere")
    log.write("new\n")
    chunk = log.look()
    assert (chunk.turn, chunk.text) == (Turn.ROTATED, "new\n")


def test_follows_over_a_moment_without_a_log(log: Log) -> None:
    """A look may come between the rename and the new file's creation."""
    log.write("old 1\n")
    log.look()
    log.write("old 2\n")
    log.path.rename(log.home / "server.log.1")
    rest = log.look()
    assert (rest.turn, rest.text) == (Turn.REST, "old 2\n")
    assert log.look() == Chunk(turn=Turn.ABSENT, mark=log.mark)
    log.write("new 1\n")
    after = log.look()
    assert (after.turn, after.text) == (Turn.ROTATED, "new 1\n")


def test_reads_what_came_and_went_between_two_looks(log: Log) -> None:
    """A process that ended at once: its log says why, and is the previous one already."""
    log.write("first\n")
    log.look()
    for text in ("second 1\nsecond 2\n", "third\n"):
        log.path.rename(log.home / "server.log.1")
        log.write(text)
    wanted = [
        (Turn.ROTATED, "second 1\nsecond 2\n"),
        (Turn.ROTATED, "third\n"),
        (Turn.MORE, ""),
    ]
    if not float(log.mark.born.replace("-", "0")):  # the file system does not tell
        del wanted[0]
    looks = [log.look() for _ in wanted]
    assert [(each.turn, each.text) for each in looks] == wanted


@pytest.mark.parametrize("text", ["new\n", "new, and longer than the old one\n", "old 1\nold 2\n"])
def test_a_new_file_with_the_inode_of_the_old_one_is_a_new_file(log: Log, text: str) -> None:
    log.write("old 1\n")
    log.look()
    log.path.unlink()
    log.write(text)
    # As a file system hands it out again.
    log.mark = replace(log.mark, inode=log.path.stat().st_ino, born="1.000000000")
    chunk = log.look()
    assert (chunk.turn, chunk.text) == (Turn.ROTATED, text)


@pytest.mark.parametrize("text", ["new\n", "new, and longer than the old one\n"])
def test_where_no_birth_is_known_what_was_read_tells_files_apart(log: Log, text: str) -> None:
    log.write("old 1\n")
    log.look()
    offset, last = log.mark.offset, log.mark.last
    log.path.unlink()
    log.write(text)
    log.look()
    log.mark = replace(log.mark, offset=offset, last=last)
    chunk = log.look()
    assert (chunk.turn, chunk.text) == (Turn.TRUNCATED, text)


def test_follows_over_a_truncation(log: Log) -> None:
    log.write("a long line of the process before\n")
    log.look()
    for text in ("new\n", "new, and soon longer than all that was read of it before\n"):
        log.path.write_text(text)
        chunk = log.look()
        assert (chunk.turn, chunk.text) == (Turn.TRUNCATED, text)


def test_of_much_the_end_is_read_and_what_is_left_out_is_counted(log: Log) -> None:
    log.write("begin\n")
    log.look()
    more = b"".join(b"line %06d\n" % number for number in range(20_000))
    log.write(more)
    chunk = log.look()
    lines = chunk.text.splitlines()
    assert lines[-1] == "line 019999"
    assert all(len(line) == 11 for line in lines)  # no half line
    assert len(chunk.text) <= CONTENT_MAX_BYTES
    assert chunk.skipped + len(chunk.text) == len(more)


def test_a_line_without_end_is_not_waited_for(log: Log) -> None:
    log.write("x" * 20_000)
    chunk = log.look()
    assert chunk.text == "x" * 20_000
    log.write("y" * 200_000)
    assert log.look().skipped == 200_000


def test_bytes_that_are_no_text_do_not_move_the_mark(log: Log) -> None:
    log.write(b"\xff\x00\x9b31m\n")
    assert log.look().text == "\ufffd\x00\ufffd31m\n"
    assert log.mark.offset == 7
    log.write("next\n")
    assert log.look().text == "next\n"


def test_nothing_but_a_file_is_opened(log: Log) -> None:
    """A pipe would hang, and a device never end."""
    assert log.look("no-such.log").turn is Turn.ABSENT
    assert log.look("/dev/zero").turn is Turn.ABSENT
    subprocess.run(["mkfifo", log.home / "pipe"], check=True)
    assert log.look("pipe").turn is Turn.ABSENT


def test_a_path_is_no_program(log: Log) -> None:
    name = "a $(touch pwned) 'b;c"
    (log.home / name).write_text("said\n")
    assert log.look(name).text == "said\n"
    assert not (log.home / "pwned").exists()


def test_lists_what_is_there_with_the_previous_ones(log: Log) -> None:
    (log.home / "logs").mkdir()
    (log.home / "logs" / "out log").write_text("12345")
    (log.home / "server.log.1").write_text("1")
    paths = ("server.log", "~/logs/out log", "/nowhere/at.log")
    found = read_list(paths, run(look_for(paths), log.home))
    assert [(each.path, each.size_bytes) for each in found] == [
        ("server.log.1", 1),
        ("~/logs/out log", 5),
    ]


HOSTILE = [
    "",
    "more",
    "new 1 1.0 2 3",
    "new 1 1.0 2 3 four\n",
    "new 1 1.0 2 3 -4\n",
    "new 1 1.0 2 3 99999999999999999999\n",
    "new \u0661 1.0 2 3 4\n",
    "new 1 \u0661 2 3 4\n",
    f"new 1 {'1' * 41} 2 3 4\n",
    "absent now\n",
    "\x00\x1b[2J",
    "new 1 1.0 2 3 4\nA",
]


@pytest.mark.parametrize("said", HOSTILE)
def test_what_was_not_asked_for_is_nothing(said: str) -> None:
    assert read_chunk(CommandResult(exit_code=0, stdout=said, stderr=""), Mark()) is None


def test_an_answer_that_failed_or_was_cut_is_nothing() -> None:
    said = "new 1 1.0 2 0 0\n" + base64.b64encode(b"a\n").decode()
    whole = CommandResult(exit_code=0, stdout=said, stderr="")
    assert read_chunk(whole, Mark()) is not None
    assert read_chunk(CommandResult(exit_code=1, stdout=said, stderr=""), Mark()) is None
    cut = CommandResult(exit_code=0, stdout=said, stderr="", is_truncated=True)
    assert read_chunk(cut, Mark()) is None


@pytest.mark.parametrize("said", ["", "x y z", "0 1", "7 1 1", "-1 1 1", "0 1 1 1", "\u0663 1 1"])
def test_a_list_of_nonsense_is_empty(said: str) -> None:
    assert read_list(("a",), CommandResult(exit_code=0, stdout=said, stderr="")) == ()
