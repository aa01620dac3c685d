"""Which alerts are one story: the group of each, with why. Pure.

People are told of incidents: alerts of one group that hold at the same time (dispatch.py). Two alerts
belong to one group when a person who is told of the one wants to read of the other as its sequel.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keeper.alerts import Alert


class Story(StrEnum):
    """What alerts of one group have in common."""

    PICTURE = (
        "picture"  # of one stream: that viewers do not see it as they should, or soon will not
    )
    MONEY = "money"  # a cap that stops a stream, or everything
    ACCOUNT = "account"  # what the marketplace lets nobody do
    MARKET = "market"
    RENTALS = "rentals"  # that cost and serve nobody
    FLEET = "fleet"  # what several failures have in common
    ORDERS = "orders"  # that keeper asks for, of one stream
    ITSELF = "itself"  # news that belongs to nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Where an alert belongs."""

    story: Story
    why: str


GROUPINGS: dict[str, Grouping] = {
    "KeeperStreamDark": Grouping(
        story=Story.PICTURE,
        why="slots of a stream that go dark one after the other are one story",
    ),
    "KeeperStreamStuttering": Grouping(
        story=Story.PICTURE,
        why="a picture that stutters is on its way to be dark, or back from it",
    ),
    "KeeperSlotHeld": Grouping(
        story=Story.PICTURE,
        why="what keeper may not do is why a slot stays dark; of no stream, it is the account's",
    ),
    "KeeperNeedsPerson": Grouping(
        story=Story.PICTURE,
        why="what the workload says of itself is why the picture is gone, or will be",
    ),
    "KeeperDiskFull": Grouping(
        story=Story.PICTURE,
        why="a full disk takes the picture with it",
    ),
    "KeeperNoOffer": Grouping(
        story=Story.PICTURE,
        why="no host to be had is why a slot stays dark",
    ),
    "KeeperRestartsHideSickness": Grouping(
        story=Story.PICTURE,
        why="the picture was lost and came back, and will be lost again",
    ),
    "KeeperContractEnding": Grouping(
        story=Story.PICTURE,
        why="a host that goes away before there is another one leaves its slot dark",
    ),
    "KeeperDeployBad": Grouping(
        story=Story.PICTURE,
        why="the slot that got it first is dark because of it: two messages would be one cause twice",
    ),
    "KeeperDarkSpend": Grouping(
        story=Story.PICTURE,
        why="it is what becomes of a dark stream that no host has cured",
    ),
    "KeeperHandoverUndone": Grouping(
        story=Story.PICTURE,
        why="viewers lost the picture for it, and the host it was to leave still serves",
    ),
    "KeeperBudgetStop": Grouping(
        story=Story.MONEY,
        why="a cap of a stream, or of everything, is lifted by one person in one place",
    ),
    "KeeperCreditLow": Grouping(
        story=Story.ACCOUNT,
        why="whoever pays is told once, however many streams wait for it",
    ),
    "KeeperMarketUnreadable": Grouping(
        story=Story.MARKET,
        why="what is merely unknown meanwhile follows from it",
    ),
    "KeeperOrphan": Grouping(
        story=Story.RENTALS,
        why="strays come in numbers, from one cause: another keeper, or a lost store",
    ),
    "KeeperDestroyStuck": Grouping(
        story=Story.RENTALS,
        why="ends hang in numbers, when the marketplace takes none",
    ),
    "KeeperMassFailure": Grouping(
        story=Story.FLEET,
        why="many slots sick at once are one cause until shown otherwise",
    ),
    "KeeperCommonCause": Grouping(
        story=Story.FLEET,
        why="it says what the cause of a mass failure may be",
    ),
    "KeeperSuggestion": Grouping(
        story=Story.ORDERS,
        why="one thing follows another that keeper would do for a stream, and one person orders it",
    ),
    "KeeperBudgetUsed": Grouping(
        story=Story.ITSELF,
        why="it holds until the month ends; nobody would look for a stop in a message that old",
    ),
    "KeeperErrorBudgetSpent": Grouping(
        story=Story.ITSELF,
        why="it holds for weeks, of darkness that was told long ago",
    ),
    "KeeperSpendDrift": Grouping(
        story=Story.ITSELF,
        why="sums that do not add up are for the one who reads bills",
    ),
    "KeeperMachineUnlisted": Grouping(
        story=Story.ITSELF,
        why="most such machines go on for weeks, and nothing follows",
    ),
    "KeeperPaused": Grouping(
        story=Story.ITSELF,
        why="it is a reminder of what somebody did",
    ),
    "KeeperSpareTookOver": Grouping(
        story=Story.ITSELF,
        why="it says that there is no story",
    ),
    "KeeperSpareMissing": Grouping(
        story=Story.ITSELF,
        why="the stream is as safe as without one",
    ),
}

_OF_A_STREAM = frozenset({Story.PICTURE, Story.MONEY, Story.ORDERS})


def group_of(alert: Alert) -> str:
    """Return the group of an alert: "picture:duel". What no row names is a story of its own."""
    row = GROUPINGS.get(alert.name)
    story = Story.ITSELF if row is None else row.story
    if story is Story.ITSELF:
        return f"{story}:{alert.key}"
    if story is Story.PICTURE and alert.stream is None:
        story = Story.ACCOUNT
    return f"{story}:{alert.stream or 'all'}" if story in _OF_A_STREAM else story.value
