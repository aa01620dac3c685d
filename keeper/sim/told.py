"""How well a run was told: the messages that called a person, against what had really gone wrong.

What went wrong is read from the hosts' and the marketplace's own records, what was told from the messages
as they arrived. A message that opens an incident must be about something real that lasted; two about the
same thing are one too many. It shares no code with what it judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from keeper.sim.evidence import Broken, Evidence
from keeper.sim.excuses import mute_s
from keeper.sim.notices import FIRING, REPEAT, Message
from keeper.sim.troubles import GROUP_WAIT_S, Trouble, troubles, unseen

RATIO_MAX = 1.2  # messages for each incident, in a week of faults that people answer
# From the trouble to the message about it: to notice, to believe, the group's wait, a channel that was down.
_LATE_S = 1200.0
# What only a person can end, and must be called for. A key that changed calls one too, but keeper cures some of
# these by another host, once nobody sees the picture.
_MUST_PAGE = ("account", "person")
_MAY_PAGE = (*_MUST_PAGE, "key")
_AHEAD_S = 120.0  # a pause is written down once it is in force for certain
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a person heard in a run."""

    messages: int  # that opened an incident, or said that it still holds
    incidents: int  # real ones, that were told
    pages: int
    follow_ups: int  # short ones, the ends among them
    twice: tuple[Message, ...]  # opened an incident about what another one was about
    unfounded: tuple[Message, ...]  # about nothing that really was so
    hasty: tuple[Message, ...]  # about what was over before it should have been told
    unpaged: tuple[Trouble, ...]  # what only a person could end, and nobody was called
    paged_again: tuple[Trouble, ...]  # or was called twice

    @property
    def ratio(self) -> float:
        """Return the messages for each incident."""
        return self.messages / self.incidents if self.incidents else float(self.messages)


def tally(seen: Evidence) -> Tally:
    """Hold every message of a run against what really happened."""
    messages = seen.told_messages
    known: set[Trouble] = set()
    verdicts: dict[str, list[Message]] = {"twice": [], "unfounded": [], "hasty": []}
    for message in messages:
        if message.kind != FIRING:
            continue
        found = [t for each in message.notices for t in _meant(seen, each.name, each.key, message)]
        fresh = [trouble for trouble in found if trouble not in known]
        if not found:
            verdicts["hasty" if _was_short(seen, message) else "unfounded"].append(message)
        elif not fresh:
            verdicts["twice"].append(message)
        known.update(fresh[:1])
    calls = sum(message.kind in {FIRING, REPEAT} for message in messages)
    return Tally(
        messages=calls,
        incidents=len(known),
        pages=sum(message.is_page for message in messages),
        follow_ups=sum(message.kind not in {FIRING, REPEAT} for message in messages),
        twice=tuple(verdicts["twice"]),
        unfounded=tuple(verdicts["unfounded"]),
        hasty=tuple(verdicts["hasty"]),
        unpaged=tuple(_unpaged(seen, messages)),
        paged_again=tuple(_paged_again(seen, messages)),
    )


def _paged_again(seen: Evidence, messages: Iterable[Message]) -> Iterator[Trouble]:
    """Yield what only a person could end, and paged one more than once, by whatever incidents."""
    pages = tuple(message for message in messages if message.is_page)
    for kind in _MAY_PAGE:
        names = {name for name, kinds in _KINDS.items() if kinds[0] == kind}
        for trouble in troubles(seen, kind):
            count = sum(
                trouble.begins <= message.at <= trouble.ends
                and any(
                    each.needs_person and each.name in names and _is_about(each.key, trouble)
                    for each in message.notices
                )
                for message in pages
            )
            if count > 1:
                yield trouble


def _unpaged(seen: Evidence, messages: Iterable[Message]) -> Iterator[Trouble]:
    """Yield what only a person could end, and nobody was paged for."""
    messages = tuple(messages)
    paged = {message.incident_id for message in messages if message.is_page}
    for kind in _MUST_PAGE:
        for trouble in troubles(seen, kind):
            if _dark_s(seen, trouble) <= seen.bounds.told_s + mute_s(
                seen, trouble.begins, trouble.ends
            ):
                continue  # what viewers do not miss waits for the morning
            spoke = (
                message
                for message in messages
                if message.incident_id in paged
                and trouble.begins - _LATE_S <= message.at <= trouble.ends + _LATE_S
                and any(_is_about(each.key, trouble) for each in message.notices)
            )
            if next(spoke, None) is None:
                yield trouble


def _dark_s(seen: Evidence, trouble: Trouble) -> float:
    """Return for how long viewers lacked something meanwhile, in one stretch."""
    names = [trouble.about] if trouble.about else [*seen.desired]
    return max(
        (
            min(ends, trouble.ends) - max(begins, trouble.begins)
            for name in names
            for begins, ends in unseen(seen, name)
        ),
        default=0.0,
    )


def _is_about(key: str, trouble: Trouble) -> bool:
    return not trouble.about or trouble.about in _subjects(key.partition(":")[2])


def nobody_is_called_in_vain(seen: Evidence) -> Iterator[Broken]:
    """No message is about what was cured within the group wait."""
    if seen.messages is None:
        return
    for message in tally(seen).hasty:
        keys = ", ".join(each.key for each in message.notices)
        yield Broken(
            invariant="I19",
            at=message.at,
            text=f"{keys} was told, and was over within {GROUP_WAIT_S:.0f} s",
        )


def _meant(seen: Evidence, name: str, key: str, message: Message) -> Iterator[Trouble]:
    """Yield the real troubles that an alert may be about, when its message came."""
    about = key.partition(":")[2]
    for kind in _KINDS.get(name, ()):
        for trouble in troubles(seen, kind):
            if trouble.about and trouble.about not in _subjects(about):
                continue
            if trouble.begins - _AHEAD_S <= message.at <= trouble.ends + _LATE_S:
                yield trouble
    if name in _OWN:
        # What only keeper can know, or decides by numbers of its own, is one incident a day.
        day = message.at // _DAY_S * _DAY_S
        yield Trouble(kind=name, about=about, begins=day, ends=day + _DAY_S)


def _subjects(about: str) -> tuple[str, ...]:
    """Return what an alert's key names: the slot and its stream, the rental, whatever stands in it."""
    parts = about.split(":")
    return (*parts, *(part.rpartition("/")[0] for part in parts))


def _was_short(seen: Evidence, message: Message) -> bool:
    """Whether there was such a trouble, and it was over within the group wait."""
    for each in message.notices:
        if each.name != "KeeperStreamDark":
            continue
        stream = each.slot.rpartition("/")[0]
        for span in unseen(seen, stream):
            if span[0] <= message.at <= span[1] + _LATE_S and span[1] - span[0] <= GROUP_WAIT_S:
                return True
    return False


# What each alert may be about. What stands in no row has no business to open an incident.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "KeeperBudgetStop": ("capped", "dark"),
    "KeeperCommonCause": ("fleet", "deploy"),
    "KeeperContractEnding": ("ending",),
    "KeeperCreditLow": ("account",),
    "KeeperDarkSpend": ("costly", "dark"),
    "KeeperDeployBad": ("deploy", "dark"),
    "KeeperDestroyStuck": ("rentals",),
    "KeeperDiskFull": ("disk", "person"),
    "KeeperHandoverUndone": ("dark",),
    "KeeperMarketUnreadable": ("market",),
    "KeeperMassFailure": ("fleet", "market"),
    "KeeperNeedsPerson": ("person", "disk", "dark"),
    "KeeperNoOffer": ("dark",),
    "KeeperOrphan": ("rentals",),
    "KeeperPaused": ("paused",),
    "KeeperRestartsHideSickness": ("dark",),
    "KeeperSlotHeld": ("key", "dark", "capped"),
    "KeeperSpendDrift": ("price",),
    "KeeperStreamDark": ("dark",),
    "KeeperStreamStuttering": ("stutter", "dark"),
}
# Only keeper can know these, by numbers of its own or because it decided them.
_OWN = frozenset(
    {
        "KeeperBudgetStop",
        "KeeperBudgetUsed",
        "KeeperErrorBudgetSpent",
        "KeeperMachineUnlisted",
        "KeeperSpareMissing",
        "KeeperSpareTookOver",
        "KeeperSpendDrift",
        "KeeperSuggestion",
    }
)
