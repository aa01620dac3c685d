"""Alerts about what a workload says of itself: that only a person can cure it, wherever it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from keeper.alerts import Alert, Severity
from keeper.alerts.advice import HUMAN, dollars
from keeper.core.conditions import condition_of, is_silent, symptom_of
from keeper.core.cures import tried
from keeper.core.decisions import Hold
from keeper.core.model import (
    ConditionKind,
    Meaning,
    Remedy,
    Rung,
    SlotRecord,
    StreamName,
    Tenure,
    is_spare,
    stream_of,
)
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.text import plain
from keeper.core.world import Snapshot

_SENTENCE_MAX = 300
_FOR_SOUND = {
    Rung.RESTART_PROCESS: "restarted the process",
    Rung.RESTART_WORKLOAD: "restarted the workload",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plea:
    """What a person is asked for."""

    code: str
    sentence: str
    since: datetime
    tried: str = ""  # what keeper has done about it before; "": nothing of keeper's would help


def needs_person(snapshot: Snapshot, _now: datetime) -> Iterator[Alert]:
    """A workload, or a host's audition, names what no restart and no other host can cure.

    One alert for each stream and trouble: a refused key is refused to every slot. Also while viewers see
    a picture, for part of the stream may be missing: one platform of three, say. What keeper has tried to
    cure is told only when it holds for that. What is wrong with a host that serves nobody yet, a spare or
    a slot's next one at its audition, is told as well: it costs, and the hosts that serve do not say it.
    """
    held = {
        decision.slot: decision.wanted_reason
        for decision in snapshot.plan.decisions
        if isinstance(decision, Hold) and decision.reason is Reason.NEEDS_PERSON
    }
    told: set[tuple[StreamName, str]] = set()
    for slot, record in snapshot.records.items():  # a slot that is well may say so, too
        plea = _plea_of(record, held.get(slot))
        stream = stream_of(slot)
        if plea is None or (stream, plea.code) in told:
            continue
        told.add((stream, plea.code))
        is_dark = not is_spare(slot) and (record.dark_since is not None or not record.ever_on_air)
        yield Alert(
            name="KeeperNeedsPerson",
            key=f"KeeperNeedsPerson:{stream}:{plea.code}",
            severity=Severity.CRITICAL if is_dark else Severity.WARNING,
            slot=slot,
            stream=stream,
            summary=f"{slot} needs a person: {plea.code.replace('_', ' ')}",
            why=plain(plea.sentence, _SENTENCE_MAX),
            did=f"keeper has tried: {plea.tried}; it watches, and spends nothing more on it"
            if plea.tried
            else "keeper watches, restarts nothing and rents nothing for it",
            needs_human=HUMAN[Reason.NEEDS_PERSON].format(slot=slot),
            since=plea.since,
            dollars=dollars(record),
            labels={"stream": stream, "symptom": plea.code},
            reason=Reason.NEEDS_PERSON,
            dark_since=record.dark_since,
            over=f"{slot} no longer needs a person for this",
        )


def because(reason: Reason, record: SlotRecord) -> str:
    """Word a reason, with the workload's own sentence where that is the reason."""
    symptom = symptom_of(record.tenure)
    if symptom is None or reason not in (Reason.SYMPTOM, Reason.WRONG_PICTURE):
        return SENTENCE[reason]
    return f"{SENTENCE[reason]}: {plain(symptom.sentence, _SENTENCE_MAX)}"


def _plea_of(record: SlotRecord, held_for: Reason | None) -> _Plea | None:
    tenure = record.tenure
    if tenure is not None:
        is_held = held_for not in (None, Reason.NO_SOUND, Reason.AUDITION_FAILED)
        own = _of_its_workload(record, tenure, is_held=is_held)
        if held_for is Reason.NO_SOUND:
            own = own or _of_its_sound(record, tenure)
        if own is not None:
            return own
    return _of_an_audition(tenure) or _of_an_audition(record.incoming)


def _of_its_workload(record: SlotRecord, tenure: Tenure, *, is_held: bool) -> _Plea | None:
    working = condition_of(tenure, ConditionKind.WORKING)
    symptom = None if working is None else working.symptom
    is_spent = is_held and tenure.deployed_at is not None
    if working is not None and symptom and (symptom.remedy is Remedy.PERSON or is_spent):
        return _Plea(
            code=symptom.code,
            sentence=symptom.sentence,
            since=working.since,
            tried=tried(record),
        )
    return None


def _of_its_sound(record: SlotRecord, tenure: Tenure) -> _Plea | None:
    """Return what is asked of a person whose stream is silent on one host after the other."""
    streaming = condition_of(tenure, ConditionKind.STREAMING)
    if streaming is None or not is_silent(streaming):
        return None
    rungs = {use.rung for use in record.remedies}
    said = [words for rung, words in _FOR_SOUND.items() if rung in rungs]
    return _Plea(
        code=Reason.NO_SOUND.value,
        sentence=SENTENCE[Reason.NO_SOUND],
        since=streaming.reason_since or streaming.since,
        tried=", ".join([*said, "another host, which was silent too"]),
    )


def _of_an_audition(tenure: Tenure | None) -> _Plea | None:
    audition = None if tenure is None or tenure.deployed_at is not None else tenure.audition
    if audition is None or audition.meaning is not Meaning.PERSON:
        return None
    sentence = f"the host's audition saw: {audition.saw}; expected: {audition.expected}"
    return _Plea(code=audition.check, sentence=sentence, since=audition.since)
