"""What does a log file on a host say that was not read yet? Over rotation and truncation, bounded.

A mark says how far the file was read: which file (by inode, because a rotated one keeps its name) and
how many bytes of it. The content crosses the wire in base64, so that bytes stay bytes, whatever a
process has written there. Text is made of it here, whole lines only, and is hostile until the caller
has redacted it and made it plain.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from shlex import quote

from keeper.ports import Command, CommandResult

# The most that is taken of a file in one look; what grew faster than that is left out, and counted.
CONTENT_MAX_BYTES = 65_536
# A line that is longer is not waited for.
_UNFINISHED_MAX_BYTES = 16_384
PREVIOUS = ".1"  # what a log that was put aside has behind its name
_LOOK_S = 10.0
_FILES_MAX = 128
_SLACK_BYTES = 4096

# Nothing but a regular file is opened: a pipe would hang and a device never end. "~" is the login's home.
_COMMON = r"""
at_home() { case $1 in '~/'*) printf '%s/%s' "$HOME" "${1#'~/'}" ;; *) printf '%s' "$1" ;; esac; }
"""
_LIST = r"""
number=0
for each in "$@"; do
    path=$(at_home "$each")
    if [ -f "$path" ] && found=$(stat -Lc '%s %Y' -- "$path" 2>/dev/null); then
        echo "$number $found"
    fi
    number=$((number + 1))
done
"""
_READ = r"""
file=$(at_home "$file")
[ -f "$file" ] || { echo absent; exit 0; }
[ -r "$file" ] || { echo unreadable; exit 0; }
command -v base64 >/dev/null || { echo 'the host has no base64' >&2; exit 1; }
now=$(stat -Lc '%i %s' -- "$file") || exit 1
size=${now#* } now=${now% *} word=more
if [ "$inode" = 0 ]; then
    word=new
elif [ "$now" = "$inode" ]; then
    if [ "$size" -lt "$offset" ]; then word=truncated offset=0; fi
else
    old=$(stat -Lc '%i %s' -- "$file.1" 2>/dev/null)
    if [ "${old% *}" = "$inode" ] && [ "${old#* }" -gt "$offset" ]; then
        word=rest file=$file.1 now=$inode size=${old#* }
    else
        word=rotated offset=0
    fi
fi
begin=$offset
[ $((size - begin)) -le "$most" ] || begin=$((size - most))
echo "$word $now $size $begin $((begin - offset))"
[ "$size" -le "$begin" ] || tail -c "+$((begin + 1))" -- "$file" | head -c "$((size - begin))" | base64
"""


class Turn(StrEnum):
    """What a look has found."""

    NEW = "new"  # the first look at this file
    MORE = "more"  # the same file as before, perhaps longer
    REST = "rest"  # the end of the file that has been put aside
    ROTATED = "rotated"  # another file stands in its place
    TRUNCATED = "truncated"  # the same file begins again
    ABSENT = "absent"
    UNREADABLE = "unreadable"


_READABLE = frozenset(Turn) - {Turn.ABSENT, Turn.UNREADABLE}
_NUMBERS = 4  # inode, size, where the content begins, what was left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a log file was read. Inode 0: not at all."""

    inode: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What one look has brought. ``skipped``: bytes that were left out before ``text``."""

    turn: Turn
    mark: Mark
    text: str = ""  # whole lines; hostile
    unfinished: str = ""  # a last line without its end: it comes again
    skipped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A log file that is there."""

    path: str  # as the workload names it, with ".1" for the one before
    size_bytes: int
    changed_at_s: int  # since the epoch, by the host's clock


def with_previous(paths: Sequence[str]) -> list[str]:
    """Name each log, and after it the one that was kept before it; none twice."""
    every = (
        name
        for path in paths
        for name in ((path,) if path.endswith(PREVIOUS) else (path, f"{path}{PREVIOUS}"))
    )
    return [*dict.fromkeys(every)][:_FILES_MAX]


def look_for(paths: Sequence[str]) -> Command:
    """Ask which of these files are there, and which previous ones."""
    words = " ".join(quote(path) for path in with_previous(paths))
    return Command(
        name="logs.list",
        script=f"{_COMMON}set -- {words}\n{_LIST}",
        timeout_s=_LOOK_S,
        output_max_bytes=16_384,
    )


def read_list(paths: Sequence[str], result: CommandResult) -> tuple[LogFile, ...]:
    """Read which files are there, in the order of ``paths``, each before its previous one."""
    names = with_previous(paths)
    found = []
    for line in result.stdout.splitlines():
        match line.split():
            case [number, size, changed] if _are_numbers(number, size, changed):
                if int(number) < len(names):
                    found.append(
                        LogFile(
                            path=names[int(number)], size_bytes=int(size), changed_at_s=int(changed)
                        )
                    )
            case _:
                pass
    return tuple(found)


def look_into(path: str, mark: Mark, most_bytes: int = CONTENT_MAX_BYTES) -> Command:
    """Ask for what a file says behind a mark; of much, for the end."""
    variables = {"file": path, "inode": mark.inode, "offset": mark.offset, "most": most_bytes}
    assignments = "".join(f"{name}={quote(str(value))}\n" for name, value in variables.items())
    return Command(
        name="logs.read",
        script=f"{assignments}{_COMMON}{_READ}",
        timeout_s=_LOOK_S,
        output_max_bytes=most_bytes * 3 // 2 + _SLACK_BYTES,
    )


def read_chunk(result: CommandResult, mark: Mark) -> Chunk | None:
    """Read what came back; None when it is not what was asked for.

    A line that is not finished waits for its end, and is not passed over. The one that a cut has halved
    is left out: half a secret would be hard to recognise.
    """
    head, _, body = result.stdout.partition("\n")
    words = head.split()
    if words in ([Turn.ABSENT], [Turn.UNREADABLE]):
        return Chunk(turn=Turn(words[0]), mark=Mark())
    if result.exit_code != 0 or result.is_truncated:
        return None
    match words:
        case [word, *numbers] if word in _READABLE and len(numbers) == _NUMBERS:
            turn = Turn(word)
        case _:
            return None
    if not _are_numbers(*numbers):
        return None
    inode, _size, begin, skipped = (int(number) for number in numbers)
    try:
        content = base64.b64decode(body.encode("ascii", "replace"), validate=False)
    except binascii.Error:
        return None
    if turn is Turn.MORE and not content:
        return Chunk(turn=Turn.MORE, mark=mark)
    return _cut(turn, content, inode=inode, begin=begin, skipped=skipped)


def _cut(turn: Turn, content: bytes, *, inode: int, begin: int, skipped: int) -> Chunk:
    """Take whole lines; of a file that is finished, or a line that has no end, what there is."""
    if skipped:
        halved, newline, content = content.partition(b"\n")
        begin += len(halved) + len(newline)
        skipped += len(halved) + len(newline)
    end = content.rfind(b"\n") + 1
    if turn is Turn.REST or len(content) - end > _UNFINISHED_MAX_BYTES:
        end = len(content)
    return Chunk(
        turn=turn,
        mark=Mark(inode=inode, offset=begin + end),
        text=content[:end].decode("utf-8", "replace"),
        unfinished=content[end:].decode("utf-8", "replace"),
        skipped=skipped,
    )


def _are_numbers(*words: str) -> bool:
    return all(word.isascii() and word.isdecimal() and len(word) <= 18 for word in words)  # noqa: PLR2004 - fits 64 bits
