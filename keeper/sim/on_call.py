"""The person on call: reads what arrives, and answers hours later what waits for a person alone.

A stray that belongs to somebody he knows of he silences, as whoever has read of it would. For the rest
there are two. A stream has cost too much in the dark, so it gets no more hosts
(docs/runbooks/KeeperDarkSpend.md): the cure is to look, to mend what was declared if that is at fault,
and to let keeper go on. And a workload, or a fresh host, names what no host cures
(docs/runbooks/KeeperNeedsPerson.md). Everything else keeper must get over by itself.
"""

from __future__ import annotations

from keeper.sim.notices import FIRING, RESOLVED, Notice, read_message
from keeper.sim.universe import Mailbox

LOOKS_EVERY_S = 1800.0
ANSWERS_AFTER_S = 10_800.0  # asleep, at table, on the way
_STOPPED, _PLEADS, _STRAY = "KeeperDarkSpend", "KeeperNeedsPerson", "KeeperOrphan"


class OnCall:
    """Whom the messages reach."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._read = 0  # messages so far
        self._waits: dict[str, float] = {}  # by stream, since when; not for what was answered
        self._pleas: dict[tuple[str, str], float] = {}  # by stream and trouble, since when
        self._strays: dict[str, float] = {}  # by the alert's key, since when; not those silenced

    def pleas(self) -> tuple[tuple[str, str, float], ...]:
        """Return what a person is asked to mend: of which stream, by which name, since when."""
        return tuple((stream, code, at) for (stream, code), at in sorted(self._pleas.items()))

    def known(self, now: float) -> tuple[str, ...]:
        """Return the alerts about strays that have been read by now; each is silenced with that."""
        self._listen()
        read = [key for key, at in self._strays.items() if now - at >= ANSWERS_AFTER_S]
        for key in read:
            del self._strays[key]
        return tuple(sorted(read))

    def due(self, now: float) -> tuple[str, ...]:
        """Return the streams that have waited for long enough; each is answered with that."""
        self._listen()
        due = [each for each, at in self._waits.items() if now - at >= ANSWERS_AFTER_S]
        for each in due:
            del self._waits[each]
        return tuple(sorted(due))

    def _listen(self) -> None:
        for message in self._mailbox.messages[self._read :]:
            self._hear(message.at, message.body)
        self._read = len(self._mailbox.messages)

    def _hear(self, at: float, body: bytes) -> None:
        if not any(name.encode() in body for name in (_STOPPED, _PLEADS, _STRAY)):
            return
        for notice in read_message(at, body).notices:
            self._heed(at, notice)

    def _heed(self, at: float, notice: Notice) -> None:
        name, _, stream = notice.key.partition(":")
        if name == _PLEADS:
            of_stream, _, code = stream.partition(":")
            if notice.kind == RESOLVED:
                self._pleas.pop((of_stream, code), None)
            else:
                self._pleas.setdefault((of_stream, code), at)
            return
        if name == _STRAY:
            if notice.kind == RESOLVED:
                self._strays.pop(notice.key, None)
            elif notice.kind == FIRING:  # once: what was silenced is not told again
                self._strays.setdefault(notice.key, at)
            return
        if name != _STOPPED:
            return
        if notice.kind == RESOLVED:
            self._waits.pop(stream, None)
        else:  # said again, it waits for another answer
            self._waits.setdefault(stream, at)
