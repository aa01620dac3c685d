"""The workload of simulated weeks: SD-Turbo that says of itself whatever its host lets it say.

The real one names the failures of its own server, each with one remedy. This one can name any: all
remedies, with any patience. It asks a fresh host for one thing, which any fault can deny.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
from typing_extensions import override

from keeper.core.model import InstanceId, Meaning, Reading, Remedy, Rung, Status, Subject, Symptom
from keeper.core.reasons import Reason
from keeper.ports import Command, CommandResult
from keeper.workloads import View, Workload
from keeper.workloads import managers as manager_of
from keeper.workloads.audition import Check, CheckName, Finding
from keeper.workloads.sd_turbo import SdTurbo

AUDITION, FIX = "audition.host", "audition.host.fix"
_EXPECTED = "a host that can do it"


class _Said(msgspec.Struct, frozen=True):
    """The workload's part of a sentinel's line: what ails it, that nothing does, or neither."""

    is_well: bool = False
    code: str = ""
    remedy: str = Remedy.NOTHING.value
    wait_s: float = 0.0
    spoils_view: bool = False
    dearest: str = Rung.REPLACE.value
    is_planned: bool = False


class _Shown(msgspec.Struct, frozen=True):
    meaning: str = ""
    machine: bool = True


_SAID = msgspec.json.Decoder(_Said)
_SHOWN = msgspec.json.Decoder(_Shown)


@dataclass(frozen=True, slots=True)
class Ailing(SdTurbo):
    """SD-Turbo that may ail in any way."""

    @override
    def audition(self) -> tuple[Check, ...]:
        """Ask the host for one thing."""
        look = Command(name=AUDITION, script="show what you can")
        fix = Command(name=FIX, script="put it right")
        return (Check(name=CheckName.GPU, expected=_EXPECTED, look=look, judge=_judge, fix=fix),)

    @override
    def view(self) -> View:
        """Look as at the real one, and listen, too: the simulated one has sound."""
        return replace(SdTurbo.view(self), expects_sound=True)

    @override
    def interpret(self, line: str, instance_id: InstanceId, at: datetime) -> tuple[Reading, ...]:
        """Read what everybody says, and what the workload says of itself."""
        readings = manager_of.read_line(line, instance_id, at)
        raw = manager_of.workload_facts(line)
        if raw is None:
            return readings
        return (*readings, _read(_SAID.decode(raw), instance_id, at))


def made_to_ail(workload: Workload) -> Workload:
    """Return a workload of SD-Turbo's as one that may ail; any other as it is."""
    if not isinstance(workload, SdTurbo) or isinstance(workload, Ailing):
        return workload
    return Ailing(workload.settings, workload.secrets, workload.shown)


def _read(said: _Said, instance_id: InstanceId, at: datetime) -> Reading:
    symptom: Symptom | None = None
    status, reason = Status.UNKNOWN, Reason.PROBE_FAILED
    if said.code:
        status, reason = Status.FALSE, Reason.SYMPTOM
        symptom = Symptom(
            code=said.code,
            sentence=f"it says {said.code}",
            remedy=Remedy(said.remedy),
            wait_s=said.wait_s,
            spoils_view=said.spoils_view,
            dearest=Rung(said.dearest),
            is_planned=said.is_planned,
        )
    elif said.is_well:
        status, reason = Status.TRUE, Reason.WORKLOAD_WELL
    return Reading(
        instance_id=instance_id,
        subject=Subject.WORKLOAD,
        status=status,
        reason=reason,
        at=at,
        detail=said.code,
        symptom=symptom,
    )


def _judge(result: CommandResult, _now: datetime) -> Finding:
    shown = _SHOWN.decode(result.stdout)
    if not shown.meaning:
        return Finding(check=CheckName.GPU, status=Status.TRUE, saw="it can", expected=_EXPECTED)
    return Finding(
        check=CheckName.GPU,
        status=Status.FALSE,
        saw=f"it cannot ({shown.meaning})",
        expected=_EXPECTED,
        meaning=Meaning(shown.meaning),
        is_machine_at_fault=shown.machine,
    )
