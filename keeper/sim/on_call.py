"""The person on call: reads what arrives, and answers hours later what waits for a person alone.

That is one message: a stream has cost too much in the dark, so it gets no more hosts
(docs/runbooks/KeeperDarkSpend.md). Its cure is to look, to mend what was declared if that is at fault,
and to let keeper go on. Everything else keeper must get over by itself.
"""

from __future__ import annotations

from keeper.sim.notices import RESOLVED, read_notice
from keeper.sim.universe import Mailbox

LOOKS_EVERY_S = 1800.0
ANSWERS_AFTER_S = 10_800.0  # asleep, at table, on the way
_STOPPED = "KeeperDarkSpend"


class OnCall:
    """Whom the messages reach."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._read = 0  # messages so far
        self._waits: dict[str, float] = {}  # by stream, since when; not for what was answered

    def due(self, now: float) -> tuple[str, ...]:
        """Return the streams that have waited for long enough; each is answered with that."""
        for message in self._mailbox.messages[self._read :]:
            self._hear(message.at, message.body)
        self._read = len(self._mailbox.messages)
        due = [each for each, at in self._waits.items() if now - at >= ANSWERS_AFTER_S]
        for each in due:
            del self._waits[each]
        return tuple(sorted(due))

    def _hear(self, at: float, body: bytes) -> None:
        if _STOPPED.encode() not in body:
            return
        notice = read_notice(at, body)
        name, _, stream = notice.key.partition(":")
        if name != _STOPPED:
            return
        if notice.kind == RESOLVED:
            self._waits.pop(stream, None)
        else:  # said again, it waits for another answer
            self._waits.setdefault(stream, at)
