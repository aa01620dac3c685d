"""What workloads said of themselves, and what hosts showed at their auditions, as they wrote it down.

For the auditor: plain words of the hosts' own records, read without keeper's own code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

from keeper.sim.evidence import AILS, AILS_NO_MORE, MENDED, PLEADS, SHOWN, Evidence, Span

PERSON, PASSED = "person", "passed"
_WRONG = "wrong"  # what moves, and is not the stream
MACHINE = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One thing that a workload said was wrong with it, for as long as it said so."""

    instance_id: int
    code: str
    remedy: str
    shows: str
    wait_s: float
    is_planned: bool
    dearest: str  # the last rung that may be tried against it
    since: float
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a host showed before it got the workload."""

    at: float
    meaning: str  # PASSED, or what its failure means
    is_machine_at_fault: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """A stream that waited for a person, and for what."""

    stream: str
    code: str
    since: float
    until: float


def said_on(seen: Evidence, instance_id: int) -> tuple[Said, ...]:
    """Return what a host's workload said was wrong with it, in order."""
    return seen.remembered("said", _said).get(instance_id, ())


def every_said(seen: Evidence) -> Iterator[Said]:
    """Yield all that was said."""
    for those in seen.remembered("said", _said).values():
        yield from those


def _said(seen: Evidence) -> Mapping[int, tuple[Said, ...]]:
    found: dict[int, list[Said]] = {}
    for instance_id, entries in seen.deeds.items():
        rental = seen.ledger.rentals.get(instance_id)
        end = seen.ended_at if rental is None or rental.ended_at is None else rental.ended_at
        for number, entry in enumerate(entries):
            if entry.what != AILS:
                continue
            code, remedy, shows, wait_s, what, dearest = entry.detail.split()
            later = entries[number + 1 :]
            until = min((e.at for e in later if e.what in {AILS, AILS_NO_MORE}), default=end)
            said = Said(
                instance_id=instance_id,
                code=code,
                remedy=remedy,
                shows=shows,
                wait_s=float(wait_s),
                is_planned=what == "planned",
                dearest=dearest,
                since=entry.at,
                until=until,
            )
            found.setdefault(instance_id, []).append(said)
    return {instance_id: tuple(those) for instance_id, those in found.items()}


def unheard(seen: Evidence, instance_id: int) -> tuple[Span, ...]:
    """Return when a host showed another picture than the stream's, and nobody could hear it say so.

    It shows another SSH key than at first contact, so keeper does not enter it (I23); and from outside a
    picture that moves is a good one. A person is told of the key, and looks.
    """
    struck = (e for e in seen.deeds.get(instance_id, ()) if e.what == "struck")
    changed_at = next((e.at for e in struck if e.detail == "host_key_changed"), inf)
    return tuple(
        (max(each.since, changed_at), each.until)
        for each in said_on(seen, instance_id)
        if each.shows == _WRONG and each.until > changed_at
    )


def unheard_in(seen: Evidence, slot: str) -> tuple[Span, ...]:
    """Return when any host of a slot did."""
    hosts = seen.rentals.get(slot, ())
    return tuple(span for host in hosts for span in unheard(seen, host.instance_id))


def asked_ahead(seen: Evidence, instance_id: int, at: float) -> bool:
    """Whether a workload asked for a restart ahead of time, then or a moment before."""
    return any(
        each.is_planned and each.since <= at <= each.until + _MOMENT_S
        for each in said_on(seen, instance_id)
    )


_MOMENT_S = 30.0  # so long an order may be on its way, and the word of a host to keeper


def shown_by(seen: Evidence, instance_id: int) -> tuple[Shown, ...]:
    """Return what a host showed at each of its auditions, in order."""
    return tuple(
        Shown(at=entry.at, meaning=meaning, is_machine_at_fault=whose == MACHINE)
        for entry in seen.deeds.get(instance_id, ())
        if entry.what == SHOWN
        for meaning, _, whose in (entry.detail.partition(" "),)
    )


def waits_of(seen: Evidence, stream: str) -> tuple[Span, ...]:
    """Return when nothing but a person could put a stream right, wherever it ran."""
    waited = seen.remembered("waited", every_wait)
    return tuple((each.since, each.until) for each in waited if each.stream == stream)


def every_wait(seen: Evidence) -> tuple[Waited, ...]:
    """Return what streams waited for a person for, and when."""
    found: list[Waited] = []
    for instance_id, entries in seen.deeds.items():
        for entry in entries:
            if entry.what != PLEADS:
                continue
            mended = (e.at for e in entries if e.what == MENDED and e.detail == entry.detail)
            until = min((at for at in mended if at >= entry.at), default=inf)
            slot = seen.slot_of_instance(instance_id, entry.at) or ""
            found.append(
                Waited(
                    stream=slot.rpartition("/")[0],
                    code=entry.detail,
                    since=entry.at,
                    until=min(until, seen.ended_at),
                )
            )
    return tuple(found)
