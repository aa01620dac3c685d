"""What is declared of an audition and never comes to anything: checks that a workload does not hold.

Whoever forces such a check believes that a host may go on air which would still be refused, and whoever
declares an address for an upload that nobody measures believes that it is measured.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from pydantic import BaseModel

from keeper.settings.document import Place
from keeper.settings.tree import Settings
from keeper.workloads import registered
from keeper.workloads.audition import CheckName
from keeper.workloads.audition_checks import AuditionSettings

# Held or not by what else is declared of the same workload: a port, an address.
_BY_OTHER_KEYS = frozenset({CheckName.PORT, CheckName.UPLOAD})


def idle_keys(settings: Settings) -> Iterator[tuple[Place, str]]:
    """Name each key of an audition that changes nothing, and what would."""
    for index, stream in enumerate(settings.streams):
        workload = stream.workload
        declared = getattr(workload, "audition", None)
        if not isinstance(declared, AuditionSettings):
            continue
        held = _held(workload)
        here: Place = ("streams", index, "workload", "audition")
        there = ", ".join(name for name in CheckName if name in held)
        said = f"stream '{stream.name}': "
        for at, name in enumerate(declared.force):
            if name not in held:
                close = difflib.get_close_matches(name, sorted(held), n=1)
                hint = f" (did you mean '{close[0]}'?)" if close else ""
                what = f"{_kind(workload)} holds no check '{name}' as it is declared{hint}"
                yield (*here, "force", at), f"{said}{what}; there are {there}"
        if declared.upload_test_url and CheckName.UPLOAD not in held:
            what = "nothing says how much must go upwards, so nothing would be measured"
            cure = "set bitrate_bps, or leave upload_test_url out"
            yield (*here, "upload_test_url"), f"{said}{what}: {cure}"


def _held(workload: BaseModel) -> frozenset[CheckName]:
    """Return the checks that a workload holds as it is declared.

    One that holds none for now (a test card, which commissions a host) may keep what is declared for
    later: then its kind's own defaults count.
    """
    plugin = registered()[_kind(workload)]
    try:
        names = frozenset(check.name for check in plugin.build(workload, {}).audition())
        usual = workload if names else plugin.settings.model_validate({"kind": _kind(workload)})
    except ValueError:  # what is wrong with it is said elsewhere
        return frozenset(CheckName)
    if names:
        return names
    return _BY_OTHER_KEYS | {check.name for check in plugin.build(usual, {}).audition()}


def _kind(workload: BaseModel) -> str:
    return str(getattr(workload, "kind", ""))
