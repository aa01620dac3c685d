"""The real `keeper run` on one stream whose hosts are entered through real OpenSSH.

What the tests of the workloads' failure catalogues stand on. A simulated marketplace in this process
rents out hosts: a home folder, a real ``sshd`` of its own, real processes. keeper is the installed
daemon, a process of its own, with production's rules and tight numbers. Everything ends with the
block, however it ends.

    async with Fleet({"kind": "command", "workdir": "duel", ...}, secrets={"STREAM_KEY": "x"}) as fleet:
        await fleet.on_air()                        # rented, deployed, seen by a viewer
        await fleet.host.kill("server.py")          # SIGKILL to what has these words in its command line
        await fleet.acted(Remedy.RESTART_PROCESS, reason=Reason.PROCESS_GONE)
        await fleet.well_again()

A catalogue is a table of ``Row`` and ``play_row(fleet, row)`` plays one, ``play(fleet, rows)`` all of
them on one host:

    Row(id="killed", fault=lambda fleet: fleet.host.kill("server.py"), remedy=Remedy.RESTART_PROCESS,
        reason=Reason.PROCESS_GONE)                 # or symptom="ffmpeg_gave_up", or causes={...}

A row may be a test of its own, all on one fleet of the module:

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def fleet() -> AsyncIterator[Fleet]:
        async with Fleet(...) as made:
            await made.on_air()
            yield made

    @pytest.mark.asyncio(loop_scope="module")
    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
    async def test_cures(fleet: Fleet, row: Row) -> None:
        await play_row(fleet, row)

with ``pytest.mark.xdist_group`` and ``pytest.mark.timeout`` on the module.

A row waits until all is well, makes the fault, waits for the remedy that is listed, waits until all
is well again and ``proof`` holds, and then holds the books of the marketplace and of the hosts
against the row: the remedy was used, and nothing else. ``Remedy.PERSON``: the alert came, and for
``quiet_ticks`` of keeper's ticks nothing was restarted, rented or destroyed; then ``mend`` undoes the
fault. ``Remedy.NOTHING``: the same without an alert.

``fleet``: ``host``, ``events``, ``messages``, ``spent()``, ``symptom()``, ``status()``, ``sim`` (the
marketplace, with its ledger), ``keeper`` (the process). Waiting: ``on_air``, ``well_again``, ``fact``,
``decided``, ``acted``, ``ailing``, ``alerted``, ``ticks``, ``until``. They fail with keeper's own words
of what happened since the mark, and at once when keeper has crashed.
After a fault wait for what keeper must do first (``acted``, ``fact``): until it has seen anything, all
is well still.
``fleet.host``: ``home``, ``bin``, ``address``, ``run(script)`` as a login of its own, ``kill``,
``pids``, ``log``, ``published(port)``. A host is not jailed: declare a ``workdir`` that is relative,
so that it lies below its home. Servers bind to ``$SERVER_HOST`` (the host's own address) or to
0.0.0.0; what listens on 127.0.0.1 is reached through SSH forwards alone, as on Vast.ai, and shares
that address with every other host and this box.
``furnish`` is done to each host at each start, before anybody logs in, as its image would:
``host.variables["PATH"]``, stand-ins into ``host.bin`` (``put_program``), ``host.begin(...)`` for what
the image starts.

The numbers are in ``POLICY`` and ``FLEET``; override single ones with ``policy=`` and ``fleet=``. Restarts
of the process are forgiven after two good seconds, so that rows share a host and the ladder can
still be seen to climb; the dearer rungs have wide caps. The sentinel looks every ``look_s`` seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest

from keeper.core.model import Remedy
from keeper.core.reasons import Reason
from tests.e2e.real_fleet import PATIENCE_S, SLOT, STREAM, Event, Fleet, Furnish
from tests.e2e.real_parts import ALERTS, FLEET, POLICY, Host, Spent, put_program

__all__ = [
    "ALERTS",
    "FLEET",
    "PATIENCE_S",
    "POLICY",
    "SLOT",
    "STREAM",
    "Event",
    "Fleet",
    "Furnish",
    "Host",
    "Row",
    "Spent",
    "play",
    "play_row",
    "put_program",
]

_QUIET_TICKS = 4
# From the cheapest to the dearest.
_RUNGS = (Remedy.RESTART_PROCESS, Remedy.RESTART_WORKLOAD, Remedy.REBOOT, Remedy.REPLACE)

Deed = Callable[[Fleet], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a workload's failure catalogue."""

    id: str
    fault: Deed  # makes it, on the real host
    remedy: Remedy  # the first that keeper must use, and the dearest that it may
    symptom: str = ""  # the code that the workload must name
    reason: Reason | None = (
        None  # why keeper acts; None: "symptom" where there is one, else anything
    )
    causes: frozenset[str] = (
        frozenset()
    )  # what the act itself must give as its cause, a symptom's code or else a reason: one of these
    dearest: Remedy | None = (
        None  # where the first is known not to be enough: how far keeper may climb
    )
    # Undoes the fault where keeper must not, a person's work; of a row that keeper cures, what has passed
    # by the time that it acts.
    mend: Deed | None = None
    proof: Deed | None = None  # looked at until it holds: how the cure shows
    alert: str = ""  # Remedy.PERSON: its name; "": any. NOTHING: the one that may come all the same
    quiet_ticks: int = _QUIET_TICKS
    patience_s: float = PATIENCE_S
    more: Mapping[str, object] = field(default_factory=dict)  # for the test's own use


async def play(fleet: Fleet, rows: Sequence[Row]) -> None:
    """Play a whole table on one host."""
    for row in rows:
        await play_row(fleet, row)


async def play_row(fleet: Fleet, row: Row) -> None:
    """Play one row; what fails says which."""
    try:
        await fleet.well_still(patience_s=row.patience_s)
        if row.remedy in {Remedy.PERSON, Remedy.NOTHING}:
            await _play_quiet(fleet, row)
        else:
            await _play_cure(fleet, row)
    except (AssertionError, pytest.fail.Exception) as failed:
        pytest.fail(f"row {row.id}: {failed}")


async def _play_cure(fleet: Fleet, row: Row) -> None:
    """keeper must use the remedy, and nothing dearer."""
    since, before = fleet.mark(), fleet.spent()
    reason = row.reason or (Reason.SYMPTOM if row.symptom else None)
    if row.remedy is Remedy.REPLACE:
        reason = row.reason  # what a rental is for is said otherwise
    await row.fault(fleet)
    act = await fleet.acted(
        row.remedy, reason=reason, symptom=row.symptom, since=since, patience_s=row.patience_s
    )
    if row.remedy is Remedy.REPLACE:
        act = await fleet.fact("instance.condemned", since=since, patience_s=row.patience_s)
        await fleet.fact("instance.ended", since=since, patience_s=row.patience_s)
    if row.mend is not None:
        await row.mend(fleet)
    if row.causes:
        cause = act["facts"].get("symptom") or act["facts"]["reason"]
        assert cause in row.causes, f"{cause} is none of {row.causes}:\n{fleet.story(since)}"
    await fleet.well_again(patience_s=row.patience_s)
    if row.proof is not None:
        await fleet.until("the proof", partial(row.proof, fleet), since=since)
    spent = fleet.spent() - before
    dearest = _RUNGS.index(row.dearest or row.remedy)
    used = {
        Remedy.RESTART_PROCESS: spent.process_restarts,
        Remedy.RESTART_WORKLOAD: spent.workload_restarts,
        Remedy.REBOOT: spent.rebooted,
        Remedy.REPLACE: spent.rented,
    }
    assert used[row.remedy], f"{row.remedy} is in nobody's books: {spent}\n{fleet.story(since)}"
    for rung in _RUNGS[dearest + 1 :]:
        assert not used[rung], f"{rung} was dearer than needed: {spent}\n{fleet.story(since)}"
    for rung in _RUNGS[: _RUNGS.index(row.remedy)]:
        assert not used[rung], f"{rung} was too mild: {spent}\n{fleet.story(since)}"
    if row.remedy is not Remedy.REPLACE and row.dearest is not Remedy.REPLACE:
        assert not spent.destroyed, f"a host was given up: {spent}\n{fleet.story(since)}"


async def _play_quiet(fleet: Fleet, row: Row) -> None:
    """keeper must spend nothing: it tells a person, or knows that it passes."""
    since, told, before = fleet.mark(), len(fleet.messages), fleet.spent()
    await row.fault(fleet)
    if row.symptom:
        await fleet.ailing(row.symptom, patience_s=row.patience_s)
    if row.remedy is Remedy.PERSON:
        await fleet.alerted(row.alert, since=told, patience_s=row.patience_s)
    elif row.proof is not None:
        await fleet.until(
            "the proof", partial(row.proof, fleet), since=since, patience_s=row.patience_s
        )
    await fleet.ticks(row.quiet_ticks)
    await fleet.look()
    spent = fleet.spent() - before
    assert spent == Spent(), f"something was done: {spent}\n{fleet.story(since)}"
    if row.remedy is Remedy.NOTHING:
        others = [each for each in fleet.alerts(since=told) if each["name"] != row.alert]
        assert not others, f"a person was told: {others}"
    if row.mend is not None:
        await row.mend(fleet)
    await fleet.well_again(patience_s=row.patience_s)
    if row.proof is not None and row.remedy is Remedy.PERSON:
        await fleet.until("the proof", partial(row.proof, fleet), since=since)
    spent = fleet.spent() - before
    assert spent == Spent(), f"something was done in the end: {spent}\n{fleet.story(since)}"
