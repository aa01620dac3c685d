"""How long a stage takes is said from experience where there is some, else as is usual."""

from datetime import timedelta

import pytest

from keeper.cli.expected import Fact, Learned, expected, learned
from keeper.cli.stages import Step
from keeper.core.model import Policy, StreamName
from tests.snapshots import NOW

DUEL = StreamName("duel")
POLICY = Policy()


def fact(event: str, at_s: float = 0.0, slot: str = "duel/0", instance: int = 1,
         lasted_s: float = 0.0) -> Fact:  # fmt: skip
    return Fact(event=event, slot=slot, at=NOW + timedelta(seconds=at_s), instance_id=instance,
                duration_s=lasted_s)  # fmt: skip


def test_the_journal_teaches_how_long_earlier_hosts_took() -> None:
    known = learned(
        [
            fact("tick.finished", slot=""),
            fact("instance.booted", lasted_s=100),
            fact("workload.deployed", 130, lasted_s=20),
            fact("stream.on_air", 190),
            fact("stream.on_air", 900),  # the end of a darkness is no warm-up
            fact("instance.booted", 1000, instance=2, lasted_s=140),
            fact("instance.booted", slot="other/0", lasted_s=9),
            fact("stream.on_air", 2000, instance=2),  # adopted: nobody saw it deployed
        ],
        DUEL,
    )
    assert known == Learned(boots=(100, 140), deploys=(20,), warmups=(60.0,))


def test_only_the_newest_count() -> None:
    facts = [fact("instance.booted", lasted_s=n) for n in range(50)]
    assert learned(facts, DUEL).boots == tuple(range(30, 50))


def test_a_clock_that_stepped_back_teaches_nothing_negative() -> None:
    known = learned([fact("workload.deployed", 100), fact("stream.on_air", 50)], DUEL)
    assert known.warmups == (0.0,)


@pytest.mark.parametrize(
    ("at", "known", "words"),
    [
        (Step.LOOKING, Learned(), "usually within 15s"),
        (Step.RENTING, Learned(), "takes seconds"),
        (Step.BOOTING, Learned(), "usually 30s to 5m, given up after 15m00s"),
        (
            Step.BOOTING,
            Learned(boots=(100.0, 140.0, 1000.0)),
            "usually 2m20s here, given up after 15m00s",
        ),
        (Step.REACHING, Learned(), "usually within 1m"),
        (Step.DEPLOYING, Learned(), ""),
        (Step.DEPLOYING, Learned(deploys=(20.0,)), "usually 20s here"),
        (Step.WARMING, Learned(), "given up after 20m00s"),
        (Step.WARMING, Learned(warmups=(60.0,)), "usually 1m00s here, given up after 20m00s"),
        (Step.ENDING, Learned(), "two listings 30s apart must lack it"),
        (Step.ON_AIR, Learned(), ""),
        (Step.DARK, Learned(), ""),
        (Step.OUTBID, Learned(), ""),
    ],
)
def test_each_step_says_how_long(at: Step, known: Learned, words: str) -> None:
    assert expected(at, known, POLICY) == words
