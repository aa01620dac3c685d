"""Where witnesses pin what they saw until the next tick takes it down.

It holds the newest reading per rental and subject, the readings no tick has seen yet (bounded), when
each witness was last heard, the last frames, and what viewers saw. It judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from keeper.core.model import InstanceId, Reading, Status, Subject
from keeper.daemon.declared import nothing_to_hide
from keeper.daemon.frames import LastFrames
from keeper.daemon.strips import Place, Strips, nowhere

# A tick comes at least every tick_interval_s; a witness speaks every 2 s at most. More than this per
# rental between two ticks is a flood, and the oldest are the least interesting.
_UNSEEN_MAX_PER_RENTAL = 64
_SILENCE_S = 11.0  # a heartbeat comes every 10 s
_LONG_S = 30.0  # less than any probe_stale_s; more than three beats
_PROMISED = timedelta(days=3650)  # who has promised to speak is not silent


def _always(*_: object) -> bool:
    return True


class Board:
    """Readings on their way from the witnesses to the next tick."""

    def __init__(
        self,
        nudge: Callable[[], None],
        redact: Callable[[str], str] = nothing_to_hide,
        is_news: Callable[[Reading, datetime | None], bool] = _always,
        place_of: Callable[[InstanceId], Place] = nowhere,
    ) -> None:
        self._nudge = nudge
        self._redact = redact
        self._is_news = is_news  # of a reading, and when its witness was last heard
        self._unseen: dict[InstanceId, list[Reading]] = {}
        self.latest: dict[tuple[InstanceId, Subject], Reading] = {}
        self.heard_at: dict[tuple[InstanceId, Subject], datetime] = {}
        self.host_keys: dict[InstanceId, str] = {}
        self.frames = LastFrames()
        self.strips = Strips(place_of)
        self.restless: frozenset[InstanceId] = frozenset()  # these prove themselves, or ail

    def pin(self, reading: Reading) -> None:
        """Take a reading; wake the tick when it could change a judgement."""
        reading = self._without_secrets(reading)
        key = (reading.instance_id, reading.subject)
        before = self.latest.get(key)
        self.latest[key] = reading
        if reading.subject is Subject.PICTURE:
            self.strips.look(reading)
            self.frames.judged(reading.instance_id, is_good=reading.status is Status.TRUE)
        was_silent = False
        heard_at = self.heard_at.get(key)
        if reading.status is not Status.UNKNOWN:
            was_silent = heard_at is None or (reading.at - heard_at).total_seconds() > _LONG_S
            # A witness that could not look has not been heard: else "cannot look" every ten seconds
            # would keep alive for ever what was seen last.
            self.heard_at[key] = reading.at
        unseen = self._unseen.setdefault(reading.instance_id, [])
        unseen.append(reading)
        if len(unseen) > _UNSEEN_MAX_PER_RENTAL:
            del unseen[0]
        is_the_same = (
            before is not None
            and reading.status is Status.TRUE
            and not was_silent  # else it may have counted as unknown meanwhile
            and reading.instance_id not in self.restless
            and (before.status, before.reason, before.identity)
            == (reading.status, reading.reason, reading.identity)
        )
        if not is_the_same and self._is_news(reading, heard_at):
            self._nudge()

    def _without_secrets(self, reading: Reading) -> Reading:
        """Take the secrets out of what a host says: it repeats what it was given."""
        redact, symptom = self._redact, reading.symptom
        if reading.detail and (shown := redact(reading.detail)) != reading.detail:
            reading = replace(reading, detail=shown)
        if symptom is not None and (shown := redact(symptom.sentence)) != symptom.sentence:
            reading = replace(reading, symptom=replace(symptom, sentence=shown))
        if reading.keepsake and redact(reading.keepsake) != reading.keepsake:
            reading = replace(reading, keepsake="")  # half of it would be told to the next host
        return reading

    def heard(self, instance_id: InstanceId, subjects: tuple[Subject, ...], at: datetime) -> None:
        """Note that a witness spoke and nothing had changed.

        After a silence what it said last is pinned again: in the meantime it counted as unknown.
        """
        for subject in subjects:
            key = (instance_id, subject)
            last = self.heard_at.get(key)
            self.heard_at[key] = at
            if last is not None and (at - last).total_seconds() > _SILENCE_S and key in self.latest:
                self.pin(replace(self.latest[key], at=at))

    def vouch(self, instance_id: InstanceId, subjects: tuple[Subject, ...], at: datetime) -> None:
        """Count witnesses as heard until they speak again: they have promised to say what changes."""
        for subject in subjects:
            self.heard_at[instance_id, subject] = at + _PROMISED
            if subject is Subject.PICTURE:
                self.strips.stands(instance_id, at + _PROMISED)

    def unvouch(self, instance_id: InstanceId, subjects: tuple[Subject, ...], at: datetime) -> None:
        """Count them as heard for the last time at this moment."""
        for subject in subjects:
            self.heard_at[instance_id, subject] = at
            if subject is Subject.PICTURE:
                self.strips.stands(instance_id, at)

    def clock_stepped(self, step_s: float, now: datetime) -> None:
        """Move along what was heard: a witness is as silent after a step as it was before.

        Left in the future, it would count as heard until the clock has caught up.
        """
        forward = timedelta(seconds=max(0.0, step_s))
        self.heard_at = {
            key: at if at - now > _PROMISED / 2 else min(at + forward, now)
            for key, at in self.heard_at.items()
        }
        self.strips.clock_stepped(step_s, now)

    def unseen(self) -> tuple[Reading, ...]:
        """Return what no tick has taken yet, oldest first."""
        if not self._unseen:
            return ()
        found = [reading for readings in self._unseen.values() for reading in readings]
        found.sort(key=lambda reading: (reading.at, reading.instance_id, reading.subject))
        return tuple(found)

    def taken(self, readings: tuple[Reading, ...]) -> None:
        """Drop what a committed tick has used; what came meanwhile stays."""
        if not readings:
            return
        used = {id(reading) for reading in readings}
        for instance_id in list(self._unseen):
            left = [r for r in self._unseen[instance_id] if id(r) not in used]
            if left:
                self._unseen[instance_id] = left
            else:
                del self._unseen[instance_id]

    def forget(self, instance_id: InstanceId) -> None:
        """Take everything of a rental down; it is no longer watched."""
        self._unseen.pop(instance_id, None)
        self.host_keys.pop(instance_id, None)
        self.frames.forget(instance_id)
        self.strips.forget(instance_id)
        for subject in Subject:
            self.latest.pop((instance_id, subject), None)
            self.heard_at.pop((instance_id, subject), None)
