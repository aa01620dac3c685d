"""Reads what a look at the duel brought, and names what is wrong with it: the failure catalogue as a table.

The host has reduced its answers; here is no clock and no memory. One symptom at a time: the first row
that holds, the gravest first. Whatever does not fit its type is not known, which is not a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keeper.core.model import Remedy, Symptom
from keeper.core.text import plain
from keeper.workloads.hyperscape_duel.facts import Facts, Sign
from keeper.workloads.hyperscape_duel.settings import HyperscapeDuelSettings

SENTENCE_MAX = 200
# Phases in which a restart interrupts nobody's fight.
QUIET_PHASES = frozenset({"IDLE", "ANNOUNCEMENT", "RESOLUTION"})


def diagnose(facts: Facts, settings: HyperscapeDuelSettings) -> Symptom | None:
    """Return the gravest thing that is wrong; None: the duel is well, as far as it knows."""
    case = _Case(facts, settings)
    for row in ROWS:
        said = row.seen(case)
        if said is None:
            continue
        return Symptom(
            code=row.code,
            sentence=plain(said, SENTENCE_MAX),
            remedy=row.remedy(case) if callable(row.remedy) else row.remedy,
            wait_s=row.wait_s(case) if row.wait_s is not None else 0.0,
            spoils_view=row.spoils_view,
        )
    return None


def described(facts: Facts) -> str:
    """Return what a look saw, in a few words."""
    if not facts.server.code:
        return f"no answer; the process is {facts.process}"
    return f"phase {facts.state.phase or 'unknown'}, bridge {facts.bridge.seen}"


class _Case:
    """One look and what the operator has declared: what the rows ask."""

    def __init__(self, facts: Facts, settings: HyperscapeDuelSettings) -> None:
        self.facts = facts
        self.settings = settings
        self.patience = settings.patience
        self.server, self.state = facts.server, facts.state
        self.bridge, self.log = facts.bridge, facts.log

    @property
    def answers(self) -> bool:
        return self.server.code > 0

    @property
    def is_settled(self) -> bool:
        """The bridge has had its time to load the page and to begin."""
        return not self.bridge.is_young and not self.facts.is_young

    @property
    def is_at_rest(self) -> bool:
        return self.state.phase in QUIET_PHASES

    def sign(self, name: str, times: int = 1) -> str | None:
        """Return a sign's line, once it was seen so often; the line may be empty."""
        found = self.log.get(name)
        return found.text if found is not None and found.n >= times else None

    def told(self, sentence: str, name: str, times: int = 1) -> str | None:
        """Return the sentence with the line that proves it."""
        line = self.sign(name, times)
        if line is None:
            return None
        return f"{sentence}: {line}" if line else sentence

    def degraded(self, *reasons: str, after_s: float) -> bool:
        return self.bridge.degraded.startswith(reasons) and self.bridge.degraded_s >= after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the catalogue: how it shows, and the cheapest thing that can help."""

    code: str
    rows: tuple[str, ...]  # of the catalogue
    remedy: Remedy | Callable[[_Case], Remedy]
    seen: Callable[[_Case], str | None]
    wait_s: Callable[[_Case], float] | None = None
    spoils_view: bool = False


def _recovery(case: _Case) -> float:
    return case.patience.recovery_s


def _slow(case: _Case) -> float:
    return case.patience.slow_s


def _at_rest(case: _Case) -> Remedy:
    """Restart where it interrupts nobody's fight; before that it is only told."""
    return Remedy.RESTART_PROCESS if case.is_at_rest else Remedy.NOTHING


# --- how each row shows -----------------------------------------------------------------------------


def _webgpu_missing(case: _Case) -> str | None:
    if case.bridge.degraded.startswith("error:webgpu_required"):
        return "the page cannot draw: it says that WebGPU is missing"
    return case.told("the browser has no WebGPU", "webgpu")


def _bad_build(case: _Case) -> str | None:
    if case.answers:
        return None
    return case.told("the stack cannot start, and another host would not help", "bad_build")


def _database(case: _Case) -> str | None:
    if case.server.db is False:
        return "the server cannot use its database"
    return case.told("the database has no connection left", "db", 3 if case.answers else 1)


def _port_held(case: _Case) -> str | None:
    text = case.told("another stack holds the lock", "other_stack")
    if text is None and not case.answers:
        text = case.told("the port is taken", "port_held")
    if text is None and case.log.get("port_held", Sign()).n > 1:
        text = case.told("an orphan holds the port", "port_held")
    return text


def _nothing_runs(case: _Case) -> str | None:
    if case.facts.process == "manager_down":
        return "PM2 does not run, and nothing that it should keep"
    return "PM2 does not know the app" if case.facts.process == "gone" else None


def _server_silent(case: _Case) -> str | None:
    is_long = case.server.silent_s >= case.patience.silent_s and not case.facts.is_young
    if case.answers or case.facts.process != "up" or not is_long:
        return None
    return f"the process runs, and the server has not answered for {case.server.silent_s:g} s"


def _starting(case: _Case) -> str | None:
    if case.facts.is_young and not case.answers and case.facts.process == "up":
        return "the stack is starting; its server does not answer yet"
    if case.state.error == "warmup":
        return "the public state is delayed right after a start"
    return None


def _phase_stuck(case: _Case) -> str | None:
    if case.state.late_s < case.patience.phase_margin_s:
        return None
    return f"phase {case.state.phase} should have ended {case.state.late_s:g} s ago"


def _stand_still(case: _Case) -> str | None:
    if case.state.still_fights:
        return f"{case.state.still_fights} fights in a row passed without a blow"
    if case.state.still_s >= case.patience.still_s:
        return f"both stand still: no blow for {case.state.still_s:g} s"
    return None


def _still_wait(case: _Case) -> float:
    """The fight has its turn to end: a restart in it would only add to the harm."""
    if case.state.still_fights and case.is_at_rest:
        return 0.0
    return case.settings.phases_s()["FIGHTING"]


def _idle(case: _Case) -> bool:
    return case.state.phase == "IDLE"


def _idle_disconnect(case: _Case) -> str | None:
    idle_s = case.state.idle_s
    if not _idle(case) or idle_s < case.patience.idle_disconnect_s:
        return None
    has_filler = case.settings.environment().get("STREAM_PLACEHOLDER_ENABLED") == "true"
    if has_filler and not case.bridge.down:
        return None  # something moves, and the platforms keep it
    return f"idle for {idle_s:g} s: platforms drop such a stream after 30 minutes"


def _no_fighters(case: _Case) -> str | None:
    if not _idle(case) or case.state.idle_s < case.patience.idle_s or case.server.maintenance:
        return None
    return f"no two fighters for {case.state.idle_s:g} s: look at the model keys and the agents"


def _other_commit(case: _Case) -> str | None:
    wanted, has = case.settings.commit, case.facts.commit
    if (
        not wanted
        or not has
        or has == "unknown"
        or wanted.startswith(has)
        or has.startswith(wanted)
    ):
        return None
    return f"the server runs commit {has[:12]} instead of {wanted[:12]}"


def _gave_up(case: _Case) -> str | None:
    text = case.told("ffmpeg is given up for good", "gave_up")
    if text is None and case.bridge.ffmpeg is False and case.bridge.seen == "ok":
        text = "the bridge lives and its ffmpeg does not"
    return text


def _refused(case: _Case) -> str | None:
    if case.sign("refused") is None or not (case.bridge.down or case.bridge.ffmpeg is False):
        return None
    return case.told("a platform refuses the stream: look at its key and address", "refused")


def _bridge_hung(case: _Case) -> str | None:
    if case.bridge.seen != "absent" or case.bridge.absent_s < case.patience.flat_s:
        return None
    if not case.is_settled:
        return None
    if case.bridge.alive:
        return "the bridge's process lives and has stopped to report"
    return "there is no bridge, and nobody starts one"


def _capture_stalled(case: _Case) -> str | None:
    times, flat_s = case.log.get("stalled", Sign()), case.bridge.flat_s or 0.0
    if case.sign("flipped", times=3) is not None:
        return case.told("the capture flips between two ways", "flipped")
    if times.n > 1 and times.for_s > 0:
        return case.told("the capture has stalled again and again", "stalled")
    if flat_s >= case.patience.flat_s and case.is_settled:
        return f"the browser has sent nothing for {flat_s:g} s"
    return None


def _scene_frozen(case: _Case) -> str | None:
    stale = ("renderer_health_stale", "capture_page_missing", "probe_failed", "capture_client")
    if case.degraded(*stale, after_s=case.patience.flat_s):
        return f"the scene does not move any more: {case.bridge.degraded}"
    if (case.bridge.still_picture_s or 0.0) >= case.patience.flat_s:
        return f"the picture has not changed for {case.bridge.still_picture_s:g} s"
    return None


def _black(case: _Case) -> str | None:
    if case.degraded("canvas_missing", "error:", "initialization_failed", after_s=0.0):
        return f"the picture is empty: {case.bridge.degraded}"
    return None


def _loading(case: _Case) -> str | None:
    reasons = ("loading_overlay_active", "initializing", "capture_not_initialized")
    if case.degraded(*reasons, after_s=case.patience.loading_s):
        return f"viewers see the loading screen: {case.bridge.degraded}"
    return None


def _agents_missing(case: _Case) -> str | None:
    reasons = ("agents_missing", "invalid_agent_hp", "arena_positions_invalid")
    if case.degraded(*reasons, after_s=case.patience.idle_s):
        return f"the page has nobody to show: {case.bridge.degraded}"
    return None


def _placeholder(case: _Case) -> str | None:
    sign = case.log.get("placeholder")
    if sign is None or sign.for_s < case.patience.placeholder_s:
        return None
    return f"viewers have seen the filler picture for {sign.for_s:g} s"


def _output_flat(case: _Case) -> str | None:
    if case.facts.hls is None or case.facts.hls.flat_s < case.patience.flat_s:
        return None
    if not case.is_settled:
        return None
    return f"no new segment for {case.facts.hls.flat_s:g} s, whatever the bridge says"


def _all_down(case: _Case) -> str | None:
    if not case.bridge.outputs or len(case.bridge.down) < case.bridge.outputs:
        return None
    return f"no platform takes the stream: {', '.join(case.bridge.down)}"


def _some_down(case: _Case) -> str | None:
    if case.bridge.down:
        return f"the others are on air, and not {', '.join(case.bridge.down)}"
    return case.told("one platform fails", "slave_failed", times=3)


def _page_timeout(case: _Case) -> str | None:
    return case.told("the page does not load within its time", "page_timeout")


def _display_dead(case: _Case) -> str | None:
    if case.facts.has_display is False:
        return f"nobody answers on display {case.settings.display}"
    return None


def _sound_gone(case: _Case) -> str | None:
    if case.facts.has_sound is False:
        return "the stream's sound source is gone"
    return None


def _told(sentence: str, name: str, times: int = 1) -> Callable[[_Case], str | None]:
    return lambda case: case.told(sentence, name, times)


def _when(sentence: str, holds: Callable[[_Case], bool]) -> Callable[[_Case], str | None]:
    return lambda case: sentence if holds(case) else None


ROWS: tuple[Row, ...] = (
    # --- the stack does not come up ---
    Row(code="bad_build", rows=("A2",), remedy=Remedy.PERSON, seen=_bad_build),
    Row(code="no_space", rows=("H10",), remedy=Remedy.PERSON,
        seen=_told("the host's disk is full", "no_space")),
    Row(code="database", rows=("A1",), remedy=Remedy.RESTART_WORKLOAD, seen=_database),
    Row(code="port_held", rows=("A3",), remedy=Remedy.RESTART_WORKLOAD, seen=_port_held),
    Row(code="nothing_runs", rows=("H15",), remedy=Remedy.RESTART_WORKLOAD, seen=_nothing_runs),
    Row(code="starting", rows=("A8",), remedy=Remedy.NOTHING, seen=_starting),
    # --- what no restart cures ---
    Row(code="webgpu_missing", rows=("H1", "A21"), remedy=Remedy.REBOOT, seen=_webgpu_missing,
        spoils_view=True),
    Row(code="software_rendering", rows=("H5",), remedy=Remedy.REPLACE,
        seen=_told("drawn by the processor, not by the GPU", "software")),
    Row(code="display_dead", rows=("H4",), remedy=Remedy.RESTART_WORKLOAD, seen=_display_dead),
    Row(code="vulkan_dir", rows=("H6",), remedy=Remedy.RESTART_WORKLOAD,
        seen=_told("Vulkan has no runtime folder", "vulkan_dir")),
    Row(code="stale_environment", rows=("A34",), remedy=Remedy.RESTART_WORKLOAD,
        seen=_when("the app runs with settings or keys of before: PM2 has kept them",
                   lambda case: case.facts.has_old_environment is True)),
    Row(code="server_silent", rows=("A5",), remedy=Remedy.RESTART_PROCESS, seen=_server_silent),
    Row(code="not_active", rows=("A7",), remedy=Remedy.PERSON,
        seen=_when("the server says that streaming is switched off: look at the build and at "
                   "STREAMING_DUEL_ENABLED", lambda case: case.state.error == "not_active")),
    Row(code="other_commit", rows=("A9",), remedy=Remedy.RESTART_WORKLOAD, seen=_other_commit),
    # --- the browser and the bridge ---
    Row(code="no_outputs", rows=("A27",), remedy=Remedy.PERSON,
        seen=_told("the stream has nowhere to go: its keys are missing", "no_outputs")),
    Row(code="chrome_missing", rows=("A38",), remedy=Remedy.RESTART_WORKLOAD,
        seen=_told("the browser cannot be started", "chrome_missing")),
    Row(code="page_timeout", rows=("A20",), remedy=Remedy.RESTART_WORKLOAD, seen=_page_timeout),
    Row(code="no_canvas", rows=("A21",), remedy=Remedy.RESTART_WORKLOAD,
        seen=_told("the page shows no game", "no_canvas", times=2)),
    Row(code="rotation", rows=("A36",), remedy=Remedy.NOTHING,
        seen=_when("the browser is changed, as planned", lambda case: case.facts.rotating)),
    Row(code="platform_refuses", rows=("A27", "A35"), remedy=Remedy.PERSON, seen=_refused),
    Row(code="ffmpeg_segfault", rows=("A27",), remedy=Remedy.RESTART_WORKLOAD,
        seen=_told("this ffmpeg crashes in itself; another one is tried", "segfault", times=3)),
    Row(code="ffmpeg_gave_up", rows=("A27",), remedy=Remedy.RESTART_PROCESS, seen=_gave_up,
        spoils_view=True),
    Row(code="bridge_hung", rows=("A32",), remedy=Remedy.RESTART_PROCESS, seen=_bridge_hung,
        spoils_view=True),
    Row(code="encoder_lost", rows=("H8",), remedy=Remedy.RESTART_WORKLOAD,
        seen=_told("the GPU gives no encoder", "encoder")),
    Row(code="gpu_memory", rows=("H9",), remedy=Remedy.RESTART_PROCESS,
        seen=_told("the GPU's memory is full", "gpu_memory")),
    Row(code="black", rows=("A25",), remedy=Remedy.RESTART_PROCESS, seen=_black, spoils_view=True),
    Row(code="scene_frozen", rows=("A24",), remedy=Remedy.RESTART_PROCESS, seen=_scene_frozen,
        spoils_view=True),
    Row(code="placeholder_shown", rows=("A31",), remedy=Remedy.RESTART_PROCESS, seen=_placeholder,
        wait_s=_recovery, spoils_view=True),
    Row(code="loading_screen", rows=("A26",), remedy=Remedy.RESTART_PROCESS, seen=_loading,
        spoils_view=True),
    Row(code="capture_stalled", rows=("A23",), remedy=Remedy.RESTART_PROCESS,
        seen=_capture_stalled, wait_s=_recovery),
    Row(code="output_flat", rows=("A33",), remedy=Remedy.RESTART_PROCESS, seen=_output_flat,
        spoils_view=True),
    Row(code="all_platforms_down", rows=("A29", "H17"), remedy=Remedy.RESTART_PROCESS,
        seen=_all_down, wait_s=_recovery, spoils_view=True),
    # --- the duel ---
    Row(code="phase_stuck", rows=("A5",), remedy=Remedy.RESTART_PROCESS, seen=_phase_stuck),
    Row(code="agents_stand_still", rows=("A6",), remedy=Remedy.RESTART_PROCESS, seen=_stand_still,
        wait_s=_still_wait),
    Row(code="idle_disconnect", rows=("A30",), remedy=Remedy.RESTART_WORKLOAD,
        seen=_idle_disconnect),
    Row(code="no_fighters", rows=("A4",), remedy=Remedy.PERSON,
        seen=lambda case: _no_fighters(case) or _agents_missing(case)),
    # --- what still works ---
    Row(code="encoder_slow", rows=("A40",), remedy=Remedy.REPLACE, wait_s=_slow,
        seen=_told("encoding is slower than real time", "slow", times=3)),
    Row(code="sound_gone", rows=("A37",), remedy=Remedy.RESTART_PROCESS, seen=_sound_gone),
    Row(code="platform_down", rows=("A28",), remedy=Remedy.PERSON, seen=_some_down,
        wait_s=_recovery),
    Row(code="dns", rows=("H16",), remedy=Remedy.PERSON,
        seen=_told("names cannot be resolved on the host", "dns")),
    Row(code="clock", rows=("H19",), remedy=Remedy.PERSON,
        seen=_told("certificates do not fit the host's clock", "clock")),
    Row(code="memory_near_limit", rows=("A12",), remedy=_at_rest,
        seen=_when("memory nears the limit at which PM2 restarts it in the middle of a fight",
                   lambda case: case.facts.memory_mb > 0)),
    Row(code="stream_too_old", rows=("A39",), remedy=_at_rest,
        seen=_when("platforms end a broadcast after 48 hours; it is begun again before",
                   lambda case: case.bridge.is_old)),
    Row(code="in_maintenance", rows=(), remedy=Remedy.PERSON,
        wait_s=lambda case: case.settings.maintenance_wait_s + case.patience.startup_s,
        seen=_when("the server is in maintenance mode: nobody fights",
                   lambda case: case.server.maintenance)),
)  # fmt: skip
