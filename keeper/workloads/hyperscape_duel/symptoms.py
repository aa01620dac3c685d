"""Reads what a look at the duel brought, and names what is wrong with it: the failure catalogue as a table.

The host has reduced its answers; here is no clock and no memory. One symptom at a time: the first row
that holds, the gravest first. Whatever does not fit its type is not known, which is not a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keeper.core.model import Remedy, Rung, Symptom
from keeper.core.text import plain
from keeper.workloads.hyperscape_duel import signs
from keeper.workloads.hyperscape_duel.facts import Facts
from keeper.workloads.hyperscape_duel.settings import HyperscapeDuelSettings
from keeper.workloads.hyperscape_duel.signs import Case

SENTENCE_MAX = 200


def diagnose(facts: Facts, settings: HyperscapeDuelSettings) -> Symptom | None:
    """Return the gravest thing that is wrong; None: the duel is well, as far as it knows."""
    if facts.is_deployed is False:
        return None  # whatever is not there was never there
    case = Case(facts, settings)
    for row in ROWS:
        said = row.seen(case)
        if said is None:
            continue
        return Symptom(
            code=row.code,
            sentence=plain(said, SENTENCE_MAX),
            remedy=row.remedy(case) if callable(row.remedy) else row.remedy,
            wait_s=row.wait_s(case) if row.wait_s is not None else 0.0,
            spoils_view=row.spoils_view(case) if callable(row.spoils_view) else row.spoils_view,
            dearest=row.dearest,
            is_partial=row.is_partial,
            is_planned=row.is_planned,
        )
    return None


def described(facts: Facts) -> str:
    """Return what a look saw, in a few words."""
    if facts.is_deployed is False:
        return "nothing is deployed here yet"
    if not facts.server.code:
        return f"no answer; the process is {facts.process}"
    return f"phase {facts.state.phase or 'unknown'}, bridge {facts.bridge.seen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the catalogue: how it shows, and the cheapest thing that can help."""

    code: str
    rows: tuple[str, ...]  # of the catalogue
    remedy: Remedy | Callable[[Case], Remedy]
    seen: Callable[[Case], str | None]
    wait_s: Callable[[Case], float] | None = None
    # Where it does not, keeper acts only once the viewer's own look is bad: a playlist that answers is
    # a weak look, so what breaks the stream says so here.
    spoils_view: bool | Callable[[Case], bool] = False
    # What the code, the settings or a provider are to blame for comes along to every host.
    dearest: Rung = Rung.REPLACE
    is_partial: bool = (
        False  # viewers have a picture: where keeper sees none, something else is wrong
    )
    is_planned: bool = False


def _at_rest(case: Case) -> Remedy:
    """Restart where it interrupts nobody's fight; before that, wait for such a moment."""
    return Remedy.RESTART_PROCESS if case.is_at_rest else Remedy.NOTHING


def _recovery(case: Case) -> float:
    return case.patience.recovery_s


def _startup(case: Case) -> float:
    return case.patience.startup_s


def _bridge_start(case: Case) -> float:
    return case.patience.bridge_start_s


def _slow(case: Case) -> float:
    return case.patience.slow_s


def _is_dark(case: Case) -> bool:
    return case.bridge.ffmpeg is False


def _is_refused(case: Case) -> bool:
    """Old keys are no harm while the platforms take them."""
    return bool(case.bridge.down) or case.bridge.ffmpeg is False


def _is_keepers(case: Case) -> bool:
    """Say whether keeper has put the server into maintenance, and was cut off before it took it out."""
    return case.server.by_keeper


def _out_of_maintenance(case: Case) -> Remedy:
    return Remedy.RESTART_PROCESS if case.server.by_keeper else Remedy.PERSON


def _in_maintenance(case: Case) -> float:
    """A deploy of keeper's own is no symptom: while one is under way nothing else is done here."""
    if case.server.by_keeper:
        return case.patience.flat_s
    return case.settings.maintenance_wait_s + case.patience.startup_s


_P, _W = Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD

ROWS: tuple[Row, ...] = (
    # --- the stack does not come up ---
    Row(code="bad_build", dearest=_W, spoils_view=True, rows=("A2",), remedy=Remedy.RESTART_WORKLOAD, seen=signs.bad_build),
    Row(code="no_space", dearest=_W, is_partial=True, spoils_view=True, rows=("H10",), remedy=Remedy.RESTART_WORKLOAD,
        seen=signs.told("the host's disk is full", "no_space")),
    Row(code="database", dearest=_W, spoils_view=True, rows=("A1",), remedy=Remedy.RESTART_WORKLOAD, seen=signs.database),
    Row(code="port_held", spoils_view=True, rows=("A3",), remedy=Remedy.RESTART_WORKLOAD, seen=signs.port_held),
    Row(code="nothing_runs", spoils_view=True, rows=("H15",), remedy=Remedy.RESTART_WORKLOAD, seen=signs.nothing_runs),
    Row(code="starting", rows=("A8",), remedy=Remedy.NOTHING, seen=signs.starting, wait_s=_startup),
    # --- what no restart cures ---
    Row(code="webgpu_missing", spoils_view=True, rows=("H1", "A21"), remedy=Remedy.REBOOT, seen=signs.webgpu_missing),
    Row(code="software_rendering", spoils_view=True, rows=("H5",), remedy=Remedy.REPLACE,
        seen=signs.told("drawn by the processor, not by the GPU", "software")),
    Row(code="display_dead", spoils_view=True, rows=("H4",), remedy=Remedy.RESTART_WORKLOAD, seen=signs.display_dead),
    Row(code="vulkan_dir", spoils_view=True, rows=("H6",), remedy=Remedy.RESTART_WORKLOAD,
        seen=signs.told("Vulkan has no runtime folder", "vulkan_dir")),
    Row(code="stale_environment", spoils_view=_is_refused, rows=("A34",), remedy=Remedy.RESTART_WORKLOAD,
        seen=signs.when("the app runs with settings or keys of before: PM2 has kept them",
                   lambda case: case.facts.has_old_environment is True)),
    Row(code="server_silent", spoils_view=True, rows=("A5",), remedy=Remedy.RESTART_PROCESS, seen=signs.server_silent),
    Row(code="not_active", rows=("A7",), remedy=Remedy.PERSON,
        seen=signs.when("the server says that streaming is switched off: look at the build and at "
                   "STREAMING_DUEL_ENABLED", lambda case: case.state.error == "not_active")),
    Row(code="other_commit", dearest=_W, is_partial=True, spoils_view=True, rows=("A9",), remedy=Remedy.RESTART_WORKLOAD, seen=signs.other_commit),
    # --- the browser and the bridge ---
    Row(code="no_outputs", spoils_view=True, rows=("A27",), remedy=Remedy.PERSON,
        seen=signs.told("the stream has nowhere to go: its keys are missing", "no_outputs")),
    Row(code="chrome_missing", dearest=_W, spoils_view=True, rows=("A38",), remedy=Remedy.RESTART_WORKLOAD,
        seen=signs.told("the browser cannot be started", "chrome_missing")),
    Row(code="page_timeout", dearest=_W, spoils_view=True, rows=("A20",), remedy=Remedy.RESTART_WORKLOAD, seen=signs.page_timeout),
    Row(code="no_canvas", spoils_view=True, rows=("A21",), remedy=Remedy.RESTART_WORKLOAD,
        seen=signs.told("the page shows no game", "no_canvas", times=2)),
    Row(code="rotation", rows=("A36",), remedy=Remedy.NOTHING,
        seen=signs.when("the browser is changed, as planned", lambda case: case.facts.rotating),
        wait_s=lambda case: case.patience.flat_s),
    Row(code="platform_refuses", spoils_view=_is_dark, rows=("A27", "A35"), remedy=Remedy.PERSON, seen=signs.refused),
    Row(code="ffmpeg_segfault", spoils_view=True, rows=("A27",), remedy=Remedy.RESTART_WORKLOAD,
        seen=signs.told("this ffmpeg crashes in itself; another one is tried", "segfault", times=3)),
    Row(code="ffmpeg_gave_up", spoils_view=True, rows=("A27",), remedy=Remedy.RESTART_PROCESS, seen=signs.gave_up),
    Row(code="bridge_hung", spoils_view=True, rows=("A32",), remedy=Remedy.RESTART_PROCESS, seen=signs.bridge_hung),
    Row(code="encoder_lost", spoils_view=True, rows=("H8",), remedy=Remedy.RESTART_WORKLOAD,
        seen=signs.told("the GPU gives no encoder", "encoder")),
    Row(code="gpu_memory", spoils_view=True, rows=("H9",), remedy=Remedy.RESTART_PROCESS,
        seen=signs.told("the GPU's memory is full", "gpu_memory")),
    Row(code="black", spoils_view=True, rows=("A25",), remedy=Remedy.RESTART_PROCESS, seen=signs.black),
    Row(code="scene_frozen", spoils_view=True, rows=("A24",), remedy=Remedy.RESTART_PROCESS, seen=signs.scene_frozen),
    Row(code="placeholder_shown", spoils_view=True, rows=("A31",), remedy=Remedy.RESTART_PROCESS, seen=signs.placeholder,
        wait_s=_recovery),
    Row(code="loading_screen", spoils_view=True, rows=("A26",), remedy=Remedy.RESTART_PROCESS, seen=signs.loading),
    Row(code="capture_stalled", spoils_view=True, rows=("A23",), remedy=Remedy.RESTART_PROCESS,
        seen=signs.capture_stalled, wait_s=_recovery),
    Row(code="output_flat", spoils_view=True, rows=("A33",), remedy=Remedy.RESTART_PROCESS, seen=signs.output_flat),
    Row(code="all_platforms_down", spoils_view=True, rows=("A29", "H17"), remedy=Remedy.RESTART_PROCESS,
        seen=signs.all_down, wait_s=_recovery),
    # No fault: but viewers see none of it yet, and whoever restarts it now begins it anew.
    Row(code="bridge_starting", rows=(), remedy=Remedy.NOTHING, seen=signs.bridge_starting, wait_s=_bridge_start),
    # --- the duel ---
    Row(code="phase_stuck", dearest=_P, is_partial=True, spoils_view=True, rows=("A5",), remedy=Remedy.RESTART_PROCESS, seen=signs.phase_stuck),
    Row(code="agents_stand_still", dearest=_P, is_partial=True, spoils_view=True, rows=("A6",), remedy=Remedy.RESTART_PROCESS, seen=signs.stand_still,
        wait_s=signs.still_wait),
    Row(code="idle_disconnect", dearest=_W, spoils_view=True, rows=("A30",), remedy=Remedy.RESTART_WORKLOAD,
        seen=signs.idle_disconnect),
    Row(code="no_fighters", dearest=_W, is_partial=True, spoils_view=True, rows=("A4",), remedy=Remedy.RESTART_WORKLOAD,
        seen=lambda case: signs.no_fighters(case) or signs.agents_missing(case)),
    # --- what still works ---
    Row(code="encoder_slow", spoils_view=True, rows=("A40",), remedy=Remedy.REPLACE, wait_s=_slow,
        seen=signs.told("encoding is slower than real time", "slow", times=3)),
    Row(code="sound_gone", dearest=_P, is_partial=True, spoils_view=True, rows=("A37",), remedy=Remedy.RESTART_PROCESS, seen=signs.sound_gone),
    Row(code="platform_down", is_partial=True, rows=("A28",), remedy=Remedy.PERSON, seen=signs.some_down,
        wait_s=_recovery),
    Row(code="dns", rows=("H16",), remedy=Remedy.PERSON,
        seen=signs.told("names cannot be resolved on the host", "dns")),
    Row(code="clock", rows=("H19",), remedy=Remedy.PERSON,
        seen=signs.told("certificates do not fit the host's clock", "clock")),
    # Nothing is wrong yet: what would end in the middle of a fight is ended between two.
    Row(code="memory_near_limit", rows=("A12",), remedy=_at_rest, is_planned=True,
        seen=signs.when("memory nears the limit at which PM2 restarts it in the middle of a fight",
                   lambda case: case.facts.memory_mb > 0)),
    Row(code="stream_too_old", rows=("A39",), remedy=_at_rest, is_planned=True,
        seen=signs.when("platforms end a broadcast after 48 hours, maybe in the middle of a fight",
                   lambda case: case.bridge.is_old)),
    Row(code="in_maintenance", dearest=_W, is_partial=True, spoils_view=_is_keepers, rows=(), remedy=_out_of_maintenance,
        wait_s=_in_maintenance, seen=signs.in_maintenance),
)  # fmt: skip
