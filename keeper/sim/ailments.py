"""What ails the workloads of virtual hosts, and what fresh hosts fail at: the truth behind what they say.

A symptom says what would help. What really helps, how long it lasts and whether it comes back is drawn
beside it, so the two may differ. What only a person can mend is a matter of the whole stream: every
host that starts its workload has it, until he has.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from keeper.core.model import Meaning, Remedy, Rung
from keeper.sim.faults import Fault


class Cure(StrEnum):
    """The mildest remedy that ends a trouble; each includes those before it."""

    PROCESS = "process"
    WORKLOAD = "workload"
    REBOOT = "reboot"
    REPLACE = "replace"


STRENGTH = {cure: strength for strength, cure in enumerate(Cure)}
# What really cures, unless it was drawn otherwise. No act cures what needs a person.
_LISTED = {
    Remedy.NOTHING: Cure.PROCESS,
    Remedy.RESTART_PROCESS: Cure.PROCESS,
    Remedy.RESTART_WORKLOAD: Cure.WORKLOAD,
    Remedy.REBOOT: Cure.REBOOT,
    Remedy.REPLACE: Cure.REPLACE,
    Remedy.PERSON: Cure.REPLACE,
}
_RUNGS = {
    Rung.RESTART_PROCESS: Cure.PROCESS,
    Rung.RESTART_WORKLOAD: Cure.WORKLOAD,
    Rung.REBOOT: Cure.REBOOT,
    Rung.REPLACE: Cure.REPLACE,
}
_BOUNDED_SHARE = 0.2  # of the ailments that no other host would cure
_STUBBORN_SHARE = 0.25  # of the ailments that need more than they say
PERSON_S = 1800.0


class Shows(StrEnum):
    """What viewers see of a workload that ails."""

    GOOD = "good"  # nothing is amiss: it is only said
    WRONG = "wrong"  # a picture that moves, and is not the stream
    BLACK = "black"
    NO_FRAMES = "no_frames"
    GONE = "gone"  # its process ends, and ends again after each start


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailment:
    """One failure that a workload knows by name, and what is true of it."""

    remedy: Remedy  # that it asks for
    shows: Shows
    cured_by: Cure
    wait_s: float = 0.0
    dearest: Rung = Rung.REPLACE  # that may be tried against it
    is_planned: bool = False
    returns_s: float = 0.0  # after a cure it comes back so much later
    returns: int = 0  # so many times
    person_s: float = PERSON_S  # so long after he was told has a person mended it

    @property
    def code(self) -> str:
        """Its name, of a bounded set."""
        name = f"sim_{self.remedy.value}_{self.shows.value}"
        return name if self.dearest is Rung.REPLACE else f"{name}_to_{self.dearest.value}"

    @property
    def needs_person(self) -> bool:
        """Whether nothing that may be tried helps, so that every host of its stream has it, too."""
        is_bounded = self.dearest is not Rung.REPLACE
        is_out_of_reach = is_bounded and STRENGTH[self.cured_by] > STRENGTH[_RUNGS[self.dearest]]
        return self.remedy is Remedy.PERSON or is_out_of_reach

    def fragment(self) -> dict[str, Any]:
        """Return what the workload says of it, in the sentinel's words."""
        return {
            "code": self.code,
            "remedy": self.remedy.value,
            "wait_s": self.wait_s,
            "spoils_view": self.shows is Shows.WRONG,
            "dearest": self.dearest.value,
            "is_planned": self.is_planned,
        }

    def line(self) -> str:
        """Return how the host writes it down, for the auditor."""
        what = "planned" if self.is_planned else "asked"
        words = (self.code, self.remedy.value, self.shows.value, f"{self.wait_s:g}", what)
        return f"{' '.join(words)} {self.dearest.value}"


@dataclass(slots=True, kw_only=True)
class Flaw:
    """Why a fresh host fails its audition."""

    meaning: Meaning
    rights_itself_at: float  # WAIT: from then on it passes; inf: never
    is_mendable: bool  # FIX: the fix helps; REBOOT: another start does
    is_machine_at_fault: bool
    person_s: float = PERSON_S
    was_fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plea:
    """What a stream waits for a person for."""

    stream: str  # the part of its labels that names it
    code: str
    person_s: float
    ailment: Ailment | None  # None: its hosts fail their auditions


AUDITION_CODE = "gpu"  # the check by which a virtual host fails
NO_SOUND = "no_sound"  # what keeper asks a person for where one host after the other is silent


def ailment_of(fault: Fault) -> Ailment:
    """Read a fault of WORKLOAD_AILS."""
    params = fault.params
    remedy = Remedy(str(params.get("remedy", Remedy.RESTART_PROCESS.value)))
    cured_by = Cure(params.get("cured_by", _LISTED[remedy].value))
    return Ailment(
        remedy=remedy,
        shows=Shows(str(params.get("shows", Shows.BLACK.value))),
        cured_by=Cure.REPLACE if remedy is Remedy.PERSON else cured_by,
        wait_s=fault.number("wait_s", 0.0),
        dearest=Rung(str(params.get("dearest", Rung.REPLACE.value))),
        is_planned=bool(params.get("is_planned", False)),
        returns_s=fault.number("returns_s", 0.0),
        returns=int(fault.number("returns", 0)),
        person_s=fault.number("person_s", PERSON_S),
    )


def flaw_of(fault: Fault, now: float) -> Flaw:
    """Read a fault of AUDITION_FAILS that begins now."""
    params = fault.params
    after_s = params.get("after_s")
    return Flaw(
        meaning=Meaning(str(params.get("meaning", Meaning.REPLACE.value))),
        rights_itself_at=float("inf") if after_s is None else now + float(after_s),
        is_mendable=bool(params.get("is_mendable", True)),
        is_machine_at_fault=bool(params.get("is_machine_at_fault", True)),
        person_s=fault.number("person_s", PERSON_S),
    )


def stream_in(label: str | None) -> str:
    """Return the part of a label that names its stream: all slots and spares of it have the same."""
    return (label or "").rpartition("/")[0]


def shown(flaw: Flaw | None) -> str:
    """Return what a host answers to the look of an audition."""
    said = {"meaning": "", "machine": True}
    if flaw is not None:
        said = {"meaning": flaw.meaning.value, "machine": flaw.is_machine_at_fault}
    return json.dumps(said)


# --- what is drawn ------------------------------------------------------------------------------------


def draw_ailment(rng: random.Random, remedies: tuple[Remedy, ...]) -> Mapping[str, Any]:
    """Draw an ailment that asks for one of these remedies; some need more than they ask for."""
    remedy = rng.choice(remedies)
    listed = _LISTED[remedy]
    dearer = [each for each in Cure if STRENGTH[each] > STRENGTH[listed]]
    is_stubborn = bool(dearer) and rng.random() < _STUBBORN_SHARE
    comes_back = rng.random() < 0.3
    rungs = [rung for rung, cure in _RUNGS.items() if STRENGTH[cure] >= STRENGTH[listed]]
    is_bounded = rng.random() < _BOUNDED_SHARE
    return {
        "remedy": remedy.value,
        "shows": rng.choice(tuple(Shows)).value,
        "wait_s": rng.choice((0.0, 0.0, round(rng.uniform(5.0, 300.0), 1))),
        "cured_by": (rng.choice(dearer) if is_stubborn else listed).value,
        "dearest": (rng.choice(rungs) if is_bounded else Rung.REPLACE).value,
        "person_s": round(rng.uniform(300.0, 10_800.0), 1),
        "returns": rng.randint(1, 3) if comes_back else 0,
        "returns_s": round(rng.uniform(60.0, 7200.0), 1) if comes_back else 0.0,
    }


def draw_plan(rng: random.Random) -> Mapping[str, Any]:
    """Draw what a workload asks to be restarted for ahead of time, and will ask again."""
    return {
        "remedy": Remedy.RESTART_PROCESS.value,
        "shows": Shows.GOOD.value,
        "is_planned": True,
        "wait_s": round(rng.uniform(0.0, 1800.0), 1),
        "cured_by": rng.choice((Cure.PROCESS, Cure.PROCESS, Cure.REPLACE)).value,
        "returns": rng.randint(0, 4),
        "returns_s": round(rng.uniform(60.0, 14_400.0), 1),
    }


def draw_plea(rng: random.Random) -> Mapping[str, Any]:
    """Draw what only a person can mend."""
    return {
        "remedy": Remedy.PERSON.value,
        "shows": rng.choice(tuple(Shows)).value,
        "wait_s": rng.choice((0.0, 120.0)),
        "person_s": round(rng.uniform(300.0, 10_800.0), 1),
    }


def draw_flaw(rng: random.Random) -> Mapping[str, Any]:
    """Draw why a fresh host fails its audition, and whether what is done about it helps."""
    meaning = rng.choice(tuple(Meaning))
    drawn: dict[str, Any] = {"meaning": meaning.value}
    match meaning:
        case Meaning.WAIT:
            drawn["after_s"] = rng.choice((None, round(rng.uniform(10.0, 900.0), 1)))
        case Meaning.FIX | Meaning.REBOOT:
            drawn["is_mendable"] = rng.random() < 0.6
        case Meaning.REPLACE:
            drawn["is_machine_at_fault"] = rng.random() < 0.7
        case Meaning.PERSON:
            drawn["person_s"] = round(rng.uniform(300.0, 10_800.0), 1)
    return drawn
