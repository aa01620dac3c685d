"""Looks as a player: often to see who streams, rarely to watch, and at each look while anything is wrong.

To watch costs the application an encoder session, and it may count players; what was seen last stands
in between as long as the streamer stays listed. What only a player can see (a relay that gives no
place) becomes the workload's symptom, once three looks in a row agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from keeper.core.model import InstanceId, Reading, Status, Subject, Symptom
from keeper.core.reasons import Reason
from keeper.ports import Clock, Network, PlayerLimits, PlayerSample
from keeper.probes.player import read_player, symptom_of
from keeper.workloads import PlayerView, View

# As many as make a bad picture: one slow answer restarts nothing.
_LOOKS_TO_BELIEVE = 3
# What fails in the middle of a look shows no name in that one: then the others name it.
_LOOKS_TO_NAME = 2
# The one place of a server is taken this rarely, while all is well: a person would be refused meanwhile.
_LAST_PLACE_EVERY_S = 600.0
# Where nobody tells whether a place is free again, the next one to find out is a person: for so many times
# as long as it watches otherwise keeper does not ask for one.
_FULL_AWAY_TIMES = 6.0
# While real viewers watch, or the server is full, keeper stays away; for so long what it saw stands.
_CARRIED_MAX_S = 300.0
# For the greeting, the relay, the way for media, and the leave, besides the two that are declared.
_OTHER_S = 8.0


@dataclass(slots=True)
class Player:
    """What one rental's player has seen."""

    busy_until_s: float = 0.0
    _reading: Reading | None = None  # the latest that says something of the picture
    _judged_s: float = 0.0
    _watched_s: float | None = None
    _still_s: float | None = None  # since when the picture stands still
    _silent_s: float | None = None  # since when nothing is heard
    _suspect: Symptom | None = None
    _times: int = 0
    _places: int = 0  # by the server's own word
    _full_s: float | None = None  # when it was full, as far as keeper was told
    _bad: int = 0  # looks in a row that showed no good picture
    _inside: Reading | None = None  # what the host itself says

    async def look(
        self, network: Network, url: str, view: View, instance_id: InstanceId, clock: Clock
    ) -> tuple[Reading, bytes]:
        """Look once. Returns what it means for the picture, and a frame (empty: none)."""
        declared = view.player or PlayerView()
        began_s = clock.monotonic()
        limits = self._limits(declared, view, began_s)
        self.busy_until_s = began_s + limits.timeout_s + 1.0
        try:
            sample = await network.sample_webrtc(url, limits)
        finally:
            self.busy_until_s = 0.0
        at, now_s = clock.now(), clock.monotonic()
        if limits.is_subscribing and not (sample.has_left or sample.is_own_fault):
            self._watched_s = now_s
        self._places = sample.places or self._places
        if sample.is_full:
            self._full_s = now_s
        self._suspect_of(sample, declared, is_watching=limits.is_subscribing)
        reading = self._judged(sample, view, instance_id, at, now_s)
        if reading is not None:
            self._reading, self._judged_s = reading, now_s
            if reading.status is not Status.UNKNOWN:
                self._bad = self._bad + 1 if reading.status is Status.FALSE else 0
        else:
            reading = self._carried(sample, instance_id, at, now_s)
        return reading, b"" if sample.picture is None else sample.picture.newest_frame

    def heard(self, reading: Reading) -> Reading:
        """Take what the host says of its workload; give it back with what only a player sees."""
        if reading.subject is not Subject.WORKLOAD:
            return reading
        self._inside = reading
        return self.said(reading.instance_id, reading.at) or reading

    def said(self, instance_id: InstanceId, at: datetime) -> Reading | None:
        """Return what the workload is said to suffer from, by both; None: nobody has said anything.

        The host's own word comes first: it knows the cause, a player sees what follows from it.
        """
        inside = self._inside
        if inside is not None and inside.status is Status.FALSE:
            return replace(inside, at=at)
        symptom = self.symptom
        if symptom is None:
            return None if inside is None else replace(inside, at=at)
        return Reading(
            instance_id=instance_id,
            subject=Subject.WORKLOAD,
            status=Status.FALSE,
            reason=Reason.SYMPTOM,
            at=at,
            detail=symptom.sentence,
            symptom=symptom,
        )

    @property
    def symptom(self) -> Symptom | None:
        """What only a player can see, once it is believed."""
        needed = _LOOKS_TO_NAME if self._bad >= _LOOKS_TO_BELIEVE else _LOOKS_TO_BELIEVE
        return self._suspect if self._times >= needed else None

    def _limits(self, declared: PlayerView, view: View, now_s: float) -> PlayerLimits:
        is_well = self._reading is not None and self._reading.status is Status.TRUE
        places = declared.places or self._places
        every_s = declared.watch_every_s
        is_away = (
            self._full_s is not None
            and not declared.has_rest
            and now_s - self._full_s < every_s * _FULL_AWAY_TIMES
        )
        if places == 1:
            every_s = max(every_s, _LAST_PLACE_EVERY_S)
        is_due = self._watched_s is None or now_s - self._watched_s >= every_s
        return PlayerLimits(
            is_subscribing=not is_away and (is_due or not is_well or self._suspect is not None),
            places=places if declared.has_rest else declared.places,
            ignored=view.ignored,
            streamer_id=declared.streamer_id,
            has_rest=declared.has_rest,
            offer_s=declared.offer_s,
            sample_s=declared.sample_s,
            timeout_s=declared.offer_s + declared.sample_s + _OTHER_S,
        )

    def _judged(
        self, sample: PlayerSample, view: View, instance_id: InstanceId, at: datetime, now_s: float
    ) -> Reading | None:
        """Judge what is seen, and what is heard with it where that is good; None: nothing new."""
        # One look keeps nothing for the next one here: for how long it stands is counted below.
        mute = replace(view, still_max_s=0.0, expects_sound=False)
        seen = read_player(sample, mute, instance_id, at)
        if seen is None:
            return None
        seen = self._with_patience(seen, view, now_s)
        if not view.expects_sound or seen.status is not Status.TRUE:
            return seen
        picture = sample.picture
        is_unheard = picture is not None and picture.has_sound and picture.sound_dbfs is None
        if is_unheard and self._silent_s is not None:
            return None  # too short a look to say that the sound has come back
        # Whether it may stand has been said above.
        loud = replace(view, is_static_allowed=True)
        heard = read_player(sample, loud, instance_id, at)
        if heard is None or heard.reason is not Reason.NO_SOUND:
            self._silent_s = None
            return seen
        self._silent_s = now_s if self._silent_s is None else self._silent_s
        for_s = now_s - self._silent_s
        if for_s >= view.silence_max_s:
            return heard
        said = f"silent for {for_s:.0f} s, and may be for {view.silence_max_s:g}"
        return replace(seen, detail=f"{seen.detail}; {said}".removeprefix("; "))

    def _with_patience(self, reading: Reading, view: View, now_s: float) -> Reading:
        """Let a picture stand still for as long as is declared: menus do."""
        if reading.reason is not Reason.FROZEN:
            self._still_s = None if reading.status is Status.TRUE else self._still_s
            return reading
        self._still_s = now_s if self._still_s is None else self._still_s
        if now_s - self._still_s >= view.still_max_s:
            return reading
        return replace(reading, status=Status.TRUE, reason=Reason.STATIC_BY_DESIGN)

    def _suspect_of(self, sample: PlayerSample, declared: PlayerView, *, is_watching: bool) -> None:
        if sample.is_own_fault or sample.has_left:
            return
        found = symptom_of(sample, declared)
        if found is None and not is_watching:
            return  # a list alone shows neither relay nor offer
        is_same = (
            found is not None and self._suspect is not None and found.code == self._suspect.code
        )
        self._times = self._times + 1 if is_same else int(found is not None)
        if sample.is_full:
            self._times = _LOOKS_TO_BELIEVE  # it says so itself, and is not asked again soon
        self._suspect = found

    def _carried(
        self, sample: PlayerSample, instance_id: InstanceId, at: datetime, now_s: float
    ) -> Reading:
        """Repeat what was seen last: the streamer is listed, and this look has shown no picture."""
        before = self._reading
        is_fresh = now_s - self._judged_s < _CARRIED_MAX_S or not (
            sample.has_left or sample.is_full
        )
        if before is not None and before.status is Status.TRUE and is_fresh:
            return replace(before, at=at)
        why = "others watch, and keeper does not" if sample.has_left else "the server is full"
        if not (sample.has_left or sample.is_full):
            why = "listed, and not watched yet"
        elif sample.has_left and not sample.others and sample.error:
            why = sample.error
        return Reading(
            instance_id=instance_id,
            subject=Subject.PICTURE,
            status=Status.UNKNOWN,
            reason=Reason.PROBE_FAILED,
            at=at,
            detail=why,
        )
