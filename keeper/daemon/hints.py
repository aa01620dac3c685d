"""What somebody outside says may have changed: the marketplace is looked at sooner, and nothing else.

A hint is never believed. It wakes what would have looked anyway, at most as often as the busy beat, and
what follows is decided from what is seen then. So a hint that was forged, repeated or withheld can
cost an earlier listing, and no more. Which hints were seen is forgotten with the process: one that is
replayed after a restart costs a listing too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from keeper.core.events import HintRefused, HintTaken
from keeper.ports import Clock, Hint

# Longer than a signature counts (five minutes, to both sides), so that none is taken twice.
_KNOWN_S = 900.0
_KNOWN_MAX = 1024
_ACCOUNT_APART_S = 30.0
# A storm of hints is one line in the journal, and so is a storm of forged ones.
_TAKEN_APART_S = 10.0
_REFUSED_APART_S = 300.0


class Hints:
    """Takes hints, each of them once."""

    def __init__(
        self,
        clock: Clock,
        *,
        look: Callable[[], None],
        look_at_account: Callable[[], None],
        note: Callable[[HintTaken], None],
        add: Callable[[HintRefused], None],
    ) -> None:
        self._clock = clock
        self._look = look
        self._look_at_account = look_at_account
        self._note = note
        self._add = add
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._account_s: float | None = None
        self._taken_s: dict[str, float] = {}
        self._refused: dict[tuple[str, str], int] = {}  # since they were told of last
        self._refused_s: dict[tuple[str, str], float] = {}

    def take(self, hint: Hint) -> bool:
        """Look soon. False: this one was taken before; nothing follows."""
        now_s = self._clock.monotonic()
        if self._is_known((hint.source, hint.hint_id), now_s):
            self.refuse(hint.source, "known")
            return False
        self._look()
        if hint.is_about_money and _is_over(self._account_s, _ACCOUNT_APART_S, now_s):
            self._account_s = now_s
            self._look_at_account()
        if _is_over(self._taken_s.get(hint.source), _TAKEN_APART_S, now_s):
            self._taken_s[hint.source] = now_s
            self._note(HintTaken(source=hint.source, about=hint.about))
        return True

    def refuse(self, source: str, why: str) -> None:
        """Note that something was no hint. Calls for no tick: it is written down with the next one."""
        kind, now_s = (source, why), self._clock.monotonic()
        self._refused[kind] = self._refused.get(kind, 0) + 1
        if _is_over(self._refused_s.get(kind), _REFUSED_APART_S, now_s):
            self._refused_s[kind] = now_s
            self._add(HintRefused(source=source, why=why, refused=self._refused.pop(kind)))

    def _is_known(self, key: tuple[str, str], now_s: float) -> bool:
        """Whether it was taken before, and remember it; the oldest are forgotten first."""
        known = self._known
        while known and now_s - next(iter(known.values())) >= _KNOWN_S:
            known.popitem(last=False)
        if key in known:
            return True
        if len(known) >= _KNOWN_MAX:
            known.popitem(last=False)
        known[key] = now_s
        return False


def _is_over(since_s: float | None, apart_s: float, now_s: float) -> bool:
    return since_s is None or now_s - since_s >= apart_s
