"""Which channels want no more messages, and until when: told otherwise, or tested with success."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from keeper.alerts import Channel
from keeper.core.events import ChannelSwitched, Event
from keeper.ports import ChannelOff, Clock

_KEPT_MAX = 100  # names that are declared no more are remembered, but not for ever more of them


class Switches:
    """The channels that are off. It outlasts a restart, and a reload that changes nothing about them."""

    def __init__(
        self,
        clock: Clock,
        *,
        channels: Callable[[], Mapping[str, Channel]],
        marks: Callable[[], Mapping[str, str]],
        publish: Callable[[Event], None],
    ) -> None:
        self._clock = clock
        self._channels = channels
        self._marks = marks
        self._publish = publish
        self._off: dict[str, ChannelOff] = {}
        self.is_unnoted = False  # the store does not know it so

    def remember(self, saved: Iterable[ChannelOff]) -> None:
        """Take up what the store holds, and compare it with what is declared."""
        self._off = {each.channel: each for each in saved}
        self.compare()

    def off(self, name: str) -> ChannelOff | None:
        """Return since when and why a channel is off; None: it is on."""
        return self._off.get(name)

    @property
    def all_off(self) -> tuple[ChannelOff, ...]:
        """Everything that the store is to hold."""
        return tuple(self._off.values())

    def turn_off(self, name: str, why: str) -> None:
        """Ask a channel no more."""
        if name in self._off:
            return
        off = ChannelOff(
            channel=name,
            since=self._clock.now(),
            why=why,
            declared=self._marks().get(name, ""),
        )
        self._off[name] = off
        while len(self._off) > _KEPT_MAX:
            del self._off[next(iter(self._off))]
        self._switched(name, why, is_on=False)

    def turn_on(self, name: str, why: str) -> None:
        """Ask a channel again."""
        if self._off.pop(name, None) is not None:
            self._switched(name, why, is_on=True)

    def compare(self) -> None:
        """Ask those again that are declared otherwise than when they wanted no more."""
        marks = self._marks()
        for name in [name for name in self._off if name in self._channels()]:
            if marks.get(name, "") != self._off[name].declared:
                self.turn_on(name, "it is declared otherwise")

    def noted(self, written: tuple[ChannelOff, ...] | None) -> None:
        """The store holds this."""
        if written == self.all_off:
            self.is_unnoted = False

    def _switched(self, name: str, why: str, *, is_on: bool) -> None:
        self.is_unnoted = True
        self._publish(ChannelSwitched(channel=name, is_on=is_on, detail=why))
