"""What a workload can be to blame for, and what it cannot: the host, or what was rented for it."""

from __future__ import annotations

from keeper.core.model import Failure
from keeper.core.reasons import Reason

# What happens before it is started, or to the host, is not here; but its image may not start.
OF_THE_WORKLOAD = frozenset(
    {
        Reason.FROZEN, Reason.BLACK, Reason.NO_BYTES, Reason.CORRUPT, Reason.STUTTERING, Reason.NO_SOUND,
        Reason.UNREACHABLE, Reason.HTTP_ERROR, Reason.PROCESS_GONE, Reason.MANAGER_GAVE_UP,
        Reason.CRASH_LOOP, Reason.DISK_FULL, Reason.BOOT_FAILED, Reason.DEPLOY_FAILED,
        Reason.NO_PICTURE_EVER, Reason.LADDER_SPENT, Reason.SYMPTOM, Reason.WRONG_PICTURE,
        Reason.SWAP_FAILED,
    }
)  # fmt: skip


def may_be_of_the_workload(failure: Failure, *, is_same_rental: bool) -> bool:
    """Whether a workload can be to blame for a failure, and another one may do better.

    A container that does not start has nothing of it yet but what was rented for it: where that is
    the same for both (``is_same_rental``), neither is to blame.
    """
    if failure.reason is Reason.BOOT_FAILED and is_same_rental:
        return False
    return failure.reason in OF_THE_WORKLOAD
