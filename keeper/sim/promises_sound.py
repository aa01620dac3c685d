"""Checks of the promise about sound: a host that shows its picture without it is not ended first.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged. That a silent
stream comes back in time is checked with every other darkness (promises_stream.py), and that nothing is
done about a picture that stutters with every other good one (promises_nerve.py, promises_money.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from keeper.sim.bills import is_stopping
from keeper.sim.evidence import Broken, Evidence
from keeper.sim.ledger import Rental

_KNOWN_S = 45.0  # silent for so long, and the viewer has seen the picture, and missed the sound
_LOOK_S = 3.0  # a look takes so long, and does not see what happens behind it


def a_silent_host_is_ended_last(seen: Evidence) -> Iterator[Broken]:
    """What shows a picture and no sound ends when another host of its slot shows as much, or more."""
    for instance_id, at in seen.condemned_at.items():
        rental = seen.ledger.rentals.get(instance_id)
        slot = seen.slot_of_instance(instance_id, at)
        if rental is None or slot not in seen.slots or seen.was_ordered(slot, at):
            continue
        is_silent = any(
            start <= at - _KNOWN_S and end >= at for start, end in seen.mute(instance_id)
        )
        is_for_money = seen.is_dear(rental, at) or is_stopping(seen, slot, at)
        others = (each for each in seen.rentals[slot] if each.instance_id != instance_id)
        if is_silent and not is_for_money and not any(_shows(seen, each, at) for each in others):
            yield Broken(
                invariant="I11",
                at=at,
                text=f"{slot} ended {instance_id}, which showed its picture without sound, before"
                " another host showed any",
            )


def _shows(seen: Evidence, rental: Rental, at: float) -> bool:
    """Whether viewers of a rental that stays have a picture of it."""
    spans = (*seen.on_air(rental.instance_id), *seen.mute(rental.instance_id))
    is_staying = seen.condemned_at.get(rental.instance_id, at + 1.0) > at
    return is_staying and any(start <= at - _LOOK_S and end >= at - _LOOK_S for start, end in spans)
