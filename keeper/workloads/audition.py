"""An audition: what a host must show before it gets the workload, and what a failure means.

The vocabulary only; the checks themselves are in the modules beside it. Pure: a check composes a look
and judges what came back; the daemon carries it, and the core decides what follows.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator

from keeper.core.model import Meaning, Status
from keeper.core.text import plain
from keeper.ports import Command, CommandResult, PortError, TimedOut

SENTENCE_MAX = 200  # of what was seen and what was expected

# What the tools of a host answer when they are cut off: timeout(1), killed softly or hard.
_CUT_OFF = frozenset({124, 137})


class CheckName(StrEnum):
    """The checks there are: labels of metrics, and the words of ``force``."""

    GPU = "gpu"  # driver and GPU answer
    DISPLAY = "display"  # what nvidia-smi says of displays
    NVIDIA_DRM = "nvidia_drm"
    DEV_DRI = "dev_dri"
    VULKAN_ICD = "vulkan_icd"  # the driver's manifest and library
    VULKAN = "vulkan"  # a device by it
    X_SERVER = "x_server"
    ENCODER = "encoder"
    WEBGPU = "webgpu"
    DNS = "dns"
    INGEST = "ingest"  # a connection to where the stream goes
    UPLOAD = "upload"  # enough of it, for a while
    DISK = "disk"
    SHM = "shm"
    CLOCK = "clock"
    PORT = "port"  # a port, reached from outside


# --- words ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PortLook:
    """A look from this box: can a port of the container be reached by its public mapping?

    Before the deploy nothing listens there yet. ``opener``, where there is one, is run to its end before
    the dial: it leaves a listener behind for one connection and a few seconds, unless somebody listens
    already.
    """

    container_port: int
    timeout_s: float = 5.0
    opener: Command | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check saw, and what it means. Texts are bounded and plain, whatever they are made of.

    A status of UNKNOWN condemns nobody. Its meaning is None, or FIX: then it could not be told yet,
    because a tool is missing, say, and the fix may change that.
    """

    check: CheckName
    status: Status
    saw: str
    expected: str
    meaning: Meaning | None = None
    is_hard: bool = True  # False: evidence, which condemns only in company (see ``worst``)
    is_machine_at_fault: bool = True  # False: another container on the same machine may pass
    is_forced: bool = False  # it failed, and the operator wants to go on air all the same
    numbers: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the texts safe: most of what was seen was said by a stranger."""
        object.__setattr__(self, "saw", plain(self.saw, SENTENCE_MAX))
        object.__setattr__(self, "expected", plain(self.expected, SENTENCE_MAX))


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that a host must show. Checks whose looks are equal share one (see ``rounds``)."""

    name: CheckName
    expected: str
    look: Command | PortLook
    # Of a Command its result; of a PortLook what ``dialled`` makes of the dial. Never raises.
    judge: Callable[[CommandResult, datetime], Finding]
    fix: Command | None = None  # tried once when the finding means FIX; then it is looked again
    after_fix: Meaning = Meaning.REPLACE  # what a failure after the fix means
    is_forced: bool = False


# --- how the daemon goes through them ---------------------------------------------------------------


def rounds(checks: Iterable[Check]) -> tuple[tuple[Command | PortLook, tuple[Check, ...]], ...]:
    """Group the checks by what they look at, in the order given: one look, one round trip.

    Each group's fixes have had their turn before the next group is looked at: a later look may need
    what an earlier fix has put right.
    """
    grouped: list[tuple[Command | PortLook, list[Check]]] = []
    for check in checks:
        for look, those in grouped:
            if look == check.look:
                those.append(check)
                break
        else:
            grouped.append((check.look, [check]))
    return tuple((look, tuple(those)) for look, those in grouped)


def judged(check: Check, result: CommandResult | None, now: datetime) -> Finding:
    """Judge one look. None: it could not be carried out, which says nothing about the host.

    ``now`` is the moment at which the answer was complete. A failure that the operator has forced
    keeps its sentence and loses its meaning; a fix is tried all the same.
    """
    if result is None:
        saw = "the look could not be carried out"
        finding = Finding(check=check.name, status=Status.UNKNOWN, saw=saw, expected=check.expected)
    else:
        finding = check.judge(result, now)
    if finding.meaning is Meaning.FIX and check.fix is None:
        finding = after_fix(check, finding)
    return _forgiven(check, finding)


def after_fix(check: Check, again: Finding) -> Finding:
    """Say what the second look means, when the fix has been tried.

    What still fails means what the check says of that; what still cannot be told stays untold.
    """
    if again.meaning is not Meaning.FIX:
        return again
    meaning = check.after_fix if again.status is Status.FALSE else None
    return _forgiven(check, replace(again, meaning=meaning))


def worst(findings: Sequence[Finding]) -> Meaning | None:
    """Say what all findings together mean for the host; None: it may have the workload.

    The order is replace, person, reboot, fix, wait. A host that is to be replaced anyway must not
    page a person first: what needs a person will show on the next host, too, and then alone. Before
    a reboot a person comes first, because the reboot would cost minutes and the stream would still
    not be on air. A fix that a person's trouble makes useless is harmless, but the daemon tries
    fixes before it asks this, so one that is left counts as little as patience.

    Evidence (``is_hard`` False) may not condemn alone: it takes two that agree, and Vulkan or WebGPU
    seen to work on the hardware outweighs any amount of it.
    """
    failed = [each for each in findings if each.meaning is not None]
    hard = [each.meaning for each in failed if each.is_hard]
    hints = [each.meaning for each in failed if not each.is_hard]
    if len(hints) > 1 and not _is_proven(findings):
        hard += hints
    return next((meaning for meaning in _GRAVEST_FIRST if meaning in hard), None)


def decisive(findings: Sequence[Finding]) -> Finding | None:
    """Return the finding that a person should read first: of the worst, a hard one before evidence."""
    meaning = worst(findings)
    those = [each for each in findings if meaning is not None and each.meaning is meaning]
    return next((each for each in those if each.is_hard), those[0] if those else None)


def is_machine_to_blame(findings: Sequence[Finding]) -> bool:
    """Say whether what condemns a host condemns its machine, too, when it is to be replaced.

    A container made for computing only fails at everything that draws or encodes. Those failures follow
    from the first, so another container on the same machine may pass; any other failure is a second
    reason, and the machine's own.
    """
    failed = [each for each in findings if each.meaning is Meaning.REPLACE and each.is_hard]
    if all(each.is_machine_at_fault for each in failed):
        return True
    return any(each.is_machine_at_fault and each.check not in _FOLLOWS for each in failed)


# What needs the libraries that such a container lacks.
_FOLLOWS = frozenset(
    {
        CheckName.VULKAN_ICD,
        CheckName.VULKAN,
        CheckName.WEBGPU,
        CheckName.ENCODER,
        CheckName.X_SERVER,
    }
)
_GRAVEST_FIRST = (Meaning.REPLACE, Meaning.PERSON, Meaning.REBOOT, Meaning.FIX, Meaning.WAIT)
_PROOF = frozenset({CheckName.VULKAN, CheckName.WEBGPU})


def _is_proven(findings: Sequence[Finding]) -> bool:
    return any(each.check in _PROOF and each.status is Status.TRUE for each in findings)


def _forgiven(check: Check, finding: Finding) -> Finding:
    """Turn a failure that the operator has forced into a note; a fix still has its turn."""
    if not check.is_forced or finding.meaning in {None, Meaning.FIX}:
        return finding
    return replace(finding, meaning=None, is_forced=True)


# --- dialled from this box ----------------------------------------------------------------------------

OPEN, REFUSED, SILENT, UNMAPPED = 0, 1, 2, 3


def dialled(
    failure: PortError | None, *, opened: CommandResult | None = None, is_mapped: bool = True
) -> CommandResult:
    """Put a dial into the form that a PortLook's judge reads.

    ``failure`` is what Network.dial raised, None when it connected; ``opened`` what the look's opener
    answered; ``is_mapped`` whether the marketplace names a public port for the container's.
    """
    said = "" if opened is None or opened.exit_code else plain(opened.stdout.strip(), SENTENCE_MAX)
    if not is_mapped:
        return CommandResult(exit_code=UNMAPPED, stdout=said, stderr="no public port is mapped")
    if failure is None:
        return CommandResult(exit_code=OPEN, stdout=said, stderr="")
    code = SILENT if isinstance(failure, TimedOut) else REFUSED
    return CommandResult(exit_code=code, stdout=said, stderr=plain(str(failure), SENTENCE_MAX))


# --- what the operator overrides ------------------------------------------------------------------------


def with_force(checks: Iterable[Check], forced: Sequence[CheckName]) -> tuple[Check, ...]:
    """Mark the checks that may fail."""
    return tuple(
        replace(check, is_forced=True) if check.name in forced else check for check in checks
    )


def _known(word: object) -> object:
    """Refuse a check that does not exist, with the nearest that does."""
    if not isinstance(word, str) or word in set(CheckName):
        return word
    close = difflib.get_close_matches(word[:60], list(CheckName), n=1)
    hint = f" (did you mean '{close[0]}'?)" if close else ""
    known = ", ".join(CheckName)
    raise ValueError(f"there is no check {plain(word, 60)!r}{hint}; there are {known}")


# For a workload's settings: ``force: Forced = ()``.
Forced = tuple[Annotated[CheckName, BeforeValidator(_known)], ...]


def is_cut_off(result: CommandResult) -> bool:
    """Say whether a look ran out of time on its host."""
    return result.exit_code in _CUT_OFF
