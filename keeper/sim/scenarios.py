"""Named stories, as data: what befalls a fleet, and what must be true afterwards, in a sentence each.

A scenario is a short plan of faults over a fleet that has been on air for a while, and expectations
about what others wrote down. ``keeper demo`` tells some of them; tests play them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keeper.sim.faults import Fault, FaultKind

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must be true at the end, from the ledger. None: not asked."""

    sentence: str
    rentals: int | None = None  # ever made for the fleet
    rentals_max: int | None = None
    restarts_min: int = 0  # process restarts that reached a host
    restarts_max: int | None = None
    workload_restarts_min: int = 0
    reboots_min: int = 0
    destroys: int | None = None  # rentals that were asked to end
    dark_max_s: float | None = None
    messages_min: int = 0
    messages_max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One story."""

    name: str
    sentence: str
    faults: tuple[Fault, ...]
    expected: Expected
    streams: Mapping[str, int] = field(default_factory=lambda: {"duel": 1})
    hours: float = 12.0


def _at(hours: float, kind: FaultKind, **fields: object) -> Fault:
    return Fault(kind=kind, at=hours * HOUR_S, **fields)  # type: ignore[arg-type]


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="quiet_day",
            sentence="Nothing goes wrong.",
            faults=(),
            expected=Expected(
                sentence="one rental, no remedy, no message",
                rentals=1,
                restarts_max=0,
                destroys=0,
                dark_max_s=0.0,
                messages_max=0,
            ),
        ),
        Scenario(
            name="process_killed",
            sentence="The process dies.",
            faults=(_at(2, FaultKind.PROCESS_KILLED),),
            expected=Expected(
                sentence="it is restarted within a minute, on the same host",
                rentals=1,
                restarts_min=1,
                restarts_max=1,
                destroys=0,
                dark_max_s=60.0,
            ),
        ),
        Scenario(
            name="process_hung",
            sentence="The process hangs: the port is open and nothing comes.",
            faults=(_at(2, FaultKind.PROCESS_HUNG),),
            expected=Expected(
                sentence="the viewer's eyes tell, and a restart cures it",
                rentals=1,
                restarts_min=1,
                restarts_max=1,
                dark_max_s=120.0,
            ),
        ),
        Scenario(
            name="picture_frozen",
            sentence="HTTP says 200, the process lives, and the picture stands still.",
            faults=(_at(2, FaultKind.PICTURE_FROZEN),),
            expected=Expected(
                sentence="frozen is seen as dark, and a restart cures it",
                rentals=1,
                restarts_min=1,
                restarts_max=1,
                dark_max_s=120.0,
            ),
        ),
        Scenario(
            name="sound_lost",
            sentence="The picture moves, and its sound is gone.",
            faults=(_at(2, FaultKind.SOUND_LOST),),
            expected=Expected(
                sentence="silence is seen as dark, and a restart cures it",
                rentals=1,
                restarts_min=1,
                restarts_max=1,
                dark_max_s=120.0,
            ),
        ),
        Scenario(
            name="sound_lost_for_good",
            sentence="No restart brings the sound back.",
            faults=(_at(2, FaultKind.SOUND_LOST, params={"cured_by": "replace"}),),
            expected=Expected(
                sentence="each restart is tried once; then another host is on air before this one goes",
                rentals=2,
                restarts_min=1,
                restarts_max=1,
                workload_restarts_min=1,
                destroys=1,
                dark_max_s=1800.0,
            ),
        ),
        Scenario(
            name="picture_stutters",
            sentence="The picture moves far below its rate for half an hour.",
            faults=(_at(2, FaultKind.PICTURE_STUTTERS, for_s=1800.0),),
            expected=Expected(
                sentence="somebody is told, and nothing is restarted or replaced for it",
                rentals=1,
                restarts_max=0,
                destroys=0,
                dark_max_s=0.0,
                messages_min=1,
            ),
        ),
        Scenario(
            name="workload_wants_a_restart",
            sentence="The workload says what is wrong with it, and that a restart would help.",
            faults=(_at(2, FaultKind.WORKLOAD_AILS, params={"remedy": "restart_process"}),),
            expected=Expected(
                sentence="it is restarted, once, on the same host",
                rentals=1,
                restarts_min=1,
                restarts_max=1,
                destroys=0,
                dark_max_s=120.0,
            ),
        ),
        Scenario(
            name="workload_wants_another_host",
            sentence="The workload says that its host's GPU is gone, and shows another picture.",
            faults=(
                _at(2, FaultKind.WORKLOAD_AILS, params={"remedy": "replace", "shows": "wrong"}),
            ),
            expected=Expected(
                sentence="no restart is tried: the host is replaced",
                rentals=2,
                restarts_max=0,
                dark_max_s=900.0,
                messages_min=1,
            ),
        ),
        Scenario(
            name="symptom_behind_a_good_picture",
            sentence="The workload says that it wants another host, and viewers see a good picture.",
            faults=(
                _at(2, FaultKind.WORKLOAD_AILS, params={"remedy": "replace", "shows": "good"}),
            ),
            expected=Expected(
                sentence="nothing is done while viewers see it",
                rentals=1,
                restarts_max=0,
                destroys=0,
                dark_max_s=0.0,
                messages_max=0,
            ),
        ),
        Scenario(
            name="restart_ahead_of_time",
            sentence="The workload asks for a restart while viewers watch, and asks again.",
            faults=(
                _at(
                    2,
                    FaultKind.WORKLOAD_AILS,
                    params={
                        "remedy": "restart_process",
                        "shows": "good",
                        "is_planned": True,
                        "returns": 1,
                        "returns_s": 600.0,
                    },
                ),
            ),
            expected=Expected(
                sentence="it is restarted when it asks, and an hour later once more",
                rentals=1,
                restarts_min=2,
                restarts_max=2,
                destroys=0,
                dark_max_s=60.0,
                messages_max=0,
            ),
        ),
        Scenario(
            name="workload_needs_a_person",
            sentence="The stream's key is refused, and it would be by every host.",
            faults=(
                _at(
                    2,
                    FaultKind.WORKLOAD_AILS,
                    params={"remedy": "person", "shows": "no_frames", "person_s": 5400.0},
                ),
            ),
            expected=Expected(
                sentence="a person is told, nothing is spent, and it goes on when he has mended it",
                rentals=1,
                restarts_max=0,
                destroys=0,
                dark_max_s=9000.0,
                messages_min=2,
            ),
        ),
        Scenario(
            name="audition_comes_right",
            sentence="The first host's driver needs two minutes after the boot.",
            faults=(
                _at(0, FaultKind.AUDITION_FAILS, params={"meaning": "wait", "after_s": 120.0}),
            ),
            expected=Expected(
                sentence="it is waited for, and gets the workload", rentals=1, destroys=0
            ),
        ),
        Scenario(
            name="audition_condemns",
            sentence="The first host cannot do what the workload needs.",
            faults=(_at(0, FaultKind.AUDITION_FAILS, params={"meaning": "replace"}),),
            expected=Expected(
                sentence="it is given up within seconds, and another machine is rented",
                rentals=2,
                destroys=1,
                messages_max=0,
            ),
        ),
        Scenario(
            name="audition_needs_a_person",
            sentence="What the workload needs of the world is not there, for no host.",
            faults=(
                _at(0, FaultKind.AUDITION_FAILS, params={"meaning": "person", "person_s": 1800.0}),
            ),
            expected=Expected(
                sentence="a person is told, one host waits for him, and then gets the workload",
                rentals=1,
                destroys=0,
                messages_min=2,
            ),
        ),
        Scenario(
            name="crash_loop",
            sentence="The process dies again after each start, until the workload is put there anew.",
            faults=(_at(2, FaultKind.CRASH_LOOP),),
            expected=Expected(
                sentence="the ladder is climbed: process, then workload, on the same host",
                rentals_max=2,
                restarts_min=1,
                restarts_max=3,
                dark_max_s=1800.0,
            ),
        ),
        Scenario(
            name="host_vanishes",
            sentence="The machine falls off the net for good.",
            faults=(_at(2, FaultKind.HOST_VANISHES, params={"absent_after_s": 1200.0}),),
            expected=Expected(
                sentence="it is replaced by another machine, once",
                rentals=2,
                dark_max_s=1200.0,
                messages_min=1,
            ),
        ),
        Scenario(
            name="host_back_in_time",
            sentence="The machine is off the net for a minute.",
            faults=(_at(2, FaultKind.HOST_OFFLINE, for_s=60.0),),
            expected=Expected(
                sentence="not knowing is no reason: nothing is replaced",
                rentals=1,
                destroys=0,
                dark_max_s=120.0,
            ),
        ),
        Scenario(
            name="create_reply_lost",
            sentence="The very first create rents, and its answer is lost.",
            faults=(_at(0, FaultKind.CREATE_REPLY_LOST),),
            expected=Expected(
                sentence="the rental is found by its label; there is one, not two",
                rentals=1,
                destroys=0,
            ),
        ),
        Scenario(
            name="create_phantom",
            sentence="The very first create is answered with an id that never appears.",
            faults=(_at(0, FaultKind.CREATE_PHANTOM),),
            expected=Expected(
                sentence="after two separate listings without it another one is rented",
                rentals=1,
            ),
        ),
        Scenario(
            name="listing_empty",
            sentence="The marketplace answers 502, then with an empty list, for ten minutes.",
            faults=(
                _at(2, FaultKind.HTTP_502, for_s=300.0),
                _at(2 + 300 / HOUR_S, FaultKind.LIST_EMPTY, for_s=300.0),
            ),
            expected=Expected(
                sentence="nothing is rented, nothing destroyed, the stream stays on air",
                rentals=1,
                destroys=0,
                restarts_max=0,
                dark_max_s=0.0,
            ),
        ),
        Scenario(
            name="keeper_killed_while_replacing",
            sentence="A host vanishes, and keeper is killed three times while it replaces it.",
            faults=(
                _at(2, FaultKind.HOST_VANISHES, params={"absent_after_s": 3000.0}),
                _at(2 + 200 / HOUR_S, FaultKind.KEEPER_KILLED, params={"calls": 3}),
                _at(2 + 330 / HOUR_S, FaultKind.KEEPER_KILLED, params={"calls": 5}),
                _at(2 + 500 / HOUR_S, FaultKind.KEEPER_KILLED, params={"calls": 7}),
            ),
            expected=Expected(
                sentence="the replacement is finished by its successors; one new rental only",
                rentals=2,
                dark_max_s=2400.0,
            ),
        ),
        Scenario(
            name="own_network_down",
            sentence="The ops box itself is cut off for a quarter of an hour.",
            faults=(_at(2, FaultKind.OWN_NETWORK_DOWN, for_s=900.0),),
            expected=Expected(
                sentence="keeper blames itself and touches nothing",
                rentals=1,
                restarts_max=0,
                destroys=0,
                dark_max_s=0.0,
            ),
        ),
        Scenario(
            name="clock_steps",
            sentence="The wall clock jumps an hour ahead, and later an hour back.",
            faults=(
                _at(2, FaultKind.CLOCK_STEP, params={"step_s": 3600.0}),
                _at(4, FaultKind.CLOCK_STEP, params={"step_s": -3600.0}),
            ),
            expected=Expected(
                sentence="nobody notices",
                rentals=1,
                restarts_max=0,
                destroys=0,
                dark_max_s=0.0,
            ),
        ),
        Scenario(
            name="gpu_lost",
            sentence="The GPU is lost; no restart can cure that.",
            faults=(_at(2, FaultKind.GPU_LOST),),
            expected=Expected(
                sentence="the host is replaced",
                rentals=2,
                dark_max_s=1500.0,
            ),
        ),
        Scenario(
            name="paused",
            sentence="An operator pauses keeper, and a process dies meanwhile.",
            faults=(
                _at(2, FaultKind.OPERATOR_PAUSES, for_s=3600.0),
                _at(2.5, FaultKind.PROCESS_KILLED),
            ),
            expected=Expected(
                sentence="it is watched and told, and cured after the pause",
                rentals=1,
                restarts_min=1,
                messages_min=1,
                dark_max_s=2400.0,
            ),
        ),
        Scenario(
            name="disk_of_the_box_full",
            sentence="The disk of the ops box refuses writes just as a process dies.",
            faults=(
                _at(2, FaultKind.STORE_WRITE_FAILS, count=5),
                _at(2, FaultKind.PROCESS_KILLED),
            ),
            expected=Expected(
                sentence="nothing is done that is not written down; then it is done once",
                rentals=1,
                restarts_min=1,
                restarts_max=1,
                dark_max_s=180.0,
            ),
        ),
    )
}
