"""What may be tried against a symptom, and what was: the ladder of one that no other host would cure.

What spoils the view for some viewers only, or comes along to every host, must not cost one host after
the other. Its ladder ends at ``Symptom.dearest``, and a person is told of it. What was tried against any
symptom counts until the picture has been good for long, not only within the caps' windows: one with
twenty minutes of patience would be restarted for ever, and never climb.
"""

from __future__ import annotations

from datetime import datetime

from keeper.core.case import Case
from keeper.core.conditions import symptom_of
from keeper.core.model import Policy, Remedy, RemedyUse, Rung, SlotRecord, Symptom
from keeper.core.moments import elapsed_s, later

_ORDER = tuple(Rung)
_WORDS = {
    Rung.RESTART_PROCESS: "restarted the process",
    Rung.RESTART_WORKLOAD: "restarted the workload",
    Rung.REBOOT: "rebooted the host",
    Rung.REPLACE: "replaced the host",
}


def cap_of(policy: Policy, rung: Rung) -> tuple[int, float]:
    """Return how often a rung may be used, and within how many seconds."""
    if rung is Rung.RESTART_PROCESS:
        return policy.restarts_max, policy.restarts_window_s
    if rung is Rung.RESTART_WORKLOAD:
        return policy.workload_restarts_max, policy.workload_restarts_window_s
    return policy.reboots_max, policy.reboots_window_s


def is_bounded(case: Case) -> bool:
    """Whether the workload names what another host would not cure."""
    return case.symptom is not None and case.symptom.dearest is not Rung.REPLACE


def is_too_dear(case: Case, rung: Rung) -> bool:
    """Whether a rung lies above the dearest that may be tried against the symptom."""
    symptom = case.symptom
    return symptom is not None and _ORDER.index(rung) > _ORDER.index(symptom.dearest)


def uses_of(case: Case, rung: Rung) -> list[RemedyUse]:
    """Return the uses of a rung that count against its cap now."""
    _, window_s = cap_of(case.policy, rung)
    return [
        use
        for use in case.record.remedies
        if use.rung is rung and (_is_for_it(case, use) or elapsed_s(use.at, case.now) < window_s)
    ]


def is_free_again_at(case: Case, rung: Rung) -> datetime | None:
    """Return when a spent rung may be used again, for the uses that leave the window; None: never."""
    cap, window_s = cap_of(case.policy, rung)
    uses = uses_of(case, rung)
    others = sorted(use.at for use in uses if not _is_for_it(case, use))
    too_many = len(uses) - cap + 1
    return later(others[too_many - 1], window_s) if 0 < too_many <= len(others) else None


def _is_for_it(case: Case, use: RemedyUse) -> bool:
    return case.symptom is not None and use.symptom == case.symptom.code


def tried(record: SlotRecord) -> str:
    """Say what was tried before a person was asked; "": it never was keeper's to cure."""
    symptom = symptom_of(record.tenure)
    if symptom is None or symptom.remedy is Remedy.PERSON:
        return ""
    return tried_for(record, symptom)


def tried_for(record: SlotRecord, symptom: Symptom) -> str:
    """Say what was tried against a symptom, in words for a person."""
    counts = {
        rung: sum(use.rung is rung and use.symptom == symptom.code for use in record.remedies)
        for rung in _ORDER
    }
    said = [f"{_WORDS[rung]} {_times(count)}" for rung, count in counts.items() if count]
    return ", ".join(said) if said else "nothing: what may be tried was used up by other troubles"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
