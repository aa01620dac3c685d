"""Several looks at a host in one round trip: composes payload/audition_probe.sh and reads its sections.

What the checks share and nothing else does. Whatever a host prints is hostile: a section that did not
end is no answer, and no reader may raise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from shlex import quote

from keeper.core.model import Meaning, Status
from keeper.ports import Command, CommandResult
from keeper.workloads.audition import Check, CheckName, Finding, is_cut_off
from keeper.workloads.managers import payload

_PROBE = "audition_probe.sh"
# Well below what a host may send, and far above what the tools say.
_OUTPUT_MAX_BYTES = 65_536
_BEGIN = re.compile(r"@keeper begin ([a-z_]{1,20})")
_END = re.compile(r"@keeper end ([a-z_]{1,20}) (\d{1,3})")
# A shell's word for a command that is not there.
NOT_FOUND = 127
TIMED_OUT = frozenset({124, 137})


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one look printed, and its exit code."""

    exit_code: int
    text: str

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines that say something."""
        return tuple(line.strip() for line in self.text.splitlines() if line.strip())

    @property
    def last_line(self) -> str:
        """What a tool says in the end is mostly what matters."""
        return self.lines[-1] if self.lines else ""

    def value(self, key: str) -> str | None:
        """Return what stands behind ``key=``; None: no such line."""
        start = f"{key}="
        return next(
            (line.removeprefix(start) for line in self.lines if line.startswith(start)), None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A finding, before it knows which check it belongs to."""

    status: Status
    saw: str
    meaning: Meaning | None = None
    is_machine_at_fault: bool = True
    numbers: Mapping[str, float] = field(default_factory=dict)


def passed(saw: str, **numbers: float) -> Verdict:
    """It is as it should be."""
    return Verdict(status=Status.TRUE, saw=saw, numbers=numbers)


def failed(
    saw: str, meaning: Meaning | None, *, is_machine_at_fault: bool = True, **numbers: float
) -> Verdict:
    """It is not. A meaning of None makes it a note."""
    return Verdict(
        status=Status.FALSE,
        saw=saw,
        meaning=meaning,
        is_machine_at_fault=is_machine_at_fault,
        numbers=numbers,
    )


def untold(saw: str, *, may_fix: bool = False) -> Verdict:
    """It could not be told; ``may_fix``: because a tool is missing that the fix may bring."""
    return Verdict(status=Status.UNKNOWN, saw=saw, meaning=Meaning.FIX if may_fix else None)


Reader = Callable[[Section, datetime], Verdict]


def probe(name: str, *sections: str, timeout_s: float = 60.0, **variables: str) -> Command:
    """Compose one round trip of looks."""
    values = {"sections": " ".join(sections), **variables}
    prelude = "".join(f"keeper_{key}={quote(value)}\n" for key, value in values.items())
    return Command(
        name=name,
        script=prelude + payload(_PROBE).decode(),
        timeout_s=timeout_s,
        output_max_bytes=_OUTPUT_MAX_BYTES,
    )


def sections(stdout: str) -> Mapping[str, Section]:
    """Read what the probe printed. What was cut short is not there.

    Line by line: a pattern for all of it takes minutes for what a host may make up.
    """
    found: dict[str, Section] = {}
    name, lines = "", list[str]()
    for line in stdout.split("\n"):
        if begins := _BEGIN.fullmatch(line):
            name, lines = begins[1], []
        elif (ends := _END.fullmatch(line)) and ends[1] == name:
            found[name] = Section(exit_code=int(ends[2]), text="\n".join(lines))
            name = ""
        else:
            lines.append(line)
    return found


def check(
    name: CheckName,
    *,
    expected: str,
    look: Command,
    read: Reader,
    section: str | None = None,
    fix: Command | None = None,
    after_fix: Meaning = Meaning.REPLACE,
    is_hard: bool = True,
) -> Check:
    """Make a check of a look and a reader; ``section`` None: the whole output is one."""

    def judge(result: CommandResult, now: datetime) -> Finding:
        verdict = _read(result, section, read, now)
        return Finding(
            check=name,
            status=verdict.status,
            saw=verdict.saw,
            expected=expected,
            meaning=verdict.meaning,
            is_hard=is_hard,
            is_machine_at_fault=verdict.is_machine_at_fault,
            numbers=verdict.numbers,
        )

    return Check(name=name, expected=expected, look=look, judge=judge, fix=fix, after_fix=after_fix)


def _read(result: CommandResult, section: str | None, read: Reader, now: datetime) -> Verdict:
    if section is None:
        text = f"{result.stdout}\n{result.stderr}"
        return read(Section(exit_code=result.exit_code, text=text), now)
    found = sections(result.stdout).get(section)
    if found is not None:
        return read(found, now)
    if is_cut_off(result):
        return untold("the host took too long to answer")
    said = (result.stderr.strip().splitlines() or ["nothing"])[-1]
    return untold(f"the host gave no readable answer (exit code {result.exit_code}): {said}")


def install(name: str, *packages: str, timeout_s: float = 300.0) -> Command:
    """Compose the installation of packages on a Debian or Ubuntu image; nothing elsewhere.

    The lists that came with the image are tried first: on most they are empty, and on the others
    fetching them anew takes longer than the packages.
    """
    words = " ".join(quote(package) for package in packages)
    script = (
        "command -v apt-get >/dev/null 2>&1 || exit 0\n"
        "export DEBIAN_FRONTEND=noninteractive\n"
        f"apt_install() {{ apt-get install -qq -y --no-install-recommends {words}; }}\n"
        "apt_install >/dev/null 2>&1 || { apt-get update -qq && apt_install; } >/dev/null\n"
    )
    return Command(name=name, script=script, timeout_s=timeout_s)
