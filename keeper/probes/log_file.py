"""What does a log file on a host say that was not read yet? Over rotation and truncation, bounded.

A mark says how far the file was read: which file (not by name, which a rotated one leaves to the next)
and how many bytes of it. The content crosses the wire in base64, so that bytes stay bytes, whatever a
process has written there. Text is made of it here, whole lines only, and is hostile until the caller
has redacted it and made it plain.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
# A look first opens the log, then the one before it, and asks and reads what it has open: whatever is renamed
# meanwhile, the words and the content are of one file. A new file may have the inode of one that was
# deleted (two restarts are enough), so a mark also knows when its file was born, where the file system
# tells, and what stood last before it.
_READ = r"""
learn() {
    set -- $(stat -Lc '%i %.9W %s' -- "/proc/self/fd/$1")
    [ $# = 3 ] && now=$1 birth=$2 size=$3
}
is_marked() { [ "$now $birth" = "$inode $born" ]; }
before() { tail -c "+$((offset - kept + 1))" -- "/proc/self/fd/$1" | head -c "$kept" | base64 | tr -d '\n'; }
goes_on() { [ "$size" -ge "$offset" ] && { [ "$kept" = 0 ] || [ "$(before "$1")" = "$last" ]; }; }
is_later() { [ "${1%.*}${1#*.}" -gt "${2%.*}${2#*.}" ] 2>/dev/null; }

file=$(at_home "$file")
command -v base64 >/dev/null || { echo 'the host has no base64' >&2; exit 1; }
word=absent from=0
if [ -f "$file" ]; then
    [ -r "$file" ] || { echo unreadable; exit 0; }
    if { command exec 3<"$file"; } 2>/dev/null && learn 3; then word=rotated from=3; fi
fi
if [ "$inode" = 0 ]; then
    [ "$from" = 0 ] || word=new
elif [ "$from" = 3 ] && is_marked; then
    if goes_on 3; then word=more; else word=truncated; fi
elif [ -f "$file.1" ] && { command exec 4<"$file.1"; } 2>/dev/null && learn 4; then
    if is_marked; then
        if [ "$size" -gt "$offset" ]; then word=rest from=4; fi
    elif is_later "$birth" "$born"; then
        word=rotated from=4  # it came and went between two looks
    fi
fi
[ "$from" != 0 ] || { echo absent; exit 0; }
learn "$from" || exit 1
case $word in more | rest) ;; *) offset=0 ;; esac
begin=$offset
[ $((size - begin)) -le "$most" ] || begin=$((size - most))
echo "$word $now $birth $size $begin $((begin - offset))"
[ "$size" -le "$begin" ] ||
    tail -c "+$((begin + 1))" -- "/proc/self/fd/$from" | head -c "$((size - begin))" | base64
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


_BIRTH = re.compile(r"[!-~]{1,40}")
_READABLE = frozenset(Turn) - {Turn.ABSENT, Turn.UNREADABLE}
_WORDS = 6  # the turn, inode, birth, size, where the content begins, what was left out
_LAST_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a log file was read. Inode 0: not at all."""

    inode: int = 0
    born: str = ""  # the host's own word for when, to be compared with itself alone
    offset: int = 0
    last: bytes = b""  # what stands before the offset; a little of it


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
    variables = {
        "file": path,
        "inode": mark.inode,
        "born": mark.born,
        "offset": mark.offset,
        "last": base64.b64encode(mark.last).decode(),
        "kept": len(mark.last),
        "most": most_bytes,
    }
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
        return Chunk(turn=Turn(words[0]), mark=mark)
    if result.exit_code != 0 or result.is_truncated:
        return None
    if len(words) != _WORDS or words[0] not in _READABLE:
        return None
    turn, born = Turn(words[0]), words[2]
    numbers = (words[1], *words[3:])
    if not _are_numbers(*numbers) or not _BIRTH.fullmatch(born):
        return None
    inode, _size, begin, skipped = (int(number) for number in numbers)
    try:
        content = base64.b64decode(body.encode("ascii", "replace"), validate=False)
    except binascii.Error:
        return None
    if turn is Turn.MORE and not content:
        return Chunk(turn=Turn.MORE, mark=mark)
    goes_on = turn in {Turn.MORE, Turn.REST} and not skipped
    start = Mark(inode=inode, born=born, offset=begin, last=mark.last if goes_on else b"")
    return _cut(turn, content, start, skipped=skipped)


def _cut(turn: Turn, content: bytes, start: Mark, *, skipped: int) -> Chunk:
    """Take whole lines; of a file that is finished, or a line that has no end, what there is."""
    offset = start.offset
    if skipped:
        halved, newline, content = content.partition(b"\n")
        offset += len(halved) + len(newline)
        skipped += len(halved) + len(newline)
    end = content.rfind(b"\n") + 1
    if turn is Turn.REST or len(content) - end > _UNFINISHED_MAX_BYTES:
        end = len(content)
    last = (start.last + content[:end])[-_LAST_BYTES:]
    return Chunk(
        turn=turn,
        mark=replace(start, offset=offset + end, last=last),
        text=content[:end].decode("utf-8", "replace"),
        unfinished=content[end:].decode("utf-8", "replace"),
        skipped=skipped,
    )


def _are_numbers(*words: str) -> bool:
    return all(word.isascii() and word.isdecimal() and len(word) <= 18 for word in words)  # noqa: PLR2004 - fits 64 bits
